/**
 * Castore's storage adapter on the event store. See docs/adapters/castore.md.
 *
 * An aggregate is a stream; which version comes next is checked in the step that appends it. This file checks what it is
 * given; what becomes of it in the streams is told in aggregate-stream.ts.
 */
// As a whole: what another version lacks must not fail before the version is looked at.

import type {
  EventDetail,
  EventStorageAdapter,
  EventStoreContext,
  EventsQueryOptions,
  GroupedEvent,
  ListAggregateIdsOptions,
  ListAggregateIdsOutput,
  OptionalTimestamp,
  PushEventOptions,
} from '@castore/core';
import * as castore from '@castore/core';
import { VarveError } from '../../errors.js';
import { boolean, type Check, checkAll, integer, invalid } from '../../options.js';
import type { EventStore } from '../event-store/event-store.js';
import type { ExpectedRevision } from '../event-store/expected-revision.js';
import type { RecordedEvent } from '../event-store/recorded-event.js';
import { checkPeer } from '../installed-peer.js';
import { AggregateDirectory } from './aggregate-directory.js';
import { AggregatePlan, firstVersion, newestEvent, scatteredEvents } from './aggregate-stream.js';
import { VarveEventAlreadyExistsError } from './already-exists-error.js';
import { checkEvent, noteOf, streamFor, toDetail } from './castore-event.js';

export interface VarveEventStorageAdapterOptions {
  /** What `openEventStore` gives. It may be shared, and remains its opener's to close. */
  readonly store: EventStore;
}

/** One event, and where it belongs. */
interface Push {
  readonly eventStoreId: string;
  readonly event: EventDetail;
}

const anyVersion = integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
const QUERY_CHECKS = {
  minVersion: anyVersion,
  maxVersion: anyVersion,
  limit: integer(0, Number.MAX_SAFE_INTEGER),
  reverse: boolean,
};
const text: Check = (value, option) => {
  if (typeof value !== 'string') throw invalid(option, value, 'a string');
};

/**
 * Events of Castore's event stores, durable in one Varve event store.
 *
 * ```ts
 * const store = await openEventStore({ directory: './data' });
 * pokemonsEventStore.eventStorageAdapter = new VarveEventStorageAdapter({ store });
 * ```
 *
 * Throws `ERR_VARVE_UNSUPPORTED` where another version of @castore/core is installed, and `ERR_VARVE_INVALID_OPTION`.
 * Methods reject with `ERR_VARVE_INVALID_OPTION` for what they do not take, and as the event store does.
 */
export class VarveEventStorageAdapter implements EventStorageAdapter {
  readonly #store: EventStore;
  readonly #directories = new Map<string, AggregateDirectory>();

  constructor(options: VarveEventStorageAdapterOptions) {
    checkPeer('@castore/core', ['2.4']);
    checkAll(options, { store: () => {} }, 'options');
    if (typeof options.store?.appendToStreams !== 'function') {
      throw invalid('store', options.store, 'what openEventStore gives');
    }
    this.#store = options.store;
  }

  /** An aggregate's events by version, ascending; versions from `minVersion` to `maxVersion`, inclusive. */
  async getEvents(
    aggregateId: string,
    { eventStoreId }: EventStoreContext,
    options: EventsQueryOptions = {},
  ): Promise<{ events: EventDetail[] }> {
    checkAll(options, QUERY_CHECKS, 'options');
    const stream = streamFor(eventStoreId, aggregateId);
    const newest = await newestEvent(this.#store, stream);
    if (newest === undefined) return { events: [] };
    const events = await this.#eventsUpTo(newest, options);
    return { events: events.map((event) => toDetail(aggregateId, event)) };
  }

  /**
   * Resolves when the event is durable. Rejects with a `VarveEventAlreadyExistsError` if the aggregate has that version,
   * unless it is to be superseded (`force`).
   */
  async pushEvent(
    eventDetail: OptionalTimestamp<EventDetail>,
    options: PushEventOptions,
  ): Promise<{ event: EventDetail }> {
    checkAll(options, { eventStoreId: text, force: boolean }, 'options');
    const event = checkEvent(eventDetail, 'eventDetail', new Date().toISOString());
    await this.#push([{ eventStoreId: options.eventStoreId, event }], options.force);
    return { event };
  }

  /**
   * All of the events or none, whatever aggregates and event stores they belong to. Those without a timestamp get the same.
   * Rejects as `pushEvent` does, and for events that are in another store.
   */
  async pushEventGroup(
    options: { force?: boolean },
    ...groupedEvents: [GroupedEvent, ...GroupedEvent[]]
  ): Promise<{ eventGroup: { event: EventDetail }[] }> {
    checkAll(options, { force: boolean }, 'options');
    const now = new Date().toISOString();
    const pushes = groupedEvents.map(({ event, context, eventStorageAdapter }, i): Push => {
      const where = `groupedEvents[${i}]`;
      if (!(eventStorageAdapter instanceof VarveEventStorageAdapter) || eventStorageAdapter.#store !== this.#store) {
        throw new VarveError(
          'ERR_VARVE_INVALID_OPTION',
          `${where} is of an event store whose storage adapter is not on this Varve store: they cannot be pushed as one.`,
          { option: `${where}.eventStorageAdapter` },
        );
      }
      if (context === undefined)
        throw invalid(`${where}.context`, context, 'given: group events by eventStore.groupEvent');
      return { eventStoreId: context.eventStoreId, event: checkEvent(event, `${where}.event`, now) };
    });
    await this.#push(pushes, options.force);
    return { eventGroup: pushes.map(({ event }) => ({ event })) };
  }

  groupEvent(eventDetail: OptionalTimestamp<EventDetail>): GroupedEvent {
    return new castore.GroupedEvent({ event: eventDetail, eventStorageAdapter: this });
  }

  /** In the order of the timestamps of the first events. Tokens go on where a page ended, with the options it had. */
  async listAggregateIds(
    { eventStoreId }: EventStoreContext,
    options?: ListAggregateIdsOptions,
  ): Promise<ListAggregateIdsOutput> {
    let directory = this.#directories.get(eventStoreId);
    if (directory === undefined) {
      directory = new AggregateDirectory(this.#store, eventStoreId, async (aggregateId) => {
        const { events } = await this.getEvents(aggregateId, { eventStoreId }, { limit: 1 });
        return events[0]?.timestamp;
      });
      this.#directories.set(eventStoreId, directory);
    }
    return directory.list(options);
  }

  async #push(pushes: readonly Push[], force = false): Promise<void> {
    if (pushes.length === 0) return;
    const refused = new Map<string, ExpectedRevision>();
    for (;;) {
      const plans = await this.#plan(pushes, force, refused);
      try {
        await this.#store.appendToStreams(
          plans.map(({ stream, events, expectedRevision }) => ({ stream, events, expectedRevision })),
        );
        return;
      } catch (error) {
        // Somebody was faster. That is durable by now, and what is left of it decides.
        if (!(error instanceof VarveError) || error.code !== 'ERR_VARVE_WRONG_REVISION') throw error;
        refused.set(error.stream as string, error.actual as ExpectedRevision);
      }
    }
  }

  /** What is to be appended to each stream. Throws if a version is there already. */
  async #plan(
    pushes: readonly Push[],
    force: boolean,
    refused: ReadonlyMap<string, ExpectedRevision>,
  ): Promise<AggregatePlan[]> {
    const plans = new Map<string, AggregatePlan>();
    for (const { eventStoreId, event } of pushes) {
      const { aggregateId, version } = event;
      const stream = streamFor(eventStoreId, aggregateId);
      const plan = plans.get(stream) ?? (await AggregatePlan.from(this.#store, stream, refused.get(stream)));
      plans.set(stream, plan);
      if (!force && plan.has(version)) throw new VarveEventAlreadyExistsError(eventStoreId, aggregateId, version);
      plan.add(event);
    }
    return [...plans.values()];
  }

  async #eventsUpTo(
    newest: RecordedEvent,
    { minVersion = 1, maxVersion = Number.MAX_SAFE_INTEGER, limit, reverse = false }: EventsQueryOptions,
  ): Promise<RecordedEvent[]> {
    if (noteOf(newest).scattered === true) {
      const events = [...(await scatteredEvents(this.#store, newest))]
        .filter(([version]) => version >= minVersion && version <= maxVersion)
        .map(([, event]) => event);
      return (reverse ? events.reverse() : events).slice(0, limit);
    }
    const first = firstVersion(newest);
    const low = Math.max(minVersion - first, 0);
    const high = Math.min(maxVersion - first, Number(newest.revision));
    if (low > high) return [];
    const [from, to] = reverse ? [high, low] : [low, high];
    return this.#store
      .readStream(newest.stream, {
        fromRevision: BigInt(from),
        toRevision: BigInt(to),
        direction: reverse ? 'backwards' : 'forwards',
        ...(limit === undefined ? {} : { maxCount: limit }),
      })
      .toArray();
  }
}
