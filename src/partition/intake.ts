/**
 * Taking records: what goes into the frame in progress at once, what waits, what is refused, and when a frame closes.
 *
 * What is written in one turn of the event loop becomes one frame. What cannot go in at once (the segment is full, too
 * much is unsynced, a truncation is under way) waits in one queue, so that nothing overtakes.
 */
import type { Phase } from '../actors/partition-machine.js';
import { VarveError } from '../errors.js';
import type { Ack } from '../options.js';
import { RECORD_HEADER_SIZE } from '../segment/frame.js';
import { maxBodySize } from '../segment/writer.js';
import { AppendQueue, type Queued } from './queue.js';
import type { Appended, AppendedBatch, Tail } from './tail.js';

/** A frame in progress of this size is closed before the turn ends: it bounds what a reader must read to verify it. */
const FRAME_LIMIT_BYTES = 64 * 1024;

/** Past so many unsynced bytes a sync is begun though nobody waits: it bounds what a rotation has to wait for. */
const BACKGROUND_SYNC_BYTES = 4 * 1024 * 1024;

export interface IntakeLimits {
  readonly directory: string;
  readonly segmentSize: number;
  readonly maxUnsyncedBytes: number;
  readonly maxQueuedAppends: number;
  readonly whenFull: 'wait' | 'refuse';
}

/** What the intake asks of its partition. */
export interface IntakeHost {
  readonly partition: number;
  readonly tail: Tail;
  /** Throws when the partition has failed, is closing, or is closed. */
  refuseClosed(): void;
  /** Something is in the way of adding records at all: a hand-over that is stuck, a rotation that was asked for. */
  readonly stopped: boolean;
  /** Closes the frame in progress and hands over; false if that failed. */
  closeFrame(): boolean;
  /** A frame was closed. */
  frameClosed(): void;
  /** A sync is wanted: of what was handed over up to now, at least. */
  askSync(): void;
  /** A segment is wanted. */
  full(): void;
}

const RESOLVED = Promise.resolve();

export class Intake {
  readonly queue = new AppendQueue();
  phase: Phase = 'opening';
  /** A truncation is coming: what comes waits until it is done. */
  held = false;
  #lastWrite = 0;
  #lastWrittenAppend = 0;
  readonly #host: IntakeHost;
  readonly #limits: IntakeLimits;
  readonly #tail: Tail;
  /** The frame in progress holds a record whose append waits for a sync. */
  #frameWantsSync = false;
  /** The LSN up to which `sync` and `waitFor` want everything to be durable. */
  #syncWantedUpTo = 0;
  #turnScheduled = false;
  #onEmpty: (() => void)[] = [];

  constructor(host: IntakeHost, limits: IntakeLimits) {
    this.#host = host;
    this.#limits = limits;
    this.#tail = host.tail;
  }

  append(payload: Uint8Array, ack: Ack): Promise<Appended> {
    const bytes = payload.length + RECORD_HEADER_SIZE;
    if (this.queue.length === 0 && this.fitsNow(bytes)) {
      const tail = this.#tail;
      const lsn = tail.nextLsn;
      const localOffset = tail.add(payload);
      const result = { lsn, position: { segmentIndex: tail.segmentIndex, localOffset } };
      const acks = ack === 'durable' ? tail.durableAcks : tail.writtenAcks;
      const acknowledged = acks.wait(lsn, result) as Promise<Appended>;
      this.#added(ack); // may close the frame, and so release what waits: not before this append does
      return acknowledged;
    }
    return this.#enqueue([payload], bytes, false, ack) as Promise<Appended>;
  }

  appendBatch(payloads: readonly Uint8Array[], ack: Ack): Promise<AppendedBatch> {
    let bytes = 0;
    for (const payload of payloads) bytes += payload.length + RECORD_HEADER_SIZE;
    return this.#enqueue(payloads, bytes, true, ack) as Promise<AppendedBatch>;
  }

  write(payload: Uint8Array): number {
    const bytes = payload.length + RECORD_HEADER_SIZE;
    if (this.queue.length === 0 && this.fitsNow(bytes)) {
      const lsn = this.#tail.nextLsn;
      this.#tail.add(payload);
      this.#added(undefined);
      return lsn;
    }
    this.#refuse(bytes);
    const waiting = this.#tail.unsyncedBytes + this.queue.bytes;
    if (this.held || (waiting > 0 && waiting + bytes > this.#limits.maxUnsyncedBytes)) throw this.#backpressure(bytes);
    if (this.phase === 'blocked' && this.#limits.whenFull === 'refuse') throw this.noSpace();
    const lsn = this.#tail.nextLsn + this.queue.records;
    this.queue.push({ payloads: [new Uint8Array(payload)], bytes, ack: undefined });
    this.drain();
    return lsn;
  }

  /** Last LSN that anybody was given, or that is on its way into a frame. */
  get lastLsn(): number {
    return this.#tail.nextLsn - 1 + this.queue.writtenRecords;
  }

  /** Asks for the syncs that make everything up to `lsn` durable, as far as it has been taken. */
  wantSynced(lsn: number): void {
    const last = Math.min(lsn, this.lastLsn);
    if (last <= this.#tail.durable.value) return;
    this.#syncWantedUpTo = Math.max(this.#syncWantedUpTo, last);
    this.#scheduleTurn(true);
  }

  /** Somebody waits for a sync that is not under way yet. */
  get wantsSync(): boolean {
    return this.#tail.durableAcks.size > 0 || this.#syncWantedUpTo > this.#tail.durable.value;
  }

  /** Records are not durable of which nobody waits to hear that: they were written, or acknowledged as written. */
  get unawaited(): boolean {
    const { durable, written } = this.#tail;
    return Math.max(this.#lastWrite, Math.min(this.#lastWrittenAppend, written.value)) > durable.value;
  }

  /** True if a body of `bytes` can be added to the frame in progress now. */
  fitsNow(bytes: number): boolean {
    const phase = this.phase;
    if (phase !== 'writing' && phase !== 'rotating' && phase !== 'blocked') return false;
    const { writer, unsyncedBytes } = this.#tail;
    if (writer === undefined || this.held || this.#host.stopped || !writer.fits(bytes)) return false;
    return unsyncedBytes === 0 || unsyncedBytes + bytes <= this.#limits.maxUnsyncedBytes;
  }

  /** True if the first that waits needs another segment. */
  get needsSegment(): boolean {
    const entry = this.queue.first;
    return entry !== undefined && !(this.#tail.writer?.fits(entry.bytes) ?? false);
  }

  /** Takes from the queue what can be taken, and asks for a segment or a sync where that is what lacks. */
  drain(): void {
    for (let entry = this.queue.first; entry !== undefined; entry = this.queue.first) {
      if (!this.fitsNow(entry.bytes)) {
        this.#askForRoom();
        return;
      }
      this.queue.shift();
      this.#take(entry);
    }
    this.#tellEmpty();
  }

  /** Refuses, where the option says so, the appends that wait for space. */
  blocked(): void {
    if (this.#limits.whenFull === 'refuse') this.queue.refuseAppends(() => this.noSpace());
    this.#tellEmpty();
  }

  rejectAll(error: unknown): void {
    this.queue.rejectAll(error);
    this.#tellEmpty();
  }

  /** Resolves when nothing waits, or what waits cannot go on without space. */
  async whenEmpty(): Promise<void> {
    if (this.queue.length === 0 || this.phase === 'blocked') return;
    await new Promise<void>((resolve) => this.#onEmpty.push(resolve));
  }

  /** Closes the frame in progress and asks for the sync that it needs. */
  endTurn(): void {
    if (!this.#host.closeFrame()) return;
    const tail = this.#tail;
    const wanted = this.#syncWantedUpTo > tail.durable.value;
    const much = Math.min(BACKGROUND_SYNC_BYTES, this.#limits.maxUnsyncedBytes / 2);
    if (this.#frameWantsSync || wanted || tail.unsyncedBytes > much) {
      this.#frameWantsSync = false;
      this.#host.askSync();
    } else {
      tail.writer?.publishWritten();
    }
    this.#host.frameClosed();
  }

  /** After a record was added to the frame in progress. */
  #added(ack: Ack | undefined): void {
    if (ack === 'durable') this.#frameWantsSync = true;
    else if (ack === 'written') this.#lastWrittenAppend = this.#tail.nextLsn - 1;
    else this.#lastWrite = this.#tail.nextLsn - 1;
    if (this.#tail.frameBytes >= FRAME_LIMIT_BYTES) this.endTurn();
    else if (!this.#turnScheduled) this.#scheduleTurn(ack === 'durable');
  }

  /**
   * A durable append can wait for the other appends that are still coming in this turn, so its frame is closed when the
   * microtasks that run now are through; a written one's as soon as the caller has given up control.
   */
  #scheduleTurn(late: boolean): void {
    if (this.#turnScheduled) return;
    this.#turnScheduled = true;
    if (late) process.nextTick(this.#turn);
    else RESOLVED.then(this.#turn);
  }

  readonly #turn = (): void => {
    this.#turnScheduled = false;
    this.endTurn();
  };

  #enqueue(
    payloads: readonly Uint8Array[],
    bytes: number,
    batch: boolean,
    ack: Ack,
  ): Promise<Appended | AppendedBatch> {
    this.#refuse(bytes);
    const waits = this.queue.length > 0 || !this.fitsNow(bytes);
    if (waits && this.phase === 'blocked' && this.#limits.whenFull === 'refuse') throw this.noSpace();
    if (waits && this.queue.length >= this.#limits.maxQueuedAppends) {
      throw this.phase === 'blocked' ? this.noSpace() : this.#backpressure(bytes);
    }
    return new Promise((resolve, reject) => {
      // What goes in at once is encoded before this call returns; what waits is copied, since its owner may reuse it (not
      // by `slice`: a Buffer's shares its memory).
      const kept = waits ? payloads.map((payload) => new Uint8Array(payload)) : payloads;
      this.queue.push({ payloads: kept, bytes, batch, ack, resolve, reject });
      this.drain();
    });
  }

  /** Throws if the partition takes no records at all now, or never this one. */
  #refuse(bytes: number): void {
    this.#host.refuseClosed();
    const { segmentSize } = this.#limits;
    const limit = maxBodySize(segmentSize);
    if (bytes <= limit) return;
    throw new VarveError(
      'ERR_VARVE_RECORD_TOO_LARGE',
      `A record or batch of ${bytes} bytes, record headers included, does not fit in a segment of ${segmentSize} ` +
        `bytes, which holds ${limit}. Split it, or open the log with a larger segmentSize.`,
      { partition: this.#host.partition, size: bytes, limit },
    );
  }

  #take(entry: Queued): void {
    const tail = this.#tail;
    const firstLsn = tail.nextLsn;
    let localOffset = -1;
    for (const payload of entry.payloads) {
      const offset = tail.add(payload);
      if (localOffset < 0) localOffset = offset;
    }
    const { ack } = entry;
    if (ack !== undefined) {
      const position = { segmentIndex: tail.segmentIndex, localOffset };
      const lastLsn = tail.nextLsn - 1;
      const result = entry.batch ? { firstLsn, lastLsn, position } : { lsn: firstLsn, position };
      const acks = ack === 'durable' ? tail.durableAcks : tail.writtenAcks;
      acks.add(lastLsn, result, entry.resolve, entry.reject);
    }
    this.#added(ack);
  }

  #askForRoom(): void {
    if (this.held) return; // goes on when the truncation is done
    if (this.#host.stopped || this.needsSegment) this.#host.full();
    else if (this.#tail.unsyncedBytes > 0) this.#host.askSync();
  }

  #tellEmpty(): void {
    if (this.#onEmpty.length === 0 || (this.queue.length > 0 && this.phase !== 'blocked')) return;
    for (const tell of this.#onEmpty.splice(0)) tell();
  }

  #backpressure(size: number): VarveError {
    const limit = this.#limits.maxUnsyncedBytes;
    const { partition } = this.#host;
    return new VarveError(
      'ERR_VARVE_BACKPRESSURE',
      `Partition ${partition} cannot take another ${size} bytes now: too much waits to be synced, or a truncation is ` +
        `under way. Await sync() or append(), or raise maxUnsyncedBytes (${limit}).`,
      { partition, size, limit },
    );
  }

  /** There is no space for another segment; `lost` records that were written are given up for that. */
  noSpace(lost = 0): VarveError {
    const { partition } = this.#host;
    const { directory } = this.#limits;
    return new VarveError(
      'ERR_VARVE_NO_SPACE',
      `There is no space for another segment of partition ${partition}. ` +
        (lost > 0
          ? `The last ${lost} records that write() was given are not in the log.`
          : 'Purge, or free space; appending then goes on by itself.'),
      { partition, path: directory },
    );
  }
}
