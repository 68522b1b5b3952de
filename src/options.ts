/**
 * Options of `openLog`, of reading and of appending: defaults, units, limits, and the checks that refuse a bad one by
 * name before anything is touched.
 */
import { resolve } from 'node:path';
import type { AllocateMode, Disk } from './disk/disk.js';
import { VarveError } from './errors.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** A header page and a KiB of frames: small enough that tests rotate all the time. */
export const MIN_SEGMENT_SIZE = 5 * KIB;
/** Offsets in a segment fit in 31 bits, also in bytes behind its end. */
export const MAX_SEGMENT_SIZE = 2 * GIB;

/** `'mmap'`: segments are mapped; `'write'`: positioned writes; `'auto'`: mmap where that is safe and available. */
export type IoMode = 'auto' | 'mmap' | 'write';

/** What an append waits for. `'durable'`: an fdatasync that began after the write. `'written'`: the operating system has it. */
export type Ack = 'durable' | 'written';

export interface SpacePressure {
  /** 'low': space for coming segments is lacking. 'blocked': appends wait for a segment. */
  readonly state: 'low' | 'blocked';
  /** Bytes free in the file system, for this user. */
  readonly freeBytes: number;
  /** Prepared segments that are left. */
  readonly ready: number;
  /** The error that the operating system reported. */
  readonly cause: unknown;
}

export interface PreallocateOptions {
  /** Segments kept ready ahead of need, for all partitions together: 0 … 64. Default 1. */
  segments?: number;
  /** How space is reserved. Default 'allocate'; degrades, with a `degraded` event, to what the file system can do. */
  mode?: AllocateMode;
}

export interface OpenLogOptions {
  /** Directory of the log; created if it is missing. */
  directory: string;
  /** Read beside a writer in another process; nothing is locked or changed. Default false. */
  readOnly?: boolean;
  /** Bytes of a segment file: 5 KiB … 2 GiB. Default 64 MiB. Segments that exist keep their size. */
  segmentSize?: number;
  /** Default 'auto'. */
  io?: IoMode;
  preallocate?: PreallocateOptions;
  /** Purged segment files kept for reuse, for all partitions together: 0 … 1024. More are deleted. Default 2. */
  recycle?: number;
  /** Bytes written but not yet synced, per partition, past which `append` waits and `write` throws. Default 64 MiB. */
  maxUnsyncedBytes?: number;
  /** Appends that may wait for room or space, per partition; more are refused. 1 … 2²⁴. Default 65,536. */
  maxQueuedAppends?: number;
  /** What happens to appends that need a new segment while there is no space for one. Default 'wait'. */
  whenFull?: 'wait' | 'refuse';
  /** Called once per episode of lacking space; may checkpoint and purge. Preparing is tried again when it resolves. */
  onSpacePressure?: (pressure: SpacePressure) => void | Promise<void>;
  /** Threads for fdatasync, fallocate and what else blocks: 1 … 64. Default 4. */
  threads?: number;
  /** 'full' verifies every frame when a partition is opened, 'tail' those of the last segment. Default 'tail'. */
  verify?: 'tail' | 'full';
  /** By partition: the LSN that the caller knows to have been acknowledged as durable. A log that ends before it is refused. */
  minDurableLsn?: Readonly<Record<number, number>>;
  /** Segment files held open for reading: 1 … 65,536. Default 64. */
  maxReadHandles?: number;
  /** Bytes of sparse indexes kept in memory. Default 8 MiB. */
  indexCacheBytes?: number;
  /** Bytes of segments, around single records that were read lately, kept in memory: 1 KiB … 64 GiB. Default 8 MiB. */
  blockCacheBytes?: number;
  /** Read-only: how often a reader that waits looks for new records, ms: 1 … 60,000. Default 20. */
  pollInterval?: number;
  /** The disk. Default: the real one. */
  disk?: Disk;
}

export interface ResolvedOptions extends Required<Omit<OpenLogOptions, 'disk' | 'onSpacePressure' | 'preallocate'>> {
  preallocate: Required<PreallocateOptions>;
  onSpacePressure: ((pressure: SpacePressure) => void | Promise<void>) | undefined;
  disk: Disk | undefined;
}

export type Check = (value: unknown, option: string) => void;

/** `ERR_VARVE_INVALID_OPTION` for `option`. */
export function invalid(option: string, value: unknown, expected: string): VarveError {
  let shown: string;
  try {
    shown = typeof value === 'function' ? 'a function' : (JSON.stringify(value) ?? String(value));
  } catch {
    shown = String(value); // BigInts and cycles
  }
  return new VarveError('ERR_VARVE_INVALID_OPTION', `Option '${option}' is ${shown}; it must be ${expected}.`, {
    option,
  });
}

export const integer =
  (min: number, max: number): Check =>
  (value, option) => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      throw invalid(option, value, `an integer from ${min} to ${max}`);
    }
  };
export const oneOf =
  (...choices: readonly string[]): Check =>
  (value, option) => {
    if (!choices.includes(value as string)) throw invalid(option, value, choices.map((c) => `'${c}'`).join(' or '));
  };
export const boolean: Check = (value, option) => {
  if (typeof value !== 'boolean') throw invalid(option, value, 'true or false');
};
export const callback: Check = (value, option) => {
  if (typeof value !== 'function') throw invalid(option, value, 'a function');
};
const lsn: Check = integer(1, Number.MAX_SAFE_INTEGER);

/** Checks `given` against one check per known key; unknown keys are refused by name. */
export function checkAll(given: unknown, checks: Readonly<Record<string, Check>>, where: string): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw invalid(where, given, 'an object');
  }
  for (const [key, value] of Object.entries(given)) {
    const check = Object.hasOwn(checks, key) ? checks[key] : undefined;
    const option = where === 'options' ? key : `${where}.${key}`;
    if (check === undefined) {
      throw new VarveError(
        'ERR_VARVE_INVALID_OPTION',
        `Option '${option}' is unknown; known are ${Object.keys(checks).join(', ')}.`,
        { option },
      );
    }
    if (value !== undefined) check(value, option);
  }
}

const PREALLOCATE_CHECKS = {
  segments: integer(0, 64),
  mode: oneOf('allocate', 'keep-size', 'zero', 'none'),
};

export const pathCheck: Check = (value, option) => {
  if (typeof value !== 'string' || value === '' || value.includes('\0')) throw invalid(option, value, 'a path');
};
export const diskCheck: Check = (value, option) => {
  if (typeof value !== 'object' || value === null) throw invalid(option, value, 'a Disk');
};

const LOG_CHECKS: Readonly<Record<keyof OpenLogOptions, Check>> = {
  directory: pathCheck,
  readOnly: boolean,
  segmentSize: integer(MIN_SEGMENT_SIZE, MAX_SEGMENT_SIZE),
  io: oneOf('auto', 'mmap', 'write'),
  preallocate: (value, option) => checkAll(value, PREALLOCATE_CHECKS, option),
  recycle: integer(0, 1024),
  maxUnsyncedBytes: integer(KIB, 64 * GIB),
  maxQueuedAppends: integer(1, 2 ** 24),
  whenFull: oneOf('wait', 'refuse'),
  onSpacePressure: callback,
  threads: integer(1, 64),
  verify: oneOf('tail', 'full'),
  minDurableLsn: (value, option) => {
    // A Map has no keys of its own: all that it says would be passed over.
    if (Object.prototype.toString.call(value) !== '[object Object]') {
      throw invalid(option, value, 'an object of LSNs by partition');
    }
    for (const [partition, floor] of Object.entries(value as object)) {
      // Only this spelling is found again: '01' is no partition.
      const number = String(Number(partition)) === partition ? Number(partition) : partition;
      checkPartition(number, `${option}.${partition}`);
      integer(0, Number.MAX_SAFE_INTEGER)(floor, `${option}.${partition}`);
    }
  },
  maxReadHandles: integer(1, 65_536),
  indexCacheBytes: integer(KIB, 64 * GIB),
  blockCacheBytes: integer(KIB, 64 * GIB),
  pollInterval: integer(1, 60_000),
  disk: diskCheck,
};

/** Checks the options of `openLog` and fills in defaults. Throws `ERR_VARVE_INVALID_OPTION` with `option`. */
export function resolveOptions(given: OpenLogOptions): ResolvedOptions {
  checkAll(given, LOG_CHECKS, 'options');
  if (given.directory === undefined) throw invalid('directory', undefined, 'a path');
  return {
    directory: resolve(given.directory),
    readOnly: given.readOnly ?? false,
    segmentSize: given.segmentSize ?? 64 * MIB,
    io: given.io ?? 'auto',
    preallocate: { segments: given.preallocate?.segments ?? 1, mode: given.preallocate?.mode ?? 'allocate' },
    recycle: given.recycle ?? 2,
    maxUnsyncedBytes: given.maxUnsyncedBytes ?? 64 * MIB,
    maxQueuedAppends: given.maxQueuedAppends ?? 65_536,
    whenFull: given.whenFull ?? 'wait',
    onSpacePressure: given.onSpacePressure,
    threads: given.threads ?? 4,
    verify: given.verify ?? 'tail',
    minDurableLsn: { ...given.minDurableLsn },
    maxReadHandles: given.maxReadHandles ?? 64,
    indexCacheBytes: given.indexCacheBytes ?? 8 * MIB,
    blockCacheBytes: given.blockCacheBytes ?? 8 * MIB,
    pollInterval: given.pollInterval ?? 20,
    disk: given.disk,
  };
}

/** Throws unless `partition` is an integer from 0 to 2³² − 1. */
export function checkPartition(partition: unknown, option = 'partition'): void {
  integer(0, 0xffff_ffff)(partition, option);
}

/** Throws unless `value` can be an LSN: an integer from 1 to 2⁵³ − 1. */
export function checkLsn(value: unknown, option: string): void {
  lsn(value, option);
}

/** Throws unless `value` is a `Uint8Array` that still has its buffer: without it, it would pass for an empty one. */
export function checkPayload(value: unknown, option: string): void {
  // A payload may come from another realm.
  const isBytes =
    value instanceof Uint8Array ||
    (ArrayBuffer.isView(value) && Object.prototype.toString.call(value) === '[object Uint8Array]');
  if (!isBytes) throw invalid(option, value === undefined ? undefined : typeof value, 'a Uint8Array');
  if (value.byteLength === 0 && isDetached(value.buffer)) {
    throw invalid(option, 'detached', 'a Uint8Array whose buffer was not transferred');
  }
}

function isDetached(buffer: ArrayBufferLike): boolean {
  try {
    new Uint8Array(buffer);
    return false;
  } catch {
    return true; // `detached` says so, too, but not in Node 20
  }
}

export interface AppendOptions {
  /** Default 'durable'. */
  ack?: Ack;
}

const APPEND_CHECKS = { ack: oneOf('durable', 'written') };

/** True if there is no key but `ack`; without making an array of the keys. */
function hasNoOther(options: AppendOptions): boolean {
  for (const key in options) if (key !== 'ack') return false;
  return true;
}

export function resolveAck(options: AppendOptions | undefined): Ack {
  if (options === undefined) return 'durable';
  // The one shape that is worth a short cut: it is met on every written append.
  if (options?.ack === 'written' && hasNoOther(options)) return 'written';
  checkAll(options, APPEND_CHECKS, 'options');
  return options.ack ?? 'durable';
}

/** Where reading begins or ends: an LSN, or the position that an append or a record gave. */
export type ReadFrom = number | { readonly segmentIndex: number; readonly localOffset: number };

export interface ReadOptions {
  /** First record: LSN or position. Default: the oldest, or the newest when reading backward. */
  from?: ReadFrom;
  /** Last LSN, inclusive. Default: the newest that is visible when reading begins, or the oldest when reading backward. */
  to?: number;
  /** Most records to read, exactly. Default: no limit. */
  limit?: number;
  /** Default 'forward'. With an s it means the same, as event stores spell it. */
  direction?: 'forward' | 'backward' | 'forwards' | 'backwards';
  /** Leave out the record at `from` itself. Default false. */
  exclusive?: boolean;
  /** 'written' also shows records that are not durable yet. Default 'durable'. */
  visibility?: Ack;
  /** Ends reading: what is being awaited rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Following is reading forward without an end. */
export type FollowOptions = Pick<ReadOptions, 'from' | 'exclusive' | 'visibility' | 'signal'>;

export const signalCheck: Check = (value, option) => {
  if (typeof (value as AbortSignal)?.addEventListener !== 'function') throw invalid(option, value, 'an AbortSignal');
};

const FOLLOW_CHECKS: Readonly<Record<string, Check>> = {
  from: (value, option) => {
    if (typeof value !== 'object' || value === null) return lsn(value, option);
    const { segmentIndex, localOffset } = value as { segmentIndex: unknown; localOffset: unknown };
    integer(1, 9_999_999_999)(segmentIndex, `${option}.segmentIndex`);
    integer(0, MAX_SEGMENT_SIZE)(localOffset, `${option}.localOffset`);
  },
  exclusive: boolean,
  visibility: oneOf('durable', 'written'),
  signal: signalCheck,
};

const READ_CHECKS: Readonly<Record<string, Check>> = {
  ...FOLLOW_CHECKS,
  to: lsn,
  limit: integer(0, Number.MAX_SAFE_INTEGER),
  direction: oneOf('forward', 'backward', 'forwards', 'backwards'),
};

export function checkReadOptions(options: ReadOptions): void {
  checkAll(options, READ_CHECKS, 'options');
}

export function checkFollowOptions(options: FollowOptions): void {
  checkAll(options, FOLLOW_CHECKS, 'options');
}

/** Throws unless `value` is an `AbortSignal`; an aborted one throws its reason. */
export const checkSignal: Check = (value, option) => {
  signalCheck(value, option);
  (value as AbortSignal).throwIfAborted();
};

export const WAIT_CHECKS = { signal: checkSignal };
export const PROGRESS_CHECKS = { signal: checkSignal, onProgress: callback };
