/** What users of Emmett import: `varve/emmett`. */

export type { EmmettCheckpointer } from './checkpoints.js';
export type { VarveConsumer, VarveConsumerOptions } from './consumer.js';
export { getVarveEventStore } from './event-store.js';
export type { VarveMessageSource } from './message-source.js';
export type { VarveEmmettOptions, VarveEventStoreOptions } from './options.js';
export type { EmmettApi, PositionOf, TextPosition, VarveReadEventMetadata } from './positions.js';
export type { EmmettProcessorLock } from './processor-locks.js';
export type { VarveHandlerContext } from './projections.js';
export type { VarveEventStore } from './types.js';
