import { describe, expect, test } from '@jest/globals';
import { crc32c } from '../../../src/segment/checksum.js';
import {
  checksumHolds,
  closeFrame,
  decodeOpenFrame,
  decodeSealFrame,
  encodeOpenFrame,
  encodeSealBody,
  FLAG_FINAL,
  FRAME_HEADER_SIZE,
  frameChecksum,
  frameCount,
  frameDurableLsn,
  frameFirstLsn,
  frameIsFinalSeal,
  frameKind,
  frameLength,
  frameSize,
  KIND_DATA,
  KIND_OPEN,
  KIND_SEAL,
  MIN_FRAME_SIZE,
  OPEN_FRAME_SIZE,
  plausibleLength,
  sealFrameSize,
} from '../../../src/segment/frame.js';
import { viewOf } from '../../../src/segment/header.js';

const SEED = 0x1234_5678;
const HEAD = {
  firstLsn: 2 ** 40 + 7,
  durableLsn: 2 ** 40 + 6,
  count: 1,
  kind: KIND_DATA,
  flags: 0,
  time: 1_700_000_000_000,
};

/** A data frame with one record of `size` bytes, at `offset` of a view that was full of 0xEE before. */
function dataFrame(size: number, offset = 0): DataView {
  const bytes = new Uint8Array(offset + frameSize(4 + size) + 16).fill(0xee);
  const view = viewOf(bytes);
  view.setUint32(offset + FRAME_HEADER_SIZE, size, true);
  bytes.fill(0x5a, offset + FRAME_HEADER_SIZE + 4, offset + FRAME_HEADER_SIZE + 4 + size);
  closeFrame(view, offset, 4 + size, HEAD, SEED);
  return view;
}

describe('a frame', () => {
  test.each([0, 1, 3, 4, 7, 8, 100])(
    'with a record of %i bytes: sizes, header, padding, trailer, and nothing behind',
    (size) => {
      const offset = 24;
      const view = dataFrame(size, offset);
      const length = frameSize(4 + size);
      expect(length % 8).toBe(0);
      expect(length - (FRAME_HEADER_SIZE + 4 + size + 4)).toBeLessThan(8);
      expect(plausibleLength(view, offset, length)).toBe(length);
      expect(checksumHolds(view, offset, length, SEED)).toBe(true);
      expect(frameLength(view, offset)).toBe(length);
      expect(frameFirstLsn(view, offset)).toBe(HEAD.firstLsn);
      expect(frameDurableLsn(view, offset)).toBe(HEAD.durableLsn);
      expect(frameCount(view, offset)).toBe(1);
      expect(frameKind(view, offset)).toBe(KIND_DATA);
      expect(view.getUint32(offset + 28, true)).toBe(KIND_DATA); // flags and reserved bytes are zero
      expect(view.getBigUint64(offset + 32, true)).toBe(BigInt(HEAD.time));
      for (let i = offset + FRAME_HEADER_SIZE + 4 + size; i < offset + length - 4; i++)
        expect(view.getUint8(i)).toBe(0);
      expect(view.getUint32(offset + length - 4, true)).toBe(length);
      expect(view.getUint8(offset - 1)).toBe(0xee);
      expect(view.getUint8(offset + length)).toBe(0xee);
    },
  );

  test('closing it returns its checksum', () => {
    const view = viewOf(new Uint8Array(64));
    const checksum = closeFrame(view, 0, 0, { ...HEAD, count: 0, kind: KIND_SEAL }, SEED);
    expect(frameChecksum(view, 0)).toBe(checksum);
  });

  test('with any one bit flipped is not taken for one that is whole', () => {
    const size = 13;
    const length = frameSize(4 + size);
    for (let bit = 0; bit < length * 8; bit++) {
      const view = dataFrame(size);
      view.setUint8(bit >> 3, view.getUint8(bit >> 3) ^ (1 << (bit & 7)));
      const plausible = plausibleLength(view, 0, view.byteLength);
      expect(plausible !== 0 && checksumHolds(view, 0, plausible, SEED)).toBe(false);
    }
  });

  test('of another life, under another salt, does not hold', () => {
    const view = dataFrame(13);
    expect(checksumHolds(view, 0, frameLength(view, 0), SEED ^ 1)).toBe(false);
  });

  test('whose trailer states another length does not hold, although its checksum does', () => {
    // A frame that can be walked over forwards and not backwards is none.
    const view = dataFrame(13);
    const length = frameLength(view, 0);
    view.setUint32(length - 4, length - 8, true);
    view.setUint32(4, crc32c(view, 8, length, SEED), true);
    expect(checksumHolds(view, 0, length, SEED)).toBe(false);
    view.setUint32(length - 4, length, true);
    view.setUint32(4, crc32c(view, 8, length, SEED), true);
    expect(checksumHolds(view, 0, length, SEED)).toBe(true);
  });
});

describe('a plausible length', () => {
  const space = 256;
  const lengthOf = (length: number, kind = KIND_DATA, within = space): number => {
    const view = viewOf(new Uint8Array(space));
    view.setUint32(0, length, true);
    view.setUint8(28, kind);
    return plausibleLength(view, 0, within);
  };

  test.each([
    ['zero', 0],
    ['below the smallest frame', MIN_FRAME_SIZE - 8],
    ['not a multiple of 8', MIN_FRAME_SIZE + 4],
    ['not a multiple of 8, by one', MIN_FRAME_SIZE + 1],
    ['beyond the space', space + 8],
    ['enormous', 0xffff_fff8],
  ])('is not one that is %s', (_what, length) => {
    expect(lengthOf(length)).toBe(0);
  });

  test('may be the smallest, and all of the space', () => {
    expect(MIN_FRAME_SIZE).toBe(48);
    expect(lengthOf(MIN_FRAME_SIZE)).toBe(MIN_FRAME_SIZE);
    expect(lengthOf(space)).toBe(space);
    expect(lengthOf(64, KIND_DATA, 63)).toBe(0);
    expect(lengthOf(64, KIND_DATA, 64)).toBe(64);
  });

  test('needs a known kind', () => {
    expect([0, KIND_OPEN, KIND_DATA, KIND_SEAL, 4, 255].map((kind) => lengthOf(64, kind))).toEqual([
      0, 64, 64, 64, 0, 0,
    ]);
  });

  test('is not looked for where the space is too small for any frame', () => {
    // Nothing may be read: there may be less than a length.
    expect(plausibleLength(viewOf(new Uint8Array(3)), 0, 3)).toBe(0);
  });
});

test('an open frame comes back, and states the LSN before its own to be durable', () => {
  const previous = { index: 9_999_999_998, lastLsn: 2 ** 45, end: 2 ** 31, checksum: 0xdead_beef };
  const view = viewOf(encodeOpenFrame(previous, 77, SEED));
  expect(view.byteLength).toBe(OPEN_FRAME_SIZE);
  expect(plausibleLength(view, 0, OPEN_FRAME_SIZE)).toBe(OPEN_FRAME_SIZE);
  expect(checksumHolds(view, 0, OPEN_FRAME_SIZE, SEED)).toBe(true);
  expect(decodeOpenFrame(view, 0)).toEqual(previous);
  expect(frameKind(view, 0)).toBe(KIND_OPEN);
  expect(frameFirstLsn(view, 0)).toBe(previous.lastLsn + 1);
  expect(frameDurableLsn(view, 0)).toBe(previous.lastLsn);
  expect(frameCount(view, 0)).toBe(0);
});

describe('a seal', () => {
  const index = [
    { offset: 8192, lsn: 1040 },
    { offset: 2 ** 31 - 8, lsn: 1000 + 0xffff_ffff },
  ];
  const seal = (entries: typeof index, flags = FLAG_FINAL): DataView => {
    const view = viewOf(new Uint8Array(sealFrameSize(entries.length)));
    const body = encodeSealBody(view, 0, 5000, 1000, entries);
    closeFrame(view, 0, body, { ...HEAD, count: 0, kind: KIND_SEAL, flags }, SEED);
    return view;
  };

  test.each([0, 1, 2])('with %i index entries comes back', (entries) => {
    const view = seal(index.slice(0, entries));
    expect(checksumHolds(view, 0, sealFrameSize(entries), SEED)).toBe(true);
    expect(decodeSealFrame(view, 0, 1000)).toEqual({ lastLsn: 5000, index: index.slice(0, entries) });
  });

  test('whose count of entries does not fit its length is none', () => {
    const view = seal(index);
    for (const count of [0, 1, 3, 0xffff_ffff]) {
      view.setUint32(48, count, true);
      expect(decodeSealFrame(view, 0, 1000)).toBeUndefined();
    }
  });

  test('is final by its flag, and only a seal can be', () => {
    expect(frameIsFinalSeal(seal([]), 0)).toBe(true);
    expect(frameIsFinalSeal(seal([], 0), 0)).toBe(false);
    const data = dataFrame(1);
    data.setUint8(29, FLAG_FINAL);
    expect(frameIsFinalSeal(data, 0)).toBe(false);
  });
});
