/**
 * Random programs of node-eventstore on Varve and on its own store in memory: events, snapshots, what is dispatched and
 * every query, the same over reopenings. Commits that come too late are refused here, and not tried there, where they
 * would be taken.
 */
import assert from 'node:assert/strict';
import { test } from '@jest/globals';
import fc from 'fast-check';
import { SimulatedDisk } from '../../src/testing/index.js';
import { runs } from '../runs.js';
import { call, InMemory, type StoredSnapshot, varveStore } from '../support/node-eventstore.js';
import { openStore } from '../support/small-stores.js';

const PLACES = [
  { aggregateId: '1', aggregate: 'person', context: 'hr' },
  { aggregateId: '1', aggregate: 'person', context: 'sales' },
  { aggregateId: '1', aggregate: 'company', context: 'hr' },
  { aggregateId: '2', aggregate: 'person', context: 'hr' },
  { aggregateId: '2' },
  { aggregateId: '3-x' },
] as const;
const OPTIONS = { maxSnapshotsCount: 2, trackPosition: true };

type Query = { readonly aggregateId?: string; readonly aggregate?: string; readonly context?: string };
type Step =
  | {
      readonly do: 'commit';
      readonly place: number;
      readonly count: number;
      readonly size: number;
      readonly late: boolean;
    }
  | { readonly do: 'get'; readonly query: Query; readonly skip: number; readonly limit: number }
  | { readonly do: 'since'; readonly ago: number; readonly skip: number; readonly limit: number }
  | { readonly do: 'byRevision'; readonly query: Query; readonly revMin: number; readonly revMax: number }
  | { readonly do: 'last' | 'undispatched'; readonly query: Query }
  | { readonly do: 'dispatch'; readonly which: number }
  | { readonly do: 'snapshot'; readonly place: number; readonly clean: boolean }
  | { readonly do: 'getSnapshot'; readonly query: Query; readonly revMax: number }
  | { readonly do: 'positions'; readonly count: number }
  | { readonly do: 'reopen' | 'clear' };

const place = fc.nat(PLACES.length - 1);
/** Some of the fields of a place. */
const query: fc.Arbitrary<Query> = fc
  .tuple(fc.constantFrom(...PLACES), fc.subarray(['aggregateId', 'aggregate', 'context'] as const))
  .map(([from, fields]) =>
    Object.fromEntries(fields.filter((field) => field in from).map((field) => [field, (from as Query)[field]])),
  );
const aggregate = query.filter(({ aggregateId }) => aggregateId !== undefined);
const page = { skip: fc.nat(6), limit: fc.constantFrom(-1, -1, 0, 1, 4) };
const some = <const D extends string, T extends object>(
  weight: number,
  name: D,
  fields: { [K in keyof T]: fc.Arbitrary<T[K]> },
) => ({
  weight,
  arbitrary: fc.record({ do: fc.constant(name), ...fields }),
});
const step = fc.oneof(
  some(10, 'commit', {
    place,
    count: fc.integer({ min: 1, max: 4 }),
    size: fc.constantFrom(0, 300),
    late: fc.boolean(),
  }),
  some(4, 'get', { query, ...page }),
  some(1, 'since', { ago: fc.nat(20), ...page }),
  some(3, 'byRevision', { query: aggregate, revMin: fc.nat(8), revMax: fc.integer({ min: -1, max: 8 }) }),
  some(2, 'last', { query: aggregate }),
  some(2, 'undispatched', { query }),
  some(5, 'dispatch', { which: fc.nat() }),
  some(3, 'snapshot', { place, clean: fc.boolean() }),
  some(3, 'getSnapshot', { query: aggregate, revMax: fc.integer({ min: -1, max: 12 }) }),
  some(1, 'positions', { count: fc.nat(3) }),
  some(2, 'reopen', {}),
  { weight: 1, arbitrary: fc.constant({ do: 'clear' as const }) },
) as fc.Arbitrary<Step>;

const FIRST_MS = Date.UTC(2001, 0, 1);

async function run(program: readonly Step[], partitions: number): Promise<void> {
  const disk = new SimulatedDisk();
  let varve = await openStore(disk, { partitions });
  let store: object = await varveStore(varve, OPTIONS);
  const model = new InMemory(OPTIONS);
  let time = FIRST_MS;
  const counts = new Map<number, number>();
  const ids: string[] = [];
  let saved: StoredSnapshot[] = [];
  const both = async (method: string, ...args: unknown[]) => {
    const [own, expected] = [await call(store, method, ...args), await call(model, method, ...args)];
    assert.deepEqual(own, expected);
  };
  const fieldsOf = (i: number) => {
    const { aggregateId, aggregate, context } = PLACES[i] as Query & { readonly aggregateId: string };
    return { aggregateId, aggregate, context };
  };

  for (const given of program) {
    switch (given.do) {
      case 'commit': {
        const from = counts.get(given.place) ?? 0;
        const make = (first: number) =>
          Array.from({ length: given.count }, (_, i) => {
            time += 1000;
            const id = `e${time}`;
            const payload = { id, text: 'x'.repeat(given.size) };
            const commit = { commitId: `c${time}`, commitSequence: i, commitStamp: new Date(time) };
            return { id, ...fieldsOf(given.place), ...commit, streamRevision: first + i, payload };
          });
        if (given.late && from > 0) {
          const refused = call(store, 'addEvents', make(from - 1));
          await assert.rejects(refused, { name: 'ConcurrencyError', streamRevision: from - 1 });
        }
        const events = make(from);
        await call(store, 'addEvents', events);
        await call(model, 'addEvents', events);
        ids.push(...events.map(({ id }) => id));
        counts.set(given.place, from + given.count);
        break;
      }
      case 'get':
        await both('getEvents', given.query, given.skip, given.limit);
        break;
      case 'since':
        await both('getEventsSince', new Date(time - given.ago * 1000), given.skip, given.limit);
        break;
      case 'byRevision': {
        const args = [given.query, given.revMin, given.revMax];
        // Of several aggregates the model has one after the other, not all in the order of commits.
        const read = async (from: object) =>
          (await call<{ commitStamp: Date }[]>(from, 'getEventsByRevision', ...args)).sort(
            (a, b) => a.commitStamp.getTime() - b.commitStamp.getTime(),
          );
        assert.deepEqual(await call(store, 'getEventsByRevision', ...args), await read(model));
        break;
      }
      case 'last':
        await both('getLastEvent', given.query);
        break;
      case 'undispatched':
        await both('getUndispatchedEvents', given.query);
        break;
      case 'dispatch': {
        if (ids.length === 0) break;
        const [id] = ids.splice(given.which % ids.length, 1);
        await call(store, 'setEventToDispatched', id);
        await call(model, 'setEventToDispatched', id);
        break;
      }
      case 'snapshot': {
        time += 1000;
        const revision = counts.get(given.place) ?? 0;
        const snapshot = {
          id: `s${time}`,
          ...fieldsOf(given.place),
          revision,
          commitStamp: new Date(time),
          data: { time },
        };
        await call(store, 'addSnapshot', snapshot);
        await call(model, 'addSnapshot', snapshot);
        saved.push(snapshot);
        if (!given.clean) break;
        const { aggregateId, aggregate: kind, context } = snapshot;
        await both('cleanSnapshots', { aggregateId, aggregate: kind, context });
        const own = saved.filter(
          (one) => one.aggregateId === aggregateId && one.aggregate === kind && one.context === context,
        );
        const gone = new Set(own.slice(0, -2));
        saved = saved.filter((one) => !gone.has(one));
        break;
      }
      case 'getSnapshot': {
        const found = await call(store, 'getSnapshot', given.query, given.revMax);
        // With a revision the model takes the first snapshot that fits, not the last.
        if (given.revMax === -1) {
          const expected = await call<{ id: string } | null>(model, 'getSnapshot', given.query, -1);
          assert.equal((found as { id: string } | null)?.id, expected?.id);
        }
        const fitting = saved.filter(
          (one) =>
            Object.entries(given.query).every(([field, value]) => one[field] === value) &&
            (given.revMax === -1 || one.revision <= given.revMax),
        );
        assert.deepEqual(found, fitting.at(-1) ?? null);
        break;
      }
      case 'positions':
        await both('getNextPositions', given.count);
        break;
      case 'reopen':
        await varve.close();
        varve = await openStore(disk, { partitions });
        store = await varveStore(varve, OPTIONS);
        break;
      case 'clear':
        await call(store, 'clear');
        await call(model, 'clear');
        counts.clear();
        ids.length = 0;
        saved = [];
        break;
    }
  }
  await varve.close();
}

test('programs have the results that they have in memory', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30, size: 'max' }), fc.constantFrom(1, 2), run),
    { numRuns: runs(100) },
  );
});
