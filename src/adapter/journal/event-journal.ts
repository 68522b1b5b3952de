/**
 * The journal over the event store: a stream for each persistence id, whose event with sequence number `n` has revision
 * `n - 1`. Deleting is truncating; the space comes back with `store.purge()`.
 *
 * An append is asked of the event store in the same turn in which it is asked of the journal, so appends that are not awaited
 * one by one keep their order.
 */
import { callback, checkAll, checkSignal, integer, invalid } from '../../options.js';
import { eitherSignal } from '../../streams/pull-stream.js';
import type { EventInput } from '../event-store/event-input.js';
import type { EventStore } from '../event-store/event-store.js';
import type { RecordedEvent } from '../event-store/recorded-event.js';
import {
  type Journal,
  JournalConcurrencyError,
  type JournalEvent,
  type JournalRange,
  type PersistenceIdPage,
  type StoredEvent,
  type TaggedEvent,
  type TagRange,
} from './journal.js';
import { IdStreams, isWrongRevision, number, timestamp, upperBound } from './streams.js';

export interface EventStoreJournalOptions<Event = unknown> {
  /** Streams are `<category>-<persistence id>`: 1 to 100 bytes without a dash. Default 'journal'. */
  category?: string;
  /** Type of an event in the store, by which upcasters and filters go. Default: 'Event' for all. */
  eventType?: (event: Event) => string;
}

/** Beside an event whose caller has said when it happened. */
interface Note {
  readonly timestamp: number;
}

const DEFAULT_TYPE = 'Event';
const anything = () => {};
const offset = integer(0, Number.MAX_SAFE_INTEGER - 1);

const OPTION_CHECKS = { category: anything, eventType: callback };
const EVENT_CHECKS = { event: anything, tags: anything, timestamp };
const RANGE_CHECKS = { from: number, to: upperBound, limit: upperBound };
const TAG_RANGE_CHECKS = { after: offset, limit: upperBound };
const PAGE_CHECKS = { after: anything, limit: integer(1, 10_000) };

/**
 * Closing it ends its followers and leaves the event store open. Methods throw or reject with `ERR_VARVE_CLOSED`,
 * `ERR_VARVE_INVALID_OPTION`, `ERR_VARVE_INVALID_EVENT`, and what the event store says.
 */
export class EventStoreJournal<Event = unknown> implements Required<Journal<Event>> {
  readonly #streams: IdStreams;
  readonly #eventType: (event: Event) => string;

  constructor(store: EventStore, options: EventStoreJournalOptions<Event> = {}) {
    checkAll(options, OPTION_CHECKS, 'options');
    const { category = 'journal', eventType = () => DEFAULT_TYPE } = options;
    this.#streams = new IdStreams(store, category, 'The journal');
    this.#eventType = eventType;
  }

  async append(
    persistenceId: string,
    events: readonly JournalEvent<Event>[],
    expectedSeq: number,
  ): Promise<readonly StoredEvent<Event>[]> {
    this.#streams.refuseClosed();
    const stream = this.#streams.streamOf(persistenceId);
    number(expectedSeq, 'expectedSeq');
    if (!Array.isArray(events)) throw invalid('events', typeof events, 'an array of { event, tags, timestamp }');
    const inputs = events.map((given, i) => this.#input(given, i));
    if (inputs.length === 0) return [];
    // As they are now: the caller may go on changing what it has given.
    const given = (events as readonly JournalEvent<Event>[]).map(({ event, tags = [], timestamp: time }, i) => {
      return { persistenceId, seq: expectedSeq + 1 + i, event, tags: [...tags], time };
    });
    try {
      const expectedRevision = expectedSeq === 0 ? 'newStream' : BigInt(expectedSeq) - 1n;
      const { created } = await this.#streams.store.appendToStream(stream, inputs, { expectedRevision });
      return given.map(({ time = (created as Date).getTime(), ...stored }) => ({ ...stored, timestamp: time }));
    } catch (error) {
      if (!isWrongRevision(error)) throw error;
      const actualSeq = typeof error.actual === 'bigint' ? Number(error.actual) + 1 : 0;
      throw new JournalConcurrencyError(persistenceId, expectedSeq, actualSeq);
    }
  }

  #input(given: JournalEvent<Event>, i: number): EventInput {
    const where = `events[${i}]`;
    checkAll(given, EVENT_CHECKS, where);
    if (!Object.hasOwn(given, 'event')) throw invalid(where, Object.keys(given), 'an object with an event');
    const { event, tags, timestamp: time } = given;
    const note: Note | undefined = time === undefined ? undefined : { timestamp: time };
    return {
      type: this.#eventType(event),
      data: event,
      ...(tags === undefined ? {} : { tags }),
      ...(note === undefined ? {} : { metadata: note }),
    };
  }

  read(persistenceId: string, range: JournalRange = {}): AsyncGenerator<StoredEvent<Event>, void, undefined> {
    this.#streams.refuseClosed();
    checkAll(range, RANGE_CHECKS, 'range');
    return this.#read(this.#streams.streamOf(persistenceId), range);
  }

  async *#read(stream: string, { from = 1, to, limit }: JournalRange): AsyncGenerator<StoredEvent<Event>> {
    if (to !== undefined && to < Math.max(from, 1)) return;
    const events = this.#streams.store.readStream(stream, {
      fromRevision: BigInt(Math.max(from, 1) - 1),
      ...(to === undefined || to === Number.POSITIVE_INFINITY ? {} : { toRevision: BigInt(to - 1) }),
      ...(limit === undefined || limit === Number.POSITIVE_INFINITY ? {} : { maxCount: limit }),
    });
    for await (const event of events) {
      this.#streams.refuseClosed();
      yield this.#stored(event);
    }
  }

  /** What is told is durable. */
  async highestSeq(persistenceId: string): Promise<number> {
    this.#streams.refuseClosed();
    return Number(await this.#streams.store.lastRevision(this.#streams.streamOf(persistenceId))) + 1;
  }

  async deleteTo(persistenceId: string, toSeq: number): Promise<void> {
    this.#streams.refuseClosed();
    const stream = this.#streams.streamOf(persistenceId);
    upperBound(toSeq, 'toSeq');
    try {
      await this.#streams.store.truncateStream(stream, BigInt(Math.min(toSeq, Number.MAX_SAFE_INTEGER)));
    } catch (error) {
      // Nothing is there to be deleted.
      if ((error as { code?: unknown }).code !== 'ERR_VARVE_STREAM_NOT_FOUND') throw error;
    }
  }

  /** Rejects with `ERR_VARVE_INVALID_OPTION` where there are events already, and sequence numbers would be left out. */
  async raiseHighestSeq(persistenceId: string, seq: number): Promise<void> {
    this.#streams.refuseClosed();
    const stream = this.#streams.streamOf(persistenceId);
    number(seq, 'seq');
    try {
      await this.#streams.store.beginStreamAt(stream, BigInt(seq));
    } catch (error) {
      if (!isWrongRevision(error)) throw error;
      const highest = Number(error.actual as bigint) + 1;
      throw invalid('seq', seq, `${highest} at most, since '${persistenceId}' has had events up to there`);
    }
  }

  /** In the order of their first events. `limit`: 1 … 10,000, default 1,000. The last page may be empty. */
  async persistenceIds(page: { readonly after?: string; readonly limit?: number } = {}): Promise<PersistenceIdPage> {
    this.#streams.refuseClosed();
    checkAll(page, PAGE_CHECKS, 'page');
    const { prefix, store } = this.#streams;
    const { streams, next } = await store.listStreams({ ...page, prefix });
    return { ids: streams.map(({ stream }) => this.#streams.idOf(stream)), next };
  }

  eventsByTag(tag: string, range: TagRange = {}): AsyncGenerator<TaggedEvent<Event>, void, undefined> {
    this.#streams.refuseClosed();
    checkTag(tag);
    checkAll(range, TAG_RANGE_CHECKS, 'range');
    return this.#eventsByTag(tag, range);
  }

  async *#eventsByTag(tag: string, { after = 0, limit }: TagRange): AsyncGenerator<TaggedEvent<Event>> {
    let left = limit ?? Number.POSITIVE_INFINITY;
    if (left === 0) return;
    const from = BigInt(after) + 1n;
    for await (const batch of this.#streams.store.readAll({ from, filter: this.#tagged(tag) }).batches()) {
      this.#streams.refuseClosed();
      for (const event of await this.#notDeleted(batch)) {
        yield { ...this.#stored(event), offset: Number(event.position) };
        if (--left === 0) return;
      }
    }
  }

  follow(
    persistenceId: string,
    options: { readonly from?: number; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<StoredEvent<Event>, void, undefined> {
    this.#streams.refuseClosed();
    checkAll(options, { from: number, signal: checkSignal }, 'options');
    return this.#follow(this.#streams.streamOf(persistenceId), options.from ?? 1, options.signal);
  }

  async *#follow(stream: string, from: number, ending: AbortSignal | undefined): AsyncGenerator<StoredEvent<Event>> {
    const { closed, store } = this.#streams;
    try {
      const begin = { from: BigInt(Math.max(from, 1) - 1), signal: eitherSignal(ending, closed) as AbortSignal };
      for await (const event of store.subscribeToStream(stream, begin)) yield this.#stored(event);
    } catch (error) {
      if (!closed.aborted || ending?.aborted) throw error;
    }
  }

  followTag(
    tag: string,
    options: { readonly after?: number; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<TaggedEvent<Event>, void, undefined> {
    this.#streams.refuseClosed();
    checkTag(tag);
    checkAll(options, { after: offset, signal: checkSignal }, 'options');
    return this.#followTag(tag, options.after ?? 0, options.signal);
  }

  async *#followTag(tag: string, after: number, ending: AbortSignal | undefined): AsyncGenerator<TaggedEvent<Event>> {
    const { closed, store } = this.#streams;
    try {
      const begin = { from: BigInt(after) + 1n, signal: eitherSignal(ending, closed) as AbortSignal };
      for await (const batch of store.subscribeToAll({ ...begin, filter: this.#tagged(tag) }).batches()) {
        for (const event of await this.#notDeleted(batch)) {
          yield { ...this.#stored(event), offset: Number(event.position) };
        }
      }
    } catch (error) {
      if (!closed.aborted || ending?.aborted) throw error;
    }
  }

  async close(): Promise<void> {
    this.#streams.close();
  }

  #tagged(tag: string) {
    return { categories: [this.#streams.category], tags: [tag] };
  }

  /** The order of all events shows those that were deleted until they are purged; whoever asks for a tag must not see them. */
  async #notDeleted(events: readonly RecordedEvent[]): Promise<RecordedEvent[]> {
    const oldest = new Map<string, number>();
    for (const { stream } of events) {
      if (oldest.has(stream)) continue;
      const { truncateBefore = 0, tombstoned } = await this.#streams.store.getStreamMetadata(stream);
      oldest.set(stream, tombstoned ? Number.POSITIVE_INFINITY : truncateBefore);
    }
    return events.filter(({ stream, revision }) => revision >= (oldest.get(stream) as number));
  }

  #stored({ stream, revision, data, tags, metadata, created }: RecordedEvent): StoredEvent<Event> {
    return {
      persistenceId: this.#streams.idOf(stream),
      seq: Number(revision) + 1,
      event: data as Event,
      tags,
      timestamp: (metadata as Note | undefined)?.timestamp ?? created.getTime(),
    };
  }
}

function checkTag(tag: unknown): void {
  if (typeof tag !== 'string') throw invalid('tag', tag, 'a text');
}
