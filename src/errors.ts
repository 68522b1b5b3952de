/**
 * Every error that Varve raises on purpose.
 *
 * One class, one stable `code` per rule, and fields that a program can act on. A message says what happened,
 * where, and what the user can do; programs look at `code`, never at the message.
 */

export type VarveErrorCode =
  /** An option or argument is unknown, of the wrong type or out of range. Fields: `option`. */
  | 'ERR_VARVE_INVALID_OPTION'
  /** Another process (or this one) owns the directory. Fields: `path`, `pid`. */
  | 'ERR_VARVE_LOCKED'
  /** Acknowledged data are damaged or missing. Fields: `partition`, `segment`, `offset`, `firstLsn`, `lastLsn`, `path`. */
  | 'ERR_VARVE_CORRUPT'
  /** The directory holds a log of another, older or foreign, kind. Fields: `path`. */
  | 'ERR_VARVE_LEGACY_WAL'
  /** A segment belongs to another store than the rest of the directory. Fields: `path`, `partition`, `segment`. */
  | 'ERR_VARVE_FOREIGN'
  /** A segment or the manifest asks for a newer reader than this one. Fields: `path` (of a segment). */
  | 'ERR_VARVE_UNSUPPORTED_VERSION'
  /**
   * This machine or file system cannot do what an option asks for, or a framework's version is not supported.
   * Fields: `option`, `path`.
   */
  | 'ERR_VARVE_UNSUPPORTED'
  /** No space for another segment, and `whenFull` is 'refuse' or its queue is full. Fields: `partition`, `path`. */
  | 'ERR_VARVE_NO_SPACE'
  /** The partition has failed (an fsync or a write failed); only closing and opening again helps. Fields: `partition`, `cause`. */
  | 'ERR_VARVE_PARTITION_FAILED'
  /** A record or batch is larger than one segment can hold. Fields: `size`, `limit`. */
  | 'ERR_VARVE_RECORD_TOO_LARGE'
  /** The LSN or position asked for was given up by a purge. Fields: `partition`, `requested` or `segment`, `oldest`. */
  | 'ERR_VARVE_LSN_PURGED'
  /** The LSN (or position) asked for does not exist. Fields: `partition`, `requested`, `oldest`, `newest`, or `segment`, `offset`. */
  | 'ERR_VARVE_LSN_OUT_OF_RANGE'
  /** Too many bytes are waiting to be synced. Fields: `partition`, `size`, `limit`. */
  | 'ERR_VARVE_BACKPRESSURE'
  /** The log or partition is closed or closing. Fields: `partition`. */
  | 'ERR_VARVE_CLOSED'
  /** Read-only: an interrupted truncation must be finished first, by opening the log for writing. Fields: `partition`, `path`. */
  | 'ERR_VARVE_RECOVERY_REQUIRED'
  /** The log was opened with `readOnly: true`. Fields: `partition`, `path`. */
  | 'ERR_VARVE_READ_ONLY'
  /** The stream is not at the expected revision. Fields: `stream`, `expected`, `actual`. */
  | 'ERR_VARVE_WRONG_REVISION'
  /** The stream does not exist, or was deleted. Fields: `stream`. */
  | 'ERR_VARVE_STREAM_NOT_FOUND'
  /** The stream was tombstoned: it can never be used again. Fields: `stream`. */
  | 'ERR_VARVE_STREAM_TOMBSTONED'
  /**
   * An event cannot be stored or read back: a bad type or id, data that the codec does not keep, bytes that it cannot
   * read, an upcaster that failed. Fields: `stream`, `option`, `valuePath`, `eventType`, `schemaVersion`, `line`, those that apply.
   */
  | 'ERR_VARVE_INVALID_EVENT'
  /** A backup is incomplete, damaged, or of another store. Fields: `path`. */
  | 'ERR_VARVE_BACKUP'
  /** A checkpoint is not at the expected revision: somebody else has written it. Fields: `consumer`, `expected`, `actual`. */
  | 'ERR_VARVE_CHECKPOINT_CONFLICT'
  /** A handler took longer than `handlerTimeout`, or another host runs the actor. Fields: `consumer`, `stream`. */
  | 'ERR_VARVE_LEASE_LOST'
  /** A durable actor has reached its final state, has failed or was stopped: it takes no more events. Fields: `stream`. */
  | 'ERR_VARVE_ACTOR_ENDED'
  /** A durable actor cannot take an event in its present state. Fields: `stream`, `eventType`. */
  | 'ERR_VARVE_EVENT_REFUSED'
  /** A machine computes something else at replay than it did before. Fields: `stream`, `revision`, `eventType`. */
  | 'ERR_VARVE_DIVERGED'
  /** A snapshot is of another version of its machine, and nothing makes one of the other. Fields: `stream`. */
  | 'ERR_VARVE_MACHINE_VERSION'
  /** An operation of the operating system failed. Fields: `path`, `cause` (with the system's own `code`). */
  | 'ERR_VARVE_IO';

export interface VarveErrorFields {
  /** Name of the option or argument that is wrong. */
  option?: string;
  /** File or directory concerned. */
  path?: string;
  /** Process id of the owner of a lock. */
  pid?: number;
  /** Partition number. */
  partition?: number;
  /** Segment index within the partition. */
  segment?: number;
  /** Byte offset within the segment file. */
  offset?: number;
  /** First LSN of the range concerned. */
  firstLsn?: number;
  /** Last LSN of the range concerned. */
  lastLsn?: number;
  /** LSN that was asked for. */
  requested?: number;
  /** Oldest LSN that can be read. */
  oldest?: number;
  /** Newest LSN that can be read. */
  newest?: number;
  /** Size in bytes of what was refused. */
  size?: number;
  /** Limit in bytes that was passed. */
  limit?: number;
  /** Place within an event's value, such as `data.items[3].price`. */
  valuePath?: string;
  /** Type of the event concerned. */
  eventType?: string;
  /** Schema version of the event concerned. */
  schemaVersion?: number;
  /** Line of an import, from 1. */
  line?: number;
  /** Stream id. */
  stream?: string;
  /** Revision of the event concerned, in its stream. */
  revision?: bigint;
  /** Name of a consumer. */
  consumer?: string;
  /** Revision that the writer expected of the stream. */
  expected?: 'any' | 'noStream' | 'newStream' | 'streamExists' | bigint;
  /** Revision that the stream has. */
  actual?: 'noStream' | bigint;
}

export class VarveError extends Error implements VarveErrorFields {
  readonly code: VarveErrorCode;
  declare readonly option?: string;
  declare readonly path?: string;
  declare readonly pid?: number;
  declare readonly partition?: number;
  declare readonly segment?: number;
  declare readonly offset?: number;
  declare readonly firstLsn?: number;
  declare readonly lastLsn?: number;
  declare readonly requested?: number;
  declare readonly oldest?: number;
  declare readonly newest?: number;
  declare readonly size?: number;
  declare readonly limit?: number;
  declare readonly valuePath?: string;
  declare readonly eventType?: string;
  declare readonly schemaVersion?: number;
  declare readonly line?: number;
  declare readonly stream?: string;
  declare readonly revision?: bigint;
  declare readonly consumer?: string;
  declare readonly expected?: 'any' | 'noStream' | 'newStream' | 'streamExists' | bigint;
  declare readonly actual?: 'noStream' | bigint;

  constructor(code: VarveErrorCode, message: string, fields: VarveErrorFields = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'VarveError';
    this.code = code;
    Object.assign(this, fields);
  }
}

/** The system's own error code (`ENOSPC`, `EIO`, …) of an error or of its cause; undefined where there is none. */
export function systemCode(error: unknown): string | undefined {
  // Not `instanceof`: the system's errors may come from another realm.
  for (let e: unknown = error; typeof e === 'object' && e !== null; e = (e as { cause?: unknown }).cause) {
    const code = (e as { code?: unknown }).code;
    if (typeof code === 'string' && !code.startsWith('ERR_VARVE_')) return code;
  }
  return undefined;
}

/** True for the two errors that mean "no space": ENOSPC and EDQUOT, and for no other. */
export function isNoSpace(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** The error itself if it is a `VarveError`, else `ERR_VARVE_IO` with it as the cause. */
export function asVarveError(error: unknown, what: string, path: string): VarveError {
  if (error instanceof VarveError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new VarveError('ERR_VARVE_IO', `${what} failed: ${why}`, { path }, error);
}
