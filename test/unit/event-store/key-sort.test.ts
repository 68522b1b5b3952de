/** Sorting by keys gives the order of their bytes, whatever the keys begin with and however many there are. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compareKeys } from '../../../src/adapter/event-store/index-key.js';
import { sortByKey } from '../../../src/adapter/event-store/key-sort.js';
import { runs } from '../../runs.js';

const noPause = async () => {};

async function sorted(keys: readonly string[]): Promise<string[]> {
  const items = keys.map((key) => ({ key }));
  await sortByKey(items, noPause);
  return items.map(({ key }) => key);
}

const expected = (keys: readonly string[]) => [...keys].sort(compareKeys);

/** Keys that begin alike, differ late, end early, and have characters of one, two and four bytes. */
const key = fc
  .tuple(
    fc.constantFrom('', 's:', 's:order-', 's:order-1', 's:ordér-', 's:\u{1f600}-', 's:\uffff'),
    fc.string({ unit: fc.constantFrom('0', '1', 'a', '\0', 'ÿ', 'Ā', '\ue000', '\uffff', '\u{1f600}'), maxLength: 7 }),
  )
  .map(([begin, end]) => begin + end);

describe('sortByKey', () => {
  test('gives the order of the bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(key, { maxLength: 300 }), async (keys) => {
        expect(await sorted(keys)).toEqual(expected(keys));
      }),
      { numRuns: runs(200) },
    );
  });

  test.each([
    ['the same key many times', Array.from({ length: 100 }, () => 's:x')],
    [
      'characters that need more than a byte',
      Array.from({ length: 100 }, (_, i) => `s:${String.fromCharCode(900 - i)}`),
    ],
    ['keys of which each begins the next', Array.from({ length: 100 }, (_, i) => 'a'.repeat(100 - i))],
    ['NULs behind each other', Array.from({ length: 100 }, (_, i) => '\0'.repeat(i % 10))],
    ['nothing', []],
  ])('%s', async (_, keys) => {
    expect(await sorted(keys)).toEqual(expected(keys));
  });

  test('many, with pauses', async () => {
    const COUNT = 50_000;
    const keys = Array.from({ length: COUNT }, (_, i) => `s:cart-${(i * 7919) % COUNT}`);
    const items = keys.map((key) => ({ key }));
    let pauses = 0;
    await sortByKey(items, async () => {
      pauses++;
    });
    expect(items.map(({ key }) => key)).toEqual(expected(keys));
    expect(pauses).toBeGreaterThan(COUNT / 8192);
  });
});
