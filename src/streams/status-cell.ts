/** A status that can be read, observed and awaited, until it is over. */
import { BehaviorSubject, distinctUntilChanged, type Observable } from 'rxjs';

export class StatusCell<S> {
  readonly #subject: BehaviorSubject<S>;
  /** The status at once, then each change; completes behind the last one. */
  readonly changes: Observable<S>;

  constructor(status: S) {
    this.#subject = new BehaviorSubject(status);
    this.changes = this.#subject.pipe(distinctUntilChanged());
  }

  get value(): S {
    return this.#subject.value;
  }

  set(status: S): void {
    this.#subject.next(status);
  }

  /** There will be no other. */
  end(status: S): void {
    this.#subject.next(status);
    this.#subject.complete();
  }

  /** Resolves when the status is `wanted`, at once if it is; rejects with what `over` gives if it never will be. */
  reached(wanted: S, over: () => unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      const watching = this.#subject.subscribe({
        next: (status) => {
          if (status !== wanted) return;
          resolve();
          queueMicrotask(() => watching.unsubscribe()); // it may not be assigned yet
        },
        complete: () => reject(over()),
      });
    });
  }
}
