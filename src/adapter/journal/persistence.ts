/** A directory with everything that actors keep: their journal, their snapshots, their durable states. */
import type { EventStore } from '../event-store/event-store.js';
import type { EventStoreOptions } from '../event-store/event-store-options.js';
import { openEventStore } from '../event-store/open-event-store.js';
import { EventStoreJournal } from './event-journal.js';
import { EventStoreSnapshots } from './event-snapshots.js';
import { EventStoreStates } from './event-states.js';

export interface Persistence {
  /** What the three stand on: purge it, back it up, subscribe to it. */
  readonly store: EventStore;
  readonly journal: EventStoreJournal;
  readonly snapshots: EventStoreSnapshots;
  readonly states: EventStoreStates;
  /** Closes the event store, and so all of it. Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens the event store in `directory`, and a journal, a snapshot store and a store of durable states over it. Rejects as
 * `openEventStore` does.
 */
export async function openPersistence(options: EventStoreOptions): Promise<Persistence> {
  const store = await openEventStore(options);
  const journal = new EventStoreJournal(store);
  const snapshots = new EventStoreSnapshots(store);
  const states = new EventStoreStates(store);
  const close = async () => {
    await Promise.all([journal.close(), snapshots.close(), states.close()]);
    await store.close();
  };
  return { store, journal, snapshots, states, close, [Symbol.asyncDispose]: close };
}
