/** Delayed events: one alarm clock, and what a restart means to them. */
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { openEventStore, VarveError } from 'varve';
import { createActorHost } from 'varve/xstate';
import { cancel, createMachine, raise, SimulatedClock } from 'xstate';
import { Alarms } from '../../../src/adapter/xstate/alarms.js';
import { readWakeTable } from '../../../src/adapter/xstate/wake-table.js';
import { Random } from '../../../src/testing/random.js';
import { SimulatedDisk } from '../../../src/testing/simulated-disk.js';
import { closeAll, made, openStore, world } from './xstate-kit.js';

afterEach(closeAll);

const egg = createMachine({ initial: 'boiling', states: { boiling: { after: { 1000: 'done' } }, done: {} } });

describe('over a restart', () => {
  test.each([
    ['deadline', 0],
    ['remaining', 600],
    ['restart', 1000],
  ] as const)('%s', async (timers, left) => {
    const machines = { egg: { machine: egg, timers }, other: egg };
    const before = await made(world(machines));
    await before.host.actor('egg', '1');
    before.clock.increment(400);
    await before.host.actor('other', '1'); // tells how long the host was there
    await before.host.settled();
    const cut = before.crash(machines);
    before.clock.increment(0);
    await before.close();
    const gone = await cut;
    await gone.close();
    gone.clock.increment(5000);
    const after = await made(world(machines, { disk: gone.disk, clock: gone.clock }));
    await after.host.settled();
    const actor = await after.host.actor('egg', '1');
    if (left > 0) {
      expect(actor.getSnapshot().value).toBe('boiling');
      // A crash now changes nothing of that.
      after.clock.increment(left - 1);
      await after.host.settled();
      expect(actor.getSnapshot().value).toBe('boiling');
      expect((await actor.at(actor.revision)).value).toBe('boiling');
      after.clock.increment(1);
    } else after.clock.increment(0);
    await after.host.settled();
    expect(actor.getSnapshot().value).toBe('done');
  });

  test('overdue ones fire in their order', async () => {
    const machine = createMachine({
      types: {} as { context: { order: string[] } },
      context: { order: [] },
      entry: [
        raise({ type: 'C' }, { delay: 300 }),
        raise({ type: 'A' }, { delay: 100 }),
        raise({ type: 'B' }, { delay: 200 }),
        raise({ type: 'never' }, { delay: 50, id: 'never' }),
        cancel('never'),
      ],
      on: { '*': {} },
    });
    const before = await made(world({ machine }, {}));
    await before.host.actor('machine', '1');
    await before.close();
    before.clock.increment(1000);
    const after = await made(
      world({ machine: { machine, unhandled: 'journal' } }, { disk: before.disk, clock: before.clock }),
    );
    after.clock.increment(0);
    await after.host.settled();
    const history = await (await after.host.actor('machine', '1')).history().toArray();
    expect(history.slice(1).map(({ kind }) => kind)).toEqual(['timer', 'timer', 'timer']);
    expect(after.host.stats().alarms).toBe(0);
  });
});

describe('the alarm clock', () => {
  test('rings in order, once, and forgets what was cleared or set anew', () => {
    const clock = new SimulatedClock();
    const rung: [string, number][] = [];
    const alarms = new Alarms(clock, (name) => void rung.push([name, clock.now()]));
    alarms.set('late', 30);
    alarms.set('early', 10);
    alarms.set('gone', 15);
    alarms.set('moved', 5);
    alarms.set('moved', 20);
    alarms.set('early2', 10);
    alarms.clear('gone');
    clock.increment(10);
    clock.increment(30);
    expect(rung).toEqual([
      ['early', 10],
      ['early2', 10],
      ['moved', 40],
      ['late', 40],
    ]);
    expect(alarms.size).toBe(0);
  });

  test('holds a hundred thousand with one timeout', () => {
    let timeouts = 0;
    const clock = new SimulatedClock();
    const counting = {
      now: () => clock.now(),
      setTimeout: (run: () => void, ms: number) => {
        timeouts++;
        return clock.setTimeout(run, ms);
      },
      clearTimeout: (handle: never) => {
        timeouts--;
        clock.clearTimeout(handle);
      },
    };
    const rung: number[] = [];
    const alarms = new Alarms(counting, (name) => void rung.push(Number(name)));
    for (let i = 0; i < 100_000; i++) {
      const due = (i * 7919) % 100_003;
      alarms.set(String(due), 1_000_000);
      alarms.set(String(due), due); // set anew
    }
    expect(timeouts).toBe(1);
    clock.increment(200_000);
    expect(rung).toHaveLength(100_000);
    expect(rung.every((due, i) => i === 0 || due > (rung[i - 1] as number))).toBe(true);
  });
});

describe('a purge', () => {
  test('behind the point where the host has looked last is no obstacle, and nobody who is gone comes back', async () => {
    const disk = new SimulatedDisk();
    const small = { segmentSize: 8192, preallocate: { segments: 0 }, recycle: 0, partitions: 2 };
    const store = await openEventStore({ directory: '/data', disk, ...small });
    const { host, clock } = await made(world({ egg }, { store, disk }));
    for (let i = 0; i < 20; i++) await host.actor('egg', String(i));
    await host.shutdown();
    expect((await readWakeTable(store, ['egg'], 1)).earliest.size).toBe(20);
    for (let i = 0; i < 20; i++) await store.deleteStream(`egg-${i}`);
    for (const stream of ['a', 'b', 'c', 'd']) {
      for (let i = 0; i < 40; i++) await store.appendToStream(stream, { type: 'T', data: 'x'.repeat(500) });
      await store.deleteStream(stream);
    }
    const other = await createActorHost({ store, machines: { egg }, clock });
    await other.actor('egg', 'new');
    await other.shutdown();
    expect((await store.purge()).segments).toBeGreaterThan(5);
    const last = await made(world({ egg }, { store, disk, clock }));
    clock.increment(1000);
    await last.host.settled();
    expect((await last.host.find('egg', 'new'))?.getSnapshot().value).toBe('done');
    expect(await last.host.find('egg', '3')).toBeUndefined();
    expect(last.host.stats().starts).toBe(0);
    expect(last.problems).toEqual([]);
  });

  test('that takes away what a beginning host reads next lets it begin anew', async () => {
    const before = await made(world({ egg }));
    for (let i = 0; i < 3; i++) await before.host.actor('egg', String(i));
    await readWakeTable(before.store, ['egg'], 1);
    const store = await openStore(before.disk.crashed(new Random(1), 'none'));
    const reading = jest.spyOn(store, 'readAll');
    reading.mockImplementationOnce(() => {
      const batches = async function* () {
        yield [];
        throw new VarveError('ERR_VARVE_LSN_PURGED', 'LSN 1 of partition 1 was purged.', { partition: 1 });
      };
      return { batches } as never;
    });
    const { host, clock } = await made(world({ egg }, { store }));
    expect(reading.mock.calls.map(([options]) => options?.from)).toEqual([{ checkpoint: expect.any(String) }, 'start']);
    expect(host.stats().alarms).toBe(3);
    clock.increment(1000);
    await host.settled();
    expect((await host.find('egg', '1'))?.getSnapshot().value).toBe('done');
  });
});

test('what sleeping actors have to do is known without reading all journals again', async () => {
  const { host, store, clock } = await made(world({ egg }));
  for (let i = 0; i < 20; i++) await host.actor('egg', String(i));
  await host.shutdown();
  const all = await readWakeTable(store, ['egg'], 10);
  expect(all.earliest.size).toBe(20);
  expect(await store.streamExists('varve.actors-egg')).toBe(true);
  const second = await made(world({ egg }, { store, clock }));
  clock.increment(1000);
  await second.host.settled();
  await second.host.actor('egg', 'new');
  await second.host.shutdown();
  const kept = await readWakeTable(store, ['egg'], 10);
  expect([...kept.earliest.keys()]).toEqual(['egg-new']);
  // The table is derived: what it says is what all journals say.
  await store.deleteStream('varve.actors-egg');
  expect(await readWakeTable(store, ['egg'])).toEqual(kept);
});
