import { describe, expect, test } from '@jest/globals';
import { IndexFile } from '../../../src/adapter/event-store/index-file.js';
import { IndexDamaged } from '../../../src/adapter/event-store/index-header.js';
import { type IndexEntry, writeIndexFile } from '../../../src/adapter/event-store/index-writer.js';
import { FaultyDisk } from '../../support/faulty-disk.js';
import { MemoryDisk } from '../segment/memory-disk.js';
import { IDENTITY, NAME, newCache, numbered, opened, PATH, scanned, upTo } from './index-files.js';

const ANY = /./;

/** Files open on the disk now, from what was opened and closed. */
const openOn = (disk: FaultyDisk): number =>
  disk.of('open', ANY).filter(({ failed }) => failed === undefined).length - disk.of('close', ANY).length;

/** A disk with an index file of the same entries for each of `count` segments, and all of them opened. */
async function manyFiles(count: number, entries: IndexEntry[], cache: ReturnType<typeof newCache>) {
  const disk = new FaultyDisk(new MemoryDisk());
  const files: IndexFile[] = [];
  for (const segment of upTo(count)) {
    const identity = { ...IDENTITY, segment };
    await writeIndexFile(disk, `/store/${segment}.idx`, identity, entries);
    files.push((await IndexFile.open(disk, `/store/${segment}.idx`, identity, cache)) as IndexFile);
  }
  return { disk, files };
}

/** A disk with the file at `PATH`, and what was read of it. */
async function watchedFile(entries: IndexEntry[]) {
  const disk = new FaultyDisk(new MemoryDisk());
  await writeIndexFile(disk, PATH, IDENTITY, entries);
  return { disk, reads: () => disk.of('read', /\.idx$/).length };
}

describe('the cache', () => {
  test('answers again without the disk: blocks and lists', async () => {
    const { disk, reads } = await watchedFile([...numbered(500), { key: 'c:long', value: 0, postings: upTo(5000) }]);
    const file = await opened(disk);
    await file.get('s:stream-7');
    await file.get('c:long');
    const before = reads();
    expect(await file.get('s:stream-7')).toEqual({ value: 21, postings: Uint32Array.of(7) });
    expect((await file.get('c:long'))?.postings).toEqual(Uint32Array.from(upTo(5000)));
    expect(reads()).toBe(before);
  });

  test('holds no more bytes than it may, however much is read, and all answers stay right', async () => {
    const maxBytes = 40_000;
    const cache = newCache({ maxBytes });
    const { files } = await manyFiles(10, numbered(1000), cache);
    let most = 0;
    for (const i of upTo(600)) {
      const file = files[(i * 7) % files.length] as IndexFile;
      const wanted = (i * 31) % 1000;
      expect(await file.get(`s:stream-${wanted}`)).toEqual({ value: wanted * 3, postings: Uint32Array.of(wanted) });
      most = Math.max(most, cache.bytes);
    }
    expect(most).toBeLessThanOrEqual(maxBytes);
    expect(most).toBeGreaterThan(maxBytes / 2);
    expect(files.filter((file) => file.bytesInMemory > 0).length).toBeLessThan(files.length);
  });

  test('too small for a summary still lets everything be read', async () => {
    const cache = newCache({ maxBytes: 1 });
    const { disk } = await watchedFile(numbered(500));
    const file = await opened(disk, cache);
    expect(file.bytesInMemory).toBe(0);
    expect(file.mayContain('absent')).toBe(true); // nobody knows
    expect(await file.get('absent')).toBeUndefined();
    expect(await file.get('s:stream-499')).toBeDefined();
    expect(await scanned(file)).toHaveLength(500);
    expect(cache.bytes).toBe(0);
  });

  test('reads once what several ask for at once', async () => {
    const { disk, reads } = await watchedFile(numbered(100));
    const file = await opened(disk);
    const before = reads();
    const found = await Promise.all(upTo(100).map((i) => file.get(`s:stream-${i}`)));
    expect(found.map((value) => value?.value)).toEqual(upTo(100).map((i) => i * 3));
    expect(reads() - before).toBeLessThanOrEqual(2); // the blocks of 100 entries
  });

  test('is not filled by a scan', async () => {
    const { disk } = await watchedFile(numbered(2000));
    const cache = newCache();
    const file = await opened(disk, cache);
    const before = cache.bytes;
    expect(await scanned(file)).toHaveLength(2000);
    expect(cache.bytes).toBe(before);
  });

  test('lets go of a summary when its file is closed', async () => {
    const { disk } = await watchedFile(numbered(2000));
    const cache = newCache();
    const file = await opened(disk, cache);
    expect(file.bytesInMemory).toBeGreaterThan(2500);
    expect(file.bytesInMemory).toBeLessThan(cache.bytes);
    await file.close();
    expect(cache.bytes).toBe(0);
  });

  test('after close holds nothing, and what was under way ends', async () => {
    const { disk } = await watchedFile(numbered(100));
    const cache = newCache();
    const file = await opened(disk, cache);
    const read = disk.hold('read', /\.idx$/);
    const found = file.get('s:stream-5');
    await read.reached;
    const closed = cache.close();
    read.release();
    expect(await found).toEqual({ value: 15, postings: Uint32Array.of(5) });
    await closed;
    expect(cache.bytes).toBe(0);
    expect(openOn(disk)).toBe(0);
    await expect(file.get('s:stream-5')).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
  });
});

describe('open files', () => {
  test('are no more than they may be, while each file is read in turn', async () => {
    const cache = newCache({ maxFiles: 3, maxBytes: 1 });
    const { disk, files } = await manyFiles(10, numbered(50), cache);
    for (const i of upTo(40)) {
      expect(await files[i % 10]?.get(`s:stream-${i}`)).toBeDefined();
      expect(openOn(disk)).toBeLessThanOrEqual(4); // one may be about to close
      expect(cache.files.count).toBeLessThanOrEqual(4);
    }
    await cache.close();
    expect(openOn(disk)).toBe(0);
  });

  test('stay few when hundreds are asked for at once', async () => {
    const cache = newCache({ maxFiles: 3, maxBytes: 1 }); // nothing is kept: two reads one after the other
    const { disk, files } = await manyFiles(200, numbered(5), cache);
    const most = { open: 0, reading: 0 };
    disk.pause = () => {
      most.open = Math.max(most.open, openOn(disk));
      most.reading = Math.max(most.reading, disk.of('read', ANY).filter(({ ended }) => ended === undefined).length);
      return undefined;
    };
    const found = await Promise.all(files.map((file) => file.get('s:stream-3')));
    expect(found.every((value) => value?.value === 9)).toBe(true);
    expect(most.open).toBeLessThanOrEqual(3 + 32 + 32); // kept, being read, being closed
    expect(most.reading).toBeLessThanOrEqual(32);
    expect(most.reading).toBeGreaterThan(3);
    await cache.close();
    expect(openOn(disk)).toBe(0);
  });

  test('one that is being read is closed after that, not under it', async () => {
    const cache = newCache({ maxFiles: 1 });
    const { disk, files } = await manyFiles(2, numbered(50), cache);
    const held = disk.hold('read', /^0\.idx$/);
    const found = files[0]?.get('s:stream-1');
    await held.reached;
    expect(await files[1]?.get('s:stream-1')).toBeDefined();
    const closed = files[0]?.close();
    expect(openOn(disk)).toBe(2);
    held.release();
    expect(await found).toEqual({ value: 3, postings: Uint32Array.of(1) });
    await closed;
    await cache.close();
    expect(openOn(disk)).toBe(0);
  });

  test('of index files that cannot be used are closed', async () => {
    const bytes = new Uint8Array(5000);
    const disk = new FaultyDisk(new MemoryDisk({ [NAME]: bytes }));
    const cache = newCache();
    expect(await IndexFile.open(disk, PATH, IDENTITY, cache)).toBeUndefined();
    expect(openOn(disk)).toBe(0);
    expect(cache.files.count).toBe(0);
  });

  test('closing a file closes it, and no reader under way opens it again', async () => {
    const { disk } = await watchedFile(numbered(2000));
    const cache = newCache();
    const file = await opened(disk, cache);
    expect(openOn(disk)).toBe(1);
    const scan = file.entries();
    await scan.next();
    await file.close();
    expect(openOn(disk)).toBe(0);
    await expect(scanRest(scan)).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
    expect(openOn(disk)).toBe(0);
  });

  test('a look-up that is under way when its file is closed does not open it again', async () => {
    const { disk } = await watchedFile(numbered(100));
    const file = await opened(disk, newCache({ maxBytes: 1 }));
    const summary = disk.hold('read', /\.idx$/);
    const found = file.get('s:stream-1');
    await summary.reached;
    const closed = file.close();
    summary.release();
    await expect(found).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
    await closed;
    expect(openOn(disk)).toBe(0);
  });

  test('a file that another one has replaced is not mixed with it', async () => {
    const cache = newCache({ maxFiles: 1, maxBytes: 1 });
    const { disk } = await watchedFile(numbered(1000));
    const old = await opened(disk, cache);
    await writeIndexFile(
      disk,
      PATH,
      IDENTITY,
      numbered(1000, (i) => `s:stream-${i + 5}`),
    );
    expect((await old.get('s:stream-7'))?.value).toBe(21); // its own handle is still open
    const replacing = await opened(disk, cache); // takes the only place
    expect((await replacing.get('s:stream-7'))?.value).toBe(6);
    await expect(old.get('s:stream-7')).rejects.toBeInstanceOf(IndexDamaged);
    await expect(scanned(old)).rejects.toBeInstanceOf(IndexDamaged);
    expect((await replacing.get('s:stream-7'))?.value).toBe(6);
    await disk.unlink(PATH);
    await cache.files.close('2');
    await expect(replacing.get('s:stream-7')).rejects.toBeInstanceOf(IndexDamaged);
    await cache.close();
    expect(cache.files.count).toBe(0);
    expect(openOn(disk)).toBe(1); // the one that found nothing to open
  });
});

async function scanRest(scan: AsyncIterable<unknown>): Promise<void> {
  for await (const _entry of scan);
}
