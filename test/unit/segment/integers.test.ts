import { describe, expect, test } from '@jest/globals';
import { align8, readU64, writeU64 } from '../../../src/segment/integers.js';

const fresh = (): DataView => new DataView(new Uint8Array(16).fill(0xaa).buffer);

describe('u64', () => {
  test.each([
    0,
    1,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_8000_0001,
    Number.MAX_SAFE_INTEGER - 1,
    Number.MAX_SAFE_INTEGER,
  ])('%i is little-endian, and comes back', (value) => {
    const view = fresh();
    writeU64(view, 3, value);
    expect(view.getBigUint64(3, true)).toBe(BigInt(value));
    expect(readU64(view, 3)).toBe(value);
    expect([view.getUint8(2), view.getUint8(11)]).toEqual([0xaa, 0xaa]); // nothing beside it
  });

  test.each([2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n])('%i is past what a number can say', (value) => {
    const view = fresh();
    view.setBigUint64(0, value, true);
    expect(readU64(view, 0)).toBe(Number.POSITIVE_INFINITY);
  });
});

test.each([
  [0, 0],
  [1, 8],
  [7, 8],
  [8, 8],
  [9, 16],
  [2 ** 31 + 1, 2 ** 31 + 8],
  [2 ** 40 + 3, 2 ** 40 + 8],
])('align8(%i) is %i', (n, aligned) => {
  expect(align8(n)).toBe(aligned);
});
