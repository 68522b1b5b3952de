/**
 * Random programs against journals, snapshots, durable states and nact's engine over the event store, and against models in
 * memory (of the engine, nact's own): what both answer must be the same. And the same stores under crashes anywhere.
 */
import { createRequire } from 'node:module';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { PersistedEvent, PersistedSnapshot } from 'nact';
import { type EventStore, openEventStore } from 'varve';
import {
  EventStoreJournal,
  EventStoreSnapshots,
  EventStoreStates,
  type Journal,
  JournalConcurrencyError,
} from 'varve/journal';
import { VarvePersistenceEngine } from 'varve/nact';
import { command, crashRecovery, SimulatedDisk } from '../../src/testing/index.js';
import { runs } from '../runs.js';
import { MemoryJournal, MemorySnapshotStore, MemoryStates } from '../support/memory-journal.js';

/** Nact's engine in memory, of which there are no types. */
interface InMemory {
  persist(event: PersistedEvent): Promise<unknown>;
  takeSnapshot(snapshot: PersistedSnapshot): Promise<unknown>;
  latestSnapshot(key: string): Promise<PersistedSnapshot | undefined>;
  events(key: string, offset: number, limit: number | undefined): PersistedEvent[];
}
const { MockPersistenceEngine } = createRequire(import.meta.url)('nact/test/mock-persistence-engine.js') as {
  MockPersistenceEngine: new () => InMemory;
};

const id = fc.constantFrom('a', 'b', 'a-b', '$c', 'A');
const tags = fc.subarray(['red', 'green', 'blue']);
const small = fc.nat(9);
/** What the event store's codec keeps, and JSON does not, among it. */
const value = fc.oneof(
  fc.jsonValue(),
  fc.bigInt(),
  fc.date(),
  fc.uint8Array({ maxLength: 9 }),
  fc.constantFrom(undefined, Number.NaN, -0, new Map([[new Set([1n]), undefined]]), 'x'.repeat(700)),
);
const partitions = fc.constantFrom(1, 3);

/** A store on a disk of its own, with segments so small that a program fills several. */
class Place {
  readonly #disk = new SimulatedDisk();
  readonly #partitions: number;
  store!: EventStore;

  constructor(count: number) {
    this.#partitions = count;
  }

  async open(): Promise<void> {
    const options = { directory: '/data', disk: this.#disk, segmentSize: 8192, partitions: this.#partitions };
    this.store = await openEventStore(options);
  }

  async reopen(): Promise<void> {
    await this.store.close();
    await this.open();
  }
}

/** What a call has led to, in words that can be compared: of errors of ours their kind. */
async function outcome(call: Promise<unknown>): Promise<unknown> {
  try {
    return { value: await call };
  } catch (error) {
    const { name, persistenceId, expectedSeq, actualSeq, expectedRevision, actualRevision } = error as Record<
      string,
      unknown
    >;
    return { name, persistenceId, expectedSeq, actualSeq, expectedRevision, actualRevision };
  }
}

async function same(ours: Promise<unknown>, model: Promise<unknown>): Promise<void> {
  const [is, should] = await Promise.all([outcome(ours), outcome(model)]);
  expect(is).toEqual(should);
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of source) found.push(one);
  return found;
}

describe('the journal', () => {
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('append' as const),
        id,
        events: fc.array(fc.record({ event: value, tags }), { minLength: 1, maxLength: 4 }),
        off: fc.constantFrom(0, 0, 0, 0, 1, -1),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), id, to: small }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('raise' as const), id, to: small }) },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('read' as const),
        id,
        from: fc.option(small, { nil: undefined }),
        to: fc.option(small, { nil: undefined }),
        limit: fc.option(small, { nil: undefined }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('tag' as const),
        tag: fc.constantFrom('red', 'green', 'none'),
        behind: fc.option(small, { nil: undefined }),
        limit: fc.option(small, { nil: undefined }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('ids' as const), limit: fc.integer({ min: 1, max: 3 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('reopen' as const, 'purge' as const) }) },
  );

  const places = async (
    source: AsyncIterable<{ persistenceId: string; seq: number; event: unknown; tags: readonly string[] }>,
  ) =>
    (await all(source)).map(({ persistenceId, seq, event, tags: given }) => ({
      persistenceId,
      seq,
      event,
      tags: given,
    }));

  async function ids(journal: Journal, limit: number): Promise<string[]> {
    const found: string[] = [];
    let after: string | undefined;
    do {
      const page = await journal.persistenceIds(after === undefined ? { limit } : { limit, after });
      expect(page.ids.length).toBeLessThanOrEqual(limit);
      found.push(...page.ids);
      after = page.next;
    } while (after !== undefined);
    return found.sort();
  }

  test('answers as one in memory does', async () => {
    const program = fc.array(step, { minLength: 1, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(partitions, program, async (count, steps) => {
        const place = new Place(count);
        await place.open();
        let ours = new EventStoreJournal(place.store);
        const model = new MemoryJournal();
        const withEvents = new Set<string>();
        for (const given of steps) {
          if (given.do === 'append') {
            const expected = Math.max(0, (await model.highestSeq(given.id)) + given.off);
            const appended = (journal: Journal) =>
              journal
                .append(given.id, given.events, expected)
                .then((stored) =>
                  stored.map(({ persistenceId, seq, event, tags: has }) => ({ persistenceId, seq, event, tags: has })),
                );
            await same(appended(ours), appended(model));
            if (expected === (await model.highestSeq(given.id)) - given.events.length) withEvents.add(given.id);
          } else if (given.do === 'delete') {
            await same(ours.deleteTo(given.id, given.to), model.deleteTo(given.id, given.to));
          } else if (given.do === 'raise') {
            if (withEvents.has(given.id)) continue;
            await ours.raiseHighestSeq(given.id, given.to);
            model.data.highest.set(given.id, Math.max(given.to, await model.highestSeq(given.id)));
          } else if (given.do === 'read') {
            const { id: of, from, to, limit } = given;
            const range = {
              ...(from === undefined ? {} : { from }),
              ...(to === undefined ? {} : { to }),
              ...(limit === undefined ? {} : { limit }),
            };
            await same(places(ours.read(of, range)), places(model.read(of, range)));
            await same(ours.highestSeq(of), model.highestSeq(of));
          } else if (given.do === 'tag') {
            const tagged = async (journal: Required<Pick<Journal, 'eventsByTag'>>) => {
              const { tag, behind, limit } = given;
              const offsets = (await all(journal.eventsByTag(tag))).map(({ offset }) => offset);
              const after = (behind === undefined ? undefined : offsets[behind]) ?? 0;
              return places(journal.eventsByTag(tag, limit === undefined ? { after } : { after, limit }));
            };
            await same(tagged(ours), tagged(model));
          } else if (given.do === 'ids') {
            await same(ids(ours, given.limit), ids(model, given.limit));
          } else if (given.do === 'reopen') {
            await place.reopen();
            ours = new EventStoreJournal(place.store);
          } else {
            await place.store.purge();
          }
        }
        await place.store.close();
      }),
      { numRuns: runs(40) },
    );
  });
});

describe('the snapshot store', () => {
  const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
  const criteria = fc
    .record({
      minSeq: optional(small),
      maxSeq: optional(small),
      minTimestamp: optional(small),
      maxTimestamp: optional(small),
    })
    .map((given) => Object.fromEntries(Object.entries(given).filter(([, bound]) => bound !== undefined)));
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('save' as const),
        id,
        seq: small,
        state: value,
        timestamp: small,
        keep: optional(fc.integer({ min: 1, max: 4 })),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), id, criteria }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('look' as const), id, before: small, criteria }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('reopen' as const, 'purge' as const) }) },
  );

  test('answers as one in memory does', async () => {
    await fc.assert(
      fc.asyncProperty(partitions, fc.array(step, { minLength: 1, maxLength: 30 }), async (count, steps) => {
        const place = new Place(count);
        await place.open();
        let ours = new EventStoreSnapshots(place.store);
        const model = new MemorySnapshotStore();
        for (const given of steps) {
          if (given.do === 'save') {
            const { id: of, seq, state, timestamp, keep } = given;
            const options = keep === undefined ? { timestamp } : { timestamp, keep };
            await same(ours.save(of, seq, state, options), model.save(of, seq, state, options));
          } else if (given.do === 'delete') {
            await same(ours.delete(given.id, given.criteria), model.delete(given.id, given.criteria));
          } else if (given.do === 'look') {
            await same(ours.latest(given.id), model.latest(given.id));
            await same(ours.before(given.id, given.before), model.before(given.id, given.before));
            await same(ours.find(given.id, given.criteria), model.find(given.id, given.criteria));
          } else if (given.do === 'reopen') {
            await place.reopen();
            ours = new EventStoreSnapshots(place.store);
          } else {
            await place.store.purge();
          }
        }
        for (const one of ['a', 'b', 'a-b', '$c', 'A']) {
          await same(ours.latest(one), model.latest(one));
          await same(ours.find(one), model.find(one));
        }
        await place.store.close();
      }),
      { numRuns: runs(40) },
    );
  });
});

describe('the store of durable states', () => {
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('upsert' as const),
        id,
        state: value,
        off: fc.constantFrom(0, 0, 0, 1, -1),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('delete' as const, 'load' as const), id }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('reopen' as const, 'purge' as const) }) },
  );

  test('answers as one in memory does', async () => {
    await fc.assert(
      fc.asyncProperty(partitions, fc.array(step, { minLength: 1, maxLength: 30 }), async (count, steps) => {
        const place = new Place(count);
        await place.open();
        let ours = new EventStoreStates(place.store);
        const model = new MemoryStates();
        const timeless = async (call: Promise<object | undefined>) => {
          const record = await call;
          return record && { ...record, timestamp: 0 };
        };
        for (const given of steps) {
          if (given.do === 'upsert') {
            const expected = Math.max(0, ((await model.load(given.id))?.revision ?? 0) + given.off);
            await same(
              timeless(ours.upsert(given.id, expected, given.state)),
              timeless(model.upsert(given.id, expected, given.state)),
            );
          } else if (given.do === 'delete') {
            await same(ours.delete(given.id), model.delete(given.id));
          } else if (given.do === 'reopen') {
            await place.reopen();
            ours = new EventStoreStates(place.store);
          } else if (given.do === 'purge') {
            await place.store.purge();
          }
          if ('id' in given) await same(timeless(ours.load(given.id)), timeless(model.load(given.id)));
        }
        await place.store.close();
      }),
      { numRuns: runs(40) },
    );
  });
});

describe("nact's engine", () => {
  /** One that refuses what does not come next. */
  class Model extends MockPersistenceEngine {
    count(key: string): number {
      return this.events(key, 0, undefined).length;
    }

    override async persist(event: PersistedEvent): Promise<void> {
      const { key: persistenceId, sequenceNumber } = event;
      const [expectedSeq, actualSeq] = [sequenceNumber - 1, this.count(persistenceId)];
      if (expectedSeq !== actualSeq) throw new JournalConcurrencyError(persistenceId, expectedSeq, actualSeq);
      await super.persist(event);
    }
  }
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('persist' as const),
        key: id,
        data: value,
        tags,
        off: fc.constantFrom(0, 0, 0, 0, 1, -1),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('take' as const), key: id, data: value }) },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('read' as const),
        key: id,
        offset: small,
        // 0 is all for the model, and none for us.
        limit: fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
  );

  test("answers as nact's own in memory does", async () => {
    await fc.assert(
      fc.asyncProperty(partitions, fc.array(step, { minLength: 1, maxLength: 30 }), async (count, steps) => {
        const place = new Place(count);
        await place.open();
        let ours = new VarvePersistenceEngine(place.store);
        const model = new Model();
        let createdAt = 0;
        for (const given of steps) {
          if (given.do === 'persist') {
            const sequenceNumber = Math.max(1, model.count(given.key) + 1 + given.off);
            const { key, data, tags: has } = given;
            const event = { data, sequenceNumber, key, tags: has, createdAt: ++createdAt, isDeleted: false };
            await same(ours.persist(event), model.persist(event));
          } else if (given.do === 'take') {
            const sequenceNumber = model.count(given.key);
            const snapshot: PersistedSnapshot = {
              data: given.data,
              key: given.key,
              sequenceNumber,
              createdAt: ++createdAt,
            };
            await ours.takeSnapshot(snapshot);
            await model.takeSnapshot(snapshot);
          } else if (given.do === 'read') {
            const { key, offset, limit } = given;
            const list = (before: PersistedEvent[], event: PersistedEvent) => before.concat(event);
            const ourList = async () => ours.events(key, offset, limit).reduce(list, []);
            await same(ourList(), (async () => model.events(key, offset, limit).reduce(list, []))());
            await same(ours.latestSnapshot(key), model.latestSnapshot(key));
          } else {
            await place.reopen();
            ours = new VarvePersistenceEngine(place.store);
          }
        }
        await place.store.close();
      }),
      { numRuns: runs(40) },
    );
  });
});

/** What the world outside knows. */
interface World {
  /** By persistence id: events that were asked for, and how many of them were acknowledged. */
  asked: Record<string, number>;
  acknowledged: Record<string, number>;
  deleted: Record<string, number>;
  /** Sequence numbers of snapshots that were acknowledged. */
  saved: number[];
  /** Revision of the durable state that was acknowledged, and the highest that was asked for. */
  revision: number;
  tried: number;
}

test('what was acknowledged is there after a crash anywhere, in order and without gaps', async () => {
  const property = crashRecovery<
    { store: EventStore; journal: EventStoreJournal; snapshots: EventStoreSnapshots; states: EventStoreStates },
    World
  >({
    model: () => ({ asked: {}, acknowledged: {}, deleted: {}, saved: [], revision: 0, tried: 0 }),
    setup: async ({ disk, segmentSize }) => {
      const store = await openEventStore({ directory: '/data', disk, segmentSize, partitions: 2 });
      const snapshots = new EventStoreSnapshots(store, { keep: 2 });
      return { store, journal: new EventStoreJournal(store), snapshots, states: new EventStoreStates(store) };
    },
    commands: [
      command('append', fc.constantFrom('a', 'b'), async ({ journal }, of, world) => {
        const at = await journal.highestSeq(of);
        world.asked[of] = Math.max(world.asked[of] ?? 0, at + 2);
        await journal.append(of, [{ event: at + 1 }, { event: at + 2, tags: ['even'] }], at);
        world.acknowledged[of] = Math.max(world.acknowledged[of] ?? 0, at + 2);
      }),
      command('delete', fc.constantFrom('a', 'b'), async ({ journal }, of, world) => {
        const to = await journal.highestSeq(of);
        world.asked[`${of} deleted`] = to;
        await journal.deleteTo(of, to);
        world.deleted[of] = Math.max(world.deleted[of] ?? 0, to);
      }),
      command('save', fc.integer({ min: 1, max: 9 }), async ({ snapshots }, seq, world) => {
        await snapshots.save('a', seq, { seq });
        world.saved.push(seq);
      }),
      command('upsert', fc.constant(0), async ({ states }, _, world) => {
        const revision = (await states.load('a'))?.revision ?? 0;
        world.tried = Math.max(world.tried, revision + 1);
        await states.upsert('a', revision, revision + 1);
        world.revision = Math.max(world.revision, revision + 1);
      }),
    ],
    invariant: async ({ app: { journal, snapshots, states }, model: world }) => {
      for (const one of ['a', 'b']) {
        const highest = await journal.highestSeq(one);
        expect(highest).toBeGreaterThanOrEqual(world.acknowledged[one] ?? 0);
        expect(highest).toBeLessThanOrEqual(world.asked[one] ?? 0);
        expect(highest % 2).toBe(0); // both of an append, or none
        const seqs = (await all(journal.read(one))).map(({ seq, event }) => {
          expect(event).toBe(seq);
          return seq;
        });
        const oldest = seqs[0] ?? highest + 1;
        expect(seqs).toEqual(Array.from({ length: highest - oldest + 1 }, (_, i) => oldest + i));
        expect(oldest).toBeGreaterThan(world.deleted[one] ?? 0);
        if (oldest > 1) expect(world.asked[`${one} deleted`]).toBeGreaterThanOrEqual(oldest - 1);
        world.acknowledged[one] = highest;
      }
      const latest = await snapshots.latest('a');
      expect(latest?.seq ?? 0).toBeGreaterThanOrEqual(Math.max(0, ...world.saved));
      expect(latest?.state).toEqual(latest && { seq: latest.seq });
      const { revision = 0, state } = (await states.load('a')) ?? {};
      expect(revision).toBeGreaterThanOrEqual(world.revision);
      expect(revision).toBeLessThanOrEqual(world.tried);
      expect(state).toBe(revision === 0 ? undefined : revision);
    },
    teardown: ({ store }) => store.close(),
  });
  await fc.assert(property, { numRuns: runs(8) });
});
