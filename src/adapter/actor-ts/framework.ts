/**
 * What actor-ts asks of its stores, and what they need of it. The package is in no registry, so its shapes stand here as
 * they are needed, after its sources as of autumn 2026; the module itself is handed over by whoever uses it.
 */
import { invalid } from '../../options.js';

/** actor-ts's `Option`: only it can make one that its actors recognize. */
export interface OptionOf<T> {
  isSome(): boolean;
  toNullable(): T | null;
}

/** The part of the module that the stores use: `import * as actorTs from 'actor-ts'`. */
export interface ActorTs {
  readonly JournalConcurrencyError: new (persistenceId: string, expectedSeq: number, actualSeq: number) => Error;
  readonly JournalError: new (message: string, cause?: unknown) => Error;
  readonly DurableStateConcurrencyError: new (persistenceId: string, expected: number, actual: number) => Error;
  fromNullable<T>(value: T | null | undefined): OptionOf<T>;
}

/** Throws `ERR_VARVE_INVALID_OPTION` unless `module` has all that is needed. */
export function checkActorTs(module: unknown): ActorTs {
  const given = Object(module) as Record<string, unknown>;
  const needed = ['JournalConcurrencyError', 'JournalError', 'DurableStateConcurrencyError', 'fromNullable'];
  const missing = needed.filter((name) => typeof given[name] !== 'function');
  if (missing.length === 0) return module as ActorTs;
  throw invalid('actorTs', Object.keys(given).slice(0, 5), `the module actor-ts; it lacks ${missing.join(', ')}`);
}

/** An event on its way in. */
export interface JournalEntry<E = unknown> {
  readonly event: E;
  readonly tags?: readonly string[];
}

export interface PersistentEvent<E = unknown> {
  readonly persistenceId: string;
  readonly sequenceNr: number;
  readonly event: E;
  readonly timestamp: number;
  /** Undefined where there are none. */
  readonly tags?: readonly string[];
}

export interface ActorSnapshot<S = unknown> {
  readonly persistenceId: string;
  readonly sequenceNr: number;
  readonly state: S;
  readonly timestamp: number;
}

export interface DurableStateRecord<S = unknown> {
  readonly persistenceId: string;
  readonly revision: number;
  readonly state: S;
  readonly timestamp: number;
}

export interface JournalEventBus {
  publish(event: PersistentEvent): void;
  subscribe(listener: (event: PersistentEvent) => void): () => void;
}

/** Which of an actor's wishes a store honours; actor-ts refuses an actor that asks for encryption which it would not get. */
export const OPTION_SUPPORT = { encryption: false, compression: false, integrity: false } as const;

/** Where the data are: on this machine, in one process. */
export const STORAGE_LOCALITY = 'node-local';
