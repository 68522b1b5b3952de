/** The writer over both back ends: what it makes, up to the last byte of a segment, is what the scanner finds. */
import { describe, expect, test } from '@jest/globals';
import type { DiskFile } from '../../../src/disk/disk.js';
import { FRAME_HEADER_SIZE, frameDurableLsn, OPEN_FRAME_SIZE, sealFrameSize } from '../../../src/segment/frame.js';
import {
  checksumSeed,
  DATA_OFFSET,
  DURABLE_CURSOR_OFFSET,
  decodeCookie,
  HEADER_PAGE_SIZE,
  viewOf,
  WRITTEN_CURSOR_OFFSET,
} from '../../../src/segment/header.js';
import { MappedImage, WrittenImage } from '../../../src/segment/image.js';
import { type Scan, scanFrames } from '../../../src/segment/scanner.js';
import { indexInterval, maxBodySize, SegmentWriter } from '../../../src/segment/writer.js';
import { MemoryDisk, watched } from './memory-disk.js';

const SEED = checksumSeed(Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]));
const FIRST_FRAME = DATA_OFFSET + OPEN_FRAME_SIZE;
const BASE_LSN = 101;
const TIME = 1_700_000_000_000;
const PREVIOUS = { index: 6, lastLsn: BASE_LSN - 1, end: 5000, checksum: 0xcafe };

interface Fixture {
  readonly file: DiskFile;
  readonly writer: SegmentWriter;
  readonly size: number;
  /** Sizes of the writes that the file has seen. */
  readonly writes: number[];
  /** What the next write throws. */
  failure: Error | undefined;
  bytes(): Uint8Array;
  scan(): Promise<Scan>;
}

async function fixture(io: 'mmap' | 'write', size: number, old = 0): Promise<Fixture> {
  const disk = new MemoryDisk({ segment: new Uint8Array(size).fill(old, DATA_OFFSET) });
  const writes: number[] = [];
  const it: Partial<Fixture> & { failure: Error | undefined } = { failure: undefined };
  const file = await watched(disk, (operation, _path, args) => {
    if (operation !== 'writeSync') return;
    if (it.failure !== undefined) throw it.failure;
    writes.push((args[0] as Uint8Array).length);
  }).open('/segment', 'write');
  const image = io === 'mmap' ? new MappedImage(file, size) : new WrittenImage(file, FIRST_FRAME);
  const start = { file, image, index: 7, segmentSize: size, seed: SEED, baseLsn: BASE_LSN };
  const writer = new SegmentWriter({ ...start, previous: PREVIOUS, time: TIME });
  const scan = () => {
    const from = { offset: FIRST_FRAME, lsn: BASE_LSN, checksum: 0 };
    return scanFrames(file, from, Math.floor(size / 8) * 8, SEED, size, BASE_LSN - 1);
  };
  return Object.assign(it, {
    file,
    writer,
    size,
    writes,
    scan,
    bytes: () => disk.snapshot().segment as Uint8Array,
  }) as Fixture;
}

/** `size` bytes that depend on `lsn`. */
const payload = (lsn: number, size: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, i) => (lsn * 31 + i) & 0xff);

describe.each(['mmap', 'write'] as const)('a segment writer over %s', (io) => {
  test('gives offsets: the frame’s to its first record, its own to each other one', async () => {
    const { writer, scan, bytes } = await fixture(io, 8192);
    expect(writer.add(payload(1, 10))).toBe(FIRST_FRAME);
    expect(writer.add(payload(2, 0))).toBe(FIRST_FRAME + FRAME_HEADER_SIZE + 14);
    expect(writer.add(payload(3, 30))).toBe(FIRST_FRAME + FRAME_HEADER_SIZE + 18);
    expect(writer.frameBytes).toBe(FRAME_HEADER_SIZE + 14 + 4 + 34);
    expect([writer.nextLsn, writer.closedLsn]).toEqual([BASE_LSN + 3, BASE_LSN - 1]);
    writer.closeFrame(BASE_LSN - 1, TIME);
    expect([writer.frameBytes, writer.closedLsn]).toEqual([0, BASE_LSN + 2]);
    expect(writer.add(payload(4, 24))).toBe(writer.end);
    expect(writer.closedLsn).toBe(BASE_LSN + 2);
    writer.closeFrame(BASE_LSN + 2, TIME);
    writer.publish();
    const found = await scan();
    expect(found).toMatchObject({ end: writer.end, nextLsn: BASE_LSN + 4, frames: 2, ends: 'open' });
    expect(found.lastChecksum).toBe(writer.lastChecksum);
    expect(found.durableLsn).toBe(BASE_LSN + 2);
    expect(bytes().subarray(FIRST_FRAME + 44, FIRST_FRAME + 54)).toEqual(payload(1, 10));
  });

  test('closes nothing where nothing was added', async () => {
    const { writer, writes } = await fixture(io, 8192);
    const { end } = writer;
    writer.closeFrame(BASE_LSN - 1, TIME);
    expect(writer.end).toBe(end);
    expect(writes).toEqual([]);
  });

  test('holds its open frame back until it is published, whatever is behind it', async () => {
    const { writer, bytes, scan } = await fixture(io, 8192);
    writer.add(payload(1, 10));
    writer.closeFrame(BASE_LSN - 1, TIME);
    expect(writer.published).toBe(false);
    expect(
      bytes()
        .subarray(DATA_OFFSET, FIRST_FRAME)
        .every((byte) => byte === 0),
    ).toBe(true);
    expect(viewOf(bytes()).getUint32(WRITTEN_CURSOR_OFFSET, true)).toBe(0);
    expect((await scan()).frames).toBe(1);
    writer.publish();
    expect(writer.published).toBe(true);
    const view = viewOf(bytes());
    expect(view.getUint32(DATA_OFFSET, true)).toBe(OPEN_FRAME_SIZE);
    expect(frameDurableLsn(view, DATA_OFFSET)).toBe(PREVIOUS.lastLsn);
    expect(view.getUint32(WRITTEN_CURSOR_OFFSET, true)).toBe(io === 'mmap' ? writer.end : 0);
    // Once, and not over what has been written since.
    const published = bytes();
    writer.publish();
    expect(bytes()).toEqual(published);
  });

  // 8192 is a multiple of 8 and of the page; the others leave bytes that no frame can use.
  test.each([5120, 5127, 8192, 8199])('fills a segment of %i bytes to its last multiple of 8', async (size) => {
    const { writer, scan, bytes } = await fixture(io, size, 0xee);
    const most = maxBodySize(size);
    expect(writer.fits(most)).toBe(true);
    expect(writer.fits(most + 1)).toBe(false);
    writer.add(payload(1, most - 4));
    expect(writer.fits(0)).toBe(true);
    expect(writer.fits(1)).toBe(false);
    writer.seal(true, BASE_LSN - 1, TIME);
    writer.publish();
    const limit = Math.floor(size / 8) * 8;
    expect(writer.end).toBe(limit - 8); // room is kept for an index entry, which a single frame does not get
    expect(await scan()).toMatchObject({ end: writer.end, nextLsn: BASE_LSN + 1, ends: 'sealed' });
    expect(bytes()).toHaveLength(size); // not a byte behind the end of the file
    expect(
      bytes()
        .subarray(limit)
        .every((byte) => byte === 0xee),
    ).toBe(true);
  });

  test('fits() says so when the last record leaves not one byte', async () => {
    const size = 12 * 1024;
    const { writer, scan } = await fixture(io, size);
    writer.publish();
    writer.add(payload(1, 5000));
    writer.closeFrame(BASE_LSN - 1, TIME);
    let most = 0;
    while (writer.fits(most + 1)) most++;
    writer.add(payload(2, most - 4));
    writer.closeFrame(BASE_LSN, TIME);
    expect(writer.fits(0)).toBe(false);
    expect(writer.entries).toHaveLength(1);
    writer.seal(true, BASE_LSN + 1, TIME);
    expect(writer.end).toBe(size);
    expect(await scan()).toMatchObject({ end: size, nextLsn: BASE_LSN + 2, ends: 'sealed' });
  });

  test.each([0, 1, 7, 20, 100])(
    'whatever was added, the seal and the mark before it fit: records of %i bytes',
    async (each) => {
      const size = 3 * 4096 + 1024;
      const { writer, scan } = await fixture(io, size);
      writer.publish();
      const limit = Math.floor(size / 8) * 8;
      while (writer.fits(4 + each)) {
        writer.add(payload(writer.nextLsn, each));
        if (writer.nextLsn % 3 === 0) writer.closeFrame(writer.nextLsn - 1, TIME);
      }
      writer.closeFrame(writer.nextLsn - 1, TIME);
      const lastLsn = writer.nextLsn - 1;
      while (writer.canMark) writer.seal(false, lastLsn, TIME);
      expect(writer.end + sealFrameSize(writer.entries.length)).toBeLessThanOrEqual(limit);
      writer.seal(true, lastLsn, TIME);
      expect(writer.end).toBeLessThanOrEqual(limit);
      const found = await scan();
      expect(found).toMatchObject({ end: writer.end, nextLsn: lastLsn + 1, ends: 'sealed', durableLsn: lastLsn });
      expect(writer.entries.length).toBeGreaterThan(0);
    },
  );

  test('writes over the bytes of an earlier life as over zeros', async () => {
    const make = async (old: number): Promise<Uint8Array> => {
      const { writer, bytes } = await fixture(io, 8192, old);
      for (const each of [1, 13, 24, 40]) {
        writer.add(payload(each, each));
        writer.closeFrame(BASE_LSN, TIME);
      }
      writer.seal(true, BASE_LSN + 3, TIME);
      writer.publish();
      return bytes().subarray(DATA_OFFSET, writer.end);
    };
    expect(await make(0xee)).toEqual(await make(0));
  });

  test('a record larger than the staging buffer, then small ones', async () => {
    const { writer, scan, bytes } = await fixture(io, 8 * 1024 * 1024);
    const large = payload(1, 3 * 1024 * 1024 + 5);
    writer.add(payload(0, 50));
    writer.add(large);
    writer.closeFrame(BASE_LSN - 1, TIME);
    const { end } = writer;
    for (let i = 0; i < 1000; i++) writer.add(payload(i, 30));
    writer.closeFrame(BASE_LSN + 1, TIME);
    writer.publish();
    const at = FIRST_FRAME + 40 + 54 + 4;
    expect(Buffer.compare(bytes().subarray(at, at + large.length), large)).toBe(0);
    expect(bytes().subarray(end + 44, end + 74)).toEqual(payload(0, 30));
    expect(await scan()).toMatchObject({ end: writer.end, nextLsn: BASE_LSN + 1002, frames: 2 });
  });

  test('keeps a sparse index: the first frame of each interval, the same that a scan makes', async () => {
    const size = 64 * 1024;
    const { writer, scan } = await fixture(io, size);
    while (writer.fits(104)) {
      writer.add(payload(writer.nextLsn, 100));
      writer.closeFrame(BASE_LSN, TIME);
    }
    writer.publish();
    const { entries } = writer;
    expect(entries.length).toBeGreaterThan(10);
    const frame = 152;
    entries.forEach(({ offset, lsn }, i) => {
      expect(offset).toBe(FIRST_FRAME + (lsn - BASE_LSN) * frame);
      const before = entries[i - 1]?.offset ?? DATA_OFFSET;
      expect(offset - before).toBeGreaterThanOrEqual(indexInterval(size));
      expect(offset - frame - before).toBeLessThan(indexInterval(size));
    });
    const found = await scan();
    expect(found.entries.length).toBeLessThanOrEqual(entries.length); // else the seal might not fit after a recovery
    for (const { offset, lsn } of found.entries) expect(offset).toBe(FIRST_FRAME + (lsn - BASE_LSN) * frame);
  });

  test('goes on behind what was recovered, cookies included', async () => {
    const { writer, file, scan, bytes } = await fixture(io, 8192);
    writer.publish();
    writer.add(payload(1, 10));
    writer.closeFrame(BASE_LSN - 1, TIME);
    for (let i = 0; i < 3; i++) writer.noteDurable(BASE_LSN, writer.end);
    writer.release();
    const found = await scan();
    const cookieSequence = decodeCookie(bytes().subarray(0, HEADER_PAGE_SIZE), SEED)?.sequence ?? 0;
    expect(cookieSequence).toBe(3);
    const { end, nextLsn, lastChecksum, entries } = found;
    const image = io === 'mmap' ? new MappedImage(file, 8192) : new WrittenImage(file, end);
    const resume = { end, nextLsn, lastChecksum, entries, cookieSequence };
    const again = new SegmentWriter({
      file,
      image,
      index: 7,
      segmentSize: 8192,
      seed: SEED,
      baseLsn: BASE_LSN,
      resume,
      time: 0,
    });
    expect(again.published).toBe(true);
    again.add(payload(2, 20));
    again.closeFrame(BASE_LSN, TIME);
    again.noteDurable(BASE_LSN + 1, again.end);
    expect(await scan()).toMatchObject({ nextLsn: BASE_LSN + 2, frames: 2, end: again.end });
    const cookie = { sequence: 4, durableLsn: BASE_LSN + 1, durableEnd: again.end };
    expect(decodeCookie(bytes().subarray(0, HEADER_PAGE_SIZE), SEED)).toEqual(cookie);
    expect(viewOf(bytes()).getUint32(DURABLE_CURSOR_OFFSET, true)).toBe(io === 'mmap' ? again.end : 0);
  });

  test('sealed twice it is sealed once', async () => {
    const { writer, bytes } = await fixture(io, 8192);
    writer.add(payload(1, 10));
    writer.seal(true, BASE_LSN, TIME);
    const sealed = bytes();
    const { end } = writer;
    writer.seal(true, BASE_LSN, TIME + 1);
    expect(writer.end).toBe(end);
    expect(bytes()).toEqual(sealed);
  });
});

describe('a written image', () => {
  test('hands over one frame with one write', async () => {
    const { writer, writes } = await fixture('write', 64 * 1024);
    for (let i = 0; i < 100; i++) writer.add(payload(i, 100));
    expect(writes).toEqual([]);
    writer.closeFrame(BASE_LSN - 1, TIME);
    expect(writes).toEqual([writer.end - FIRST_FRAME]);
  });

  test('keeps what a failed write did not take, and the next one takes it', async () => {
    const it = await fixture('write', 64 * 1024);
    const { writer } = it;
    writer.publish();
    writer.add(payload(1, 10));
    it.failure = Object.assign(new Error('full'), { code: 'ENOSPC' });
    expect(() => writer.closeFrame(BASE_LSN - 1, TIME)).toThrow('full');
    expect(() => writer.handOver()).toThrow('full');
    expect((await it.scan()).frames).toBe(0);
    it.failure = undefined;
    writer.add(payload(2, 20_000)); // the buffer grows around it
    writer.closeFrame(BASE_LSN - 1, TIME);
    expect(await it.scan()).toMatchObject({ frames: 2, nextLsn: BASE_LSN + 2, end: writer.end });
    expect(it.bytes().subarray(FIRST_FRAME + 44, FIRST_FRAME + 54)).toEqual(payload(1, 10));
  });

  test('a failed seal is handed over later, and is the same seal', async () => {
    const it = await fixture('write', 64 * 1024);
    it.writer.publish();
    it.writer.add(payload(1, 10));
    it.writer.closeFrame(BASE_LSN - 1, TIME);
    it.failure = new Error('full');
    expect(() => it.writer.seal(true, BASE_LSN, TIME)).toThrow('full');
    const { end, lastChecksum } = it.writer;
    it.failure = undefined;
    it.writer.seal(true, BASE_LSN, TIME + 1);
    expect(await it.scan()).toMatchObject({ end, lastChecksum, ends: 'sealed' });
  });
});

test('both back ends make the same bytes', async () => {
  const make = async (io: 'mmap' | 'write'): Promise<Uint8Array> => {
    const { writer, bytes } = await fixture(io, 32 * 1024);
    writer.publish();
    for (let i = 0; writer.fits(4 + (i % 50)); i++) {
      writer.add(payload(i, i % 50));
      if (i % 7 === 0) writer.closeFrame(BASE_LSN + i, TIME + i);
      if (i % 21 === 0) writer.noteDurable(BASE_LSN + i, writer.end);
    }
    writer.seal(true, BASE_LSN, TIME);
    const all = bytes();
    all.fill(0, WRITTEN_CURSOR_OFFSET, DURABLE_CURSOR_OFFSET + 4); // only a mapped segment has cursors
    return all;
  };
  expect(await make('mmap')).toEqual(await make('write'));
});
