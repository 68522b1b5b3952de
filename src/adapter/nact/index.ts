/** What users import as varve/nact. */

export { JournalConcurrencyError } from '../journal/journal.js';
export { VarvePersistenceEngine, type VarvePersistenceEngineOptions } from './engine.js';
