/**
 * Pieces of many files: how recovery reads the two ends of every segment of a partition, of which there may be tens of
 * thousands. Where there are many, and the disk has threads, a thread reads some dozens at a time.
 */
import type { Disk, FilePiece } from '../disk/disk.js';

/** Below so many pieces a thread that may have to be started first is not worth it. */
const MANY_PIECES = 256;
/** Pieces that a thread reads at a time: what handing them over costs is shared by so many. */
const BATCH_PIECES = 64;
/** Batches under way, for as many threads as a disk has by default. */
const CONCURRENT_BATCHES = 4;
/** Files that are opened and read at a time where that is done one by one. */
const CONCURRENT_FILES = 16;

/** Reads all pieces and resolves with what `use` makes of each, in order. Rejects with the first failure. */
export async function mapPieces<T>(
  disk: Disk,
  pieces: readonly FilePiece[],
  use: (bytes: Uint8Array, i: number) => T | Promise<T>,
): Promise<T[]> {
  if (disk.readPieces === undefined || pieces.length < MANY_PIECES) {
    return mapLimit(pieces, CONCURRENT_FILES, async (piece, i) => use(await readPiece(disk, piece), i));
  }
  const batches: FilePiece[][] = [];
  for (let i = 0; i < pieces.length; i += BATCH_PIECES) batches.push(pieces.slice(i, i + BATCH_PIECES));
  const results = await mapLimit(batches, CONCURRENT_BATCHES, async (batch, i) => {
    const used: T[] = [];
    for (const bytes of (await disk.readPieces?.(batch)) ?? [])
      used.push(await use(bytes, i * BATCH_PIECES + used.length));
    return used;
  });
  return results.flat();
}

/** The bytes of one piece, fewer than asked for only where the file ends. */
export async function readPiece(disk: Disk, { path, position, length }: FilePiece): Promise<Uint8Array> {
  const file = await disk.open(path, 'read');
  try {
    const bytes = new Uint8Array(length);
    return bytes.subarray(0, await file.read(bytes, position));
  } finally {
    await file.close();
  }
}

/** `Promise.all` over `items`, at most `limit` at a time, results in order. */
async function mapLimit<T, R>(
  items: readonly T[],
  limit: number,
  use: (item: T, i: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const i = next++;
      results[i] = await use(items[i] as T, i);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  return results;
}
