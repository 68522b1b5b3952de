/**
 * Builds and writes an index file, whole or not at all. Layout: see index-header.ts.
 *
 * A segment may have a few 100,000 keys. All of them fit into memory, but the event loop would stand still for long
 * if it were done in one go: the work is done in slices, with a turn of the loop between them.
 */
import { dirname } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Disk, DiskFile } from '../../disk/disk.js';
import { systemCode, VarveError } from '../../errors.js';
import { BlockBuilder, type ListPlace, MAX_INLINE_BYTES } from './index-block.js';
import { encodeIndexHeader, fileBytes, type IndexIdentity, type IndexLayout } from './index-header.js';
import { crcOf, MAX_KEY_BYTES, utf8Of } from './index-key.js';
import { encodeDirectoryEntry } from './index-summary.js';
import { KeyFilter } from './key-filter.js';
import { sortByKey } from './key-sort.js';
import { encodePostings } from './postings.js';

/** Entries between two turns of the event loop: about a millisecond of work. */
const SLICE = 1024;
/** Bytes between two turns of the event loop while they are written. */
const WRITE_BYTES = 256 * 1024;
const POSTING_MAX = 0xffff_ffff;

export interface IndexEntry {
  /** Well-formed, at most 2,048 bytes of UTF-8. */
  readonly key: string;
  /** A safe integer ≥ 0, of a stream the first revision in this segment. */
  readonly value: number;
  /** LSN − base LSN, each greater than the one before it. */
  readonly postings: ArrayLike<number>;
}

/**
 * Writes the index of one segment to `path`, replacing what is there: a temporary file (`path` with `.tmp` behind it) →
 * sync → rename → directory sync. Resolves with its size in bytes. Entries may come in any order, with unique keys; they
 * and what they are made from must not change meanwhile. Never call it twice at once for one path.
 *
 * Rejects with `ERR_VARVE_INVALID_OPTION` for an entry that is not as it should be, and with the system's own error.
 */
export async function writeIndexFile(
  disk: Disk,
  path: string,
  identity: IndexIdentity,
  entries: Iterable<IndexEntry>,
): Promise<number> {
  const sorted: IndexEntry[] = [];
  for (const entry of entries) {
    sorted.push(entry);
    if (sorted.length % SLICE === 0) await nextTurn();
  }
  await sortByKey(sorted, nextTurn);
  const { parts, size } = await build(identity, sorted);
  const temporary = `${path}.tmp`;
  const file = await createAnew(disk, temporary);
  try {
    await writeAll(file, parts);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(temporary, path);
  await disk.syncDirectory(dirname(path));
  return size;
}

/** A new file in place of what a crash or a failure has left there. */
async function createAnew(disk: Disk, path: string): Promise<DiskFile> {
  try {
    return await disk.open(path, 'create');
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
    await disk.unlink(path);
    return await disk.open(path, 'create');
  }
}

async function writeAll(file: DiskFile, parts: readonly Uint8Array[]): Promise<void> {
  let position = 0;
  let gathered: Uint8Array[] = [];
  let gatheredBytes = 0;
  const flush = (): void => {
    file.writeSync(Buffer.concat(gathered), position);
    position += gatheredBytes;
    gathered = [];
    gatheredBytes = 0;
  };
  for (const part of parts) {
    gathered.push(part);
    gatheredBytes += part.length;
    if (gatheredBytes >= WRITE_BYTES) {
      flush();
      await nextTurn();
    }
  }
  flush();
}

/** The file's bytes, in order. */
async function build(
  identity: IndexIdentity,
  entries: readonly IndexEntry[],
): Promise<{ parts: Uint8Array[]; size: number }> {
  const filter = KeyFilter.forKeys(entries.length);
  const blocks: Uint8Array[] = [];
  const lists: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let listBytes = 0;
  let block = new BlockBuilder();
  let firstKey: Uint8Array | undefined;
  const endBlock = (): void => {
    if (firstKey === undefined) return;
    directory.push(encodeDirectoryEntry(crcOf(block.bytes), firstKey));
    blocks.push(block.bytes);
  };
  const largest = Math.min(identity.lastLsn - identity.baseLsn, POSTING_MAX);
  for (const [i, entry] of entries.entries()) {
    if (i % SLICE === SLICE - 1) await nextTurn();
    const { key, postings } = checked(entry, entries[i - 1]?.key, largest);
    let place: ListPlace | undefined;
    if (postings.length > MAX_INLINE_BYTES) {
      place = { offset: listBytes, bytes: postings.length, crc: crcOf(postings) };
      lists.push(postings);
      listBytes += postings.length;
    }
    if (!block.add(key, entry.value, entry.postings.length, place ?? postings)) {
      endBlock();
      block = new BlockBuilder();
      firstKey = undefined;
      block.add(key, entry.value, entry.postings.length, place ?? postings);
    }
    firstKey ??= key;
    filter.add(crcOf(key));
  }
  endBlock();
  const summary = Buffer.concat([...directory, filter.bytes]);
  const layout: IndexLayout = {
    keyCount: entries.length,
    blockCount: blocks.length,
    listBytes,
    directoryBytes: summary.length - filter.bytes.length,
    filterBytes: filter.bytes.length,
    summaryCrc: crcOf(summary),
  };
  return { parts: [encodeIndexHeader(identity, layout), ...blocks, ...lists, summary], size: fileBytes(layout) };
}

/** The bytes of an entry's key and postings, if they are as they should be. */
function checked(
  entry: IndexEntry,
  previousKey: string | undefined,
  largest: number,
): { key: Uint8Array; postings: Uint8Array } {
  const refuse = (why: string): never => {
    const message = `An index cannot hold the key ${JSON.stringify(entry.key.slice(0, 100))}: ${why}.`;
    throw new VarveError('ERR_VARVE_INVALID_OPTION', message, { option: 'entries' });
  };
  const key = utf8Of(entry.key) ?? refuse('it has a lone surrogate');
  if (key.length > MAX_KEY_BYTES) refuse(`it has ${key.length} bytes of UTF-8, and ${MAX_KEY_BYTES} is the limit`);
  if (entry.key === previousKey) refuse('it is there twice');
  if (!Number.isSafeInteger(entry.value) || entry.value < 0) refuse(`its value is ${entry.value}`);
  const postings =
    encodePostings(entry.postings, largest) ?? refuse(`its postings do not grow from 0 up to ${largest}`);
  return { key, postings };
}
