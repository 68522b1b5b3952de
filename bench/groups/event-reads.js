import { appendEvents, EVENT, streamName } from '../event-stores.js';
import { check, interleave } from '../measure.js';
import { DURABILITY, makeRow, rowsAgainst } from '../rows.js';
import { openEventStore } from '../varve.js';

const STREAM = 'cart-of-100';
const LENGTH = 100;
/** Readings in a round. */
const READS = 100;
const ALL = 1_000_000;
const STREAMS = 10_000;
/** A peer holds fewer: what is compared are rates. */
const PEER_ALL = 100_000;
const ALL_ROUNDS = 3;

/** @type {import('../groups.js').Group} */
export const group = {
  title: 'Event store: reading',
  method:
    `readStream of a stream of ${LENGTH} events (150 B of JSON each), warm, into an array of events whose data are ` +
    `decoded; and readAll of ${ALL.toLocaleString('en-US')} events in ${STREAMS.toLocaleString('en-US')} streams, decoded, ` +
    'of a store that was opened for each round. Against SELECT … ORDER BY and JSON.parse on a table of SQLite with a ' +
    `unique (stream, revision), which holds ${PEER_ALL.toLocaleString('en-US')} events, and against emmett-sqlite’s readStream.`,
  async run({ quick, rounds, workspace, progress, peers }) {
    const all = quick ? 5_000 : ALL;
    const peerAll = quick ? 1_000 : PEER_ALL;
    const streams = quick ? 100 : STREAMS;
    const reads = quick ? 2 : READS;
    const directory = workspace.makeDirectory();
    const filled = await openEventStore({ directory });
    for (let i = 0; i < LENGTH; i++) await filled.appendToStream(STREAM, EVENT, { ack: 'written' });
    await appendEvents(
      filled,
      all - LENGTH,
      (number) => streamName(number % streams),
      (done) => progress(`filling, ${done} of ${all}`),
    );
    await filled.close();

    const [sqlite, emmett] = [await peers.load('sqlite-events'), await peers.load('emmett-sqlite')];
    const table = await sqlite?.openEvents(workspace.makeDirectory());
    table?.together(() => {
      for (let i = 0; i < LENGTH; i++) table.append(STREAM, EVENT);
      for (let i = LENGTH; i < peerAll; i++) table.append(streamName(i % streams), EVENT);
    });
    const emmettStore = await emmett?.openEvents(workspace.makeDirectory());
    for (let i = 0; emmettStore !== undefined && i < LENGTH; i++) await emmettStore.append(STREAM, EVENT);

    const time = async (/** @type {() => number | Promise<number>} */ read) => {
      const started = performance.now();
      for (let i = 0; i < reads; i++) check((await read()) === LENGTH, 'not all events of the stream were read');
      return ((performance.now() - started) * 1000) / reads;
    };
    const store = await openEventStore({ directory });
    /** @type {Record<string, () => Promise<number>>} */
    const readers = { varve: () => time(async () => (await store.readStream(STREAM).toArray()).length) };
    if (table !== undefined) readers['sqlite-events'] = () => time(() => table.readStream(STREAM));
    if (emmettStore !== undefined) readers['emmett-sqlite'] = () => time(() => emmettStore.readStream(STREAM));
    const values = await interleave({ rounds, contestants: readers, progress });
    await store.close();

    const rate = async (/** @type {number} */ events, /** @type {() => number | Promise<number>} */ read) => {
      const started = performance.now();
      const count = await read();
      const took = performance.now() - started;
      check(count === events, `${count} events were read, not ${events}`);
      return (events * 1000) / took;
    };
    /** @type {Record<string, () => Promise<number>>} */
    const replays = {
      async varve() {
        const store = await openEventStore({ directory });
        const value = await rate(all, async () => {
          let events = 0;
          for await (const batch of store.readAll().batches()) events += batch.length;
          return events;
        });
        await store.close();
        return value;
      },
    };
    if (table !== undefined) replays['sqlite-events'] = () => rate(peerAll, () => table.readAll());
    const replayed = await interleave({
      rounds: Math.min(rounds, ALL_ROUNDS),
      warmUp: 1,
      contestants: replays,
      progress: (text) => progress(`readAll, ${text}`),
    });
    table?.close();

    const opponents = (/** @type {Record<string, number[]>} */ measured) =>
      [
        { id: 'sqlite-events', opened: table },
        { id: 'emmett-sqlite', opened: emmettStore },
      ].flatMap(({ id, opened }) =>
        opened === undefined || measured[id] === undefined
          ? []
          : [{ id, name: opened.library, durability: DURABILITY.read, values: measured[id] ?? [] }],
      );
    const stream = {
      id: 'events-read-stream',
      what: `readStream of ${LENGTH} events`,
      durability: DURABILITY.read,
      unit: /** @type {const} */ ('µs'),
      values: values.varve ?? [],
    };
    const everything = {
      id: 'events-read-all',
      what: `readAll of ${all.toLocaleString('en-US')} events`,
      durability: DURABILITY.read,
      unit: /** @type {const} */ ('/s'),
      values: replayed.varve ?? [],
    };
    return [
      makeRow(stream),
      ...rowsAgainst(stream, opponents(values)),
      makeRow(everything),
      ...rowsAgainst(everything, opponents(replayed)),
    ];
  },
};
