/**
 * The event strategy of `@xstate/store/persist` without writing all events again at each event.
 *
 * What `persist` hands over is the whole list each time. Here only what is new in it is appended, one event of the stream for
 * each event of the store:
 *
 *     inc · inc · dec · checkpoint { context, from: 2 } · inc · …        `from`: the events before it are in the context
 *
 * A list that does not go on where the one before ended (another version has migrated it) is written as a whole.
 */
import { type Check, checkAll } from '../../options.js';
import type { EventInput } from '../event-store/event-input.js';
import { checkStream } from '../event-store/event-input.js';
import type { EventStore } from '../event-store/event-store.js';
import { PREFIX, prefixCheck, storeCheck, type VarveStateStorage } from './storage.js';

/** An event of a store. */
interface StoreEvent {
  readonly type: string;
}

/** What `persist` persists. */
export interface EventList {
  events: StoreEvent[];
  checkpoint?: unknown;
  version: string | number;
}

/** To be spread into the options of `persist`. */
export interface VarveEvents {
  strategy: 'event';
  storage: VarveStateStorage;
  // biome-ignore lint/suspicious/noExplicitAny: a list of the events of any store
  serialize: (value: any) => string;
  // biome-ignore lint/suspicious/noExplicitAny: likewise
  deserialize: (token: string) => any;
}

export interface VarveEventsOptions {
  store: EventStore;
  /** Streams are named `<prefix>-<name>`. Default 'xstate.store'. */
  prefix?: string;
}

interface Metadata {
  readonly kind: 'event' | 'checkpoint' | 'whole' | 'removed';
  /** Of an event: its place among all events that there were. */
  readonly at?: number;
  readonly version?: string | number;
}

const CHECKS: Readonly<Record<keyof VarveEventsOptions, Check>> = { store: storeCheck, prefix: prefixCheck };
/** A new checkpoint is written when it stands for so many events more; and not before they are half of the list. */
const CHECKPOINT_EVERY = 64;

/**
 * `persist({ name, ...varveEvents({ store }), maxEvents: 1000 })`: each event is appended. For one store; make another one
 * for another store. Throws `ERR_VARVE_INVALID_OPTION`; what fails later is told to `onError` of `persist`.
 */
export function varveEvents(options: VarveEventsOptions): VarveEvents {
  checkAll(options, CHECKS, 'options');
  storeCheck(options.store, 'store');
  const { store, prefix = PREFIX } = options;
  return new AppendOnly(store, prefix).asOptions();
}

class AppendOnly {
  readonly #store: EventStore;
  readonly #prefix: string;
  /** Lists that are on their way between `persist`'s serializer and its storage, which speak in strings. */
  readonly #passing = new Map<string, EventList>();
  #tokens = 0;
  /** The list as it was written last; undefined where that is not known. */
  #written: readonly StoreEvent[] | undefined;
  #checkpoint: unknown;
  #version: string | number | undefined;
  /** Place of the next event. */
  #next = 0;
  /** Place of the first event behind the checkpoint that is written. */
  #from = 0;

  constructor(store: EventStore, prefix: string) {
    this.#store = store;
    this.#prefix = prefix;
  }

  asOptions(): VarveEvents {
    return {
      strategy: 'event',
      storage: {
        getItem: (name) => this.#read(this.#streamOf(name)),
        setItem: (name, token) => this.#write(this.#streamOf(name), this.#take(token)),
        removeItem: (name) => this.#remove(this.#streamOf(name)),
      },
      serialize: (list: EventList) => this.#pass(list),
      deserialize: (token) => this.#take(token),
    };
  }

  #streamOf(name: string): string {
    return checkStream(`${this.#prefix}-${name}`);
  }

  #pass(list: EventList): string {
    const token = String(this.#tokens++);
    this.#passing.set(token, list);
    return token;
  }

  #take(token: string): EventList {
    const list = this.#passing.get(token) as EventList;
    this.#passing.delete(token);
    return list;
  }

  async #read(stream: string): Promise<string | null> {
    let list: EventList | undefined;
    let places: number[] = [];
    for await (const { data, metadata } of this.#store.readStream(stream)) {
      const { kind, at = 0, version = 0 } = metadata as Metadata;
      if (kind === 'removed') list = undefined;
      else if (kind === 'whole') {
        const { first, ...whole } = data as EventList & { first: number };
        list = { ...whole, version };
        places = list.events.map((_, i) => first + i);
      } else if (kind === 'event') {
        list ??= { events: [], version };
        list.events.push(data as StoreEvent);
        list.version = version;
        places.push(at);
      } else if (list !== undefined) {
        const { checkpoint, from } = data as { checkpoint: unknown; from: number };
        list.checkpoint = checkpoint;
        const gone = places.filter((place) => place < from).length;
        list.events.splice(0, gone);
        places.splice(0, gone);
      }
    }
    this.#written = list?.events ?? [];
    this.#checkpoint = list?.checkpoint;
    this.#version = list?.version;
    this.#next = (places.at(-1) ?? this.#next - 1) + 1;
    this.#from = places[0] ?? this.#next;
    return list === undefined ? null : this.#pass({ ...list, events: list.events });
  }

  async #write(stream: string, list: EventList): Promise<void> {
    const { events, checkpoint, version } = list;
    const before = this.#written;
    const last = before?.at(-1);
    const known = last === undefined ? 0 : events.lastIndexOf(last) + 1;
    const goesOn = before !== undefined && (last === undefined || known > 0) && (this.#version ?? version) === version;
    const first = this.#next - known;
    const entries: EventInput[] = goesOn
      ? this.#more(events.slice(known), version)
      : [{ type: 'whole', data: { events, checkpoint, first }, metadata: { kind: 'whole', version } }];
    if (goesOn) {
      const gone = first - this.#from;
      if (checkpoint !== this.#checkpoint && gone >= CHECKPOINT_EVERY && gone >= events.length / 2) {
        entries.push({
          type: 'checkpoint',
          data: { checkpoint, from: first },
          metadata: { kind: 'checkpoint', version },
        });
        this.#checkpoint = checkpoint;
        this.#from = first;
      }
    } else {
      this.#next = first + events.length;
      this.#from = first;
      this.#checkpoint = checkpoint;
    }
    this.#written = events;
    this.#version = version;
    if (entries.length === 0) return;
    try {
      await this.#store.appendToStream(stream, entries);
    } catch (error) {
      this.#written = undefined; // the next one is written as a whole
      throw error;
    }
  }

  #more(events: readonly StoreEvent[], version: string | number): EventInput[] {
    return events.map((event) => ({
      type: event.type,
      data: event,
      metadata: { kind: 'event', at: this.#next++, version },
    }));
  }

  async #remove(stream: string): Promise<void> {
    this.#written = [];
    this.#checkpoint = undefined;
    this.#from = this.#next;
    await this.#store.appendToStream(stream, { type: 'removed', data: null, metadata: { kind: 'removed' } });
  }
}
