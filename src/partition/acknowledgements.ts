/**
 * Appends that wait for their acknowledgement, in order of LSN, so that one pass releases all that a sync covers.
 *
 * Plain arrays with a moving head: an append costs one promise and three pushes, and releasing does not allocate.
 */

export class Acknowledgements<T> {
  #lsns: number[] = [];
  #resolves: ((result: T) => void)[] = [];
  #rejects: ((error: unknown) => void)[] = [];
  #results: T[] = [];
  #head = 0;

  get size(): number {
    return this.#lsns.length - this.#head;
  }

  /** A promise that `release` resolves with `result` once it has reached `lsn`. LSNs never fall. */
  wait(lsn: number, result: T): Promise<T> {
    return new Promise<T>((resolve, reject) => this.add(lsn, result, resolve, reject));
  }

  add(lsn: number, result: T, resolve: (result: T) => void, reject: (error: unknown) => void): void {
    this.#lsns.push(lsn);
    this.#results.push(result);
    this.#resolves.push(resolve);
    this.#rejects.push(reject);
  }

  /** Resolves everything up to and including `lsn`. */
  release(lsn: number): void {
    const lsns = this.#lsns;
    const count = lsns.length;
    let head = this.#head;
    while (head < count && (lsns[head] as number) <= lsn) {
      (this.#resolves[head] as (result: T) => void)(this.#results[head] as T);
      head++;
    }
    this.#head = head;
    if (head === count) this.#clear();
    // The released part is cut off before it is worth more than what waits.
    else if (head > 1024 && head * 2 > count) this.#cut(head);
  }

  rejectAll(error: unknown): void {
    const rejects = this.#rejects.slice(this.#head);
    this.#clear();
    for (const reject of rejects) reject(error);
  }

  #clear(): void {
    if (this.#lsns.length === 0) return;
    this.#lsns = [];
    this.#resolves = [];
    this.#rejects = [];
    this.#results = [];
    this.#head = 0;
  }

  #cut(head: number): void {
    this.#lsns = this.#lsns.slice(head);
    this.#resolves = this.#resolves.slice(head);
    this.#rejects = this.#rejects.slice(head);
    this.#results = this.#results.slice(head);
    this.#head = 0;
  }
}
