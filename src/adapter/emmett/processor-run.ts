/**
 * One run of one processor: takes its lock, begins where it says, and hands it messages in batches until it or its consumer
 * ends. Its checkpoint is stored behind each batch.
 */
import type { MessageProcessor } from '@event-driven-io/emmett';
import { VarveError } from '../../errors.js';
import type { EventStore } from '../event-store/event-store.js';
import type { RecordedEvent } from '../event-store/recorded-event.js';
import { BatchCheckpointer, nameOf, type ProcessorName } from './checkpoints.js';
import { type StartPosition, toFrom } from './message-source.js';
import { toReadEvent } from './messages.js';
import { EmmettError } from './peer.js';
import type { PositionStyle } from './positions.js';
import { locksOf } from './processor-locks.js';
import type { VarveHandlerContext } from './projections.js';

// biome-ignore lint/suspicious/noExplicitAny: processors of any messages are run alike
export type AnyProcessor = MessageProcessor<any, any, any, any>;

/** A processor that was made by its consumer: its checkpoints are in the store. */
export interface OwnProcessor extends ProcessorName {
  readonly startFrom: unknown;
}

interface RunOptions {
  readonly style: PositionStyle;
  readonly context: VarveHandlerContext;
  readonly batchSize: number;
}

interface Waiter {
  readonly position: bigint;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class ProcessorRun {
  readonly processor: AnyProcessor;
  /** Undefined where the processor has checkpoints of its own. */
  readonly checkpointer: BatchCheckpointer | undefined;
  readonly #store: EventStore;
  readonly #named: OwnProcessor | undefined;
  readonly #lock: string;
  readonly #options: RunOptions;
  /** Everything up to here has been dealt with; undefined before it has begun. */
  #position: bigint | undefined;
  /** The processor was started. */
  #open = false;
  #ended: { readonly error: unknown } | undefined;
  readonly #waiters = new Set<Waiter>();

  constructor(store: EventStore, processor: AnyProcessor, named: OwnProcessor | undefined, options: RunOptions) {
    this.processor = processor;
    this.#store = store;
    this.#named = named;
    this.#options = options;
    this.#lock = nameOf(named ?? { processorId: processor.id });
    if (named !== undefined) this.checkpointer = new BatchCheckpointer(store, this.#lock, options.style);
  }

  tryLock(): boolean {
    return locksOf(this.#store).tryAcquire(this.#lock, this);
  }

  /** Resolves when the processor has ended, or was told to; rejects with what it throws. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await locksOf(this.#store).acquire(this.#lock, this, signal);
      if (!signal.aborted) await this.#read(await this.#begin(), signal);
    } catch (error) {
      await this.#end(error).catch(() => {}); // what came first is told
      throw error;
    }
    await this.#end(endedError(this.processor.id));
  }

  /** Resolves when it has begun to read; rejects when it ends before. */
  whenBegun(): Promise<void> {
    return this.whenProcessed(0n);
  }

  /** Where the processor begins. */
  async #begin(): Promise<bigint> {
    const { checkpointer, processor } = this;
    const { style, context } = this.#options;
    await checkpointer?.claim();
    this.#open = true;
    let start = (await processor.start(context)) as StartPosition;
    // A processor that has run before takes its own last checkpoint; another one may have gone on in its place since.
    if (this.#named?.startFrom === 'CURRENT') {
      const lastCheckpoint = checkpointer?.lastCheckpoint ?? null;
      start = lastCheckpoint === null ? 'BEGINNING' : { lastCheckpoint };
    }
    const from = await toFrom(this.#store, start, style);
    this.#reach(from - 1n);
    return from;
  }

  /** Closes the processor and gives back the lock. Rejects with what its hook throws. */
  async #end(error: unknown): Promise<void> {
    this.#ended = { error };
    for (const { reject } of this.#waiters) reject(error);
    this.#waiters.clear();
    try {
      // One that was never started may run somewhere else.
      if (this.#open) await this.processor.close(this.#options.context);
    } finally {
      this.release();
    }
  }

  release(): void {
    locksOf(this.#store).release(this.#lock, this);
  }

  #reach(position: bigint): void {
    this.#position = position;
    for (const waiter of this.#waiters) {
      if (waiter.position > position) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }

  whenProcessed(position: bigint): Promise<void> {
    if (this.#position !== undefined && position <= this.#position) return Promise.resolve();
    if (this.#ended !== undefined) return Promise.reject(this.#ended.error);
    return new Promise((resolve, reject) => {
      this.#waiters.add({ position, resolve, reject });
    });
  }

  async #read(from: bigint, signal: AbortSignal): Promise<void> {
    const { batchSize } = this.#options;
    try {
      for await (const events of this.#store.subscribeToAll({ from, signal }).batches()) {
        for (let i = 0; i < events.length; i += batchSize) {
          if (signal.aborted || !(await this.#handle(events.slice(i, i + batchSize)))) return;
        }
      }
    } catch (error) {
      if (!signal.aborted || error !== signal.reason) throw error;
    }
  }

  /** Whether the processor goes on. */
  async #handle(events: readonly RecordedEvent[]): Promise<boolean> {
    const { style, context } = this.#options;
    const { processor, checkpointer } = this;
    const messages = events.map((event) => toReadEvent(event, style));
    let result: Awaited<ReturnType<AnyProcessor['handle']>>;
    try {
      result = await processor.handle(messages, context);
    } catch (error) {
      // What came before it was dealt with. If that cannot be stored it comes again; what the handler throws is told.
      await checkpointer?.flush().catch(() => {});
      throw error;
    }
    // It may also have been closed meanwhile, as Emmett does at a signal of the system.
    if (result?.type === 'STOP' || !processor.isActive) {
      await checkpointer?.flush();
      if (result?.type === 'STOP' && result.error !== undefined) throw EmmettError.mapFrom(result.error);
      return false;
    }
    const { position } = events[events.length - 1] as RecordedEvent;
    await checkpointer?.batchDone(position, events.length);
    this.#reach(position);
    return true;
  }
}

/** What was awaited of a processor cannot happen any more. */
function endedError(processorId: string): VarveError {
  return new VarveError('ERR_VARVE_CLOSED', `The processor '${processorId}' ended before it was so far.`, {
    consumer: processorId,
  });
}
