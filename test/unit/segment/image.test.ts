/** What a mapped image has ready in the page cache before it is written to. */
import { expect, test } from '@jest/globals';
import type { Disk, DiskFile } from '../../../src/disk/disk.js';
import { openLog } from '../../../src/index.js';
import { MappedImage } from '../../../src/segment/image.js';
import { NOWHERE } from './logs.js';
import { MemoryDisk } from './memory-disk.js';

const MIB = 1024 * 1024;

function mapped(size: number) {
  const asked: [from: number, to: number][] = [];
  const file = {
    prefetch: (from: number, to: number) => asked.push([from, to]),
    map: (length: number) => ({ bytes: new Uint8Array(length), unmap: () => {} }),
  } as unknown as DiskFile;
  return { image: new MappedImage(file, size), asked };
}

test('nothing is prefetched for a segment that is not written to', () => {
  expect(mapped(8 * MIB).asked).toEqual([]);
});

test('pages are prefetched once each, in order, and always a mebibyte ahead of the last frame', () => {
  const { image, asked } = mapped(8 * MIB);
  image.prefetch(4096);
  for (let end = 4168; end <= 8 * MIB; end += 1096) {
    image.handOver(end);
    expect((asked.at(-1) as [number, number])[1]).toBeGreaterThanOrEqual(Math.min(8 * MIB, end + MIB));
  }
  expect(asked[0]).toEqual([4096, 4096 + 2 * MIB]);
  asked.forEach(([from, to], i) => {
    expect(from).toBe(asked[i - 1]?.[1] ?? 4096);
    expect(to).toBeGreaterThan(from);
  });
  expect(asked.at(-1)?.[1]).toBe(8 * MIB);
  expect(asked.length).toBeLessThan(10);
});

test('a frame that is larger than all that was prefetched is followed by what is behind it', () => {
  const { image, asked } = mapped(8 * MIB);
  image.prefetch(4096);
  image.handOver(5 * MIB);
  expect(asked).toEqual([
    [4096, 4096 + 2 * MIB],
    [5 * MIB, 7 * MIB],
  ]);
});

test('a small segment is prefetched up to its end', () => {
  const { image, asked } = mapped(16 * 1024);
  image.prefetch(4096);
  for (let end = 4168; end < 16 * 1024; end += 100) image.handOver(end);
  expect(asked).toEqual([[4096, 16 * 1024]]);
});

test('a new segment is prefetched before anything is appended to it', async () => {
  const asked: [from: number, to: number][] = [];
  const disk: Disk = new MemoryDisk();
  const open = disk.open.bind(disk);
  disk.open = async (path, mode) =>
    Object.assign(await open(path, mode), { prefetch: (from: number, to: number) => asked.push([from, to]) });
  const log = await openLog({ directory: NOWHERE, disk, io: 'mmap', segmentSize: MIB });
  await (await log.partition(1)).append(new Uint8Array(8));
  expect(asked).toEqual([[4096, MIB]]);
  await log.close();
});
