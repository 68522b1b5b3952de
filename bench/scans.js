/** Scans of whole logs, in either direction. */
import fs from 'node:fs';
import { join } from 'node:path';
import { fill, KIB, MIB, makePayload } from './logs.js';
import { check, interleave } from './measure.js';
import { DURABILITY, makeRow, rowsAgainst } from './rows.js';
import { openLog } from './varve.js';

const SEGMENT = 16 * MIB;
const ALL_PEERS = /** @type {const} */ (['sqlite', 'lmdb', 'classic-level', 'rocksdb', 'event-storage']);
const SOME_PEERS = /** @type {const} */ (['sqlite', 'lmdb', 'classic-level']);

/** @type {readonly { size: number, count: number, against: readonly import('./peers/index.js').PeerName[] }[]} */
const SIZES = [
  { size: 8, count: 50_000, against: SOME_PEERS },
  { size: 128, count: 50_000, against: ALL_PEERS },
  { size: KIB, count: 20_000, against: SOME_PEERS },
  { size: 64 * KIB, count: 500, against: SOME_PEERS },
];
/** Peers are filled with batches of so many bytes. */
const BATCH_BYTES = 128 * KIB;

/** @param {number} size */
const named = (size) => (size < KIB ? `${size} B` : `${size / KIB} KiB`);

/** Records per second. @param {number} count @param {() => number | Promise<number>} scan */
async function time(count, scan) {
  const started = performance.now();
  const records = await scan();
  const took = performance.now() - started;
  check(records === count, `${records} records were read, not ${count}`);
  return (count * 1000) / took;
}

/** @param {import('varve').Partition} partition @param {'forward' | 'backward'} direction */
async function scan(partition, direction) {
  let records = 0;
  for await (const batch of partition.read({ direction }).batches()) records += batch.length;
  return records;
}

/**
 * The group of rows that scans in one direction. Each direction has a process of its own: the code that serves both is
 * slower than that which serves one.
 *
 * @param {'forward' | 'backward'} direction
 * @returns {import('./groups.js').Group}
 */
export const scanning = (direction) => ({
  title: `Scanning ${direction}`,
  method:
    'Records per second, from end to end through .batches(), page cache warm. The records were written together, so ' +
    'that they share frames of up to 64 KiB, as batches and many waiters leave them; single: each of them is a frame by ' +
    `itself, as a lone waiter leaves it. Segments of ${SEGMENT / MIB} MiB. First: a log that was just opened, so that ` +
    'every checksum is verified. Again: the same log. Against fs.readSync of the same bytes in windows of 1 MiB, which ' +
    'looks at nothing, and against scans of the peers, which hold the same records.',
  charts: [
    {
      name: `scanning-${direction}`,
      title: `Scanning records of 128 B, ${direction}, per second (higher is better)`,
      unit: '/s',
      logarithmic: true,
      bars: [
        { label: 'first', rows: [idOf('first', 128, direction)] },
        { label: 'again', rows: ALL_PEERS.map((id) => `${idOf('again', 128, direction)}-vs-${id}`) },
      ],
    },
  ],
  async run({ quick, longRounds, workspace, progress, peers }) {
    const rows = [];
    for (const { size, against, ...given } of SIZES) {
      const count = quick ? Math.ceil(given.count / 100) : given.count;
      const tell = (/** @type {string} */ text) => progress(`${named(size)}: ${text}`);
      /** @type {Record<string, number[]>} */
      const again = {};
      /** @type {Record<string, (round: number) => Promise<number>>} */
      const contestants = {};
      for (const frames of /** @type {const} */ (['shared', 'single'])) {
        const directory = workspace.makeDirectory();
        const log = await openLog({ directory, segmentSize: SEGMENT });
        const partition = await log.partition(1);
        await fill(partition, { bytes: count * size, recordSize: size, frames }, tell);
        const files = partition.segments();
        await log.close();
        const read = () => readFiles(directory, files);
        contestants[`raw ${frames}`] = () =>
          time(count, () => {
            read();
            return count;
          });
        again[frames] = [];
        contestants[`first ${frames}`] = async (round) => {
          const opened = await openLog({ directory, segmentSize: SEGMENT });
          const fresh = await opened.partition(1);
          read(); // opening takes mapped files out of the page cache
          const first = await time(count, () => scan(fresh, direction));
          const second = await time(count, () => scan(fresh, direction));
          if (round >= 0) again[frames]?.push(second);
          await opened.close();
          return first;
        };
      }
      const stores = await peers.open(against, workspace, 'written');
      const payload = makePayload(size);
      for (const { id, name, appendBatch, ...store } of stores) {
        const perBatch = Math.max(1, Math.floor(BATCH_BYTES / Math.max(size, 128)));
        for (let done = 0; done < count; done += perBatch) {
          tell(`filling ${name}, ${done} of ${count}`);
          await appendBatch?.(Array.from({ length: Math.min(perBatch, count - done) }, () => payload));
        }
        const theirs = direction === 'forward' ? store.scan : store.scanBackward;
        if (theirs !== undefined) contestants[id] = () => time(count, theirs);
      }
      const values = await interleave({ rounds: longRounds, warmUp: 2, contestants, progress: tell });
      for (const { close } of stores) await close();

      for (const turn of /** @type {const} */ (['first', 'again'])) {
        for (const frames of /** @type {const} */ (['shared', 'single'])) {
          const row = {
            id: `${idOf(turn, size, direction)}${frames === 'single' ? '-single' : ''}`,
            what: `${named(size)}${frames === 'single' ? ', single' : ''}, ${turn}`,
            durability: DURABILITY.read,
            unit: /** @type {const} */ ('/s'),
            values: (turn === 'again' ? again[frames] : values[`first ${frames}`]) ?? [],
          };
          rows.push(makeRow({ ...row, peer: { what: 'fs.readSync', values: values[`raw ${frames}`] ?? [] } }));
          if (frames === 'single') continue;
          const opponents = stores.flatMap(({ id, library }) => {
            const theirs = values[id];
            return theirs === undefined ? [] : [{ id, name: library, durability: DURABILITY.read, values: theirs }];
          });
          rows.push(...rowsAgainst(row, opponents));
        }
      }
    }
    return rows;
  },
});

/** @param {'first' | 'again'} turn @param {number} size @param {'forward' | 'backward'} direction */
function idOf(turn, size, direction) {
  return `scan-${turn}-${size}${direction === 'backward' ? '-backward' : ''}`;
}

const buffer = new Uint8Array(MIB);

/** @param {string} directory @param {readonly import('varve').SegmentDescription[]} segments */
function readFiles(directory, segments) {
  for (const { name, bytes } of segments) {
    const fd = fs.openSync(join(directory, name), 'r');
    for (let at = 0; at < bytes; at += buffer.length)
      fs.readSync(fd, buffer, 0, Math.min(buffer.length, bytes - at), at);
    fs.closeSync(fd);
  }
}
