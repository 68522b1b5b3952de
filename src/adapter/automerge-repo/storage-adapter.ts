/**
 * Storage of automerge-repo on the event store. See docs/adapters/automerge-repo.md.
 *
 * A document is a stream (document-stream.ts). This file finds the streams, and gives their space back.
 */
import type { Chunk, StorageAdapterInterface, StorageKey } from '@automerge/automerge-repo';
import { VarveError } from '../../errors.js';
import { checkAll, checkPayload, invalid } from '../../options.js';
import type { EventStore } from '../event-store/event-store.js';
import type { EventStoreOptions } from '../event-store/event-store-options.js';
import { openEventStore } from '../event-store/open-event-store.js';
import { checkPeer } from '../installed-peer.js';
import { DocumentStream } from './document-stream.js';
import { checkKey, checkPrefix, STREAM_PREFIX, streamOf } from './keys.js';

export interface VarveStorageAdapterOptions {
  /** Directory of the store: opened when it is needed, closed by `close`. */
  directory?: string;
  /** More options of `openEventStore`. The codec is 'raw' unless one is given. */
  storeOptions?: Omit<EventStoreOptions, 'directory'>;
  /** An open event store in place of a directory. It remains its opener's to purge and to close. */
  store?: EventStore;
}

/** Documents of which it is remembered where their values are. */
const MAX_REMEMBERED = 4096;
const COMPACTED_STREAM = 'automerge.compacted';
/** What the log needs beside a value, roughly. */
const EVENT_BYTES = 256;
const DEFAULT_SEGMENT_SIZE = 64 * 1024 * 1024;
/** Growing by less than so many segments is not worth the work. */
const MIN_SEGMENTS = 4;

const OPTION_CHECKS = {
  directory: (value: unknown, option: string) => {
    if (typeof value !== 'string' || value === '') throw invalid(option, value, 'a path');
  },
  storeOptions: (value: unknown, option: string) => {
    if (typeof value !== 'object' || value === null) throw invalid(option, value, 'an object');
  },
  store: (value: unknown, option: string) => {
    if (typeof (value as EventStore | null)?.appendToStream !== 'function') {
      throw invalid(option, value, 'what openEventStore gives');
    }
  },
};

/**
 * ```ts
 * const storage = new VarveStorageAdapter({ directory: './data' });
 * const repo = new Repo({ storage });
 * …
 * await repo.shutdown();
 * await storage.close();
 * ```
 *
 * The constructor throws `ERR_VARVE_UNSUPPORTED` where another version of automerge-repo is installed, and
 * `ERR_VARVE_INVALID_OPTION`. Methods reject with `ERR_VARVE_INVALID_OPTION`, and as `openEventStore` and the event store do.
 */
export class VarveStorageAdapter implements StorageAdapterInterface {
  readonly #options: VarveStorageAdapterOptions;
  readonly #documents = new Map<string, DocumentStream>();
  /** What `close` waits for. */
  readonly #running = new Set<Promise<unknown>>();
  #opening: Promise<EventStore> | undefined;
  #closing: Promise<void> | undefined;
  #compacting: Promise<void> | undefined;
  /** Bytes saved since the size of the log was looked at. */
  #saved = 0;
  /** Size of the log at which space is given back. */
  #compactAt = 0;

  constructor(options: VarveStorageAdapterOptions) {
    checkPeer('@automerge/automerge-repo', ['2.5']);
    checkAll(options, OPTION_CHECKS, 'options');
    if ((options.directory === undefined) === (options.store === undefined)) {
      throw invalid('directory', options.directory, 'a path, unless a store is given');
    }
    if (options.store !== undefined && options.storeOptions !== undefined) {
      throw invalid('storeOptions', options.storeOptions, 'absent: the store is open already');
    }
    this.#options = { ...options };
  }

  async load(key: StorageKey): Promise<Uint8Array | undefined> {
    const checked = checkKey(key);
    return this.#with(streamOf(checked), (document) => document.load(checked));
  }

  /** The value is there as a whole or not at all, whatever happens; durable when this resolves. */
  async save(key: StorageKey, data: Uint8Array): Promise<void> {
    const checked = checkKey(key);
    checkPayload(data, 'data');
    const bytes = new Uint8Array(data); // the caller may go on changing it
    await this.#with(streamOf(checked), (document) => document.save(checked, bytes));
    this.#saved += bytes.length + EVENT_BYTES;
    if (this.#saved >= this.#segmentSize) await this.#compactIfDue();
  }

  async remove(key: StorageKey): Promise<void> {
    const checked = checkKey(key);
    await this.#with(streamOf(checked), (document) => document.remove(checked));
  }

  /** Values whose keys begin with all of `keyPrefix`, or are it; those of a document in the order in which they were saved. */
  async loadRange(keyPrefix: StorageKey): Promise<Chunk[]> {
    const prefix = checkPrefix(keyPrefix);
    const chunks: Chunk[] = [];
    for (const stream of await this.#streams(prefix)) {
      chunks.push(...(await this.#with(stream, (document) => document.loadRange(prefix))));
    }
    return chunks;
  }

  /** Of one document all or none. */
  async removeRange(keyPrefix: StorageKey): Promise<void> {
    const prefix = checkPrefix(keyPrefix);
    for (const stream of await this.#streams(prefix)) {
      await this.#with(stream, (document) => document.removeRange(prefix));
    }
  }

  /**
   * Writes again what is alive, so that all before it can be purged, and purges it if the store was opened here. With a
   * directory this happens by itself, whenever the log has grown by as much as was alive the last time.
   */
  compact(): Promise<void> {
    this.#compacting ??= this.#compact().finally(() => {
      this.#compacting = undefined;
    });
    return this.#compacting;
  }

  /** Waits for what was asked for, and closes the store if it was opened here. What comes rejects with `ERR_VARVE_CLOSED`. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    // What comes of these is told to whoever asked for them.
    await Promise.allSettled([...this.#running, this.#compacting]);
    const store = await this.#opening?.catch(() => undefined);
    if (this.#options.store === undefined) await store?.close();
  }

  async #store(): Promise<EventStore> {
    if (this.#closing !== undefined) {
      throw new VarveError('ERR_VARVE_CLOSED', 'The storage adapter is closed. Make another one.');
    }
    if (this.#opening === undefined) {
      this.#opening = this.#open();
      this.#opening.catch(() => {
        this.#opening = undefined; // the next call tries again
      });
    }
    return this.#opening;
  }

  async #open(): Promise<EventStore> {
    const { directory, storeOptions, store: given } = this.#options;
    if (given !== undefined) return given;
    const store = await openEventStore({ codec: 'raw', ...storeOptions, directory: directory as string });
    try {
      const [last] = await store.readStream(COMPACTED_STREAM, { direction: 'backwards', maxCount: 1 }).toArray();
      const { again } = (last?.metadata ?? { again: MIN_SEGMENTS * this.#segmentSize }) as { again: number };
      this.#compactAt = again;
      this.#saved = this.#segmentSize; // the first save looks at the size of the log
      return store;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  get #segmentSize(): number {
    return this.#options.storeOptions?.segmentSize ?? DEFAULT_SEGMENT_SIZE;
  }

  async #streams([document]: readonly string[]): Promise<readonly string[]> {
    if (document !== undefined) return [streamOf([document])];
    const store = await this.#store();
    // One whose beginning is purged meanwhile comes up twice.
    return [...new Set((await store.streams({ prefix: STREAM_PREFIX }).toArray()).map(({ stream }) => stream))];
  }

  #with<T>(stream: string, work: (document: DocumentStream) => Promise<T>): Promise<T> {
    const done = this.#do(stream, work);
    const end = () => this.#running.delete(done);
    this.#running.add(done);
    done.then(end, end);
    return done;
  }

  async #do<T>(stream: string, work: (document: DocumentStream) => Promise<T>): Promise<T> {
    const store = await this.#store();
    const document = this.#documents.get(stream) ?? new DocumentStream(store, stream);
    this.#documents.delete(stream); // to the end of the list
    this.#documents.set(stream, document);
    const done = work(document);
    for (const [name, { isIdle }] of this.#documents) {
      if (this.#documents.size <= MAX_REMEMBERED) break;
      if (isIdle) this.#documents.delete(name);
    }
    return done;
  }

  async #compactIfDue(): Promise<void> {
    this.#saved = 0;
    if (this.#options.store !== undefined || this.#closing !== undefined) return;
    const store = await this.#store();
    if (store.stats().bytes.used < this.#compactAt) return;
    this.compact().catch((error: unknown) => {
      process.emitWarning(new Error('Space of removed and superseded values was not given back.', { cause: error }));
    });
  }

  async #compact(): Promise<void> {
    const store = await this.#store();
    const [last] = await store.readAll({ direction: 'backwards', maxCount: 1 }).toArray();
    if (last === undefined) return;
    let living = 0;
    for await (const { stream } of store.streams({ prefix: STREAM_PREFIX })) {
      if (this.#closing !== undefined) return;
      living += await this.#with(stream, (document) => document.moveUp(last.position + 1n));
    }
    if (this.#options.store !== undefined || this.#closing !== undefined) return;
    await store.purge();
    // As much again as is alive: so no more is written a second time than was saved.
    const again = store.stats().bytes.used + Math.max(living, MIN_SEGMENTS * this.#segmentSize);
    await store.appendToStream(COMPACTED_STREAM, { type: 'Compacted', data: new Uint8Array(0), metadata: { again } });
    await store.setStreamMetadata(COMPACTED_STREAM, { maxCount: 1 });
    this.#compactAt = again;
  }
}
