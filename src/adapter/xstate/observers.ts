/** Who looks at an actor, over its wakings and restarts. What a listener throws is thrown by itself, as XState does. */
import type { AnyEventObject, AnyMachineSnapshot } from 'xstate';

export interface SnapshotObserver {
  next?: ((snapshot: AnyMachineSnapshot) => void) | undefined;
  error?: ((error: unknown) => void) | undefined;
  complete?: (() => void) | undefined;
}

type Listener = (event: AnyEventObject) => void;

export class Observers {
  /** Made when somebody looks: most actors in memory are looked at by nobody. */
  #observers: Set<SnapshotObserver> | undefined;
  #listeners: Map<string, Set<Listener>> | undefined;

  get none(): boolean {
    return !this.#observers?.size && !this.#listeners?.size;
  }

  add(observer: SnapshotObserver): () => void {
    this.#observers ??= new Set();
    const observers = this.#observers.add(observer);
    return () => void observers.delete(observer);
  }

  /** `type` may be '*'. */
  on(type: string, listener: Listener): () => void {
    const own: Listener = (event) => listener(event); // the same one may be given twice
    this.#listeners ??= new Map();
    const all = this.#listeners;
    const listeners = all.get(type) ?? new Set();
    all.set(type, listeners.add(own));
    return () => {
      listeners.delete(own);
      if (listeners.size === 0 && all.get(type) === listeners) all.delete(type);
    };
  }

  next(snapshot: AnyMachineSnapshot): void {
    for (const observer of this.#observers ?? []) alone(() => observer.next?.(snapshot));
  }

  emit(event: AnyEventObject): void {
    for (const type of [event.type, '*']) {
      for (const listener of this.#listeners?.get(type) ?? []) alone(() => listener(event));
    }
  }

  /** The actor is over: nobody is told anything any more. */
  end(snapshot: AnyMachineSnapshot): void {
    for (const observer of this.#observers ?? []) {
      if (snapshot.status !== 'error') alone(() => observer.complete?.());
      else alone(() => observer.error?.(snapshot.error));
    }
    this.#observers?.clear();
    this.#listeners?.clear();
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
