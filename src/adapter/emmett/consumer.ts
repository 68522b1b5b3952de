/**
 * A consumer: runs Emmett's processors on what is stored and what comes. Each reads for itself, so a slow one holds back
 * nobody, and one that fails ends alone.
 */

import { randomUUID } from 'node:crypto';
import type {
  AnyEvent,
  MessageConsumer,
  MessageProcessor,
  ProjectorOptions,
  ReactorOptions,
} from '@event-driven-io/emmett';
import { checkAll, integer, invalid, oneOf } from '../../options.js';
import type { EventStore } from '../event-store/event-store.js';
import { lastPosition } from './checkpoints.js';
import { EmmettError, projector, reactor } from './peer.js';
import type { EmmettApi, PositionOf, PositionStyle, VarveReadEventMetadata } from './positions.js';
import { type AnyProcessor, type OwnProcessor, ProcessorRun } from './processor-run.js';
import type { VarveHandlerContext } from './projections.js';
import type { VarveEventStore } from './types.js';

export interface VarveConsumerOptions {
  /** Default: a UUID. */
  consumerId?: string;
  /** Processors that Emmett's `reactor`, `projector`, `inMemoryProjector`, … have made, with checkpoints of their own. */
  // biome-ignore lint/suspicious/noExplicitAny: a list holds processors of any messages, and functions take no supertype
  processors?: readonly MessageProcessor<any, any, any, any>[];
  /** Messages that a processor gets at once, after which its checkpoint is stored: 1 … 10,000. Default 100. */
  batchSize?: number;
  /**
   * What happens to a processor of which another one runs on this store: 'fail' (default) refuses the start, 'wait' begins
   * when the other ends, 'skip' leaves it out.
   */
  whenLocked?: 'fail' | 'wait' | 'skip';
}

type Context<Api extends EmmettApi> = VarveHandlerContext<VarveEventStore<Api>>;

export interface VarveConsumer<Api extends EmmettApi = '0.42'> extends MessageConsumer {
  /** Adds a processor that is handed messages, and has its checkpoints in the store. It runs from the next start on. */
  reactor<EventType extends AnyEvent = AnyEvent>(
    options: ReactorOptions<EventType, VarveReadEventMetadata<Api>, Context<Api>, PositionOf<Api>>,
  ): MessageProcessor<EventType, VarveReadEventMetadata<Api>, Context<Api>, PositionOf<Api>>;
  /** The same for a projection. */
  projector<EventType extends AnyEvent = AnyEvent>(
    options: ProjectorOptions<EventType, VarveReadEventMetadata<Api>, Context<Api>, PositionOf<Api>>,
  ): MessageProcessor<EventType, VarveReadEventMetadata<Api>, Context<Api>, PositionOf<Api>>;
  /** Calls each processor's `init`, once. Starting does it too. */
  init(): Promise<void>;
  /**
   * Runs until it is stopped, or every processor has ended. Rejects with what the first one that failed has thrown, when
   * all have ended; the failure of one while others go on is also a warning of the process.
   */
  start(): Promise<void>;
  /** Ends the processors behind the batch they have in hand, stores their checkpoints, and resolves when they have ended. */
  stop(): Promise<void>;
  close(): Promise<void>;
  /** Resolves when the processors have begun to read. */
  whenStarted(): Promise<void>;
  /** Resolves when all processors have dealt with everything up to a position; rejects when one of them ends before. */
  whenProcessed(position: PositionOf<Api>): Promise<void>;
  /** The same, up to what is durable now. */
  whenCaughtUp(): Promise<void>;
}

export interface ConsumerHost {
  readonly ready: () => Promise<EventStore>;
  readonly style: PositionStyle;
  readonly context: VarveHandlerContext;
  /** Where it is found while it runs. */
  readonly running: Set<{ stop(): Promise<void> }>;
}

const CHECKS = {
  consumerId: (value: unknown, option: string) => {
    if (typeof value !== 'string' || value === '') throw invalid(option, value, 'a text that is not empty');
  },
  processors: (value: unknown, option: string) => {
    if (!Array.isArray(value)) throw invalid(option, value, 'an array of processors');
    for (const [i, processor] of value.entries()) {
      if (typeof processor?.handle === 'function' && typeof processor.start === 'function') continue;
      throw invalid(`${option}[${i}]`, processor, 'a processor, as reactor or projector make it');
    }
  },
  batchSize: integer(1, 10_000),
  whenLocked: oneOf('fail', 'wait', 'skip'),
};

/** One start of a consumer. */
interface Running {
  readonly taken: Promise<readonly ProcessorRun[]>;
  readonly done: Promise<void>;
}

export function makeConsumer(
  options: VarveConsumerOptions,
  { ready, style, context, running }: ConsumerHost,
): VarveConsumer<EmmettApi> {
  checkAll(options, CHECKS, 'options');
  const { consumerId = randomUUID(), batchSize = 100, whenLocked = 'fail' } = options;
  const processors: AnyProcessor[] = [...(options.processors ?? [])];
  /** Of those that were made here: what their checkpoints are stored under, and who runs them. */
  const names = new WeakMap<AnyProcessor, OwnProcessor>();
  const runs = new WeakMap<AnyProcessor, ProcessorRun>();
  /** Defined while it runs. */
  let stopping: AbortController | undefined;
  let latest: Running | undefined;
  let tellStarted: (latest: Running) => void = () => {};
  const firstStart = new Promise<Running>((resolve) => {
    tellStarted = resolve;
  });

  /** Its checkpoints are those of the run that it is in. */
  function checkpointsOf(processor: () => AnyProcessor) {
    const checkpointer = () => {
      const found = runs.get(processor())?.checkpointer;
      if (found !== undefined) return found;
      throw new EmmettError(`The processor '${processor().id}' is run by no consumer: add it to one and start that.`);
    };
    return {
      read: async () => ({ lastCheckpoint: checkpointer().lastCheckpoint }),
      store: async ({ message }: { message: { readonly metadata: unknown } }) => checkpointer().handled(message),
    };
  }

  /** Adds what `make` makes with checkpoints in the store, unless it is given others. */
  function add(
    given: { readonly partition?: string; readonly checkpoints?: unknown; readonly startFrom?: unknown },
    make: (checkpoints: object) => AnyProcessor,
  ): never {
    const { partition, checkpoints, startFrom = 'CURRENT' } = given;
    const made = make(checkpoints === undefined ? { checkpoints: checkpointsOf(() => made) } : {});
    if (checkpoints === undefined) names.set(made, { processorId: made.id, partition, startFrom });
    processors.push(made);
    return made as never;
  }

  async function init(): Promise<void> {
    await ready();
    for (const processor of processors) await processor.init(context);
  }

  /** Makes the runs of those processors whose locks can be had. */
  async function begin(): Promise<ProcessorRun[]> {
    const store = await ready();
    const taking: ProcessorRun[] = [];
    for (const processor of processors) {
      const run = new ProcessorRun(store, processor, names.get(processor), { style, context, batchSize });
      if (whenLocked === 'wait' || run.tryLock()) {
        runs.set(processor, run);
        taking.push(run);
      } else if (whenLocked === 'fail') {
        for (const taken of taking) taken.release();
        throw lockedError(processor.id);
      }
    }
    return taking;
  }

  async function runAll(taking: readonly ProcessorRun[], signal: AbortSignal): Promise<void> {
    let left = taking.length;
    const errors: unknown[] = [];
    await Promise.all(
      taking.map(async (run) => {
        try {
          await run.run(signal);
        } catch (error) {
          errors.push(error);
          if (left > 1) warn(run.processor.id, error);
        }
        left--;
      }),
    );
    if (errors.length > 0) throw errors[0];
  }

  function start(): Promise<void> {
    if (stopping !== undefined) return (latest as Running).done;
    if (processors.length === 0) {
      return Promise.reject(new EmmettError('Cannot start a consumer without a processor: add one first.'));
    }
    stopping = new AbortController();
    const { signal } = stopping;
    const taken = begin();
    const done = taken
      .then((taking) => runAll(taking, signal))
      .finally(() => {
        stopping = undefined;
        running.delete(self);
      });
    latest = { taken, done };
    running.add(self);
    tellStarted(latest);
    return done;
  }

  async function stop(): Promise<void> {
    stopping?.abort();
    await latest?.done.catch(() => {}); // told to whoever has started it
  }

  /** Of the runs of the latest start, or of the first one to come. */
  async function whenAll(happened: (run: ProcessorRun) => Promise<void>): Promise<void> {
    const { taken } = latest ?? (await firstStart);
    await Promise.all((await taken).map(happened));
  }

  const self: VarveConsumer<EmmettApi> = {
    consumerId,
    processors,
    get isRunning() {
      return stopping !== undefined;
    },
    reactor: (given) => add(given, (checkpoints) => reactor({ ...given, ...checkpoints } as never) as AnyProcessor),
    projector: (given) => add(given, (checkpoints) => projector({ ...given, ...checkpoints } as never) as AnyProcessor),
    init,
    start,
    stop,
    close: stop,
    whenStarted: () => whenAll((run) => run.whenBegun()),
    whenProcessed: async (given) => {
      const position = style.parse(given, 'position');
      await whenAll((run) => run.whenProcessed(position));
    },
    async whenCaughtUp() {
      const position = await lastPosition(await ready());
      if (position !== undefined) await whenAll((run) => run.whenProcessed(position));
    },
  };
  return self;
}

function lockedError(processorId: string): Error {
  return new EmmettError(
    `The processor '${processorId}' runs already on this store: stop it first, or start the consumer with whenLocked ` +
      "'wait' or 'skip'.",
  );
}

function warn(processorId: string, cause: unknown): void {
  process.emitWarning(new Error(`The processor '${processorId}' has failed and ended; the others go on.`, { cause }));
}
