/**
 * What is read in pieces, item by item.
 *
 * By hand, since an async generator that hands on each item of a piece awaits it more than once: of small items that is
 * the greater part of reading them.
 */

/** Iterates the items of `pieces` in order. As of a generator, calls are served one after another. */
export function oneByOne<T>(pieces: AsyncGenerator<readonly T[], void, undefined>): AsyncGenerator<T, void, undefined> {
  return new OneByOne(pieces);
}

class OneByOne<T> implements AsyncGenerator<T, void, undefined> {
  readonly #pieces: AsyncGenerator<readonly T[], void, undefined>;
  #piece: readonly T[] = [];
  /** Index in `#piece` of the next item. */
  #at = 0;
  /** Calls that are not served yet, and the end of the last of them. */
  #calls = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(pieces: AsyncGenerator<readonly T[], void, undefined>) {
    this.#pieces = pieces;
  }

  next(): Promise<IteratorResult<T, void>> {
    if (this.#calls === 0 && this.#at < this.#piece.length) {
      return Promise.resolve({ value: this.#piece[this.#at++] as T, done: false });
    }
    return this.#inTurn(async () => {
      while (this.#at >= this.#piece.length) {
        const { value, done } = await this.#pieces.next();
        if (done) return { value: undefined, done: true };
        this.#piece = value;
        this.#at = 0;
      }
      return { value: this.#piece[this.#at++] as T, done: false };
    });
  }

  return(): Promise<IteratorResult<T, void>> {
    return this.#inTurn(() => this.#end());
  }

  throw(error: unknown): Promise<IteratorResult<T, void>> {
    return this.#inTurn(async () => {
      await this.#end();
      throw error;
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async #end(): Promise<IteratorResult<T, void>> {
    this.#piece = [];
    await this.#pieces.return();
    return { value: undefined, done: true };
  }

  #inTurn<R>(work: () => Promise<R>): Promise<R> {
    this.#calls++;
    const done = this.#last.then(work).finally(() => this.#calls--);
    this.#last = done.catch(() => undefined); // told to whoever has called
    return done;
  }
}
