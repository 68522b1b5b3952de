/**
 * Every kind of small damage to a small log, one at a time. What is known of the log: records up to `durable` were
 * acknowledged as durable, and the cookie of the last segment says so (it was stored after the sync, and no crash of
 * the machine took it away); those behind it, up to `written`, were not.
 *
 * Asserted of each damage, exactly:
 * - either the partition opens, every record reads back as it was written, without a gap, and none up to `durable` is
 *   missing;
 * - or opening, or reading at some record, rejects with a code that names the damage; what was read before that is an
 *   exact prefix; and an open that was refused has changed no byte of any segment.
 */
import { describe, expect, test } from '@jest/globals';
import { VarveError } from '../../../src/errors.js';
import type { Partition } from '../../../src/index.js';
import { DATA_OFFSET } from '../../../src/segment/header.js';
import { segmentName } from '../../../src/segment/names.js';
import { fill, framesOf, NOWHERE, payloadOf, reopen, SEGMENT_SIZE, small, upTo, withLog } from './logs.js';
import { dyingDisk, MemoryDisk } from './memory-disk.js';

const CODES = new Set([
  'ERR_VARVE_CORRUPT',
  'ERR_VARVE_FOREIGN',
  'ERR_VARVE_UNSUPPORTED_VERSION',
  'ERR_VARVE_LEGACY_WAL',
]);
const LAST = segmentName(1, 3);

type Files = Record<string, Uint8Array>;

interface KnownLog {
  readonly files: Files;
  readonly durable: number;
  readonly written: number;
}

/** Two sealed segments and a last one: as a crash leaves it, with two records that nobody made durable, or closed. */
async function knownLog(how: 'crashed' | 'closed'): Promise<KnownLog> {
  const disk = new MemoryDisk();
  let files: Files = {};
  await withLog(small({ directory: NOWHERE, disk, io: 'mmap' }), async (partition) => {
    for (let i = 0; i < 2; i++) {
      await fill(partition, 3);
      await partition.rotate();
    }
    await fill(partition, 1);
    await partition.appendBatch([payloadOf(8), payloadOf(9)]);
    if (how === 'crashed') await fill(partition, 2, 'written');
    files = disk.snapshot();
  });
  if (how === 'closed') files = disk.snapshot();
  const kept = Object.entries(files).filter(([name]) => name.startsWith('part_') || name === 'MANIFEST');
  return { files: Object.fromEntries(kept), durable: 9, written: how === 'crashed' ? 11 : 9 };
}

const segmentsOf = (files: Files): string =>
  JSON.stringify(
    Object.entries(files)
      .filter(([name]) => name.startsWith('part_'))
      .map(([name, bytes]) => [name, Buffer.from(bytes).toString('base64')]),
  );

type Outcome = { readonly last: number } | { readonly refused: string; readonly read?: number };

/** Opens and reads all; throws if anything is against the promises above. */
async function outcomeOf(files: Files, known: KnownLog): Promise<Outcome> {
  const disk = new MemoryDisk(files, 99);
  let read = 0;
  let opened = false;
  const use = async (partition: Partition): Promise<void> => {
    opened = true;
    for await (const { lsn, payload } of partition.read()) {
      if (lsn !== read + 1 || Buffer.compare(payload, payloadOf(lsn)) !== 0)
        throw new Error(`wrong data at LSN ${lsn}`);
      read++;
    }
  };
  try {
    await reopen(NOWHERE, use, { disk });
  } catch (error) {
    if (!(error instanceof VarveError) || !CODES.has(error.code)) throw error;
    if (opened) return { refused: error.code, read };
    if (segmentsOf(disk.snapshot()) !== segmentsOf(files)) throw new Error('refused, and changed', { cause: error });
    return { refused: error.code };
  }
  if (read < known.durable || read > known.written) throw new Error(`${read} of ${known.durable} records, in silence`);
  return { last: read };
}

/** What is in use, and of the rest of the header page every 64th byte. */
function* placesOf(bytes: Uint8Array): Generator<number> {
  const used = framesOf(bytes).at(-1);
  const end = used === undefined ? DATA_OFFSET : used.offset + used.length;
  const inUse = (at: number) =>
    at < 128 || (at >= 512 && at < 520) || (at >= 1024 && at < 1056) || (at >= 1536 && at < 1568) || at >= DATA_OFFSET;
  for (let at = 0; at < Math.min(end + 48, bytes.length); at++) if (inUse(at) || at % 64 === 0) yield at;
}

describe.each(['crashed', 'closed'] as const)('a %s log', (how) => {
  test('that is not damaged holds everything', async () => {
    const known = await knownLog(how);
    expect(await outcomeOf(known.files, known)).toEqual({ last: known.written });
  });

  test.each([1, 2, 3])('with one bit flipped in any byte of segment %i: exact data or a typed error', async (index) => {
    const known = await knownLog(how);
    const name = segmentName(1, index);
    const whole = known.files[name] as Uint8Array;
    const seen = { last: 0, refused: 0, readAndRefused: 0 };
    for (const at of placesOf(whole)) {
      const bytes = whole.slice();
      bytes[at] = (bytes[at] as number) ^ (1 << ((at * 5 + (at >> 3)) % 8));
      const outcome = await outcomeOf({ ...known.files, [name]: bytes }, known).catch((cause: unknown) => {
        throw new Error(`bit flipped at ${at} of ${name}`, { cause });
      });
      if ('last' in outcome) seen.last++;
      else if (outcome.read === undefined) seen.refused++;
      else seen.readAndRefused++;
      // Behind the header every byte of a frame that is acknowledged counts.
      const frame = framesOf(whole).find(({ offset, length }) => at >= offset && at < offset + length);
      if (frame?.kind === 2 && frame.firstLsn <= known.durable) expect(outcome).toHaveProperty('refused');
    }
    expect(seen.last).toBeGreaterThan(10);
    expect(seen.refused).toBeGreaterThan(100);
    // The frames of a sealed segment are verified when they are read, those of the last one when it is opened.
    expect(seen.readAndRefused > 0).toBe(index < 3);
  });

  test('cut off at any byte of its last segment: what is left, or a refusal from the acknowledged records on', async () => {
    const known = await knownLog(how);
    const whole = known.files[LAST] as Uint8Array;
    const frames = framesOf(whole).filter(({ kind }) => kind === 2);
    const ends = frames.map(({ offset, length }) => offset + length);
    const durableEnd = ends[1] as number; // of the batch that ends with the last durable record
    for (let size = 0; size < SEGMENT_SIZE; size += size < DATA_OFFSET - 16 ? 16 : 1) {
      const outcome = await outcomeOf({ ...known.files, [LAST]: whole.slice(0, size) }, known).catch(
        (cause: unknown) => {
          throw new Error(`cut at ${size}`, { cause });
        },
      );
      const last = known.durable + ends.filter((end) => end > durableEnd && end <= size).length;
      expect({ size, ...outcome }).toEqual({
        size,
        ...(size < durableEnd ? { refused: 'ERR_VARVE_CORRUPT' } : { last }),
      });
    }
  });

  test('zeroed from any byte of its last segment’s frames on', async () => {
    const known = await knownLog(how);
    const whole = known.files[LAST] as Uint8Array;
    const frames = framesOf(whole).filter(({ kind }) => kind === 2);
    const durableEnd =
      (frames[1] as { offset: number; length: number }).offset + (frames[1] as { length: number }).length;
    for (let from = DATA_OFFSET; from <= durableEnd + 8; from++) {
      const bytes = whole.slice().fill(0, from);
      const outcome = await outcomeOf({ ...known.files, [LAST]: bytes }, known).catch((cause: unknown) => {
        throw new Error(`zeroed from ${from}`, { cause });
      });
      // A trailer's upper bytes are zeros anyway.
      const intact = Buffer.compare(bytes.subarray(0, durableEnd), whole.subarray(0, durableEnd)) === 0;
      expect({ from, refused: 'refused' in outcome }).toEqual({ from, refused: !intact });
    }
  });
});

test('a recovery that dies at any step, of each cut, leaves a log that recovers to the same', async () => {
  const known = await knownLog('crashed');
  const whole = known.files[LAST] as Uint8Array;
  const [, batch, tenth] = framesOf(whole).filter(({ kind }) => kind === 2);
  if (batch === undefined || tenth === undefined) throw new Error('no frames');
  const torn = whole.slice();
  torn[tenth.offset + 50] = 0xff;
  const cut = whole.slice().fill(0, tenth.offset + tenth.length - 16, tenth.offset + tenth.length);
  for (const bytes of [whole, torn, cut]) {
    const files = { ...known.files, [LAST]: bytes };
    const expected = (await outcomeOf(files, known)) as { last: number };
    let steps = 0;
    for (let died = true; died; steps++) {
      const disk = new MemoryDisk(files, 7);
      const dying = dyingDisk(disk, steps);
      // Opening, and the first append, which goes on in what was recovered.
      await reopen(NOWHERE, (partition) => fill(partition, 1), { disk: dying.disk }).catch(() => {});
      died = dying.died();
      const left = new MemoryDisk(disk.snapshot(), 8);
      const lsns = await reopen(
        NOWHERE,
        async (partition) => (await partition.read().toArray()).map(({ lsn }) => lsn),
        { disk: left },
      );
      expect([upTo(expected.last), upTo(expected.last + 1)]).toContainEqual(lsns);
      if (!died) expect(lsns).toEqual(upTo(expected.last + 1));
    }
    expect(steps).toBeGreaterThan(5);
  }
});
