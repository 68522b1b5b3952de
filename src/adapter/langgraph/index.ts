/** What users import as varve/langgraph. */

export type { ThreadConfig } from './config.js';
export { type PruneOptions, type PruneReport, VarveSaver, type VarveSaverOptions } from './saver.js';
