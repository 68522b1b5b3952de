/**
 * A Disk in memory, and a wrapper that sees every operation: for tests that open a log thousands of times, and for
 * crashes between two operations. It has no page cache: what is written is there. Losing unsynced bytes is the
 * business of the simulated disk.
 */
import { basename } from 'node:path';
import type {
  AllocateMode,
  Disk,
  DiskFeatures,
  DiskFile,
  DiskLock,
  DiskMapping,
  OpenMode,
} from '../../../src/disk/disk.js';

class Inode {
  bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  resize(size: number): void {
    if (size === this.bytes.length) return;
    const bytes = new Uint8Array(size);
    bytes.set(this.bytes.subarray(0, size));
    this.bytes = bytes;
  }
}

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code, path });
}

/** One flat directory, whatever it is called; names are the last parts of the paths. */
export class MemoryDisk implements Disk {
  readonly #files = new Map<string, Inode>();
  readonly #locks = new Set<string>();
  #random = 1;

  constructor(files: Readonly<Record<string, Uint8Array>> = {}, seed = 1) {
    for (const [name, bytes] of Object.entries(files)) this.#files.set(name, new Inode(bytes.slice()));
    this.#random = seed;
  }

  /** Copies of all files by name, as a crash of the process would leave them. */
  snapshot(): Record<string, Uint8Array> {
    return Object.fromEntries([...this.#files].map(([name, inode]) => [name, inode.bytes.slice()]));
  }

  now(): number {
    return 1_700_000_000_000;
  }

  randomBytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => {
      this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0;
      return this.#random >>> 24;
    });
  }

  async features(): Promise<DiskFeatures> {
    return { map: true, fallocate: true, fileSystem: 'memory', limits: '' };
  }

  async makeDirectory(): Promise<void> {}

  async list(): Promise<string[]> {
    return [...this.#files.keys()].sort();
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const name = basename(path);
    let inode = this.#files.get(name);
    if (mode === 'create') {
      if (inode !== undefined) throw systemError('EEXIST', path);
      inode = new Inode(new Uint8Array(0));
      this.#files.set(name, inode);
    }
    if (inode === undefined) throw systemError('ENOENT', path);
    return new MemoryFile(path, inode);
  }

  async rename(from: string, to: string): Promise<void> {
    const inode = this.#files.get(basename(from));
    if (inode === undefined) throw systemError('ENOENT', from);
    this.#files.delete(basename(from));
    this.#files.set(basename(to), inode);
  }

  async unlink(path: string): Promise<void> {
    if (!this.#files.delete(basename(path))) throw systemError('ENOENT', path);
  }

  async syncDirectory(): Promise<void> {}

  async lock(path: string): Promise<DiskLock> {
    if (this.#locks.has(path)) throw systemError('EBUSY', path);
    this.#locks.add(path);
    return {
      release: async () => {
        this.#locks.delete(path);
      },
    };
  }

  async freeBytes(): Promise<number> {
    return 1e12;
  }

  async close(): Promise<void> {}
}

class MemoryFile implements DiskFile {
  readonly path: string;
  readonly #inode: Inode;

  constructor(path: string, inode: Inode) {
    this.path = path;
    this.#inode = inode;
  }

  async size(): Promise<number> {
    return this.#inode.bytes.length;
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    return this.readSync(into, position);
  }

  readSync(into: Uint8Array, position: number): number {
    const found = this.#inode.bytes.subarray(position, position + into.length);
    into.set(found);
    return found.length;
  }

  writeSync(bytes: Uint8Array, position: number): void {
    this.#inode.resize(Math.max(this.#inode.bytes.length, position + bytes.length));
    this.#inode.bytes.set(bytes, position);
  }

  async sync(): Promise<void> {}

  async allocate(mode: AllocateMode, size: number): Promise<void> {
    if (mode === 'zero') this.#inode.bytes.fill(0);
    if (mode !== 'keep-size') this.#inode.resize(size);
  }

  async truncate(size: number): Promise<void> {
    this.#inode.resize(size);
  }

  map(length: number): DiskMapping {
    return { bytes: this.#inode.bytes.subarray(0, length), unmap: () => {} };
  }

  async close(): Promise<void> {}
}

/** Called before an operation, with its name and the path of its file or its first argument. A throw is its failure. */
export type Watch = (operation: string, path: string, args: readonly unknown[]) => void;

const SYNCHRONOUS = new Set(['now', 'randomBytes', 'readSync', 'writeSync', 'map']);

/** The same disk, watched. */
export function watched(disk: Disk, watch: Watch): Disk {
  return watchedObject(disk, watch);
}

function watchedObject<T extends Disk | DiskFile>(target: T, watch: Watch): T {
  return new Proxy(target, {
    get(_target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      const run = (args: unknown[]): unknown => {
        watch(String(key), 'path' in target ? target.path : String(args[0]), args);
        return value.apply(target, args);
      };
      if (SYNCHRONOUS.has(String(key))) return (...args: unknown[]) => run(args);
      return async (...args: unknown[]) => {
        const result = await run(args);
        return key === 'open' ? watchedObject(result as DiskFile, watch) : result;
      };
    },
  });
}

const CHANGING = new Set(['writeSync', 'sync', 'allocate', 'truncate', 'rename', 'unlink', 'syncDirectory']);

/** True for an operation that changes what is on the disk, or promises that it stays. */
export function changes(operation: string, args: readonly unknown[]): boolean {
  return CHANGING.has(operation) || (operation === 'open' && args[1] === 'create');
}

/** A disk on which the process dies at its `nth` changing operation (from 0): that one and all later ones throw. */
export function dyingDisk(disk: Disk, nth: number): { disk: Disk; died: () => boolean } {
  let done = 0;
  const dying = watched(disk, (operation, _path, args) => {
    if (changes(operation, args) && done++ >= nth)
      throw Object.assign(new Error('the process is dead'), { code: 'EDEAD' });
  });
  return { disk: dying, died: () => done > nth };
}
