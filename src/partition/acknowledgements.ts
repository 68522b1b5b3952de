/**
 * Appends that wait for their acknowledgement, in order of LSN, so that one pass releases all that a sync covers.
 *
 * An array that is kept, with a moving head and end: an append costs one promise and one object, and releasing does not
 * allocate. Most of the time everything is released at once, and both go back to the beginning.
 */

interface Waiting<T> {
  readonly lsn: number;
  readonly result: T;
  readonly resolve: (result: T) => void;
  readonly reject: (error: unknown) => void;
}

/** Above so many places the array is given back when nobody waits. */
const KEPT_PLACES = 4096;

export class Acknowledgements<T> {
  /** Who waits lies in [head, end); the other places are empty. */
  #places: (Waiting<T> | undefined)[] = [];
  #head = 0;
  #end = 0;

  get size(): number {
    return this.#end - this.#head;
  }

  /** A promise that `release` resolves with `result` once it has reached `lsn`. LSNs never fall. */
  wait(lsn: number, result: T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#places[this.#end++] = { lsn, result, resolve, reject };
    });
  }

  add(lsn: number, result: T, resolve: (result: T) => void, reject: (error: unknown) => void): void {
    this.#places[this.#end++] = { lsn, result, resolve, reject };
  }

  /** Resolves everything up to and including `lsn`. */
  release(lsn: number): void {
    const places = this.#places;
    const end = this.#end;
    let head = this.#head;
    for (; head < end; head++) {
      const waiting = places[head] as Waiting<T>;
      if (waiting.lsn > lsn) break;
      places[head] = undefined;
      waiting.resolve(waiting.result);
    }
    this.#head = head;
    if (head === end) this.#clear();
    // The released part is cut off before it is worth more than what waits.
    else if (head > 1024 && head * 2 > end) this.#cut(head);
  }

  rejectAll(error: unknown): void {
    const waiting = this.#places.slice(this.#head, this.#end) as Waiting<T>[];
    this.#places = [];
    this.#head = this.#end = 0;
    for (const { reject } of waiting) reject(error);
  }

  #clear(): void {
    if (this.#places.length > KEPT_PLACES) this.#places = [];
    this.#head = this.#end = 0;
  }

  #cut(head: number): void {
    this.#places = this.#places.slice(head, this.#end);
    this.#end -= head;
    this.#head = 0;
  }
}
