/**
 * Appends, reads, follows, purges and reopens on the real disk for as long as is asked, over the compiled package (npm run
 * build), and fails when something grows that should not:
 *
 *   node --expose-gc test/soak/soak.js [--minutes 60] [--directory /tmp] [--seed 1]
 *
 * What a round leaves behind is measured when it has settled: heap and buffers behind a garbage collection, resident
 * memory, open files, mappings, listeners, and bytes on the disk. The first fifth of the time (at most five minutes) is
 * for warming up; the highest values of it are the base, and each bound below says how much more there may be.
 */
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openLog } from '../../dist/index.js';
import { Random } from '../../dist/testing/index.js';

const MIB = 1024 * 1024;
const SEGMENT_BYTES = MIB;
const KEPT_RECORDS = 4_000;
const ROUND_RECORDS = 2_000;
const PROGRESS_MS = 10_000;
/** Growth over the base that is still no leak. */
const BOUNDS = { heap: 8 * MIB, buffers: 8 * MIB, rss: 96 * MIB, files: 0, mappings: 0, listeners: 0, disk: 0 };
/** Absolute: ready, recycled, active, and what KEPT_RECORDS take, twice over. */
const DISK_BYTES_MAX = 24 * SEGMENT_BYTES;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    directory: { type: 'string', default: tmpdir() },
    seed: { type: 'string', default: '1' },
  },
});
const { gc } = globalThis;
if (gc === undefined) throw new Error('Run it with node --expose-gc.');
const random = new Random(Number(values.seed));
const directory = mkdtempSync(join(values.directory, 'varve-soak-'));
const onLinux = process.platform === 'linux';
const counts = { rounds: 0, records: 0, read: 0, followed: 0, rotations: 0, purged: 0, truncations: 0, openings: 0 };

/** Bytes that only the LSN gives. @param {number} lsn */
function payloadOf(lsn) {
  const bytes = new Uint8Array(50 + ((lsn * 7919) % 2_000));
  for (let i = 0; i < bytes.length; i++) bytes[i] = (lsn + i * 31) & 0xff;
  return bytes;
}

/** @param {{ lsn: number, payload: Uint8Array }} record */
function check({ lsn, payload }) {
  if (Buffer.compare(payload, payloadOf(lsn)) !== 0) throw new Error(`LSN ${lsn} is not what was appended`);
}

const open = async () => {
  const log = await openLog({ directory, segmentSize: SEGMENT_BYTES, preallocate: { segments: 2 }, recycle: 2 });
  log.events.on('rotated', () => counts.rotations++);
  log.events.on('purged', ({ segments }) => {
    counts.purged += segments;
  });
  log.events.on('truncated', () => counts.truncations++);
  counts.openings++;
  return log;
};

/** @param {import('../../dist/index.js').Partition} partition @param {number} next */
async function round(partition, next) {
  const following = partition.follow({ from: next });
  const seen = (async () => {
    let expected = next;
    for await (const record of following) {
      if (record.lsn !== expected++) throw new Error(`followed LSN ${record.lsn}, not ${expected - 1}`);
      check(record);
      counts.followed++;
      if (expected === next + ROUND_RECORDS) return;
    }
  })();
  for (let lsn = next; lsn < next + ROUND_RECORDS; ) {
    const size = Math.min(1 + random.below(40), next + ROUND_RECORDS - lsn);
    const payloads = Array.from({ length: size }, (_, i) => payloadOf(lsn + i));
    if (random.chance(0.3)) await partition.appendBatch(payloads);
    else
      await Promise.all(
        payloads.map((payload) => partition.append(payload, random.chance(0.5) ? { ack: 'written' } : {})),
      );
    lsn += size;
    counts.records += size;
  }
  await partition.sync();
  await seen;
  await partition.purgeBefore(Math.max(1, next + ROUND_RECORDS - KEPT_RECORDS));
  for await (const record of partition.read({ from: partition.oldestLsn })) {
    check(record);
    counts.read++;
  }
  counts.rounds++;
}

/** What is held at this moment. */
async function measure() {
  // Twice, with a pause: what finalizers free is free only then.
  for (let i = 0; i < 2; i++) {
    gc?.();
    await pause(20);
  }
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  const files = onLinux ? readdirSync('/proc/self/fd').filter((fd) => isOurs(fd)).length : 0;
  const maps = onLinux ? readFileSync('/proc/self/maps', 'utf8') : '';
  const events = /** @type {import('node:events').EventEmitter} */ (process);
  return {
    heap: heapUsed,
    buffers: arrayBuffers,
    rss,
    files,
    mappings: maps.split('\n').filter((line) => line.includes(directory)).length,
    listeners: events.eventNames().reduce((sum, name) => sum + events.listenerCount(name), 0),
    disk: readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0),
  };
}

/** @param {string} fd */
function isOurs(fd) {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith(directory);
  } catch {
    return false; // the one that has read the directory itself
  }
}

const begun = Date.now();
const end = begun + Number(values.minutes) * 60_000;
const warm = begun + Math.min((end - begun) / 5, 300_000);
/** @type {Record<string, number>} */
const base = {};
/** @type {Record<string, number>} */
const most = {};
let progress = begun + PROGRESS_MS;
const show = () => {
  const seconds = Math.round((Date.now() - begun) / 1000);
  console.log(JSON.stringify({ seconds, ...counts, base, most }));
};

try {
  for (let next = 1; Date.now() < end; ) {
    const log = await open();
    const partition = await log.partition(1);
    if (partition.durableLsn !== next - 1) throw new Error(`LSN ${partition.durableLsn} is the last, not ${next - 1}`);
    for (let i = 0; i < 3; i++, next += ROUND_RECORDS) await round(partition, next);
    if (random.chance(0.3)) {
      next -= 1 + random.below(100);
      await partition.truncateAfter(next - 1);
    }
    await log.close();
    // Measured closed: what is still held then is held for nothing.
    const held = await measure();
    const target = Date.now() < warm || Object.keys(base).length === 0 ? base : most;
    for (const [what, value] of Object.entries(held)) target[what] = Math.max(target[what] ?? 0, value);
    for (const [what, bound] of Object.entries(BOUNDS)) {
      // How much there is on the disk depends on where a purge comes: only its limit counts.
      const limit = what === 'disk' ? DISK_BYTES_MAX : (base[what] ?? 0) + bound;
      const value = held[/** @type {keyof typeof held} */ (what)];
      if (value > limit) throw new Error(`${what} has grown to ${value}: more than ${limit}`);
    }
    if (held.files > 0 || held.mappings > 0)
      throw new Error(`A closed log holds ${held.files} files, ${held.mappings} mappings`);
    if (Date.now() >= progress) {
      progress = Date.now() + PROGRESS_MS;
      show();
    }
  }
  show();
  const never = Object.entries(counts).filter(([, count]) => count === 0);
  if (never.length > 0) throw new Error(`Never happened: ${never.map(([what]) => what).join(', ')}`);
  if (Object.keys(most).length === 0) throw new Error('Too short: nothing was measured behind the warming up');
} finally {
  rmSync(directory, { recursive: true, force: true });
}
