/** What users import as varve/node-eventstore. */

export { ConcurrencyError } from './concurrency-error.js';
export { VarveStore, type VarveStoreOptions } from './varve-store.js';
