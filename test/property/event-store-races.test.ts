/** Appends, changes, readers, subscriptions and closing at the same time, in every order that the scheduler finds. */
import assert from 'node:assert/strict';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { EventStore, RecordedEvent, VarveError } from 'varve';
import { settled } from '../../src/testing/crash-explorer.js';
import { SimulatedDisk } from '../../src/testing/simulated-disk.js';
import { runs } from '../runs.js';
import { History, open, STREAMS } from '../support/event-history.js';

const event = (data: unknown = 0) => ({ type: 'T', data });
/** Caches in which next to nothing stays, segments that rotate. */
const SMALL = { headCacheBytes: 1024, eventCacheBytes: 1024, streamIndexCacheBytes: 1024, segmentSize: 5120 };
const partitions = fc.constantFrom(1, 3, 8);
const settings = fc.record({ partitions, seed: fc.nat(), caches: fc.constantFrom(SMALL, { segmentSize: 8192 }) });
type Settings = typeof settings extends fc.Arbitrary<infer T> ? T : never;

async function withStore(
  { partitions: number, seed, caches }: Settings,
  use: (store: EventStore, disk: SimulatedDisk) => Promise<unknown>,
): Promise<void> {
  const schedule = (['order', 'random', 'slow sync'] as const)[seed % 3] as 'order';
  const disk = new SimulatedDisk({ seed, schedule });
  const store = await open(disk, { partitions: number, ...caches });
  await settled('the race', use(store, disk));
  await store.close();
}

const codes = (results: readonly PromiseSettledResult<unknown>[]) =>
  results.map((result) => (result.status === 'rejected' ? (result.reason as VarveError).code : 'done'));

test('of appends at one expected revision exactly one wins', async () => {
  await fc.assert(
    fc.asyncProperty(settings, fc.integer({ min: 2, max: 12 }), fc.scheduler(), async (given, writers, s) => {
      await withStore(given, async (store) => {
        for (const expectedRevision of ['noStream', 0n, 1n] as const) {
          const appends = Array.from({ length: writers }, (_, i) =>
            s.schedule(Promise.resolve(i)).then(
              (n): Promise<unknown> =>
                n % 3 === 0
                  ? store.appendToStreams([
                      { stream: 's', events: [event(n)], expectedRevision },
                      { stream: `o-${n % 2}`, events: [event(n)] },
                    ])
                  : store.appendToStream('s', event(n), { expectedRevision }),
            ),
          );
          await s.waitAll();
          const outcomes = codes(await Promise.allSettled(appends));
          assert.equal(outcomes.filter((code) => code === 'done').length, 1);
          assert.ok(outcomes.every((code) => code === 'done' || code === 'ERR_VARVE_WRONG_REVISION'));
        }
        const events = await store.readStream('s').toArray();
        assert.deepEqual(
          events.map(({ revision }) => revision),
          [0n, 1n, 2n],
        );
      });
    }),
    { numRuns: runs(40) },
  );
});

/** One thing that is done to the store while others are. */
type Act =
  | { readonly do: 'append'; readonly streams: readonly string[]; readonly size: number }
  | { readonly do: 'delete' | 'limit' | 'read' | 'head'; readonly stream: string }
  | { readonly do: 'readAll'; readonly tag: boolean };
const stream = fc.constantFrom(...STREAMS);
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      streams: fc.uniqueArray(stream, { minLength: 1 }),
      size: fc.constantFrom(0, 100, 400),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('delete', 'limit', 'read', 'read', 'head'), stream }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('readAll' as const), tag: fc.boolean() }) },
);

function checkRead(events: readonly RecordedEvent[]): void {
  for (const [i, { revision }] of events.entries()) {
    assert.equal(revision, (events[0] as RecordedEvent).revision + BigInt(i));
  }
}

function play(store: EventStore, history: History, given: Act): Promise<unknown> {
  switch (given.do) {
    case 'append': {
      // In the order given, and so in opposite orders at the same time.
      const parts = given.streams.map((name) => ({ stream: name, count: 1 }));
      return history.append(store, parts, given.size);
    }
    case 'delete':
      return store.deleteStream(given.stream);
    case 'limit':
      return store.setStreamMetadata(given.stream, { maxCount: 2 });
    case 'read':
      return store.readStream(given.stream).toArray().then(checkRead);
    case 'head':
      return store.streamHead(given.stream);
    case 'readAll':
      return store.readAll(given.tag ? { filter: { tags: ['x'] } } : {}).toArray();
  }
}

const FINE = new Set(['done', 'ERR_VARVE_STREAM_NOT_FOUND', 'ERR_VARVE_RECORD_TOO_LARGE']);

test('whatever happens at the same time, revisions stay dense and a subscriber sees each event once', async () => {
  let events = 0;
  await fc.assert(
    fc.asyncProperty(
      settings,
      fc.array(act, { minLength: 10, maxLength: 60, size: 'max' }),
      fc.nat(59),
      fc.scheduler(),
      async (given, acts, subscribeAt, s) => {
        await withStore(given, async (store) => {
          const history = new History();
          const seen = new Map<string, RecordedEvent[]>();
          const follow = (name: string, source: AsyncIterable<RecordedEvent>) => {
            const list: RecordedEvent[] = [];
            seen.set(name, list);
            return (async () => {
              for await (const each of source) list.push(each);
            })();
          };
          const followers = [follow('all', store.subscribeToAll())];
          const acting = acts.map((each, i) =>
            s.schedule(Promise.resolve(i)).then(() => {
              if (i === subscribeAt) {
                followers.push(follow('late', store.subscribeToAll()), follow('b', store.subscribeToCategory('b')));
              }
              return play(store, history, each);
            }),
          );
          await s.waitAll();
          for (const code of codes(await Promise.allSettled(acting))) assert.ok(FINE.has(code), code);
          await history.check(store);
          const all = await store.readAll().toArray();
          events += all.length;
          const wanted = new Map([['b', all.filter((each) => each.stream.startsWith('b-'))]]);
          for (const [name, list] of seen) {
            const expected = wanted.get(name) ?? all;
            for (let i = 0; i < 200 && list.length < expected.length; i++) await new Promise(setImmediate);
            assert.deepEqual(
              list.map(({ position }) => position),
              expected.map(({ position }) => position),
              name,
            );
          }
          await store.close();
          await Promise.all(followers);
        });
      },
    ),
    { numRuns: runs(60) },
  );
  expect(events).toBeGreaterThan(0);
});

test('a close while appends are under way settles all of them, and what was acknowledged is there', async () => {
  await fc.assert(
    fc.asyncProperty(settings, fc.array(act, { minLength: 5, maxLength: 30 }), fc.nat(20), async (given, acts, at) => {
      const history = new History();
      const disk = new SimulatedDisk({ seed: given.seed, schedule: 'slow sync' });
      const options = { partitions: given.partitions, ...given.caches };
      const store = await open(disk, options);
      const acting = Promise.allSettled(acts.map((each) => play(store, history, each)));
      for (let i = 0; i < at; i++) await (i % 4 === 3 ? new Promise(setImmediate) : undefined);
      await settled('closing', store.close());
      const ended = await settled('appends', acting);
      for (const code of codes(ended)) assert.ok(FINE.has(code) || code === 'ERR_VARVE_CLOSED', code);
      const next = await open(disk, options);
      await history.check(next);
      await next.close();
    }),
    { numRuns: runs(50) },
  );
});

test('a scavenge beside everything else: what is alive is there, and followers see each event once', async () => {
  let [moved, left] = [0, 0];
  const raced: fc.Arbitrary<Act | { readonly do: 'scavenge' | 'purge' }> = fc.oneof(
    { weight: 8, arbitrary: act.filter((each) => each.do !== 'delete') },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constantFrom('scavenge' as const, 'scavenge' as const, 'purge' as const) }),
    },
  );
  await fc.assert(
    fc.asyncProperty(
      settings,
      fc.array(raced, { minLength: 20, maxLength: 80, size: 'max' }),
      fc.scheduler(),
      async (given, acts, s) => {
        await withStore({ ...given, caches: SMALL }, async (store) => {
          const history = new History();
          for (let i = 0; i < 12; i++) {
            for (const name of STREAMS) await history.append(store, [{ stream: name, count: 1 }], 50);
          }
          for (const name of ['a', 'b-1', 'c-2']) await store.setStreamMetadata(name, { maxCount: 2 });
          const seen: RecordedEvent[] = [];
          const following = (async () => {
            for await (const each of store.subscribeToAll()) seen.push(each);
          })();
          const acting = acts.map((each, i) =>
            s.schedule(Promise.resolve(i)).then(async (): Promise<unknown> => {
              if (each.do === 'purge') return store.purge();
              if (each.do === 'scavenge') {
                const report = await store.scavenge({ threshold: 0.05 });
                moved += report.movedEvents;
                left += report.events;
                return report;
              }
              return play(store, history, each as Act);
            }),
          );
          await s.waitAll();
          for (const code of codes(await Promise.allSettled(acting))) assert.ok(FINE.has(code), code);
          const all = await store.readAll().toArray();
          const last = all.at(-1)?.position ?? 0n;
          for (let i = 0; i < 200 && (seen.at(-1)?.position ?? 0n) < last; i++) await new Promise(setImmediate);
          const positions = seen.map(({ position }) => position);
          assert.deepEqual(
            positions,
            [...new Set(positions)].sort((a, b) => Number(a - b)),
          );
          const backwards = await store.readAll({ direction: 'backwards' }).toArray();
          assert.deepEqual(backwards.reverse(), all);
          for (const id of STREAMS) {
            const heads = history.lastOf(id);
            const limit = (await store.getStreamMetadata(id)).maxCount ?? Number.POSITIVE_INFINITY;
            const living = (await store.readStream(id).toArray()).map(({ revision }) => Number(revision));
            const first = Math.max(0, heads - limit + 1);
            assert.deepEqual(
              living,
              Array.from({ length: heads - first + 1 }, (_, i) => first + i),
              id,
            );
            const shown = all.filter((each) => each.stream === id).map(({ revision }) => Number(revision));
            assert.deepEqual(
              shown,
              Array.from({ length: shown.length }, (_, i) => heads - shown.length + 1 + i),
              id,
            );
          }
          await store.close();
          await following;
        });
      },
    ),
    { numRuns: runs(12) },
  );
  expect(moved).toBeGreaterThan(0);
  expect(left).toBeGreaterThan(0);
});
