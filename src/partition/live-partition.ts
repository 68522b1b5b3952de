/**
 * A partition that is written to: does the work that the partition machine orders, and tells it what came of it.
 *
 * The machine decides what may happen and when. Taking records is the intake's part, changing segments the rotation's,
 * the growing end of the log the tail's; here are syncing, giving up segments and tails, failing and closing.
 */
import {
  type PartitionActor,
  type PartitionEvent,
  type Phase,
  startPartitionActor,
} from '../actors/partition-machine.js';
import { asVarveError, systemCode, VarveError } from '../errors.js';
import type { LogEmitter } from '../events.js';
import type { Ack } from '../options.js';
import { Catalogue, type SegmentEntry } from '../segment/catalogue.js';
import type { SegmentHandles } from '../segment/handles.js';
import type { ManifestKeeper } from '../segment/manifest.js';
import { SegmentReader } from '../segment/reader.js';
import { type Recovered, recoverPartition } from '../segment/recovery.js';
import { type Rewind, stateRewind } from '../segment/rewind.js';
import { type ProgressOptions, type VerifyResult, verifySegments } from '../segment/verify.js';
import { LatencyRecorder, type Stats } from '../stats.js';
import { LsnMark } from '../streams/lsn-mark.js';
import type { PartitionBackend, PurgeResult } from './backend.js';
import { Intake, type IntakeLimits } from './intake.js';
import { Rotation } from './rotation.js';
import type { SupplyConfig } from './supply.js';
import { type Appended, type AppendedBatch, type SyncRun, Tail } from './tail.js';
import { planRewind } from './truncation.js';

/** What a partition shares with the rest of its log. */
export interface PartitionConfig extends SupplyConfig, IntakeLimits {
  readonly directory: string;
  readonly segmentSize: number;
  readonly events: LogEmitter;
  readonly handles: SegmentHandles;
  readonly manifest: ManifestKeeper;
}

const RESOLVED = Promise.resolve();

export class LivePartition implements PartitionBackend {
  readonly partition: number;
  readonly catalogue: Catalogue;
  readonly reader: SegmentReader;
  readonly tail: Tail;
  readonly intake: Intake;
  readonly oldest: LsnMark;
  readonly latency = new LatencyRecorder();
  readonly actor: PartitionActor;
  epoch = 0;
  /** Oldest LSN that may be read: ahead of `oldest` while a purge is under way. */
  oldestLsn: number;

  readonly #config: PartitionConfig;
  readonly #rotation: Rotation;
  #failure: VarveError | undefined;
  #syncAsked = false;
  /** In `syncing` one fdatasync follows the other; between two of them, and until the machine hears of the end: 'ended'. */
  #sync: 'none' | 'running' | 'ended' = 'none';
  /** The fdatasync that is under way, or the last one; it never rejects. */
  #syncing: Promise<void> = RESOLVED;
  #syncs = 0;
  #syncedRecords = 0;
  #purgedSegments = 0;
  /** A purge waits for the newest segment's open frame to be durable. */
  #awaitsOpened = false;
  /** Truncations since the partition was opened: the epoch that each ended in, and the last LSN that it left. */
  readonly #rewinds: { readonly epoch: number; readonly lsn: number }[] = [];
  readonly #purges: { minLsn: number; resolve: (result: PurgeResult) => void; reject: (error: unknown) => void }[] = [];
  /** Truncations, one after the other. */
  #truncating: Promise<unknown> = RESOLVED;
  #rewindTo = 0;
  #rewindRefused: VarveError | undefined;
  /** Set while the files behind the tail are being changed: readers wait for it. */
  #rewinding: Promise<void> | undefined;
  /** Purge and rewind both change which files there are: one after the other. */
  #fileWork: Promise<unknown> = RESOLVED;
  #closing: Promise<void> | undefined;
  #closed = false;
  #onClosed: (() => void) | undefined;
  /** Writes that a close gave up, since there was no space for them. */
  #lost: VarveError | undefined;
  /** The log ended with a clean mark when it was opened. */
  readonly #clean: boolean;

  private constructor(config: PartitionConfig, partition: number, recovered: Recovered) {
    this.#config = config;
    this.partition = partition;
    this.catalogue = new Catalogue(partition, recovered.segments);
    this.reader = new SegmentReader(config.handles, true);
    this.oldestLsn = recovered.report.oldestLsn;
    this.oldest = new LsnMark(this.oldestLsn);
    this.tail = new Tail(recovered.nextLsn - 1, recovered.durableLsn, () => config.disk.now());
    this.#clean = recovered.report.clean;
    this.intake = new Intake(this, config);
    this.#rotation = new Rotation(this, config, recovered.previous);
    this.actor = startPartitionActor({
      phase: (phase) => this.#enter(phase),
      sync: () => this.#startSync(),
      rotate: () => this.#rotation.start(),
      rewind: () => this.#startRewind(),
      purge: () => this.#startPurge(),
      close: () => this.#startClose(),
      fail: (cause) => this.#fail(cause),
      waiting: () => !this.failed && this.#rotation.wanted,
    });
  }

  static async open(config: PartitionConfig, partition: number, recovered: Recovered): Promise<LivePartition> {
    const live = new LivePartition(config, partition, recovered);
    try {
      await live.#resume(recovered);
    } catch (error) {
      await recovered.tail?.file.close();
      throw error;
    }
    live.send({ type: 'OPENED' });
    return live;
  }

  /** Goes on in the segment that recovery has found to be the last. */
  async #resume(recovered: Recovered): Promise<void> {
    this.#rotation.previous = recovered.previous;
    const { tail } = recovered;
    if (tail === undefined) return;
    const { end, index, segmentSize, seed, baseLsn } = tail.entry;
    const image = await this.#rotation.supply.reopen(tail.file, segmentSize, end);
    const { lastChecksum, entries, cookieSequence } = tail;
    const resume = { end, nextLsn: recovered.nextLsn, lastChecksum, entries, cookieSequence };
    this.tail.begin({ file: tail.file, image, index, segmentSize, seed, baseLsn, resume, time: 0 }, tail.entry);
  }

  send(event: PartitionEvent): void {
    this.actor.send(event);
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  get syncWanted(): boolean {
    return this.intake.wantsSync || this.#awaitsOpened;
  }

  /** Something is in the way of adding records at all. */
  get stopped(): boolean {
    return this.#rotation.stuck || this.#rotation.asked;
  }

  refuseClosed(): void {
    if (this.#closing !== undefined) throw this.#closedError();
    if (this.#failure !== undefined) throw this.#failure;
  }

  // Reading

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
    if (this.#closed) return Promise.reject(this.#closedError());
    return this.#rewinding ?? RESOLVED;
  }

  lowestRewind(since: number): number {
    let lowest = Number.POSITIVE_INFINITY;
    for (const { epoch, lsn } of this.#rewinds) if (epoch > since) lowest = Math.min(lowest, lsn);
    return lowest;
  }

  changedBehind(): Promise<boolean> {
    return Promise.resolve(false); // nobody else changes what is locked
  }

  async verify(options: ProgressOptions): Promise<VerifyResult> {
    const { handles, directory } = this.#config;
    for (;;) {
      await this.ready();
      this.intake.endTurn();
      const { epoch } = this;
      const segments = this.catalogue.all();
      // A segment that is not published yet has no open frame to verify, and nothing in it counts.
      const published = this.#rotation.changing ? segments.slice(0, -1) : segments;
      try {
        const result = await verifySegments(handles, published, options);
        if (epoch === this.epoch) return result;
      } catch (error) {
        const ours = error instanceof VarveError || systemCode(error) !== undefined;
        if (!ours || options.signal?.aborted) throw error;
        // A rewind changes bytes by intent, and takes files away: what was met then need not be damage.
        if (epoch === this.epoch) throw asVarveError(error, `Verifying partition ${this.partition}`, directory);
      }
    }
  }

  // Writing

  append(payload: Uint8Array, ack: Ack): Promise<Appended> {
    return this.intake.append(payload, ack);
  }

  appendBatch(payloads: readonly Uint8Array[], ack: Ack): Promise<AppendedBatch> {
    return this.intake.appendBatch(payloads, ack);
  }

  write(payload: Uint8Array): number {
    return this.intake.write(payload);
  }

  async sync(): Promise<number> {
    this.refuseClosed();
    await this.waitFor(this.intake.lastLsn, undefined);
    return this.tail.durable.value;
  }

  waitFor(lsn: number, signal: AbortSignal | undefined): Promise<void> {
    const waiting = this.tail.durable.waitFor(lsn, signal);
    if (!this.failed && this.#closing === undefined) this.intake.wantSynced(lsn);
    return waiting;
  }

  async rotate(): Promise<void> {
    this.refuseClosed();
    this.intake.endTurn();
    const { writer, nextLsn } = this.tail;
    if (writer === undefined) return; // nothing to seal
    // A change that is under way may already have taken records into the new segment: then that one is left, too.
    let count = this.#rotation.count + (this.#rotation.changing ? 1 : 0);
    if (nextLsn > writer.baseLsn) {
      count++;
      this.#rotation.asked = true;
      this.full();
    }
    await this.#until((state) => this.#rotation.count >= count || state.value.log === 'closing');
    if (this.#rotation.count < count) throw this.#closedError();
  }

  closeFrame(): boolean {
    if (this.failed || this.#rotation.stuck) return false;
    try {
      this.tail.closeFrame();
      return true;
    } catch (cause) {
      this.#rotation.handOverFailed(cause);
      return false;
    }
  }

  frameClosed(): void {
    if (this.#closing === undefined) this.#rotation.prepareAhead();
  }

  full(): void {
    this.send({ type: 'FULL' });
  }

  // Syncing

  askSync(): void {
    if (this.#syncAsked) return;
    this.#syncAsked = true;
    if (this.#sync === 'none') this.send({ type: 'SYNC' });
    else if (this.#sync === 'ended') this.#startSync();
  }

  #startSync(): void {
    this.#syncAsked = false;
    this.#sync = 'running';
    let run: SyncRun | undefined;
    try {
      const now = !this.failed && !this.#rotation.stuck && this.intake.phase !== 'rewinding';
      if (now) run = this.tail.startSync();
    } catch (cause) {
      this.#rotation.handOverFailed(cause);
    }
    // What is in a segment that is not published does not count; it is synced when it does.
    if (run === undefined || (!run.final && !run.writer.published)) {
      this.#tellSynced();
      return;
    }
    const begun = run;
    const started = performance.now();
    this.#syncing = begun.file.sync().then(
      () => this.#synced(begun, performance.now() - started),
      (cause: unknown) => this.send({ type: 'FAIL', cause }),
    );
  }

  #synced(run: SyncRun, duration: number): void {
    if (this.failed) return; // the machine has left `syncing`, and nothing may be acknowledged any more
    try {
      const records = this.tail.finishSync(run);
      this.#syncs++;
      this.#syncedRecords += records;
      this.latency.record(duration);
      const { events } = this.#config;
      if (events.listenerCount('synced') > 0) {
        const { partition } = this;
        events.emit('synced', { partition, durableLsn: this.tail.durable.value, records, duration });
      }
      if (run.final) this.#rotation.sealed();
    } catch (cause) {
      this.#rotation.handOverFailed(cause);
    }
    this.#sync = 'ended';
    if (this.#syncAsked) this.#startSync();
    else process.nextTick(this.#whenGoneOn);
    this.intake.drain();
  }

  /**
   * Whoever was waiting goes on before the machine hears that the syncs have ended: the next append of a lone writer then
   * asks in time, and the machine stays in `syncing`. That append's turn ends in a tick which is queued only after this
   * one, hence the second.
   */
  readonly #whenGoneOn = (): void => {
    process.nextTick(() => {
      if (this.#sync === 'ended') this.#tellSynced();
    });
  };

  #tellSynced(): void {
    try {
      if (!this.failed) this.tail.syncsEnded();
    } catch (cause) {
      this.#rotation.handOverFailed(cause);
    }
    this.#sync = 'none';
    this.send({ type: 'SYNCED' });
    if (this.#syncAsked) this.send({ type: 'SYNC' }); // asked for while there was nothing that could be synced
  }

  // Purging

  purgeBefore(minLsn: number): Promise<PurgeResult> {
    this.refuseClosed();
    return new Promise((resolve, reject) => {
      this.#purges.push({ minLsn, resolve, reject });
      this.send({ type: 'PURGE' });
    });
  }

  #startPurge(): void {
    const purges = this.#purges.splice(0);
    this.#fileWork = this.#fileWork.then(async () => {
      for (const { minLsn, resolve, reject } of purges) {
        try {
          resolve(await this.#purge(minLsn));
        } catch (error) {
          reject(asVarveError(error, `Purging partition ${this.partition}`, this.#config.directory));
        }
      }
      this.send({ type: 'PURGED' });
    });
  }

  async #purge(minLsn: number): Promise<PurgeResult> {
    const { catalogue, partition } = this;
    const { manifest, events } = this.#config;
    const keep = (await this.#newestOpened()) ? 1 : 2;
    const count = catalogue.purgeable(minLsn, this.tail.durable.value, keep);
    if (count === 0) return { segments: 0, bytes: 0, oldestLsn: this.oldestLsn };
    // Decided, and closed to readers, in one turn: none can enter a segment that is about to go.
    const before = this.oldestLsn;
    const given = catalogue.dropOldest(count);
    const first = catalogue.oldest as SegmentEntry;
    this.oldestLsn = first.baseLsn;
    try {
      await manifest.setMark(partition, { oldestLsn: first.baseLsn, firstSegment: first.index });
    } catch (error) {
      catalogue.restoreOldest(given);
      this.oldestLsn = before;
      throw error;
    }
    this.oldest.set(first.baseLsn);
    await this.#giveUp(given.map((segment) => segment.name));
    this.#purgedSegments += given.length;
    const bytes = given.reduce((sum, segment) => sum + segment.segmentSize, 0);
    const result = { segments: given.length, bytes, oldestLsn: first.baseLsn };
    events.emit('purged', { partition, ...result });
    return result;
  }

  /**
   * Until the newest segment's open frame is durable, a crash takes that segment for one that was never opened, and goes
   * on in the one before: which must still be there. Waits for that sync; false where it cannot come now.
   */
  async #newestOpened(): Promise<boolean> {
    const { tail } = this;
    const opened = () => tail.writer === undefined || (tail.opened && !this.#rotation.changing);
    if (opened()) return true;
    this.#awaitsOpened = true;
    this.askSync();
    try {
      await this.#until(({ value: { log } }) => {
        return opened() || log === 'closing' || log === 'rewinding' || (log === 'blocked' && this.#rotation.changing);
      });
    } finally {
      this.#awaitsOpened = false;
    }
    return opened();
  }

  async #giveUp(names: readonly string[]): Promise<void> {
    for (const name of names) this.#config.handles.forget(name);
    await this.#config.allocator.retire(names);
  }

  // Truncating

  truncateAfter(lsn: number): Promise<void> {
    const truncating = this.#truncating.then(() => this.#truncate(lsn));
    this.#truncating = truncating.catch(() => {}); // its own caller hears of it
    return truncating;
  }

  async #truncate(lsn: number): Promise<void> {
    const { intake, tail } = this;
    // First what has its LSN already; then nothing new goes in until the tail is cut.
    do await this.sync();
    while (intake.queue.writtenRecords > 0);
    intake.held = true;
    try {
      await this.sync();
      await this.#until((state) => {
        const { log, durability } = state.value;
        if (durability !== 'idle' || (log !== 'writing' && log !== 'blocked')) return log === 'closing';
        return !this.#rotation.stuck && !this.#rotation.changing && tail.durable.value === tail.nextLsn - 1;
      });
      this.refuseClosed();
      if (lsn >= tail.durable.value) return;
      this.#rewindTo = lsn;
      this.#rewindRefused = undefined;
      this.send({ type: 'REWIND' });
      await this.#rewinding;
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#rewindRefused !== undefined) throw this.#rewindRefused;
      this.#config.events.emit('truncated', { partition: this.partition, lastLsn: lsn });
    } finally {
      intake.held = false;
      intake.drain();
    }
  }

  #startRewind(): void {
    this.#rewinding = this.#fileWork
      .then(() => this.#rewind(this.#rewindTo))
      .then(
        () => this.send({ type: 'REWOUND' }),
        (cause: unknown) => this.send({ type: 'FAIL', cause }),
      )
      .finally(() => {
        this.#rewinding = undefined;
      });
    this.#fileWork = this.#rewinding;
  }

  async #rewind(lsn: number): Promise<void> {
    let plan: Rewind;
    try {
      if (lsn < this.oldestLsn - 1) {
        throw new VarveError(
          'ERR_VARVE_LSN_PURGED',
          `LSN ${lsn} of partition ${this.partition} was purged; the oldest that can be kept is ${this.oldestLsn}.`,
          { partition: this.partition, requested: lsn, oldest: this.oldestLsn },
        );
      }
      plan = await planRewind(this.#config, this.reader, this.catalogue, lsn);
    } catch (error) {
      this.#rewindRefused = asVarveError(error, `Truncating partition ${this.partition}`, this.#config.directory);
      return; // nothing has been changed
    }
    await this.#cut(plan);
  }

  async #cut(rewind: Rewind): Promise<void> {
    const { partition, catalogue, tail } = this;
    const { disk, directory, handles, storeId, manifest } = this.#config;
    const { writer } = tail;
    this.epoch++;
    await this.#syncing; // one may have begun before the phase changed
    tail.rewind(rewind.lastLsn);
    writer?.release();
    await writer?.file.close();
    await this.#rotation.supply.drop();
    const forgetAll = () => {
      for (const segment of catalogue.all()) handles.forget(segment.name);
    };
    forgetAll();
    await stateRewind(disk, directory, partition, rewind);
    // Doing it is recovery's part, since that is who does it after a crash.
    const indexes = catalogue.all().map((segment) => segment.index);
    const mark = manifest.knownMark(partition, true);
    const request = { disk, directory, partition, indexes, storeId, mark, minDurableLsn: 0, verify: 'tail' as const };
    const recovered = await recoverPartition({ ...request, readOnly: false });
    // Once more: a reader that was under way may have opened a file that has gone since, and whose name comes again.
    forgetAll();
    catalogue.reset(recovered.segments);
    await this.#resume(recovered);
    this.epoch++;
    this.#rewinds.push({ epoch: this.epoch, lsn: rewind.lastLsn });
  }

  // Phases, failing, closing

  #enter(phase: Phase): void {
    this.intake.phase = phase;
    if (phase === 'blocked') this.intake.blocked();
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
    this.#endWaiting(failure);
    this.#config.events.emit('failed', { partition: this.partition, cause });
  }

  #endWaiting(error: VarveError): void {
    const { tail } = this;
    this.intake.rejectAll(error);
    tail.tellWritten();
    tail.writtenAcks.rejectAll(error);
    tail.durableAcks.rejectAll(error);
    for (const { reject } of this.#purges.splice(0)) reject(error);
    for (const mark of [tail.written, tail.durable, this.oldest]) mark.end(error);
  }

  /** Makes durable what was taken, marks a clean close, and gives everything back. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const failedBefore = this.#failure;
    this.intake.endTurn();
    await this.intake.whenEmpty();
    const closed = new Promise<void>((resolve) => {
      this.#onClosed = resolve;
    });
    this.send({ type: 'CLOSE' });
    await closed;
    const untold = this.failed && this.intake.unawaited;
    if (this.#failure !== failedBefore || untold) throw this.#failure;
    if (this.#lost !== undefined) throw this.#lost;
  }

  /** Every purge and rewind that was asked for is done. */
  async #fileWorkDone(): Promise<void> {
    for (let work: unknown; work !== this.#fileWork; ) {
      work = this.#fileWork;
      await work;
    }
  }

  #startClose(): void {
    const work = async () => {
      // A write got its LSN when it was taken: that it could not be kept must be told.
      const lost = this.intake.queue.writtenRecords;
      if (lost > 0) this.#lost = this.intake.noSpace(lost);
      this.intake.rejectAll(this.#closedError());
      await this.#fileWorkDone();
      if (!this.failed) await this.#finishWriting();
    };
    const failing = (cause: unknown) => this.send({ type: 'FAIL', cause });
    const end = () => {
      this.#closed = true;
      this.epoch++;
      this.send({ type: 'CLOSED' });
      this.#endWaiting(this.#closedError());
      this.#config.events.emit('closed', { partition: this.partition });
      this.#onClosed?.();
    };
    work()
      .catch(failing)
      .then(() => this.#giveBack())
      .catch(failing)
      .then(end);
  }

  async #finishWriting(): Promise<void> {
    const { tail } = this;
    tail.closeFrame();
    await this.#until((state) => state.value.durability === 'idle');
    const { writer } = tail;
    const changed = tail.records > 0 || this.#rotation.count > 0 || this.epoch > 0;
    if (writer === undefined || (this.#clean && !changed)) return;
    if (tail.closedLsn > tail.durable.value) {
      const run = tail.startSync() as SyncRun;
      await run.file.sync();
      tail.finishSync(run);
      tail.syncsEnded();
    }
    writer.seal(!writer.canMark, tail.durable.value, this.#config.disk.now());
    await writer.file.sync();
  }

  async #giveBack(): Promise<void> {
    const { writer, sealing } = this.tail;
    this.tail.writer = undefined;
    await this.#syncing; // after a failure one may still be under way
    for (const open of [sealing?.writer, writer]) {
      open?.release();
      await open?.file.close();
    }
    await this.#rotation.stop();
  }

  #closedError(): VarveError {
    return new VarveError('ERR_VARVE_CLOSED', `Partition ${this.partition} is closed.`, { partition: this.partition });
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
      const subscription = this.actor.subscribe(() => {
        if (look()) subscription.unsubscribe();
      });
    });
  }

  stats(): Stats {
    const { tail, intake } = this;
    const { ready, recycled, reused, space } = this.#config.allocator.stats;
    const { active, sealed, used, allocated } = this.catalogue.totals();
    return {
      segments: { active, sealed, ready, recycled },
      reused,
      bytes: { used, allocated, appended: tail.appendedBytes, unsynced: tail.unsyncedBytes + intake.queue.bytes },
      records: tail.records,
      frames: tail.frames,
      syncs: this.#syncs,
      recordsPerSync: this.#syncs === 0 ? 0 : this.#syncedRecords / this.#syncs,
      syncLatency: this.latency.summary(),
      rotations: this.#rotation.count,
      purged: this.#purgedSegments,
      queueDepth: intake.queue.length + tail.durableAcks.size + tail.writtenAcks.size,
      space,
    };
  }
}
