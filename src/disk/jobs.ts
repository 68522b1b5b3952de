/**
 * The jobs of the thread pool: every operation of the disk that may block for long, done synchronously.
 *
 * Each returns when it is done and throws the system's error when it fails; nothing is retried. Called by the lanes
 * (worker.ts), which answer for them across the thread boundary. File descriptors belong to the process, so those that
 * the main thread opened are valid here.
 */
import fs from 'node:fs';
import { constants } from 'node:os';
import type { AllocateMode, FilePiece } from './disk.js';
import { readFully } from './read-fully.js';
import { type NativeSyscalls, nativeSyscalls } from './syscalls.js';
import { named, systemError } from './system-error.js';

export type Job =
  /** fdatasync(2). */
  | { readonly kind: 'sync'; readonly fd: number }
  /** `DiskFile.allocate`. `native` is false where the owner of the disk does without native calls. */
  | {
      readonly kind: 'allocate';
      readonly fd: number;
      readonly mode: AllocateMode;
      readonly size: number;
      readonly native: boolean;
    }
  /** `DiskFile.dropCache`. */
  | { readonly kind: 'dropCache'; readonly fd: number; readonly from: number }
  /** `DiskFile.prefetch`. It touches no content, so it need not wait for other jobs of the file: hence no `fd`. */
  | { readonly kind: 'prefetch'; readonly of: number; readonly from: number; readonly to: number }
  /** ftruncate(2). */
  | { readonly kind: 'truncate'; readonly fd: number; readonly size: number }
  | ReadPieces
  | { readonly kind: 'unlink'; readonly path: string }
  | { readonly kind: 'syncDirectory'; readonly path: string };

/** `Disk.readPieces`: the answer lies in memory that both threads share. */
interface ReadPieces {
  readonly kind: 'readPieces';
  readonly pieces: readonly FilePiece[];
  /** One piece behind the other, each in as many bytes as were asked for. */
  readonly into: Uint8Array<SharedArrayBuffer>;
  /** How many bytes there were of each. */
  readonly got: Int32Array<SharedArrayBuffer>;
}

/** Zeros are written in pieces of this size: large enough to be fast, small enough to stay in a processor's cache. */
const ZEROS_BYTES = 1024 * 1024;
let zeros: Uint8Array | undefined;

export function runJob(job: Job): void {
  switch (job.kind) {
    case 'sync':
      fs.fdatasyncSync(job.fd);
      break;
    case 'allocate':
      allocate(job.fd, job.mode, job.size, job.native ? nativeSyscalls() : undefined);
      break;
    case 'dropCache':
      fs.fdatasyncSync(job.fd); // only clean pages can be dropped
      nativeSyscalls()?.dropCache(job.fd, job.from);
      break;
    case 'prefetch':
      nativeSyscalls()?.prefetch(job.of, job.from, job.to);
      break;
    case 'truncate':
      fs.ftruncateSync(job.fd, job.size);
      break;
    case 'readPieces':
      readPieces(job);
      break;
    case 'unlink':
      fs.unlinkSync(job.path);
      break;
    case 'syncDirectory':
      syncDirectory(job.path);
      break;
  }
}

function allocate(fd: number, mode: AllocateMode, size: number, native: NativeSyscalls | undefined): void {
  const sizeBefore = fs.fstatSync(fd).size;
  try {
    reserve(fd, mode, size, native);
  } catch (error) {
    giveBack(fd, sizeBefore, error as Error);
    throw error;
  }
  if (mode === 'keep-size') return;
  if (mode === 'none' || sizeBefore > size) fs.ftruncateSync(fd, size);
}

function reserve(fd: number, mode: AllocateMode, size: number, native: NativeSyscalls | undefined): void {
  if (mode === 'none' || size === 0) return; // fallocate refuses a length of 0
  if (mode === 'zero') writeZeros(fd, size);
  else if (native === undefined) throw systemError(constants.errno.EOPNOTSUPP, 'fallocate');
  else native.fallocate(fd, mode === 'keep-size', size);
}

/**
 * A full disk fails a large reservation only when it has nothing left: what was got so far must go back, or the file
 * would keep the whole disk. Setting the size frees the blocks behind it, also where it is the size that the file has.
 */
function giveBack(fd: number, size: number, failure: Error): void {
  try {
    fs.ftruncateSync(fd, size);
  } catch (error) {
    failure.message += ` (and what had been reserved is not given back: ${(error as Error).message})`;
  }
}

function writeZeros(fd: number, size: number): void {
  zeros ??= new Uint8Array(ZEROS_BYTES);
  for (let at = 0; at < size; ) {
    const written = fs.writeSync(fd, zeros, 0, Math.min(ZEROS_BYTES, size - at), at);
    if (written === 0) throw systemError(constants.errno.EIO, 'write');
    at += written;
  }
}

function readPieces({ pieces, into, got }: ReadPieces): void {
  let at = 0;
  pieces.forEach(({ path, position, length }, i) => {
    const fd = fs.openSync(path, 'r');
    try {
      got[i] = readFully(fd, into.subarray(at, at + length), position);
    } catch (error) {
      throw named(error, path);
    } finally {
      fs.closeSync(fd);
    }
    at += length;
  });
}

function syncDirectory(path: string): void {
  if (process.platform === 'win32') return; // a directory cannot be opened there; NTFS journals its names by itself
  const fd = fs.openSync(path, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
