/**
 * Persistence ids as streams of the event store: `<category>-<persistence id>`. The category has no dash, so the first dash
 * of a stream tells them apart, and events of a category are indexed.
 *
 * What is given by callers is checked here, before anything is touched.
 */
import { VarveError } from '../../errors.js';
import { type Check, integer, invalid } from '../../options.js';
import { EventStore } from '../event-store/event-store.js';

const MAX_CATEGORY_BYTES = 100;
/** With the longest category it fits in a stream id. */
const MAX_ID_BYTES = 900;

export class IdStreams {
  readonly store: EventStore;
  readonly prefix: string;
  readonly #what: string;
  /** Aborted when the journal or store that this belongs to is closed. */
  readonly #closing = new AbortController();

  /** Throws `ERR_VARVE_INVALID_OPTION` unless `store` is an event store and `category` can be one. */
  constructor(store: EventStore, category: string, what: string) {
    if (!(store instanceof EventStore)) throw invalid('store', typeof store, 'an event store, of openEventStore');
    const fits = typeof category === 'string' && /^[^$-][^-]*$/u.test(category) && isText(category, MAX_CATEGORY_BYTES);
    if (!fits) {
      throw invalid(
        'category',
        category,
        `a text of 1 to ${MAX_CATEGORY_BYTES} bytes, without dashes and no $ before it`,
      );
    }
    this.store = store;
    this.prefix = `${category}-`;
    this.#what = what;
  }

  get category(): string {
    return this.prefix.slice(0, -1);
  }

  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  close(): void {
    this.#closing.abort();
  }

  /** Throws `ERR_VARVE_CLOSED`. */
  refuseClosed(): void {
    if (!this.closed.aborted) return;
    const { directory } = this.store;
    throw new VarveError('ERR_VARVE_CLOSED', `${this.#what} in ${directory} is closed.`, { path: directory });
  }

  /** The stream of a persistence id. Throws `ERR_VARVE_INVALID_OPTION`. */
  streamOf(persistenceId: string): string {
    if (!isText(persistenceId, MAX_ID_BYTES)) {
      throw invalid('persistenceId', persistenceId, `a text of 1 to ${MAX_ID_BYTES} bytes of UTF-8`);
    }
    return this.prefix + persistenceId;
  }

  idOf(stream: string): string {
    return stream.slice(this.prefix.length);
  }
}

function isText(value: unknown, maxBytes: number): boolean {
  if (typeof value !== 'string' || value === '' || /\p{Surrogate}/u.test(value)) return false;
  return Buffer.byteLength(value) <= maxBytes;
}

/** A sequence number, or how many: 0 … 2⁵³ − 1. */
export const number: Check = integer(0, Number.MAX_SAFE_INTEGER);

/** The same, or Infinity. */
export const upperBound: Check = (value, option) => {
  if (value !== Number.POSITIVE_INFINITY) number(value, option);
};

export const timestamp: Check = (value, option) => {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw invalid(option, value, 'ms since the epoch');
};

export const isWrongRevision = (error: unknown): error is VarveError =>
  error instanceof VarveError && error.code === 'ERR_VARVE_WRONG_REVISION';
