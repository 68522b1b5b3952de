/** Reads a log again and again until so many bytes were read; sends how far memory went up. Arguments: directory, bytes. */

import { answer, endWithParent, usedMemory } from '../children.js';
import { openLog } from '../varve.js';

endWithParent();
const [directory = '', bytes] = process.argv.slice(2);
const log = await openLog({ directory });
const partition = await log.partition(1);
const before = await usedMemory();
const peak = { heap: 0, rss: 0 };
let read = 0;
let records = 0;
while (read < Number(bytes)) {
  for await (const batch of partition.read({ from: 1 }).batches()) {
    for (const { lsn, payload } of batch) {
      if (lsn !== (records % partition.durableLsn) + 1) throw new Error(`LSN ${lsn} is out of order`);
      records++;
      read += payload.length;
    }
    const now = process.memoryUsage();
    peak.heap = Math.max(peak.heap, now.heapUsed);
    peak.rss = Math.max(peak.rss, now.rss);
  }
}
await log.close();
answer({
  records,
  heapGrowthBytes: peak.heap - before.heapUsed,
  rssGrowthBytes: peak.rss - before.rss,
});
