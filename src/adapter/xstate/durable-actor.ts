/** A durable actor as users hold it: with the habits of an actor reference of XState's, whether it is in memory or not. */
import type { AnyStateMachine, EventFromLogic, Snapshot, SnapshotFrom, Subscription } from 'xstate';
import type { PullStream } from '../../streams/pull-stream.js';
import type { HistoryEntry } from './history.js';
import type { SnapshotObserver } from './observers.js';
import type { Inspect } from './turn.js';

interface Known {
  readonly snapshot: unknown;
  readonly revision: number;
}

/** What a handle asks of its host. */
export interface HandleHost {
  send(stream: string, event: unknown): Promise<unknown>;
  /** What is durable, of an actor in memory. */
  shown(stream: string): Known | undefined;
  subscribe(stream: string, observer: SnapshotObserver): () => void;
  on(stream: string, type: string, listener: (event: unknown) => void): () => void;
  history(stream: string, from: number): PullStream<HistoryEntry>;
  at(stream: string, revision: number): Promise<unknown>;
  replay(stream: string, inspect: Inspect): Promise<void>;
  persist(stream: string): Promise<Snapshot<unknown>>;
  stop(stream: string): Promise<void>;
}

type Observer<T> =
  | ((value: T) => void)
  | {
      next?: (value: T) => void;
      error?: (error: unknown) => void;
      complete?: () => void;
    };

const symbolObservable: typeof Symbol.observable =
  (typeof Symbol === 'function' && Symbol.observable) || ('@@observable' as unknown as typeof Symbol.observable);

export class DurableActor<Machine extends AnyStateMachine = AnyStateMachine> {
  readonly machine: string;
  readonly id: string;
  /** The stream of the event store that is its journal. */
  readonly stream: string;
  readonly #host: HandleHost;
  #known: Known;

  /** Durable actors come from `host.actor`. */
  constructor(host: HandleHost, machine: string, id: string, stream: string, known: Known) {
    this.#host = host;
    this.machine = machine;
    this.id = id;
    this.stream = stream;
    this.#known = known;
  }

  /** It is started already. Here so that code which has an actor of XState's runs with this one. */
  start(): this {
    return this;
  }

  /**
   * Sends an event: it is computed, journalled, and then visible. Resolves with the snapshot that it has led to. Events are
   * taken in the order of the calls, awaited or not.
   *
   * Rejects with `ERR_VARVE_ACTOR_ENDED`, `ERR_VARVE_EVENT_REFUSED` (`unhandled: 'reject'`), `ERR_VARVE_INVALID_EVENT`,
   * `ERR_VARVE_LEASE_LOST`, `ERR_VARVE_CLOSED`, with what a guard or an assign of the machine throws, and as
   * `appendToStream` does. It has not happened then, with the exceptions that hold for appending.
   */
  send(event: EventFromLogic<Machine>): Promise<SnapshotFrom<Machine>> {
    return this.#host.send(this.stream, event) as Promise<SnapshotFrom<Machine>>;
  }

  /** What is durable; of an actor that is asleep, what this handle saw last. */
  getSnapshot(): SnapshotFrom<Machine> {
    return this.#look().snapshot as SnapshotFrom<Machine>;
  }

  /** Of the newest entry that is in the snapshot. */
  get revision(): number {
    return this.#look().revision;
  }

  /** Told of each snapshot from now on. It keeps the actor in memory. */
  subscribe(
    observer: Observer<SnapshotFrom<Machine>>,
    error?: (error: unknown) => void,
    complete?: () => void,
  ): Subscription {
    const { next, ...rest } =
      typeof observer === 'function' ? { next: observer, error, complete } : bound<SnapshotFrom<Machine>>(observer);
    const unsubscribe = this.#host.subscribe(this.stream, { next: next as SnapshotObserver['next'], ...rest });
    return { unsubscribe };
  }

  /** Told of emitted events of this type, or of all with '*'. It keeps the actor in memory. */
  on(type: string, listener: (event: { type: string; [key: string]: unknown }) => void): Subscription {
    return { unsubscribe: this.#host.on(this.stream, type, listener as (event: unknown) => void) };
  }

  /** A part of the snapshot: told when it changes. */
  select<Selected>(
    selector: (snapshot: SnapshotFrom<Machine>) => Selected,
    equal: (a: Selected, b: Selected) => boolean = Object.is,
  ) {
    return {
      get: (): Selected => selector(this.getSnapshot()),
      subscribe: (observer: Observer<Selected>): Subscription => {
        const { next } = typeof observer === 'function' ? { next: observer } : bound<Selected>(observer);
        let before = selector(this.getSnapshot());
        return this.subscribe((snapshot) => {
          const selected = selector(snapshot);
          if (equal(before, selected)) return;
          before = selected;
          next?.(selected);
        });
      },
    };
  }

  [symbolObservable](): this {
    return this;
  }

  /** What has happened, oldest first: each event with its revision and time. */
  history({ from = 0 }: { from?: number } = {}): PullStream<HistoryEntry> {
    return this.#host.history(this.stream, from);
  }

  /** The state as it was behind a revision: replayed, without effects. Rejects as waking does. */
  at(revision: number): Promise<SnapshotFrom<Machine>> {
    return this.#host.at(this.stream, revision) as Promise<SnapshotFrom<Machine>>;
  }

  /**
   * Its whole history again, for an inspector: XState's inspection events as they came when it happened. No effect is
   * carried out. Rejects as waking does.
   */
  replay(inspect: Inspect): Promise<void> {
    return this.#host.replay(this.stream, inspect);
  }

  /**
   * As XState persists an actor: plain data. Rejects with `ERR_VARVE_STREAM_NOT_FOUND` where its journal was deleted, and
   * as waking does.
   */
  getPersistedSnapshot(): Promise<Snapshot<unknown>> {
    return this.#host.persist(this.stream);
  }

  /** Ends it for good, durably: its children are stopped, delayed events are dropped. Its history stays. */
  stop(): Promise<void> {
    return this.#host.stop(this.stream);
  }

  toJSON(): { machine: string; id: string } {
    return { machine: this.machine, id: this.id };
  }

  #look(): Known {
    this.#known = this.#host.shown(this.stream) ?? this.#known;
    return this.#known;
  }
}

function bound<T>(observer: Exclude<Observer<T>, (value: T) => void>) {
  return {
    next: observer.next?.bind(observer),
    error: observer.error?.bind(observer),
    complete: observer.complete?.bind(observer),
  };
}
