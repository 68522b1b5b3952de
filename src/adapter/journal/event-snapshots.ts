/**
 * Snapshots over the event store: a stream for each persistence id. Each event is a saved snapshot, or says which of those
 * before it were deleted; of the same sequence number the last one counts.
 *
 *   saved 10 · saved 20 · deleted: up to 15 · saved 12      there are: 12, 20
 *
 * Snapshots need no events, and may be ahead of them: frameworks save them under keys of their own, or when they move house.
 * Each event knows the highest sequence number saved up to there, so the latest snapshot is found without reading them all.
 */
import { LRUCache } from 'lru-cache';
import { callback, checkAll, integer } from '../../options.js';
import type { EventStore } from '../event-store/event-store.js';
import type { RecordedEvent } from '../event-store/recorded-event.js';
import { NOTHING, newestEvent, perStore, REMEMBERED, taken } from './newest.js';
import type { SaveOptions, Snapshot, SnapshotCriteria, SnapshotStore } from './snapshot-store.js';
import { IdStreams, number, timestamp, upperBound } from './streams.js';

export interface EventStoreSnapshotsOptions {
  /** Streams are `<category>-<persistence id>`: 1 to 100 bytes without a dash. Default 'snapshot'. */
  category?: string;
  /** Snapshots of each persistence id that are kept where `save` does not say otherwise. Default: all. */
  keep?: number;
  /** Told when older snapshots could not be deleted behind a save. Default: a process warning. */
  onPruneError?: (error: unknown) => void;
}

const SAVED = 'SnapshotSaved';
const DELETED = 'SnapshotsDeleted';
/** Snapshots that are read at once, at most. */
const MAX_STEP = 16;

interface Saved {
  readonly seq: number;
  readonly timestamp: number;
  /** No snapshot up to this one has a higher sequence number. */
  readonly highest: number;
}

interface Deleted {
  readonly criteria: SnapshotCriteria;
  readonly highest: number;
}

interface Entry {
  readonly snapshot: Snapshot;
  /** Revision in its stream. */
  readonly at: bigint;
}

const keepCheck = integer(1, Number.MAX_SAFE_INTEGER);
const OPTION_CHECKS = { category: () => {}, keep: keepCheck, onPruneError: callback };
const SAVE_CHECKS = { timestamp, keep: keepCheck };
const CRITERIA_CHECKS = { minSeq: number, maxSeq: upperBound, minTimestamp: timestamp, maxTimestamp: timestamp };

/**
 * By stream: no snapshot that was saved, or is being saved, has a higher sequence number. Too high a bound costs a look when
 * the latest one is wanted, too low a one would hide it.
 */
class Bounds {
  readonly #store: EventStore;
  readonly #known = new LRUCache<string, number>({ max: REMEMBERED });
  readonly #learning = new Map<string, Promise<void>>();

  constructor(store: EventStore) {
    this.#store = store;
  }

  get(stream: string): number | undefined {
    return this.#known.get(stream);
  }

  raise(stream: string, seq: number): void {
    this.#known.set(stream, seq);
  }

  /** Whoever saves meanwhile waits for the same answer. */
  learn(stream: string): Promise<void> {
    const learning = this.#learning.get(stream) ?? this.#learn(stream).finally(() => this.#learning.delete(stream));
    this.#learning.set(stream, learning);
    return learning;
  }

  async #learn(stream: string): Promise<void> {
    await this.#store.lastRevision(stream); // what is being saved, and was forgotten here, is durable then
    const newest = await newestEvent(this.#store, stream);
    this.#known.set(stream, (newest?.metadata as Saved | Deleted | undefined)?.highest ?? 0);
  }
}

const boundsOf = perStore((store) => new Bounds(store));

/**
 * Closing it leaves the event store open. Methods reject with `ERR_VARVE_CLOSED`, `ERR_VARVE_INVALID_OPTION`,
 * `ERR_VARVE_INVALID_EVENT` for a state that the codec cannot keep, and what the event store says.
 */
export class EventStoreSnapshots<State = unknown> implements SnapshotStore<State> {
  readonly #streams: IdStreams;
  readonly #keep: number | undefined;
  readonly #onPruneError: ((error: unknown) => void) | undefined;

  constructor(store: EventStore, options: EventStoreSnapshotsOptions = {}) {
    checkAll(options, OPTION_CHECKS, 'options');
    const { category = 'snapshot', keep, onPruneError } = options;
    this.#streams = new IdStreams(store, category, 'The snapshot store');
    this.#keep = keep;
    this.#onPruneError = onPruneError;
  }

  /** The state is encoded in this turn: it may be changed afterwards. */
  async save(persistenceId: string, seq: number, state: State, options: SaveOptions = {}): Promise<void> {
    this.#streams.refuseClosed();
    const stream = this.#streams.streamOf(persistenceId);
    number(seq, 'seq');
    checkAll(options, SAVE_CHECKS, 'options');
    const { timestamp: time = Date.now(), keep = this.#keep } = options;
    await this.#append(stream, SAVED, state, seq, (highest): Saved => ({ seq, timestamp: time, highest }));
    if (keep === undefined) return;
    try {
      await this.#prune(stream, keep);
    } catch (error) {
      this.#tell(persistenceId, error);
    }
  }

  async latest(persistenceId: string): Promise<Snapshot<State> | undefined> {
    this.#streams.refuseClosed();
    return this.#highestUpTo(this.#streams.streamOf(persistenceId), Number.POSITIVE_INFINITY);
  }

  async before(persistenceId: string, seq: number): Promise<Snapshot<State> | undefined> {
    this.#streams.refuseClosed();
    const stream = this.#streams.streamOf(persistenceId);
    upperBound(seq, 'seq');
    return this.#highestUpTo(stream, seq - 1);
  }

  async find(persistenceId: string, criteria: SnapshotCriteria = {}): Promise<readonly Snapshot<State>[]> {
    this.#streams.refuseClosed();
    const stream = this.#streams.streamOf(persistenceId);
    checkAll(criteria, CRITERIA_CHECKS, 'criteria');
    const all = (await this.#all(stream)).map(({ snapshot }) => snapshot as Snapshot<State>);
    return all.filter((snapshot) => meets(snapshot, criteria));
  }

  async delete(persistenceId: string, criteria: SnapshotCriteria): Promise<void> {
    this.#streams.refuseClosed();
    const stream = this.#streams.streamOf(persistenceId);
    checkAll(criteria, CRITERIA_CHECKS, 'criteria');
    await this.#delete(stream, criteria, await this.#all(stream));
  }

  async close(): Promise<void> {
    this.#streams.close();
  }

  /** Appends an event that knows the highest sequence number up to there. Resolves with its revision. */
  async #append(
    stream: string,
    type: string,
    given: unknown,
    seq: number,
    note: (highest: number) => Saved | Deleted,
  ): Promise<bigint> {
    const { store } = this.#streams;
    const bounds = boundsOf(store);
    let data = given;
    let before = bounds.get(stream);
    if (before === undefined) data = taken(store, given);
    for (; before === undefined; before = bounds.get(stream)) await bounds.learn(stream);
    const highest = Math.max(before, seq);
    bounds.raise(stream, highest);
    const { nextExpectedRevision } = await store.appendToStream(stream, { type, data, metadata: note(highest) });
    return nextExpectedRevision;
  }

  /** The snapshot with the highest sequence number up to `bound`. */
  async #highestUpTo(stream: string, bound: number): Promise<Snapshot<State> | undefined> {
    let best: Snapshot | undefined;
    for await (const { entry, highest } of this.#backwards(stream)) {
      if (best !== undefined && best.seq >= Math.min(highest, bound)) break; // nothing before is higher
      if (entry === undefined || entry.snapshot.seq > bound) continue;
      if (best === undefined || entry.snapshot.seq > best.seq) best = entry.snapshot;
    }
    return best as Snapshot<State> | undefined;
  }

  /** The highest sequence number first. */
  async #all(stream: string): Promise<Entry[]> {
    const all: Entry[] = [];
    for await (const { entry } of this.#backwards(stream)) if (entry !== undefined) all.push(entry);
    return all.sort((a, b) => b.snapshot.seq - a.snapshot.seq);
  }

  /** All events, newest first; with an entry those that are snapshots still. */
  async *#backwards(stream: string): AsyncGenerator<{ entry: Entry | undefined; highest: number }> {
    const seen = new Set<number>();
    const deletions: SnapshotCriteria[] = [];
    for await (const event of this.#events(stream)) {
      const { highest } = event.metadata as Saved | Deleted;
      if (event.type === DELETED) {
        deletions.push((event.metadata as Deleted).criteria);
        yield { entry: undefined, highest };
        continue;
      }
      const { seq, timestamp: time } = event.metadata as Saved;
      const replaced = seen.has(seq);
      seen.add(seq);
      const snapshot = { persistenceId: this.#streams.idOf(stream), seq, state: event.data, timestamp: time };
      const gone = replaced || deletions.some((criteria) => meets(snapshot, criteria));
      yield { entry: gone ? undefined : { snapshot, at: event.revision }, highest };
    }
  }

  /** Newest first; one, then more at a time, since states may be large and as a rule the first one is wanted. */
  async *#events(stream: string): AsyncGenerator<RecordedEvent> {
    let step = 1;
    let from: { fromRevision?: bigint } = {};
    for (;;) {
      this.#streams.refuseClosed();
      const read = this.#streams.store.readStream(stream, { ...from, direction: 'backwards', maxCount: step });
      const events = await read.toArray();
      yield* events;
      const last = events.at(-1)?.revision ?? 0n;
      if (events.length < step || last === 0n) return;
      from = { fromRevision: last - 1n };
      step = Math.min(2 * step, MAX_STEP);
    }
  }

  async #prune(stream: string, keep: number): Promise<void> {
    const all = await this.#all(stream);
    const tooOld = all[keep];
    if (tooOld !== undefined) await this.#delete(stream, { maxSeq: tooOld.snapshot.seq }, all);
  }

  async #delete(stream: string, criteria: SnapshotCriteria, all: readonly Entry[]): Promise<void> {
    const isGone = ({ snapshot }: Entry) => meets(snapshot, criteria);
    const gone = all.filter(isGone);
    if (gone.length === 0) return;
    const left = all.filter((entry) => !isGone(entry)).map(({ at }) => at);
    let oldest = left.reduce<bigint | undefined>((low, at) => (low === undefined || at < low ? at : low), undefined);
    if (oldest === undefined || gone.some(({ at }) => at >= (oldest as bigint))) {
      const said = await this.#append(stream, DELETED, NOTHING, 0, (highest): Deleted => ({ criteria, highest }));
      oldest ??= said;
    }
    await this.#streams.store.truncateStream(stream, oldest);
  }

  #tell(persistenceId: string, error: unknown): void {
    if ((error as { code?: unknown }).code === 'ERR_VARVE_CLOSED') return; // the next save makes up for it
    if (this.#onPruneError !== undefined) this.#onPruneError(error);
    else process.emitWarning(new Error(`Snapshots of '${persistenceId}' were not pruned.`, { cause: error }));
  }
}

function meets({ seq, timestamp: time }: Snapshot, criteria: SnapshotCriteria): boolean {
  const { minSeq = 0, maxSeq = Number.POSITIVE_INFINITY } = criteria;
  const { minTimestamp = Number.NEGATIVE_INFINITY, maxTimestamp = Number.POSITIVE_INFINITY } = criteria;
  return seq >= minSeq && seq <= maxSeq && time >= minTimestamp && time <= maxTimestamp;
}
