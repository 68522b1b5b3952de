/** The input: flights of 2001 (see examples/data/README.md), and how one becomes a record of the log. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/**
 * @typedef {object} Flight
 * @property {number} number  Its place in the file, from 1.
 * @property {string} date
 * @property {string} origin  Airport, IATA code.
 * @property {string} destination
 * @property {number} distance  Miles.
 * @property {number} delay  Minutes; negative where it arrived early.
 */

const FILE = new URL('../data/flights-2001.csv.gz', import.meta.url);

/** All flights of an airport go to one partition, so their order is kept. */
export const FLIGHT_PARTITIONS = [1, 2, 3, 4];

/**
 * The first `count` flights.
 *
 * @returns {Flight[]}
 */
export function loadFlights(count = Number.POSITIVE_INFINITY) {
  const [, ...lines] = gunzipSync(readFileSync(FILE)).toString().trimEnd().split('\n');
  return lines.slice(0, count).map((line, index) => {
    const [date = '', origin = '', destination = '', distance, delay] = line.split(',');
    return { number: index + 1, date, origin, destination, distance: Number(distance), delay: Number(delay) };
  });
}

/** @param {Flight} flight */
export function partitionOf({ origin }) {
  let hash = 0;
  for (const letter of origin) hash = hash * 31 + letter.charCodeAt(0);
  return FLIGHT_PARTITIONS[hash % FLIGHT_PARTITIONS.length];
}

/** @param {unknown} value */
export function encode(value) {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** @param {Uint8Array} payload */
export function decode(payload) {
  return JSON.parse(new TextDecoder().decode(payload));
}
