import { runChild } from '../children.js';
import { closeLogs, fill, GIB, KIB, MIB, openLogs } from '../logs.js';
import { check } from '../measure.js';
import { DURABILITY, makeRow } from '../rows.js';
import { openLog } from '../varve.js';

/** Memory spreads little, and a process is started for each round. */
const ROUNDS = 2;
const WRITERS = 1_024;

/** @type {import('../groups.js').Group} */
export const group = {
  title: 'Memory',
  method:
    'Each round in a process of its own. Idle partitions: heap in use after garbage collection, with 1,000 more ' +
    'partitions open that hold one record each, by 1,000. Reading: the highest heap in use at any batch while a log is ' +
    'read from end to end again and again through .batches(), records of 1 KiB, 10 GiB in all, less what was in use ' +
    'before; garbage that was not collected yet counts. Writing: 1,024 writers append 128 B each, durable, two million ' +
    'records in all; what is used while they do, sampled every 20 ms, and what is left when garbage is collected ' +
    'afterwards, less what was in use before. With io mmap, the mapped segments are a part of what is resident.',
  async run({ quick, workspace, progress }) {
    const rounds = quick ? 1 : ROUNDS;
    const appends = quick ? 20 : 2_000;
    const partitions = quick ? 20 : 1_000;
    const logBytes = quick ? 32 * MIB : 2 * GIB;
    const readBytes = quick ? 128 * MIB : 10 * GIB;
    await workspace.needSpace(logBytes * 1.5);

    const logs = await openLogs(workspace);
    await closeLogs(logs);
    const rows = [];
    for (const { io } of logs) {
      const heaps = [];
      const buffers = [];
      for (let round = 0; round < rounds; round++) {
        progress(`idle partitions, io ${io}, round ${round + 1} of ${rounds}`);
        const directory = workspace.makeDirectory();
        const used = await runChild('idle-partitions', [directory, io, String(partitions)]);
        heaps.push(used.heapBytes / KIB);
        buffers.push(used.bufferBytes / KIB);
        workspace.removeDirectory(directory);
      }
      rows.push(
        makeRow({
          id: `memory-idle-${io}`,
          what: `heap per idle partition, io ${io}`,
          durability: DURABILITY.none,
          unit: 'KiB',
          values: heaps,
        }),
      );
      if (io === 'mmap') continue; // there, the mapped segments count as buffers
      rows.push(
        makeRow({
          id: `memory-idle-buffers-${io}`,
          what: `buffers per idle partition, io ${io}`,
          durability: DURABILITY.none,
          unit: 'KiB',
          values: buffers,
        }),
      );
    }

    for (const { io } of logs) {
      /** @type {{ heap: number[], rss: number[], kept: number[] }} */
      const writing = { heap: [], rss: [], kept: [] };
      for (let round = 0; round < rounds; round++) {
        progress(`writing, io ${io}, round ${round + 1} of ${rounds}`);
        const directory = workspace.makeDirectory();
        const used = await runChild('writing', [directory, io, String(WRITERS), String(appends)]);
        check(used.records === WRITERS * appends + 1, `${used.records} records were written`);
        writing.heap.push(used.peakHeapBytes / MIB);
        writing.rss.push(used.peakRssBytes / MIB);
        writing.kept.push(used.keptHeapBytes / KIB);
        workspace.removeDirectory(directory);
      }
      const row = (/** @type {string} */ id, /** @type {string} */ what, /** @type {number[]} */ values) =>
        makeRow({
          id: `memory-writing-${id}-${io}`,
          what: `${what}, io ${io}`,
          durability: DURABILITY.durable,
          unit: id === 'kept' ? 'KiB' : 'MiB',
          values,
        });
      rows.push(row('heap', 'heap growth while writing, at the highest', writing.heap));
      rows.push(row('rss', 'resident growth while writing, at the highest', writing.rss));
      rows.push(row('kept', 'heap kept after writing', writing.kept));
    }

    const directory = workspace.makeDirectory();
    const log = await openLog({ directory });
    const shape = /** @type {const} */ ({ bytes: logBytes, recordSize: KIB, frames: 'single' });
    const records = await fill(await log.partition(1), shape, progress);
    await log.close();
    /** @type {{ heap: number[], rss: number[] }} */
    const peaks = { heap: [], rss: [] };
    for (let round = 0; round < rounds; round++) {
      progress(`reading, round ${round + 1} of ${rounds}`);
      const used = await runChild('sequential-reading', [directory, String(readBytes)]);
      check(used.records >= readBytes / KIB && used.records % records === 0, `${used.records} records were read`);
      peaks.heap.push(used.heapGrowthBytes / MIB);
      peaks.rss.push(used.rssGrowthBytes / MIB);
    }
    workspace.removeDirectory(directory);
    return [
      ...rows,
      makeRow({
        id: 'memory-reading-heap',
        what: 'heap growth while reading, at the highest',
        durability: DURABILITY.read,
        unit: 'MiB',
        values: peaks.heap,
      }),
      makeRow({
        id: 'memory-reading-rss',
        what: 'resident growth while reading, at the highest',
        durability: DURABILITY.read,
        unit: 'MiB',
        values: peaks.rss,
      }),
    ];
  },
};
