/**
 * Which events were dispatched: one record for each, and now and then one that stands for all before it.
 *
 *   Dispatched { id }                    this event was
 *   DispatchedUpTo { position, ids }     all events before a position were, and these behind it
 */
import { VarveError } from '../../errors.js';
import type { EventStore } from '../event-store/event-store.js';
import type { Names, Query } from './names.js';
import { isFitting, placeOf } from './names.js';
import type { StoredEvent, StoredEvents } from './stored-events.js';

/** More records than this are summed up in one, if that has at most half as many ids. */
const MAX_RECORDS = 1000;

/** Something was dispatched meanwhile; or so many ids do not fit in a segment. */
const REASONS_TO_WAIT = new Set<string>(['ERR_VARVE_WRONG_REVISION', 'ERR_VARVE_RECORD_TOO_LARGE']);

interface Dispatched {
  /** All events before it were dispatched. */
  position: bigint;
  /** And so were these. */
  ids: Set<string>;
  records: number;
  /** Revision of the last record; −1 where there is none. */
  revision: bigint;
}

export class Dispatching {
  readonly #store: EventStore;
  readonly #names: Names;
  readonly #events: StoredEvents;

  constructor(store: EventStore, names: Names, events: StoredEvents) {
    this.#store = store;
    this.#names = names;
    this.#events = events;
  }

  async setDispatched(id: string): Promise<void> {
    await this.#store.appendToStream(this.#names.dispatched, { type: 'Dispatched', data: { id } });
  }

  async undispatched(query: Query): Promise<StoredEvent[]> {
    const dispatched = await this.#read();
    const { position: start, ids } = dispatched;
    const found: StoredEvent[] = [];
    let first: bigint | undefined;
    let end = start;
    const behind: string[] = [];
    for await (const { event, position } of this.#events.from(start, {})) {
      end = position + 1n;
      if (!ids.has(event.id)) {
        first ??= position;
        if (isFitting(query, placeOf(event))) found.push(event);
      } else if (first !== undefined) behind.push(event.id);
    }
    const { records, revision } = dispatched;
    if (records > MAX_RECORDS && behind.length <= records / 2) await this.#sumUp(revision, first ?? end, behind);
    return found;
  }

  async #read(): Promise<Dispatched> {
    const dispatched: Dispatched = { position: 0n, ids: new Set(), records: 0, revision: -1n };
    for await (const { type, data, revision } of this.#store.readStream(this.#names.dispatched)) {
      if (type === 'Dispatched') dispatched.ids.add((data as { id: string }).id);
      else {
        const { position, ids } = data as { position: bigint; ids: string[] };
        Object.assign(dispatched, { position, ids: new Set(ids), records: ids.length });
      }
      dispatched.records++;
      dispatched.revision = revision;
    }
    return dispatched;
  }

  /** Only if nothing was dispatched since it was read: that would be lost. If not now, the next time will do. */
  async #sumUp(revision: bigint, position: bigint, ids: readonly string[]): Promise<void> {
    const stream = this.#names.dispatched;
    try {
      const { nextExpectedRevision } = await this.#store.appendToStream(
        stream,
        { type: 'DispatchedUpTo', data: { position, ids } },
        { expectedRevision: revision },
      );
      await this.#store.truncateStream(stream, nextExpectedRevision);
    } catch (error) {
      if (!(error instanceof VarveError) || !REASONS_TO_WAIT.has(error.code)) throw error;
    }
  }
}
