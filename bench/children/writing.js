/** Appends with many writers at once; sends how far memory went up. Arguments: directory, io, writers, appends of each. */
import { answer, endWithParent, usedMemory } from '../children.js';
import { openLog } from '../varve.js';

const SIZE = 128;
const SAMPLE_MS = 20;

endWithParent();
const [directory = '', io, writers, appends] = process.argv.slice(2);
const log = await openLog({ directory, io: /** @type {import('varve').IoMode} */ (io) });
const partition = await log.partition(1);
const payload = new Uint8Array(SIZE);
await partition.append(payload);
const before = await usedMemory();
const peak = { heap: 0, rss: 0 };
const sampler = setInterval(() => {
  const now = process.memoryUsage();
  peak.heap = Math.max(peak.heap, now.heapUsed);
  peak.rss = Math.max(peak.rss, now.rss);
}, SAMPLE_MS);
await Promise.all(
  Array.from({ length: Number(writers) }, async () => {
    for (let i = 0; i < Number(appends); i++) await partition.append(payload);
  }),
);
clearInterval(sampler);
const after = await usedMemory();
const records = partition.durableLsn;
await log.close();
answer({
  records,
  peakHeapBytes: Math.max(0, peak.heap - before.heapUsed),
  peakRssBytes: Math.max(0, peak.rss - before.rss),
  keptHeapBytes: after.heapUsed - before.heapUsed,
});
