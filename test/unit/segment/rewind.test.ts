import { describe, expect, test } from '@jest/globals';
import {
  checksumSeed,
  DATA_OFFSET,
  decodeCookie,
  decodeHeaderPage,
  HEADER_PAGE_SIZE,
} from '../../../src/segment/header.js';
import { rewindName, segmentName } from '../../../src/segment/names.js';
import { decodeRewind, encodeRewind, performRewind, stateRewind } from '../../../src/segment/rewind.js';
import { fill, framesOf, NOWHERE, readAll, reopen, small, upTo, withLog } from './logs.js';
import { changes, MemoryDisk, watched } from './memory-disk.js';

const REWIND = {
  segment: 9_999_999_999,
  offset: 2 ** 31 - 8,
  lastLsn: 2 ** 50,
  replacement: Uint8Array.from([1, 2, 3, 4]),
};

describe('a rewind file', () => {
  test.each([0, 4, 5000])('with a replacement of %i bytes comes back', (size) => {
    const rewind = { ...REWIND, replacement: new Uint8Array(size).fill(7) };
    expect(decodeRewind(encodeRewind(rewind))).toEqual(rewind);
  });

  test('with any bit flipped is none', () => {
    const whole = encodeRewind(REWIND);
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const bytes = whole.slice();
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(decodeRewind(bytes)).toBeUndefined();
    }
  });

  test('of any other length is none', () => {
    const whole = encodeRewind(REWIND);
    for (let size = 0; size < whole.length; size++) expect(decodeRewind(whole.slice(0, size))).toBeUndefined();
    expect(decodeRewind(new Uint8Array([...whole, 0]))).toBeUndefined();
  });

  test('is durable, with its name, before it counts as stated', async () => {
    const steps: string[] = [];
    const disk = watched(new MemoryDisk(), (operation, _path, args) => {
      if (changes(operation, args)) steps.push(operation);
    });
    await stateRewind(disk, NOWHERE, 1, REWIND);
    expect(steps).toEqual(['open', 'writeSync', 'sync', 'syncDirectory']);
  });
});

test('a rewind unlinks the newest first, cuts, lowers both cookies, syncs, and only then takes its file away', async () => {
  const memory = new MemoryDisk();
  await withLog(small({ directory: NOWHERE, disk: memory }), async (partition) => {
    for (let i = 0; i < 3; i++) {
      await fill(partition, 4);
      if (i < 2) await partition.rotate();
    }
  });
  const first = memory.snapshot()[segmentName(1, 1)] as Uint8Array;
  const { offset } = framesOf(first)[3] as { offset: number };
  await stateRewind(memory, NOWHERE, 1, { segment: 1, offset, lastLsn: 2, replacement: new Uint8Array(0) });
  const steps: string[] = [];
  const disk = watched(memory, (operation, at, args) => {
    if (changes(operation, args)) steps.push(`${operation} ${at.split('/').at(-1)}`);
  });
  expect(await performRewind(disk, NOWHERE, 1, [1, 2, 3])).toEqual([1]);
  const cut = segmentName(1, 1);
  expect(steps).toEqual([
    `writeSync ${rewindName(1)}`, // stated once more, since it may have been in the page cache only
    `sync ${rewindName(1)}`,
    'syncDirectory nowhere',
    `unlink ${segmentName(1, 3)}`,
    `unlink ${segmentName(1, 2)}`,
    'syncDirectory nowhere',
    `writeSync ${cut}`, // zeros
    `writeSync ${cut}`, // one cookie
    `writeSync ${cut}`, // the other
    `sync ${cut}`,
    `unlink ${rewindName(1)}`,
    'syncDirectory nowhere',
  ]);
  const bytes = memory.snapshot()[cut] as Uint8Array;
  expect(bytes.subarray(DATA_OFFSET, offset)).toEqual(first.subarray(DATA_OFFSET, offset));
  expect(bytes.subarray(offset).every((byte) => byte === 0)).toBe(true);
  const header = decodeHeaderPage(bytes);
  if (typeof header === 'string') throw new Error(header);
  for (const slot of [1024, 1536]) {
    const page = bytes.slice(0, HEADER_PAGE_SIZE).fill(0, slot, slot + 32);
    expect(decodeCookie(page, checksumSeed(header.salt))).toMatchObject({ durableLsn: 2, durableEnd: offset });
  }
  expect(await performRewind(disk, NOWHERE, 1, [1])).toBeUndefined();
  await reopen(NOWHERE, async (partition) => expect(await readAll(partition)).toEqual(upTo(2)), { disk: memory });
});
