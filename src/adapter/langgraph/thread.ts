/**
 * A thread: its stream, its index, and the reading of what the index points to.
 *
 * Reading takes no turn with those who give up parts of the thread. Who finds something gone looks again: what is kept
 * has been written anew before the rest went.
 */
import { VarveError } from '../../errors.js';
import type { EventStore } from '../event-store/event-store.js';
import { type Serialized, type Version, valuesOf } from './thread-format.js';
import { type CheckpointEntry, holderOf, type Namespace, pendingWrites, placeOf, ThreadIndex } from './thread-index.js';

/** The values of a checkpoint come behind itself and its metadata. */
const BEFORE_CHANNELS = 2;

export interface StoredWrite {
  readonly task: string;
  readonly channel: string;
  readonly value: Serialized;
}

/** A checkpoint as it is stored, complete. */
export interface StoredCheckpoint {
  readonly ns: string;
  readonly id: string;
  readonly parent: string | undefined;
  readonly body: Serialized;
  readonly metadata: Serialized;
  readonly channels: readonly (readonly [channel: string, value: Serialized])[];
  readonly writes: readonly StoredWrite[];
  /** What the parent's tasks have sent, where the format of the checkpoint is so old that this is not in itself. */
  readonly parentWrites: readonly StoredWrite[];
}

/** Since this version of the format of checkpoints, what was sent is a channel. */
export const SENDS_ARE_A_CHANNEL = 4;

export class Thread {
  readonly store: EventStore;
  readonly stream: string;
  readonly index: ThreadIndex;

  constructor(store: EventStore, stream: string) {
    this.store = store;
    this.stream = stream;
    this.index = new ThreadIndex(store, stream);
  }

  /** The checkpoint that `choose` finds in the namespace, as it is now; undefined where there is none. */
  async read(ns: string, choose: (namespace: Namespace) => string | undefined): Promise<StoredCheckpoint | undefined> {
    for (;;) {
      await this.index.refresh();
      const { floor } = this.index;
      const namespace = this.index.namespaces.get(ns);
      const id = namespace && choose(namespace);
      const entry = id === undefined ? undefined : namespace?.checkpoints.get(id);
      if (namespace === undefined || entry === undefined) return undefined;
      try {
        return await this.#load(namespace, entry);
      } catch (error) {
        await this.index.refresh();
        if (!isGone(error) || this.index.floor === floor) throw error;
      }
    }
  }

  async #load(namespace: Namespace, { revision, header }: CheckpointEntry): Promise<StoredCheckpoint> {
    const values = new Values(this);
    const { ns, id, parent, v } = header;
    const [body, metadata, ...own] = (await values.of(revision)) as [Serialized, Serialized, ...Serialized[]];
    const stored = header.stored.map(([channel], i) => [channel, own[i] as Serialized] as const);
    const carried = header.carried.map(
      async ([channel, version]) => [channel, await values.carried(namespace, parent, channel, version)] as const,
    );
    const writesOf = (of: string) =>
      Promise.all(
        pendingWrites(namespace, of).map(async ({ revision, at, task, channel }) => ({
          task,
          channel,
          value: await values.at(revision, at),
        })),
      );
    const [channels, writes, parentWrites] = await Promise.all([
      Promise.all(carried),
      writesOf(id),
      v < SENDS_ARE_A_CHANNEL && parent !== undefined ? writesOf(parent) : [],
    ]);
    return { ns, id, parent, body, metadata, channels: [...stored, ...channels], writes, parentWrites };
  }
}

/** Values by the revision of their event, each event read once. */
export class Values {
  readonly #thread: Thread;
  readonly #events = new Map<bigint, Promise<Serialized[]>>();

  constructor(thread: Thread) {
    this.#thread = thread;
  }

  of(revision: bigint): Promise<Serialized[]> {
    let values = this.#events.get(revision);
    if (values === undefined) {
      values = this.#read(revision);
      this.#events.set(revision, values);
    }
    return values;
  }

  async at(revision: bigint, place: number): Promise<Serialized> {
    return (await this.of(revision))[place] as Serialized;
  }

  /** The value that a child of `parent` has of a channel which it does not store itself. */
  async carried(ns: Namespace, parent: string | undefined, channel: string, version: Version): Promise<Serialized> {
    const holder = holderOf(ns, parent, channel, version);
    if (holder === undefined)
      throw gone(this.#thread.stream, `the value of channel '${channel}' at version ${version}`);
    return this.at(holder.revision, BEFORE_CHANNELS + placeOf(holder.header, channel, version));
  }

  async #read(revision: bigint): Promise<Serialized[]> {
    const { store, stream } = this.#thread;
    const [event] = await store.readStream(stream, { fromRevision: revision, toRevision: revision }).toArray();
    if (event === undefined) throw gone(stream, `revision ${revision}`);
    return valuesOf(event);
  }
}

function gone(stream: string, what: string): VarveError {
  return new VarveError(
    'ERR_VARVE_LSN_PURGED',
    `Of the stream '${stream}' ${what} was given up, and a checkpoint needs it. Give up parts of threads with the saver's ` +
      'prune and deleteThread only, which keep what is needed: not with maxCount, maxAge or the floor of a purge.',
    { stream },
  );
}

const isGone = (error: unknown): boolean => error instanceof VarveError && error.code === 'ERR_VARVE_LSN_PURGED';
