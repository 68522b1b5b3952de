/** The question that the log is asked: at which airports are flights the latest? */
import { decode, FLIGHT_PARTITIONS } from './flights.js';
import { bar, count } from './terminal.js';

const AIRPORTS = 10;
/** An airport counts from one flight in so many on: 100 of 20,000. */
const FEWEST_IN = 200;

/**
 * Reads all flights, over all segments.
 *
 * @param {import('varve').Log} log
 * @param {AbortSignal} signal
 */
export async function worstDelays(log, signal) {
  const airports = new Map();
  let records = 0;
  let segments = 0;
  for (const number of FLIGHT_PARTITIONS) {
    const partition = await log.partition(number);
    let segment = 0;
    for await (const { payload, position } of partition.read({ signal })) {
      const { origin, delay } = decode(payload);
      const airport = airports.get(origin) ?? { origin, flights: 0, delay: 0 };
      airport.flights++;
      airport.delay += delay;
      airports.set(origin, airport);
      records++;
      if (position.segmentIndex !== segment) segments++;
      segment = position.segmentIndex;
    }
  }
  const fewest = Math.ceil(records / FEWEST_IN);
  const worst = [...airports.values()]
    .filter(({ flights }) => flights >= fewest)
    .map(({ origin, flights, delay }) => ({ origin, flights, minutes: delay / flights }))
    .sort((a, b) => b.minutes - a.minutes)
    .slice(0, AIRPORTS);
  return { records, segments, fewest, worst };
}

/** @param {{ origin: string, flights: number, minutes: number }[]} worst */
export function delayTable(worst) {
  const most = Math.max(1, worst[0]?.minutes ?? 0);
  return worst.map(({ origin, flights, minutes }) => {
    const shown = minutes.toFixed(1).padStart(5);
    return `   ${origin}  ${shown} min  ${bar(minutes / most)}  ${count(flights).padStart(5)} flights`;
  });
}
