/** Opens a directory as everything that actor-ts persists to. */
import { checkAll, integer, invalid } from '../../options.js';
import { EventStore } from '../event-store/event-store.js';
import type { EventStoreOptions } from '../event-store/event-store-options.js';
import { openEventStore } from '../event-store/open-event-store.js';
import { EventStoreJournal } from '../journal/event-journal.js';
import { EventStoreSnapshots } from '../journal/event-snapshots.js';
import { EventStoreStates } from '../journal/event-states.js';
import { type ActorTs, checkActorTs } from './framework.js';
import { ActorTsDurableStateStore, ActorTsJournal, ActorTsSnapshotStore } from './stores.js';

export interface ActorTsStoresOptions {
  /** Snapshots of each persistence id that are kept behind a save: 1 or more. Default: all. */
  keepSnapshots?: number;
}

export interface ActorTsStores {
  readonly store: EventStore;
  readonly journal: ActorTsJournal;
  readonly snapshotStore: ActorTsSnapshotStore;
  readonly durableStateStore: ActorTsDurableStateStore;
  /** Closes the three, and the event store if it was opened here. Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * ```ts
 * import * as actorTs from 'actor-ts';
 * const stores = await openActorTsStores(actorTs, { directory: './data' });
 * system.extension(PersistenceExtensionId).configure(stores);
 * ```
 *
 * Over an event store, which stays its owner's, or over one that is opened here. Rejects with `ERR_VARVE_INVALID_OPTION`
 * where `actorTs` is not that module, and as `openEventStore` does.
 */
export async function openActorTsStores(
  actorTs: ActorTs,
  place: EventStore | EventStoreOptions,
  options: ActorTsStoresOptions = {},
): Promise<ActorTsStores> {
  const framework = checkActorTs(actorTs);
  checkAll(options, { keepSnapshots: integer(1, Number.MAX_SAFE_INTEGER) }, 'options');
  if (typeof place !== 'object' || place === null) throw invalid('place', place, 'an event store, or its options');
  const { keepSnapshots: keep } = options;
  const store = place instanceof EventStore ? place : await openEventStore(place);
  const journal = new ActorTsJournal(framework, new EventStoreJournal(store));
  const snapshotStore = new ActorTsSnapshotStore(
    framework,
    new EventStoreSnapshots(store, keep === undefined ? {} : { keep }),
  );
  const durableStateStore = new ActorTsDurableStateStore(framework, new EventStoreStates(store));
  const close = async () => {
    await Promise.all([journal.close(), snapshotStore.close(), durableStateStore.close()]);
    if (store !== place) await store.close();
  };
  return { store, journal, snapshotStore, durableStateStore, close, [Symbol.asyncDispose]: close };
}
