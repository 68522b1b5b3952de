/** What users import as varve/xstate-store. */

export { type VarveEvents, type VarveEventsOptions, varveEvents } from './events.js';
export { type VarveStateStorage, type VarveStorageOptions, varveStorage } from './storage.js';
