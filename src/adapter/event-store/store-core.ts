/**
 * What the parts of an event store share: its partitions, the states of its streams, and where events are found.
 *
 * Everything here but the log itself is derived from the log, when the store is opened or when it is asked for.
 */
import { VarveError } from '../../errors.js';
import type { Batch } from './batch.js';
import { CommitLane, type LaneHost, type LaneLimits } from './commit-lane.js';
import { EarlierAppends } from './earlier-appends.js';
import type { Engine } from './engine.js';
import { decodeHead, envelopeCreated, type IdMaker } from './envelope.js';
import { idMaker } from './event-input.js';
import { IndexCache } from './index-cache.js';
import { IndexKeeper, makeIndexFolder } from './index-keeper.js';
import { KeptFiles } from './kept-files.js';
import { RecordReader } from './record-reader.js';
import { type Decoding, decodeEvent, type RecordedEvent } from './recorded-event.js';
import { StoreLog } from './store-log.js';
import type { StreamIndex } from './stream-index.js';
import { partitionIndex } from './stream-partition.js';
import { isMetadataStream, type StreamState, streamOfMetadata } from './stream-state.js';
import { StreamStates } from './stream-states.js';
import type { PreparedEvent } from './stream-write.js';
import { completeTransaction } from './transaction.js';

export interface CoreOptions extends LaneLimits {
  readonly partitions: number;
  readonly decoding: Decoding;
  /** Bytes of stream states, and of events that were read, kept in memory. */
  readonly headCacheBytes: number;
  readonly eventCacheBytes: number;
  /** Bytes of index files kept in memory. */
  readonly streamIndexCacheBytes: number;
}

/** A store that is closing looks for want of space as often as this, in milliseconds. */
const SPACE_POLL_MS = 20;

/** Index files that are held open. */
const OPEN_INDEX_FILES = 64;

export interface StorePartition {
  readonly log: StoreLog;
  readonly keeper: IndexKeeper;
  readonly index: StreamIndex;
  readonly lane: CommitLane;
}

export class StoreCore implements LaneHost {
  readonly engine: Engine;
  readonly options: CoreOptions;
  readonly makeId: IdMaker;
  readonly records: RecordReader;
  readonly states: StreamStates;
  readonly earlier: EarlierAppends;
  readonly partitions: StorePartition[] = [];
  closed = false;
  readonly #indexFiles: IndexCache;
  /** How often more has become durable, and who waits for the next time. */
  #advances = 0;
  readonly #onAdvance = new Set<() => void>();
  #nextPosition = 1;
  #lastCreated = 0;
  /** Batches that have their positions and are not durable yet. */
  readonly #underWay = new Set<Batch>();

  private constructor(engine: Engine, options: CoreOptions) {
    this.engine = engine;
    this.options = options;
    const { disk } = engine.storage;
    this.makeId = idMaker((length) => disk.randomBytes(length));
    this.records = new RecordReader(options.partitions, options.eventCacheBytes);
    this.#indexFiles = new IndexCache({ maxBytes: options.streamIndexCacheBytes, maxFiles: OPEN_INDEX_FILES });
    this.states = new StreamStates(this, options.headCacheBytes);
    this.earlier = new EarlierAppends(this);
  }

  static async open(engine: Engine, options: CoreOptions): Promise<StoreCore> {
    const core = new StoreCore(engine, options);
    engine.events.on('failed', ({ partition, cause }) => core.#failed(partition, cause));
    const logs = await Promise.all(Array.from({ length: options.partitions }, (_, i) => engine.partition(i + 1)));
    for (const log of logs) await completeTransaction(log, logs);
    await makeIndexFolder(engine);
    for (const engineLog of logs) {
      const log = new StoreLog(engineLog, await KeptFiles.open(engine, engineLog, core.#indexFiles));
      const keeper = new IndexKeeper(engine, log, core.#indexFiles);
      core.partitions.push({ log, keeper, index: keeper.index, lane: new CommitLane(log, core, options) });
      await core.#takeUp(log);
      await keeper.open(({ stream, revision }, payload) => core.earlier.remember(payload, stream, revision));
    }
    return core;
  }

  // Where things are

  /** The partition of a stream. */
  partitionOf(stream: string): StorePartition {
    return this.partitions[partitionIndex(stream, this.options.partitions)] as StorePartition;
  }

  decode(partition: Pick<StoreLog, 'number'>, record: { lsn: number; payload: Uint8Array }): RecordedEvent {
    return decodeEvent(record.payload, partition.number, record.lsn, this.options.decoding);
  }

  /** The last position up to which everything is durable or will never be. */
  get visiblePosition(): number {
    if (this.options.partitions === 1) return (this.partitions[0] as StorePartition).log.durableLsn;
    let first = this.#nextPosition;
    for (const batch of this.#underWay) first = Math.min(first, batch.firstPosition);
    return first - 1;
  }

  /** How often more has become durable. Take it *before* looking at what there is; then `waitAdvanced` misses nothing. */
  advanced(): number {
    return this.#advances;
  }

  /**
   * Resolves when more has become durable than at `advanced`, or the store is closed. Rejects with the signal's reason, and
   * when one of the partitions takes nothing any more: what was in doubt there is decided by the next open only.
   */
  async waitAdvanced(
    advanced: number,
    signal: AbortSignal | undefined,
    partitions: readonly StorePartition[] = this.partitions,
  ): Promise<void> {
    signal?.throwIfAborted();
    for (const { lane } of partitions) if (!this.closed && lane.stopped !== undefined) throw lane.stopped;
    if (this.closed || this.#advances > advanced) return;
    await new Promise<void>((resolve) => {
      const go = () => {
        this.#onAdvance.delete(go);
        signal?.removeEventListener('abort', go);
        resolve();
      };
      this.#onAdvance.add(go);
      signal?.addEventListener('abort', go);
    });
    signal?.throwIfAborted();
  }

  /** Subscriptions that wait for events. */
  get waiting(): number {
    return this.#onAdvance.size;
  }

  /** Ends what follows, and lets nothing begin. */
  end(): void {
    this.closed = true;
    this.#tellAdvance();
  }

  refuseClosed(): void {
    if (this.closed) throw this.#closedError();
  }

  #closedError(): VarveError {
    const { directory } = this.engine;
    return new VarveError('ERR_VARVE_CLOSED', `The event store in ${directory} is closed.`, { path: directory });
  }

  // What the lanes ask for

  begin(partition: number, writes: Batch['writes'], count: number): { batch: Batch; created: number } {
    this.#lastCreated = Math.max(this.#lastCreated, this.engine.storage.disk.now());
    // Of a single partition the positions are the LSNs: a batch that the log refuses leaves no gap.
    const { log } = this.partitions[partition - 1] as StorePartition;
    const firstPosition = this.options.partitions === 1 ? log.writtenLsn + 1 : this.#nextPosition;
    this.#nextPosition = firstPosition + count;
    const batch = { partition, firstPosition, writes };
    this.#underWay.add(batch);
    return { batch, created: this.#lastCreated };
  }

  appended(batch: Batch, states: ReadonlyMap<string, StreamState>, firstLsn: number, segment: number): void {
    const { keeper } = this.partitions[batch.partition - 1] as StorePartition;
    const layer = keeper.layerOf(segment);
    this.states.keep(states);
    let lsn = firstLsn;
    for (const { write, firstRevision } of batch.writes) {
      const { stream, events, idsGiven } = write;
      let revision = firstRevision;
      for (const { bytes, type, tags } of events) {
        layer.add(lsn++, stream, revision, type, tags);
        if (idsGiven) this.earlier.remember(bytes, stream, revision);
        revision++;
      }
      if (isMetadataStream(stream)) {
        const newest = events[events.length - 1] as PreparedEvent;
        this.states.setMetadata(streamOfMetadata(stream), revision - 1, newest.bytes);
      }
    }
  }

  unfiled(partition: number): number {
    return (this.partitions[partition - 1] as StorePartition).keeper.unfiled;
  }

  settled(batch: Batch): void {
    this.#underWay.delete(batch);
    this.#tellAdvance();
  }

  #failed(number: number, cause: unknown): void {
    const partition = this.partitions[number - 1];
    partition?.lane.stop(
      new VarveError(
        'ERR_VARVE_PARTITION_FAILED',
        `Partition ${number} of the event store in ${this.engine.directory} has failed. What was acknowledged is safe, and ` +
          'reads go on. Close the store, look at the disk, and open it again.',
        { partition: number },
        cause,
      ),
    );
    this.#tellAdvance();
  }

  #tellAdvance(): void {
    this.#advances++;
    for (const go of [...this.#onAdvance]) go();
  }

  /** Learns from a partition's last record what the store goes on with. */
  async #takeUp(log: StoreLog): Promise<void> {
    const [last] = await log.read({ direction: 'backward', limit: 1, visibility: 'written' }).toArray();
    if (last === undefined) return;
    const head = decodeHead(last.payload);
    if (head.partitions !== this.options.partitions) throw otherPartitions(head.partitions, this.options.partitions);
    this.#nextPosition = Math.max(this.#nextPosition, head.position + 1);
    this.#lastCreated = Math.max(this.#lastCreated, envelopeCreated(last.payload));
  }

  /** Gives everything back, after `ending` and what the lanes have taken, as far as there is space for it. */
  async close(ending: Promise<unknown> = Promise.resolve()): Promise<void> {
    const lanes = this.partitions.map(({ lane }) => lane);
    let working = true;
    const idle = ending.then(async () => {
      await Promise.all(lanes.map((lane) => lane.idle()));
      working = false;
    });
    while (working && this.engine.stats().space !== 'blocked') await within(SPACE_POLL_MS, idle);
    for (const lane of lanes) lane.stop(this.#closedError());
    this.states.end(this.#closedError());
    for (const { keeper } of this.partitions) await keeper.close();
    await this.#indexFiles.close();
    await this.engine.close(); // what waits for space waits in the log, and ends there
    await idle;
  }
}

export function otherPartitions(kept: number, given: number): VarveError {
  return new VarveError(
    'ERR_VARVE_INVALID_OPTION',
    `Option 'partitions' is ${given}, but this store was made with ${kept}, which decides where its streams are. ` +
      `Open it with partitions: ${kept}; to change the number, export it and import it into a new store.`,
    { option: 'partitions' },
  );
}

/** Resolves when `promise` does, or after some milliseconds. */
async function within(milliseconds: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  await Promise.race([promise, late]);
  clearTimeout(timer);
}
