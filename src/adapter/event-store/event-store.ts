/**
 * The event store: streams of events on a log. See docs/event-store.md for what it is and how it is used.
 *
 * This file is what users hold: it checks what it is given before anything is touched. The work is done beside it.
 */
import type { LogEmitter } from '../../events.js';
import { openLog } from '../../log.js';
import { type Ack, callback, checkAll, integer, invalid, oneOf, resolveAck } from '../../options.js';
import type { Stats } from '../../stats.js';
import { eitherSignal, LiveStream, PullStream } from '../../streams/pull-stream.js';
import { Aggregate, type AggregateOptions } from './aggregate.js';
import { type BackupReport, backup, refuseIncomplete } from './backup.js';
import { tellingDisk } from './backup-files.js';
import { checkConsumerName, revisionOf, type StoredCheckpoint } from './checkpoints.js';
import type { EventCodec } from './codec.js';
import { makeCodecRegistry } from './codec-registry.js';
import type { Append } from './commit-lane.js';
import { appendTransaction, durable } from './commit-transaction.js';
import type { Consumer } from './consumer.js';
import { type ConsumeOptions, planConsumer } from './consumer-options.js';
import { Consumers } from './consumers.js';
import type { IdMaker } from './envelope.js';
import { checkFilter } from './event-filter.js';
import { checkStream, type EventInput, idMaker, prepareEvent } from './event-input.js';
import {
  type AllFrom,
  APPENDS_CHECKS,
  type AppendToStreamOptions,
  type AppendToStreamResult,
  anything,
  BACKUP_CHECKS,
  type BackupOptions,
  checkEventStoreOptions,
  type EventStoreOptions,
  EXPORT_CHECKS,
  type ExportOptions,
  IMPORT_CHECKS,
  type ImportOptions,
  LIST_CHECKS,
  type ListStreamsOptions,
  PURGE_CHECKS,
  type PurgeOptions,
  READ_ALL_CHECKS,
  READ_STREAM_CHECKS,
  type ReadAllOptions,
  type ReadStreamOptions,
  revision,
  SCAVENGE_CHECKS,
  type ScavengeOptions,
  type StreamAppend,
  type StreamAppendResult,
  SUBSCRIBE_CHECKS,
  SUBSCRIBE_TO_STREAM_CHECKS,
  type SubscribeOptions,
  type SubscribeToStreamOptions,
  schemaVersion,
  signalOption,
} from './event-store-options.js';
import { checkExpectedRevision, type ExpectedRevision, tombstoned, wrongRevision } from './expected-revision.js';
import { followAll, followStream } from './follow-events.js';
import type { ParkedEvent, ReplayHandler, ReplayResult } from './parking-lot.js';
import { checkPosition, formatCheckpoint, parseCheckpoint, parsePosition } from './position.js';
import { type PurgeReport, purge } from './purge.js';
import {
  type Cursors,
  durableRevision,
  readAllEvents,
  readStreamEvents,
  seekPosition,
  streamNotFound,
} from './read-events.js';
import type { RecordedEvent } from './recorded-event.js';
import { type ScavengeReport, scavenge } from './scavenge.js';
import {
  type SaveSnapshotResult,
  type Snapshot,
  type SnapshotInfo,
  type SnapshotInput,
  type SnapshotQuery,
  Snapshots,
} from './snapshots.js';
import { otherPartitions, StoreCore } from './store-core.js';
import { LIST_START, type ListedStream, listStreams, parseListPlace, type StreamPage } from './stream-list.js';
import { checkMetadata, metadataWrite, type StreamMetadataInput } from './stream-metadata.js';
import { exists, type StreamMetadata, type StreamState } from './stream-state.js';
import type { Committed, PreparedEvent, StreamWrite } from './stream-write.js';
import { SystemStreams } from './system-streams.js';
import { exportLines } from './transfer-export.js';
import { type ImportProgress, importLines, type Lines } from './transfer-import.js';

const MIB = 1024 * 1024;
const PARTITIONS_SETTING = 'eventStore.partitions';
const CODECS_SETTING = 'eventStore.codecs';
/** The first page of a segment is its header. */
const SEGMENT_HEADER_BYTES = 4096;
/** A batch takes this part of the rest at most, so that batches fit where a segment ends. */
const BATCHES_PER_SEGMENT = 4;
/** A batch is one frame, which is read as a whole to find one event in it. Only an append that is larger has more. */
const MAX_BATCH_BYTES = 24 * 1024;

/**
 * Opens the event store in `directory`, which is created if it is missing.
 *
 * ```ts
 * const store = await openEventStore({ directory: './data' });
 * await store.appendToStream('cart-42', [{ type: 'ItemAdded', data: { sku: 'a' } }], { expectedRevision: 'noStream' });
 * for await (const event of store.readStream('cart-42')) console.log(event.revision, event.type, event.data);
 * await store.close();
 * ```
 *
 * Rejects with what `openLog` and `log.partition` reject with, and `ERR_VARVE_INVALID_OPTION` for another number of
 * partitions than the store was made with.
 */
export async function openEventStore(options: EventStoreOptions): Promise<EventStore> {
  const { logOptions, decoding } = checkEventStoreOptions(options);
  const { partitions, codec, headCacheBytes, eventCacheBytes, streamIndexCacheBytes } = options;
  const log = await openLog(logOptions);
  try {
    const { storage } = log;
    await refuseIncomplete(storage.disk, log.directory);
    const kept = storage.setting(PARTITIONS_SETTING);
    const number = partitions ?? (typeof kept === 'number' ? kept : 1);
    if (kept !== undefined && kept !== number) throw otherPartitions(Number(kept), number);
    const names = storage.setting(CODECS_SETTING);
    const codecs = makeCodecRegistry(codec, typeof names === 'string' ? JSON.parse(names) : []);
    const segmentSize = logOptions.segmentSize ?? 64 * MIB;
    const core = await StoreCore.open(log, {
      partitions: number,
      decoding: { ...decoding, codecs },
      headCacheBytes: headCacheBytes ?? 16 * MIB,
      eventCacheBytes: eventCacheBytes ?? 16 * MIB,
      streamIndexCacheBytes: streamIndexCacheBytes ?? 32 * MIB,
      maxQueuedAppends: logOptions.maxQueuedAppends ?? 65_536,
      batchBytes: Math.min(MAX_BATCH_BYTES, Math.floor((segmentSize - SEGMENT_HEADER_BYTES) / BATCHES_PER_SEGMENT)),
    });
    if (kept === undefined) await storage.keepSetting(PARTITIONS_SETTING, number);
    const customNames = JSON.stringify(codecs.customNames);
    if (customNames !== (names ?? '[]')) await storage.keepSetting(CODECS_SETTING, customNames);
    return new EventStore(core);
  } catch (error) {
    await log.close().catch(anything); // what is wrong is told by the error that led here
    throw error;
  }
}

export class EventStore {
  readonly #core: StoreCore;
  readonly #makeId: IdMaker;
  readonly #system: SystemStreams;
  readonly #consumers: Consumers;
  readonly #snapshots: Snapshots;
  #closing: Promise<void> | undefined;
  #maintenance: Promise<unknown> = Promise.resolve();

  /** Event stores come from `openEventStore`. */
  constructor(core: StoreCore) {
    this.#core = core;
    const { disk } = core.engine.storage;
    this.#makeId = idMaker((length) => disk.randomBytes(length));
    this.#system = new SystemStreams(core, this.#makeId);
    this.#consumers = new Consumers(this.#system);
    this.#snapshots = new Snapshots(this.#system);
  }

  get directory(): string {
    return this.#core.engine.directory;
  }

  /** Number of partitions that streams are spread over. */
  get partitions(): number {
    return this.#core.options.partitions;
  }

  /** What data of new events are encoded with. */
  get codec(): EventCodec {
    return this.#core.options.decoding.codecs.codec;
  }

  /** What happens to the log below, as typed events. */
  get events(): LogEmitter {
    return this.#core.engine.events;
  }

  /** Of the log below. */
  stats(): Stats {
    return this.#core.engine.stats();
  }

  // Appending

  /**
   * Appends events to a stream, all or none; resolves when they are durable.
   *
   * Events whose ids were given and are there already are not appended again: the result is that of the first time. With
   * `expectedRevision` 'any' or 'streamExists' that holds for the last 65,536 events with given ids, else for all.
   *
   * Rejects with `ERR_VARVE_WRONG_REVISION` (`expected`, `actual`), `ERR_VARVE_STREAM_TOMBSTONED`,
   * `ERR_VARVE_INVALID_EVENT`, `ERR_VARVE_INVALID_OPTION`, and as `Partition.appendBatch` does. Nothing was written then,
   * except after `ERR_VARVE_PARTITION_FAILED`, when it may have been.
   */
  appendToStream(
    stream: string,
    events: EventInput | readonly EventInput[],
    options: AppendToStreamOptions = NO_OPTIONS,
  ): Promise<AppendToStreamResult> {
    // One promise, from here to the answer: of many appends under way each one less is felt.
    return new Promise((resolve, reject) => {
      this.#core.refuseClosed();
      checkStream(stream);
      const ack = options === NO_OPTIONS ? 'durable' : ackOf(options);
      const write = this.#write(stream, events, options.expectedRevision, true);
      const told = ([committed]: readonly Committed[]) => resolve(toResult(committed as Committed));
      this.#append([write], ack, told, reject);
    });
  }

  /**
   * Appends to several streams, in any partitions: all of it or nothing, after any crash. A stream without events is only
   * checked. Resolves when all is durable, with one result for each, in order. Rejects as `appendToStream` does.
   */
  async appendToStreams(appends: readonly StreamAppend[]): Promise<StreamAppendResult[]> {
    this.#core.refuseClosed();
    if (!Array.isArray(appends) || appends.length === 0) throw invalid('appends', appends, 'an array of at least one');
    const writes = appends.map((append, i) => {
      checkAll(append, APPENDS_CHECKS, `appends[${i}]`);
      const { stream, events = [], expectedRevision } = append;
      checkStream(stream);
      return this.#write(stream, events, expectedRevision, false);
    });
    const streams = new Set(writes.map(({ stream }) => stream));
    if (streams.size < writes.length) throw invalid('appends', 'naming a stream twice', 'one entry for each stream');
    if (writes.every(({ events }) => events.length === 0))
      throw invalid('appends', 'without events', 'at least one event');
    const committed = await new Promise<readonly Committed[]>((resolve, reject) => {
      this.#append(writes, 'durable', resolve, reject);
    });
    return writes.map(({ stream }, i) => ({ stream, ...toResult(committed[i] as Committed) }));
  }

  /** Resolves when what is written of a stream is durable, so that reading sees it. Rejects as appending does. */
  async whenDurable(stream: string): Promise<void> {
    this.#core.refuseClosed();
    checkStream(stream, true);
    await durable(this.#core.partitionOf(stream).log);
  }

  #write(
    stream: string,
    given: EventInput | readonly EventInput[],
    expectedRevision: ExpectedRevision | undefined,
    some: boolean,
  ): StreamWrite {
    const list = (Array.isArray(given) ? given : [given]) as readonly EventInput[];
    if (some && list.length === 0) throw invalid('events', [], 'at least one event');
    const { options } = this.#core;
    const events = new Array<PreparedEvent>(list.length);
    let idsGiven = list.length > 0;
    for (let i = 0; i < list.length; i++) {
      const event = list[i] as EventInput;
      events[i] = prepareEvent(stream, event, i, options.decoding.codecs, options.partitions, this.#makeId);
      if (event.id === undefined) idsGiven = false;
    }
    return { stream, expected: checkExpectedRevision(expectedRevision), events, idsGiven };
  }

  #append(writes: readonly StreamWrite[], ack: Ack, resolve: Append['resolve'], reject: Append['reject']): void {
    const { lane } = this.#core.partitionOf((writes[0] as StreamWrite).stream);
    let bytes = 0;
    for (const { stream, events } of writes) {
      if (this.#core.partitionOf(stream).lane !== lane) {
        appendTransaction(this.#core, writes).then(resolve, reject);
        return;
      }
      for (const event of events) bytes += event.bytes.length;
    }
    lane.push({ writes, bytes, written: ack === 'written', resolve, reject });
  }

  // Reading

  /** The durable events of a stream, in order of revision. Options are checked at once, reading begins with iterating. */
  readStream(stream: string, options: ReadStreamOptions = {}): PullStream<RecordedEvent> {
    checkStream(stream, true);
    checkAll(options, READ_STREAM_CHECKS, 'options');
    const backward = options.direction === 'backwards';
    const { fromRevision, toRevision } = options;
    const [low, high] = backward ? [toRevision, fromRevision] : [fromRevision, toRevision];
    return new PullStream((signal) =>
      readStreamEvents(this.#core, stream, {
        from: low === undefined ? 0 : Number(low),
        to: high === undefined ? Number.MAX_SAFE_INTEGER : Number(high),
        backward,
        maxCount: options.maxCount ?? Number.MAX_SAFE_INTEGER,
        ifMissing: options.ifMissing ?? 'empty',
        signal: eitherSignal(options.signal, signal),
      }),
    );
  }

  /** The durable events of all streams, in order of position. */
  readAll(options: ReadAllOptions = {}): PullStream<RecordedEvent> {
    checkAll(options, READ_ALL_CHECKS, 'options');
    const filter = checkFilter(options.filter);
    const backward = options.direction === 'backwards';
    const from = this.#checkFrom(options.from ?? (backward ? 'end' : 'start'));
    const { maxCount = Number.MAX_SAFE_INTEGER } = options;
    const core = this.#core;
    return new PullStream(async function* (ending) {
      const signal = eitherSignal(options.signal, ending);
      signal?.throwIfAborted();
      core.refuseClosed();
      const upTo = core.visiblePosition;
      const cursors = await cursorsOf(core, from, backward);
      let left = maxCount;
      if (left === 0) return;
      for await (const batch of readAllEvents(core, { cursors, upTo, backward, filter, signal })) {
        yield batch.length > left ? batch.slice(0, left) : batch;
        left -= batch.length;
        if (left <= 0) return;
      }
    });
  }

  /**
   * The stream's newest revision and metadata; undefined where there is no stream that can be read. With `visibility`
   * 'durable' (default 'written') it is the newest that `readStream` shows: what was read up to it is all that there is.
   */
  async streamHead(
    stream: string,
    options: { visibility?: Ack } = {},
  ): Promise<{ revision: bigint; metadata: StreamMetadata } | undefined> {
    this.#core.refuseClosed();
    checkStream(stream, true);
    checkAll(options, { visibility: oneOf('durable', 'written') }, 'options');
    const state = await this.#core.states.of(stream);
    const head = options.visibility === 'durable' ? await durableRevision(this.#core, stream) : state.head;
    return exists(state, head) ? { revision: BigInt(head), metadata: state.metadata } : undefined;
  }

  async streamExists(stream: string): Promise<boolean> {
    return (await this.streamHead(stream)) !== undefined;
  }

  /**
   * The newest revision that a stream ever had, whatever was given up since; -1n where there was none. Waits for what was
   * asked for before, so what it tells is durable.
   */
  async lastRevision(stream: string): Promise<bigint> {
    this.#core.refuseClosed();
    checkStream(stream, true);
    await this.#system.settled(stream);
    return BigInt((await this.#core.states.of(stream)).head);
  }

  /**
   * A page of the streams that can be read, in the order of their first events: partition by partition. Streams that are
   * made meanwhile do not disturb it; a purge may move a stream behind others, where it comes up again.
   */
  async listStreams(options: ListStreamsOptions = {}): Promise<StreamPage> {
    this.#core.refuseClosed();
    checkAll(options, LIST_CHECKS, 'options');
    const { prefix = '', after, limit = 1000, system = false } = options;
    const place = after === undefined ? LIST_START : parseListPlace(after, this.partitions);
    return listStreams(this.#core, { prefix, after: place, limit, system });
  }

  /** All of them, page by page; `limit` is that of a page. */
  streams(options: ListStreamsOptions = {}): PullStream<ListedStream> {
    checkAll(options, LIST_CHECKS, 'options');
    const page = (after: string | undefined) => this.listStreams(after === undefined ? options : { ...options, after });
    return new PullStream(async function* (signal) {
      let after = options.after;
      do {
        signal?.throwIfAborted();
        const { streams, next } = await page(after);
        if (streams.length > 0) yield [...streams];
        after = next;
      } while (after !== undefined);
    });
  }

  // Subscribing

  /** Everything that fits, then what comes: an RxJS observable and an async iterable. */
  subscribeToAll(options: SubscribeOptions = {}): LiveStream<RecordedEvent> {
    checkAll(options, SUBSCRIBE_CHECKS, 'options');
    const filter = checkFilter(options.filter);
    const from = this.#checkFrom(options.from ?? 'start');
    const core = this.#core;
    // Where the end is is decided now, not when somebody begins to iterate.
    const end = from === 'end' ? core.partitions.map(({ log }) => log.durableLsn + 1) : undefined;
    return new LiveStream(async function* (ending) {
      core.refuseClosed();
      const cursors = end === undefined ? await cursorsOf(core, from, false) : [...end];
      yield* followAll(core, cursors, filter, eitherSignal(options.signal, ending));
    });
  }

  /** Everything in the streams of a category: those whose ids begin with it and a dash. */
  subscribeToCategory(category: string, options: SubscribeOptions = {}): LiveStream<RecordedEvent> {
    return this.subscribeToAll({ ...options, filter: { ...options.filter, categories: [category] } });
  }

  /** One stream's events, then those that come. The stream need not exist yet. */
  subscribeToStream(stream: string, options: SubscribeToStreamOptions = {}): LiveStream<RecordedEvent> {
    checkStream(stream, true);
    checkAll(options, SUBSCRIBE_TO_STREAM_CHECKS, 'options');
    const { from = 'start' } = options;
    if (from !== 'start' && from !== 'end') revision(from, 'from');
    const core = this.#core;
    const end = from === 'end' ? durableRevision(core, stream).then((last) => last + 1) : undefined;
    end?.catch(anything); // whoever iterates is told
    return new LiveStream(async function* (ending) {
      core.refuseClosed();
      const next = end === undefined ? (from === 'start' ? 0 : Number(from)) : await end;
      yield* followStream(core, stream, next, eitherSignal(options.signal, ending));
    });
  }

  /** A checkpoint behind everything that is durable now: `{ from: { checkpoint } }` reads on from there. */
  checkpoint(): string {
    return formatCheckpoint(this.#core.partitions.map(({ log }) => log.durableLsn));
  }

  /** A checkpoint behind everything up to a position, that one included, as far as it is durable. */
  async checkpointAt(position: bigint | string): Promise<string> {
    this.#core.refuseClosed();
    const upTo = this.#checkFrom(position);
    if (typeof upTo !== 'number') throw invalid('position', position, 'a position');
    const cursors = await cursorsOf(this.#core, upTo + 1, false);
    const { partitions } = this.#core;
    return formatCheckpoint(partitions.map(({ log }, i) => Math.min((cursors[i] as number) - 1, log.durableLsn)));
  }

  // Durable consumers

  /**
   * Hands events to a handler one at a time, in order, each at least once, and goes on after a crash where it was: see
   * docs/event-store-consumers.md. Of several consumers of one name one runs, the others wait for it to end.
   */
  consume(options: ConsumeOptions): Consumer {
    this.#core.refuseClosed();
    const plan = planConsumer(options);
    const from = this.#checkFrom(options.from ?? 'start');
    const core = this.#core;
    const ends = () => core.partitions.map(({ log }) => log.durableLsn);
    const end = ends(); // now, not when the lease is granted
    return this.#consumers.start(plan, async () => {
      if (from === 'end') return end;
      // What is not durable may come to nothing: the next events would be in its place.
      const durableEnds = ends();
      return (await cursorsOf(core, from, false)).map((cursor, i) => Math.min(cursor - 1, durableEnds[i] as number));
    });
  }

  /** The newest checkpoint that is stored under a name; undefined where there is none. */
  async readCheckpoint(name: string): Promise<StoredCheckpoint | undefined> {
    this.#core.refuseClosed();
    return this.#consumers.checkpoints.read(checkConsumerName(name));
  }

  /**
   * Stores a checkpoint, durably. A consumer of this name that is running fails when it stores its next one. Rejects with
   * `ERR_VARVE_CHECKPOINT_CONFLICT` (`expected`, `actual`).
   */
  async writeCheckpoint(
    name: string,
    checkpoint: string,
    options: { expectedRevision?: ExpectedRevision } = {},
  ): Promise<{ revision: bigint }> {
    this.#core.refuseClosed();
    checkConsumerName(name);
    checkAll(options, { expectedRevision: anything }, 'options');
    const { checkpoints } = this.#consumers;
    const expected = checkExpectedRevision(options.expectedRevision);
    const [committed] = await checkpoints.write(name, checkpoints.check(checkpoint), expected);
    return { revision: revisionOf(committed as Committed) };
  }

  /** What a consumer's handler could not deal with, oldest first. */
  parkedEvents(name: string, options: { signal?: AbortSignal } = {}): PullStream<ParkedEvent> {
    const lot = this.#consumers.lot(checkConsumerName(name));
    checkAll(options, { signal: signalOption }, 'options');
    return new PullStream((ending) => lot.list(eitherSignal(options.signal, ending)));
  }

  /**
   * Hands parked events to a handler, oldest first. Those that it deals with are parked no longer; those for which it
   * throws stay, and are in the result.
   */
  async replayParked(
    name: string,
    handler: ReplayHandler,
    options: { signal?: AbortSignal } = {},
  ): Promise<ReplayResult> {
    this.#core.refuseClosed();
    checkConsumerName(name);
    callback(handler, 'handler');
    checkAll(options, { signal: signalOption }, 'options');
    return this.#consumers.lot(name).replay(handler, options.signal);
  }

  // Snapshots

  /**
   * Saves the state of a stream at one of its revisions; durable when it resolves. One that was saved at this revision
   * before is replaced. With `keep` only so many of the highest revisions are kept, as far as that succeeds: `pruneError`
   * tells why not.
   *
   * Rejects with `ERR_VARVE_STREAM_NOT_FOUND`, `ERR_VARVE_STREAM_TOMBSTONED`, `ERR_VARVE_INVALID_EVENT`,
   * `ERR_VARVE_INVALID_OPTION` (also for a revision that the stream does not have), and as `appendToStream` does.
   */
  async saveSnapshot(
    stream: string,
    snapshot: SnapshotInput,
    options: { keep?: number } = {},
  ): Promise<SaveSnapshotResult> {
    this.#core.refuseClosed();
    checkStream(stream);
    checkAll(snapshot, { revision, state: anything, schemaVersion }, 'snapshot');
    revision(snapshot.revision, 'snapshot.revision');
    checkAll(options, { keep: integer(1, 1_000_000) }, 'options');
    return this.#snapshots.save(stream, snapshot, options.keep);
  }

  /** The snapshot at the highest revision, at or before one if that is asked for. A deleted stream has none. */
  async readSnapshot<State = unknown>(
    stream: string,
    options: SnapshotQuery = {},
  ): Promise<Snapshot<State> | undefined> {
    this.#core.refuseClosed();
    checkStream(stream);
    checkAll(options, { atOrBefore: revision, schemaVersion }, 'options');
    return this.#snapshots.read<State>(stream, options);
  }

  /** By revision, ascending. */
  async listSnapshots(stream: string): Promise<SnapshotInfo[]> {
    this.#core.refuseClosed();
    checkStream(stream);
    return this.#snapshots.list(stream);
  }

  /** Deletes the snapshots before a revision. */
  async deleteSnapshots(stream: string, options: { before: bigint }): Promise<void> {
    this.#core.refuseClosed();
    checkStream(stream);
    checkAll(options, { before: revision }, 'options');
    revision(options.before, 'before');
    await this.#snapshots.delete(stream, options.before);
  }

  /** A stream as a state that decides. Throws `ERR_VARVE_INVALID_OPTION`. */
  aggregate<State>(options: AggregateOptions<State>): Aggregate<State> {
    return new Aggregate(this, (stream) => this.#system.settled(stream), options);
  }

  #checkFrom(from: AllFrom): CheckedFrom {
    if (from === 'start' || from === 'end') return from;
    if (typeof from === 'bigint') return Number(checkPosition(from));
    if (typeof from === 'string') return Number(parsePosition(from));
    if (typeof from === 'object' && from !== null) return { lsns: parseCheckpoint(from.checkpoint, this.partitions) };
    throw invalid('from', from, "'start', 'end', a position or a checkpoint");
  }

  // Export and import

  /**
   * Events as lines of JSON, each with its line feed, in the order of positions: `Readable.from(store.exportEvents())`.
   * What is appended after the reading has begun is not in it.
   */
  exportEvents(options: ExportOptions = {}): PullStream<string> {
    checkAll(options, EXPORT_CHECKS, 'options');
    const filter = checkFilter(options.filter);
    const from = this.#checkFrom(options.from ?? 'start');
    const { onProgress } = options;
    const core = this.#core;
    return new PullStream(async function* (ending) {
      const signal = eitherSignal(options.signal, ending);
      signal?.throwIfAborted();
      core.refuseClosed();
      yield* exportLines(core, { cursors: await cursorsOf(core, from, false), filter, signal, onProgress });
    });
  }

  /**
   * Appends the events of an export with the ids, revisions and times that they had, in order. What is there already is
   * left out, so an import may be repeated. Pieces may be cut anywhere, but line feeds must be in them.
   *
   * Rejects with `ERR_VARVE_INVALID_EVENT` (`line`) for a line that is malformed, or does not go on where its stream ends,
   * or is another event than the one that is there; what came before it has been imported. And as appending does.
   */
  async importEvents(lines: Lines, options: ImportOptions = {}): Promise<ImportProgress> {
    this.#core.refuseClosed();
    checkAll(options, IMPORT_CHECKS, 'options');
    const { batch = 512, signal, onProgress } = options;
    return importLines(this.#core, lines, { batch, signal, onProgress });
  }

  /**
   * Copies the store as it is now into another directory, while appends go on, and verifies the copy. The directory is
   * missing, empty, or holds an earlier backup of this store, of which sealed segments are kept as they are.
   *
   * Rejects with `ERR_VARVE_BACKUP` (`path`), `ERR_VARVE_INVALID_OPTION`, `ERR_VARVE_LOCKED`, and what the disk says. A
   * backup that was interrupted is refused by `openEventStore` and `restoreBackup`; making it again completes it.
   */
  async backup(directory: string, options: BackupOptions = {}): Promise<BackupReport> {
    this.#core.refuseClosed();
    if (typeof directory !== 'string' || directory === '') throw invalid('directory', directory, 'a path');
    checkAll(options, BACKUP_CHECKS, 'options');
    const { signal, onProgress } = options;
    return this.#inTurn(() =>
      tellingDisk('The backup', directory, backup(this.#core, { directory, signal, onProgress })),
    );
  }

  // Metadata and deletion

  async getStreamMetadata(stream: string): Promise<StreamMetadata> {
    this.#core.refuseClosed();
    checkStream(stream);
    return (await this.#core.states.of(stream)).metadata;
  }

  /**
   * Says how much of a stream is kept, in place of what was said before. What is given up can no longer be read at once;
   * `purge` gives the space back. KurrentDB's words are taken, too. `expectedRevision` is that of the metadata, which count
   * from 0n by themselves. Rejects with `ERR_VARVE_WRONG_REVISION`, `ERR_VARVE_STREAM_TOMBSTONED`.
   */
  async setStreamMetadata(
    stream: string,
    metadata: StreamMetadataInput,
    options: { expectedRevision?: ExpectedRevision } = {},
  ): Promise<AppendToStreamResult> {
    this.#core.refuseClosed();
    checkStream(stream);
    const given = checkMetadata(metadata);
    checkAll(options, { expectedRevision: anything }, 'options');
    const expected = checkExpectedRevision(options.expectedRevision);
    const { lane } = this.#core.partitionOf(stream);
    const committed = await lane.change(stream, 'any', ({ metadata: { head } }) =>
      this.#metadataWrite(stream, head === undefined ? given : { ...given, head }, expected),
    );
    return toResult(committed);
  }

  /**
   * Gives up the events before `revisionToKeep`; all there are, at most. What was given up before stays so. Rejects as
   * `deleteStream` does.
   */
  async truncateStream(stream: string, revisionToKeep: bigint): Promise<void> {
    this.#core.refuseClosed();
    checkStream(stream);
    revision(revisionToKeep, 'revisionToKeep');
    const wanted = Number(revisionToKeep);
    await this.#changeMetadata(
      stream,
      ({ head, metadata: { truncateBefore = 0 } }) => ({
        truncateBefore: Math.max(truncateBefore, Math.min(wanted, head + 1)),
      }),
      {},
    );
  }

  /**
   * Has a stream without events begin at a later revision: its history is elsewhere, or nowhere any more. Nothing happens
   * where its next event has this revision or a later one. Rejects with `ERR_VARVE_WRONG_REVISION` where it has events,
   * and `ERR_VARVE_STREAM_TOMBSTONED`.
   */
  async beginStreamAt(stream: string, first: bigint): Promise<void> {
    this.#core.refuseClosed();
    checkStream(stream);
    revision(first, 'first');
    await this.#system.insert(stream, async () => {
      const state = await this.#core.states.of(stream);
      const { metadata, nextHead } = state;
      if (metadata.tombstoned) throw tombstoned(stream);
      if (nextHead + 1 >= first) return [];
      // Events of which the disk has none are known by their newest revision in the metadata alone.
      if (nextHead !== (metadata.head ?? -1)) throw wrongRevision(stream, 'noStream', state);
      return [this.#metadataWrite(stream, { ...metadata, truncateBefore: Number(first), head: Number(first) - 1 })];
    });
  }

  /**
   * Deletes a stream: none of its events can be read any more. It may be appended to again, and goes on with the next
   * revision. Rejects with `ERR_VARVE_STREAM_NOT_FOUND`, `ERR_VARVE_STREAM_TOMBSTONED`, and `ERR_VARVE_WRONG_REVISION`
   * if a revision is expected.
   */
  async deleteStream(stream: string, options: { expectedRevision?: ExpectedRevision } = {}): Promise<void> {
    this.#core.refuseClosed();
    checkStream(stream);
    await this.#changeMetadata(stream, ({ head }) => ({ truncateBefore: head + 1, deletedBefore: head + 1 }), options);
  }

  /** Deletes a stream for ever: it can never be appended to again. Rejects as `deleteStream` does. */
  async tombstoneStream(stream: string, options: { expectedRevision?: ExpectedRevision } = {}): Promise<void> {
    this.#core.refuseClosed();
    checkStream(stream);
    await this.#changeMetadata(stream, () => ({ tombstoned: true }), options);
  }

  async #changeMetadata(
    stream: string,
    change: (state: StreamState) => Partial<StreamMetadata>,
    options: { expectedRevision?: ExpectedRevision },
  ): Promise<void> {
    checkAll(options, { expectedRevision: anything }, 'options');
    const { expectedRevision } = options;
    const { lane } = this.#core.partitionOf(stream);
    await lane.change(stream, checkExpectedRevision(expectedRevision), (state) => {
      if (expectedRevision === undefined && !exists(state)) throw streamNotFound(stream);
      const metadata = { ...state.metadata, ...change(state) };
      return this.#metadataWrite(stream, metadata);
    });
  }

  /**
   * Gives up the oldest segments of each partition, as long as all in them is dead: truncated, over `maxCount`, older than
   * `maxAge`, deleted, superseded metadata, or below the floor. Revisions go on where they were. One purge or backup runs
   * at a time. Rejects as appending and reading do, with what the hooks throw, and with the signal's reason; what was
   * given up before stays so.
   */
  async purge(options: PurgeOptions = {}): Promise<PurgeReport> {
    this.#core.refuseClosed();
    checkAll(options, PURGE_CHECKS, 'options');
    const { dryRun = false, floor, system = false, archive, signal, onProgress } = options;
    const from = floor === undefined ? undefined : this.#checkFrom(floor);
    if (from === 'start' || from === 'end') throw invalid('floor', floor, 'a position or a checkpoint');
    const metadataWrite = (stream: string, metadata: StreamMetadata) => this.#metadataWrite(stream, metadata);
    return this.#inTurn(async () => {
      const cursors = from === undefined ? undefined : await cursorsOf(this.#core, from, false);
      const floors = this.#core.partitions.map((_, i) => ({ lsn: (cursors?.[i] ?? 1) - 1, system }));
      return purge(this.#core, { dryRun, floors, archive, signal, onProgress, metadataWrite });
    });
  }

  /**
   * Gives up the oldest segments of each partition though something in them is alive, which is written into kept files:
   * as many as are worth it by `threshold`. Events that are alive keep position, LSN and revision; nothing that reads or
   * subscribes notices. See docs/event-store-retention.md. One purge, scavenge or backup runs at a time. Rejects as
   * appending and reading do, with what the hooks throw, and with the signal's reason; what was done before stays so.
   */
  async scavenge(options: ScavengeOptions = {}): Promise<ScavengeReport> {
    this.#core.refuseClosed();
    checkAll(options, SCAVENGE_CHECKS, 'options');
    const { dryRun = false, threshold = 0.5, maxBytesPerSecond = Number.POSITIVE_INFINITY } = options;
    const { archive, signal, onProgress } = options;
    const metadataWrite = (stream: string, metadata: StreamMetadata) => this.#metadataWrite(stream, metadata);
    const request = { dryRun, threshold, maxBytesPerSecond, archive, signal, onProgress, metadataWrite };
    return this.#inTurn(() => tellingDisk('Scavenging', this.directory, scavenge(this.#core, request)));
  }

  /** Work that moves or copies segments, one after the other. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#maintenance.then(work);
    this.#maintenance = done.catch(anything); // told to whoever asked for it
    return done;
  }

  #metadataWrite(stream: string, metadata: StreamMetadata, expected: ExpectedRevision = 'any'): StreamWrite {
    const { partitions } = this.#core.options;
    return metadataWrite(stream, metadata, { expected, partitions, makeId: this.#makeId });
  }

  /**
   * Makes durable what was appended, ends what follows, and closes the log. Appends that wait for space reject with
   * `ERR_VARVE_CLOSED`; a purge or backup ends at its next segment, and is waited for. Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#core.end();
    // Maintenance ends at its next step; or, like appends, with the log, where it waits for space.
    await this.#core.close(Promise.all([this.#maintenance, this.#consumers.close()]));
  }
}

type CheckedFrom = 'start' | 'end' | number | { readonly lsns: readonly number[] };

async function cursorsOf(core: StoreCore, from: CheckedFrom, backward: boolean): Promise<Cursors> {
  if (from === 'start') return core.partitions.map(({ log }) => log.oldestLsn);
  if (from === 'end') return core.partitions.map(({ log }) => log.durableLsn + 1);
  if (typeof from === 'number') return seekPosition(core, backward ? from + 1 : from);
  return from.lsns.map((lsn) => lsn + 1);
}

const NO_OPTIONS: AppendToStreamOptions = {};

function ackOf({ expectedRevision: _, ...rest }: AppendToStreamOptions): Ack {
  return resolveAck(rest);
}

function toResult({ firstRevision, nextRevision, firstPosition, created, time }: Committed): AppendToStreamResult {
  const events = nextRevision - firstRevision;
  const positions = new Array<bigint>(events);
  for (let i = 0; i < events; i++) positions[i] = BigInt(firstPosition + i);
  return {
    nextExpectedRevision: BigInt(nextRevision - 1),
    positions,
    createdNewStream: created,
    created: events === 0 ? undefined : new Date(time),
  };
}
