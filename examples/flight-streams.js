/** Real flights as streams, one per airport: atomic appends, replay, and a projection that follows what comes. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEventStore } from 'varve';
import { loadFlights } from './quick-start/flights.js';

/** @typedef {import('./quick-start/flights.js').Flight} Flight */

const directory = await mkdtemp(join(tmpdir(), 'varve-flight-streams-'));
const settings = { directory, segmentSize: 1024 * 1024, partitions: 4 };
const flights = loadFlights(6000);
const [first, later] = [flights.slice(0, 5000), flights.slice(5000)];

/**
 * A flight leaves one airport and reaches another: both streams tell of it, or neither.
 *
 * @param {import('varve').EventStore} store
 * @param {Flight} flight
 */
function record(store, flight) {
  const { origin, destination, delay, distance } = flight;
  const tags = [`route:${origin}-${destination}`];
  const data = { number: flight.number, distance, delay };
  return store.appendToStreams([
    { stream: `airport-${origin}`, events: [{ type: 'Departed', data: { ...data, to: destination }, tags }] },
    { stream: `airport-${destination}`, events: [{ type: 'Arrived', data: { ...data, from: origin }, tags }] },
  ]);
}

/** Average delay on arrival, by airport: a projection. */
class Delays {
  /** @type {Map<string, { flights: number, minutes: number }>} */
  airports = new Map();
  flights = 0;

  /** @param {import('varve').RecordedEvent} event */
  apply({ type, stream, data }) {
    if (type !== 'Arrived') return;
    const { delay } = /** @type {{ delay: number }} */ (data);
    const airport = this.airports.get(stream) ?? { flights: 0, minutes: 0 };
    airport.flights++;
    airport.minutes += delay;
    this.airports.set(stream, airport);
    this.flights++;
  }
}

// Appends at the same time share their syncs: the more at once, the faster.
const writing = await openEventStore(settings);
await Promise.all(first.map((flight) => record(writing, flight)));
await writing.close();

const store = await openEventStore(settings);
const { revision } = (await store.streamHead('airport-ATL')) ?? { revision: -1n };
console.log(`airport-ATL has ${revision + 1n} events, the last three of them:`);
for await (const { revision, type, data } of store.readStream('airport-ATL', { direction: 'backwards', maxCount: 3 })) {
  console.log(`  ${revision} ${type} ${JSON.stringify(data)}`);
}
const route = await store.readAll({ filter: { tags: ['route:ATL-DFW'], types: ['Departed'] } }).toArray();
console.log(`${route.length} flights from ATL to DFW, found by their tag`);

// Replay: all that has happened, once, in order. Then the same projection follows what comes.
const delays = new Delays();
const { promise: level, resolve: isLevel } = deferred();
const stop = new AbortController();
const projecting = (async () => {
  for await (const message of store.subscribeToCategory('airport', { signal: stop.signal }).messages()) {
    if (message.kind === 'event') delays.apply(message.event);
    if (message.kind === 'caughtUp') isLevel();
    if (delays.flights === flights.length) return;
  }
})();
await level;
console.log(`replayed: ${delays.flights} arrivals at ${delays.airports.size} airports`);
await Promise.all(later.map((flight) => record(store, flight)));
await projecting;
stop.abort();
await store.close();

const [worst] = [...delays.airports]
  .filter(([, airport]) => airport.flights >= 50)
  .map(([stream, airport]) => ({ stream, delay: airport.minutes / airport.flights }))
  .sort((a, b) => b.delay - a.delay);
console.log(`latest on average: ${worst?.stream}, ${worst?.delay.toFixed(1)} minutes`);

// The projection against the input itself.
const expected = new Map();
for (const { destination, delay } of flights) {
  const stream = `airport-${destination}`;
  expected.set(stream, (expected.get(stream) ?? 0) + delay);
}
for (const [stream, minutes] of expected) {
  if (delays.airports.get(stream)?.minutes !== minutes) throw new Error(`${stream}: the projection is wrong`);
}
console.log(`the projection of ${delays.flights} flights agrees with the input`);

await rm(directory, { recursive: true });

function deferred() {
  /** @type {(value?: undefined) => void} */
  let resolve = () => {};
  const promise = new Promise((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
