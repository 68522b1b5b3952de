/** What users import as varve/journal. */

export { type DurableState, DurableStateConcurrencyError, type DurableStateStore } from './durable-state-store.js';
export { EventStoreJournal, type EventStoreJournalOptions } from './event-journal.js';
export { EventStoreSnapshots, type EventStoreSnapshotsOptions } from './event-snapshots.js';
export { EventStoreStates, type EventStoreStatesOptions } from './event-states.js';
export {
  type Journal,
  JournalConcurrencyError,
  type JournalEvent,
  type JournalRange,
  type PersistenceIdPage,
  type StoredEvent,
  type TaggedEvent,
  type TagRange,
} from './journal.js';
export { openPersistence, type Persistence } from './persistence.js';
export type { SaveOptions, Snapshot, SnapshotCriteria, SnapshotStore } from './snapshot-store.js';
