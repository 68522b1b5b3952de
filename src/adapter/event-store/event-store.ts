/**
 * The event store: streams of events on a log. See docs/event-store.md for what it is and how it is used.
 *
 * This file is what users hold, and what they read about it. The work is done beside it, one file for each thing that the
 * store does; there, too, what is given is checked before anything is touched.
 */
import type { LogEmitter } from '../../events.js';
import { type Ack, invalid, resolveAck } from '../../options.js';
import type { Stats } from '../../stats.js';
import type { LiveStream, PullStream } from '../../streams/pull-stream.js';
import { Aggregate, type AggregateOptions } from './aggregate.js';
import { append, appendToStreams, prepareWrite, toResult } from './append-events.js';
import type { BackupReport } from './backup.js';
import type { StoredCheckpoint } from './checkpoints.js';
import type { EventCodec } from './codec.js';
import type { Consumer } from './consumer.js';
import type { ConsumeOptions } from './consumer-options.js';
import { Consumers } from './consumers.js';
import { checkpointAt, durableCheckpoint } from './cursors.js';
import { checkStream, type EventInput } from './event-input.js';
import type {
  AppendToStreamOptions,
  AppendToStreamResult,
  BackupOptions,
  ExportOptions,
  ImportOptions,
  ListStreamsOptions,
  PurgeOptions,
  ReadAllOptions,
  ReadStreamOptions,
  ScavengeOptions,
  StreamAppend,
  StreamAppendResult,
  SubscribeOptions,
  SubscribeToStreamOptions,
} from './event-store-options.js';
import type { ExpectedRevision } from './expected-revision.js';
import { subscribeToAll, subscribeToStream } from './follow-events.js';
import { Maintenance } from './maintenance.js';
import type { ParkedEvent, ReplayHandler, ReplayResult } from './parking-lot.js';
import { formatCheckpoint } from './position.js';
import type { PurgeReport } from './purge.js';
import { readAll } from './read-all.js';
import { readStream, streamHead } from './read-stream.js';
import type { RecordedEvent } from './recorded-event.js';
import type { ScavengeReport } from './scavenge.js';
import {
  type SaveSnapshotResult,
  type Snapshot,
  type SnapshotInfo,
  type SnapshotInput,
  type SnapshotQuery,
  Snapshots,
} from './snapshots.js';
import type { StoreCore } from './store-core.js';
import {
  beginStreamAt,
  deleteStream,
  getMetadata,
  setMetadata,
  tombstoneStream,
  truncateStream,
} from './stream-lifespan.js';
import { type ListedStream, listStreams, type StreamPage, streams } from './stream-list.js';
import type { StreamMetadataInput } from './stream-metadata.js';
import type { StreamMetadata } from './stream-state.js';
import type { Committed } from './stream-write.js';
import { SystemStreams } from './system-streams.js';
import { exportEvents } from './transfer-export.js';
import { type ImportProgress, importEvents, type Lines } from './transfer-import.js';

export class EventStore {
  readonly #core: StoreCore;
  readonly #system: SystemStreams;
  readonly #consumers: Consumers;
  readonly #snapshots: Snapshots;
  readonly #maintenance: Maintenance;
  #closing: Promise<void> | undefined;

  /** Event stores come from `openEventStore`. */
  constructor(core: StoreCore) {
    this.#core = core;
    this.#system = new SystemStreams(core);
    this.#consumers = new Consumers(this.#system);
    this.#snapshots = new Snapshots(this.#system);
    this.#maintenance = new Maintenance(core);
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
      if (Array.isArray(events) && events.length === 0) throw invalid('events', [], 'at least one event');
      const write = prepareWrite(this.#core, stream, events, options.expectedRevision);
      const told = ([committed]: readonly Committed[]) => resolve(toResult(committed as Committed));
      append(this.#core, [write], ack, told, reject);
    });
  }

  /**
   * Appends to several streams, in any partitions: all of it or nothing, after any crash. A stream without events is only
   * checked. Resolves when all is durable, with one result for each, in order. Rejects as `appendToStream` does.
   */
  appendToStreams(appends: readonly StreamAppend[]): Promise<StreamAppendResult[]> {
    return appendToStreams(this.#core, appends);
  }

  /** Resolves when what is written of a stream is durable, so that reading sees it. Rejects as appending does. */
  async whenDurable(stream: string): Promise<void> {
    this.#core.refuseClosed();
    checkStream(stream, true);
    await this.#core.partitionOf(stream).log.whenDurable();
  }

  // Reading

  /** The durable events of a stream, in order of revision. Options are checked at once, reading begins with iterating. */
  readStream(stream: string, options: ReadStreamOptions = {}): PullStream<RecordedEvent> {
    return readStream(this.#core, stream, options);
  }

  /** The durable events of all streams, in order of position. */
  readAll(options: ReadAllOptions = {}): PullStream<RecordedEvent> {
    return readAll(this.#core, options);
  }

  /**
   * The stream's newest revision and metadata; undefined where there is no stream that can be read. With `visibility`
   * 'durable' (default 'written') it is the newest that `readStream` shows: what was read up to it is all that there is.
   */
  streamHead(
    stream: string,
    options: { visibility?: Ack } = {},
  ): Promise<{ revision: bigint; metadata: StreamMetadata } | undefined> {
    return streamHead(this.#core, stream, options);
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
  listStreams(options: ListStreamsOptions = {}): Promise<StreamPage> {
    return listStreams(this.#core, options);
  }

  /** All of them, page by page; `limit` is that of a page. */
  streams(options: ListStreamsOptions = {}): PullStream<ListedStream> {
    return streams(this.#core, options);
  }

  // Subscribing

  /** Everything that fits, then what comes: an RxJS observable and an async iterable. */
  subscribeToAll(options: SubscribeOptions = {}): LiveStream<RecordedEvent> {
    return subscribeToAll(this.#core, options);
  }

  /** Everything in the streams of a category: those whose ids begin with it and a dash. */
  subscribeToCategory(category: string, options: SubscribeOptions = {}): LiveStream<RecordedEvent> {
    return this.subscribeToAll({ ...options, filter: { ...options.filter, categories: [category] } });
  }

  /** One stream's events, then those that come. The stream need not exist yet. */
  subscribeToStream(stream: string, options: SubscribeToStreamOptions = {}): LiveStream<RecordedEvent> {
    return subscribeToStream(this.#core, stream, options);
  }

  /** A checkpoint behind everything that is durable now: `{ from: { checkpoint } }` reads on from there. */
  checkpoint(): string {
    return formatCheckpoint(durableCheckpoint(this.#core));
  }

  /** A checkpoint behind everything up to a position, that one included, as far as it is durable. */
  async checkpointAt(position: bigint | string): Promise<string> {
    this.#core.refuseClosed();
    return formatCheckpoint(await checkpointAt(this.#core, position));
  }

  // Durable consumers

  /**
   * Hands events to a handler one at a time, in order, each at least once, and goes on after a crash where it was: see
   * docs/event-store-consumers.md. Of several consumers of one name one runs, the others wait for it to end.
   */
  consume(options: ConsumeOptions): Consumer {
    return this.#consumers.consume(options);
  }

  /** The newest checkpoint that is stored under a name; undefined where there is none. */
  readCheckpoint(name: string): Promise<StoredCheckpoint | undefined> {
    return this.#consumers.readCheckpoint(name);
  }

  /**
   * Stores a checkpoint, durably. A consumer of this name that is running fails when it stores its next one. Rejects with
   * `ERR_VARVE_CHECKPOINT_CONFLICT` (`expected`, `actual`).
   */
  writeCheckpoint(
    name: string,
    checkpoint: string,
    options: { expectedRevision?: ExpectedRevision } = {},
  ): Promise<{ revision: bigint }> {
    return this.#consumers.writeCheckpoint(name, checkpoint, options);
  }

  /** What a consumer's handler could not deal with, oldest first. */
  parkedEvents(name: string, options: { signal?: AbortSignal } = {}): PullStream<ParkedEvent> {
    return this.#consumers.parkedEvents(name, options);
  }

  /**
   * Hands parked events to a handler, oldest first. Those that it deals with are parked no longer; those for which it
   * throws stay, and are in the result.
   */
  replayParked(name: string, handler: ReplayHandler, options: { signal?: AbortSignal } = {}): Promise<ReplayResult> {
    return this.#consumers.replayParked(name, handler, options);
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
  saveSnapshot(stream: string, snapshot: SnapshotInput, options: { keep?: number } = {}): Promise<SaveSnapshotResult> {
    return this.#snapshots.save(stream, snapshot, options);
  }

  /** The snapshot at the highest revision, at or before one if that is asked for. A deleted stream has none. */
  readSnapshot<State = unknown>(stream: string, options: SnapshotQuery = {}): Promise<Snapshot<State> | undefined> {
    return this.#snapshots.read<State>(stream, options);
  }

  /** By revision, ascending. */
  listSnapshots(stream: string): Promise<SnapshotInfo[]> {
    return this.#snapshots.list(stream);
  }

  /** Deletes the snapshots before a revision. */
  deleteSnapshots(stream: string, options: { before: bigint }): Promise<void> {
    return this.#snapshots.delete(stream, options);
  }

  /** A stream as a state that decides. Throws `ERR_VARVE_INVALID_OPTION`. */
  aggregate<State>(options: AggregateOptions<State>): Aggregate<State> {
    return new Aggregate(this, (stream) => this.#system.settled(stream), options);
  }

  // Export and import

  /**
   * Events as lines of JSON, each with its line feed, in the order of positions: `Readable.from(store.exportEvents())`.
   * What is appended after the reading has begun is not in it.
   */
  exportEvents(options: ExportOptions = {}): PullStream<string> {
    return exportEvents(this.#core, options);
  }

  /**
   * Appends the events of an export with the ids, revisions and times that they had, in order. What is there already is
   * left out, so an import may be repeated. Pieces may be cut anywhere, but line feeds must be in them.
   *
   * Rejects with `ERR_VARVE_INVALID_EVENT` (`line`) for a line that is malformed, or does not go on where its stream ends,
   * or is another event than the one that is there; what came before it has been imported. And as appending does.
   */
  importEvents(lines: Lines, options: ImportOptions = {}): Promise<ImportProgress> {
    return importEvents(this.#core, lines, options);
  }

  /**
   * Copies the store as it is now into another directory, while appends go on, and verifies the copy. The directory is
   * missing, empty, or holds an earlier backup of this store, of which sealed segments are kept as they are.
   *
   * Rejects with `ERR_VARVE_BACKUP` (`path`), `ERR_VARVE_INVALID_OPTION`, `ERR_VARVE_LOCKED`, and what the disk says. A
   * backup that was interrupted is refused by `openEventStore` and `restoreBackup`; making it again completes it.
   */
  backup(directory: string, options: BackupOptions = {}): Promise<BackupReport> {
    return this.#maintenance.backup(directory, options);
  }

  // Metadata and deletion

  getStreamMetadata(stream: string): Promise<StreamMetadata> {
    return getMetadata(this.#core, stream);
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
    return toResult(await setMetadata(this.#core, stream, metadata, options));
  }

  /**
   * Gives up the events before `revisionToKeep`; all there are, at most. What was given up before stays so. Rejects as
   * `deleteStream` does.
   */
  truncateStream(stream: string, revisionToKeep: bigint): Promise<void> {
    return truncateStream(this.#core, stream, revisionToKeep);
  }

  /**
   * Has a stream without events begin at a later revision: its history is elsewhere, or nowhere any more. Nothing happens
   * where its next event has this revision or a later one. Rejects with `ERR_VARVE_WRONG_REVISION` where it has events,
   * and `ERR_VARVE_STREAM_TOMBSTONED`.
   */
  beginStreamAt(stream: string, first: bigint): Promise<void> {
    return beginStreamAt(this.#core, stream, first);
  }

  /**
   * Deletes a stream: none of its events can be read any more. It may be appended to again, and goes on with the next
   * revision. Rejects with `ERR_VARVE_STREAM_NOT_FOUND`, `ERR_VARVE_STREAM_TOMBSTONED`, and `ERR_VARVE_WRONG_REVISION`
   * if a revision is expected.
   */
  deleteStream(stream: string, options: { expectedRevision?: ExpectedRevision } = {}): Promise<void> {
    return deleteStream(this.#core, stream, options);
  }

  /** Deletes a stream for ever: it can never be appended to again. Rejects as `deleteStream` does. */
  tombstoneStream(stream: string, options: { expectedRevision?: ExpectedRevision } = {}): Promise<void> {
    return tombstoneStream(this.#core, stream, options);
  }

  /**
   * Gives up the oldest segments of each partition, as long as all in them is dead: truncated, over `maxCount`, older than
   * `maxAge`, deleted, superseded metadata, or below the floor. Revisions go on where they were. One purge or backup runs
   * at a time. Rejects as appending and reading do, with what the hooks throw, and with the signal's reason; what was
   * given up before stays so.
   */
  purge(options: PurgeOptions = {}): Promise<PurgeReport> {
    return this.#maintenance.purge(options);
  }

  /**
   * Gives up the oldest segments of each partition though something in them is alive, which is written into kept files:
   * as many as are worth it by `threshold`. Events that are alive keep position, LSN and revision; nothing that reads or
   * subscribes notices. See docs/event-store-retention.md. One purge, scavenge or backup runs at a time. Rejects as
   * appending and reading do, with what the hooks throw, and with the signal's reason; what was done before stays so.
   */
  scavenge(options: ScavengeOptions = {}): Promise<ScavengeReport> {
    return this.#maintenance.scavenge(options);
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
    await this.#core.close(Promise.all([this.#maintenance.idle(), this.#consumers.close()]));
  }
}

const NO_OPTIONS: AppendToStreamOptions = {};

function ackOf({ expectedRevision: _, ...rest }: AppendToStreamOptions): Ack {
  return resolveAck(rest);
}
