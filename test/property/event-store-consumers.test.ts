/** Consumers and snapshots under crashes anywhere. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Consumer, type EventStore, openEventStore } from 'varve';
import { command, crashRecovery, SimulatedDisk } from '../../src/testing/index.js';
import { runs } from '../runs.js';

/** What a consumer's handler has seen, in the world outside: no crash takes it back. */
interface World {
  /** Numbers whose append was acknowledged. */
  acknowledged: number[];
  asked: number;
  /** Numbers that were dealt with or parked, in order, one list for each life. */
  lives: number[][];
  /** Sums that were saved as snapshots, by revision. */
  sums: Record<string, number>;
}

interface App {
  readonly store: EventStore;
  readonly consumer: Consumer;
}

const STREAM = 'account-1';
const POISON = 4;
/** Events from one stored checkpoint to the next. */
const EVERY = 2;

async function reading(store: EventStore): Promise<number[]> {
  return (await store.readAll().toArray()).map(({ data }) => data as number);
}

test('a consumer misses nothing, keeps the order, and repeats only what no checkpoint covers; a snapshot is true', async () => {
  const property = crashRecovery<App, World>({
    model: () => ({ acknowledged: [], asked: 0, lives: [], sums: {} }),
    setup: async ({ disk, segmentSize, model }) => {
      const store = await openEventStore({ directory: '/data', disk, segmentSize, partitions: 2 });
      const life: number[] = [];
      model.lives.push(life);
      const consumer = store.consume({
        name: 'c',
        checkpointEvery: { events: EVERY },
        retry: { attempts: 1 },
        handler: (event) => {
          life.push(event.data as number);
          if ((event.data as number) % POISON === 0) throw new Error('poison');
        },
      });
      return { store, consumer };
    },
    commands: [
      command('append', fc.integer({ min: 1, max: 3 }), async ({ store }, count, world) => {
        for (let i = 0; i < count; i++) {
          const number = ++world.asked;
          await store.appendToStream(number % 2 === 0 ? STREAM : `other-${number}`, { type: 'Counted', data: number });
          world.acknowledged.push(number);
        }
      }),
      command('catch up', fc.constant(0), async ({ consumer }) => consumer.whenCaughtUp()),
      command('snapshot', fc.constant(0), async ({ store }, _, world) => {
        const events = await store.readStream(STREAM).toArray();
        const last = events.at(-1);
        if (last === undefined) return;
        const sum = events.reduce((total, { data }) => total + (data as number), 0);
        world.sums[String(last.revision)] = sum;
        await store.saveSnapshot(STREAM, { revision: last.revision, state: sum }, { keep: 2 });
      }),
    ],
    invariant: async ({ app: { store, consumer }, model }) => {
      const all = await reading(store);
      await consumer.whenCaughtUp();
      const life = model.lives.at(-1) as number[];
      // What this life has seen is the end of what there is, without a gap.
      expect(life).toEqual(all.slice(all.length - life.length));
      // What it has not seen, a life before it has; what it has seen twice had no checkpoint behind it yet.
      const before = new Set(model.lives.slice(0, -1).flat());
      expect(all.filter((number) => !before.has(number) && !life.includes(number))).toEqual([]);
      expect([...before].filter((number) => !all.includes(number))).toEqual([]);
      expect(life.filter((number) => before.has(number)).length).toBeLessThanOrEqual(EVERY);
      expect(model.acknowledged.filter((number) => !all.includes(number))).toEqual([]);
      // Every poisoned event is parked, once.
      const parked = (await store.parkedEvents('c').toArray()).map(({ position }) => position);
      const poisoned = (await store.readAll().toArray()).filter(({ data }) => (data as number) % POISON === 0);
      expect(parked).toEqual(poisoned.map(({ position }) => position));

      const head = await store.streamHead(STREAM);
      for (const { revision } of await store.listSnapshots(STREAM)) {
        expect(head?.revision).toBeGreaterThanOrEqual(revision);
        const { state } = (await store.readSnapshot(STREAM, { atOrBefore: revision })) ?? {};
        const events = await store.readStream(STREAM, { toRevision: revision }).toArray();
        expect(state).toBe(events.reduce((total, { data }) => total + (data as number), 0));
      }
    },
    teardown: ({ store }) => store.close(),
  });
  await fc.assert(property, { numRuns: runs(10) });
});

test('of competing consumers one runs at a time; together they deal with each event once, in order', async () => {
  const step = fc.constantFrom('append', 'start', 'stop', 'abort', 'turn');
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 3 }), async (steps, partitions) => {
      const store = await openEventStore({
        directory: '/data',
        disk: new SimulatedDisk(),
        segmentSize: 64 * 1024,
        partitions,
      });
      const line: { consumer: Consumer; aborting: AbortController }[] = [];
      const dealtWith: number[] = [];
      let running = 0;
      let appended = 0;
      const start = () => {
        const aborting = new AbortController();
        const handler = async (event: { data: unknown }) => {
          expect(++running).toBe(1);
          await new Promise((resolve) => setImmediate(resolve));
          dealtWith.push(event.data as number);
          running--;
        };
        const retry = { attempts: 1 };
        line.push({ consumer: store.consume({ name: 'c', handler, retry, signal: aborting.signal }), aborting });
      };
      const ending: Promise<void>[] = [];
      for (const what of steps) {
        if (what === 'append') await store.appendToStream(`s-${appended % 5}`, { type: 'Counted', data: ++appended });
        else if (what === 'start') start();
        else if (what === 'turn') await new Promise((resolve) => setImmediate(resolve));
        else {
          const first = line.shift();
          if (what === 'abort') first?.aborting.abort();
          if (first !== undefined) ending.push(first.consumer.stop());
        }
      }
      start();
      await line[0]?.consumer.whenCaughtUp();
      await Promise.all(ending);
      expect(dealtWith).toEqual(Array.from({ length: appended }, (_, i) => i + 1));
      expect(line.slice(1).every(({ consumer }) => consumer.status === 'waiting')).toBe(true);
      expect(await store.parkedEvents('c').toArray()).toEqual([]); // what a handler expects has held
      await store.close();
    }),
    { numRuns: runs(50) },
  );
});
