/** Index files to look at, mutilate and count handles of. */

import { IndexCache } from '../../../src/adapter/event-store/index-cache.js';
import { IndexFile, type IndexRange } from '../../../src/adapter/event-store/index-file.js';
import type { IndexIdentity } from '../../../src/adapter/event-store/index-header.js';
import { type IndexEntry, writeIndexFile } from '../../../src/adapter/event-store/index-writer.js';
import type { Disk } from '../../../src/disk/disk.js';
import { MemoryDisk } from '../segment/memory-disk.js';

export const PATH = '/store/part_3_0000000007.idx';
export const NAME = 'part_3_0000000007.idx';

export const IDENTITY: IndexIdentity = {
  storeId: '00112233445566778899aabbccddeeff',
  partition: 3,
  segment: 7,
  baseLsn: 1000,
  lastLsn: 1_000_000,
};

export function newCache({ maxBytes = 1 << 24, maxFiles = 10 } = {}): IndexCache {
  return new IndexCache({ maxBytes, maxFiles });
}

/** A disk with an index file of these entries at `PATH`. */
export async function diskWith(entries: Iterable<IndexEntry>): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await writeIndexFile(disk, PATH, IDENTITY, entries);
  return disk;
}

export async function bytesWith(entries: Iterable<IndexEntry>): Promise<Uint8Array> {
  return (await diskWith(entries)).snapshot()[NAME] as Uint8Array;
}

/** The index file at `PATH`, which is whole. */
export async function opened(disk: Disk, cache = newCache()): Promise<IndexFile> {
  const file = await IndexFile.open(disk, PATH, IDENTITY, cache);
  if (file === undefined) throw new Error('the index file cannot be used');
  return file;
}

/** An entry as it is to come back. */
export const plain = ({ key, value, postings }: IndexEntry) => ({ key, value, postings: Array.from(postings) });

export async function scanned(file: IndexFile, range?: IndexRange): Promise<ReturnType<typeof plain>[]> {
  const found: ReturnType<typeof plain>[] = [];
  for await (const entry of file.entries(range)) found.push(plain(entry));
  return found;
}

export const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** `count` entries with a key, a value and a posting each. */
export const numbered = (count: number, keyOf = (i: number) => `s:stream-${i}`): IndexEntry[] =>
  upTo(count).map((i) => ({ key: keyOf(i), value: i * 3, postings: [i] }));
