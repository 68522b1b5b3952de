/**
 * The files of a backup, and the list of them.
 *
 * A backup is a directory of segment files and the manifest, as they were, and a file `BACKUP` that lists them: JSON, and
 * a line with its checksum. While the files do not belong together yet, the list says that it is not complete.
 */
import { join } from 'node:path';
import type { Disk, DiskFile } from '../../disk/disk.js';
import { asVarveError, systemCode, VarveError } from '../../errors.js';
import { crc32c } from '../../segment/checksum.js';

export const LIST_NAME = 'BACKUP';
const TEMPORARY_NAME = 'BACKUP.tmp';
const FORMAT = 1;
/** Files are copied in pieces of so many bytes. */
const PIECE = 256 * 1024;
/** More than the list of any sane store; a larger file is not read. */
const MAX_LIST_BYTES = 64 * 1024 * 1024;

export interface BackupFile {
  readonly name: string;
  /** Bytes in use; behind them there are zeros up to `size`. */
  readonly bytes: number;
  readonly size: number;
  /** CRC-32C of the bytes in use. */
  readonly crc: number;
  /** Never changes any more. */
  readonly sealed: boolean;
}

export interface BackupList {
  readonly format: number;
  readonly storeId: string;
  /** The files belong together. */
  readonly complete: boolean;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** What is in it: a checkpoint, as `readAll` and subscriptions take it. */
  readonly checkpoint: string;
  readonly files: readonly BackupFile[];
}

export function backupError(path: string, problem: string): VarveError {
  return new VarveError('ERR_VARVE_BACKUP', `The backup ${path} ${problem}`, { path });
}

/** What the disk says becomes `ERR_VARVE_IO`; what others throw (a signal, a hook) stays as it is. */
export async function tellingDisk<T>(what: string, path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw systemCode(error) === undefined ? error : asVarveError(error, what, path);
  }
}

const checksumLine = (json: string) => `crc32c ${crcOf(Buffer.from(json)).toString(16).padStart(8, '0')}\n`;

function crcOf(bytes: Uint8Array, crc = 0): number {
  return crc32c(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length, crc);
}

/** The list of the backup in `directory`; undefined where there is none. Rejects with `ERR_VARVE_BACKUP` if it is damaged. */
export async function readList(disk: Disk, directory: string): Promise<BackupList | undefined> {
  const path = join(directory, LIST_NAME);
  const bytes = await readWhole(disk, path);
  if (bytes === undefined) return undefined;
  const text = bytes.toString();
  const lineStart = text.lastIndexOf('\n', text.length - 2) + 1;
  const json = text.slice(0, lineStart);
  if (lineStart === 0 || text.slice(lineStart) !== checksumLine(json)) throw backupError(path, 'has a damaged list.');
  const list = JSON.parse(json) as BackupList;
  if (list.format !== FORMAT) throw backupError(path, `is of format ${list.format}, which this version does not know.`);
  return list;
}

/** Puts a list in place of the old one, durably. */
export async function writeList(disk: Disk, directory: string, list: Omit<BackupList, 'format'>): Promise<void> {
  const json = `${JSON.stringify({ format: FORMAT, ...list }, undefined, 1)}\n`;
  const bytes = Buffer.from(json + checksumLine(json));
  await replaceFile(disk, directory, LIST_NAME, TEMPORARY_NAME, async (file) => file.writeSync(bytes, 0));
  await disk.syncDirectory(directory);
}

/** The whole of a small file; undefined where there is none. */
export async function readWhole(disk: Disk, path: string): Promise<Buffer | undefined> {
  const file = await openIfThere(disk, path);
  if (file === undefined) return undefined;
  try {
    const size = await file.size();
    if (size > MAX_LIST_BYTES)
      throw backupError(path, `has ${size} bytes where at most ${MAX_LIST_BYTES} are expected.`);
    const bytes = Buffer.alloc(size);
    await file.read(bytes, 0);
    return bytes;
  } finally {
    await file.close();
  }
}

/** What is to be copied: `head` are its first bytes as they were at a moment, in place of those that the file has now. */
export interface CopySource {
  readonly path: string;
  readonly name: string;
  readonly bytes: number;
  readonly size: number;
  readonly head?: Uint8Array;
}

/** Copies a file under its own name, synced, and reads the copy again. Returns its checksum. */
export async function copyFile(disk: Disk, from: CopySource, directory: string, signal?: AbortSignal): Promise<number> {
  const source = await disk.open(from.path, 'read');
  let crc = 0;
  try {
    await replaceFile(disk, directory, from.name, `${from.name}.tmp`, async (target) => {
      await target.truncate(from.size);
      await pieces(source, from.bytes, signal, (piece, at) => {
        if (from.head !== undefined && at < from.head.length) piece.set(from.head.subarray(at, at + piece.length));
        crc = crcOf(piece, crc);
        target.writeSync(piece, at);
      });
    });
  } finally {
    await source.close();
  }
  const path = join(directory, from.name);
  if ((await checksumOf(disk, path, from.bytes, signal)) !== crc) throw backupError(path, 'is not what was copied.');
  return crc;
}

/** CRC-32C of a file's first `bytes`; undefined where there is no such file, or a shorter one. */
export async function checksumOf(
  disk: Disk,
  path: string,
  bytes: number,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const file = await openIfThere(disk, path);
  if (file === undefined) return undefined;
  try {
    if ((await file.size()) < bytes) return undefined;
    let crc = 0;
    await pieces(file, bytes, signal, (piece) => {
      crc = crcOf(piece, crc);
    });
    return crc;
  } finally {
    await file.close();
  }
}

/** The first `bytes` of a file, fewer where it is shorter. */
export async function headOf(disk: Disk, path: string, bytes: number): Promise<Buffer> {
  const file = await disk.open(path, 'read');
  try {
    const head = Buffer.alloc(bytes);
    return head.subarray(0, await file.read(head, 0));
  } finally {
    await file.close();
  }
}

async function pieces(
  file: DiskFile,
  bytes: number,
  signal: AbortSignal | undefined,
  use: (piece: Buffer, at: number) => void,
): Promise<void> {
  const buffer = Buffer.alloc(Math.min(PIECE, bytes));
  for (let at = 0; at < bytes; at += PIECE) {
    signal?.throwIfAborted();
    const piece = buffer.subarray(0, Math.min(PIECE, bytes - at));
    const got = await file.read(piece, at);
    if (got < piece.length) throw backupError(file.path, `ends at ${at + got}, before its ${bytes} bytes.`);
    use(piece, at);
  }
}

/** Makes a file under another name, syncs it, and gives it its own. The directory is not synced. */
async function replaceFile(
  disk: Disk,
  directory: string,
  name: string,
  temporary: string,
  fill: (file: DiskFile) => Promise<void>,
): Promise<void> {
  const path = join(directory, temporary);
  await removeIfThere(disk, path);
  const file = await disk.open(path, 'create');
  try {
    await fill(file);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(path, join(directory, name));
}

export async function removeIfThere(disk: Disk, path: string): Promise<void> {
  await disk.unlink(path).catch((error: unknown) => {
    if (systemCode(error) !== 'ENOENT') throw error;
  });
}

async function openIfThere(disk: Disk, path: string): Promise<DiskFile | undefined> {
  try {
    return await disk.open(path, 'read');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Names in a directory; none where there is no such directory. */
export async function namesIn(disk: Disk, directory: string): Promise<string[]> {
  return disk.list(directory).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  });
}
