import { fill, KIB, MIB, makePayload } from '../logs.js';
import { check, interleave } from '../measure.js';
import { DURABILITY, makeRow, rowsAgainst } from '../rows.js';
import { openLog } from '../varve.js';

const SEGMENT = 16 * MIB;
const SIZES = [
  { size: 128, count: 50_000 },
  { size: KIB, count: 20_000 },
  { size: 64 * KIB, count: 500 },
];
const READS = 1_000;
const BATCH = 500;

/** Numbers from 1 to `count` that look random, the same in each run. @param {number} count @param {number} many */
function somewhere(count, many) {
  let state = 1;
  return Array.from({ length: many }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state % count) + 1;
  });
}

/** @type {import('../groups.js').Group} */
export const group = {
  title: 'Reading one record by its number',
  method:
    `${READS.toLocaleString('en-US')} records at random LSNs of a log, one after the other: partition.read({ from: lsn, ` +
    `limit: 1 }).toArray(). Segments of ${SEGMENT / MIB} MiB, page cache warm; their blocks have been read before. Against ` +
    'a get of the same record by its key. Per read.',
  async run({ quick, rounds, workspace, progress, peers }) {
    const reads = quick ? 100 : READS;
    const rows = [];
    for (const { size, ...given } of SIZES) {
      const count = quick ? Math.ceil(given.count / 100) : given.count;
      const tell = (/** @type {string} */ text) => progress(`${size} B: ${text}`);
      const payload = makePayload(size);
      const numbers = somewhere(count, reads);
      const log = await openLog({ directory: workspace.makeDirectory(), segmentSize: SEGMENT });
      const partition = await log.partition(1);
      await fill(partition, { bytes: count * size, recordSize: size, frames: 'single' }, tell);
      const stores = await peers.open(['sqlite', 'lmdb', 'classic-level', 'rocksdb'], workspace, 'written');
      for (const { appendBatch } of stores) {
        for (let done = 0; done < count; done += BATCH) {
          await appendBatch?.(Array.from({ length: Math.min(BATCH, count - done) }, () => payload));
        }
      }
      const time = async (/** @type {(number: number) => any} */ read) => {
        let bytes = 0;
        const started = performance.now();
        for (const number of numbers) bytes += (await read(number)).length;
        const took = performance.now() - started;
        check(bytes === reads * size, `${bytes} bytes were read`);
        return (took * 1000) / reads;
      };
      /** @type {Record<string, () => Promise<number>>} */
      const contestants = {
        varve: () =>
          time(async (from) => {
            const [record] = await partition.read({ from, limit: 1 }).toArray();
            check(record?.lsn === from, `LSN ${record?.lsn} instead of ${from}`);
            return record.payload;
          }),
      };
      for (const { id, get } of stores) if (get !== undefined) contestants[id] = () => time(get);
      const values = await interleave({ rounds, contestants, progress: tell });
      for (const { close } of stores) await close();
      await log.close();

      const row = {
        id: `point-${size}`,
        what: size < KIB ? `${size} B` : `${size / KIB} KiB`,
        durability: DURABILITY.read,
        unit: /** @type {const} */ ('µs'),
        values: values.varve ?? [],
      };
      rows.push(makeRow(row));
      rows.push(
        ...rowsAgainst(
          row,
          stores.map(({ id, library }) => ({
            id,
            name: library,
            durability: DURABILITY.read,
            values: values[id] ?? [],
          })),
        ),
      );
    }
    return rows;
  },
};
