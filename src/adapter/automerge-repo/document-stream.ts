/**
 * What is stored of one document: a stream of values that were saved, and of keys that were removed.
 *
 *   Saved { key } bytes · Saved { key } bytes · Removed { keys } · …
 *
 * Of a key the last one counts. Where each is stands in memory, as far as the stream was read. Everything here happens one
 * call after the other, so that each sees what was asked for before.
 */
import { VarveError } from '../../errors.js';
import type { EventStore } from '../event-store/event-store.js';
import type { RecordedEvent } from '../event-store/recorded-event.js';
import { beginsWith, type Key } from './keys.js';

export interface Value {
  readonly key: string[];
  readonly data: Uint8Array;
}

/** What stands beside a value, and in place of one. */
interface Note {
  readonly key?: Key;
  readonly keys?: readonly Key[];
}

type Written = Pick<RecordedEvent, 'type' | 'data' | 'metadata' | 'revision' | 'position'>;

interface Place {
  readonly key: Key;
  /** Bytes of the value. */
  readonly size: number;
  readonly revision: bigint;
  readonly position: bigint;
}

/** The stream is truncated when so many events at its beginning have become useless. */
const TRUNCATE_AFTER = 32n;

const nameOf = (key: Key): string => JSON.stringify(key);

export class DocumentStream {
  readonly #store: EventStore;
  readonly #stream: string;
  /** Of keys that have a value; by revision, ascending. */
  readonly #places = new Map<string, Place>();
  /** The newest revision that was read. */
  #head = -1n;
  /** Events before it were given up. */
  #oldest = 0n;
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(store: EventStore, stream: string) {
    this.#store = store;
    this.#stream = stream;
  }

  /** Nothing is being done, and nothing waits. */
  get isIdle(): boolean {
    return this.#waiting === 0;
  }

  load(key: Key): Promise<Uint8Array | undefined> {
    return this.#inTurn(async () => {
      const place = this.#places.get(nameOf(key));
      return place && (await this.#read(place))?.data;
    });
  }

  loadRange(prefix: Key): Promise<Value[]> {
    return this.#inTurn(async () => {
      const values = await Promise.all(this.#placesOf(prefix).map((place) => this.#read(place)));
      return values.filter((value) => value !== undefined);
    });
  }

  save(key: Key, data: Uint8Array): Promise<void> {
    return this.#inTurn(async () => {
      await this.#append({ type: 'Saved', data, metadata: { key } });
      await this.#truncate();
    });
  }

  /** Removes all of it with one event. */
  removeRange(prefix: Key): Promise<void> {
    return this.#inTurn(() => this.#remove(this.#placesOf(prefix)));
  }

  remove(key: Key): Promise<void> {
    return this.#inTurn(async () => {
      const place = this.#places.get(nameOf(key));
      if (place !== undefined) await this.#remove([place]);
    });
  }

  /**
   * Writes again what was written before `position`, so that all before it can be purged. Resolves with the number of
   * bytes that are alive.
   */
  moveUp(position: bigint): Promise<number> {
    return this.#inTurn(async () => {
      if (this.#places.size === 0 && this.#head >= 0n) await this.#delete();
      for (const place of [...this.#places.values()]) {
        if (place.position >= position) break;
        const value = await this.#read(place);
        if (value === undefined) continue;
        const { key, data } = value;
        // If somebody else has written meanwhile, this value may be an old one.
        if (!(await this.#append({ type: 'Saved', data, metadata: { key } }, this.#head))) break;
      }
      await this.#truncate(1n);
      return [...this.#places.values()].reduce((sum, { size }) => sum + size, 0);
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting++;
    const done = this.#turn
      .then(() => this.#catchUp())
      .then(work)
      .finally(() => this.#waiting--);
    this.#turn = done.catch(() => {}); // told to whoever asked for it
    return done;
  }

  /** Others may write to the same stream. */
  async #catchUp(): Promise<void> {
    for await (const event of this.#store.readStream(this.#stream, { fromRevision: this.#head + 1n })) {
      if (this.#head < 0n) this.#oldest = event.revision;
      this.#apply(event);
    }
  }

  #apply({ type, data, metadata, revision, position }: Written): void {
    const { key, keys = [] } = metadata as Note;
    for (const removed of keys) this.#places.delete(nameOf(removed));
    if (type === 'Saved' && key !== undefined) {
      this.#places.delete(nameOf(key)); // to the end of the list
      this.#places.set(nameOf(key), { key, size: (data as Uint8Array).length, revision, position });
    }
    this.#head = revision;
  }

  #placesOf(prefix: Key): Place[] {
    return [...this.#places.values()].filter(({ key }) => beginsWith(key, prefix));
  }

  /** Undefined where retention has given it up. */
  async #read({ key, revision }: Place): Promise<Value | undefined> {
    const range = { fromRevision: revision, toRevision: revision };
    const [event] = await this.#store.readStream(this.#stream, range).toArray();
    return event && { key: [...key], data: new Uint8Array(event.data as Uint8Array) };
  }

  /** False if the stream is not at the revision that is expected. */
  async #append(
    event: { readonly type: string; readonly data: Uint8Array; readonly metadata: Note },
    expectedRevision?: bigint,
  ): Promise<boolean> {
    const options = expectedRevision === undefined ? {} : { expectedRevision };
    const appended = await this.#store.appendToStream(this.#stream, event, options).catch(ifWrongRevision);
    if (appended === undefined) return false;
    const { nextExpectedRevision: revision, positions } = appended;
    // Else there is something in between, which is read first.
    if (revision === this.#head + 1n) this.#apply({ ...event, revision, position: positions[0] as bigint });
    return true;
  }

  async #remove(places: readonly Place[]): Promise<void> {
    if (places.length === 0) return;
    if (places.length === this.#places.size && (await this.#delete())) return;
    const keys = places.map(({ key }) => key);
    await this.#append({ type: 'Removed', data: new Uint8Array(0), metadata: { keys } });
    await this.#truncate();
  }

  /** With its last value a document goes, unless somebody else has written meanwhile. */
  async #delete(): Promise<boolean> {
    const deleted = this.#store.deleteStream(this.#stream, { expectedRevision: this.#head }).then(() => true);
    if ((await deleted.catch(ifWrongRevision)) !== true) return false;
    this.#places.clear();
    this.#oldest = this.#head + 1n;
    return true;
  }

  async #truncate(after = TRUNCATE_AFTER): Promise<void> {
    const [first] = this.#places.values();
    if (first === undefined || first.revision - this.#oldest < after) return;
    await this.#store.truncateStream(this.#stream, first.revision);
    this.#oldest = first.revision;
  }
}

function ifWrongRevision(error: unknown): undefined {
  if (!(error instanceof VarveError) || error.code !== 'ERR_VARVE_WRONG_REVISION') throw error;
}
