/** Nact's persistence engine over the event store: its events are a journal, its snapshots a snapshot store. */
import type { EventStream, PersistedEvent, PersistedSnapshot, PersistenceEngine } from 'nact';
import { callback, checkAll, integer, invalid } from '../../options.js';
import { EventStore } from '../event-store/event-store.js';
import type { EventStoreOptions } from '../event-store/event-store-options.js';
import { openEventStore } from '../event-store/open-event-store.js';
import { EventStoreJournal } from '../journal/event-journal.js';
import { EventStoreSnapshots } from '../journal/event-snapshots.js';
import type { StoredEvent } from '../journal/journal.js';
import { NactEvents } from './events.js';
import { checkNact } from './nact.js';

export interface VarvePersistenceEngineOptions {
  /** Snapshots of each key that are kept: 1 or more. Nact asks for the latest one only. Default 2. */
  keepSnapshots?: number;
  /** Type of an event in the store, by which its upcasters and filters go. Default: 'Event' for all. */
  eventType?: (data: unknown) => string;
}

interface Parts {
  readonly store: EventStore;
  readonly journal: EventStoreJournal;
  readonly snapshots: EventStoreSnapshots;
}

const anything = () => {};
const count = integer(0, Number.MAX_SAFE_INTEGER);
const OPTION_CHECKS = { keepSnapshots: integer(1, Number.MAX_SAFE_INTEGER), eventType: callback };
const EVENT_CHECKS = {
  data: anything,
  sequenceNumber: integer(1, Number.MAX_SAFE_INTEGER),
  key: anything,
  tags: anything,
  createdAt: anything,
  isDeleted: (value: unknown, option: string) => {
    if (value !== false) throw invalid(option, value, 'false: what is deleted is not stored; delete with a journal');
  },
};
const SNAPSHOT_CHECKS = { data: anything, sequenceNumber: count, key: anything, createdAt: anything };

/**
 * ```ts
 * const engine = new VarvePersistenceEngine({ directory: './data' });
 * const system = start(configurePersistence(engine));
 * ```
 *
 * Everything that resolves is durable. Methods reject with `JournalConcurrencyError` where another actor has persisted under
 * this key, with `ERR_VARVE_INVALID_EVENT` for data that the codec cannot keep, and with what the event store says.
 */
export class VarvePersistenceEngine implements PersistenceEngine {
  readonly #opening: Promise<Parts>;
  readonly #owned: boolean;
  #parts: Parts | undefined;
  /** Calls that wait for the store to be opened. */
  #waiting = 0;

  /**
   * Over an event store, which stays its owner's; or over one that is opened here, and closed with the engine. Throws
   * `ERR_VARVE_UNSUPPORTED` for another nact, and `ERR_VARVE_INVALID_OPTION`. What goes wrong in opening is told by `opened`,
   * and by every call.
   */
  constructor(place: EventStore | EventStoreOptions, options: VarvePersistenceEngineOptions = {}) {
    checkNact();
    checkAll(options, OPTION_CHECKS, 'options');
    if (typeof place !== 'object' || place === null) throw invalid('place', place, 'an event store, or its options');
    const { keepSnapshots = 2, eventType } = options;
    this.#owned = !(place instanceof EventStore);
    const make = (store: EventStore): Parts => ({
      store,
      journal: new EventStoreJournal(store, eventType === undefined ? {} : { eventType }),
      snapshots: new EventStoreSnapshots(store, { keep: keepSnapshots }),
    });
    if (place instanceof EventStore) {
      this.#parts = make(place);
      this.#opening = Promise.resolve(this.#parts);
    } else {
      this.#opening = openEventStore(place).then((store) => {
        this.#parts = make(store);
        return this.#parts;
      });
      this.#opening.catch(anything); // whoever calls is told
    }
  }

  /** Resolves with the event store when it is open: to purge it, back it up, or subscribe to it. */
  async opened(): Promise<EventStore> {
    return (await this.#opening).store;
  }

  /**
   * The events of a key behind the sequence number `offset`, in order; with `tags`, those that have all of these; `limit` of
   * them at most, exactly. Can be awaited, iterated, and reduced.
   */
  events(
    persistenceKey: string,
    offset = 0,
    limit?: number,
    tags?: readonly string[],
  ): EventStream & AsyncIterable<PersistedEvent> {
    count(offset, 'offset');
    if (limit !== undefined && limit !== null) count(limit, 'limit');
    const wanted = tags ?? [];
    if (!Array.isArray(wanted) || wanted.some((tag) => typeof tag !== 'string')) {
      throw invalid('tags', tags, 'an array of strings');
    }
    const read = () => this.#read(persistenceKey, offset, limit ?? Number.POSITIVE_INFINITY, [...wanted]);
    // Nact's types have it resolve with events of the DOM.
    return new NactEvents(read) as unknown as EventStream & AsyncIterable<PersistedEvent>;
  }

  async *#read(
    key: string,
    offset: number,
    limit: number,
    tags: readonly string[],
  ): AsyncGenerator<PersistedEvent, void, undefined> {
    const { journal } = await this.#opening;
    let left = limit;
    for await (const stored of journal.read(key, { from: offset + 1, ...(tags.length === 0 ? { limit } : {}) })) {
      if (left === 0) return;
      if (!tags.every((tag) => stored.tags.includes(tag))) continue;
      yield toPersisted(stored);
      left--;
    }
  }

  /** The one with the highest sequence number; undefined where there is none. */
  latestSnapshot(persistenceKey: string): Promise<PersistedSnapshot> {
    return this.#run(async ({ snapshots }) => {
      const found = await snapshots.latest(persistenceKey);
      if (found === undefined) return undefined as unknown as PersistedSnapshot; // which is what nact looks for
      return { data: found.state, sequenceNumber: found.seq, key: persistenceKey, createdAt: found.timestamp };
    });
  }

  takeSnapshot(snapshot: PersistedSnapshot): Promise<void> {
    return this.#run(async ({ snapshots }) => {
      checkAll(snapshot, SNAPSHOT_CHECKS, 'snapshot');
      const { key, sequenceNumber, data, createdAt } = snapshot;
      await snapshots.save(key, sequenceNumber, data, { timestamp: createdAt });
    });
  }

  /** Rejects with `JournalConcurrencyError` unless the event comes next. */
  persist(event: PersistedEvent): Promise<void> {
    return this.#run(async ({ journal }) => {
      checkAll(event, EVENT_CHECKS, 'event');
      const { key, sequenceNumber, data, tags, createdAt } = event;
      await journal.append(key, [{ event: data, tags, timestamp: createdAt }], sequenceNumber - 1);
    });
  }

  /** Ends what goes on, and closes the event store if it was opened here. Idempotent. */
  async close(): Promise<void> {
    const { store, journal, snapshots } = await this.#opening;
    await journal.close();
    await snapshots.close();
    if (this.#owned) await store.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Begins the work in this turn, so that data may be changed afterwards; in the order of the calls. */
  #run<T>(work: (parts: Parts) => Promise<T>): Promise<T> {
    if (this.#parts !== undefined && this.#waiting === 0) return work(this.#parts);
    this.#waiting++;
    const go = (parts: Parts) => {
      this.#waiting--;
      return work(parts);
    };
    return this.#opening.then(go);
  }
}

function toPersisted({ persistenceId, seq, event, tags, timestamp }: StoredEvent): PersistedEvent {
  return {
    data: event,
    sequenceNumber: seq,
    key: persistenceId,
    createdAt: timestamp,
    isDeleted: false,
    tags: [...tags],
  };
}
