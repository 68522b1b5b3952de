import { describe, expect, test } from '@jest/globals';
import { crcOf } from '../../../src/adapter/event-store/index-key.js';
import { KeyFilter } from '../../../src/adapter/event-store/key-filter.js';
import { upTo } from './index-files.js';

const hashOf = (key: string): number => crcOf(Buffer.from(key));

const ABSENT = 50_000;

function filterOf(keys: readonly string[]): KeyFilter {
  const filter = KeyFilter.forKeys(keys.length);
  for (const key of keys) filter.add(hashOf(key));
  return filter;
}

describe('a filter', () => {
  test.each([1, 7, 50, 100, 1000, 30_000])('of %i keys knows each of them, and few others', (count) => {
    const filter = filterOf(upTo(count).map((i) => `s:cart-${i}`));
    expect(upTo(count).filter((i) => !filter.mayContain(hashOf(`s:cart-${i}`)))).toEqual([]);
    const wrong = upTo(ABSENT).filter((i) => filter.mayContain(hashOf(`s:order-${i}`)));
    expect(wrong.length / ABSENT).toBeLessThanOrEqual(0.01);
  });

  test('takes ten bits a key', () => {
    expect(KeyFilter.forKeys(100_000).bytes).toHaveLength(125_000);
    expect(KeyFilter.forKeys(0).bytes).toHaveLength(64);
  });

  test('without keys contains nothing', () => {
    const filter = filterOf([]);
    expect(upTo(1000).filter((i) => filter.mayContain(hashOf(`${i}`)))).toEqual([]);
  });

  test('of bytes that were kept answers the same', () => {
    const filter = filterOf(upTo(500).map(String));
    const kept = new KeyFilter(filter.bytes.slice());
    const answers = (asked: KeyFilter) => upTo(5000).map((i) => asked.mayContain(hashOf(`${i}`)));
    expect(answers(kept)).toEqual(answers(filter));
  });
});
