import { describe, expect, test } from '@jest/globals';
import { crc32c } from '../../../src/segment/checksum.js';
import {
  checksumSeed,
  cookieOffset,
  decodeCookie,
  decodeHeaderPage,
  encodeCookie,
  encodeHeaderPage,
  HEADER_PAGE_SIZE,
  type SegmentHeader,
  viewOf,
} from '../../../src/segment/header.js';

const HEADER: SegmentHeader = {
  partition: 0xffff_fffe,
  index: 9_999_999_999,
  segmentSize: 2 ** 31,
  storeId: Uint8Array.from({ length: 16 }, (_, i) => i + 1),
  salt: Uint8Array.from({ length: 8 }, (_, i) => 0xf0 + i),
  createdAt: 1_700_000_000_123,
  recycled: false,
};

/** The page after `change`, with a checksum that matches it. */
function resealed(change: (view: DataView) => void): Uint8Array {
  const page = encodeHeaderPage(HEADER);
  const view = viewOf(page);
  change(view);
  view.setUint32(124, crc32c(view, 0, 124), true);
  return page;
}

describe('a header page', () => {
  test('comes back as it was', () => {
    expect(decodeHeaderPage(encodeHeaderPage(HEADER))).toEqual(HEADER);
    expect(decodeHeaderPage(encodeHeaderPage({ ...HEADER, recycled: true }))).toEqual({ ...HEADER, recycled: true });
  });

  test('lies where the format says, with nothing behind it', () => {
    const page = encodeHeaderPage(HEADER);
    const view = viewOf(page);
    expect(page.length).toBe(HEADER_PAGE_SIZE);
    expect(Buffer.from(page.subarray(0, 4)).toString()).toBe('WLOG');
    expect([view.getUint16(4, true), view.getUint16(6, true), view.getUint32(8, true)]).toEqual([1, 1, 128]);
    expect([view.getUint32(12, true), view.getUint32(16, true)]).toEqual([4096, HEADER.partition]);
    expect(view.getUint32(20, true)).toBe(1);
    expect(view.getBigUint64(24, true)).toBe(BigInt(HEADER.index));
    expect(view.getBigUint64(32, true)).toBe(BigInt(HEADER.segmentSize));
    expect(page.subarray(40, 56)).toEqual(HEADER.storeId);
    expect(page.subarray(56, 64)).toEqual(HEADER.salt);
    expect(view.getBigUint64(64, true)).toBe(BigInt(HEADER.createdAt));
    expect(page.subarray(72, 124).every((byte) => byte === 0)).toBe(true);
    expect(page.subarray(128).every((byte) => byte === 0)).toBe(true);
    expect(viewOf(encodeHeaderPage({ ...HEADER, recycled: true })).getUint32(20, true)).toBe(0x101);
  });

  test('can be read from 128 bytes, not from fewer: short', () => {
    const page = encodeHeaderPage(HEADER);
    expect(decodeHeaderPage(page.subarray(0, 128))).toEqual(HEADER);
    expect(decodeHeaderPage(page.subarray(0, 127))).toBe('short');
    expect(decodeHeaderPage(new Uint8Array(0))).toBe('short');
  });

  test('without the magic is none: magic', () => {
    expect(decodeHeaderPage(resealed((view) => view.setUint8(0, 0x77)))).toBe('magic');
    expect(decodeHeaderPage(new Uint8Array(4096))).toBe('magic');
  });

  test('with any bit of its 128 bytes flipped is refused', () => {
    for (let bit = 0; bit < 128 * 8; bit++) {
      const page = encodeHeaderPage(HEADER);
      page[bit >> 3] = (page[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(decodeHeaderPage(page)).toBe(bit < 32 ? 'magic' : 'checksum');
    }
  });

  test('that asks for a newer reader is refused: version; a newer format that this reader may read is not', () => {
    expect(decodeHeaderPage(resealed((view) => view.setUint16(6, 2, true)))).toBe('version');
    expect(decodeHeaderPage(resealed((view) => view.setUint16(4, 2, true)))).toEqual(HEADER);
  });

  test('with an unknown checksum algorithm or data offset is refused: fields', () => {
    expect(decodeHeaderPage(resealed((view) => view.setUint32(20, 2, true)))).toBe('fields');
    expect(decodeHeaderPage(resealed((view) => view.setUint32(12, 8192, true)))).toBe('fields');
  });

  test('gives copies: changing the page afterwards changes no header', () => {
    const page = encodeHeaderPage(HEADER);
    const header = decodeHeaderPage(page);
    page.fill(0);
    expect(header).toEqual(HEADER);
  });
});

describe('cookies', () => {
  const seed = checksumSeed(HEADER.salt);
  const cookie = (sequence: number) => ({ sequence, durableLsn: 1000 + sequence, durableEnd: 5000 + sequence });
  const pageWith = (...sequences: number[]): Uint8Array => {
    const page = encodeHeaderPage(HEADER);
    for (const sequence of sequences) encodeCookie(viewOf(page), cookieOffset(sequence), cookie(sequence), seed);
    return page;
  };

  test('alternate between two sectors', () => {
    expect([1, 2, 3, 4].map(cookieOffset)).toEqual([1536, 1024, 1536, 1024]);
  });

  test('a fresh page has none', () => {
    expect(decodeCookie(pageWith(), seed)).toBeUndefined();
  });

  test('the newer of two valid ones counts, wherever it lies', () => {
    expect(decodeCookie(pageWith(1), seed)).toEqual(cookie(1));
    expect(decodeCookie(pageWith(1, 2), seed)).toEqual(cookie(2));
    expect(decodeCookie(pageWith(1, 2, 3), seed)).toEqual(cookie(3));
    expect(decodeCookie(pageWith(2 ** 40 + 1, 2 ** 40), seed)).toEqual(cookie(2 ** 40 + 1));
  });

  test('one with any bit flipped is ignored, and the older one counts', () => {
    for (const [newest, older] of [
      [6, 5],
      [7, 6],
    ] as const) {
      const offset = cookieOffset(newest);
      for (let bit = 0; bit < 32 * 8; bit++) {
        const page = pageWith(older, newest);
        page[offset + (bit >> 3)] = (page[offset + (bit >> 3)] as number) ^ (1 << (bit & 7));
        expect(decodeCookie(page, seed)).toEqual(cookie(older));
      }
    }
  });

  test('is bound to the salt: an earlier life of the file states nothing', () => {
    const otherSeed = checksumSeed(HEADER.salt.map((byte) => byte ^ 1));
    expect(decodeCookie(pageWith(1, 2), otherSeed)).toBeUndefined();
  });

  test('beyond the end of a short page are not looked at', () => {
    const page = pageWith(1, 2);
    expect(decodeCookie(page.subarray(0, 1536), seed)).toEqual(cookie(2));
    expect(decodeCookie(page.subarray(0, 1024), seed)).toBeUndefined();
    expect(decodeCookie(page.subarray(0, 1024 + 31), seed)).toBeUndefined();
  });
});
