/** What the module for NestJS is told: which events there are, where they are stored, and how they come back. */
import type { CqrsModuleOptions } from '@nestjs/cqrs';
import { callback, checkAll, invalid } from '../../options.js';
import type { ConsumeOptions } from '../event-store/consumer-options.js';
import type { EventStore } from '../event-store/event-store.js';
import type { EventStoreOptions } from '../event-store/event-store-options.js';
import type { ExpectedRevision } from '../event-store/expected-revision.js';
import type { RecordedEvent } from '../event-store/recorded-event.js';

/** A class whose instances are published. */
// biome-ignore lint/suspicious/noExplicitAny: what its constructor takes does not matter, it is not called
export type EventClass = abstract new (...args: any[]) => object;

/** Where an event is appended; of several events of one `publishAll` the first one's expectation counts for its stream. */
export type StreamChoice = string | { readonly stream: string; readonly expectedRevision?: ExpectedRevision };

export interface VarveCqrsOptions {
  /** An open store, which stays open; or the options of `openEventStore`: then it is opened, and closed at shutdown. */
  store: EventStore | EventStoreOptions;
  /** The classes of events, stored under their names; or an object of them by the names to store. */
  events: readonly EventClass[] | Readonly<Record<string, EventClass>>;
  /**
   * The stream of an event. The context is what published it: the aggregate, after `publisher.mergeObjectContext`.
   * Default: all of them go to the stream 'nest'.
   */
  stream?: (event: object, context: unknown) => StreamChoice;
  /** Name of the durable consumer whose checkpoint says what was handed to the bus. Default 'nest'. */
  consumer?: string;
  /** Where that begins when it has no checkpoint yet. Default 'start'. */
  from?: ConsumeOptions['from'];
  /** How often the checkpoint is stored. Default: after 256 events or a second. */
  checkpointEvery?: ConsumeOptions['checkpointEvery'];
  /** Makes an event of what was stored. Default: an instance of its class with the stored fields; no constructor runs. */
  revive?: (recorded: RecordedEvent, type: EventClass) => object;
  /** Options of CqrsModule itself. */
  cqrs?: Omit<CqrsModuleOptions, 'eventPublisher'>;
}

const anything = () => {}; // checked by the store, or below
const CHECKS = {
  store: anything,
  events: anything,
  stream: callback,
  consumer: anything,
  from: anything,
  checkpointEvery: anything,
  revive: callback,
  cqrs: (value: unknown) => {
    if (typeof value === 'object' && value !== null && 'eventPublisher' in value) {
      throw invalid('cqrs.eventPublisher', 'given', 'absent: events are published to the store');
    }
  },
};

/** Throws `ERR_VARVE_INVALID_OPTION`. */
export function checkOptions(options: VarveCqrsOptions): void {
  checkAll(options, CHECKS, 'options');
  if (typeof options.store !== 'object' || options.store === null) {
    throw invalid('store', options.store, 'an event store, or the options of openEventStore');
  }
  eventTypes(options.events);
}

/** The classes by the names under which they are stored. Throws `ERR_VARVE_INVALID_OPTION`. */
export function eventTypes(events: VarveCqrsOptions['events']): ReadonlyMap<string, EventClass> {
  const list = Array.isArray(events)
    ? (events as readonly EventClass[]).map((type) => [type?.name, type] as const)
    : Object.entries(events ?? {});
  if (list.length === 0) throw invalid('events', events, 'at least one class');
  const types = new Map<string, EventClass>();
  const names = new Map<EventClass, string>();
  for (const [name, type] of list) {
    if (typeof type !== 'function' || name === '') throw invalid('events', String(type), 'classes with names');
    if (types.has(name) || names.has(type)) {
      throw invalid('events', name, 'naming each class once, and no two alike: { name: Class } gives them names');
    }
    types.set(name, type);
    names.set(type, name);
  }
  return types;
}
