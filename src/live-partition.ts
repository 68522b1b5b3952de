/**
 * A partition that is written to: takes records, and does the work that the partition machine orders.
 *
 * Records are encoded straight into the active segment's image; what is written in one turn of the event loop becomes
 * one frame. The machine decides what may happen, and `phase` is all that an append reads of it; this file does it,
 * and tells the machine what came of it. What must wait, waits in one queue, so that nothing overtakes.
 */
import { type PartitionActor, type Phase, startPartitionActor } from './actors/partition-machine.js';
import type { PartitionBackend, PurgeResult, VerifyResult } from './backend.js';
import { isNoSpace, VarveError } from './errors.js';
import { emitSafely, type LogEmitter } from './events.js';
import type { Ack } from './options.js';
import { AppendQueue, type Queued } from './queue.js';
import { planRewind, removeSegments } from './retention.js';
import { Catalogue, type SegmentEntry } from './segment/catalogue.js';
import { type PreviousSegment, RECORD_HEADER_SIZE } from './segment/frame.js';
import type { SegmentHandles } from './segment/handles.js';
import type { ManifestKeeper } from './segment/manifest.js';
import { SegmentReader } from './segment/reader.js';
import { type Recovered, recoverPartition } from './segment/recovery.js';
import { stateRewind } from './segment/rewind.js';
import { verifySegment } from './segment/verify.js';
import { maxBodySize } from './segment/writer.js';
import { LatencyRecorder, type Stats } from './stats.js';
import { LsnMark } from './streams/lsn-mark.js';
import { SegmentSupply, type SupplyConfig } from './supply.js';
import { type Appended, type AppendedBatch, type SyncRun, Tail } from './tail.js';

/** A frame in progress of this size is closed before the turn ends: it bounds what a reader must read to verify it. */
const FRAME_LIMIT_BYTES = 64 * 1024;
/** How full the active segment is, in parts of one, when the next one is made ready. */
const PREPARE_AT = 0.5;
/** First and last delay before a hand-over that found no space is tried again. */
const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 5_000;

/** What a partition shares with the rest of its log. */
export interface PartitionConfig extends SupplyConfig {
  readonly events: LogEmitter;
  readonly handles: SegmentHandles;
  readonly manifest: ManifestKeeper;
  readonly maxUnsyncedBytes: number;
  readonly maxQueuedAppends: number;
  readonly whenFull: 'wait' | 'refuse';
}

const RESOLVED = Promise.resolve();

interface Closed {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class LivePartition implements PartitionBackend {
  readonly partition: number;
  readonly catalogue: Catalogue;
  readonly reader: SegmentReader;
  readonly actor: PartitionActor;
  readonly oldest: LsnMark;
  readonly tail: Tail;
  readonly supply: SegmentSupply;
  readonly config: PartitionConfig;
  readonly latency = new LatencyRecorder();
  epoch = 0;
  /** Oldest LSN that may be read: ahead of `oldest` while a purge is under way. */
  oldestReadable: number;

  #phase: Phase = 'opening';
  readonly #queue = new AppendQueue();
  #previous: PreviousSegment;
  /** The frame in progress holds a record whose append waits for a sync. */
  #frameWantsSync = false;
  #turnScheduled = false;
  #syncAsked = false;
  /** The last hand-over found no space; frames are closed and kept in memory until it succeeds. */
  #stuck = false;
  #retryMs = FIRST_RETRY_MS;
  /** What a change of segments still waits for before the new segment may be published. */
  #change: { sealDurable: boolean; named: boolean } | undefined;
  #rotationAsked = false;
  #failure: VarveError | undefined;
  #purges: { minLsn: number; resolve: (result: PurgeResult) => void; reject: (error: unknown) => void }[] = [];
  /** A truncation is asked for: until it is done, what comes is held in the queue. */
  #rewind: { readonly lsn: number; readonly done: Promise<void> } | undefined;
  /** Its files are being changed: readers wait. */
  #rewinding: Promise<void> | undefined;
  /** Purge and rewind both change which files there are: one after the other. */
  #fileWork: Promise<unknown> = RESOLVED;
  #closing: Promise<void> | undefined;
  #closed: Closed | undefined;
  readonly #fileCloses: Promise<void>[] = [];
  /** The log ended with a clean mark when it was opened. */
  readonly #clean: boolean;
  #syncs = 0;
  #syncedRecords = 0;
  #rotations = 0;
  #purgedSegments = 0;

  private constructor(config: PartitionConfig, partition: number, recovered: Recovered) {
    this.config = config;
    this.partition = partition;
    this.catalogue = new Catalogue(partition, recovered.segments);
    this.reader = new SegmentReader(config.handles);
    this.oldestReadable = recovered.report.oldestLsn;
    this.oldest = new LsnMark(this.oldestReadable);
    this.tail = new Tail(recovered.nextLsn - 1, recovered.durableLsn, () => config.disk.now());
    this.supply = new SegmentSupply(config, partition, {
      urgent: () => this.#phase === 'rotating' || this.#phase === 'blocked',
      noSpace: () => this.actor.send({ type: 'NO_SPACE' }),
    });
    this.#previous = recovered.previous;
    this.#clean = recovered.report.clean;
    this.actor = startPartitionActor({
      phase: (phase) => this.#enter(phase),
      sync: () => this.#startSync(),
      rotate: () => this.#startRotation(),
      rewind: () => this.#startRewind(),
      purge: () => this.#startPurge(),
      close: () => this.#startClose(),
      fail: (cause) => this.#fail(cause),
      waiting: () => this.#waiting(),
    });
  }

  static async open(config: PartitionConfig, partition: number, recovered: Recovered): Promise<LivePartition> {
    const live = new LivePartition(config, partition, recovered);
    try {
      await live.resume(recovered);
    } catch (error) {
      await recovered.tail?.file.close();
      throw error;
    }
    live.actor.send({ type: 'OPENED' });
    return live;
  }

  /** Goes on in the segment that recovery has found to be the last. */
  async resume(recovered: Recovered): Promise<void> {
    this.#previous = recovered.previous;
    const tail = recovered.tail;
    if (tail === undefined) return;
    const { entry } = tail;
    const image = await this.supply.reopen(tail.file, entry.segmentSize, entry.end);
    const { end } = entry;
    const { lastChecksum, entries, cookieSequence } = tail;
    const resume = { end, nextLsn: recovered.nextLsn, lastChecksum, entries, cookieSequence };
    const { index, segmentSize, seed, baseLsn } = entry;
    this.tail.begin({ file: tail.file, image, index, segmentSize, seed, baseLsn, resume, time: 0 }, entry);
  }

  // ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

  get oldestLsn(): number {
    return this.oldestReadable;
  }

  get durable(): LsnMark {
    return this.tail.durable;
  }

  get written(): LsnMark {
    return this.tail.written;
  }

  visibleLsn(level: Ack): number {
    return level === 'durable' ? this.tail.durable.value : this.tail.written.value;
  }

  whenVisible(lsn: number, level: Ack, signal: AbortSignal | undefined): Promise<void> {
    return (level === 'durable' ? this.tail.durable : this.tail.written).waitFor(lsn, signal);
  }

  ready(): Promise<void> {
    if (this.#phase === 'closed') return Promise.reject(this.closedError());
    return this.#rewinding ?? RESOLVED;
  }

  async verify(
    signal: AbortSignal | undefined,
    onProgress: ((done: number, all: number) => void) | undefined,
  ): Promise<VerifyResult> {
    await this.ready();
    this.#refuseClosed();
    this.#closeFrame();
    const bounds = this.catalogue.all().map((segment) => ({ segment, end: segment.end, lastLsn: segment.lastLsn }));
    const published = this.#change === undefined ? bounds : bounds.slice(0, -1);
    const result = { segments: 0, frames: 0, records: 0, bytes: 0 };
    const all = published.reduce((sum, { end }) => sum + end, 0);
    for (const { segment, end, lastLsn } of published) {
      signal?.throwIfAborted();
      segment.pins++;
      try {
        result.frames += await this.config.handles.with(segment.name, (file) =>
          verifySegment(file, segment, end, lastLsn),
        );
      } finally {
        segment.pins--;
      }
      result.segments++;
      result.records += lastLsn - segment.baseLsn + 1;
      result.bytes += end;
      onProgress?.(result.bytes, all);
    }
    return result;
  }

  // ── Taking records ───────────────────────────────────────────────────────────────────────────────────────────────

  append(payload: Uint8Array, ack: Ack): Promise<Appended> {
    const bytes = payload.length + RECORD_HEADER_SIZE;
    if (this.#queue.length === 0 && this.#fitsNow(bytes)) {
      const { tail } = this;
      const lsn = tail.nextLsn;
      const localOffset = tail.add(payload);
      const result = { lsn, position: { segmentIndex: (tail.writer as { index: number }).index, localOffset } };
      this.#added(ack);
      const acks = ack === 'durable' ? tail.durableAcks : tail.writtenAcks;
      return acks.wait(lsn, result) as Promise<Appended>;
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
    if (this.#queue.length === 0 && this.#fitsNow(bytes)) {
      const lsn = this.tail.nextLsn;
      this.tail.add(payload);
      this.#added(undefined);
      return lsn;
    }
    this.#refuse(bytes);
    const waiting = this.tail.unsyncedBytes + this.#queue.bytes;
    if (this.#rewind !== undefined || (waiting > 0 && waiting + bytes > this.config.maxUnsyncedBytes)) {
      throw this.#backpressure(bytes);
    }
    if (this.#phase === 'blocked' && this.config.whenFull === 'refuse') throw this.#noSpace();
    const lsn = this.tail.nextLsn + this.#queue.records;
    this.#queue.push({ payloads: [payload.slice()], bytes, ack: undefined });
    this.#drain();
    return lsn;
  }

  async sync(): Promise<number> {
    this.#refuseClosed();
    const lsn = this.tail.nextLsn - 1 + this.#queue.writtenRecords;
    await this.waitFor(lsn, undefined);
    return this.tail.durable.value;
  }

  async waitFor(lsn: number, signal: AbortSignal | undefined): Promise<void> {
    const { durable, nextLsn } = this.tail;
    const waiting = durable.waitFor(lsn, signal);
    // Nobody else may ask for the sync that a `write` needs.
    if (lsn > durable.value && nextLsn - 1 > durable.value && this.#phase !== 'failed') {
      this.#frameWantsSync = true;
      this.#scheduleTurn(true);
    }
    return waiting;
  }

  /** Goes on in a new segment; resolves when the old one is sealed and durable. */
  async rotate(): Promise<void> {
    this.#refuseClosed();
    if (this.tail.writer === undefined || this.tail.closedLsn < this.tail.writer.baseLsn) {
      this.#closeFrame();
      if (this.tail.writer === undefined || this.tail.closedLsn < this.tail.writer.baseLsn) return; // nothing to seal
    }
    const rotations = this.#rotations;
    this.#rotationAsked = true;
    this.#full();
    await this.#until((state) => this.#rotations > rotations || state.matches({ log: 'closing' }));
    if (this.#rotations === rotations) throw this.closedError();
  }

  #fitsNow(bytes: number): boolean {
    const phase = this.#phase;
    if (phase !== 'writing' && phase !== 'rotating' && phase !== 'blocked') return false;
    const { writer, unsyncedBytes } = this.tail;
    if (writer === undefined || this.#stuck || this.#rotationAsked || this.#rewind !== undefined) return false;
    if (!writer.fits(bytes)) return false;
    return unsyncedBytes === 0 || unsyncedBytes + bytes <= this.config.maxUnsyncedBytes;
  }

  /** After a record was added to the frame in progress. */
  #added(ack: Ack | undefined): void {
    if (ack === 'durable') this.#frameWantsSync = true;
    if ((this.tail.writer as { frameBytes: number }).frameBytes >= FRAME_LIMIT_BYTES) this.#endTurn();
    else if (!this.#turnScheduled) this.#scheduleTurn(ack === 'durable');
  }

  /**
   * A durable append can wait for the other appends that are still coming in this turn, so its frame is closed behind
   * all microtasks; a written one is closed as soon as the caller has given up control.
   */
  #scheduleTurn(late: boolean): void {
    if (this.#turnScheduled) return;
    this.#turnScheduled = true;
    if (late) process.nextTick(this.#turn);
    else RESOLVED.then(this.#turn);
  }

  readonly #turn = (): void => {
    this.#turnScheduled = false;
    this.#endTurn();
  };

  #endTurn(): void {
    if (!this.#closeFrame()) return;
    const { tail } = this;
    if (this.#frameWantsSync || tail.unsyncedBytes > this.config.maxUnsyncedBytes / 2) {
      this.#frameWantsSync = false;
      this.#askSync();
    }
    const { writer } = tail;
    if (writer?.published && this.#change === undefined && writer.end > writer.segmentSize * PREPARE_AT)
      this.#prepareNext();
  }

  /** Closes the frame in progress and hands over; false if that failed. */
  #closeFrame(): boolean {
    if (this.#failure !== undefined || this.#stuck) return false;
    try {
      this.tail.closeFrame();
      return true;
    } catch (cause) {
      this.#handOverFailed(cause);
      return false;
    }
  }

  #enqueue(
    payloads: readonly Uint8Array[],
    bytes: number,
    batch: boolean,
    ack: Ack,
  ): Promise<Appended | AppendedBatch> {
    try {
      this.#refuse(bytes);
      if (this.#phase === 'blocked' && this.config.whenFull === 'refuse' && !this.#fitsNow(bytes))
        throw this.#noSpace();
      if (this.#queue.length >= this.config.maxQueuedAppends) {
        throw this.#phase === 'blocked' ? this.#noSpace() : this.#backpressure(bytes);
      }
    } catch (error) {
      return Promise.reject(error);
    }
    return new Promise((resolve, reject) => {
      // What goes in at once is encoded before this call returns; what waits is copied, since its owner may reuse it.
      const waits = this.#queue.length > 0 || !this.#fitsNow(bytes);
      const kept = waits ? payloads.map((payload) => payload.slice()) : payloads;
      this.#queue.push({ payloads: kept, bytes, batch, ack, resolve, reject });
      this.#drain();
    });
  }

  /** Throws if the partition takes no records at all now, or never this one. */
  #refuse(bytes: number): void {
    this.#refuseClosed();
    const limit = maxBodySize(this.config.segmentSize);
    if (bytes > limit) {
      throw new VarveError(
        'ERR_VARVE_RECORD_TOO_LARGE',
        `A record or batch of ${bytes} bytes, record headers included, does not fit in a segment of ` +
          `${this.config.segmentSize} bytes, which holds ${limit}. Split it, or open the log with a larger segmentSize.`,
        { partition: this.partition, size: bytes, limit },
      );
    }
  }

  #refuseClosed(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closing !== undefined) throw this.closedError();
  }

  /** Takes from the queue what can be taken, and asks for a segment or a sync where that is what lacks. */
  #drain(): void {
    for (let entry = this.#queue.first; entry !== undefined; entry = this.#queue.first) {
      if (!this.#fitsNow(entry.bytes)) {
        this.#askForRoom(entry);
        return;
      }
      this.#queue.shift();
      this.#take(entry);
    }
  }

  #take(entry: Queued): void {
    const { tail } = this;
    const firstLsn = tail.nextLsn;
    const segmentIndex = (tail.writer as { index: number }).index;
    let localOffset = -1;
    for (const payload of entry.payloads) {
      const offset = tail.add(payload);
      if (localOffset < 0) localOffset = offset;
    }
    const { ack } = entry;
    if (ack !== undefined) {
      const position = { segmentIndex, localOffset };
      const lastLsn = tail.nextLsn - 1;
      const result = entry.batch ? { firstLsn, lastLsn, position } : { lsn: firstLsn, position };
      const acks = ack === 'durable' ? tail.durableAcks : tail.writtenAcks;
      acks.add(lastLsn, result, entry.resolve, entry.reject);
    }
    this.#added(ack);
  }

  #askForRoom(entry: Queued): void {
    const { writer, unsyncedBytes } = this.tail;
    if (this.#rewind !== undefined) return; // goes on when that is done
    if (writer === undefined || this.#rotationAsked || !writer.fits(entry.bytes)) this.#full();
    else if (unsyncedBytes > 0) this.#askSync();
  }

  #full(): void {
    this.actor.send({ type: 'FULL' });
  }

  #backpressure(size: number): VarveError {
    const limit = this.config.maxUnsyncedBytes;
    return new VarveError(
      'ERR_VARVE_BACKPRESSURE',
      `Partition ${this.partition} cannot take another ${size} bytes now: too much waits to be synced. ` +
        `Await sync() or append(), or raise maxUnsyncedBytes (${limit}).`,
      { partition: this.partition, size, limit },
    );
  }

  #noSpace(): VarveError {
    return new VarveError(
      'ERR_VARVE_NO_SPACE',
      `There is no space for another segment of partition ${this.partition}. Purge, or free space; appending then goes on by itself.`,
      { partition: this.partition, path: this.config.directory },
    );
  }

  closedError(): VarveError {
    return new VarveError('ERR_VARVE_CLOSED', `Partition ${this.partition} is closed.`, { partition: this.partition });
  }

  // ── Syncing ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #askSync(): void {
    if (this.#syncAsked) return;
    this.#syncAsked = true;
    this.actor.send({ type: 'SYNC' });
  }

  #startSync(): void {
    this.#syncAsked = false;
    let run: SyncRun | undefined;
    try {
      if (this.#failure === undefined && !this.#stuck) run = this.tail.startSync();
    } catch (cause) {
      this.#handOverFailed(cause);
    }
    // The first segment is still being named: what is in it does not count yet.
    if (run === undefined || (!run.final && !run.writer.published)) {
      this.actor.send({ type: 'SYNCED' });
      return;
    }
    const begun = run;
    const started = performance.now();
    begun.file.sync().then(
      () => this.#synced(begun, performance.now() - started),
      (cause: unknown) => this.actor.send({ type: 'FAIL', cause }),
    );
  }

  #synced(run: SyncRun, duration: number): void {
    if (this.#failure !== undefined) {
      this.actor.send({ type: 'SYNCED' });
      return;
    }
    try {
      const records = this.tail.finishSync(run);
      this.#syncs++;
      this.#syncedRecords += records;
      this.latency.record(duration);
      const { events } = this.config;
      if (events.listenerCount('synced') > 0) {
        emitSafely(events, 'synced', {
          partition: this.partition,
          durableLsn: this.tail.durable.value,
          records,
          duration,
        });
      }
      if (run.final && this.#change !== undefined) {
        this.#change.sealDurable = true;
        this.#publishNext();
      }
    } catch (cause) {
      this.#handOverFailed(cause);
    }
    this.actor.send({ type: 'SYNCED' });
    this.#drain();
  }

  // ── Changing segments ────────────────────────────────────────────────────────────────────────────────────────────

  /** Records were taken, or hand-overs begun, that wait for a segment or for space. */
  #waiting(): boolean {
    if (this.#failure !== undefined) return false;
    const entry = this.#queue.first;
    if (this.#stuck || this.#rotationAsked) return true;
    return entry !== undefined && !(this.tail.writer?.fits(entry.bytes) ?? false);
  }

  #nextIndex(): number {
    return (this.catalogue.newest?.index ?? this.#previous.index) + 1;
  }

  #prepareNext(): void {
    if (this.supply.next !== undefined || this.#closing !== undefined) return;
    // Ahead of need: whatever goes wrong is met again, and told, when the segment is needed.
    this.supply.prepare(this.#nextIndex()).catch(() => {});
  }

  /** Hands over what is stuck, or goes on in the next segment. */
  #startRotation(): void {
    if (this.#stuck && !this.#unstick()) return;
    if (this.#change !== undefined) {
      this.#publishNext();
      return;
    }
    const entry = this.#queue.first;
    const { writer } = this.tail;
    if (!this.#rotationAsked && writer !== undefined && (entry === undefined || writer.fits(entry.bytes))) {
      this.#rotated();
      return;
    }
    if (this.supply.next !== undefined) {
      this.#changeSegment();
      return;
    }
    this.supply.prepare(this.#nextIndex()).then(
      () => {
        if (this.#phase === 'blocked') this.actor.send({ type: 'SPACE' });
        else if (this.supply.next !== undefined && this.#change === undefined && this.#failure === undefined) {
          this.#changeSegment();
        }
      },
      (cause: unknown) => {
        if (this.#phase === 'rotating' || this.#phase === 'blocked') this.actor.send({ type: 'FAIL', cause });
      },
    );
    // The need may have been there before, ahead of time; now somebody waits.
    this.config.allocator.fill();
  }

  #changeSegment(): void {
    const next = this.supply.next as NonNullable<SegmentSupply['next']>;
    const { tail } = this;
    const { index, segmentSize, seed, image, spare } = next;
    try {
      tail.change({ file: spare.file, image, index, segmentSize, seed }, this.catalogue, this.#previous);
    } catch (cause) {
      this.#handOverFailed(cause);
      return;
    }
    this.supply.use();
    this.#rotationAsked = false;
    this.#change = { sealDurable: tail.sealing === undefined, named: false };
    this.supply.name(next).then(
      () => {
        if (this.#change === undefined || this.#failure !== undefined) return;
        this.#change.named = true;
        this.#publishNext();
      },
      (cause: unknown) => this.actor.send({ type: 'FAIL', cause }),
    );
    if (tail.sealing !== undefined) this.#askSync();
    this.#drain();
  }

  /** Publishes the new segment once the old one is durable and the new one has its name. */
  #publishNext(): void {
    if (this.#change === undefined || !this.#change.sealDurable || !this.#change.named) return;
    const { tail } = this;
    const old = tail.sealing?.writer;
    try {
      tail.publish();
    } catch (cause) {
      this.#handOverFailed(cause);
      return;
    }
    this.#change = undefined;
    this.#rotations++;
    if (old !== undefined) {
      old.release();
      this.#closeFile(old.file.close());
      const active = (tail.writer as { index: number }).index;
      const sealed = { partition: this.partition, sealed: old.index, active, lastLsn: old.closedLsn };
      emitSafely(this.config.events, 'rotated', sealed);
    }
    this.#rotated();
    if (tail.durableAcks.size > 0 || tail.durable.awaited) this.#askSync();
  }

  #rotated(): void {
    this.actor.send({ type: 'ROTATED' });
    this.#drain();
  }

  #closeFile(closing: Promise<void>): void {
    closing.catch(() => {}); // told when the partition is closed
    this.#fileCloses.push(closing);
    if (this.#fileCloses.length > 16) this.#fileCloses.shift();
  }

  /** A write failed. Lacking space is waited for; anything else is the end of the partition. */
  #handOverFailed(cause: unknown): void {
    if (!isNoSpace(cause)) {
      this.actor.send({ type: 'FAIL', cause });
      return;
    }
    this.#stuck = true;
    this.config.allocator.reportLacking(cause);
    if (this.#phase === 'rotating') this.#unstick();
    else this.#full();
  }

  #unstick(): boolean {
    try {
      this.tail.closeFrame();
    } catch (cause) {
      if (!isNoSpace(cause)) {
        this.actor.send({ type: 'FAIL', cause });
        return false;
      }
      setTimeout(() => this.actor.send({ type: 'SPACE' }), this.#retryMs).unref();
      this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
      this.actor.send({ type: 'NO_SPACE' });
      return false;
    }
    this.#stuck = false;
    this.#retryMs = FIRST_RETRY_MS;
    this.config.allocator.reportRestored();
    if (this.tail.durableAcks.size > 0 || this.tail.durable.awaited) this.#askSync();
    return true;
  }

  // ── Purging, rewinding ───────────────────────────────────────────────────────────────────────────────────────────

  purgeBefore(minLsn: number): Promise<PurgeResult> {
    try {
      this.#refuseClosed();
    } catch (error) {
      return Promise.reject(error);
    }
    return new Promise((resolve, reject) => {
      this.#purges.push({ minLsn, resolve, reject });
      this.actor.send({ type: 'PURGE' });
    });
  }

  #startPurge(): void {
    const purges = this.#purges.splice(0);
    const work = this.#fileWork.then(async () => {
      for (const { minLsn, resolve, reject } of purges) {
        try {
          resolve(await this.#purge(minLsn));
        } catch (error) {
          reject(error);
        }
      }
      this.actor.send({ type: 'PURGED' });
    });
    this.#fileWork = work;
  }

  async #purge(minLsn: number): Promise<PurgeResult> {
    const { catalogue, config, partition } = this;
    const count = catalogue.purgeable(minLsn, this.tail.durable.value);
    if (count === 0) return { segments: 0, bytes: 0, oldestLsn: this.oldestReadable };
    // Decided, and closed to readers, in one turn: none can enter a segment that is about to go.
    const before = this.oldestReadable;
    const given = catalogue.dropOldest(count);
    const first = catalogue.oldest as SegmentEntry;
    this.oldestReadable = first.baseLsn;
    try {
      await config.manifest.setMark(partition, { oldestLsn: first.baseLsn, firstSegment: first.index });
    } catch (error) {
      catalogue.restoreOldest(given);
      this.oldestReadable = before;
      throw error;
    }
    this.oldest.set(first.baseLsn);
    await removeSegments(config, given);
    this.#purgedSegments += given.length;
    const bytes = given.reduce((sum, segment) => sum + segment.segmentSize, 0);
    const result = { segments: given.length, bytes, oldestLsn: first.baseLsn };
    emitSafely(config.events, 'purged', { partition, ...result });
    return result;
  }

  async truncateAfter(lsn: number): Promise<void> {
    // One at a time; then with nothing on its way: what comes is held back, what is there is made durable.
    while (this.#rewind !== undefined) await this.#rewind.done.catch(() => {});
    this.#refuseClosed();
    const done = this.#holdAndRewind(lsn);
    this.#rewind = { lsn, done };
    try {
      await done;
    } finally {
      this.#rewind = undefined;
      this.#drain();
    }
  }

  async #holdAndRewind(lsn: number): Promise<void> {
    await RESOLVED; // `#rewind` is set, and new records queue
    await this.sync();
    await this.#until((state) => {
      const settled =
        state.matches({ log: 'writing', durability: 'idle' }) || state.matches({ log: 'blocked', durability: 'idle' });
      return settled && !this.#stuck && this.#change === undefined && this.tail.durable.value === this.tail.nextLsn - 1;
    });
    if (lsn >= this.tail.durable.value) return;
    if (lsn < this.oldestReadable - 1) {
      throw new VarveError(
        'ERR_VARVE_LSN_PURGED',
        `LSN ${lsn} of partition ${this.partition} was purged; the oldest that can be kept is ${this.oldestReadable}.`,
        { partition: this.partition, requested: lsn, oldest: this.oldestReadable },
      );
    }
    this.actor.send({ type: 'REWIND' });
    await this.#rewinding;
    if (this.#failure !== undefined) throw this.#failure;
    emitSafely(this.config.events, 'truncated', { partition: this.partition, lastLsn: lsn });
  }

  #startRewind(): void {
    const lsn = (this.#rewind as { lsn: number }).lsn;
    this.#rewinding = this.#fileWork
      .then(() => this.#cutBehind(lsn))
      .then(
        () => this.actor.send({ type: 'REWOUND' }),
        (cause: unknown) => this.actor.send({ type: 'FAIL', cause }),
      )
      .finally(() => {
        this.#rewinding = undefined;
      });
    this.#fileWork = this.#rewinding;
  }

  async #cutBehind(lsn: number): Promise<void> {
    const { config, partition, catalogue, tail } = this;
    const rewind = await planRewind(config, this.reader, catalogue, lsn);
    const { writer } = tail;
    this.epoch++;
    tail.rewind(lsn);
    writer?.release();
    await writer?.file.close();
    await this.supply.drop();
    for (const segment of catalogue.all()) config.handles.forget(segment.name);
    await stateRewind(config.disk, config.directory, partition, rewind);
    const recovered = await recoverPartition({
      disk: config.disk,
      directory: config.directory,
      partition,
      indexes: catalogue.all().map((segment) => segment.index),
      storeId: config.storeId,
      mark: config.manifest.mark(partition),
      minDurableLsn: 0,
      verify: 'tail',
      readOnly: false,
    });
    catalogue.reset(recovered.segments);
    await this.resume(recovered);
    this.epoch++;
  }

  // ── Phases, failing, closing ─────────────────────────────────────────────────────────────────────────────────────

  #enter(phase: Phase): void {
    this.#phase = phase;
    if (phase === 'blocked' && this.config.whenFull === 'refuse') this.#queue.refuseAppends(() => this.#noSpace());
  }

  #fail(cause: unknown): void {
    if (this.#failure !== undefined) return;
    const failure = new VarveError(
      'ERR_VARVE_PARTITION_FAILED',
      `Partition ${this.partition} has failed: ${cause instanceof Error ? cause.message : String(cause)}. ` +
        'What was acknowledged is safe, and reads go on. Close the log and open it again.',
      { partition: this.partition },
      cause,
    );
    this.#failure = failure;
    const { tail } = this;
    tail.writtenAcks.rejectAll(failure);
    tail.durableAcks.rejectAll(failure);
    this.#queue.rejectAll(failure);
    for (const mark of [tail.written, tail.durable, this.oldest]) mark.end(failure, true);
    emitSafely(this.config.events, 'failed', { partition: this.partition, cause });
  }

  /** Makes durable what was taken, marks a clean close, and gives everything back. Idempotent. */
  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = new Promise((resolve, reject) => {
        this.#closed = { resolve, reject };
      });
      this.#endTurn();
      this.actor.send({ type: 'CLOSE' });
    }
    return this.#closing;
  }

  #startClose(): void {
    const failedBefore = this.#failure !== undefined;
    const finish = async () => {
      this.#queue.rejectAll(this.closedError());
      await this.#fileWork;
      if (!failedBefore) await this.#finishWriting();
    };
    const end = this.#closed as Closed;
    finish()
      .catch((cause: unknown) => this.actor.send({ type: 'FAIL', cause }))
      .then(() => this.#giveBack())
      .catch((cause: unknown) => this.actor.send({ type: 'FAIL', cause }))
      .then(() => {
        this.actor.send({ type: 'CLOSED' });
        const closed = this.closedError();
        this.tail.writtenAcks.rejectAll(closed);
        this.tail.durableAcks.rejectAll(closed);
        for (const mark of [this.tail.written, this.tail.durable, this.oldest]) mark.end(closed, false);
        emitSafely(this.config.events, 'closed', { partition: this.partition });
        if (this.#failure !== undefined && !failedBefore) end.reject(this.#failure);
        else end.resolve();
      });
  }

  async #finishWriting(): Promise<void> {
    const { tail } = this;
    tail.closeFrame();
    await this.#until((state) => state.matches({ durability: 'idle' }));
    if (this.#failure !== undefined) throw this.#failure;
    const { writer } = tail;
    const changed = tail.records > 0 || this.#rotations > 0 || this.epoch > 0;
    if (writer === undefined || (this.#clean && !changed)) return;
    if (tail.closedLsn > tail.durable.value) {
      const run = tail.startSync() as SyncRun;
      await run.file.sync();
      tail.finishSync(run);
    }
    writer.seal(!writer.canMark, tail.durable.value, this.config.disk.now());
    await writer.file.sync();
  }

  async #giveBack(): Promise<void> {
    const { writer, sealing } = this.tail;
    await this.supply.drop();
    for (const open of [sealing?.writer, writer]) {
      open?.release();
      await open?.file.close();
    }
    this.tail.writer = undefined;
    await Promise.all(this.#fileCloses);
  }

  /** Resolves when the machine is in a state that passes `test`. Rejects when the partition fails first. */
  #until(test: (state: ReturnType<PartitionActor['getSnapshot']>) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): boolean => {
        if (this.#failure !== undefined) reject(this.#failure);
        else if (test(this.actor.getSnapshot())) resolve();
        else return false;
        return true;
      };
      if (look()) return;
      const subscription = this.actor.subscribe({
        next: () => {
          if (look()) subscription.unsubscribe();
        },
      });
    });
  }

  stats(): Stats {
    const segments = this.catalogue.all();
    const { tail } = this;
    const { ready, recycled, reused, space } = this.config.allocator.stats;
    return {
      segments: {
        active: segments.filter((segment) => !segment.sealed).length,
        sealed: segments.filter((segment) => segment.sealed).length,
        ready,
        recycled,
      },
      reused,
      bytes: {
        used: segments.reduce((sum, segment) => sum + segment.end, 0),
        allocated: segments.reduce((sum, segment) => sum + segment.segmentSize, 0),
        appended: tail.appendedBytes,
        unsynced: tail.unsyncedBytes + this.#queue.bytes,
      },
      records: tail.records,
      frames: tail.frames,
      syncs: this.#syncs,
      recordsPerSync: this.#syncs === 0 ? 0 : this.#syncedRecords / this.#syncs,
      syncLatency: this.latency.summary(),
      rotations: this.#rotations,
      purged: this.#purgedSegments,
      queueDepth: this.#queue.length + tail.durableAcks.size + tail.writtenAcks.size,
      space,
    };
  }
}
