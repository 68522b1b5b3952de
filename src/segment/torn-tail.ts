/** Cutting off a torn tail: a copy of its bytes is kept beside the segment, then they are zeroed. */
import { join } from 'node:path';
import type { Disk, DiskFile } from '../disk/disk.js';
import { tornCopyName } from './names.js';

const CHUNK_BYTES = 256 * 1024;

export interface TornTail {
  readonly partition: number;
  readonly index: number;
  /** X: where the tail begins. */
  readonly from: number;
  /** End of the bytes that are worth a copy; = `from` for none. */
  readonly copyTo: number;
  /** End of the bytes that must be zero, so that no frame in them can ever line up again. */
  readonly zeroTo: number;
}

/** Keeps the copy durably, then zeroes; the caller syncs the file. Resolves with the copy's name, if there is one. */
export async function cutTornTail(
  disk: Disk,
  directory: string,
  file: DiskFile,
  tail: TornTail,
): Promise<string | undefined> {
  const copy = tail.copyTo > tail.from ? await keepCopy(disk, directory, file, tail) : undefined;
  const zeros = new Uint8Array(CHUNK_BYTES);
  for (let at = tail.from; at < tail.zeroTo; at += zeros.length) {
    file.writeSync(zeros.subarray(0, Math.min(zeros.length, tail.zeroTo - at)), at);
  }
  return copy;
}

async function keepCopy(disk: Disk, directory: string, file: DiskFile, tail: TornTail): Promise<string> {
  const names = await disk.list(directory);
  for (let number = 1; ; number++) {
    const name = tornCopyName(tail.partition, tail.index, tail.from, number);
    const path = join(directory, name);
    if (names.includes(name)) {
      // Made by a recovery that crashed before it was done, or of an earlier tail that was torn at the same place.
      if (await isCopy(disk, path, file, tail)) return name;
      continue;
    }
    const temporary = `${name}.tmp`;
    if (names.includes(temporary)) await disk.unlink(join(directory, temporary));
    const copy = await disk.open(join(directory, temporary), 'create');
    try {
      await eachChunk(file, tail.from, tail.copyTo, (bytes, at) => copy.writeSync(bytes, at - tail.from));
      await copy.sync();
    } finally {
      await copy.close();
    }
    await disk.rename(join(directory, temporary), path);
    await disk.syncDirectory(directory);
    return name;
  }
}

/** True if the file at `path` holds the tail, of which a part may have been zeroed since. */
async function isCopy(disk: Disk, path: string, file: DiskFile, tail: TornTail): Promise<boolean> {
  const copy = await disk.open(path, 'read');
  try {
    const kept = new Uint8Array(await copy.size());
    await copy.read(kept, 0);
    let same = kept.length >= tail.copyTo - tail.from;
    await eachChunk(file, tail.from, tail.copyTo, (bytes, at) => {
      const offset = at - tail.from;
      for (let i = 0; same && i < bytes.length; i++) same = bytes[i] === 0 || bytes[i] === kept[offset + i];
    });
    return same;
  } finally {
    await copy.close();
  }
}

/** Reads [from, to) piece by piece; `use` must be done with a piece when it returns. */
export async function eachChunk(
  file: DiskFile,
  from: number,
  to: number,
  use: (bytes: Uint8Array, at: number) => void,
): Promise<void> {
  const buffer = new Uint8Array(Math.min(CHUNK_BYTES, Math.max(0, to - from)));
  for (let at = from; at < to; ) {
    const got = await file.read(buffer.subarray(0, Math.min(buffer.length, to - at)), at);
    if (got === 0) return;
    use(buffer.subarray(0, got), at);
    at += got;
  }
}
