/** Which segments a purge may give up, and which one holds an LSN. */
import { describe, expect, test } from '@jest/globals';
import { Catalogue, makeEntry, type SegmentEntry } from '../../../src/segment/catalogue.js';

/** Sealed segments of ten records each, from LSN 1 on. */
function sealed(count: number): SegmentEntry[] {
  return Array.from({ length: count }, (_, i) => {
    const records = { baseLsn: i * 10 + 1, lastLsn: i * 10 + 10 };
    const file = { end: 5000, segmentSize: 8192, seed: 0, sealed: true, entries: undefined, warm: false };
    return makeEntry({ partition: 1, index: i + 1, ...records, ...file });
  });
}

describe('what a purge gives up', () => {
  const ALL = 1000;

  test.each([
    [10, 0],
    [11, 1],
    [20, 1],
    [21, 2],
    [ALL, 2],
  ])('below LSN %i: %i of three segments, whole ones only, and never the last', (minLsn, count) => {
    expect(new Catalogue(1, sealed(3)).purgeable(minLsn, ALL, 1)).toBe(count);
  });

  test.each([
    [1, 2],
    [2, 1],
    [3, 0],
    [4, 0],
  ])('keeping %i of three, all of them sealed: %i', (keep, count) => {
    expect(new Catalogue(1, sealed(3)).purgeable(ALL, ALL, keep)).toBe(count);
  });

  test('nothing that is not durable', () => {
    expect(new Catalogue(1, sealed(3)).purgeable(ALL, 19, 1)).toBe(1);
    expect(new Catalogue(1, sealed(3)).purgeable(ALL, 20, 1)).toBe(2);
  });

  test('nothing from the first on that a reader is inside of, or that is appended to', () => {
    const segments = sealed(4) as [SegmentEntry, SegmentEntry, SegmentEntry, SegmentEntry];
    const catalogue = new Catalogue(1, segments);
    segments[1].pins++;
    expect(catalogue.purgeable(ALL, ALL, 1)).toBe(1);
    segments[1].pins--;
    segments[2].sealed = false;
    expect(catalogue.purgeable(ALL, ALL, 1)).toBe(2);
  });
});

test('the segment of an LSN is the one that holds it, or would hold it next', () => {
  const catalogue = new Catalogue(1, sealed(3));
  const indexes = [0, 1, 10, 11, 20, 21, 30, 31].map((lsn) => catalogue.findLsn(lsn)?.index);
  expect(indexes).toEqual([undefined, 1, 1, 2, 2, 3, 3, 3]);
});
