/** What users import as varve/automerge-repo. */

export { VarveStorageAdapter, type VarveStorageAdapterOptions } from './storage-adapter.js';
