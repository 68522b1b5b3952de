/**
 * The Disk port: the one seam between Varve and the operating system.
 *
 * Every byte that the log writes or reads, every name that it creates, changes or removes, passes this interface, so
 * that a simulated disk can stand in for all of it. Implementations promise:
 *
 * - An operation that fails rejects with (or throws, where it is synchronous) an `Error` that carries the system's `code` (`ENOSPC`, `EIO`, …)
 *   and, where known, `errno`, `syscall` and `path`, whichever thread it ran on.
 * - Nothing is retried and nothing is swallowed.
 * - Paths are absolute. Directories are flat: no operation recurses, except `makeDirectory`.
 */

/** How a segment file's space is reserved before it is used. */
export type AllocateMode =
  /** `fallocate`: blocks reserved and size set. */
  | 'allocate'
  /** `fallocate(FALLOC_FL_KEEP_SIZE)`: blocks reserved, size left as it is. Cannot be mapped past the end of the file. */
  | 'keep-size'
  /** Zeros are written over the whole range: reserved, sized, and every block already written once. */
  | 'zero'
  /** Nothing is reserved. */
  | 'none';

/** What a directory's file system can do. Found out once, when the log is opened. */
export interface DiskFeatures {
  /** `DiskFile.map` works here, and reserved space is real, so that a store into the mapping cannot fail. */
  readonly map: boolean;
  /** `allocate` with mode 'allocate' and 'keep-size' works here. */
  readonly fallocate: boolean;
  /** Name of the file system (`ext4`, `xfs`, `tmpfs`, …) or its magic number in hexadecimal. */
  readonly fileSystem: string;
  /** Why `map` or `fallocate` is false, in words for a person; empty when both are true. */
  readonly limits: string;
}

export type OpenMode =
  /** The file exists and is only read. */
  | 'read'
  /** The file exists and is read and written. */
  | 'write'
  /** The file must not exist (`EEXIST`); it is created, empty, for reading and writing. */
  | 'create';

/** A part of a file, named by its path. */
export interface FilePiece {
  readonly path: string;
  readonly position: number;
  readonly length: number;
}

export interface Disk {
  /** Milliseconds since the epoch: the only clock that reaches the bytes on disk. */
  now(): number;

  /** Fresh random bytes (segment salts, store ids). On this port so that a simulated disk can repeat a run exactly. */
  randomBytes(length: number): Uint8Array;

  /** What the file system of this existing directory can do. */
  features(directory: string): Promise<DiskFeatures>;

  /** Creates the directory and its missing parents, and makes the new entries durable. An existing one is left alone. */
  makeDirectory(directory: string): Promise<void>;

  /** Names in the directory, sorted. Rejects with `ENOENT` where there is no such directory. */
  list(directory: string): Promise<string[]>;

  open(path: string, mode: OpenMode): Promise<DiskFile>;

  /**
   * Reads one piece each of many files, in order, away from the calling thread: quicker than to open each. Resolves with
   * their bytes; a piece is shorter than asked for only where its file ends. Rejects with the first failure. A disk
   * without threads leaves this out.
   */
  readPieces?(pieces: readonly FilePiece[]): Promise<Uint8Array[]>;

  /** Renames within one directory, replacing what bears the new name. Durable only after `syncDirectory`. */
  rename(from: string, to: string): Promise<void>;

  /** Removes a name. Durable only after `syncDirectory`. May block for long on a large file, so it runs in the pool. */
  unlink(path: string): Promise<void>;

  /** Makes every create, rename and unlink in the directory that returned before this call durable. */
  syncDirectory(directory: string): Promise<void>;

  /**
   * Takes the exclusive lock that `path` stands for, without waiting. The kernel releases it when the process dies,
   * however it dies. Rejects with `VarveError` `ERR_VARVE_LOCKED` (`path`, `pid` where known) when anybody holds it,
   * this process included.
   */
  lock(path: string): Promise<DiskLock>;

  /** Bytes free for this user in the directory's file system. */
  freeBytes(directory: string): Promise<number>;

  /** Gives back what the disk itself holds (threads). Files and locks are closed by those who opened them. */
  close(): Promise<void>;
}

export interface DiskLock {
  release(): Promise<void>;
}

export interface DiskFile {
  /** Path under which the file was opened; a later rename does not change it. */
  readonly path: string;

  /** Current size in bytes. */
  size(): Promise<number>;

  /** Reads at `position` into the whole of `into`; resolves with the bytes read, fewer only at the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>;

  /** The same on the calling thread: for bytes that are expected to be in the page cache. */
  readSync(into: Uint8Array, position: number): number;

  /** Writes all of `bytes` at `position`, on the calling thread. A short write that cannot be completed throws. */
  writeSync(bytes: Uint8Array, position: number): void;

  /** fdatasync: what was written, also through a mapping, before this call began is durable when it resolves. */
  sync(): Promise<void>;

  /**
   * Reserves space for the bytes from 0 to `size`. 'none' only sets the size. Any mode but 'keep-size' leaves the file
   * exactly `size` bytes long; bytes that the file already had stay, except that 'zero' overwrites all of them.
   */
  allocate(mode: AllocateMode, size: number): Promise<void>;

  /**
   * Makes the content durable and then drops what the page cache holds from `from` to the end: nobody is going to read
   * it soon. Large reads and writes leave large folios in the cache, and a store through a mapping into one of them
   * makes every later sync write all of it back. A disk without a page cache leaves this out.
   */
  dropCache?(from: number): Promise<void>;

  /**
   * Begins to bring [from, to) into the page cache, page by page, away from the calling thread: what is about to be
   * written through a mapping. It is advice: nobody is told what came of it, and `close` waits for it. A disk without
   * a page cache leaves this out.
   */
  prefetch?(from: number, to: number): void;

  /** Sets the size; a grown file reads as zeros in the new part. Never call it on a file that is mapped. */
  truncate(size: number): Promise<void>;

  /** Maps the first `length` bytes, shared and writable. The file must be at least that long. */
  map(length: number): DiskMapping;

  /** Closes the file. The caller has awaited every operation that it started. */
  close(): Promise<void>;
}

export interface DiskMapping {
  /** The mapped bytes. Touching them after `unmap` kills the process: whoever unmaps drops every view first. */
  readonly bytes: Uint8Array;
  unmap(): void;
}
