/**
 * What the world outside of the log was promised: every acknowledgement, kept by the parent, which survives the
 * writer. The log is held to it.
 */
import { encode, FLIGHT_PARTITIONS, partitionOf } from './flights.js';

export class Acknowledgements {
  /** LSN by flight number. */
  #lsns = new Map();
  /**
   * Last acknowledged LSN by partition: recovery is told, and refuses a log that ends before.
   *
   * @type {Record<number, number>}
   */
  minDurableLsn = {};
  /** @type {string[]} */
  problems = [];

  get count() {
    return this.#lsns.size;
  }

  /** @param {{ partition: number, lsn: number, flight: number }} acknowledgement */
  add({ partition, lsn, flight }) {
    if (this.#lsns.has(flight)) this.problems.push(`flight ${flight} was acknowledged twice`);
    this.#lsns.set(flight, lsn);
    this.minDurableLsn[partition] = Math.max(this.minDurableLsn[partition] ?? 0, lsn);
  }

  /**
   * Reads the whole log and counts. What was acknowledged must be at the LSN that was told. What is there, acknowledged
   * or not, must be the flights of each partition from the first on: each once, in order, equal to the last byte.
   *
   * @param {{ partition(number: number): Promise<Pick<import('varve').Partition, 'read'>> }} log
   * @param {import('./flights.js').Flight[]} flights
   */
  async check(log, flights) {
    const problems = [...this.problems];
    let records = 0;
    let recovered = 0;
    for (const number of FLIGHT_PARTITIONS) {
      const partition = await log.partition(number);
      const expected = flights.filter((flight) => partitionOf(flight) === number);
      let count = 0;
      for await (const { lsn, payload } of partition.read({ from: 1 })) {
        const flight = expected[count++];
        const sound = flight !== undefined && lsn === count && Buffer.from(encode(flight)).equals(payload);
        if (!sound) problems.push(`record ${lsn} of partition ${number} is not what was appended there`);
        else if (this.#lsns.get(flight.number) === lsn) recovered++;
      }
      records += count;
    }
    return { acknowledged: this.count, records, recovered, lost: this.count - recovered, problems };
  }
}
