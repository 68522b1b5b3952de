/** What users import as varve/langgraph. */

export type { ThreadConfig } from './config.js';
export type { PruneOptions, PruneReport, VarveSaverOptions } from './options.js';
export { VarveSaver } from './saver.js';
