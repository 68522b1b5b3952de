/**
 * A mark that moves along a partition's LSNs (written, durable, oldest): a number that can be read, awaited and
 * observed. The log advances it; nobody's callback ever runs inside the advance.
 */
import { Observable, type Subscriber } from 'rxjs';

interface Waiter {
  readonly lsn: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class LsnMark {
  #value: number;
  /** Ascending by LSN; later ones behind earlier ones of the same LSN. */
  readonly #waiters: Waiter[] = [];
  /** Who observes, and the value that each was given last. */
  readonly #subscribers = new Map<Subscriber<number>, number>();
  #emitting = false;
  #end: { readonly error: unknown } | undefined;
  readonly #onWanted: () => void;

  /** `onWanted` is called when somebody begins to wait for or to observe the mark. */
  constructor(value: number, onWanted: () => void = () => {}) {
    this.#value = value;
    this.#onWanted = onWanted;
  }

  get value(): number {
    return this.#value;
  }

  /** The current value at once, then each advance, coalesced; completes when the log is closed or the partition fails. */
  readonly changes: Observable<number> = new Observable<number>((subscriber) => {
    if (this.#end === undefined) {
      this.#subscribers.set(subscriber, this.#value);
      this.#onWanted();
    }
    subscriber.next(this.#value);
    if (this.#end !== undefined) subscriber.complete();
    return () => this.#subscribers.delete(subscriber);
  });

  /** Somebody waits for a higher LSN. */
  get awaited(): boolean {
    return this.#waiters.length > 0;
  }

  /** Somebody observes the mark. */
  get observed(): boolean {
    return this.#subscribers.size > 0;
  }

  /** Moves the mark; a lower value is allowed only to a rewind. */
  set(value: number): void {
    this.#value = value;
    if (this.#waiters.length > 0) this.#release();
    if (this.#subscribers.size > 0) this.#emitLater();
  }

  /** Resolves when the mark is at `lsn` or beyond. Rejects with the signal's reason, or with what `end` was given. */
  waitFor(lsn: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (lsn <= this.#value) return Promise.resolve();
    if (this.#end !== undefined) return Promise.reject(this.#end.error);
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        reject(signal?.reason);
      };
      const waiter: Waiter = {
        lsn,
        resolve: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
        reject: (error) => {
          signal?.removeEventListener('abort', onAbort);
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      let at = this.#waiters.length;
      while (at > 0 && (this.#waiters[at - 1] as Waiter).lsn > lsn) at--;
      this.#waiters.splice(at, 0, waiter);
      this.#onWanted();
    });
  }

  /**
   * Waiters reject with `error`. Observers only complete: an observer without an error handler, which most are, would
   * take the process with it, and a failure is told by the `failed` event and by everything that was waiting.
   */
  end(error: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
    this.#emit();
    for (const subscriber of [...this.#subscribers.keys()]) subscriber.complete();
  }

  #release(): void {
    let count = 0;
    while (count < this.#waiters.length && (this.#waiters[count] as Waiter).lsn <= this.#value) count++;
    for (const waiter of this.#waiters.splice(0, count)) waiter.resolve();
  }

  #emitLater(): void {
    if (this.#emitting) return;
    this.#emitting = true;
    queueMicrotask(() => {
      this.#emitting = false;
      this.#emit();
    });
  }

  #emit(): void {
    for (const [subscriber, last] of [...this.#subscribers]) {
      // A callback before this one may have unsubscribed this one, or moved the mark.
      if (!this.#subscribers.has(subscriber) || last === this.#value) continue;
      this.#subscribers.set(subscriber, this.#value);
      subscriber.next(this.#value);
    }
  }
}
