import { describe, expect, test } from '@jest/globals';
import type { DiskFile } from '../../../src/disk/disk.js';
import {
  closeFrame,
  FRAME_HEADER_SIZE,
  frameSize,
  KIND_DATA,
  KIND_OPEN,
  KIND_SEAL,
  OPEN_FRAME_SIZE,
} from '../../../src/segment/frame.js';
import { DATA_OFFSET, viewOf } from '../../../src/segment/header.js';
import { lookBehind, scanFrames } from '../../../src/segment/scanner.js';
import { MemoryDisk, watched } from './memory-disk.js';

const SEED = 0x0bad_cafe;
const START = DATA_OFFSET + OPEN_FRAME_SIZE;
const MIB = 1024 * 1024;

/** Bytes of a segment file that frames are put into one behind the other. */
class Sheet {
  readonly bytes: Uint8Array;
  at = START;
  lsn = 1;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }

  /** A frame with one record of `size` bytes, or what `head` makes of it. */
  frame(size: number, head: Partial<Parameters<typeof closeFrame>[3]> = {}, seed = SEED): number {
    const view = viewOf(this.bytes);
    const offset = this.at;
    const whole = {
      firstLsn: this.lsn,
      durableLsn: this.lsn - 1,
      count: 1,
      kind: KIND_DATA,
      flags: 0,
      time: 0,
      ...head,
    };
    view.setUint32(offset + FRAME_HEADER_SIZE, size, true);
    closeFrame(view, offset, 4 + size, whole, seed);
    this.at += frameSize(4 + size);
    this.lsn += whole.count;
    return offset;
  }

  file(): Promise<DiskFile> {
    return new MemoryDisk({ file: this.bytes }).open('/file', 'read');
  }

  async scan(provenLsn = 0) {
    return scanFrames(
      await this.file(),
      { offset: START, lsn: 1, checksum: 9 },
      this.bytes.length,
      SEED,
      this.bytes.length,
      provenLsn,
    );
  }
}

describe('a scan', () => {
  test('of nothing ends where it began', async () => {
    const scan = await new Sheet(8192).scan();
    expect(scan).toMatchObject({
      end: START,
      nextLsn: 1,
      lastChecksum: 9,
      frames: 0,
      ends: 'open',
      unprovenFrom: START,
    });
  });

  test.each<[string, { kind?: number; count?: number; firstLsn?: number }]>([
    ['another LSN than the next, higher', { firstLsn: 7 }],
    ['another LSN than the next, lower', { firstLsn: 1 }],
    ['the kind of an open frame', { kind: KIND_OPEN, count: 0 }],
    ['data and no record', { count: 0 }],
    ['a seal and records', { kind: KIND_SEAL }],
  ])('stops at a frame with %s', async (_what, head) => {
    const sheet = new Sheet(8192);
    sheet.frame(10);
    sheet.lsn = head.firstLsn ?? 2;
    const end = sheet.frame(10, head);
    sheet.frame(10);
    expect(await sheet.scan()).toMatchObject({ end, nextLsn: 2, frames: 1 });
  });

  test.each([
    [5, 1],
    [6, 0],
  ])('stops at a frame of %i records that would go beyond the last LSN', async (count, frames) => {
    const sheet = new Sheet(8192);
    const lsn = Number.MAX_SAFE_INTEGER - 5;
    sheet.frame(10, { firstLsn: lsn, count });
    const start = { offset: START, lsn, checksum: 0 };
    expect(await scanFrames(await sheet.file(), start, 8192, SEED, 8192, 0)).toMatchObject({ frames });
  });

  test('stops at a frame of another life', async () => {
    const sheet = new Sheet(8192);
    sheet.frame(10);
    const end = sheet.frame(10, {}, SEED ^ 1);
    expect(await sheet.scan()).toMatchObject({ end, nextLsn: 2, frames: 1 });
  });

  test('stops behind a final seal, whatever follows; a mark of a clean close is gone on behind', async () => {
    const sheet = new Sheet(8192);
    sheet.frame(10);
    sheet.frame(12, { kind: KIND_SEAL, count: 0 });
    const marked = sheet.at;
    expect(await sheet.scan()).toMatchObject({ end: marked, ends: 'marked', nextLsn: 2 });
    sheet.frame(10);
    expect(await sheet.scan()).toMatchObject({ end: sheet.at, ends: 'open', nextLsn: 3 });
    sheet.frame(12, { kind: KIND_SEAL, count: 0, flags: 1 });
    const sealed = sheet.at;
    sheet.frame(10);
    expect(await sheet.scan()).toMatchObject({ end: sealed, ends: 'sealed', nextLsn: 3, frames: 4 });
  });

  test('stops at the end of the file, also inside a frame', async () => {
    const sheet = new Sheet(8192);
    sheet.frame(10);
    const last = sheet.frame(2000);
    for (const size of [last + 4, last + 39, last + 40, last + 2000, sheet.at - 1]) {
      const file = await new MemoryDisk({ file: sheet.bytes.slice(0, size) }).open('/file', 'read');
      const scan = await scanFrames(file, { offset: START, lsn: 1, checksum: 0 }, 8192, SEED, 8192, 0);
      expect(scan).toMatchObject({ end: last, nextLsn: 2, frames: 1 });
    }
  });

  // The window is 1 MiB: frames that cross its end, that are larger than it, and small ones behind a large one, for
  // which the window has grown.
  test.each([
    ['small frames over many windows', [...Array(4000).fill(1000)]],
    ['a frame that is larger than a window', [100, 3 * MIB, 100]],
    ['small frames over more than a window behind a large one', [100, 2 * MIB, ...Array(3000).fill(1000)]],
    ['large frames in a row', [1.5 * MIB, 2.5 * MIB, MIB, 1.5 * MIB]],
  ])('finds %s', async (_what, sizes) => {
    const sheet = new Sheet(9 * MIB);
    for (const size of sizes) sheet.frame(size);
    expect(await sheet.scan()).toMatchObject({ end: sheet.at, nextLsn: sizes.length + 1, frames: sizes.length });
  });

  test.each(Array.from({ length: 12 }, (_, i) => i * 8))(
    'finds a frame that begins %i bytes before the end of the window',
    async (before) => {
      const sheet = new Sheet(2 * MIB);
      sheet.frame(MIB - before - FRAME_HEADER_SIZE - 8);
      expect(sheet.at).toBe(START + MIB - before);
      sheet.frame(100);
      sheet.frame(100);
      expect(await sheet.scan()).toMatchObject({ end: sheet.at, nextLsn: 4 });
    },
  );

  test('knows from where nothing is proven to be durable', async () => {
    const sheet = new Sheet(8192);
    sheet.frame(10, { durableLsn: 0 });
    const second = sheet.frame(10, { durableLsn: 0 });
    const third = sheet.frame(10, { durableLsn: 1 }); // proves the first
    expect(await sheet.scan()).toMatchObject({ unprovenFrom: second, durableLsn: 1 });
    expect(await sheet.scan(2)).toMatchObject({ unprovenFrom: third, durableLsn: 2 });
    expect(await sheet.scan(3)).toMatchObject({ unprovenFrom: sheet.at, durableLsn: 3 });
  });

  test('a seal proves the records before it, not itself; the record behind it does', async () => {
    const sheet = new Sheet(8192);
    sheet.frame(10);
    const mark = sheet.frame(12, { kind: KIND_SEAL, count: 0, durableLsn: 1 });
    expect(await sheet.scan()).toMatchObject({ unprovenFrom: mark, durableLsn: 1 });
    const second = sheet.frame(10, { durableLsn: 1 });
    expect(await sheet.scan()).toMatchObject({ unprovenFrom: mark });
    const third = sheet.frame(10, { durableLsn: 2 });
    expect(second).toBeLessThan(third);
    expect(await sheet.scan()).toMatchObject({ unprovenFrom: third, durableLsn: 2 });
  });

  test('a frame of several records is proven by its last', async () => {
    const sheet = new Sheet(8192);
    const first = sheet.frame(12, { count: 3 });
    sheet.frame(10, { durableLsn: 2 });
    expect(await sheet.scan()).toMatchObject({ unprovenFrom: first, nextLsn: 5 });
  });
});

describe('behind the end', () => {
  const behind = async (sheet: Sheet, lsn: number, from = START) =>
    lookBehind(await sheet.file(), from, sheet.bytes.length, lsn, SEED);

  test('there is nothing where all is zero', async () => {
    expect(await behind(new Sheet(3 * MIB), 1)).toEqual({ proof: undefined, laterEnd: START, dataEnd: START });
  });

  test('the last byte that is not zero is found, in any window', async () => {
    for (const at of [START, START + MIB - 1, START + MIB, 3 * MIB - 1]) {
      const sheet = new Sheet(3 * MIB);
      sheet.bytes[at] = 1;
      expect(await behind(sheet, 1)).toEqual({ proof: undefined, laterEnd: START, dataEnd: at + 1 });
    }
  });

  test('a later frame proves what it states to be durable, and only from the LSN expected on', async () => {
    for (const durableLsn of [4, 5, 6]) {
      const sheet = new Sheet(8192);
      sheet.at += 80;
      sheet.lsn = 9;
      const offset = sheet.frame(10, { durableLsn });
      const proof = durableLsn >= 5 ? { offset, firstLsn: 9, durableLsn } : undefined;
      expect(await behind(sheet, 5)).toMatchObject({ proof, laterEnd: sheet.at });
    }
  });

  test('a frame with a lower LSN, of another life, or off its 8 bytes is none', async () => {
    const lower = new Sheet(8192);
    lower.frame(10, { firstLsn: 4, durableLsn: 9 });
    expect(await behind(lower, 5)).toMatchObject({ proof: undefined, laterEnd: START });
    const crossing = new Sheet(2 * MIB);
    crossing.at = START + MIB - 16; // its LSN is in one window, the rest in the next
    crossing.frame(10, { firstLsn: 4, durableLsn: 9 });
    expect(await behind(crossing, 5)).toMatchObject({ proof: undefined, laterEnd: START });
    const other = new Sheet(8192);
    other.frame(10, { firstLsn: 9, durableLsn: 9 }, SEED ^ 1);
    expect(await behind(other, 5)).toMatchObject({ proof: undefined, laterEnd: START });
    const off = new Sheet(8192);
    off.at += 4;
    off.frame(10, { firstLsn: 9, durableLsn: 9 });
    expect(await behind(off, 5)).toMatchObject({ proof: undefined, laterEnd: START });
  });

  test.each([0, 8, 16, 24, 32, 40, 48])(
    'a frame is found that begins %i bytes before the end of the window',
    async (before) => {
      const sheet = new Sheet(2 * MIB);
      sheet.at = START + MIB - before;
      const offset = sheet.frame(100, { firstLsn: 9, durableLsn: 8 });
      expect(await behind(sheet, 5)).toMatchObject({ proof: { offset, firstLsn: 9, durableLsn: 8 } });
    },
  );

  test('a frame is found that is larger than the window', async () => {
    const sheet = new Sheet(4 * MIB);
    sheet.at += 8;
    const offset = sheet.frame(2 * MIB, { firstLsn: 9, durableLsn: 8 });
    expect(await behind(sheet, 5)).toMatchObject({ proof: { offset }, laterEnd: sheet.at });
  });

  test('several frames are all found to the last', async () => {
    const sheet = new Sheet(8192);
    for (let i = 0; i < 3; i++) {
      sheet.at += 80;
      sheet.frame(10, { firstLsn: 6 + i, durableLsn: 3 });
    }
    expect(await behind(sheet, 5)).toMatchObject({ proof: undefined, laterEnd: sheet.at });
  });

  test('a length that reaches past the end is not read', async () => {
    const sheet = new Sheet(8192);
    viewOf(sheet.bytes).setUint32(8192 - 8, 0x7fff_fff8, true);
    const sizes: number[] = [];
    const disk = watched(new MemoryDisk({ file: sheet.bytes }), (operation, _path, args) => {
      if (operation === 'read') sizes.push((args[0] as Uint8Array).length);
    });
    const found = await lookBehind(await disk.open('/file', 'read'), START, 8192, 1, SEED);
    expect(found).toMatchObject({ proof: undefined, laterEnd: START });
    expect(sizes).toEqual([8192 - START]);
  });
});
