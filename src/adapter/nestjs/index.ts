/** What users import as varve/nestjs. */

export { type VarveCqrsAsyncOptions, VarveCqrsModule } from './module.js';
export type { EventClass, StreamChoice, VarveCqrsOptions } from './options.js';
export { recordedEvent, VarveEvents } from './varve-events.js';
