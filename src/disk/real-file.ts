/**
 * A file of the real disk. Reads and small writes happen where they are called, through node:fs; whatever may block for
 * long (sync, allocate, truncate) happens in the thread pool.
 *
 * A descriptor's number is used again by the next file that is opened, so an operation that outlives its file would
 * reach a stranger's bytes. Hence: after `close` every operation fails with EBADF, and `close` fails with EBUSY while
 * one is under way. Made by the real disk alone.
 */
import fs from 'node:fs';
import { constants } from 'node:os';
import type { AllocateMode, DiskFile, DiskMapping, OpenMode } from './disk.js';
import type { Job } from './jobs.js';
import { RealMapping } from './mapping.js';
import { readFully } from './read-fully.js';
import type { PoolHandle } from './shared-pool.js';
import type { NativeSyscalls } from './syscalls.js';
import { named, systemError } from './system-error.js';

const { EBADF, EBUSY, EINVAL, EIO, EOPNOTSUPP } = constants.errno;

/** What a file shares with its disk, and how it was opened. */
export interface FileContext {
  readonly pool: PoolHandle;
  readonly native: NativeSyscalls | undefined;
  readonly mode: OpenMode;
}

export class RealFile implements DiskFile {
  readonly path: string;
  readonly #context: FileContext;
  /** −1 after `close`. */
  #fd: number;
  #underWay = 0;
  readonly #mappings = new Set<RealMapping>();
  /** The last prefetch, and those before it; it never rejects. */
  #prefetching: Promise<void> | undefined;

  constructor(path: string, fd: number, context: FileContext) {
    this.path = path;
    this.#fd = fd;
    this.#context = context;
  }

  size(): Promise<number> {
    return this.#use('fstat', (fd) => call<fs.Stats>((done) => fs.fstat(fd, done))).then((stats) => stats.size);
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return this.#use('read', async (fd) => {
      let filled = 0;
      while (filled < into.length) {
        const offset = filled;
        const length = into.length - offset;
        const got = await call<number>((done) => fs.read(fd, into, offset, length, position + offset, done));
        if (got === 0) break;
        filled += got;
      }
      return filled;
    });
  }

  readSync(into: Uint8Array, position: number): number {
    const fd = this.#open('read');
    try {
      return readFully(fd, into, position);
    } catch (error) {
      throw named(error, this.path);
    }
  }

  writeSync(bytes: Uint8Array, position: number): void {
    const fd = this.#open('write');
    try {
      for (let done = 0; done < bytes.length; ) {
        const written = fs.writeSync(fd, bytes, done, bytes.length - done, position + done);
        if (written === 0) throw systemError(EIO, 'write', this.path); // nothing said what is wrong: no use going on
        done += written;
      }
    } catch (error) {
      throw named(error, this.path);
    }
  }

  sync(): Promise<void> {
    return this.#inPool('fdatasync', (fd) => ({ kind: 'sync', fd }));
  }

  allocate(mode: AllocateMode, size: number): Promise<void> {
    const native = this.#context.native !== undefined;
    return this.#inPool('fallocate', (fd) => {
      this.#checkSize('fallocate', size);
      if (mode !== 'keep-size') this.#checkMappings('fallocate', size);
      if (!native && (mode === 'allocate' || mode === 'keep-size')) {
        throw systemError(EOPNOTSUPP, 'fallocate', this.path, 'no native calls here');
      }
      return { kind: 'allocate', fd, mode, size, native };
    });
  }

  dropCache(from: number): Promise<void> {
    // Only a mapping suffers from what this takes away, and a page that a mapping holds cannot be taken.
    if (this.#context.native === undefined) return Promise.resolve();
    return this.#inPool('posix_fadvise', (fd) => ({ kind: 'dropCache', fd, from }));
  }

  prefetch(from: number, to: number): void {
    const of = this.#open('posix_fadvise');
    if (this.#context.native === undefined) return;
    const begun = this.#context.pool.run({ kind: 'prefetch', of, from, to }, this.path);
    // Advice that fails leaves nothing undone: what was to be fetched is fetched when it is touched.
    this.#prefetching = Promise.allSettled([this.#prefetching, begun]).then(() => {});
  }

  truncate(size: number): Promise<void> {
    return this.#inPool('ftruncate', (fd) => {
      this.#checkSize('ftruncate', size);
      this.#checkMappings('ftruncate', size);
      return { kind: 'truncate', fd, size };
    });
  }

  map(length: number): DiskMapping {
    const fd = this.#open('mmap');
    const { native } = this.#context;
    if (native === undefined) throw systemError(EOPNOTSUPP, 'mmap', this.path, 'no native calls here');
    try {
      // Touching a mapped page behind the end of the file kills the process with SIGBUS; no handler could help.
      if (!Number.isSafeInteger(length) || length < 1 || fs.fstatSync(fd).size < length) {
        throw systemError(EINVAL, 'mmap', this.path, `the file does not have ${length} bytes to map`);
      }
      const mapping = new RealMapping(native, fd, length, (gone) => this.#mappings.delete(gone));
      this.#mappings.add(mapping);
      return mapping;
    } catch (error) {
      throw named(error, this.path);
    }
  }

  async close(): Promise<void> {
    const fd = this.#open('close');
    if (this.#underWay > 0) throw systemError(EBUSY, 'close', this.path, 'an operation is under way');
    this.#fd = -1;
    await this.#prefetching;
    try {
      // Closing what was only read is quicker than handing it to another thread; but the last close of a file that was
      // unlinked gives its blocks back, which may take long.
      if (this.#context.mode === 'read' && fs.fstatSync(fd).nlink > 0) fs.closeSync(fd);
      else await call<void>((done) => fs.close(fd, done));
    } catch (error) {
      throw named(error, this.path);
    }
  }

  /** The descriptor of the open file. */
  #open(syscall: string): number {
    if (this.#fd < 0) throw systemError(EBADF, syscall, this.path, 'the file is closed');
    return this.#fd;
  }

  /** Runs an operation during which the file cannot be closed. */
  async #use<T>(syscall: string, operation: (fd: number) => Promise<T>): Promise<T> {
    const fd = this.#open(syscall);
    this.#underWay++;
    try {
      return await operation(fd);
    } catch (error) {
      throw named(error, this.path);
    } finally {
      this.#underWay--;
    }
  }

  #inPool(syscall: string, job: (fd: number) => Job): Promise<void> {
    return this.#use(syscall, (fd) => this.#context.pool.run(job(fd), this.path));
  }

  #checkSize(syscall: string, size: number): void {
    if (!Number.isSafeInteger(size) || size < 0) throw systemError(EINVAL, syscall, this.path, `${size} is no size`);
  }

  /** A file may not become shorter than what is mapped of it. */
  #checkMappings(syscall: string, size: number): void {
    for (const mapping of this.#mappings)
      if (size < mapping.length) throw systemError(EBUSY, syscall, this.path, 'mapped beyond the size asked for');
  }
}

/** A callback function of node:fs as a promise. By hand: `util.promisify` of fs.read builds an object for each call. */
function call<T>(start: (done: (error: Error | null, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error === null || error === undefined ? resolve(value as T) : reject(error)));
  });
}
