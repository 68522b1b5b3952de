/**
 * A partition that is written to: does the work that the partition machine orders, and tells it what came of it.
 *
 * The machine decides what may happen and when. The work has a class for each of its parts: intake, tail, syncing,
 * rotation, purging, truncation. Here they are put together; and here are failing and closing, which concern them all.
 */
import {
  type PartitionActor,
  type PartitionEvent,
  type PartitionState,
  type Phase,
  startPartitionActor,
} from '../actors/partition-machine.js';
import { asVarveError, systemCode, VarveError } from '../errors.js';
import type { Ack } from '../options.js';
import { Catalogue } from '../segment/catalogue.js';
import { SegmentReader } from '../segment/reader.js';
import type { Recovered } from '../segment/recovery.js';
import { type ProgressOptions, type VerifyResult, verifySegments } from '../segment/verify.js';
import type { LatencyRecorder, Stats } from '../stats.js';
import type { LsnMark } from '../streams/lsn-mark.js';
import type { PartitionBackend, PurgeResult } from './backend.js';
import type { PartitionConfig } from './config.js';
import { FileWork } from './file-work.js';
import { Intake } from './intake.js';
import { Purging } from './purging.js';
import { Rotation } from './rotation.js';
import { Syncing } from './syncing.js';
import { type Appended, type AppendedBatch, type SyncRun, Tail } from './tail.js';
import { Truncation } from './truncation.js';

const RESOLVED = Promise.resolve();

export class LivePartition implements PartitionBackend {
  readonly partition: number;
  readonly catalogue: Catalogue;
  readonly reader: SegmentReader;
  readonly tail: Tail;
  readonly intake: Intake;
  readonly syncing: Syncing;
  readonly purging: Purging;
  readonly rotation: Rotation;
  readonly fileWork = new FileWork();
  readonly actor: PartitionActor;
  epoch = 0;
  failure: VarveError | undefined;

  readonly #config: PartitionConfig;
  readonly #truncation: Truncation;
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
    this.tail = new Tail(recovered.nextLsn - 1, recovered.durableLsn, () => config.disk.now());
    this.#clean = recovered.report.clean;
    this.intake = new Intake(this, config);
    this.rotation = new Rotation(this, config, recovered.previous);
    this.syncing = new Syncing(this, config.events);
    this.purging = new Purging(this, config, recovered.report.oldestLsn);
    this.#truncation = new Truncation(this, config);
    this.actor = startPartitionActor({
      phase: (phase) => this.#enter(phase),
      sync: () => this.syncing.start(),
      rotate: () => this.rotation.start(),
      rewind: () => this.#truncation.start(),
      purge: () => this.purging.start(),
      close: () => this.#startClose(),
      fail: (cause) => this.#fail(cause),
      waiting: () => !this.failed && this.rotation.wanted,
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
    live.send({ type: 'OPENED' });
    return live;
  }

  /** Goes on in the segment that recovery has found to be the last. */
  async resume(recovered: Recovered): Promise<void> {
    this.rotation.previous = recovered.previous;
    const { tail } = recovered;
    if (tail === undefined) return;
    const { end, index, segmentSize, seed, baseLsn } = tail.entry;
    const image = await this.rotation.supply.reopen(tail.file, segmentSize, end);
    const { lastChecksum, entries, cookieSequence } = tail;
    const resume = { end, nextLsn: recovered.nextLsn, lastChecksum, entries, cookieSequence };
    this.tail.begin({ file: tail.file, image, index, segmentSize, seed, baseLsn, resume, time: 0 }, tail.entry);
  }

  send(event: PartitionEvent): void {
    this.actor.send(event);
  }

  get failed(): boolean {
    return this.failure !== undefined;
  }

  get syncWanted(): boolean {
    return this.intake.wantsSync || this.purging.awaitsOpened;
  }

  /** Something is in the way of adding records at all. */
  get stopped(): boolean {
    return this.rotation.stuck || this.rotation.asked;
  }

  refuseClosed(): void {
    if (this.#closing !== undefined) throw this.#closedError();
    if (this.failure !== undefined) throw this.failure;
  }

  // Reading

  get durable(): LsnMark {
    return this.tail.durable;
  }

  get written(): LsnMark {
    return this.tail.written;
  }

  get oldest(): LsnMark {
    return this.purging.oldest;
  }

  get oldestLsn(): number {
    return this.purging.oldestLsn;
  }

  visibleLsn(level: Ack): number {
    return level === 'durable' ? this.tail.durable.value : this.tail.written.value;
  }

  whenVisible(lsn: number, level: Ack, signal: AbortSignal | undefined): Promise<void> {
    return (level === 'durable' ? this.tail.durable : this.tail.written).waitFor(lsn, signal);
  }

  ready(): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closedError());
    return this.#truncation.rewinding ?? RESOLVED;
  }

  lowestRewind(since: number): number {
    return this.#truncation.lowestSince(since);
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
      const published = this.rotation.changing ? segments.slice(0, -1) : segments;
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
    let count = this.rotation.count + (this.rotation.changing ? 1 : 0);
    if (nextLsn > writer.baseLsn) {
      count++;
      this.rotation.asked = true;
      this.full();
    }
    await this.until(({ log }) => this.rotation.count >= count || log === 'closing');
    if (this.rotation.count < count) throw this.#closedError();
  }

  closeFrame(): boolean {
    if (this.failed || this.rotation.stuck) return false;
    try {
      this.tail.closeFrame();
      return true;
    } catch (cause) {
      this.rotation.handOverFailed(cause);
      return false;
    }
  }

  frameClosed(): void {
    if (this.#closing === undefined) this.rotation.prepareAhead();
  }

  full(): void {
    this.send({ type: 'FULL' });
  }

  askSync(): void {
    this.syncing.ask();
  }

  // Purging and truncating

  purgeBefore(minLsn: number): Promise<PurgeResult> {
    this.refuseClosed();
    return this.purging.purgeBefore(minLsn);
  }

  truncateAfter(lsn: number): Promise<void> {
    return this.#truncation.truncateAfter(lsn);
  }

  // Phases, failing, closing

  #enter(phase: Phase): void {
    this.intake.phase = phase;
    if (phase === 'blocked') this.intake.blocked();
  }

  #fail(cause: unknown): void {
    if (this.failure !== undefined) return;
    const failure = new VarveError(
      'ERR_VARVE_PARTITION_FAILED',
      `Partition ${this.partition} has failed: ${cause instanceof Error ? cause.message : String(cause)}. ` +
        'What was acknowledged is safe, and reads go on. Close the log and open it again.',
      { partition: this.partition },
      cause,
    );
    this.failure = failure;
    this.#endWaiting(failure);
    this.#config.events.emit('failed', { partition: this.partition, cause });
  }

  #endWaiting(error: VarveError): void {
    const { tail } = this;
    this.intake.rejectAll(error);
    tail.tellWritten();
    tail.writtenAcks.rejectAll(error);
    tail.durableAcks.rejectAll(error);
    this.purging.rejectAll(error);
    for (const mark of [tail.written, tail.durable, this.oldest]) mark.end(error);
  }

  /** Makes durable what was taken, marks a clean close, and gives everything back. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const failedBefore = this.failure;
    this.intake.endTurn();
    await this.intake.whenEmpty();
    const closed = new Promise<void>((resolve) => {
      this.#onClosed = resolve;
    });
    this.send({ type: 'CLOSE' });
    await closed;
    const untold = this.failed && this.intake.unawaited;
    if (this.failure !== failedBefore || untold) throw this.failure;
    if (this.#lost !== undefined) throw this.#lost;
  }

  #startClose(): void {
    const work = async () => {
      // A write got its LSN when it was taken: that it could not be kept must be told.
      const lost = this.intake.queue.writtenRecords;
      if (lost > 0) this.#lost = this.intake.noSpace(lost);
      this.intake.rejectAll(this.#closedError());
      await this.fileWork.done();
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
    await this.until(({ durability }) => durability === 'idle');
    const { writer } = tail;
    const changed = tail.records > 0 || this.rotation.count > 0 || this.epoch > 0;
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
    await this.syncing.ended(); // after a failure one may still be under way
    for (const open of [sealing?.writer, writer]) {
      open?.release();
      await open?.file.close();
    }
    await this.rotation.stop();
  }

  #closedError(): VarveError {
    return new VarveError('ERR_VARVE_CLOSED', `Partition ${this.partition} is closed.`, { partition: this.partition });
  }

  /** Resolves when the machine is in a state that passes `test`. Rejects when the partition fails first. */
  until(test: (state: PartitionState) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): boolean => {
        if (this.failure !== undefined) reject(this.failure);
        else if (test(this.actor.getSnapshot().value)) resolve();
        else return false;
        return true;
      };
      if (look()) return;
      const subscription = this.actor.subscribe(() => {
        if (look()) subscription.unsubscribe();
      });
    });
  }

  get latency(): LatencyRecorder {
    return this.syncing.latency;
  }

  stats(): Stats {
    const { tail, intake } = this;
    const { syncs, syncedRecords, latency } = this.syncing;
    const { ready, recycled, reused, space } = this.#config.allocator.stats;
    const { active, sealed, used, allocated } = this.catalogue.totals();
    return {
      segments: { active, sealed, ready, recycled },
      reused,
      bytes: { used, allocated, appended: tail.appendedBytes, unsynced: tail.unsyncedBytes + intake.queue.bytes },
      records: tail.records,
      frames: tail.frames,
      syncs,
      recordsPerSync: syncs === 0 ? 0 : syncedRecords / syncs,
      syncLatency: latency.summary(),
      rotations: this.rotation.count,
      purged: this.purging.purgedSegments,
      queueDepth: intake.queue.length + tail.durableAcks.size + tail.writtenAcks.size,
      space,
    };
  }
}
