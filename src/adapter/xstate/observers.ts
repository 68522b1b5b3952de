/** Who looks at an actor, over its wakings and restarts. What a listener throws is thrown by itself, as XState does. */
import type { AnyEventObject, AnyMachineSnapshot } from 'xstate';

export interface SnapshotObserver {
  next?: ((snapshot: AnyMachineSnapshot) => void) | undefined;
  error?: ((error: unknown) => void) | undefined;
  complete?: (() => void) | undefined;
}

type Listener = (event: AnyEventObject) => void;

export class Observers {
  readonly #observers = new Set<SnapshotObserver>();
  readonly #listeners = new Map<string, Set<Listener>>();

  get none(): boolean {
    return this.#observers.size === 0 && this.#listeners.size === 0;
  }

  add(observer: SnapshotObserver): () => void {
    this.#observers.add(observer);
    return () => void this.#observers.delete(observer);
  }

  /** `type` may be '*'. */
  on(type: string, listener: Listener): () => void {
    const own: Listener = (event) => listener(event); // the same one may be given twice
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners.add(own));
    return () => {
      listeners.delete(own);
      if (listeners.size === 0 && this.#listeners.get(type) === listeners) this.#listeners.delete(type);
    };
  }

  next(snapshot: AnyMachineSnapshot): void {
    for (const observer of this.#observers) alone(() => observer.next?.(snapshot));
  }

  emit(event: AnyEventObject): void {
    for (const type of [event.type, '*']) {
      for (const listener of this.#listeners.get(type) ?? []) alone(() => listener(event));
    }
  }

  /** The actor is over: nobody is told anything any more. */
  end(snapshot: AnyMachineSnapshot): void {
    for (const observer of this.#observers) {
      if (snapshot.status !== 'error') alone(() => observer.complete?.());
      else alone(() => observer.error?.(snapshot.error));
    }
    this.#observers.clear();
    this.#listeners.clear();
  }
}

/** What it throws is thrown by itself. */
export function alone(work: () => void): void {
  try {
    work();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
