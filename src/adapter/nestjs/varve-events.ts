/**
 * Nest's events on the event store: what is published is appended, and what was appended is handed to the bus, by a
 * durable consumer. See docs/adapters/nestjs.md.
 *
 * There is one way to the bus, that through the store. So an event reaches it once, whoever has appended it, and only
 * when it is durable.
 */
import { Logger } from '@nestjs/common';
import type { EventBus, IEventPublisher, IMessageSource, UnhandledExceptionBus } from '@nestjs/cqrs';
import { VarveError } from '../../errors.js';
import type { Consumer } from '../event-store/consumer.js';
import type { EventInput } from '../event-store/event-input.js';
import type { EventStore } from '../event-store/event-store.js';
import type { ExpectedRevision } from '../event-store/expected-revision.js';
import { openEventStore } from '../event-store/open-event-store.js';
import type { RecordedEvent } from '../event-store/recorded-event.js';
import { HandlerTracker } from './handler-tracker.js';
import { checkOptions, type EventClass, eventTypes, type VarveCqrsOptions } from './options.js';

interface Append {
  readonly stream: string;
  readonly expectedRevision: ExpectedRevision;
  readonly events: EventInput[];
}

const records = new WeakMap<object, RecordedEvent>();

/** What is stored of an event that a handler was given: id, stream, revision, position. Undefined for any other object. */
export function recordedEvent(event: object): RecordedEvent | undefined {
  return records.get(event);
}

export class VarveEvents implements IEventPublisher<object>, IMessageSource<object> {
  readonly store: EventStore;
  readonly #options: VarveCqrsOptions;
  readonly #types: ReadonlyMap<string, EventClass>;
  readonly #names: ReadonlyMap<EventClass, string>;
  readonly #unhandled: UnhandledExceptionBus;
  readonly #ownsStore: boolean;
  readonly #logger = new Logger('VarveEvents');
  readonly #tracker = new HandlerTracker();
  /** What is being appended. */
  readonly #appending = new Set<Promise<void>>();
  readonly #byContext = new WeakMap<object, Promise<void>>();
  #consumer: Consumer | undefined;

  private constructor(
    store: EventStore,
    ownsStore: boolean,
    options: VarveCqrsOptions,
    unhandled: UnhandledExceptionBus,
  ) {
    this.store = store;
    this.#ownsStore = ownsStore;
    this.#options = options;
    this.#types = eventTypes(options.events);
    this.#names = new Map([...this.#types].map(([name, type]) => [type, name]));
    this.#unhandled = unhandled;
  }

  /** For the module only. Rejects with `ERR_VARVE_INVALID_OPTION`, and as `openEventStore` does. */
  static async open(options: VarveCqrsOptions, bus: EventBus, unhandled: UnhandledExceptionBus): Promise<VarveEvents> {
    checkOptions(options);
    const { store } = options;
    const given = 'appendToStream' in store;
    const events = new VarveEvents(given ? store : await openEventStore(store), !given, options, unhandled);
    bus.publisher = events;
    events.#tracker.watch(bus as EventBus);
    return events;
  }

  // Publishing

  /** Appends an event; durable when it resolves. */
  publish<Event extends object>(event: Event, context?: unknown): Promise<void> {
    return this.publishAll([event], context);
  }

  /**
   * Appends events, all or none, also to several streams; durable when it resolves. Rejects with
   * `ERR_VARVE_INVALID_EVENT` for what is not among the classes of the module, and as `appendToStreams` does. Nest's
   * aggregates drop the promise, so failures are told to the `UnhandledExceptionBus`, too: see `durable`.
   */
  publishAll<Event extends object>(events: Event[], context?: unknown): Promise<void> {
    if (events.length === 0) return Promise.resolve();
    const appended = this.#append(events, context).catch((exception) => {
      this.#tell(events.length === 1 ? (events[0] as object) : events, exception, 'Events were not published');
      throw exception;
    });
    this.#appending.add(appended);
    const settled = () => this.#appending.delete(appended);
    appended.then(settled, settled);
    if (typeof context === 'object' && context !== null) {
      const all = Promise.all([this.#byContext.get(context), appended]).then(() => {});
      all.catch(() => {}); // told above; whoever asks is told again
      this.#byContext.set(context, all);
    }
    return appended;
  }

  /**
   * Resolves when all that an aggregate has published is durable, and rejects if some of it was refused:
   * `order.commit(); await events.durable(order)`. Without an aggregate: all that is being appended now.
   */
  async durable(aggregate?: object): Promise<void> {
    await (aggregate === undefined ? Promise.all(this.#appending) : this.#byContext.get(aggregate));
  }

  async #append(events: readonly object[], context: unknown): Promise<void> {
    const appends = new Map<string, Append>();
    for (const event of events) {
      const type = this.#names.get(event?.constructor as EventClass);
      if (type === undefined) throw unknownEvent(event);
      const choice = this.#options.stream?.(event, context) ?? 'nest';
      const { stream, expectedRevision = 'any' } = typeof choice === 'string' ? { stream: choice } : choice;
      const append = appends.get(stream) ?? { stream, expectedRevision, events: [] };
      append.events.push({ type, data: Object.fromEntries(Object.entries(event)) });
      appends.set(stream, append);
    }
    await this.store.appendToStreams([...appends.values()]);
  }

  // Delivering

  /**
   * Hands the stored events to the subject of a bus, from the checkpoint on, then those that come; one at a time, when
   * the handlers of the one before have come to an end. The module calls it.
   */
  bridgeEventsTo<Event extends object>(subject: { next(event: Event): void }): void {
    const { consumer: name = 'nest', from, checkpointEvery, revive = reviveEvent } = this.#options;
    const consumer = this.store.consume({
      name,
      filter: { types: [...this.#types.keys()] },
      handler: async (recorded) => {
        const event = revive(recorded, this.#types.get(recorded.type) as EventClass) as Event;
        records.set(event, recorded);
        await this.#tracker.run(event, () => subject.next(event));
      },
      onParked: ({ stream, revision, error }) =>
        this.#tell({ stream, revision }, error, `Revision ${revision} of '${stream}' was parked`),
      ...(from === undefined ? {} : { from }),
      ...(checkpointEvery === undefined ? {} : { checkpointEvery }),
    });
    this.#consumer = consumer;
    consumer.status$.subscribe({
      complete: () => {
        if (consumer.error !== undefined) this.#tell(name, consumer.error, `The consumer '${name}' has failed`);
      },
    });
  }

  /** Resolves when all that is durable now has been handed to the bus, and its handlers have come to an end. */
  async whenCaughtUp(): Promise<void> {
    if (this.#consumer === undefined) throw new VarveError('ERR_VARVE_CLOSED', 'The application has not been started.');
    await this.#consumer.whenCaughtUp();
  }

  // Shutting down: Nest calls these

  /**
   * Delivers nothing more, waits for the handlers of the event under way, and stores the checkpoint. The bus lets its
   * handlers go in the same turn of the event loop, so no event is handed to a bus without any.
   */
  async onModuleDestroy(): Promise<void> {
    await this.#consumer?.stop().catch(() => {}); // told when it failed
  }

  /** Waits for what is being appended, and closes the store if the module has opened it. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.allSettled(this.#appending);
    if (this.#ownsStore) await this.store.close();
  }

  #tell(cause: unknown, exception: unknown, what: string): void {
    this.#logger.error(`${what}: ${exception instanceof Error ? exception.message : String(exception)}`);
    this.#unhandled.publish({ cause: cause as never, exception });
  }
}

function reviveEvent({ data }: RecordedEvent, type: EventClass): object {
  return Object.assign(Object.create(type.prototype), data);
}

function unknownEvent(event: unknown): VarveError {
  const name = (event as object | undefined)?.constructor?.name ?? String(event);
  return new VarveError(
    'ERR_VARVE_INVALID_EVENT',
    `'${name}' was published, and is not among the 'events' of VarveCqrsModule: it could be stored, but never be handed to ` +
      'its handlers again. Add its class there.',
    { eventType: name },
  );
}
