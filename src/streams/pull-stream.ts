/**
 * Streams of anything that is pulled in pieces: iterated one by one or piece by piece, collected, or observed.
 *
 * The core is pull, so that a slow consumer holds back nothing but itself. As an observable it reads on as fast as it
 * can; observers are called one event at a time, and nothing is buffered behind the piece that is being handed on.
 */
import { BehaviorSubject, distinctUntilChanged, Observable } from 'rxjs';
import { oneByOne } from './one-by-one.js';

/** Begins one reading. `signal` is aborted when an observer unsubscribes. */
export type Begin<T> = (signal: AbortSignal | undefined) => AsyncGenerator<T[], void, undefined>;

/** A finite stream. Nothing is read before it is iterated; each iteration begins a reading of its own. */
export class PullStream<T> implements AsyncIterable<T> {
  readonly #begin: Begin<T>;

  constructor(begin: Begin<T>) {
    this.#begin = begin;
  }

  [Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    return oneByOne(this.#begin(undefined));
  }

  /** In arrays, as they are read. No array is empty. */
  batches(): AsyncGenerator<T[], void, undefined> {
    return this.#begin(undefined);
  }

  async toArray(): Promise<T[]> {
    const all: T[] = [];
    for await (const batch of this.#begin(undefined)) for (const item of batch) all.push(item);
    return all;
  }

  toObservable(): Observable<T> {
    return observe(this.#begin);
  }
}

/** What a subscription is doing: delivering what was there before, level with the store, or behind it again. */
export type SubscriptionStatus = 'catchingUp' | 'caughtUp' | 'fellBehind';

/** What a subscription delivers, with the places where its status changed among it. */
export type SubscriptionMessage<T> =
  | { readonly kind: 'event'; readonly event: T }
  | { readonly kind: 'caughtUp' }
  | { readonly kind: 'fellBehind' };

/** One piece of a subscription: items, or a change of its status. */
export type Piece<T> = readonly T[] | Exclude<SubscriptionStatus, 'catchingUp'>;
export type BeginLive<T> = (signal: AbortSignal | undefined) => AsyncGenerator<Piece<T>, void, undefined>;

/**
 * A stream without an end: an RxJS observable, and an async iterable of the same, with back-pressure. It ends when its
 * signal aborts or the store is closed. Each subscriber and each iteration reads for itself.
 */
export class LiveStream<T> extends Observable<T> implements AsyncIterable<T> {
  readonly #begin: BeginLive<T>;
  readonly #status = new BehaviorSubject<SubscriptionStatus>('catchingUp');
  /** The status at once, then each change. Of the latest reading, where there are several. */
  readonly status$: Observable<SubscriptionStatus> = this.#status.pipe(distinctUntilChanged());

  constructor(begin: BeginLive<T>) {
    const items: Begin<T> = (signal) => this.#items(signal);
    super((subscriber) => observe(items).subscribe(subscriber));
    this.#begin = begin;
  }

  get status(): SubscriptionStatus {
    return this.#status.value;
  }

  [Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    return oneByOne(this.#items(undefined));
  }

  /** In arrays, as they are read. No array is empty. */
  batches(): AsyncGenerator<T[], void, undefined> {
    return this.#items(undefined);
  }

  /** The same, with a marker wherever the subscription has caught up or fallen behind. */
  async *messages(): AsyncGenerator<SubscriptionMessage<T>, void, undefined> {
    for await (const piece of this.#begin(undefined)) {
      if (typeof piece === 'string') {
        this.#status.next(piece);
        yield { kind: piece };
      } else {
        for (const event of piece) yield { kind: 'event', event };
      }
    }
  }

  /** The same stream of what `make` makes of each item; what it makes undefined of is left out. */
  choose<U>(make: (item: T) => U | undefined): LiveStream<U> {
    const begin = this.#begin;
    return new LiveStream<U>(async function* (signal) {
      for await (const piece of begin(signal)) {
        if (typeof piece === 'string') yield piece;
        else {
          const made = piece.map(make).filter((item) => item !== undefined);
          if (made.length > 0) yield made;
        }
      }
    });
  }

  async *#items(signal: AbortSignal | undefined): AsyncGenerator<T[], void, undefined> {
    this.#status.next('catchingUp');
    for await (const piece of this.#begin(signal)) {
      if (typeof piece === 'string') this.#status.next(piece);
      else yield piece as T[];
    }
  }
}

function observe<T>(begin: Begin<T>): Observable<T> {
  return new Observable<T>((subscriber) => {
    const ending = new AbortController();
    const run = async () => {
      for await (const batch of begin(ending.signal)) {
        for (const item of batch) {
          if (subscriber.closed) return;
          subscriber.next(item);
        }
      }
      subscriber.complete();
    };
    run().catch((error: unknown) => {
      if (!subscriber.closed) subscriber.error(error);
    });
    return () => ending.abort();
  });
}

/** Aborts when either does. */
export function eitherSignal(a: AbortSignal | undefined, b: AbortSignal | undefined): AbortSignal | undefined {
  return a === undefined ? b : b === undefined ? a : AbortSignal.any([a, b]);
}
