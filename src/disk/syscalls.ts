/**
 * The six Linux system calls that Node does not offer, through the optional package koffi.
 *
 * Scalar arguments only, called synchronously: koffi's asynchronous calls lose errno. Works on the main thread and in
 * workers, each of which loads its own functions. Where koffi is missing, on other platforms, on 32-bit processors
 * (whose `off_t` differs), and with `VARVE_NATIVE=0` in the environment, there is no `NativeSyscalls`, and the disk
 * does without: no mapping, no reserved space. Only this folder may call it.
 */
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { systemError } from './system-error.js';

export interface NativeSyscalls {
  /** fallocate(2) of `[0, length)`; `keepSize` reserves blocks behind the end of the file without moving the end. */
  fallocate(fd: number, keepSize: boolean, length: number): void;
  /**
   * mmap(2), shared and writable, of the first `length` bytes of the file, with madvise(2) MADV_RANDOM: without that, a
   * store into a page that is not in the page cache reads, or makes zeros of, as much as the device is set to read ahead
   * (8 MiB is not rare) before it returns, and leaves pages bound together so that every sync writes all of them.
   * Returns the address.
   */
  mapFile(fd: number, length: number): bigint;
  /** mmap(2) of fresh private memory: to find out whether views work, without touching a file. */
  mapAnonymous(length: number): bigint;
  munmap(address: bigint, length: number): void;
  /** The mapped bytes. Throws where the engine forbids memory of foreign origin (the V8 sandbox of Electron). */
  view(address: bigint, length: number): Uint8Array;
  /** flock(2), exclusive, without waiting. Throws `EAGAIN` when another descriptor holds the lock. */
  lockExclusive(fd: number): void;
  /** posix_fadvise(2) POSIX_FADV_DONTNEED from `from` on: drops the file's clean pages from the page cache. */
  dropCache(fd: number, from: number): void;
  /** posix_fadvise(2) POSIX_FADV_WILLNEED of [from, to): brings them into the page cache, in pages of their own. */
  prefetch(fd: number, from: number, to: number): void;
}

/** The part of koffi that is used, typed by hand so that type checking does not need the package. */
interface Koffi {
  load(library: null): { func(definition: string): (...values: unknown[]) => unknown };
  errno(): number;
  view(address: bigint, length: number): ArrayBuffer;
}

const FALLOC_FL_KEEP_SIZE = 1;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_PRIVATE_ANONYMOUS = 0x22;
/** (void *) -1. Not null, whatever koffi's examples say. */
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
const LOCK_EX_NB = 2 | 4;
const MADV_RANDOM = 1;
const POSIX_FADV_WILLNEED = 3;
const POSIX_FADV_DONTNEED = 4;
/** Of more than the device reads ahead at once, 128 KiB by default, WILLNEED takes only the first part. */
const WILLNEED_BYTES = 128 * 1024;

const ARCHITECTURES = ['x64', 'arm64', 'riscv64', 'loong64'];

let loaded: { calls: NativeSyscalls } | { problem: string } | undefined;

/** The native calls, or undefined where there are none. The environment is read each time, the package loaded once. */
export function nativeSyscalls(): NativeSyscalls | undefined {
  if (process.env.VARVE_NATIVE === '0') return undefined;
  loaded ??= load();
  return 'calls' in loaded ? loaded.calls : undefined;
}

/** Why `nativeSyscalls()` is undefined, in words for a person; empty when it is not. */
export function nativeProblem(): string {
  if (process.env.VARVE_NATIVE === '0') return 'native parts are disabled by VARVE_NATIVE=0';
  loaded ??= load();
  return 'problem' in loaded ? loaded.problem : '';
}

function load(): { calls: NativeSyscalls } | { problem: string } {
  if (process.platform !== 'linux' || !ARCHITECTURES.includes(process.arch)) {
    return { problem: `no native parts for ${process.platform} on ${process.arch}` };
  }
  try {
    return { calls: bind(createRequire(import.meta.url)('koffi') as Koffi) };
  } catch (error) {
    // An optional dependency: its absence is a lesser way of working, told by DiskFeatures.limits, and no failure.
    return { problem: `the optional package koffi does not load (${(error as Error).message.split('\n', 1)[0]})` };
  }
}

function bind(koffi: Koffi): NativeSyscalls {
  const libc = koffi.load(null); // the C library of this process, whatever its name (glibc, musl)
  const fallocate = libc.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)');
  const mmap = libc.func('void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)');
  const madvise = libc.func('int madvise(void *address, size_t length, int advice)');
  const munmap = libc.func('int munmap(void *address, size_t length)');
  const flock = libc.func('int flock(int fd, int operation)');
  const fadvise = libc.func('int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)');

  const map = (length: number, flags: number, fd: number): bigint => {
    const address = mmap(null, length, PROT_READ_WRITE, flags, fd, 0);
    if (address === MAP_FAILED) throw systemError(koffi.errno(), 'mmap');
    return address as bigint;
  };

  const advise = (fd: number, offset: number, length: number, advice: number): void => {
    const errno = fadvise(fd, offset, length, advice) as number; // returns the error itself
    if (errno !== 0) throw systemError(errno, 'posix_fadvise');
  };

  return {
    fallocate(fd, keepSize, length) {
      const mode = keepSize ? FALLOC_FL_KEEP_SIZE : 0;
      while (fallocate(fd, mode, 0, length) !== 0) {
        const errno = koffi.errno();
        // Not a retry of a failure: a signal came in the way (tmpfs lets it), and what was reserved so far stays.
        if (errno !== constants.errno.EINTR) throw systemError(errno, 'fallocate');
      }
    },
    mapFile(fd, length) {
      const address = map(length, MAP_SHARED, fd);
      madvise(address, length, MADV_RANDOM); // where it is refused, the mapping is only slower
      return address;
    },
    mapAnonymous: (length) => map(length, MAP_PRIVATE_ANONYMOUS, -1),
    munmap(address, length) {
      if (munmap(address, length) !== 0) throw systemError(koffi.errno(), 'munmap');
    },
    view: (address, length) => new Uint8Array(koffi.view(address, length)),
    lockExclusive(fd) {
      if (flock(fd, LOCK_EX_NB) !== 0) throw systemError(koffi.errno(), 'flock');
    },
    dropCache: (fd, from) => advise(fd, from, 0, POSIX_FADV_DONTNEED), // length 0 is "to the end"
    prefetch(fd, from, to) {
      for (let at = from; at < to; at += WILLNEED_BYTES) {
        advise(fd, at, Math.min(WILLNEED_BYTES, to - at), POSIX_FADV_WILLNEED);
      }
    },
  };
}
