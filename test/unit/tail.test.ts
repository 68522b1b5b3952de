/** The growing end of a partition: what each hand-over and each sync covers, and nothing more. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import type { DiskFile } from '../../src/disk/disk.js';
import { type Appended, type SyncRun, Tail } from '../../src/partition/tail.js';
import { Catalogue } from '../../src/segment/catalogue.js';
import { frameDurableLsn, frameFirstLsn, OPEN_FRAME_SIZE } from '../../src/segment/frame.js';
import { DATA_OFFSET, decodeCookie, viewOf } from '../../src/segment/header.js';
import { WrittenImage } from '../../src/segment/image.js';
import { turns } from '../support/logs.js';

const SEGMENT_SIZE = 8192;
const FIRST_FRAME = DATA_OFFSET + OPEN_FRAME_SIZE;

/** A file in memory, which may be full. */
class MemoryFile {
  readonly bytes = new Uint8Array(SEGMENT_SIZE);
  full = false;

  writeSync(bytes: Uint8Array, position: number): void {
    if (this.full) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
    this.bytes.set(bytes, position);
  }
}

let tail: Tail;
let catalogue: Catalogue;
let files: MemoryFile[];
let acknowledged: string[];

/** Goes on in another segment, its open frame held back. */
function change(): void {
  const memory = new MemoryFile();
  files.push(memory);
  const file = memory as unknown as DiskFile;
  const image = new WrittenImage(file, FIRST_FRAME);
  const start = { file, image, index: files.length, segmentSize: SEGMENT_SIZE, seed: 0 };
  tail.change(start, catalogue, { index: 0, lastLsn: 0, end: 0, checksum: 0 });
}

/** Appends a record in a frame of its own, and waits for both acknowledgements. */
function append(): void {
  const lsn = tail.nextLsn;
  const result = { lsn } as Appended;
  tail.writtenAcks.wait(lsn, result).then(() => acknowledged.push(`${lsn} written`));
  tail.durableAcks.wait(lsn, result).then(() => acknowledged.push(`${lsn} durable`));
  tail.add(new Uint8Array(10));
  tail.closeFrame();
}

const startSync = () => tail.startSync() as SyncRun;
const marks = () => ({ written: tail.written.value, durable: tail.durable.value });

/** What was acknowledged since the last call. */
async function acknowledgements(): Promise<string[]> {
  await turns(1);
  return acknowledged.splice(0);
}

beforeEach(() => {
  tail = new Tail(0, 0, () => 0);
  catalogue = new Catalogue(1, []);
  files = [];
  acknowledged = [];
  change();
  tail.publish();
});

describe('a hand-over', () => {
  test('makes written, and a sync durable', async () => {
    append();
    expect(await acknowledgements()).toEqual(['1 written']);
    expect(marks()).toEqual({ written: 1, durable: 0 });
    expect(tail.finishSync(startSync())).toBe(1);
    expect(await acknowledgements()).toEqual(['1 durable']);
    expect(marks()).toEqual({ written: 1, durable: 1 });
  });

  test('that finds no space makes nothing written, and can be made again', async () => {
    const [file] = files as [MemoryFile];
    file.full = true;
    expect(append).toThrow('no space');
    expect(marks()).toEqual({ written: 0, durable: 0 });
    expect(() => tail.startSync()).toThrow('no space');
    file.full = false;
    tail.closeFrame();
    expect(marks()).toEqual({ written: 1, durable: 0 });
    expect(await acknowledgements()).toEqual(['1 written']);
    expect(frameFirstLsn(viewOf(file.bytes), FIRST_FRAME)).toBe(1);
  });

  test('states in its frame what is durable at the time, not what is written', () => {
    append();
    const size = (catalogue.newest?.end ?? 0) - FIRST_FRAME;
    append();
    tail.finishSync(startSync());
    append();
    const view = viewOf((files[0] as MemoryFile).bytes);
    expect([0, 1, 2].map((i) => frameDurableLsn(view, FIRST_FRAME + i * size))).toEqual([0, 0, 2]);
  });
});

describe('a sync', () => {
  test('covers what was handed over when it began, and not what came meanwhile', async () => {
    append();
    const run = startSync();
    append();
    expect(tail.finishSync(run)).toBe(1);
    expect(marks()).toEqual({ written: 2, durable: 1 });
    expect(await acknowledgements()).toEqual(['1 written', '2 written', '1 durable']);
    expect(tail.unsyncedBytes).toBe(14);
    expect(tail.finishSync(startSync())).toBe(1);
    expect(marks()).toEqual({ written: 2, durable: 2 });
    expect(await acknowledgements()).toEqual(['2 durable']);
  });
});

describe('a new segment', () => {
  test('counts when it is published: until then nothing in it is written, and no sync covers it', async () => {
    append();
    change();
    append();
    const view = viewOf((files[1] as MemoryFile).bytes);
    expect(view.getUint32(DATA_OFFSET, true)).toBe(0);
    expect(marks()).toEqual({ written: 1, durable: 0 });
    tail.finishSync(startSync());
    expect(marks()).toEqual({ written: 1, durable: 1 });
    expect(tail.startSync()).toBeUndefined();
    expect(await acknowledgements()).toEqual(['1 written', '1 durable']);
    tail.publish();
    expect(view.getUint32(DATA_OFFSET, true)).toBe(OPEN_FRAME_SIZE);
    expect(marks()).toEqual({ written: 2, durable: 1 });
    expect(await acknowledgements()).toEqual(['2 written']);
  });

  test('is opened by a sync of its own, not by that of the segment before it', () => {
    append();
    tail.finishSync(startSync());
    expect(tail.opened).toBe(true);
    change();
    expect(tail.opened).toBe(false);
    tail.finishSync(startSync());
    tail.publish();
    expect(tail.opened).toBe(false);
    tail.finishSync(startSync());
    expect(tail.opened).toBe(true);
  });
});

describe('what is durable is stated in the header page', () => {
  const statedIn = (index: number) => decodeCookie((files[index] as MemoryFile).bytes, 0)?.durableLsn;

  /** So many syncs in a row, of a record each. Returns the LSNs that were stated when they were acknowledged. */
  function row(count: number): number[] {
    const stated: number[] = [];
    for (let i = 0; i < count; i++) {
      append();
      tail.finishSync(startSync());
      if (statedIn(files.length - 1) === marks().durable) stated.push(marks().durable);
    }
    return stated;
  }

  test('behind each of a few syncs, behind every eighth of many, and when they have ended', () => {
    const all = Array.from({ length: 16 }, (_, i) => i + 1);
    expect(row(43)).toEqual([...all, 24, 32, 40]);
    tail.syncsEnded();
    expect(statedIn(0)).toBe(43);
    expect(row(18)).toEqual(all.map((lsn) => lsn + 43));
    tail.syncsEnded();
    expect(statedIn(0)).toBe(61);
  });

  test('once', () => {
    row(3);
    const { bytes } = files[0] as MemoryFile;
    const before = bytes.slice();
    tail.syncsEnded();
    expect(bytes).toEqual(before);
  });

  test('of the segment that is written to only', () => {
    row(17);
    change();
    tail.finishSync(startSync());
    tail.publish();
    tail.syncsEnded();
    expect([statedIn(0), statedIn(1)]).toEqual([16, undefined]);
  });
});

test('a rewind lowers both marks', () => {
  append();
  append();
  tail.finishSync(startSync());
  tail.rewind(1);
  expect(marks()).toEqual({ written: 1, durable: 1 });
  expect([tail.nextLsn, tail.unsyncedBytes]).toEqual([2, 0]);
});
