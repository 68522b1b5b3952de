/** What users import as varve/actor-ts. */

export type {
  ActorSnapshot,
  ActorTs,
  DurableStateRecord,
  JournalEntry,
  JournalEventBus,
  OptionOf,
  PersistentEvent,
} from './framework.js';
export { type ActorTsStores, type ActorTsStoresOptions, openActorTsStores } from './open.js';
export type { ActorTsDurableStateStore, ActorTsJournal, ActorTsSnapshotStore } from './stores.js';
