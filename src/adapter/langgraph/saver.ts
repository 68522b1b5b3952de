/**
 * LangGraph's checkpoints on the event store: one stream for each thread, one event for each checkpoint and for each set
 * of writes, durable when `put` and `putWrites` resolve. See docs/adapters/langgraph.md.
 *
 * What users hold is here, and what LangGraph calls; how a thread is written down is told in thread-format.ts, how it is
 * read in thread.ts, how it is made shorter in retention.ts.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  BaseCheckpointSaver,
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointPendingWrite,
  type CheckpointTuple,
  copyCheckpoint,
  maxChannelVersion,
  type PendingWrite,
  TASKS,
  WRITES_IDX_MAP,
} from '@langchain/langgraph-checkpoint';
import { LRUCache } from 'lru-cache';
import { VarveError } from '../../errors.js';
import { checkAll, invalid } from '../../options.js';
import type { EventStore } from '../event-store/event-store.js';
import type { EventStoreOptions } from '../event-store/event-store-options.js';
import { openEventStore } from '../event-store/open-event-store.js';
import { checkPeer } from '../installed-peer.js';
import { addressOf, checkpointIdOf, configOf, missing, type ThreadConfig, textCheck } from './config.js';
import { withGate } from './gate.js';
import {
  keepCheck,
  PRUNE_CHECKS,
  type PruneOptions,
  type PruneReport,
  SAVER_CHECKS,
  type VarveSaverOptions,
} from './options.js';
import { pruneThread } from './retention.js';
import { SENDS_ARE_A_CHANNEL, type StoredCheckpoint, type StoredWrite, Thread } from './thread.js';
import { checkpointEvent, type Serialized, type StoredValue, type Version, writesEvent } from './thread-format.js';
import { holderOf, isKnown, newestFirst } from './thread-index.js';

checkPeer('@langchain/langgraph-checkpoint', ['1.0']);

/** What LangGraph's serializer makes of what it can't write. */
const NOTHING_KEPT = Buffer.from('"[unable to serialize, circular reference is too complex to analyze]"');

/** Of a record by names that others have chosen. */
const own = <T>(record: Readonly<Record<string, T>>, key: string): T | undefined =>
  Object.hasOwn(record, key) ? record[key] : undefined;

/** What of other checkpoints this one needs, beside the values that it carries on. */
function leaningOf(metadata: CheckpointMetadata, channels: readonly [string, unknown][]) {
  const { parents = {}, counters_since_delta_snapshot: counters = {} } = metadata;
  const snapshots = channels.filter(
    ([, value]) => (value as { lg_name?: unknown } | null)?.lg_name === 'DeltaSnapshot',
  );
  const deltas = [...new Set([...Object.keys(counters), ...snapshots.map(([channel]) => channel)])];
  return {
    ...(Object.keys(parents).length === 0 ? {} : { parents }),
    ...(deltas.length === 0 ? {} : { deltas }),
  };
}

const warn = (error: unknown) => process.emitWarning(`A thread of varve/langgraph was not pruned: ${error}`);

/** Indexes of threads that are kept in memory. */
const THREADS_IN_MEMORY = 256;

/**
 * ```ts
 * const checkpointer = await VarveSaver.open({ directory: './data' });      // in place of new MemorySaver()
 * const graph = builder.compile({ checkpointer });
 * await checkpointer.close();
 * ```
 */
export class VarveSaver extends BaseCheckpointSaver {
  readonly store: EventStore;
  readonly #prefix: string;
  readonly #keep: number | undefined;
  readonly #onPruneError: (error: unknown) => void;
  readonly #threads = new LRUCache<string, Thread>({ max: THREADS_IN_MEMORY });
  /** Streams that are being pruned in the background. */
  readonly #pruning = new Map<string, Promise<void>>();
  #ownsStore = false;
  #closing: Promise<void> | undefined;

  /** Several savers may use one store, with prefixes of their own or without. Throws `ERR_VARVE_INVALID_OPTION`. */
  constructor(store: EventStore, options: VarveSaverOptions = {}) {
    checkAll(options, SAVER_CHECKS, 'options');
    for (const method of ['appendToStream', 'readStream', 'streamHead'] as const) {
      if (typeof store?.[method] !== 'function') throw invalid('store', store, 'an event store, of openEventStore');
    }
    super(options.serde);
    this.store = store;
    this.#prefix = `${options.prefix ?? 'langgraph'}-`;
    this.#keep = options.keep;
    this.#onPruneError = options.onPruneError ?? warn;
  }

  /**
   * Opens an event store of its own, which `close` closes. Takes the options of `openEventStore`, too; `codec` is 'raw'
   * unless another one is given. Rejects as `openEventStore` does, with `ERR_VARVE_LOCKED` where somebody else has it open.
   */
  static async open(options: EventStoreOptions & VarveSaverOptions): Promise<VarveSaver> {
    const { prefix, serde, keep, onPruneError, ...storeOptions } = options;
    const given = Object.entries({ prefix, serde, keep, onPruneError }).filter(([, value]) => value !== undefined);
    const saverOptions = Object.fromEntries(given) as VarveSaverOptions;
    checkAll(saverOptions, SAVER_CHECKS, 'options');
    const saver = new VarveSaver(await openEventStore({ codec: 'raw', ...storeOptions }), saverOptions);
    saver.#ownsStore = true;
    return saver;
  }

  // What LangGraph calls

  /** The checkpoint of the config, or the newest one of its namespace; undefined where there is none. */
  override async getTuple(config: ThreadConfig): Promise<CheckpointTuple | undefined> {
    const { threadId, ns = '' } = addressOf(config);
    if (threadId === undefined) return undefined;
    const id = checkpointIdOf(config);
    const found = await this.#thread(threadId).read(ns, (namespace) => id ?? newestFirst(namespace)[0]);
    return found && this.#tupleOf(threadId, found);
  }

  /**
   * The checkpoints of a thread, or of all where the config names none, newest first within each namespace. A filter
   * fits where each of its fields is deeply equal to that of the metadata.
   */
  override async *list(config: ThreadConfig, options: CheckpointListOptions = {}): AsyncGenerator<CheckpointTuple> {
    const { threadId, ns } = addressOf(config);
    const only = checkpointIdOf(config);
    const before = options.before === undefined ? undefined : checkpointIdOf(options.before);
    const filter = Object.entries(options.filter ?? {});
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    for await (const thread of threadId === undefined ? this.#threadIds() : [threadId]) {
      if (left <= 0) return;
      const stored = this.#thread(thread);
      await stored.index.refresh();
      for (const [name, namespace] of [...stored.index.namespaces]) {
        if (ns !== undefined && name !== ns) continue;
        for (const id of newestFirst(namespace)) {
          if (left <= 0) return;
          if ((only !== undefined && id !== only) || (before !== undefined && id >= before)) continue;
          const found = await stored.read(name, () => id);
          if (found === undefined) continue; // given up meanwhile
          const metadata = (await this.#load(found.metadata)) as Record<string, unknown>;
          if (!filter.every(([key, value]) => isDeepStrictEqual(metadata[key], value))) continue;
          left--;
          yield await this.#tupleOf(thread, found);
        }
      }
    }
  }

  /**
   * Stores a checkpoint behind the one that the config names; durable when it resolves. Of its channels those are stored
   * that `newVersions` names, and those that no ancestor holds. Rejects with `ERR_VARVE_INVALID_OPTION`, with what the
   * serializer throws, and as `appendToStream` does; nothing was stored then.
   */
  override async put(
    config: ThreadConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<ThreadConfig> {
    const { threadId, ns = '' } = addressOf(config);
    if (threadId === undefined) throw missing('thread_id', 'put a checkpoint');
    const { id } = checkpoint;
    textCheck(id, 'checkpoint.id');
    const parent = checkpointIdOf(config);
    const { channel_values, ...rest } = copyCheckpoint(checkpoint);
    const versionOf = (channel: string) => own(rest.channel_versions, channel) ?? own(newVersions, channel) ?? null;
    const channels = Object.entries(channel_values);
    const isNew = (channel: string) => Object.hasOwn(newVersions, channel) || versionOf(channel) === null;
    // Serialized before anything is awaited: the caller may go on changing them.
    const [body, told, changed] = await Promise.all([
      this.#dump({ ...rest, channel_values: {} }, 'checkpoint'),
      this.#dump(metadata, 'metadata'),
      Promise.all(
        channels
          .filter(([channel]) => isNew(channel))
          .map(([channel, value]) => this.#stored(channel, versionOf(channel), value)),
      ),
    ]);
    const thread = this.#thread(threadId);
    const count = await withGate(this.store, thread.stream, (gate) =>
      gate.shared(async () => {
        await thread.index.refresh();
        const namespace = thread.index.namespaces.get(ns);
        const carried: [string, Version][] = [];
        const stored = [...changed];
        for (const [channel, value] of channels) {
          if (isNew(channel)) continue;
          const version = versionOf(channel) as Version;
          if (namespace !== undefined && holderOf(namespace, parent, channel, version) !== undefined) {
            carried.push([channel, version]);
          } else if (parent !== undefined || isKnown(namespace, channel, version)) {
            stored.push(await this.#stored(channel, version, value)); // what held it is gone, or on another branch
          }
        }
        const header = {
          ns,
          id,
          v: checkpoint.v,
          carried,
          ...(parent === undefined ? {} : { parent }),
          ...leaningOf(metadata, channels),
        };
        await this.store.appendToStream(thread.stream, checkpointEvent(header, body, told, stored));
        return (namespace === undefined ? 0 : newestFirst(namespace).length) + 1;
      }),
    );
    if (this.#keep !== undefined && count >= 2 * this.#keep) this.#pruneLater(thread, this.#keep);
    return configOf(threadId, ns, id);
  }

  /**
   * Stores what a task has written behind a checkpoint, which need not be there yet; durable when it resolves. Of writes
   * that are repeated the first ones stay; errors, interrupts and resumes replace each other. Rejects as `put` does.
   */
  override async putWrites(config: ThreadConfig, writes: PendingWrite[], taskId: string, taskPath = ''): Promise<void> {
    const { threadId, ns = '' } = addressOf(config);
    if (threadId === undefined) throw missing('thread_id', 'put writes');
    const id = checkpointIdOf(config);
    if (id === undefined) throw missing('checkpoint_id', 'put writes');
    textCheck(taskId, 'taskId');
    if (typeof taskPath !== 'string') throw invalid('taskPath', taskPath, 'a string');
    if (writes.length === 0) return;
    const values = await Promise.all(
      writes.map(async ([channel, value], i) => ({
        idx: own(WRITES_IDX_MAP, channel) ?? i,
        channel,
        value: await this.#dump(value, `writes[${i}]`),
      })),
    );
    const event = writesEvent({ ns, id, task: taskId, path: taskPath }, values);
    const { stream } = this.#thread(threadId);
    await withGate(this.store, stream, (gate) => gate.shared(() => this.store.appendToStream(stream, event)));
  }

  /** Deletes all of a thread; durable when it resolves. `store.purge()` gives the space back. */
  override async deleteThread(threadId: string): Promise<void> {
    textCheck(threadId, 'threadId');
    const { stream } = this.#thread(threadId);
    await withGate(this.store, stream, (gate) =>
      gate.exclusive(async () => {
        try {
          await this.store.deleteStream(stream);
        } catch (error) {
          if (!(error instanceof VarveError) || error.code !== 'ERR_VARVE_STREAM_NOT_FOUND') throw error;
        }
      }),
    );
  }

  // Retention

  /**
   * Gives up all but the newest checkpoints of each namespace, and of what belongs to those that go: their writes, and
   * the namespaces of their subgraphs. What is kept stays complete. `store.purge()` gives the space back.
   */
  async prune(options: PruneOptions): Promise<PruneReport> {
    checkAll(options, PRUNE_CHECKS, 'options');
    const { keep, threadId, rewrite = false, signal } = options;
    keepCheck(keep, 'keep');
    let [threads, removed, kept] = [0, 0, 0];
    for await (const id of threadId === undefined ? this.#threadIds() : [threadId]) {
      signal?.throwIfAborted();
      const pruned = await this.#prune(this.#thread(id), keep, rewrite);
      if (pruned.rewritten) threads++;
      removed += pruned.removed;
      kept += pruned.kept;
    }
    return { threads, removed, kept };
  }

  /** Waits for pruning in the background, and closes the store if `open` has opened it. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    while (this.#pruning.size > 0) await Promise.all(this.#pruning.values());
    if (this.#ownsStore) await this.store.close();
  }

  #prune(thread: Thread, keep: number, rewrite: boolean) {
    return withGate(this.store, thread.stream, (gate) => gate.exclusive(() => pruneThread(thread, keep, rewrite)));
  }

  #pruneLater(thread: Thread, keep: number): void {
    const { stream } = thread;
    if (this.#pruning.has(stream) || this.#closing !== undefined) return;
    const pruned = this.#prune(thread, keep, false)
      .then(() => {}, this.#onPruneError)
      .catch(warn) // what the listener itself throws
      .finally(() => this.#pruning.delete(stream));
    this.#pruning.set(stream, pruned);
  }

  #thread(threadId: string): Thread {
    const stream = this.#prefix + threadId;
    let thread = this.#threads.get(stream);
    if (thread === undefined) {
      thread = new Thread(this.store, stream);
      this.#threads.set(stream, thread);
    }
    return thread;
  }

  async *#threadIds(): AsyncGenerator<string> {
    const seen = new Set<string>(); // one whose beginning is purged meanwhile comes up twice
    for await (const { stream } of this.store.streams({ prefix: this.#prefix })) {
      if (seen.has(stream)) continue;
      seen.add(stream);
      yield stream.slice(this.#prefix.length);
    }
  }

  async #stored(channel: string, version: Version | null, value: unknown): Promise<StoredValue> {
    return { channel, version, value: await this.#dump(value, `channel_values.${channel}`) };
  }

  /** LangGraph's serializer writes a note in place of a value that it can't write, however large: refused here. */
  async #dump(value: unknown, valuePath: string): Promise<Serialized> {
    const [type, bytes] = await this.serde.dumpsTyped(value);
    if (bytes.length === NOTHING_KEPT.length && NOTHING_KEPT.equals(bytes) && typeof value !== 'string') {
      throw new VarveError(
        'ERR_VARVE_INVALID_EVENT',
        `The serializer cannot keep ${valuePath}: a bigint in it, perhaps, or too many circular references. Nothing was ` +
          'stored. Put something else into the state, or give the saver a serializer that keeps it.',
        { valuePath },
      );
    }
    return [type, bytes];
  }

  #load([type, bytes]: Serialized): Promise<unknown> {
    return this.serde.loadsTyped(type, bytes);
  }

  async #tupleOf(threadId: string, stored: StoredCheckpoint): Promise<CheckpointTuple> {
    const { ns, id, parent } = stored;
    const checkpoint = (await this.#load(stored.body)) as Checkpoint;
    const values = stored.channels.map(async ([channel, value]) => [channel, await this.#load(value)] as const);
    checkpoint.channel_values = Object.fromEntries(await Promise.all(values));
    if (checkpoint.v < SENDS_ARE_A_CHANNEL && parent !== undefined)
      await this.#takeSends(checkpoint, stored.parentWrites);
    return {
      config: configOf(threadId, ns, id),
      checkpoint,
      metadata: (await this.#load(stored.metadata)) as CheckpointMetadata,
      pendingWrites: await Promise.all(
        stored.writes.map(
          async ({ task, channel, value }): Promise<CheckpointPendingWrite> => [task, channel, await this.#load(value)],
        ),
      ),
      ...(parent === undefined ? {} : { parentConfig: configOf(threadId, ns, parent) }),
    };
  }

  /** What the parent's tasks have sent becomes a channel, as in checkpoints of today. */
  async #takeSends(checkpoint: Checkpoint, parentWrites: readonly StoredWrite[]): Promise<void> {
    const sent = parentWrites.filter(({ channel }) => channel === TASKS);
    const versions = Object.values(checkpoint.channel_versions);
    checkpoint.channel_values[TASKS] = await Promise.all(sent.map(({ value }) => this.#load(value)));
    checkpoint.channel_versions[TASKS] =
      versions.length > 0 ? maxChannelVersion(...versions) : this.getNextVersion(undefined);
  }
}
