/**
 * Durable states over the event store: a stream for each persistence id, of which the newest event holds the state, or says
 * that there is none any more. Each write expects the stream to be where it was when the one before was seen, so of any
 * number of owners one wins.
 */
import { LRUCache } from 'lru-cache';
import { checkAll } from '../../options.js';
import type { EventStore } from '../event-store/event-store.js';
import type { AppendToStreamResult } from '../event-store/event-store-options.js';
import type { ExpectedRevision } from '../event-store/expected-revision.js';
import { type DurableState, DurableStateConcurrencyError, type DurableStateStore } from './durable-state-store.js';
import { NOTHING, newestEvent, perStore, REMEMBERED, taken } from './newest.js';
import { IdStreams, isWrongRevision, number } from './streams.js';

export interface EventStoreStatesOptions {
  /** Streams are `<category>-<persistence id>`: 1 to 100 bytes without a dash. Default 'state'. */
  category?: string;
}

const STORED = 'StateStored';
const DELETED = 'StateDeleted';

/** Beside a state: its revision; 0 where it was deleted. */
interface Note {
  readonly revision: number;
}

interface Newest extends Note {
  /** What the next write expects of the stream. */
  readonly at: ExpectedRevision;
}

const newestOf = perStore(() => new LRUCache<string, Newest>({ max: REMEMBERED }));

/**
 * Closing it leaves the event store open. Methods reject with `ERR_VARVE_CLOSED`, `ERR_VARVE_INVALID_OPTION`,
 * `ERR_VARVE_INVALID_EVENT` for a state that the codec cannot keep, and what the event store says.
 */
export class EventStoreStates<State = unknown> implements DurableStateStore<State> {
  readonly #streams: IdStreams;

  constructor(store: EventStore, options: EventStoreStatesOptions = {}) {
    checkAll(options, { category: () => {} }, 'options');
    this.#streams = new IdStreams(store, options.category ?? 'state', 'The store of durable states');
  }

  /** The state is encoded in this turn: it may be changed afterwards. */
  async upsert(persistenceId: string, expectedRevision: number, state: State): Promise<DurableState<State>> {
    this.#streams.refuseClosed();
    const stream = this.#streams.streamOf(persistenceId);
    number(expectedRevision, 'expectedRevision');
    const { store } = this.#streams;
    let newest = newestOf(store).get(stream);
    let data = state;
    if (newest?.revision !== expectedRevision) {
      data = taken(store, state);
      newest = await this.#newest(stream);
    }
    if (newest.revision !== expectedRevision) {
      throw new DurableStateConcurrencyError(persistenceId, expectedRevision, newest.revision);
    }
    if (newest.at === 'noStream') await this.#keepNewestOnly(stream);
    try {
      const revision = expectedRevision + 1;
      const { created } = await this.#append(stream, STORED, data, { revision, at: newest.at });
      return { persistenceId, revision, state, timestamp: (created as Date).getTime() };
    } catch (error) {
      if (!isWrongRevision(error)) throw error;
      const { revision } = await this.#newest(stream);
      throw new DurableStateConcurrencyError(persistenceId, expectedRevision, revision);
    }
  }

  async load(persistenceId: string): Promise<DurableState<State> | undefined> {
    this.#streams.refuseClosed();
    const event = await newestEvent(this.#streams.store, this.#streams.streamOf(persistenceId));
    if (event?.type !== STORED) return undefined;
    const { revision } = event.metadata as Note;
    return { persistenceId, revision, state: event.data as State, timestamp: event.created.getTime() };
  }

  async delete(persistenceId: string): Promise<void> {
    this.#streams.refuseClosed();
    const stream = this.#streams.streamOf(persistenceId);
    for (;;) {
      const { revision, at } = await this.#newest(stream);
      if (revision === 0) return;
      try {
        const { nextExpectedRevision } = await this.#append(stream, DELETED, NOTHING, { revision: 0, at });
        return await this.#deleteStream(stream, nextExpectedRevision);
      } catch (error) {
        if (!isWrongRevision(error)) throw error; // else another one came first, and is read now
      }
    }
  }

  /** The event has said that there is no state; without its stream, nothing is left that a purge would have to keep. */
  async #deleteStream(stream: string, expectedRevision: bigint): Promise<void> {
    try {
      await this.#streams.store.deleteStream(stream, { expectedRevision });
    } catch (error) {
      if (!isWrongRevision(error)) throw error; // else there is a new state already
    }
  }

  async close(): Promise<void> {
    this.#streams.close();
  }

  /** As the log has it. */
  async #newest(stream: string): Promise<Newest> {
    const event = await newestEvent(this.#streams.store, stream);
    if (event === undefined) return { revision: 0, at: 'noStream' };
    return { revision: (event.metadata as Note).revision, at: event.revision };
  }

  async #keepNewestOnly(stream: string): Promise<void> {
    const { store } = this.#streams;
    // What is said replaces what was said before; it stays when a state is deleted, so once is enough.
    const metadata = await store.getStreamMetadata(stream);
    if (Object.keys(metadata).length === 0) await store.setStreamMetadata(stream, { maxCount: 1 });
  }

  async #append(stream: string, type: string, data: unknown, { revision, at }: Newest): Promise<AppendToStreamResult> {
    const { store } = this.#streams;
    const event = { type, data, metadata: { revision } satisfies Note };
    const result = await store.appendToStream(stream, event, { expectedRevision: at });
    newestOf(store).set(stream, { revision, at: result.nextExpectedRevision });
    return result;
  }
}
