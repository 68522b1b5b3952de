/** A journal and stores of states in memory, which do everything right: for tests of the suites that say so, and as models. */

import { jsonCodec } from '../../src/adapter/event-store/json-codec.js';
import {
  type DurableState,
  DurableStateConcurrencyError,
  type DurableStateStore,
} from '../../src/adapter/journal/durable-state-store.js';
import {
  type Journal,
  JournalConcurrencyError,
  type JournalEvent,
  type JournalRange,
  type PersistenceIdPage,
  type StoredEvent,
  type TaggedEvent,
  type TagRange,
} from '../../src/adapter/journal/journal.js';
import type {
  SaveOptions,
  Snapshot,
  SnapshotCriteria,
  SnapshotStore,
} from '../../src/adapter/journal/snapshot-store.js';

/** What survives a reopen. */
export interface JournalData {
  readonly events: TaggedEvent[];
  readonly highest: Map<string, number>;
}

export class MemoryJournal implements Journal {
  data: JournalData = { events: [], highest: new Map() };
  #closed = false;
  #waiting: (() => void)[] = [];

  reopened(): this {
    const journal = new (this.constructor as new () => this)();
    journal.data = { events: [...this.data.events], highest: new Map(this.data.highest) };
    return journal;
  }

  async append(persistenceId: string, events: readonly JournalEvent[], expectedSeq: number): Promise<StoredEvent[]> {
    if (this.#closed) throw new Error('the journal is closed');
    this.check(persistenceId, expectedSeq);
    return this.put(persistenceId, events, expectedSeq);
  }

  check(persistenceId: string, expectedSeq: number): void {
    const actual = this.data.highest.get(persistenceId) ?? 0;
    if (actual !== expectedSeq) throw new JournalConcurrencyError(persistenceId, expectedSeq, actual);
  }

  put(persistenceId: string, events: readonly JournalEvent[], behind: number): StoredEvent[] {
    for (const { event } of events) if (typeof event === 'function') throw new TypeError('a function cannot be kept');
    if (events.length === 0) return [];
    const first = this.head() + 1;
    const stored = events.map(({ event, tags = [] }, i) => ({
      persistenceId,
      seq: behind + 1 + i,
      event,
      tags,
      timestamp: Date.now(),
      offset: first + i,
    }));
    this.data.events.push(...stored);
    this.data.highest.set(persistenceId, behind + events.length);
    for (const wake of this.#waiting.splice(0)) wake();
    return stored;
  }

  async *read(persistenceId: string, range: JournalRange = {}): AsyncIterable<StoredEvent> {
    const { from = 1, to = Number.POSITIVE_INFINITY, limit = Number.POSITIVE_INFINITY } = range;
    const own = this.data.events.filter((stored) => stored.persistenceId === persistenceId);
    yield* own.filter(({ seq }) => seq >= from && seq <= to).slice(0, limit);
  }

  async highestSeq(persistenceId: string): Promise<number> {
    return this.data.highest.get(persistenceId) ?? 0;
  }

  async deleteTo(persistenceId: string, toSeq: number): Promise<void> {
    const left = this.data.events.filter((stored) => stored.persistenceId !== persistenceId || stored.seq > toSeq);
    this.data.events.splice(0, Number.POSITIVE_INFINITY, ...left);
  }

  async persistenceIds({
    after = '',
    limit = 100,
  }: {
    after?: string;
    limit?: number;
  } = {}): Promise<PersistenceIdPage> {
    const all = [...new Set(this.data.events.map(({ persistenceId }) => persistenceId))].sort();
    const rest = all.filter((id) => id > after);
    const ids = rest.slice(0, limit);
    return { ids, next: rest.length > limit ? ids.at(-1) : undefined };
  }

  async *eventsByTag(tag: string, { after = 0, limit }: TagRange = {}): AsyncIterable<TaggedEvent> {
    yield* this.data.events.filter(({ tags, offset }) => tags.includes(tag) && offset > after).slice(0, limit);
  }

  async *follow(persistenceId: string, { from = 1, signal }: { from?: number; signal?: AbortSignal } = {}) {
    for (let next = from; ; ) {
      const seen = this.head();
      for await (const stored of this.read(persistenceId, { from: next })) {
        yield stored;
        next = stored.seq + 1;
      }
      await this.more(seen, signal);
    }
  }

  async *followTag(tag: string, { after = 0, signal }: { after?: number; signal?: AbortSignal } = {}) {
    for (let last = after; ; ) {
      const seen = this.head();
      for await (const stored of this.eventsByTag(tag, { after: last })) {
        yield stored;
        last = stored.offset;
      }
      await this.more(seen, signal);
    }
  }

  /** Offset of the last event. */
  head(): number {
    return this.data.events.at(-1)?.offset ?? 0;
  }

  /** Resolves when there is an event behind the offset `seen`. */
  more(seen: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.head() > seen) return resolve();
      const abort = () => reject(signal?.reason);
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.push(() => {
        signal?.removeEventListener('abort', abort);
        resolve();
      });
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}

export class MemorySnapshotStore implements SnapshotStore {
  snapshots: Snapshot[] = [];
  pruningFails = false;

  reopened(): this {
    const store = new (this.constructor as new () => this)();
    store.snapshots = [...this.snapshots];
    return store;
  }

  async save(persistenceId: string, seq: number, state: unknown, options: SaveOptions = {}): Promise<void> {
    const { timestamp = Date.now(), keep } = options;
    await this.delete(persistenceId, { minSeq: seq, maxSeq: seq });
    this.snapshots.push({ persistenceId, seq, state, timestamp });
    if (keep === undefined) return;
    try {
      await this.prune(persistenceId, keep);
    } catch {
      // What is too many is found again by the next save.
    }
  }

  async prune(persistenceId: string, keep: number): Promise<void> {
    if (this.pruningFails) throw new Error('the disk is unwell');
    const tooOld = (await this.find(persistenceId))[keep];
    if (tooOld !== undefined) await this.delete(persistenceId, { maxSeq: tooOld.seq });
  }

  async latest(persistenceId: string): Promise<Snapshot | undefined> {
    return (await this.find(persistenceId))[0];
  }

  async before(persistenceId: string, seq: number): Promise<Snapshot | undefined> {
    return (await this.find(persistenceId, { maxSeq: seq - 1 }))[0];
  }

  async find(persistenceId: string, criteria: SnapshotCriteria = {}): Promise<Snapshot[]> {
    const found = this.snapshots.filter((snapshot) => snapshot.persistenceId === persistenceId);
    return found.filter((snapshot) => this.meets(snapshot, criteria)).sort((a, b) => b.seq - a.seq);
  }

  async delete(persistenceId: string, criteria: SnapshotCriteria): Promise<void> {
    this.snapshots = this.snapshots.filter(
      (snapshot) => snapshot.persistenceId !== persistenceId || !this.meets(snapshot, criteria),
    );
  }

  meets({ seq, timestamp }: Snapshot, criteria: SnapshotCriteria): boolean {
    const { minSeq = 0, maxSeq = Number.POSITIVE_INFINITY } = criteria;
    const { minTimestamp = 0, maxTimestamp = Number.POSITIVE_INFINITY } = criteria;
    return seq >= minSeq && seq <= maxSeq && timestamp >= minTimestamp && timestamp <= maxTimestamp;
  }

  async close(): Promise<void> {}
}

export class MemoryStates implements DurableStateStore {
  states = new Map<string, DurableState>();
  #closed = false;

  reopened(): this {
    const store = new (this.constructor as new () => this)();
    store.states = new Map(this.states);
    return store;
  }

  async upsert(persistenceId: string, expectedRevision: number, state: unknown): Promise<DurableState> {
    if (this.#closed) throw new Error('the store is closed');
    if (typeof state === 'function') throw new TypeError('a function cannot be kept');
    this.check(persistenceId, expectedRevision);
    const stored = {
      persistenceId,
      revision: expectedRevision + 1,
      state: jsonCodec.decode(jsonCodec.encode(state)),
      timestamp: Date.now(),
    };
    this.states.set(persistenceId, stored);
    return stored;
  }

  check(persistenceId: string, expectedRevision: number): void {
    const actual = this.states.get(persistenceId)?.revision ?? 0;
    if (actual !== expectedRevision) throw new DurableStateConcurrencyError(persistenceId, expectedRevision, actual);
  }

  async load(persistenceId: string): Promise<DurableState | undefined> {
    return this.states.get(persistenceId);
  }

  async delete(persistenceId: string): Promise<void> {
    this.states.delete(persistenceId);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}
