/** What a durable consumer is asked to do. */
import { callback, checkAll, checkSignal, integer, invalid } from '../../options.js';
import { checkConsumerName } from './checkpoints.js';
import { checkFilter, type EventFilter } from './event-filter.js';
import { checkStream } from './event-input.js';
import type { AllFrom } from './event-store-options.js';
import type { ParkedEvent } from './parking-lot.js';
import type { RecordedEvent } from './recorded-event.js';

export interface HandlerContext {
  /** How often the event has been tried since the consumer began, with this time: from 1. */
  readonly attempt: number;
  /** Aborted when what the handler does is of no use any more: the consumer's signal, its failure, a lost lease, `close`. */
  readonly signal: AbortSignal;
}

/** Deals with one event; the next one comes when it has resolved. */
export type EventHandler = (event: RecordedEvent, context: HandlerContext) => void | Promise<void>;

export interface RetryOptions {
  /** How often an event is tried in all before it is parked: 1 … 1,000,000. Default 5. */
  attempts?: number;
  /** Milliseconds before the second attempt: 0 … 2³¹ − 1. Default 100. */
  minDelay?: number;
  /** Milliseconds between two attempts at most. Default 10,000. */
  maxDelay?: number;
  /** Each delay is so many times the one before: 1 … 100. Default 2. */
  factor?: number;
}

export interface ConsumeOptions {
  /** What the checkpoint is stored under: 1 to 256 bytes of UTF-8. Of several consumers of one name one runs. */
  name: string;
  /** Where to begin where no checkpoint is stored yet. Default 'start'. */
  from?: AllFrom;
  /** Default: all events but those of the store itself. */
  filter?: EventFilter;
  /** Only this stream. */
  stream?: string;
  /** Only streams whose ids begin with it and a dash. */
  category?: string;
  handler: EventHandler;
  /** The checkpoint is stored after so many events (default 256), or milliseconds after the first of them (default 1,000). */
  checkpointEvery?: { events?: number; ms?: number };
  retry?: RetryOptions;
  /**
   * Milliseconds after which a handler that has not ended loses the lease: its signal is aborted, the consumer fails, and
   * the next in line takes over. Default: never.
   */
  handlerTimeout?: number;
  /** Told of each event that was given up. If it throws, the consumer fails. */
  onParked?: (parked: ParkedEvent) => void | Promise<void>;
  /** Ends the consumer, and aborts the signal of the handler under way. */
  signal?: AbortSignal;
}

/** All of it, checked and filled in. */
export interface ConsumerPlan {
  readonly name: string;
  readonly filter: EventFilter;
  readonly handler: EventHandler;
  readonly checkpointEvery: { readonly events: number; readonly ms: number };
  readonly retry: Required<RetryOptions>;
  readonly handlerTimeout: number | undefined;
  readonly onParked: ((parked: ParkedEvent) => void | Promise<void>) | undefined;
  readonly signal: AbortSignal | undefined;
}

const MAX_MS = 0x7fff_ffff;
const ms = integer(0, MAX_MS);

const EVERY_CHECKS = { events: integer(1, 1_000_000), ms: integer(1, MAX_MS) };
const RETRY_CHECKS = {
  attempts: integer(1, 1_000_000),
  minDelay: ms,
  maxDelay: ms,
  factor: (value: unknown, option: string) => {
    if (typeof value !== 'number' || !(value >= 1 && value <= 100)) throw invalid(option, value, 'from 1 to 100');
  },
};
const CHECKS = {
  name: checkConsumerName,
  from: () => {}, // the store checks it
  filter: (value: unknown) => checkFilter(value as EventFilter),
  stream: (value: unknown) => checkStream(value, true),
  category: (value: unknown, option: string) => {
    if (typeof value !== 'string' || value === '') throw invalid(option, value, 'a text');
  },
  handler: callback,
  checkpointEvery: (value: unknown, option: string) => checkAll(value, EVERY_CHECKS, option),
  retry: (value: unknown, option: string) => checkAll(value, RETRY_CHECKS, option),
  handlerTimeout: integer(1, MAX_MS),
  onParked: callback,
  signal: checkSignal,
};

/** Throws `ERR_VARVE_INVALID_OPTION`. */
export function planConsumer(options: ConsumeOptions): ConsumerPlan {
  checkAll(options, CHECKS, 'options');
  const { name, handler, checkpointEvery = {}, retry = {}, handlerTimeout, onParked, signal } = options;
  checkConsumerName(name);
  callback(handler, 'handler');
  const { attempts = 5, minDelay = 100, maxDelay = 10_000, factor = 2 } = retry;
  return {
    name,
    filter: filterOf(options),
    handler,
    checkpointEvery: { events: checkpointEvery.events ?? 256, ms: checkpointEvery.ms ?? 1000 },
    retry: { attempts, minDelay, maxDelay, factor },
    handlerTimeout,
    onParked,
    signal,
  };
}

function filterOf({ filter = {}, stream, category }: ConsumeOptions): EventFilter {
  if (stream !== undefined && filter.streams !== undefined)
    throw invalid('stream', stream, 'absent beside filter.streams');
  if (category !== undefined && filter.categories !== undefined) {
    throw invalid('category', category, 'absent beside filter.categories');
  }
  const { where } = filter;
  const chosen = {
    ...filter,
    ...(stream === undefined ? {} : { streams: [stream] }),
    ...(category === undefined ? {} : { categories: [category] }),
  };
  if (filter.system !== true) return chosen;
  // Each checkpoint would be an event, and lead to the next checkpoint.
  return { ...chosen, where: (event) => !event.stream.startsWith('$checkpoint-') && (where?.(event) ?? true) };
}

/** Milliseconds to wait behind attempt number `attempt`, from 1. */
export function delayAfter(attempt: number, { minDelay, maxDelay, factor }: Required<RetryOptions>): number {
  return Math.min(maxDelay, minDelay * factor ** (attempt - 1));
}
