import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  beginsWith,
  compareBytes,
  compareKeys,
  indexKey,
  MAX_KEY_BYTES,
  utf8Of,
} from '../../../src/adapter/event-store/index-key.js';
import { runs } from '../../runs.js';

/** Strings of characters on both sides of the surrogates, which often have a beginning in common. */
const text = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '\ud7ff', '\ue000', '\uffff', '😀', '\u{10ffff}') });

describe('the order of keys', () => {
  test('is that of UTF-8, which is not that of JavaScript', () => {
    expect('\uffff' > '😀').toBe(true);
    expect(compareKeys('\uffff', '😀')).toBeLessThan(0);
    expect(compareKeys('a\ue000', 'a😀')).toBeLessThan(0);
    expect(compareKeys('\ud7ff', '😀')).toBeLessThan(0);
  });

  test('is the order of the bytes, for any two keys', () => {
    fc.assert(
      fc.property(text, text, (a, b) => {
        const order = Buffer.compare(Buffer.from(a), Buffer.from(b));
        expect(Math.sign(compareKeys(a, b))).toBe(order);
        const inAnother = Buffer.from(`<<${b}>>`);
        expect(Math.sign(compareBytes(Buffer.from(a), inAnother, 2, inAnother.length - 2))).toBe(order);
      }),
      { numRuns: runs(1000) },
    );
  });

  test('beginsWith sees the key only, not what stands behind it', () => {
    const bytes = Buffer.from('..cart-1..');
    const begins = (prefix: string) => beginsWith(Buffer.from(prefix), bytes, 2, 8);
    expect(['', 'c', 'cart-', 'cart-1'].map(begins)).toEqual([true, true, true, true]);
    expect(['cart-2', 'cart-1.', 'cart-1...'].map(begins)).toEqual([false, false, false]);
  });
});

describe('a key', () => {
  test('with a lone surrogate has no UTF-8, and is none', () => {
    for (const lone of ['\ud800', '\udfff', 'a\ud83d', '\ude00\ud83d']) {
      expect(utf8Of(lone)).toBeUndefined();
      expect(indexKey(lone)).toBeUndefined();
    }
    expect(utf8Of('😀')).toEqual(Buffer.from('😀'));
    expect(utf8Of('\ufffd')).toEqual(Buffer.from('\ufffd'));
  });

  test('has 2,048 bytes of UTF-8 at most', () => {
    expect(indexKey('é'.repeat(MAX_KEY_BYTES / 2))?.bytes).toHaveLength(MAX_KEY_BYTES);
    expect(indexKey(`${'é'.repeat(MAX_KEY_BYTES / 2)}a`)).toBeUndefined();
  });
});
