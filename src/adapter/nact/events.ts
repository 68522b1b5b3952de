/**
 * What `events()` of a nact engine gives: an array of persisted events that is read from the journal piece by piece, and only
 * as fast as its reader goes.
 */
import type { PersistedEvent } from 'nact';

export class NactEvents implements PromiseLike<PersistedEvent[]>, AsyncIterable<PersistedEvent> {
  readonly #read: () => AsyncIterable<PersistedEvent>;

  constructor(read: () => AsyncIterable<PersistedEvent>) {
    this.#read = read;
  }

  /**
   * As `Array.prototype.reduce` with an initial value. Where the callback is asynchronous, as nact's is, its promise is what
   * the next call gets; the next event is read when it has settled, so that long histories need no memory.
   */
  async reduce<U>(callback: (previous: U, event: PersistedEvent, index: number) => U, initial: U): Promise<Awaited<U>> {
    let result = initial;
    let index = 0;
    for await (const event of this.#read()) {
      await result;
      result = callback(result, event, index++);
    }
    return await result;
  }

  // biome-ignore lint/suspicious/noThenProperty: nact promises that it can be awaited
  then<A = PersistedEvent[], B = never>(
    onFulfilled?: ((events: PersistedEvent[]) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#all().then(onFulfilled, onRejected);
  }

  [Symbol.asyncIterator](): AsyncIterator<PersistedEvent> {
    return this.#read()[Symbol.asyncIterator]();
  }

  async #all(): Promise<PersistedEvent[]> {
    const all: PersistedEvent[] = [];
    for await (const event of this.#read()) all.push(event);
    return all;
  }
}
