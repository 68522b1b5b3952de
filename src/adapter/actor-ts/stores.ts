/**
 * The journal, the snapshot store and the store of durable states for actor-ts, each a thin coat over the neutral one.
 *
 * Errors are actor-ts's own classes, since its actors look for these: a lost race is its concurrency error, all else a
 * `JournalError` with Varve's error as its cause.
 */
import { invalid } from '../../options.js';
import { DurableStateConcurrencyError, type DurableStateStore } from '../journal/durable-state-store.js';
import { type Journal, JournalConcurrencyError, type StoredEvent } from '../journal/journal.js';
import type { Snapshot, SnapshotStore } from '../journal/snapshot-store.js';
import { EventBus } from './event-bus.js';
import {
  type ActorSnapshot,
  type ActorTs,
  type DurableStateRecord,
  type JournalEntry,
  type JournalEventBus,
  OPTION_SUPPORT,
  type OptionOf,
  type PersistentEvent,
  STORAGE_LOCALITY,
} from './framework.js';

/** Persistence ids that are asked for at once. */
const PAGE = 10_000;

/** Does something, and tells failures in actor-ts's words. */
async function told<T>(actorTs: ActorTs, what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof JournalConcurrencyError) {
      throw new actorTs.JournalConcurrencyError(error.persistenceId, error.expectedSeq, error.actualSeq);
    }
    if (error instanceof DurableStateConcurrencyError) {
      const { persistenceId, expectedRevision, actualRevision } = error;
      throw new actorTs.DurableStateConcurrencyError(persistenceId, expectedRevision, actualRevision);
    }
    throw new actorTs.JournalError(`${what} failed: ${error instanceof Error ? error.message : error}`, error);
  }
}

export class ActorTsJournal {
  readonly storageLocality = STORAGE_LOCALITY;
  /** Told of each event when it is durable. */
  readonly events: JournalEventBus = new EventBus();
  readonly #actorTs: ActorTs;
  readonly #journal: Required<Journal>;

  constructor(actorTs: ActorTs, journal: Required<Journal>) {
    this.#actorTs = actorTs;
    this.#journal = journal;
  }

  append<E = unknown>(
    persistenceId: string,
    entries: readonly JournalEntry<E>[],
    expectedSeq: number,
  ): Promise<PersistentEvent<E>[]> {
    return told(this.#actorTs, 'append', async () => {
      checkEntries(entries);
      const stored = await this.#journal.append(persistenceId, entries, expectedSeq);
      const written = stored.map((event) => toPersistent<E>(event));
      for (const event of written) this.events.publish(event);
      return written;
    });
  }

  read<E = unknown>(persistenceId: string, fromSeq: number, toSeq?: number): Promise<PersistentEvent<E>[]> {
    return told(this.#actorTs, 'read', async () => {
      const range = toSeq === undefined ? { from: fromSeq } : { from: fromSeq, to: toSeq };
      const events: PersistentEvent<E>[] = [];
      for await (const event of this.#journal.read(persistenceId, range)) events.push(toPersistent<E>(event));
      return events;
    });
  }

  highestSeq(persistenceId: string): Promise<number> {
    return told(this.#actorTs, 'highestSeq', () => this.#journal.highestSeq(persistenceId));
  }

  delete(persistenceId: string, toSeq: number): Promise<void> {
    return told(this.#actorTs, 'delete', () => this.#journal.deleteTo(persistenceId, toSeq));
  }

  /** Rejects where the id has events already, and sequence numbers would be left out. */
  raiseCompactionMark(persistenceId: string, throughSeq: number): Promise<void> {
    return told(this.#actorTs, 'raiseCompactionMark', () => this.#journal.raiseHighestSeq(persistenceId, throughSeq));
  }

  /** Those that have events, in the order of their first ones. */
  persistenceIds(): Promise<string[]> {
    return told(this.#actorTs, 'persistenceIds', async () => {
      const all = new Set<string>(); // a purge meanwhile may have one come up twice
      let after: string | undefined;
      do {
        const page = await this.#journal.persistenceIds({ limit: PAGE, ...(after === undefined ? {} : { after }) });
        for (const id of page.ids) all.add(id);
        after = page.next;
      } while (after !== undefined);
      return [...all];
    });
  }

  close(): Promise<void> {
    return this.#journal.close();
  }
}

export class ActorTsSnapshotStore {
  readonly storageLocality = STORAGE_LOCALITY;
  readonly persistenceOptionSupport = OPTION_SUPPORT;
  readonly #actorTs: ActorTs;
  readonly #snapshots: SnapshotStore;

  constructor(actorTs: ActorTs, snapshots: SnapshotStore) {
    this.#actorTs = actorTs;
    this.#snapshots = snapshots;
  }

  save<S = unknown>(persistenceId: string, seq: number, state: S, _options?: unknown): Promise<ActorSnapshot<S>> {
    return told(this.#actorTs, 'save', async () => {
      const timestamp = Date.now();
      await this.#snapshots.save(persistenceId, seq, state, { timestamp });
      return { persistenceId, sequenceNr: seq, state, timestamp };
    });
  }

  loadLatest<S = unknown>(persistenceId: string, _options?: unknown): Promise<OptionOf<ActorSnapshot<S>>> {
    return told(this.#actorTs, 'loadLatest', async () => this.#option<S>(await this.#snapshots.latest(persistenceId)));
  }

  loadBefore<S = unknown>(persistenceId: string, seq: number, _options?: unknown): Promise<OptionOf<ActorSnapshot<S>>> {
    return told(this.#actorTs, 'loadBefore', async () => {
      return this.#option<S>(await this.#snapshots.before(persistenceId, seq));
    });
  }

  /** Deletes those up to and including `toSeq`. */
  delete(persistenceId: string, toSeq: number): Promise<void> {
    return told(this.#actorTs, 'delete', () => this.#snapshots.delete(persistenceId, { maxSeq: toSeq }));
  }

  close(): Promise<void> {
    return this.#snapshots.close();
  }

  #option<S>(found: Snapshot | undefined): OptionOf<ActorSnapshot<S>> {
    if (found === undefined) return this.#actorTs.fromNullable<ActorSnapshot<S>>(undefined);
    const { persistenceId, seq, state, timestamp } = found;
    return this.#actorTs.fromNullable({ persistenceId, sequenceNr: seq, state: state as S, timestamp });
  }
}

export class ActorTsDurableStateStore {
  readonly storageLocality = STORAGE_LOCALITY;
  readonly persistenceOptionSupport = OPTION_SUPPORT;
  readonly #actorTs: ActorTs;
  readonly #states: DurableStateStore;

  constructor(actorTs: ActorTs, states: DurableStateStore) {
    this.#actorTs = actorTs;
    this.#states = states;
  }

  upsert<S>(
    persistenceId: string,
    expectedRevision: number,
    state: S,
    _options?: unknown,
  ): Promise<DurableStateRecord<S>> {
    return told(this.#actorTs, 'upsert', async () => {
      return (await this.#states.upsert(persistenceId, expectedRevision, state)) as DurableStateRecord<S>;
    });
  }

  load<S>(persistenceId: string, _options?: unknown): Promise<OptionOf<DurableStateRecord<S>>> {
    return told(this.#actorTs, 'load', async () => {
      return this.#actorTs.fromNullable((await this.#states.load(persistenceId)) as DurableStateRecord<S> | undefined);
    });
  }

  delete(persistenceId: string): Promise<void> {
    return told(this.#actorTs, 'delete', () => this.#states.delete(persistenceId));
  }

  close(): Promise<void> {
    return this.#states.close();
  }
}

/** Older versions of actor-ts give the events themselves, and tags for all of them. */
function checkEntries(entries: unknown): void {
  if (!Array.isArray(entries)) throw invalid('entries', typeof entries, 'an array of { event, tags }');
  for (const [i, entry] of entries.entries()) {
    if (typeof entry === 'object' && entry !== null && Object.hasOwn(entry, 'event')) continue;
    const expected = '{ event, tags }; an actor-ts that gives events without their tags is too old for varve/actor-ts';
    throw invalid(`entries[${i}]`, typeof entry, expected);
  }
}

function toPersistent<E>({ persistenceId, seq, event, timestamp, tags }: StoredEvent): PersistentEvent<E> {
  const bare = { persistenceId, sequenceNr: seq, event: event as E, timestamp };
  return tags.length === 0 ? bare : { ...bare, tags };
}
