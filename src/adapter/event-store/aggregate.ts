/**
 * An aggregate: the state that a stream's events make, and the deciding of the next ones with optimistic concurrency.
 *
 * Loading begins with the newest snapshot of the right version, and reads on from there.
 */
import { VarveError } from '../../errors.js';
import { callback, checkAll, integer, invalid } from '../../options.js';
import { checkStream, type EventInput } from './event-input.js';
import type { EventStore } from './event-store.js';
import type { RecordedEvent } from './recorded-event.js';

export interface AggregateOptions<State> {
  stream: string;
  /** The state with one more event in it. */
  evolve: (state: State, event: RecordedEvent) => State;
  /** The state before the first event; called for each loading. */
  initialState: () => State;
  /** A snapshot is saved in the background when so many events have come since the last one: from 1. Default: never. */
  snapshotEvery?: number;
  /** Snapshots that are kept: from 1. Default 2. */
  keepSnapshots?: number;
  /** Version of the shape of the state: 1 … 65,535. Snapshots of another one are ignored. Default 1. */
  schemaVersion?: number;
  /** Told why a snapshot could not be saved, or older ones not be pruned. Default: a warning of the process. */
  onSnapshotError?: (error: unknown) => void;
}

export interface Loaded<State> {
  readonly state: State;
  /** Of the newest event; undefined where there is no stream that can be read. */
  readonly revision: bigint | undefined;
  readonly exists: boolean;
}

/** What is to happen, from what is: no event, one or several. It is called again where others were faster. */
export type Decide<State> = (
  state: State,
  loaded: Loaded<State>,
) => EventInput | readonly EventInput[] | Promise<EventInput | readonly EventInput[]>;

export interface Handled {
  /** Of the stream's newest event now; undefined where there is still none. */
  readonly revision: bigint | undefined;
  /** Positions of what was appended. */
  readonly positions: readonly bigint[];
}

/** What an aggregate asks of the store. */
type AggregateStore = Pick<EventStore, 'appendToStream' | 'readStream' | 'readSnapshot' | 'saveSnapshot'>;

const DEFAULT_RETRIES = 3;

const version = integer(1, 65_535);
const CHECKS = {
  stream: (value: unknown) => checkStream(value),
  evolve: callback,
  initialState: callback,
  snapshotEvery: integer(1, Number.MAX_SAFE_INTEGER),
  keepSnapshots: integer(1, 1_000_000),
  schemaVersion: version,
  onSnapshotError: callback,
};
const HANDLE_CHECKS = { retries: integer(0, 1_000_000) };

interface Place<State> extends Loaded<State> {
  /** Of the snapshot that it began with. */
  readonly snapshot: bigint | undefined;
}

export class Aggregate<State> {
  readonly stream: string;
  readonly #store: AggregateStore;
  /** Resolves when all that was asked of a stream's partition before can be read. */
  readonly #settled: (stream: string) => Promise<void>;
  readonly #options: AggregateOptions<State>;
  readonly #schemaVersion: number;
  #saving: Promise<void> | undefined;

  /** Aggregates come from `store.aggregate`, which throws `ERR_VARVE_INVALID_OPTION`. */
  constructor(store: AggregateStore, settled: (stream: string) => Promise<void>, options: AggregateOptions<State>) {
    checkAll(options, CHECKS, 'options');
    for (const name of ['stream', 'evolve', 'initialState'] as const) {
      if (options[name] === undefined) throw invalid(name, undefined, 'given');
    }
    this.stream = options.stream;
    this.#store = store;
    this.#settled = settled;
    this.#options = { ...options };
    this.#schemaVersion = options.schemaVersion ?? 1;
  }

  /** The state of what is durable. */
  async load(): Promise<Loaded<State>> {
    const { state, revision, exists } = await this.#load();
    return { state, revision, exists };
  }

  /**
   * Appends what `decide` makes of the present state, if nothing has been appended meanwhile; else loads and decides again,
   * `retries` times (default 3). Rejects with `ERR_VARVE_WRONG_REVISION` behind the last one, with what `decide` and
   * `evolve` throw, and as `appendToStream` does.
   */
  async handle(decide: Decide<State>, options: { retries?: number } = {}): Promise<Handled> {
    callback(decide, 'decide');
    checkAll(options, HANDLE_CHECKS, 'options');
    const { retries = DEFAULT_RETRIES } = options;
    for (let left = retries; ; left--) {
      const { snapshot, ...loaded } = await this.#load();
      const { state, revision } = loaded;
      const events = [await decide(state, loaded)].flat() as EventInput[];
      if (events.length === 0) return { revision, positions: [] };
      try {
        const expectedRevision = revision ?? 'noStream';
        const appended = await this.#store.appendToStream(this.stream, events, { expectedRevision });
        this.#snapshotIfDue(snapshot ?? -1n, appended.nextExpectedRevision);
        return { revision: appended.nextExpectedRevision, positions: appended.positions };
      } catch (error) {
        if (left === 0 || !(error instanceof VarveError) || error.code !== 'ERR_VARVE_WRONG_REVISION') throw error;
      }
      await this.#settled(this.stream); // what was faster can be read then
    }
  }

  /** Resolves when no snapshot is being saved. */
  async whenSnapshotted(): Promise<void> {
    await this.#saving;
  }

  async #load(): Promise<Place<State>> {
    const { evolve, initialState } = this.#options;
    const query = { schemaVersion: this.#schemaVersion };
    const snapshot = await this.#store.readSnapshot<State>(this.stream, query);
    let state = snapshot === undefined ? initialState() : snapshot.state;
    let revision = snapshot?.revision;
    for await (const event of this.#store.readStream(this.stream, { fromRevision: (revision ?? -1n) + 1n })) {
      // What lies between was given up: the stream begins with what is left.
      if (revision !== undefined && event.revision > revision + 1n) state = initialState();
      state = evolve(state, event);
      revision = event.revision;
    }
    return { state, revision, exists: revision !== undefined, snapshot: snapshot?.revision };
  }

  #snapshotIfDue(last: bigint, revision: bigint): void {
    const { snapshotEvery } = this.#options;
    if (snapshotEvery === undefined || this.#saving !== undefined || revision - last < BigInt(snapshotEvery)) return;
    this.#saving = this.#snapshot()
      .catch((error: unknown) => this.#tell(error))
      .finally(() => {
        this.#saving = undefined;
      });
  }

  async #snapshot(): Promise<void> {
    const { state, revision } = await this.#load();
    if (revision === undefined) return; // deleted meanwhile
    const snapshot = { revision, state, schemaVersion: this.#schemaVersion };
    const { pruneError } = await this.#store.saveSnapshot(this.stream, snapshot, {
      keep: this.#options.keepSnapshots ?? 2,
    });
    if (pruneError !== undefined) throw pruneError;
  }

  #tell(error: unknown): void {
    const { onSnapshotError } = this.#options;
    if (onSnapshotError !== undefined) onSnapshotError(error);
    else process.emitWarning(new Error(`A snapshot of '${this.stream}' was not saved or pruned.`, { cause: error }));
  }
}
