import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatCheckpoint, formatPosition, parseCheckpoint, parsePosition } from 'varve';

const REFUSED = expect.objectContaining({ code: 'ERR_VARVE_INVALID_OPTION' });
const position = fc.bigInt({ min: 0n, max: BigInt(Number.MAX_SAFE_INTEGER) });

describe('positions', () => {
  test('come back from their strings, which sort as they do', () => {
    fc.assert(
      fc.property(position, position, (a, b) => {
        expect(parsePosition(formatPosition(a))).toBe(a);
        expect(formatPosition(a) < formatPosition(b)).toBe(a < b);
      }),
    );
    expect(formatPosition(42n)).toBe('0000000000000000042');
  });

  test.each([-1n, 2n ** 53n, 1, '1', undefined, null])('%p is none', (value) => {
    expect(() => formatPosition(value as bigint)).toThrow(REFUSED);
  });

  test.each(['', '42', '-000000000000000001', '0000000000000000042 ', '9999999999999999999', 42, undefined])(
    '%p is not the string of one',
    (value) => {
      expect(() => parsePosition(value as string)).toThrow(REFUSED);
    },
  );
});

describe('checkpoints', () => {
  test('come back from their strings', () => {
    fc.assert(
      fc.property(fc.array(fc.maxSafeNat(), { minLength: 1, maxLength: 8 }), (lsns) => {
        expect(parseCheckpoint(formatCheckpoint(lsns), lsns.length)).toEqual(lsns);
      }),
    );
  });

  test.each(['', '1', '1.2.3', '1.', '.1', '1,2', '1.-2', '1.9999999999999999', undefined, 12])(
    '%p is not one of two partitions',
    (text) => {
      expect(() => parseCheckpoint(text as string, 2)).toThrow(REFUSED);
    },
  );
});
