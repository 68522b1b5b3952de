/** What users hold: Emmett's `EventStore`, and what Varve's has beside it. */
import type {
  AggregateStreamOptions,
  AggregateStreamResult,
  AppendToStreamOptions,
  AppendToStreamResultWithGlobalPosition,
  EventStore as EmmettEventStore,
  Event,
  EventStoreSession,
  InMemoryDatabase,
} from '@event-driven-io/emmett';
import type { EventStore } from '../event-store/event-store.js';
import type { EmmettCheckpointer } from './checkpoints.js';
import type { VarveConsumer, VarveConsumerOptions } from './consumer.js';
import type { VarveMessageSource } from './message-source.js';
import type { EmmettApi, PositionOf, VarveReadEventMetadata } from './positions.js';
import type { EmmettProcessorLock } from './processor-locks.js';

export interface VarveEventStore<Api extends EmmettApi = '0.42'>
  extends Omit<EmmettEventStore<VarveReadEventMetadata<Api>>, 'appendToStream' | 'aggregateStream'> {
  /**
   * Appends events, all or none; resolves when they are durable, and inline projections have them.
   *
   * Rejects with Emmett's `ExpectedVersionConflictError`, whose cause is the store's error; else as `appendToStream` of
   * Varve's event store does, and with what a hook, a downcast or a projection throws.
   */
  appendToStream<EventType extends Event, EventPayloadType extends Event = EventType>(
    streamName: string,
    events: EventType[],
    options?: AppendToStreamOptions<bigint, EventType, EventPayloadType>,
  ): Promise<AppendToStreamResultWithGlobalPosition<bigint, PositionOf<Api>>>;
  /**
   * The state that a stream's events make. `currentStreamVersion` is that of the last event in it, which `from`, `to` and
   * `maxCount` may set before the stream's own.
   */
  aggregateStream<State, EventType extends Event, EventPayloadType extends Event = EventType>(
    streamName: string,
    options: AggregateStreamOptions<State, EventType, VarveReadEventMetadata<Api>, EventPayloadType>,
  ): Promise<AggregateStreamResult<State> & { lastEventGlobalPosition?: PositionOf<Api> }>;
  /** Emmett's command handlers work in sessions. Here a session is the event store itself. */
  withSession<T = unknown>(callback: (session: EventStoreSession<VarveEventStore<Api>>) => Promise<T>): Promise<T>;
  /** Where Emmett's in-memory projections keep their documents. */
  readonly database: InMemoryDatabase;
  /** Opens the store and makes inline projections again, which the first use does by itself. Gives Varve's event store. */
  open(): Promise<EventStore>;
  /** Runs processors on what is stored and what comes. */
  consumer(options?: VarveConsumerOptions): VarveConsumer<Api>;
  /** What a consumer of Emmett 0.43 reads from. */
  messageSource(): VarveMessageSource<Api>;
  /** Stores checkpoints of processors in the log, each durably, and only over the one that was given as the last. */
  checkpointer(): EmmettCheckpointer<Api>;
  /** Of those who ask for one processor of this store, one gets it. */
  processorLock(options: { processorId: string; partition?: string }): EmmettProcessorLock;
  /** Ends the consumers, and closes the store if it was opened here. Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
