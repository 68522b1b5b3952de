/** Snapshots of node-eventstore: those of an aggregate are a stream, in the order in which they were saved. */
import type { EventStore } from '../event-store/event-store.js';
import type { RecordedEvent } from '../event-store/recorded-event.js';
import { type Names, type Place, placeOf, type Query } from './names.js';
import { fieldsOf, newestOf, type StoredEvents } from './stored-events.js';

/** A snapshot as node-eventstore's own stores give it. */
export interface StoredSnapshot {
  readonly id: string;
  readonly aggregateId: string;
  readonly revision: number;
  readonly data: unknown;
  readonly [field: string]: unknown;
}

export class StoredSnapshots {
  readonly #store: EventStore;
  readonly #names: Names;
  readonly #events: StoredEvents;

  constructor(store: EventStore, names: Names, events: StoredEvents) {
    this.#store = store;
    this.#names = names;
    this.#events = events;
  }

  async add(snapshot: object): Promise<void> {
    const place = placeOf(snapshot);
    const { data, ...metadata } = fieldsOf(snapshot);
    // At once: the caller may go on changing what the snapshot holds.
    const { createdNewStream } = await this.#store.appendToStream(this.#names.snapshots(place), {
      type: 'Snapshot',
      data,
      metadata,
    });
    if (createdNewStream) await this.#events.addPlace(place);
  }

  /** The last one that was saved with a revision of at most `revMax`; null where there is none. */
  async find(query: Query & { readonly aggregateId: string }, revMax: number): Promise<StoredSnapshot | null> {
    const places = await this.#events.places(query);
    const found = await Promise.all(places.map((place) => this.#findIn(place, revMax)));
    const newest = newestOf(found);
    return newest === undefined ? null : toSnapshot(newest);
  }

  async #findIn(place: Place, revMax: number): Promise<RecordedEvent | undefined> {
    for await (const event of this.#store.readStream(this.#names.snapshots(place), { direction: 'backwards' })) {
      if (revMax === -1 || toSnapshot(event).revision <= revMax) return event;
    }
    return undefined;
  }

  /** Gives up all but the last `keep` that were saved. Resolves with the number of those that went. */
  async clean(place: Place, keep: number): Promise<number> {
    const stream = this.#names.snapshots(place);
    let count = 0;
    let oldestKept: bigint | undefined;
    for await (const { revision } of this.#store.readStream(stream, { direction: 'backwards' })) {
      if (++count <= keep) oldestKept = revision;
    }
    if (oldestKept === undefined || count <= keep) return 0;
    await this.#store.truncateStream(stream, oldestKept);
    return count - keep;
  }
}

function toSnapshot({ data, metadata }: RecordedEvent): StoredSnapshot {
  return { ...(metadata as Omit<StoredSnapshot, 'data'>), data } as StoredSnapshot;
}
