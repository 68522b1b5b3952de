/** Opens many partitions with a record each; sends the heap that one takes. Arguments: directory, io, count. */

import { answer, endWithParent, usedMemory } from '../children.js';
import { openLog } from '../varve.js';

/** Small, since what is measured is not the disk: 1,000 segments of the default size would be 64 GiB of it. */
const SEGMENT_SIZE = 256 * 1024;
/** So that code, pools and tables that all partitions share are there before. */
const FIRST = 50;
const AT_A_TIME = 50;

endWithParent();
const [directory = '', io, count] = process.argv.slice(2);
const log = await openLog({
  directory,
  io: /** @type {import('varve').IoMode} */ (io),
  segmentSize: SEGMENT_SIZE,
});

/** @param {number} first @param {number} end */
async function open(first, end) {
  for (let number = first; number < end; number += AT_A_TIME) {
    const some = Array.from({ length: Math.min(AT_A_TIME, end - number) }, (_, i) => number + i);
    await Promise.all(
      some.map(async (number) => {
        const partition = await log.partition(number);
        await partition.append(new Uint8Array(128));
      }),
    );
  }
}

await open(0, FIRST);
const before = await usedMemory();
await open(FIRST, FIRST + Number(count));
const after = await usedMemory();
if (log.stats().records !== FIRST + Number(count)) throw new Error('not every partition has its record');
await log.close();
answer({
  heapBytes: (after.heapUsed - before.heapUsed) / Number(count),
  bufferBytes: (after.arrayBuffers - before.arrayBuffers) / Number(count),
});
