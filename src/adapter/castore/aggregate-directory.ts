/**
 * Which aggregates an event store has, in the order of the timestamps of their first events.
 *
 * Streams are kept in the order of positions; Castore's order is that of timestamps, which callers may choose. So ids and
 * timestamps are held in memory, from the first listing on. What has been appended since the last one is read up.
 */
import type { ListAggregateIdsOptions, ListAggregateIdsOutput } from '@castore/core';
import { boolean, checkAll, integer, invalid } from '../../options.js';
import type { EventStore } from '../event-store/event-store.js';
import { categoryFor } from './castore-event.js';

type Listed = ListAggregateIdsOutput['aggregateIds'][number];

/** What a page token holds: the options of the page before, and where it ended. */
type Page = Omit<ListAggregateIdsOptions, 'pageToken'> & { readonly last?: Listed };

const text = (value: unknown, option: string) => {
  if (typeof value !== 'string') throw invalid(option, value, 'a string');
};

const OPTION_CHECKS = {
  limit: integer(0, Number.MAX_SAFE_INTEGER),
  initialEventAfter: text,
  initialEventBefore: text,
  reverse: boolean,
};
const LIST_CHECKS = { ...OPTION_CHECKS, pageToken: text };
const PAGE_CHECKS = {
  ...OPTION_CHECKS,
  last: (value: unknown, option: string) => {
    const { aggregateId, initialEventTimestamp } = value as Listed;
    text(aggregateId, option);
    text(initialEventTimestamp, option);
  },
};

/** By timestamp; where it is the same, by id. */
function compare(a: Listed, b: Listed): number {
  if (a.initialEventTimestamp !== b.initialEventTimestamp) {
    return a.initialEventTimestamp < b.initialEventTimestamp ? -1 : 1;
  }
  if (a.aggregateId === b.aggregateId) return 0;
  return a.aggregateId < b.aggregateId ? -1 : 1;
}

export class AggregateDirectory {
  readonly #store: EventStore;
  readonly #category: string;
  /** The timestamp of an aggregate's first event; undefined where it has none. */
  readonly #initialTimestamp: (aggregateId: string) => Promise<string | undefined>;
  readonly #timestamps = new Map<string, string>();
  /** Undefined where the timestamps have changed since. */
  #sorted: readonly Listed[] | undefined;
  /** All before it is known. */
  #checkpoint: string | undefined;
  #refreshing: Promise<unknown> = Promise.resolve();

  constructor(
    store: EventStore,
    eventStoreId: string,
    initialTimestamp: (aggregateId: string) => Promise<string | undefined>,
  ) {
    this.#store = store;
    this.#category = categoryFor(eventStoreId);
    this.#initialTimestamp = initialTimestamp;
  }

  /** Rejects with `ERR_VARVE_INVALID_OPTION`. */
  async list(options: ListAggregateIdsOptions = {}): Promise<ListAggregateIdsOutput> {
    checkAll(options, LIST_CHECKS, 'options');
    const { pageToken, ...given } = options;
    const before: Page = pageToken === undefined ? {} : parsePage(pageToken);
    const page = { ...before, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) };
    const { limit = Number.POSITIVE_INFINITY, initialEventAfter, initialEventBefore, reverse = false, last } = page;
    const sorted = await this.#refreshed();
    const fitting = sorted.filter(
      (listed) =>
        (initialEventAfter === undefined || listed.initialEventTimestamp >= initialEventAfter) &&
        (initialEventBefore === undefined || listed.initialEventTimestamp <= initialEventBefore) &&
        (last === undefined || (reverse ? compare(listed, last) < 0 : compare(listed, last) > 0)),
    );
    if (reverse) fitting.reverse();
    const aggregateIds = fitting.slice(0, limit).map((listed) => ({ ...listed }));
    if (fitting.length <= limit) return { aggregateIds };
    return { aggregateIds, nextPageToken: formatPage({ ...page, ...lastOf(aggregateIds) }) };
  }

  /** One at a time: two that read up at once would do it twice. */
  #refreshed(): Promise<readonly Listed[]> {
    const refreshed = this.#refreshing.then(() => this.#refresh());
    this.#refreshing = refreshed.catch(() => {}); // told to whoever asked for it
    return refreshed;
  }

  async #refresh(): Promise<readonly Listed[]> {
    const checkpoint = this.#store.checkpoint();
    if (checkpoint !== this.#checkpoint) {
      const streams = this.#checkpoint === undefined ? this.#all() : this.#changedSince(this.#checkpoint);
      for (const stream of await streams) await this.#look(stream.slice(this.#category.length + 1));
      this.#checkpoint = checkpoint;
    }
    this.#sorted ??= [...this.#timestamps]
      .map(([aggregateId, initialEventTimestamp]) => ({ aggregateId, initialEventTimestamp }))
      .sort(compare);
    return this.#sorted;
  }

  async #look(aggregateId: string): Promise<void> {
    const timestamp = await this.#initialTimestamp(aggregateId);
    if (timestamp === this.#timestamps.get(aggregateId)) return;
    this.#sorted = undefined;
    if (timestamp === undefined) this.#timestamps.delete(aggregateId);
    else this.#timestamps.set(aggregateId, timestamp);
  }

  async #all(): Promise<Iterable<string>> {
    const streams = await this.#store.streams({ prefix: `${this.#category}-` }).toArray();
    return streams.map(({ stream }) => stream);
  }

  /** Streams with new events, or new metadata, by which they may have been deleted. */
  async #changedSince(checkpoint: string): Promise<Iterable<string>> {
    const streams = new Set<string>();
    const filter = { categories: [this.#category, `$$${this.#category}`], system: true };
    for await (const { stream } of this.#store.readAll({ from: { checkpoint }, filter })) {
      streams.add(stream.startsWith('$$') ? stream.slice(2) : stream);
    }
    return streams;
  }
}

function lastOf(listed: readonly Listed[]): { last?: Listed } {
  const last = listed.at(-1);
  return last === undefined ? {} : { last };
}

function formatPage(page: Page): string {
  return Buffer.from(JSON.stringify(page)).toString('base64url');
}

function parsePage(token: string): Page {
  try {
    const page = JSON.parse(Buffer.from(token, 'base64url').toString()) as Page;
    checkAll(page, PAGE_CHECKS, 'page');
    return page;
  } catch {
    throw invalid('pageToken', token, 'what an earlier page has given as nextPageToken');
  }
}
