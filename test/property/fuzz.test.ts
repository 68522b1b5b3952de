/**
 * Recovery against directories that nobody has written in earnest: random bytes, and forged files whose checksums hold.
 * Whatever they are: no error but those that name what was found, no allocation and no number of disk operations beyond
 * what the files' sizes explain.
 *
 * `npm run test:fuzz -- --minutes N --seed S` goes on for as long as it is told. A failure prints seed and path.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { VarveError } from '../../src/errors.js';
import { type Log, openLog, salvage } from '../../src/index.js';
import { MAX_SEGMENT_SIZE } from '../../src/options.js';
import { forge, forgery } from '../support/forgery.js';
import { fuzz, HOUR_MS } from '../support/fuzz.js';
import { type Files, KNOWN_LOGS, type KnownLog, knownOptions } from '../support/known-logs.js';
import { NOWHERE } from '../unit/segment/logs.js';
import { MemoryDisk, watched } from '../unit/segment/memory-disk.js';

// What is read may be as large as a window of the scanner beside the files; nothing depends on what a field says.
const MAX_READ_BYTES = 1024 * 1024;
const MAX_GROWTH_BYTES = 32 * 1024 * 1024;
const MAX_OPERATIONS = 3000;
const MAX_FILE_BYTES = 16 * 1024 * 1024;

const CODES = new Set([
  'ERR_VARVE_CORRUPT',
  'ERR_VARVE_FOREIGN',
  'ERR_VARVE_UNSUPPORTED_VERSION',
  'ERR_VARVE_LEGACY_WAL',
  'ERR_VARVE_RECOVERY_REQUIRED',
  'ERR_VARVE_LSN_PURGED',
  'ERR_VARVE_LSN_OUT_OF_RANGE',
]);

function named(error: unknown): undefined {
  if (!(error instanceof VarveError) || !CODES.has(error.code)) throw error;
  return undefined;
}

/** Refuses what a small directory cannot explain. */
function limitedDisk(disk: MemoryDisk) {
  let operations = 0;
  return watched(disk, (operation, name, args) => {
    if (++operations > MAX_OPERATIONS) throw new Error(`more than ${MAX_OPERATIONS} operations of the disk`);
    const [first, second] = args as [Uint8Array & number, number];
    if (operation === 'read' || operation === 'readSync') {
      if (first.length > MAX_READ_BYTES) throw new Error(`${first.length} bytes are read from ${name}`);
      if (!Number.isSafeInteger(second) || second < 0) throw new Error(`a read at ${second} of ${name}`);
    }
    if (operation === 'writeSync' && !(Number.isSafeInteger(second) && second >= 0)) {
      throw new Error(`a write at ${second} of ${name}`);
    }
    const reach = operation === 'writeSync' ? second + first.length : operation === 'allocate' ? second : 0;
    if (operation === 'allocate' && reach > MAX_SEGMENT_SIZE) throw new Error(`${reach} bytes are reserved in ${name}`);
    if (reach > MAX_FILE_BYTES) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
  });
}

async function withGrowth(work: () => Promise<void>): Promise<void> {
  const before = process.memoryUsage().arrayBuffers;
  await work();
  const growth = process.memoryUsage().arrayBuffers - before;
  if (growth > MAX_GROWTH_BYTES) throw new Error(`${growth} bytes were allocated`);
}

async function useLog(log: Log): Promise<void> {
  try {
    const partition = await log.partition(1).catch(named);
    if (partition === undefined) return;
    const { oldestLsn, durableLsn } = partition;
    for (const lsn of [oldestLsn, durableLsn]) expect(Number.isSafeInteger(lsn)).toBe(true);
    await partition.read({ visibility: 'written' }).toArray().catch(named);
    await partition.read({ direction: 'backward', limit: 50 }).toArray().catch(named);
    await partition
      .read({ from: Math.max(1, durableLsn) })
      .toArray()
      .catch(named);
    await partition.verify().catch(named);
    if (log.readOnly) return;
    const { lsn } = await partition.append(Buffer.from('and on'));
    expect(lsn).toBe(durableLsn + 1);
  } finally {
    await log.close();
  }
}

/** `reader`: by a reader beside the writer, too, which looks again and again before it calls something damaged. */
async function useDirectory(files: Files, reader: boolean): Promise<void> {
  for (const readOnly of reader ? [true, false] : [false]) {
    const disk = limitedDisk(new MemoryDisk(files, 3));
    const options = knownOptions({ disk, readOnly, verify: readOnly ? 'full' : 'tail', recycle: 1, io: 'write' });
    const log = await openLog(options).catch(named);
    if (log !== undefined) await useLog(log);
  }
  const left = limitedDisk(new MemoryDisk(files));
  for await (const found of salvage({ directory: NOWHERE, partition: 1, disk: left })) {
    if ('record' in found) expect(Number.isSafeInteger(found.record.lsn)).toBe(true);
  }
}

const reader = fc.oneof({ weight: 39, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) });

const known: KnownLog[] = [];
async function knownLogs(): Promise<KnownLog[]> {
  if (known.length === 0) for (const make of Object.values(KNOWN_LOGS)) known.push(await make());
  return known;
}

describe('recovery', () => {
  test(
    'of forged directories',
    async () => {
      const logs = await knownLogs();
      const forgeries = fc.array(forgery, { minLength: 1, maxLength: 4 });
      const nth = fc.nat(logs.length - 1);
      const property = fc.asyncProperty(nth, forgeries, reader, (nth, forgeries, reader) =>
        withGrowth(() => useDirectory(forgeries.reduce(forge, (logs[nth] as KnownLog).files), reader)),
      );
      await fuzz('forged directories', 1500, 0.85, (numRuns, seed) => fc.assert(property, { numRuns, seed }));
    },
    24 * HOUR_MS,
  );

  test(
    'of files of random bytes',
    async () => {
      const name = fc.constantFrom(
        'part_1_0000000001.wal',
        'part_1_0000000002.wal',
        'MANIFEST',
        'MANIFEST.tmp',
        'rewind_1.wal',
        'ready_0000000001.wal',
        'recycle_0000000002.wal',
        'part_1_0000000001.wal.torn-4168',
      );
      const start = fc.constantFrom('', 'WLOG', 'RWND', '{"format":1}\ncrc32c ', '{');
      const content = fc
        .tuple(start, fc.uint8Array({ maxLength: 6000, size: 'max' }))
        .map(([text, bytes]) => new Uint8Array(Buffer.concat([Buffer.from(text), bytes])));
      const property = fc.asyncProperty(fc.dictionary(name, content, { maxKeys: 5 }), reader, (files, reader) =>
        withGrowth(() => useDirectory(files, reader)),
      );
      await fuzz('random files', 100, 0.15, (numRuns, seed) => fc.assert(property, { numRuns, seed }));
    },
    24 * HOUR_MS,
  );
});
