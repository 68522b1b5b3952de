/**
 * The store that node-eventstore is given: callbacks on the outside, the event store within. See
 * docs/adapters/node-eventstore.md.
 */
import type { EventEmitter } from 'node:events';
import { Readable } from 'node:stream';
import eventstore from 'eventstore';
import { VarveError } from '../../errors.js';
import { boolean, type Check, checkAll, integer, invalid } from '../../options.js';
import type { EventStore } from '../event-store/event-store.js';
import type { EventStoreOptions } from '../event-store/event-store-options.js';
import { openEventStore } from '../event-store/open-event-store.js';
import { checkPeer } from '../installed-peer.js';
import { Dispatching } from './dispatching.js';
import { checkQuery, GENERATION_STREAM, Names, placeOf, type Query } from './names.js';
import { type StoredEvent, StoredEvents } from './stored-events.js';
import { type StoredSnapshot, StoredSnapshots } from './stored-snapshots.js';

export interface VarveStoreOptions {
  /** Directory of the store: opened by `connect`, closed by `disconnect`. */
  directory?: string;
  /** More options of `openEventStore`. */
  storeOptions?: Omit<EventStoreOptions, 'directory'>;
  /** An open event store in place of a directory. It remains its opener's to close. */
  store?: EventStore;
  /** Give events a position among all of the store. Default false. */
  trackPosition?: boolean;
  /** Snapshots that are kept of an aggregate: from 1. Default: all. */
  maxSnapshotsCount?: number;
}

/** `function (error, result)`, as everywhere in node-eventstore. */
export type Callback<Result> = (error: unknown, result?: Result) => void;

const anything: Check = () => {};
const OPTION_CHECKS: Readonly<Record<string, Check>> = {
  directory: (value, option) => {
    if (typeof value !== 'string' || value === '') throw invalid(option, value, 'a path');
  },
  storeOptions: (value, option) => {
    if (typeof value !== 'object' || value === null) throw invalid(option, value, 'an object');
  },
  store: (value, option) => {
    if (typeof (value as EventStore | null)?.appendToStreams !== 'function') {
      throw invalid(option, value, 'what openEventStore gives');
    }
  },
  trackPosition: boolean,
  maxSnapshotsCount: integer(1, Number.MAX_SAFE_INTEGER),
  // node-eventstore's own.
  type: anything,
  timeout: anything,
  emitStoreEvents: anything,
};

const skipCheck = integer(0, Number.MAX_SAFE_INTEGER);
const anyRevision = integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);

/** All that is there while the store is connected. */
interface Connected {
  readonly store: EventStore;
  readonly generation: number;
  readonly names: Names;
  readonly events: StoredEvents;
  readonly dispatching: Dispatching;
  readonly snapshots: StoredSnapshots;
}

// Another version may have no such class: then there is nothing to extend.
checkPeer('eventstore', ['1.15']);
const Base = eventstore.Store as unknown as typeof EventEmitter;

/**
 * Give it to node-eventstore as its type:
 *
 * ```js
 * const es = eventstore({ type: VarveStore, directory: './data' });
 * ```
 *
 * Importing this throws `ERR_VARVE_UNSUPPORTED` where another version of eventstore is installed, the constructor
 * `ERR_VARVE_INVALID_OPTION`. Methods hand errors to their callbacks; without a callback, an error is emitted as 'error'.
 */
export class VarveStore extends Base {
  readonly options: VarveStoreOptions;
  #connected: Connected | undefined;
  /** Connecting and disconnecting, one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Positions are given out one call after the other. */
  #positions: Promise<unknown> = Promise.resolve();

  constructor(options: VarveStoreOptions) {
    super();
    checkAll(options, OPTION_CHECKS, 'options');
    if ((options.directory === undefined) === (options.store === undefined)) {
      throw invalid('directory', options.directory, 'a path, unless a store is given');
    }
    if (options.store !== undefined && options.storeOptions !== undefined) {
      throw invalid('storeOptions', options.storeOptions, 'absent: the store is open already');
    }
    this.options = options;
  }

  /** Hands over the store itself. Errors are those of `openEventStore`. */
  connect(callback?: Callback<this>): void {
    this.#answer(
      callback,
      this.#inTurn(async () => {
        if (this.#connected === undefined) {
          const { directory, storeOptions, store: given } = this.options;
          const store = given ?? (await openEventStore({ ...storeOptions, directory: directory as string }));
          try {
            this.#connected = connected(store, await generationOf(store));
          } catch (error) {
            if (given === undefined) await store.close();
            throw error;
          }
        }
        this.emit('connect');
        return this;
      }),
    );
  }

  /** Closes the store, if it was opened here. */
  disconnect(callback?: Callback<null>): void {
    this.#answer(
      callback,
      this.#inTurn(async () => {
        const store = this.#connected?.store;
        this.#connected = undefined;
        if (store !== undefined && this.options.store === undefined) await store.close();
        if (store !== undefined) this.emit('disconnect');
        return null;
      }),
    );
  }

  /** For tests: everything that node-eventstore has stored is gone. Its space is given back as far as that is possible. */
  clear(callback?: Callback<null>): void {
    this.#run(callback, async ({ store, generation, names }) => {
      await store.appendToStream(GENERATION_STREAM, { type: 'Cleared', data: { generation: generation + 1 } });
      this.#connected = connected(store, generation + 1);
      const gone: string[] = [];
      for await (const { stream } of store.streams({ prefix: names.root }))
        if (names.includes(stream)) gone.push(stream);
      for (const stream of gone) await store.deleteStream(stream);
      await store.purge();
      return null;
    });
  }

  /** The next positions, if `trackPosition` is set: durably given out, from 1 on, never twice. */
  getNextPositions(count: number, callback: Callback<number[]>): void {
    this.#run(callback, async ({ store, names }) => {
      if (this.options.trackPosition !== true) return undefined;
      skipCheck(count, 'positions');
      const given = this.#positions.then(() => givePositions(store, names.positions, count));
      this.#positions = given.catch(() => {}); // told to whoever asked for them
      return given;
    });
  }

  /** Durable when it calls back. All or none; with a `ConcurrencyError` where somebody else was faster. */
  addEvents(events: readonly object[] | undefined, callback?: Callback<null>): void {
    this.#run(callback, async (parts) => {
      await parts.events.add(events ?? []);
      return null;
    });
  }

  /** In the order in which they were committed; all of them with a `limit` of −1. */
  getEvents(query: unknown, skip: number, limit: number, callback: Callback<StoredEvent[]>): void {
    this.#run(callback, (parts) => collect(page(parts.events.matching(checkQuery(query)), skip, limit)));
  }

  /** Those with a `commitStamp` of `date` or later. */
  getEventsSince(date: Date, skip: number, limit: number, callback: Callback<StoredEvent[]>): void {
    this.#run(callback, (parts) => collect(page(since(parts.events, date), skip, limit)));
  }

  /** From `revMin` up to, not including, `revMax`; up to the newest with a `revMax` of −1. */
  getEventsByRevision(query: unknown, revMin: number, revMax: number, callback: Callback<StoredEvent[]>): void {
    this.#run(callback, (parts) => byRevision(parts.events, query, revMin, revMax));
  }

  getLastEvent(query: unknown, callback: Callback<StoredEvent>): void {
    this.#run(callback, (parts) => parts.events.last(aggregateQuery(query)));
  }

  getUndispatchedEvents(query: unknown, callback: Callback<StoredEvent[]>): void {
    this.#run(callback, (parts) => parts.dispatching.undispatched(checkQuery(query)));
  }

  setEventToDispatched(id: string, callback?: Callback<null>): void {
    this.#run(callback, async (parts) => {
      if (typeof id !== 'string' || id === '') throw invalid('id', id, 'the id of an event');
      await parts.dispatching.setDispatched(id);
      return null;
    });
  }

  addSnapshot(snapshot: object, callback?: Callback<null>): void {
    this.#run(callback, async (parts) => {
      await parts.snapshots.add(snapshot);
      return null;
    });
  }

  /** The last one saved with a revision of at most `revMax`, or of any with a `revMax` of −1; null where there is none. */
  getSnapshot(query: unknown, revMax: number, callback: Callback<StoredSnapshot | null>): void {
    this.#run(callback, async (parts) => {
      anyRevision(revMax, 'revMax');
      return parts.snapshots.find(aggregateQuery(query), revMax);
    });
  }

  /** Keeps `maxSnapshotsCount` of an aggregate's snapshots; hands over the number of those that went. */
  cleanSnapshots(query: object, callback?: Callback<number>): void {
    this.#run(callback, async (parts) => {
      checkQuery(query);
      return parts.snapshots.clean(placeOf(query), this.options.maxSnapshotsCount ?? Number.POSITIVE_INFINITY);
    });
  }

  /** As `getEvents`, as a stream of objects. */
  streamEvents(query?: unknown, skip?: number, limit?: number): Readable {
    const { events } = this.#parts();
    return Readable.from(page(events.matching(checkQuery(query)), skip, limit));
  }

  /** As `getEventsSince`, as a stream of objects. */
  streamEventsSince(date: Date, skip?: number, limit?: number): Readable {
    return Readable.from(page(since(this.#parts().events, date), skip, limit));
  }

  /** As `getEventsByRevision`, as a stream of objects. */
  streamEventsByRevision(query: unknown, revMin?: number, revMax?: number): Readable {
    const { events } = this.#parts();
    return Readable.from(
      (async function* () {
        yield* await byRevision(events, query, revMin, revMax);
      })(),
    );
  }

  #parts(): Connected {
    if (this.#connected !== undefined) return this.#connected;
    throw new VarveError('ERR_VARVE_CLOSED', 'The store is not connected. Call init, and wait for its callback.');
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {}); // told to whoever asked for it
    return done;
  }

  #run<T>(callback: Callback<T> | undefined, work: (parts: Connected) => Promise<T | undefined>): void {
    this.#answer(callback, (async () => work(this.#parts()))());
  }

  /** What a callback throws is the program's, not an error of the work. */
  #answer<T>(callback: Callback<T> | undefined, work: Promise<T | undefined>): void {
    work.then(
      (result) => {
        if (callback !== undefined) process.nextTick(callback, null, result);
      },
      (error: unknown) => {
        process.nextTick(() => {
          if (callback === undefined) this.emit('error', error);
          else callback(error);
        });
      },
    );
  }
}

function connected(store: EventStore, generation: number): Connected {
  const names = new Names(generation);
  const events = new StoredEvents(store, names);
  const dispatching = new Dispatching(store, names, events);
  return { store, generation, names, events, dispatching, snapshots: new StoredSnapshots(store, names, events) };
}

async function generationOf(store: EventStore): Promise<number> {
  const [last] = await store.readStream(GENERATION_STREAM, { direction: 'backwards', maxCount: 1 }).toArray();
  return last === undefined ? 0 : (last.data as { generation: number }).generation;
}

async function givePositions(store: EventStore, stream: string, count: number): Promise<number[]> {
  if (count === 0) return [];
  for (;;) {
    const [last] = await store.readStream(stream, { direction: 'backwards', maxCount: 1 }).toArray();
    const before = last === undefined ? 0 : (last.data as { upTo: number }).upTo;
    try {
      await store.appendToStream(
        stream,
        { type: 'Given', data: { upTo: before + count } },
        { expectedRevision: last?.revision ?? 'noStream' },
      );
      if (last === undefined) await store.setStreamMetadata(stream, { maxCount: 1 });
      return Array.from({ length: count }, (_, i) => before + i + 1);
    } catch (error) {
      // Another program's part has the same store, and was faster.
      if (!(error instanceof VarveError) || error.code !== 'ERR_VARVE_WRONG_REVISION') throw error;
    }
  }
}

function aggregateQuery(query: unknown): Query & { readonly aggregateId: string } {
  const checked = checkQuery(query);
  return { ...checked, aggregateId: placeOf(checked).aggregateId };
}

async function byRevision(events: StoredEvents, query: unknown, revMin = 0, revMax = -1): Promise<StoredEvent[]> {
  anyRevision(revMin, 'revMin');
  anyRevision(revMax, 'revMax');
  return events.ofAggregate(aggregateQuery(query), revMin, revMax === -1 ? undefined : revMax);
}

async function* since(events: StoredEvents, date: Date): AsyncGenerator<StoredEvent> {
  if (Object.prototype.toString.call(date) !== '[object Date]') throw invalid('date', date, 'a Date');
  for await (const event of events.matching({})) if (event.commitStamp >= date) yield event;
}

async function* page(events: AsyncIterable<StoredEvent>, skip = 0, limit = -1): AsyncGenerator<StoredEvent> {
  skipCheck(skip, 'skip');
  anyRevision(limit, 'limit');
  let left = limit < 0 ? Number.POSITIVE_INFINITY : limit;
  if (left === 0) return;
  let toSkip = skip;
  for await (const event of events) {
    if (toSkip-- > 0) continue;
    yield event;
    if (--left === 0) return;
  }
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
