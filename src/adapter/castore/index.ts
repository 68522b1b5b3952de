/** What users import as varve/castore. */

export { VarveEventAlreadyExistsError } from './already-exists-error.js';
export { VarveEventStorageAdapter, type VarveEventStorageAdapterOptions } from './event-storage-adapter.js';
