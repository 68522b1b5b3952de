import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  encodePostings,
  MAX_VARINT_BYTES,
  VarintReader,
  writeVarint,
} from '../../../src/adapter/event-store/postings.js';
import { runs } from '../../runs.js';

const LIMIT = 0xffff_ffff;

describe('varints', () => {
  test.each([
    [0, '00'],
    [127, '7f'],
    [128, '8001'],
    [300, 'ac02'],
    [2 ** 31, '8080808008'],
    [2 ** 32 - 1, 'ffffffff0f'],
    [Number.MAX_SAFE_INTEGER, 'ffffffffffffff0f'],
  ])('%d is %s', (value, hex) => {
    const bytes = new Uint8Array(MAX_VARINT_BYTES);
    const end = writeVarint(bytes, 0, value);
    expect(Buffer.from(bytes.subarray(0, end)).toString('hex')).toBe(hex);
    const reader = new VarintReader(bytes, 0);
    expect(reader.next()).toBe(value);
    expect(reader.at).toBe(end);
  });
});

describe('postings', () => {
  test('come back as they were', () => {
    const ascending = fc.uniqueArray(fc.integer({ min: 0, max: LIMIT })).map((list) => list.sort((a, b) => a - b));
    fc.assert(
      fc.property(ascending, (postings) => {
        const bytes = encodePostings(postings, LIMIT) as Uint8Array;
        expect([...new VarintReader(bytes, 0).postings(postings.length)]).toEqual(postings);
      }),
      { numRuns: runs(300) },
    );
  });

  test('close to each other take a byte each', () => {
    expect(encodePostings([5, 6, 8, 135], LIMIT)).toEqual(Uint8Array.of(5, 1, 2, 127));
  });

  test.each([
    ['twice the same', [1, 1]],
    ['descending', [2, 1]],
    ['negative', [-1]],
    ['broken', [0.5]],
    ['no number', [Number.NaN]],
    ['beyond the limit', [0, 101]],
  ])('%s are refused', (_what, postings) => {
    expect(encodePostings(postings, 100)).toBeUndefined();
  });

  test('reach up to the limit', () => {
    expect(encodePostings([0, 100], 100)).toEqual(Uint8Array.of(0, 100));
  });
});
