/**
 * The Disk port over the operating system: what the log uses outside of tests.
 *
 * See disk.ts for what each operation promises. Whatever may block for long happens in a thread pool that all real
 * disks of the process share; an open disk does not keep the process alive, an operation under way does. Called by
 * whoever opens a log.
 */
import { randomFillSync } from 'node:crypto';
import fs from 'node:fs';
import { mkdir, readdir, rename, statfs } from 'node:fs/promises';
import path from 'node:path';
import { VarveError } from '../errors.js';
import type { Disk, DiskFeatures, DiskFile, DiskLock, FilePiece, OpenMode } from './disk.js';
import { featuresOf } from './file-systems.js';
import { acquireLock } from './lock.js';
import { RealFile } from './real-file.js';
import { PoolHandle } from './shared-pool.js';
import { type NativeSyscalls, nativeProblem, nativeSyscalls } from './syscalls.js';
import { named } from './system-error.js';

export interface RealDiskOptions {
  /** Threads of the pool, 1 to 64; default 4. They start when they are needed. */
  readonly threads?: number;
}

const THREADS_DEFAULT = 4;
const THREADS_MAX = 64;

const OPEN_FLAGS: Record<OpenMode, number> = {
  read: fs.constants.O_RDONLY,
  write: fs.constants.O_RDWR,
  create: fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_EXCL,
};

/** The operating system's files. Throws `ERR_VARVE_INVALID_OPTION`. */
export function realDisk(options: RealDiskOptions = {}): Disk {
  const { threads = THREADS_DEFAULT } = options;
  if (!Number.isInteger(threads) || threads < 1 || threads > THREADS_MAX) {
    const message = `threads must be an integer from 1 to ${THREADS_MAX}, not ${String(threads)}`;
    throw new VarveError('ERR_VARVE_INVALID_OPTION', message, { option: 'threads' });
  }
  return new RealDisk(new PoolHandle(threads), nativeSyscalls(), nativeProblem());
}

class RealDisk implements Disk {
  readonly #pool: PoolHandle;
  readonly #native: NativeSyscalls | undefined;
  readonly #nativeProblem: string;

  constructor(pool: PoolHandle, native: NativeSyscalls | undefined, problem: string) {
    this.#pool = pool;
    this.#native = native;
    this.#nativeProblem = problem;
  }

  now(): number {
    return Date.now();
  }

  randomBytes(length: number): Uint8Array {
    return randomFillSync(new Uint8Array(length));
  }

  features(directory: string): Promise<DiskFeatures> {
    return featuresOf(directory, this.#native, this.#nativeProblem);
  }

  async makeDirectory(directory: string): Promise<void> {
    const wanted = path.resolve(directory);
    const first = await withPath(wanted, mkdir(wanted, { recursive: true }));
    if (first === undefined) return; // it was there
    for (let made = wanted; made !== path.dirname(first); made = path.dirname(made)) {
      await this.syncDirectory(path.dirname(made));
    }
  }

  async list(directory: string): Promise<string[]> {
    return (await withPath(directory, readdir(directory))).sort();
  }

  async open(file: string, mode: OpenMode): Promise<DiskFile> {
    const context = { pool: this.#pool, native: this.#native, mode };
    const flags = OPEN_FLAGS[mode];
    try {
      // To open a file for reading is a look-up of its name: quicker than handing it to another thread.
      if (mode === 'read') return new RealFile(file, fs.openSync(file, flags), context);
      const fd = await new Promise<number>((resolve, reject) => {
        fs.open(file, flags, (error, opened) => (error ? reject(error) : resolve(opened)));
      });
      return new RealFile(file, fd, context);
    } catch (error) {
      throw named(error, file);
    }
  }

  async readPieces(pieces: readonly FilePiece[]): Promise<Uint8Array[]> {
    const size = pieces.reduce((sum, { length }) => sum + length, 0);
    const into = new Uint8Array(new SharedArrayBuffer(size));
    const got = new Int32Array(new SharedArrayBuffer(pieces.length * Int32Array.BYTES_PER_ELEMENT));
    await this.#pool.run({ kind: 'readPieces', pieces, into, got }, pieces[0]?.path ?? '');
    const bytes = into.slice(); // not shared any more, which native code does not expect
    let at = 0;
    return pieces.map(({ length }, i) => {
      const piece = bytes.subarray(at, at + (got[i] as number));
      at += length;
      return piece;
    });
  }

  rename(from: string, to: string): Promise<void> {
    return withPath(from, rename(from, to));
  }

  unlink(file: string): Promise<void> {
    return this.#pool.run({ kind: 'unlink', path: file }, file);
  }

  syncDirectory(directory: string): Promise<void> {
    return this.#pool.run({ kind: 'syncDirectory', path: directory }, directory);
  }

  lock(file: string): Promise<DiskLock> {
    return acquireLock(file, this.#native);
  }

  async freeBytes(directory: string): Promise<number> {
    const { bavail, bsize } = await withPath(directory, statfs(directory));
    return bavail * bsize;
  }

  async close(): Promise<void> {
    this.#pool.release();
  }
}

/** The promise, its error named and with a path. */
async function withPath<T>(file: string, operation: Promise<T>): Promise<T> {
  try {
    return await operation;
  } catch (error) {
    throw named(error, file);
  }
}
