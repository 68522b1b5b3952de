/**
 * Events of node-eventstore in streams: adding and reading.
 *
 * An event's payload is its data, all else that it has is its metadata. `streamRevision` is the revision in the stream;
 * where a stream was deleted and begins again it starts with 0, and revisions do not.
 */
import { VarveError } from '../../errors.js';
import { invalid } from '../../options.js';
import type { EventInput } from '../event-store/event-input.js';
import type { EventStore } from '../event-store/event-store.js';
import type { StreamAppend } from '../event-store/event-store-options.js';
import type { ExpectedRevision } from '../event-store/expected-revision.js';
import type { RecordedEvent } from '../event-store/recorded-event.js';
import { ConcurrencyError } from './concurrency-error.js';
import { isFitting, type Names, type Place, placeOf, type Query } from './names.js';

/** An event as node-eventstore's own stores give it. */
export interface StoredEvent {
  readonly id: string;
  readonly aggregateId: string;
  readonly streamRevision: number;
  readonly commitStamp: Date;
  readonly payload: unknown;
  readonly [field: string]: unknown;
}

/** An event, and its place in the order of all of them. */
export interface Located {
  readonly event: StoredEvent;
  readonly position: bigint;
}

/** Longer names are none that a program would be written for. */
const MAX_TYPE_LENGTH = 128;

/** In place of the oldest revision of a stream that has none. */
const NOTHING_LEFT = BigInt(Number.MAX_SAFE_INTEGER);

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** Events of a commit that belong to one aggregate. */
interface Group {
  readonly place: Place;
  readonly first: number;
  readonly events: EventInput[];
}

export class StoredEvents {
  readonly #store: EventStore;
  readonly #names: Names;

  constructor(store: EventStore, names: Names) {
    this.#store = store;
    this.#names = names;
  }

  /** All or none, durable when it resolves. Rejects with a `ConcurrencyError`. */
  async add(given: readonly object[]): Promise<void> {
    const groups = this.#groups(given);
    if (groups.size === 0) return;
    const expected = new Map<string, ExpectedRevision>();
    for (;;) {
      try {
        await this.#store.appendToStreams(
          [...groups].flatMap(([stream, group]) => this.#appends(stream, group, expected)),
        );
        return;
      } catch (error) {
        if (!(error instanceof VarveError) || error.code !== 'ERR_VARVE_WRONG_REVISION') throw error;
        const stream = error.stream as string;
        const { place, first } = groups.get(stream) as Group;
        const newest = await this.#newest(stream);
        if (newest === undefined || toEvent(newest).streamRevision !== first - 1) {
          throw new ConcurrencyError(stream, place, first, error);
        }
        expected.set(stream, newest.revision); // it was deleted once, and its revisions went on
      }
    }
  }

  #groups(given: readonly object[]): Map<string, Group> {
    const groups = new Map<string, Group>();
    for (const event of given) {
      const place = placeOf(event);
      const { streamRevision } = event as { streamRevision?: unknown };
      if (!isCount(streamRevision)) throw invalid('streamRevision', streamRevision, 'a whole number from 0');
      const stream = this.#names.events(place);
      const group = groups.get(stream) ?? { place, first: streamRevision, events: [] };
      const next = group.first + group.events.length;
      if (streamRevision !== next) throw invalid('streamRevision', streamRevision, `${next}: it has no gaps`);
      group.events.push(toInput(event));
      groups.set(stream, group);
    }
    return groups;
  }

  #appends(stream: string, { place, first, events }: Group, expected: Map<string, ExpectedRevision>): StreamAppend[] {
    if (first > 0) return [{ stream, events, expectedRevision: expected.get(stream) ?? BigInt(first - 1) }];
    return [{ stream, events, expectedRevision: 'noStream' }, { ...this.#entry(place) }];
  }

  /** What lets a query find a place that knows its aggregate id only. */
  #entry(place: Place): StreamAppend & { readonly events: readonly EventInput[] } {
    const { context, aggregate, aggregateId } = place;
    return { stream: this.#names.places(aggregateId), events: [{ type: 'Placed', data: { context, aggregate } }] };
  }

  async addPlace(place: Place): Promise<void> {
    const { stream, events } = this.#entry(place);
    await this.#store.appendToStream(stream, events);
  }

  /** The places that a query with an aggregate id can mean. */
  async places(query: Query & { readonly aggregateId: string }): Promise<Place[]> {
    const { context, aggregate, aggregateId } = query;
    if (context !== undefined && aggregate !== undefined) return [{ context, aggregate, aggregateId }];
    const places = new Map<string, Place>();
    for await (const { data } of this.#store.readStream(this.#names.places(aggregateId))) {
      const place: Place = { ...(data as Omit<Place, 'aggregateId'>), aggregateId };
      if (isFitting(query, place)) places.set(this.#names.events(place), place);
    }
    return [...places.values()];
  }

  /** Events that fit, in the order in which they were committed. */
  async *matching(query: Query): AsyncGenerator<StoredEvent> {
    const { aggregateId } = query;
    if (aggregateId !== undefined) yield* await this.ofAggregate({ ...query, aggregateId }, 0);
    else for await (const { event } of this.from(0n, query)) yield event;
  }

  /** Events of all aggregates that fit, from a position on. */
  async *from(position: bigint, query: Query): AsyncGenerator<Located> {
    const filter = { streamPrefixes: [this.#names.eventsPrefix(query)] };
    /** By stream: its oldest revision. What retention has given up is told by `readAll` until it is purged. */
    const oldest = new Map<string, bigint>();
    for await (const recorded of this.#store.readAll({ from: position, filter })) {
      const event = toEvent(recorded);
      if (!isFitting(query, placeOf(event))) continue;
      const { stream, revision } = recorded;
      const floor = oldest.get(stream) ?? (await this.#oldest(stream)) ?? NOTHING_LEFT;
      oldest.set(stream, floor);
      if (revision >= floor) yield { event, position: recorded.position };
    }
  }

  /** Events with revisions from `revMin` up to, not including, `revMax`, in the order in which they were committed. */
  async ofAggregate(
    query: Query & { readonly aggregateId: string },
    revMin: number,
    revMax = Number.POSITIVE_INFINITY,
  ): Promise<StoredEvent[]> {
    const places = await this.places(query);
    const found = await Promise.all(places.map((place) => this.#range(this.#names.events(place), revMin, revMax)));
    const events = found.flat();
    if (places.length > 1) events.sort((a, b) => (a.position < b.position ? -1 : 1));
    return events.map(toEvent);
  }

  async last(query: Query & { readonly aggregateId: string }): Promise<StoredEvent | undefined> {
    const places = await this.places(query);
    const found = await Promise.all(places.map((place) => this.#newest(this.#names.events(place))));
    const newest = newestOf(found);
    return newest === undefined ? undefined : toEvent(newest);
  }

  async #range(stream: string, revMin: number, revMax: number): Promise<RecordedEvent[]> {
    const newest = await this.#newest(stream);
    if (newest === undefined) return [];
    const offset = Number(newest.revision) - toEvent(newest).streamRevision;
    const from = Math.max(revMin + offset, 0);
    const to = Math.min(revMax - 1 + offset, Number(newest.revision));
    if (from > to) return [];
    return this.#store.readStream(stream, { fromRevision: BigInt(from), toRevision: BigInt(to) }).toArray();
  }

  async #newest(stream: string): Promise<RecordedEvent | undefined> {
    const [newest] = await this.#store.readStream(stream, { direction: 'backwards', maxCount: 1 }).toArray();
    return newest;
  }

  async #oldest(stream: string): Promise<bigint | undefined> {
    const [oldest] = await this.#store.readStream(stream, { maxCount: 1 }).toArray();
    return oldest?.revision;
  }
}

/** The one that was appended last. */
export function newestOf(events: readonly (RecordedEvent | undefined)[]): RecordedEvent | undefined {
  let newest: RecordedEvent | undefined;
  for (const event of events) {
    if (event !== undefined && (newest === undefined || event.position > newest.position)) newest = event;
  }
  return newest;
}

/** Functions, such as an event's own methods, are left out. */
export function fieldsOf(given: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => typeof value !== 'function'));
}

function toInput(event: object): EventInput {
  const { payload, ...metadata } = fieldsOf(event);
  return { type: typeOf(payload), data: payload, metadata };
}

function toEvent({ data, metadata }: RecordedEvent): StoredEvent {
  return { ...(metadata as Omit<StoredEvent, 'payload'>), payload: data } as StoredEvent;
}

/** Payloads are whatever their users like; by habit they have a name. */
function typeOf(payload: unknown): string {
  const { name } = (typeof payload === 'object' && payload !== null ? payload : {}) as { name?: unknown };
  return typeof name === 'string' && name !== '' && name.length <= MAX_TYPE_LENGTH && !/\p{Surrogate}/u.test(name)
    ? name
    : 'event';
}
