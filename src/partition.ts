/**
 * Partition: the handle that users hold. It checks what it is given before anything is touched; the work is done by
 * the backend behind it: a partition that is written to, or one that is only read.
 */
import type { PartitionActor, PartitionState } from './actors/partition-machine.js';
import {
  type AppendOptions,
  checkAll,
  checkFollowOptions,
  checkLsn,
  checkPayload,
  checkReadOptions,
  type FollowOptions,
  invalid,
  PROGRESS_CHECKS,
  type ReadOptions,
  resolveAck,
  WAIT_CHECKS,
} from './options.js';
import type { PartitionBackend, PurgeResult } from './partition/backend.js';
import type { Appended, AppendedBatch } from './partition/tail.js';
import type { SegmentDescription } from './segment/catalogue.js';
import type { ProgressOptions, VerifyResult } from './segment/verify.js';
import type { Stats } from './stats.js';
import type { LsnMark } from './streams/lsn-mark.js';
import { FollowStream, type RecordStream, readRecords } from './streams/record-stream.js';

/** Records of a batch are counted in 32 bits on disk. */
const MAX_BATCH_RECORDS = 0xffff_ffff;

export class Partition {
  /** Partition number: 0 … 2³² − 1. */
  readonly number: number;
  readonly #backend: PartitionBackend;

  /** Partitions come from `log.partition(number)`. */
  constructor(number: number, backend: PartitionBackend) {
    this.number = number;
    this.#backend = backend;
  }

  /**
   * Appends one record; resolves when it is durable, or with `{ ack: 'written' }` when the operating system has it.
   *
   * Appends made at the same time share one fdatasync, so many at once cost little more than one. The payload may be
   * reused as soon as this call has returned.
   *
   * Rejects with `ERR_VARVE_INVALID_OPTION`, `ERR_VARVE_RECORD_TOO_LARGE`, `ERR_VARVE_NO_SPACE` (`whenFull: 'refuse'`, or the queue is full),
   * `ERR_VARVE_BACKPRESSURE` (more than `maxQueuedAppends` wait), `ERR_VARVE_PARTITION_FAILED`, `ERR_VARVE_CLOSED`.
   */
  append(payload: Uint8Array, options?: AppendOptions): Promise<Appended> {
    try {
      checkPayload(payload, 'payload');
      return this.#backend.append(payload, resolveAck(options));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Appends records with consecutive LSNs, all or none of which survive any crash. At least one; together they must
   * fit in one segment. Rejects as `append` does.
   */
  appendBatch(payloads: readonly Uint8Array[], options?: AppendOptions): Promise<AppendedBatch> {
    try {
      if (!Array.isArray(payloads) || payloads.length === 0 || payloads.length > MAX_BATCH_RECORDS) {
        throw invalid('payloads', typeof payloads, 'an array of at least one Uint8Array');
      }
      for (let i = 0; i < payloads.length; i++) checkPayload(payloads[i], `payloads[${i}]`);
      return this.#backend.appendBatch(payloads, resolveAck(options));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Appends one record without waiting for anything and returns its LSN. It is handed over at the end of this turn of
   * the event loop and made durable by the next sync, whoever asks for it. Until then it is acknowledged to nobody.
   *
   * Throws as `append` rejects, and `ERR_VARVE_BACKPRESSURE` past `maxUnsyncedBytes` or during a truncation.
   */
  write(payload: Uint8Array): number {
    checkPayload(payload, 'payload');
    return this.#backend.write(payload);
  }

  /** Makes durable all that was written before the call; resolves with the durable LSN. */
  async sync(): Promise<number> {
    return this.#backend.sync();
  }

  /**
   * Resolves when `lsn` is durable, and asks for the sync that this takes if the record is there. Rejects with the
   * signal's reason, `ERR_VARVE_PARTITION_FAILED` or `ERR_VARVE_CLOSED`.
   */
  async waitFor(lsn: number, options: { signal?: AbortSignal } = {}): Promise<void> {
    checkLsn(lsn, 'lsn');
    checkAll(options, WAIT_CHECKS, 'options');
    return this.#backend.waitFor(lsn, options.signal);
  }

  /**
   * Records in order. Nothing is read before it is iterated:
   * `for await (const { lsn, payload } of partition.read({ from: 1 })) …`
   *
   * Reading rejects with `ERR_VARVE_LSN_PURGED` below the oldest LSN, `ERR_VARVE_CORRUPT` at damage,
   * `ERR_VARVE_LSN_OUT_OF_RANGE` for a position at which no record begins, `ERR_VARVE_CLOSED`.
   */
  read(options: ReadOptions = {}): RecordStream {
    checkReadOptions(options);
    return readRecords(this.#backend, options);
  }

  /**
   * The same, without an end: what is there, then what comes. `status$` tells when it is level with the log. It ends
   * when the log is closed; it rejects with the signal's reason, or as `read` does.
   */
  follow(options: FollowOptions = {}): FollowStream {
    checkFollowOptions(options);
    return new FollowStream(this.#backend, options);
  }

  /** Last durable LSN: the current value at once, then each advance, coalesced. Completes with the log. */
  get durableLsn$(): LsnMark['changes'] {
    return this.#backend.durable.changes;
  }

  /** Last written LSN, in the same way. */
  get writtenLsn$(): LsnMark['changes'] {
    return this.#backend.written.changes;
  }

  /** Oldest LSN that can be read, in the same way. */
  get oldestLsn$(): LsnMark['changes'] {
    return this.#backend.oldest.changes;
  }

  /** Last durable LSN; one less than the oldest while there is no record. */
  get durableLsn(): number {
    return this.#backend.durable.value;
  }

  /** Last LSN that was handed to the operating system. */
  get writtenLsn(): number {
    return this.#backend.written.value;
  }

  /** Oldest LSN that can be read; the next one to come while there is no record. */
  get oldestLsn(): number {
    return this.#backend.oldestLsn;
  }

  /** Seals the active segment, if it has a record, and goes on in the next; resolves when the old one is durable. */
  async rotate(): Promise<void> {
    return this.#backend.rotate();
  }

  /**
   * Gives up the oldest segments as long as all their records are below `minLsn`: never the active one, never one that
   * a reader is inside of, never one behind such a one. LSNs that were given up are never used again.
   */
  async purgeBefore(minLsn: number): Promise<PurgeResult> {
    checkLsn(minLsn, 'minLsn');
    return this.#backend.purgeBefore(minLsn);
  }

  /**
   * Rewinds: gives up every record behind `lsn` (0 = all), durably. The next append gets `lsn` + 1. Appends that come
   * meanwhile wait; `write` throws `ERR_VARVE_BACKPRESSURE`. Nothing happens where `lsn` is the last one or later.
   */
  async truncateAfter(lsn: number): Promise<void> {
    if (lsn !== 0) checkLsn(lsn, 'lsn');
    return this.#backend.truncateAfter(lsn);
  }

  /** The segments, oldest first. */
  segments(): SegmentDescription[] {
    return this.#backend.catalogue.describe();
  }

  stats(): Stats {
    return this.#backend.stats();
  }

  /** The state of each region of the partition's machine, for example `{ log: 'writing', durability: 'idle', … }`. */
  get state(): PartitionState | undefined {
    return this.#backend.actor?.getSnapshot().value;
  }

  /** The partition's XState actor, to subscribe to and inspect; undefined where the log is only read. */
  get actor(): PartitionActor | undefined {
    return this.#backend.actor;
  }

  /** Verifies every checksum. Rejects with `ERR_VARVE_CORRUPT` at the first damage. */
  async verify(options: ProgressOptions = {}): Promise<VerifyResult> {
    checkAll(options, PROGRESS_CHECKS, 'options');
    return this.#backend.verify(options);
  }
}
