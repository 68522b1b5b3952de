/**
 * Random programs over two of Castore's event stores, on Varve and on Castore's own adapter in memory: every event, every
 * refusal and every list is the same, over reopenings.
 *
 * The model keeps the events of an aggregate in the order in which they were pushed; here, as with Castore's databases,
 * it is that of versions. What a refused group leaves behind in the model (an aggregate without events) is taken away.
 */
import assert from 'node:assert/strict';
import { type EventDetail, type EventStorageAdapter, EventStore, isEventAlreadyExistsError } from '@castore/core';
import { InMemoryEventStorageAdapter } from '@castore/event-storage-adapter-in-memory';
import { test } from '@jest/globals';
import fc from 'fast-check';
import { SimulatedDisk } from '../../src/testing/index.js';
import { runs } from '../runs.js';
import { adapterOn } from '../support/castore.js';
import { openStore } from '../support/small-stores.js';

const STORES = ['CREW', 'GUESTS'] as const;
const AGGREGATES = ['a', 'b-1', 'b-2', 'c'] as const;

/** 'next': the version behind the newest. A number: this one, whatever there is. */
interface Pushed {
  readonly store: number;
  readonly aggregateId: string;
  readonly version: 'next' | number;
  readonly size: number;
}
type Step =
  | { readonly do: 'push'; readonly event: Pushed; readonly force: boolean }
  | { readonly do: 'group'; readonly events: readonly Pushed[]; readonly force: boolean }
  | { readonly do: 'get'; readonly store: number; readonly aggregateId: string; readonly options: object }
  | { readonly do: 'list'; readonly store: number; readonly limit: number | undefined; readonly options: ListOptions }
  | { readonly do: 'reopen' };
interface ListOptions {
  readonly initialEventAfter?: string;
  readonly initialEventBefore?: string;
  readonly reverse?: boolean;
}

const FIRST_MS = Date.UTC(2001, 0, 1);
/** Every event has a timestamp of its own, though they do not grow: 7919 is prime. */
const timestampOf = (n: number) => new Date(FIRST_MS + ((n * 7919) % 100_003) * 1000).toISOString();

const store = fc.nat(STORES.length - 1);
const aggregateId = fc.constantFrom(...AGGREGATES);
const pushed = fc.record({
  store,
  aggregateId,
  version: fc.oneof(
    { weight: 4, arbitrary: fc.constant('next' as const) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 6 }) },
  ),
  size: fc.constantFrom(0, 40, 400),
});
const some = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const timestamp = some(fc.nat(100).map(timestampOf));
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('push' as const), event: pushed, force: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('group' as const),
      events: fc.array(pushed, { minLength: 1, maxLength: 5 }),
      force: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('get' as const),
      store,
      aggregateId,
      options: fc.record({
        minVersion: some(fc.nat(7)),
        maxVersion: some(fc.nat(7)),
        limit: some(fc.nat(4)),
        reverse: some(fc.boolean()),
      }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('list' as const),
      store,
      limit: some(fc.integer({ min: 1, max: 3 })),
      options: fc.record({
        initialEventAfter: timestamp,
        initialEventBefore: timestamp,
        reverse: some(fc.boolean()),
      }) as fc.Arbitrary<ListOptions>,
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'reopen' as const }) },
);

const eventStores = (adapters: readonly EventStorageAdapter[]) =>
  STORES.map(
    (eventStoreId, i) =>
      new EventStore({
        eventStoreId,
        eventTypes: [],
        reducer: (aggregate) => aggregate,
        eventStorageAdapter: adapters[i] as EventStorageAdapter,
      }),
  );
type Stores = ReturnType<typeof eventStores>;

/** Model and Varve are asked the same: what one answers or refuses, the other does. */
async function outcome<T>(work: () => Promise<T>): Promise<T | object> {
  try {
    return await work();
  } catch (error) {
    if (!isEventAlreadyExistsError(error)) throw error;
    const { eventStoreId, aggregateId: id, version } = error;
    return { refused: { eventStoreId, id, version } };
  }
}

/** All pages. */
async function listAll(stores: Stores, { store: i, limit, options }: Step & { do: 'list' }) {
  const pages: object[] = [];
  let given: object = { ...options, limit };
  for (;;) {
    const { aggregateIds, nextPageToken: pageToken } = await (stores[i] as Stores[number]).listAggregateIds(given);
    pages.push(aggregateIds);
    if (pageToken === undefined) return pages;
    given = { pageToken };
  }
}

async function run(program: readonly Step[], partitions: number): Promise<void> {
  const disk = new SimulatedDisk();
  let varve = await openStore(disk, { partitions });
  let own = eventStores(STORES.map(() => adapterOn(varve)));
  const memory = STORES.map(() => new InMemoryEventStorageAdapter());
  const model = eventStores(memory);
  let count = 0;

  /** What a step pushes; `planned`: the versions that earlier events of the same group take. */
  const detail = ({ store: i, aggregateId: id, version, size }: Pushed, planned: Map<string, number>): EventDetail => {
    const known = (memory[i] as InMemoryEventStorageAdapter).eventStore;
    const newest =
      planned.get(`${i} ${id}`) ?? (Object.hasOwn(known, id) ? known[id]?.at(-1)?.version : undefined) ?? 0;
    const taken = version === 'next' ? newest + 1 : version;
    planned.set(`${i} ${id}`, Math.max(newest, taken));
    const n = count++;
    return {
      aggregateId: id,
      version: taken,
      type: `T${n % 3}`,
      timestamp: timestampOf(n),
      payload: { n, text: 'x'.repeat(size) },
      metadata: { n },
    };
  };
  const tidy = () => {
    for (const { eventStore } of memory) {
      for (const [id, events] of Object.entries(eventStore)) {
        if (events.length === 0) delete eventStore[id];
        events.sort((a, b) => a.version - b.version);
      }
    }
  };

  for (const given of program) {
    if (given.do === 'reopen') {
      await varve.close();
      varve = await openStore(disk, { partitions });
      own = eventStores(STORES.map(() => adapterOn(varve)));
    } else if (given.do === 'push') {
      const event = detail(given.event, new Map());
      const push = (stores: Stores) =>
        outcome(() => (stores[given.event.store] as Stores[number]).pushEvent(event as never, { force: given.force }));
      assert.deepEqual(await push(own), await push(model));
    } else if (given.do === 'group') {
      const planned = new Map<string, number>();
      const events = given.events.map((event) => [event.store, detail(event, planned)] as const);
      const push = (stores: Stores) =>
        outcome(() => {
          const group = events.map(([i, event]) => (stores[i] as Stores[number]).groupEvent(event as never));
          return EventStore.pushEventGroup({ force: given.force }, ...(group as [never]));
        });
      assert.deepEqual(await push(own), await push(model));
    } else if (given.do === 'get') {
      const get = (stores: Stores) =>
        (stores[given.store] as Stores[number]).getEvents(given.aggregateId, given.options);
      assert.deepEqual(await get(own), await get(model));
    } else {
      assert.deepEqual(await listAll(own, given), await listAll(model, given));
    }
    tidy();
  }
  await varve.close();
}

test('programs have the results that they have in memory', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30, size: 'max' }), fc.constantFrom(1, 2), run),
    { numRuns: runs(120) },
  );
});
