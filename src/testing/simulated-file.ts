/** An open file of the simulated disk. Made by the simulated disk alone. */
import { constants } from 'node:os';
import type { AllocateMode, DiskFile, DiskMapping } from '../disk/disk.js';
import { type SystemError, systemError } from '../disk/system-error.js';
import type { Fault } from './faults.js';
import type { Inode } from './inode.js';
import type { Operation, OperationKind } from './operations.js';

const { EBADF, EBUSY, EINVAL, ENOSPC, EOPNOTSUPP } = constants.errno;

/** What a file asks of its disk. */
export interface FileHost {
  readonly canMap: boolean;
  readonly canAllocate: boolean;
  /** Bytes that can still be reserved. */
  readonly free: number;
  /** Something that must be given back: an open file or a mapping. */
  hold(what: object, name: string): void;
  letGo(what: object): void;
  /** The name that the inode bears now; `opened` where it has none any more. */
  pathOf(inode: Inode, opened: string): string;
  run<T>(
    kind: OperationKind,
    path: string,
    target: object,
    work: (fault: Fault | undefined, operation: Operation) => () => T,
    offset?: number,
    length?: number,
  ): Promise<T>;
  runNow<T>(
    kind: OperationKind,
    path: string,
    work: (fault: Fault | undefined) => T,
    offset?: number,
    length?: number,
  ): T;
}

/** The error that a rule asks for. */
export function faultError(code: string, kind: string, path: string): SystemError {
  const errno = constants.errno[code as keyof typeof constants.errno];
  if (errno === undefined) throw new Error(`A fault names an unknown error, ${code}`);
  return systemError(errno, kind, path, 'a simulated fault');
}

export class SimulatedFile implements DiskFile {
  readonly path: string;
  readonly #inode: Inode;
  readonly #host: FileHost;
  readonly #writable: boolean;
  readonly #mappings = new Set<{ readonly length: number }>();
  #open = true;
  #underWay = 0;

  constructor(path: string, inode: Inode, host: FileHost, writable: boolean) {
    this.path = path;
    this.#inode = inode;
    this.#host = host;
    this.#writable = writable;
    inode.references++;
    host.hold(this, `file ${path}`);
  }

  size(): Promise<number> {
    return this.#run('size', () => () => this.#inode.size);
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return this.#run('read', (fault) => () => this.#read(into, position, fault), position, into.length);
  }

  readSync(into: Uint8Array, position: number): number {
    this.#check('read');
    const read = (fault: Fault | undefined) => this.#read(into, position, fault);
    return this.#host.runNow('readSync', this.#name, read, position, into.length);
  }

  writeSync(bytes: Uint8Array, position: number): void {
    this.#check('write');
    if (!this.#writable) throw systemError(EBADF, 'write', this.path, 'the file was opened to be read');
    const write = (fault: Fault | undefined) => this.#write(bytes, position, fault);
    this.#host.runNow('write', this.#name, write, position, bytes.length);
  }

  sync(): Promise<void> {
    const inode = this.#inode;
    return this.#run('sync', (fault, { path }) => {
      if (fault !== undefined && 'writeback' in fault && fault.report !== 'next') {
        return () => {
          inode.failWriteback(fault.writeback);
          throw faultError('EIO', 'fdatasync', path);
        };
      }
      const failed = inode.failedBefore();
      const point = inode.beginSync();
      return () => {
        if (failed) throw faultError('EIO', 'fdatasync', path);
        inode.finishSync(point);
        if (fault !== undefined && 'writeback' in fault) inode.failLater(fault.writeback);
      };
    });
  }

  allocate(mode: AllocateMode, size: number): Promise<void> {
    return this.#run('allocate', (fault) => () => this.#allocate(mode, size, fault), 0, size);
  }

  dropCache(from: number): Promise<void> {
    const inode = this.#inode;
    return this.#run('dropCache', () => {
      const point = inode.beginSync();
      return () => {
        inode.finishSync(point);
        inode.dropCache(from);
      };
    });
  }

  truncate(size: number): Promise<void> {
    const cut = () => {
      this.#checkSize('ftruncate', size);
      this.#inode.resize(size);
      this.#inode.extents.cut(size);
    };
    return this.#run('truncate', () => cut, size);
  }

  map(length: number): DiskMapping {
    this.#check('mmap');
    return this.#host.runNow('map', this.#name, () => this.#map(length), 0, length);
  }

  async close(): Promise<void> {
    this.#check('close');
    if (this.#underWay > 0) throw systemError(EBUSY, 'close', this.path, 'an operation is under way');
    this.#open = false;
    this.#host.letGo(this);
    await this.#host.run('close', this.#name, this.#inode, () => () => {
      this.#inode.references--;
    });
  }

  get #name(): string {
    return this.#host.pathOf(this.#inode, this.path);
  }

  #check(syscall: string): void {
    if (!this.#open) throw systemError(EBADF, syscall, this.path, 'the file is closed');
  }

  async #run<T>(
    kind: OperationKind,
    work: (fault: Fault | undefined, operation: Operation) => () => T,
    offset = 0,
    length = 0,
  ): Promise<T> {
    this.#check(kind);
    this.#underWay++;
    try {
      return await this.#host.run(kind, this.#name, this.#inode, work, offset, length);
    } finally {
      this.#underWay--;
    }
  }

  #read(into: Uint8Array, position: number, fault: Fault | undefined): number {
    const bytes = this.#inode.cached.subarray(position, position + into.length);
    if (!this.#inode.readable(position, position + bytes.length)) throw faultError('EIO', 'read', this.path);
    into.set(bytes);
    if (fault !== undefined && 'flip' in fault) {
      const at = fault.flip.offset - position;
      if (at >= 0 && at < bytes.length) into[at] = (into[at] as number) ^ (1 << fault.flip.bit);
    }
    return bytes.length;
  }

  #write(bytes: Uint8Array, position: number, fault: Fault | undefined): void {
    const inode = this.#inode;
    const at = fault !== undefined && 'misdirect' in fault ? Math.max(0, position + fault.misdirect) : position;
    const wanted = fault !== undefined && 'error' in fault ? at + (fault.after ?? 0) : at + bytes.length;
    // As the kernel does: what fits is written, and only then is there no space.
    const reached = Math.min(wanted, inode.extents.reach(at, wanted, this.#host.free));
    if (reached > at) {
      inode.extents.add(at, reached);
      inode.write(at, bytes.subarray(0, reached - at));
    }
    if (reached < wanted) throw systemError(ENOSPC, 'write', this.path);
    if (fault !== undefined && 'error' in fault) throw faultError(fault.error, 'write', this.path);
  }

  #allocate(mode: AllocateMode, size: number, fault: Fault | undefined): void {
    const inode = this.#inode;
    this.#checkSize('fallocate', size, mode !== 'keep-size');
    if (!this.#host.canAllocate && (mode === 'allocate' || mode === 'keep-size')) {
      throw systemError(EOPNOTSUPP, 'fallocate', this.path, 'the simulated disk was told not to');
    }
    if (fault !== undefined && 'error' in fault) {
      if (fault.after !== undefined) inode.extents.add(0, Math.min(fault.after, size));
      inode.extents.cut(inode.size);
      throw faultError(fault.error, 'fallocate', this.path);
    }
    if (mode !== 'none') {
      if (inode.extents.missing(0, size) > this.#host.free) {
        inode.extents.cut(inode.size); // what was got so far has been given back
        throw systemError(ENOSPC, 'fallocate', this.path);
      }
      inode.extents.add(0, size);
    }
    if (mode === 'zero') inode.write(0, new Uint8Array(size));
    if (mode === 'keep-size') return;
    inode.resize(size);
    inode.extents.cut(size);
  }

  #map(length: number): DiskMapping {
    const inode = this.#inode;
    if (!this.#host.canMap) throw systemError(EOPNOTSUPP, 'mmap', this.path, 'the simulated disk was told not to');
    if (!Number.isSafeInteger(length) || length < 1 || inode.size < length) {
      throw systemError(EINVAL, 'mmap', this.path, `the file does not have ${length} bytes to map`);
    }
    // On a real disk a store into a hole takes space, and kills the process where there is none.
    if (inode.extents.missing(0, length) > this.#host.free) {
      throw systemError(ENOSPC, 'mmap', this.path, 'a store into this mapping could kill the process');
    }
    inode.extents.add(0, length);
    const mapping = { length };
    this.#mappings.add(mapping);
    this.#host.hold(mapping, `mapping ${this.path}`);
    inode.references++;
    let bytes: Uint8Array | undefined = inode.map(length);
    return {
      get bytes() {
        if (bytes === undefined) throw new Error('The mapping was given up by unmap(): its bytes are gone');
        return bytes;
      },
      unmap: () => {
        if (bytes === undefined) return;
        bytes = undefined;
        this.#host.runNow('unmap', this.#name, () => inode.unmap(), 0, length);
        inode.references--;
        this.#mappings.delete(mapping);
        this.#host.letGo(mapping);
      },
    };
  }

  #checkSize(syscall: string, size: number, sets = true): void {
    if (!Number.isSafeInteger(size) || size < 0) throw systemError(EINVAL, syscall, this.path, `${size} is no size`);
    for (const { length } of sets ? this.#mappings : []) {
      if (size < length) throw systemError(EBUSY, syscall, this.path, 'mapped beyond the size asked for');
    }
  }
}
