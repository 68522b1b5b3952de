/**
 * Rewinding: giving up the tail of a partition behind an LSN, so that a crash at any step leaves either the old tail
 * or the new one, and never an alarm about damaged data.
 *
 * Frames are never rewritten while they are the only copy. Before anything changes, `rewind_{partition}.wal` says
 * durably what is going to be done (and holds the records that are kept of a frame that must be cut in two); then it
 * is done; then the file goes. If it is there at an open, the work is simply done again: every step is idempotent.
 *
 *   0 4 magic "RWND" · 4 4 checksum over all that follows · 8 8 segment index · 16 8 cut offset · 24 8 last LSN kept
 *   32 8 length of the replacement · 40 n replacement: a whole frame, or nothing
 */
import { join } from 'node:path';
import type { Disk, DiskFile } from '../disk/disk.js';
import { crc32c } from './checksum.js';
import { corruption } from './corruption.js';
import { OPEN_FRAME_SIZE } from './frame.js';
import {
  COOKIE_SIZE,
  checksumSeed,
  cookieOffset,
  DATA_OFFSET,
  decodeCookie,
  decodeHeaderPage,
  encodeCookie,
  HEADER_PAGE_SIZE,
  viewOf,
} from './header.js';
import { readU64, writeU64 } from './integers.js';
import { rewindName, segmentName } from './names.js';

const MAGIC = 0x444e5752; // "RWND" read as a little-endian u32
const HEAD_SIZE = 40;
const ZEROS = new Uint8Array(256 * 1024);

export interface Rewind {
  /** Segment that the log is going to end in. */
  readonly segment: number;
  /** Offset in that segment from which everything is replaced. */
  readonly offset: number;
  /** Last LSN that is kept. */
  readonly lastLsn: number;
  /** A frame with the records that are kept of the one at `offset`; empty where that one goes as a whole. */
  readonly replacement: Uint8Array;
}

export function encodeRewind(rewind: Rewind): Uint8Array {
  const bytes = new Uint8Array(HEAD_SIZE + rewind.replacement.length);
  const view = viewOf(bytes);
  view.setUint32(0, MAGIC, true);
  writeU64(view, 8, rewind.segment);
  writeU64(view, 16, rewind.offset);
  writeU64(view, 24, rewind.lastLsn);
  writeU64(view, 32, rewind.replacement.length);
  bytes.set(rewind.replacement, HEAD_SIZE);
  view.setUint32(4, crc32c(view, 8, bytes.length), true);
  return bytes;
}

/** The rewind that a file states; undefined if it is not whole, which means that nothing was changed yet. */
export function decodeRewind(bytes: Uint8Array): Rewind | undefined {
  if (bytes.length < HEAD_SIZE) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== MAGIC || readU64(view, 32) !== bytes.length - HEAD_SIZE) return undefined;
  if (view.getUint32(4, true) !== crc32c(view, 8, bytes.length)) return undefined;
  return {
    segment: readU64(view, 8),
    offset: readU64(view, 16),
    lastLsn: readU64(view, 24),
    replacement: bytes.slice(HEAD_SIZE),
  };
}

/** States the rewind durably: from here on it is going to happen, crash or not. */
export async function stateRewind(disk: Disk, directory: string, partition: number, rewind: Rewind): Promise<void> {
  await writeStatement(disk, directory, await disk.open(join(directory, rewindName(partition)), 'create'), rewind);
}

/** Writes the statement into `file`, and closes it. */
async function writeStatement(disk: Disk, directory: string, file: DiskFile, rewind: Rewind): Promise<void> {
  try {
    file.writeSync(encodeRewind(rewind), 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.syncDirectory(directory);
}

/**
 * Does what the partition's rewind file states, if there is one. `indexes` are the partition's segments, ascending;
 * resolves with those that remain, or undefined where there was nothing to do. Rejects with `ERR_VARVE_CORRUPT`, and
 * changes nothing, where the statement is whole and does not fit them.
 */
export async function performRewind(
  disk: Disk,
  directory: string,
  partition: number,
  indexes: readonly number[],
): Promise<number[] | undefined> {
  const name = rewindName(partition);
  if (!(await disk.list(directory)).includes(name)) return undefined;
  const rewind = decodeRewind(await readFile(disk, join(directory, name)));
  let kept = [...indexes];
  if (rewind !== undefined) {
    await refuseUnfit(disk, directory, partition, indexes, rewind);
    // What is read here may be in the page cache only: it must be durable before anything is done that it must explain.
    await writeStatement(disk, directory, await disk.open(join(directory, name), 'write'), rewind);
    // Newest first: a crash leaves a contiguous log, if a longer one.
    for (const index of [...indexes].reverse()) {
      if (index > rewind.segment) await disk.unlink(join(directory, segmentName(partition, index)));
    }
    await disk.syncDirectory(directory);
    const file = await disk.open(join(directory, segmentName(partition, rewind.segment)), 'write');
    try {
      await cut(file, rewind);
    } finally {
      await file.close();
    }
    kept = indexes.filter((index) => index <= rewind.segment);
  }
  await disk.unlink(join(directory, name));
  await disk.syncDirectory(directory);
  return kept;
}

/** A whole statement of another time or place must not remove a file, nor touch anything but frames. */
async function refuseUnfit(
  disk: Disk,
  directory: string,
  partition: number,
  indexes: readonly number[],
  { segment, offset, lastLsn, replacement }: Rewind,
): Promise<void> {
  const first = DATA_OFFSET + OPEN_FRAME_SIZE;
  let fits = indexes.includes(segment) && offset >= first && offset % 8 === 0 && Number.isSafeInteger(lastLsn);
  if (fits) {
    const file = await disk.open(join(directory, segmentName(partition, segment)), 'read');
    try {
      fits = offset + replacement.length <= (await file.size());
    } finally {
      await file.close();
    }
  }
  if (fits) return;
  const path = join(directory, rewindName(partition));
  throw corruption('The rewind file does not fit the segments', { partition, segment, offset, path });
}

async function cut(file: DiskFile, rewind: Rewind): Promise<void> {
  const page = new Uint8Array(HEADER_PAGE_SIZE);
  await file.read(page, 0);
  const end = await file.size();
  if (rewind.replacement.length > 0) file.writeSync(rewind.replacement, rewind.offset);
  for (let at = rewind.offset + rewind.replacement.length; at < end; at += ZEROS.length) {
    file.writeSync(ZEROS.subarray(0, Math.min(ZEROS.length, end - at)), at);
  }
  lowerCookies(file, page, rewind);
  await file.sync();
}

/** Both cookie slots are lowered to the new end: the old ones would call the rewound log damaged. */
function lowerCookies(file: DiskFile, page: Uint8Array, rewind: Rewind): void {
  const header = decodeHeaderPage(page);
  if (typeof header === 'string') return; // recovery will report the header
  const seed = checksumSeed(header.salt);
  const sequence = decodeCookie(page, seed)?.sequence ?? 0;
  for (const next of [sequence + 1, sequence + 2]) {
    const bytes = new Uint8Array(COOKIE_SIZE);
    const durableEnd = rewind.offset + rewind.replacement.length;
    encodeCookie(viewOf(bytes), 0, { sequence: next, durableLsn: rewind.lastLsn, durableEnd }, seed);
    file.writeSync(bytes, cookieOffset(next));
  }
}

async function readFile(disk: Disk, path: string): Promise<Uint8Array> {
  const file = await disk.open(path, 'read');
  try {
    const bytes = new Uint8Array(await file.size());
    await file.read(bytes, 0);
    return bytes;
  } finally {
    await file.close();
  }
}
