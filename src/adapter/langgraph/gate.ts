/**
 * Who may work on a thread at the same time: any number of writers, or one who gives up a part of it.
 *
 * A checkpoint may lean on values that its ancestors hold. Between looking whether they are there and being durable itself,
 * nobody may take them away. Of one store there is one owner process, so the gates of its threads are kept in memory;
 * they belong to the store, since several savers may use one.
 */
import type { EventStore } from '../event-store/event-store.js';

export class Gate {
  readonly #shared = new Set<Promise<unknown>>();
  #exclusive: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  get idle(): boolean {
    return this.#waiting === 0 && this.#shared.size === 0;
  }

  /** Beside other shared work, behind exclusive work that was asked for before. */
  shared<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#exclusive.then(work);
    const settled = done.then(ignore, ignore);
    this.#shared.add(settled);
    return done.finally(() => this.#shared.delete(settled));
  }

  /** Alone: behind all that was asked for before, in front of all that is asked for later. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting++;
    const done = Promise.all([this.#exclusive, ...this.#shared]).then(work);
    this.#exclusive = done.then(ignore, ignore);
    return done.finally(() => {
      this.#waiting--;
    });
  }
}

const ignore = () => {}; // told to whoever asked for the work

const gates = new WeakMap<EventStore, Map<string, Gate>>();

/** The gate of a stream, for the time of `use`. */
export async function withGate<T>(store: EventStore, stream: string, use: (gate: Gate) => Promise<T>): Promise<T> {
  const ofStore = gates.get(store) ?? new Map<string, Gate>();
  gates.set(store, ofStore);
  const gate = ofStore.get(stream) ?? new Gate();
  ofStore.set(stream, gate);
  try {
    return await use(gate);
  } finally {
    if (gate.idle) ofStore.delete(stream);
  }
}
