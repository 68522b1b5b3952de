/** Files with an earlier life: their old frames are whole, aligned, and have the very LSNs that are expected next. */
import { describe, expect, test } from '@jest/globals';
import type { OpenLogOptions } from '../../../src/index.js';
import { checksumHolds, KIND_DATA } from '../../../src/segment/frame.js';
import { checksumSeed, decodeHeaderPage, viewOf } from '../../../src/segment/header.js';
import { segmentName, tornCopyName } from '../../../src/segment/names.js';
import { fill, framesOf, NOWHERE, payloadOf, readAll, reopen, small, upTo, withLog } from './logs.js';
import { MemoryDisk } from './memory-disk.js';

const FIRST = segmentName(1, 1);

interface Recycled {
  readonly disk: MemoryDisk;
  readonly seed: number;
  /** Partition 1's only segment. */
  readonly bytes: Uint8Array;
}

/** Partition 2 fills a file, from LSN `from` on, and purges it; partition 1 goes on in it with `count` records. */
async function recycledLog(
  io: 'mmap' | 'write',
  from: number,
  use: (fillOne: (count: number, ack?: 'durable' | 'written') => Promise<void>) => Promise<void>,
): Promise<Recycled> {
  const disk = new MemoryDisk();
  let files: Record<string, Uint8Array> = {};
  await withLog(small({ directory: NOWHERE, disk, io, recycle: 4 } as OpenLogOptions), async (one, log) => {
    const two = await log.partition(2);
    while (two.durableLsn < from - 1) await fill(two, 1);
    if (from > 1) await two.rotate();
    await fill(two, 9);
    await two.rotate();
    await fill(two, 1);
    if (from > 1) await two.purgeBefore(from);
    // What is purged last is used last: use up the files before it.
    const held = log.stats().segments.recycled;
    for (let i = 0; i < held; i++) await (await log.partition(10 + i)).append(payloadOf(1));
    expect(await two.purgeBefore(from + 9)).toMatchObject({ segments: 1 });
    await use((count, ack) => fill(one, count, ack));
    files = disk.snapshot();
  });
  const bytes = files[FIRST] as Uint8Array;
  const header = decodeHeaderPage(bytes);
  if (typeof header === 'string') throw new Error(header);
  expect(header.recycled).toBe(true);
  return { disk: new MemoryDisk(files, 5), seed: checksumSeed(header.salt), bytes };
}

describe.each(['mmap', 'write'] as const)('over %s', (io) => {
  test.each([
    ['the very LSN that is expected', 1, 5],
    ['a higher LSN', 30, 34],
  ])('an old frame with %s, right where the new ones end, is not theirs', async (_what, from, oldLsn) => {
    const { disk, seed, bytes } = await recycledLog(io, from, (fillOne) => fillOne(4));
    const old = framesOf(bytes)[5];
    if (old === undefined) throw new Error('no old frame');
    // The premise: an old frame stands exactly where the next one is expected, whole but for the salt.
    expect(old).toMatchObject({ kind: KIND_DATA, firstLsn: oldLsn });
    expect(old.durableLsn).toBe(oldLsn - 1);
    expect(checksumHolds(viewOf(bytes), old.offset, old.length, seed)).toBe(false);

    const torn: unknown[] = [];
    await reopen(NOWHERE, async (partition) => expect(await readAll(partition)).toEqual(upTo(4)), {
      disk,
      readOnly: true,
    });
    await withLog(small({ directory: NOWHERE, disk }), async (partition, log) => {
      log.events.on('recovered', (report) => torn.push(report.torn));
      expect(await readAll(partition)).toEqual(upTo(4));
      const names = Object.keys(disk.snapshot());
      expect(names.filter((name) => name.includes('torn'))).toEqual([]);
      await fill(partition, 2);
    });
    await reopen(NOWHERE, async (partition) => expect(await readAll(partition)).toEqual(upTo(6)), { disk });
  });

  test('a torn tail is cut and copied up to its last whole frame; old bytes behind it do no harm', async () => {
    const { disk, bytes } = await recycledLog(io, 1, async (fillOne) => {
      await fillOne(3);
      await fillOne(3, 'written');
    });
    const [, , , , four, , six] = framesOf(bytes);
    if (four === undefined || six === undefined) throw new Error('no frames');
    expect([four.firstLsn, six.firstLsn]).toEqual([4, 6]);
    bytes[four.offset + 50] = 0xee;
    const files = { ...disk.snapshot(), [FIRST]: bytes };
    const torn = new MemoryDisk(files, 6);
    const expectThree = async () =>
      reopen(NOWHERE, async (partition) => expect(await readAll(partition)).toEqual(upTo(3)), { disk: torn });
    await expectThree();
    const end = six.offset + six.length;
    const after = torn.snapshot();
    expect(after[tornCopyName(1, 1, four.offset)]).toEqual(bytes.slice(four.offset, end));
    // The mark of the close takes 64 bytes; then zeros; then the old bytes as they were.
    expect((after[FIRST] as Uint8Array).subarray(four.offset + 64, end).every((byte) => byte === 0)).toBe(true);
    expect((after[FIRST] as Uint8Array).subarray(end)).toEqual(bytes.subarray(end));
    expect(bytes.subarray(end).some((byte) => byte !== 0)).toBe(true);
    await expectThree();
    // What was cut cannot come back, however the new frames line up with it.
    await reopen(NOWHERE, (partition) => fill(partition, 1), { disk: torn });
    await reopen(NOWHERE, async (partition) => expect(await readAll(partition)).toEqual(upTo(4)), { disk: torn });
  });

  test('damage to an acknowledged record refuses, as in a fresh file', async () => {
    const { disk, bytes } = await recycledLog(io, 1, (fillOne) => fillOne(4));
    const three = framesOf(bytes)[3];
    if (three === undefined) throw new Error('no frame');
    bytes[three.offset + 50] = 0xee;
    const damaged = new MemoryDisk({ ...disk.snapshot(), [FIRST]: bytes }, 6);
    await expect(reopen(NOWHERE, async () => {}, { disk: damaged })).rejects.toMatchObject({
      code: 'ERR_VARVE_CORRUPT',
      segment: 1,
      offset: three.offset,
      firstLsn: 3,
    });
  });
});
