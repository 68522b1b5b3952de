/**
 * The event store: streams of events on a log. See docs/event-store.md for what it is and how it is used.
 *
 * This file is what users hold: it checks what it is given before anything is touched. The work is done beside it.
 */
import type { LogEmitter } from '../../events.js';
import { openLog } from '../../log.js';
import {
  type Ack,
  boolean,
  callback,
  checkAll,
  checkSignal,
  integer,
  invalid,
  type OpenLogOptions,
  oneOf,
  resolveAck,
} from '../../options.js';
import type { Stats } from '../../stats.js';
import { eitherSignal, LiveStream, PullStream } from '../../streams/pull-stream.js';
import { Aggregate, type AggregateOptions } from './aggregate.js';
import { type BackupProgress, type BackupReport, backup, refuseIncomplete } from './backup.js';
import { tellingDisk } from './backup-files.js';
import { checkConsumerName, revisionOf, type StoredCheckpoint } from './checkpoints.js';
import type { EventCodec } from './codec.js';
import { type CodecName, makeCodecRegistry } from './codec-registry.js';
import type { Append, Committed, StreamWrite } from './commit-lane.js';
import { appendTransaction, durable } from './commit-transaction.js';
import type { Consumer } from './consumer.js';
import { type ConsumeOptions, planConsumer } from './consumer-options.js';
import { Consumers } from './consumers.js';
import { checkFilter, type EventFilter } from './event-filter.js';
import { checkStream, type EventInput, idMaker, prepareEvent } from './event-input.js';
import { checkExpectedRevision, type ExpectedRevision } from './expected-revision.js';
import { followAll, followStream } from './follow-events.js';
import type { ParkedEvent, ReplayHandler, ReplayResult } from './parking-lot.js';
import { checkPosition, formatCheckpoint, parseCheckpoint, parsePosition } from './position.js';
import { type ArchivedSegment, type PurgeProgress, type PurgeReport, purge } from './purge.js';
import { type Cursors, readAllEvents, readStreamEvents, seekPosition, streamNotFound } from './read-events.js';
import type { RecordedEvent } from './recorded-event.js';
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
import { exists, type StreamMetadata } from './stream-state.js';
import { SystemStreams } from './system-streams.js';
import { type ExportProgress, exportLines } from './transfer-export.js';
import { type ImportProgress, importLines, type Lines } from './transfer-import.js';
import { makeUpcasters, type Upcaster } from './upcasters.js';

const MIB = 1024 * 1024;
const MAX_PARTITIONS = 1024;
const PARTITIONS_SETTING = 'eventStore.partitions';
/** The first page of a segment is its header. */
const SEGMENT_HEADER_BYTES = 4096;
/** A batch takes this part of the rest at most, so that batches fit where a segment ends. */
const BATCHES_PER_SEGMENT = 4;
const MAX_BATCH_BYTES = 512 * 1024;

export interface EventStoreOptions extends Omit<OpenLogOptions, 'readOnly'> {
  /** Partitions that streams are spread over: 1 … 1,024. Default: what the store was made with, or 1. Never changes. */
  partitions?: number;
  /** How data become bytes. Default 'json', which keeps what JSON loses; 'raw' takes bytes only. */
  codec?: CodecName | EventCodec;
  /** What makes events of an old shape ones of the present shape, at reading. */
  upcasters?: readonly Upcaster[];
  /** Bytes of stream heads kept in memory. Default 16 MiB. */
  headCacheBytes?: number;
  /** Bytes of events that were read kept in memory. Default 16 MiB. */
  eventCacheBytes?: number;
  /** Bytes of index files kept in memory. Default 32 MiB. */
  streamIndexCacheBytes?: number;
}

export interface AppendToStreamOptions {
  /** What the stream must be like for the append to happen. Default 'any'. */
  expectedRevision?: ExpectedRevision;
  /** Default 'durable'. */
  ack?: Ack;
}

export interface AppendToStreamResult {
  /** Revision of the last event: what the next append can expect. */
  readonly nextExpectedRevision: bigint;
  /** Positions of the events, in order. */
  readonly positions: readonly bigint[];
  /** There was no stream to read before. */
  readonly createdNewStream: boolean;
}

/** One stream's part in an append over several. Without events the stream is only checked. */
export interface StreamAppend {
  readonly stream: string;
  readonly events?: readonly EventInput[];
  readonly expectedRevision?: ExpectedRevision;
}

export interface StreamAppendResult extends AppendToStreamResult {
  readonly stream: string;
}

export interface ReadStreamOptions {
  /** First revision, inclusive. Default: the oldest, or the newest when reading backwards. */
  fromRevision?: bigint;
  /** Last revision, inclusive. */
  toRevision?: bigint;
  direction?: 'forwards' | 'backwards';
  /** Most events to read, exactly. */
  maxCount?: number;
  /** A stream that does not exist is empty, or throws `ERR_VARVE_STREAM_NOT_FOUND`. Default 'empty'. */
  ifMissing?: 'empty' | 'throw';
  signal?: AbortSignal;
}

/** Where to begin: a position, as a bigint or as `formatPosition` renders it, inclusive; or a checkpoint, exclusive. */
export type AllFrom = 'start' | 'end' | bigint | string | { readonly checkpoint: string };

export interface ReadAllOptions {
  from?: AllFrom;
  direction?: 'forwards' | 'backwards';
  maxCount?: number;
  filter?: EventFilter;
  signal?: AbortSignal;
}

export interface SubscribeOptions {
  /** Default 'start'. */
  from?: AllFrom;
  filter?: EventFilter;
  signal?: AbortSignal;
}

export interface SubscribeToStreamOptions {
  /** First revision to deliver; 'end': only what comes. Default 'start'. */
  from?: 'start' | 'end' | bigint;
  signal?: AbortSignal;
}

export interface PurgeOptions {
  /** Only tell what would go. Default false. */
  dryRun?: boolean;
  /** Everything before this position (exclusive), or up to this checkpoint, is given up, whatever else holds. */
  floor?: bigint | string | { readonly checkpoint: string };
  /** The floor also counts for the store's own streams ($…): snapshots and checkpoints. Default false. */
  system?: boolean;
  /** Awaited before a segment goes. If it throws, the segment stays, and `purge` rejects with what it threw. */
  archive?: (segment: ArchivedSegment) => unknown;
  signal?: AbortSignal;
  onProgress?: (progress: PurgeProgress) => void;
}

export interface ListStreamsOptions {
  /** Only streams whose id begins with it. */
  prefix?: string;
  /** `next` of the page before. */
  after?: string;
  /** Most streams of a page: 1 … 10,000. Default 1,000. */
  limit?: number;
  /** Streams of the store itself, which begin with `$`, too. Default false. */
  system?: boolean;
  /** The only order there is. */
  order?: 'firstEvent';
}

export interface ExportOptions {
  /** Default 'start'. */
  from?: AllFrom;
  /** Default: all users' events and their streams' metadata. With a filter metadata come along where they fit, too. */
  filter?: EventFilter;
  signal?: AbortSignal;
  onProgress?: (progress: ExportProgress) => void;
}

export interface ImportOptions {
  /** Events that are made durable together: 1 … 65,536. Default 512. */
  batch?: number;
  signal?: AbortSignal;
  onProgress?: (progress: ImportProgress) => void;
}

export interface BackupOptions {
  signal?: AbortSignal;
  onProgress?: (progress: BackupProgress) => void;
}

const cacheBytes = integer(1024, 1024 ** 4);
const count = integer(0, Number.MAX_SAFE_INTEGER);
const schemaVersion = integer(1, 65_535);
const direction = oneOf('forwards', 'backwards');
const anything = () => {};
const signalOption = (value: unknown) => checkSignal(value as AbortSignal);

const LIST_CHECKS = {
  prefix: (value: unknown) => checkStream(value, true),
  after: anything,
  limit: integer(1, 10_000),
  system: boolean,
  order: oneOf('firstEvent'),
};
const EXPORT_CHECKS = { from: anything, filter: anything, signal: signalOption, onProgress: callback };
const IMPORT_CHECKS = { batch: integer(1, 65_536), signal: signalOption, onProgress: callback };
const BACKUP_CHECKS = { signal: signalOption, onProgress: callback };
const PURGE_CHECKS = {
  dryRun: boolean,
  floor: anything,
  system: boolean,
  archive: callback,
  signal: signalOption,
  onProgress: callback,
};

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
  const { partitions, codec, upcasters, headCacheBytes, eventCacheBytes, streamIndexCacheBytes, ...logOptions } =
    options;
  if (partitions !== undefined) integer(1, MAX_PARTITIONS)(partitions, 'partitions');
  if (headCacheBytes !== undefined) cacheBytes(headCacheBytes, 'headCacheBytes');
  if (eventCacheBytes !== undefined) cacheBytes(eventCacheBytes, 'eventCacheBytes');
  if (streamIndexCacheBytes !== undefined) cacheBytes(streamIndexCacheBytes, 'streamIndexCacheBytes');
  if ('readOnly' in logOptions) throw invalid('readOnly', logOptions.readOnly, 'absent: an event store owns its log');
  const decoding = { codecs: makeCodecRegistry(codec), upcasters: makeUpcasters(upcasters ?? []) };
  const log = await openLog(logOptions);
  try {
    const { storage } = log;
    await refuseIncomplete(storage.disk, log.directory);
    const kept = storage.setting(PARTITIONS_SETTING);
    const number = partitions ?? (typeof kept === 'number' ? kept : 1);
    if (kept !== undefined && kept !== number) throw otherPartitions(Number(kept), number);
    const segmentSize = logOptions.segmentSize ?? 64 * MIB;
    const core = await StoreCore.open(log, {
      partitions: number,
      decoding,
      headCacheBytes: headCacheBytes ?? 16 * MIB,
      eventCacheBytes: eventCacheBytes ?? 16 * MIB,
      streamIndexCacheBytes: streamIndexCacheBytes ?? 32 * MIB,
      maxQueuedAppends: logOptions.maxQueuedAppends ?? 65_536,
      batchBytes: Math.min(MAX_BATCH_BYTES, Math.floor((segmentSize - SEGMENT_HEADER_BYTES) / BATCHES_PER_SEGMENT)),
    });
    if (kept === undefined) await storage.keepSetting(PARTITIONS_SETTING, number);
    return new EventStore(core);
  } catch (error) {
    await log.close().catch(anything); // what is wrong is told by the error that led here
    throw error;
  }
}

export class EventStore {
  readonly #core: StoreCore;
  readonly #makeId: () => Uint8Array;
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
  async appendToStream(
    stream: string,
    events: EventInput | readonly EventInput[],
    options: AppendToStreamOptions = {},
  ): Promise<AppendToStreamResult> {
    this.#core.refuseClosed();
    checkStream(stream);
    const { expectedRevision, ...rest } = options;
    const write = this.#write(stream, events, expectedRevision, true);
    const [committed] = await this.#append([write], resolveAck(rest));
    return toResult(committed as Committed, write.events.length);
  }

  /**
   * Appends to several streams, in any partitions: all of it or nothing, after any crash. A stream without events is only
   * checked. Resolves when all is durable, with one result for each, in order. Rejects as `appendToStream` does.
   */
  async appendToStreams(appends: readonly StreamAppend[]): Promise<StreamAppendResult[]> {
    this.#core.refuseClosed();
    if (!Array.isArray(appends) || appends.length === 0) throw invalid('appends', appends, 'an array of at least one');
    const writes = appends.map((append, i) => {
      checkAll(append, { stream: anything, events: anything, expectedRevision: anything }, `appends[${i}]`);
      const { stream, events = [], expectedRevision } = append;
      checkStream(stream);
      return this.#write(stream, events, expectedRevision, false);
    });
    const streams = new Set(writes.map(({ stream }) => stream));
    if (streams.size < writes.length) throw invalid('appends', 'naming a stream twice', 'one entry for each stream');
    if (writes.every(({ events }) => events.length === 0))
      throw invalid('appends', 'without events', 'at least one event');
    const committed = await this.#append(writes, 'durable');
    return writes.map(({ stream, events }, i) => ({ stream, ...toResult(committed[i] as Committed, events.length) }));
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
    const events = list.map((event, i) =>
      prepareEvent(stream, event, i, options.decoding.codecs, options.partitions, this.#makeId),
    );
    const idsGiven = list.length > 0 && list.every(({ id }) => id !== undefined);
    return { stream, expected: checkExpectedRevision(expectedRevision), events, idsGiven };
  }

  #append(writes: readonly StreamWrite[], ack: Ack): Promise<readonly Committed[]> {
    const lane = this.#core.partitionOf((writes[0] as StreamWrite).stream).lane;
    if (writes.some(({ stream }) => this.#core.partitionOf(stream).lane !== lane)) {
      return appendTransaction(this.#core, writes);
    }
    let bytes = 0;
    for (const { events } of writes) for (const event of events) bytes += event.bytes.length;
    return new Promise((resolve, reject) => {
      const append: Append = { writes, bytes, written: ack === 'written', resolve, reject };
      lane.push(append);
    });
  }

  // Reading

  /** The durable events of a stream, in order of revision. Options are checked at once, reading begins with iterating. */
  readStream(stream: string, options: ReadStreamOptions = {}): PullStream<RecordedEvent> {
    checkStream(stream, true);
    checkAll(
      options,
      {
        fromRevision: revision,
        toRevision: revision,
        direction,
        maxCount: count,
        ifMissing: oneOf('empty', 'throw'),
        signal: signalOption,
      },
      'options',
    );
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
    checkAll(
      options,
      {
        from: anything,
        direction,
        maxCount: count,
        filter: anything,
        signal: signalOption,
      },
      'options',
    );
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

  /** The stream's newest revision and metadata; undefined where there is no stream that can be read. */
  async streamHead(stream: string): Promise<{ revision: bigint; metadata: StreamMetadata } | undefined> {
    this.#core.refuseClosed();
    checkStream(stream, true);
    const state = await this.#core.state(stream);
    return exists(state) ? { revision: BigInt(state.head), metadata: state.metadata } : undefined;
  }

  async streamExists(stream: string): Promise<boolean> {
    return (await this.streamHead(stream)) !== undefined;
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
    checkAll(options, { from: anything, filter: anything, signal: signalOption }, 'options');
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
    checkAll(options, { from: anything, signal: signalOption }, 'options');
    const { from = 'start' } = options;
    if (from !== 'start' && from !== 'end') revision(from, 'from');
    const core = this.#core;
    const end = from === 'end' ? Promise.resolve(core.state(stream)).then(({ head }) => head + 1) : undefined;
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
    checkAll(options, { signal: (value) => checkSignal(value as AbortSignal) }, 'options');
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
    checkAll(options, { signal: (value) => checkSignal(value as AbortSignal) }, 'options');
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
    return this.#inTurn(() => tellingDisk(directory, backup(this.#core, { directory, signal, onProgress })));
  }

  // Metadata and deletion

  async getStreamMetadata(stream: string): Promise<StreamMetadata> {
    this.#core.refuseClosed();
    checkStream(stream);
    return (await this.#core.state(stream)).metadata;
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
    return toResult(committed, 1);
  }

  /** Gives up the events before `revisionToKeep`; all there are, at most. Rejects as `deleteStream` does. */
  async truncateStream(stream: string, revisionToKeep: bigint): Promise<void> {
    this.#core.refuseClosed();
    checkStream(stream);
    revision(revisionToKeep, 'revisionToKeep');
    await this.#changeMetadata(stream, (head) => ({ truncateBefore: Math.min(Number(revisionToKeep), head + 1) }), {});
  }

  /**
   * Deletes a stream: none of its events can be read any more. It may be appended to again, and goes on with the next
   * revision. Rejects with `ERR_VARVE_STREAM_NOT_FOUND`, `ERR_VARVE_STREAM_TOMBSTONED`, and `ERR_VARVE_WRONG_REVISION`
   * if a revision is expected.
   */
  async deleteStream(stream: string, options: { expectedRevision?: ExpectedRevision } = {}): Promise<void> {
    this.#core.refuseClosed();
    checkStream(stream);
    await this.#changeMetadata(stream, (head) => ({ truncateBefore: head + 1, deletedBefore: head + 1 }), options);
  }

  /** Deletes a stream for ever: it can never be appended to again. Rejects as `deleteStream` does. */
  async tombstoneStream(stream: string, options: { expectedRevision?: ExpectedRevision } = {}): Promise<void> {
    this.#core.refuseClosed();
    checkStream(stream);
    await this.#changeMetadata(stream, () => ({ tombstoned: true }), options);
  }

  async #changeMetadata(
    stream: string,
    change: (head: number) => Partial<StreamMetadata>,
    options: { expectedRevision?: ExpectedRevision },
  ): Promise<void> {
    checkAll(options, { expectedRevision: anything }, 'options');
    const { expectedRevision } = options;
    const { lane } = this.#core.partitionOf(stream);
    await lane.change(stream, checkExpectedRevision(expectedRevision), (state) => {
      if (expectedRevision === undefined && !exists(state)) throw streamNotFound(stream);
      const metadata = { ...state.metadata, ...change(state.head) };
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
    await this.#maintenance; // it ends at its next step
    await this.#core.close(this.#consumers.close());
  }
}

type CheckedFrom = 'start' | 'end' | number | { readonly lsns: readonly number[] };

async function cursorsOf(core: StoreCore, from: CheckedFrom, backward: boolean): Promise<Cursors> {
  if (from === 'start') return core.partitions.map(({ log }) => log.oldestLsn);
  if (from === 'end') return core.partitions.map(({ log }) => log.durableLsn + 1);
  if (typeof from === 'number') return seekPosition(core, backward ? from + 1 : from);
  return from.lsns.map((lsn) => lsn + 1);
}

function toResult({ nextRevision, firstPosition, created }: Committed, events: number): AppendToStreamResult {
  return {
    nextExpectedRevision: BigInt(nextRevision - 1),
    positions: Array.from({ length: events }, (_, i) => BigInt(firstPosition + i)),
    createdNewStream: created,
  };
}

function revision(value: unknown, option: string): void {
  if (typeof value !== 'bigint' || value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw invalid(option, typeof value === 'bigint' ? `${value}n` : value, 'a bigint from 0n');
  }
}
