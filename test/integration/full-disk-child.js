/**
 * Fills a small file system through a log, frees space, and tells what happened, as one line of JSON.
 * Arguments: the directory, which is a file system of its own; `io`; `preallocate.mode`.
 */
import { unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { openLog } from '../../dist/index.js';

// Waiting for space does not keep a process alive by itself.
const alive = setInterval(() => {}, 1000);

const [directory, io, mode] = /** @type {[string, 'mmap' | 'write', import('../../dist/index.js').AllocateMode]} */ (
  /** @type {unknown} */ (process.argv.slice(2))
);
const seen = { pressures: 0, restored: 0 };

/** @param {number} i */
const payload = (i) => new Uint8Array(700).fill(i & 0xff);

// Space that is given back later, as a log rotated away or a file of somebody else's would.
const ballast = path.join(directory, 'ballast');
writeFileSync(ballast, new Uint8Array(140 * 1024));
const options = { directory: path.join(directory, 'log'), io, segmentSize: 16 * 1024 };
const log = await openLog({ ...options, preallocate: { mode } });
seen.io = log.io;
log.events.on('spacePressure', () => seen.pressures++);
log.events.on('spaceRestored', () => seen.restored++);
const partition = await log.partition(1);

let acknowledged = 0;
process.on('SIGTERM', () => {
  console.error('given up', acknowledged, seen, partition.state, log.stats());
  process.exit(1);
});
const appends = [];
for (let i = 1; i <= 300; i++) {
  appends.push(
    partition.append(payload(i)).then(({ lsn }) => {
      if (lsn !== i) throw new Error(`append ${i} got LSN ${lsn}`);
      acknowledged++;
    }),
  );
}
while (log.stats().space !== 'blocked') {
  await new Promise((resolve) => setTimeout(resolve, 1));
  if (acknowledged === 300) break;
}
// Until nothing moves any more.
for (let before = -1; before !== acknowledged; ) {
  before = acknowledged;
  await new Promise((resolve) => setTimeout(resolve, 50));
}
seen.blocked = acknowledged > 20 && acknowledged < 300;

const whole = (records) =>
  records.every(({ lsn, payload }, i) => lsn === i + 1 && payload.every((b) => b === (lsn & 0xff)));
const read = await partition.read().toArray();
seen.readWhileFull = read.length === acknowledged && whole(read);

unlinkSync(ballast);
await Promise.all(appends);
seen.resumed = acknowledged === 300;
while (log.stats().space !== 'ok' || seen.restored === 0) await new Promise((resolve) => setTimeout(resolve, 1));
await log.close();

const again = await openLog({ ...options, verify: 'full' });
const records = await (await again.partition(1)).read().toArray();
seen.complete = records.length === 300 && whole(records);
await (await again.partition(1)).verify();
seen.verified = true;
await again.close();
clearInterval(alive);
process.stdout.write(JSON.stringify(seen));
