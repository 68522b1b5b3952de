/** Tells subscribers in this process of each event that has become durable. One that throws harms nobody else. */
import type { JournalEventBus, PersistentEvent } from './framework.js';

export class EventBus implements JournalEventBus {
  readonly #listeners = new Set<(event: PersistentEvent) => void>();

  publish(event: PersistentEvent): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(event);
      } catch (cause) {
        process.emitWarning(new Error('A subscriber of the journal has thrown.', { cause }));
      }
    }
  }

  subscribe(listener: (event: PersistentEvent) => void): () => void {
    // A function of its own: one listener may subscribe twice.
    const own = (event: PersistentEvent) => listener(event);
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  subscriberCount(): number {
    return this.#listeners.size;
  }
}
