/**
 * Locks of processors: two of one name would deal with the same messages, and each store its own checkpoints.
 *
 * One process owns a store, so its locks live in memory, with the store, and end with the process.
 */
import type { EventStore } from '../event-store/event-store.js';
import { nameOf, type ProcessorName } from './checkpoints.js';

/** Emmett's `ProcessorLock`. */
export interface EmmettProcessorLock {
  /** True if it is held now. */
  tryAcquire(): Promise<boolean>;
  /** Gives it back, if it is held. */
  release(): Promise<void>;
}

class Locks {
  readonly #holders = new Map<string, object>();
  readonly #waiting = new Map<string, Set<() => void>>();

  /** Whether `holder` holds it now. */
  tryAcquire(name: string, holder: object): boolean {
    const held = this.#holders.get(name) ?? holder;
    this.#holders.set(name, held);
    return held === holder;
  }

  /** Resolves when `holder` holds it, or the signal is aborted. */
  async acquire(name: string, holder: object, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.tryAcquire(name, holder)) {
      const waiting = this.#waiting.get(name) ?? new Set();
      this.#waiting.set(name, waiting);
      await new Promise<void>((resolve) => {
        const go = () => {
          waiting.delete(go);
          signal.removeEventListener('abort', go);
          resolve();
        };
        waiting.add(go);
        signal.addEventListener('abort', go);
      });
    }
  }

  release(name: string, holder: object): void {
    if (this.#holders.get(name) !== holder) return;
    this.#holders.delete(name);
    const waiting = this.#waiting.get(name);
    this.#waiting.delete(name);
    for (const go of [...(waiting ?? [])]) go();
  }
}

const locks = new WeakMap<EventStore, Locks>();

/** The locks of a store, whichever event stores of Emmett stand on it. */
export function locksOf(store: EventStore): Locks {
  let found = locks.get(store);
  if (found === undefined) {
    found = new Locks();
    locks.set(store, found);
  }
  return found;
}

export function processorLock(ready: () => Promise<EventStore>, asked: ProcessorName): EmmettProcessorLock {
  const name = nameOf(asked);
  const holder = {};
  return {
    tryAcquire: async () => locksOf(await ready()).tryAcquire(name, holder),
    release: async () => locksOf(await ready()).release(name, holder),
  };
}
