/** A disk that is full for a while: nobody asks it again and again, and everything goes on when it has space. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { openEventStore } from 'varve';
import { createMachine, setup } from 'xstate';
import { SimulatedDisk } from '../../../src/testing/simulated-disk.js';
import { unheardRejections } from '../../support/unheard.js';
import { closeAll, code, made, world } from './xstate-kit.js';

const unheard = unheardRejections();
afterEach(async () => {
  await closeAll();
  expect(unheard()).toEqual([]);
});

const turns = async (count = 40) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};
const NO_SPACE = { kind: 'allocate', file: '*', times: Number.POSITIVE_INFINITY, fault: { error: 'ENOSPC' } } as const;

async function small<const Machines extends Parameters<typeof world>[0]>(machines: Machines) {
  const disk = new SimulatedDisk();
  const store = await openEventStore({
    directory: '/data',
    disk,
    segmentSize: 8192,
    partitions: 1,
    preallocate: { segments: 0 },
    recycle: 0,
    whenFull: 'refuse',
  });
  const one = await made(world(machines, { disk, store }));
  return {
    ...one,
    /** No space is left for another entry, until what this gives is called. */
    async fillUp() {
      const lift = disk.faults.add(NO_SPACE);
      for (let size = 1024; size >= 1; size /= 2) {
        const full = async () => {
          for (;;) await store.appendToStream('filler-1', { type: 'F', data: 'x'.repeat(size) });
        };
        await expect(full()).rejects.toMatchObject(code('ERR_VARVE_NO_SPACE'));
      }
      return lift;
    },
    async untilSpace() {
      for (;;) {
        if (await store.appendToStream('filler-1', { type: 'F' }).catch(() => undefined)) return;
        await turns(5);
      }
    },
  };
}

const timed = createMachine({
  initial: 'waiting',
  states: { waiting: { after: { 1000: 'late' } }, late: { after: { 20000: 'later' } }, later: {} },
  on: { SAY: { actions: () => {} } },
});

describe('without space', () => {
  test('a delayed event is tried again after pauses that grow, and goes off when there is space', async () => {
    const one = await small({ timed });
    const actor = await one.host.actor('timed', '1');
    const lift = await one.fillUp();
    one.clock.increment(1000);
    await turns();
    // It is woken anew at once, and tried once more; then it waits, however often the loop turns.
    expect(one.host.stats().restarts).toBe(1);
    await turns(200);
    expect(one.host.stats().restarts).toBe(1);
    const attempts: number[] = [];
    for (let second = 0; second < 60; second++) {
      for (let step = 0; step < 10; step++) {
        one.clock.increment(100);
        await turns(20);
      }
      attempts.push(one.host.stats().restarts);
    }
    // 0.1, 0.2, 0.4 … 10, 10, 10 seconds.
    expect(attempts.at(-1)).toBeGreaterThanOrEqual(9);
    expect(attempts.at(-1)).toBeLessThanOrEqual(13);
    expect(one.problems[0]).toMatchObject({ what: 'appending to its journal', error: code('ERR_VARVE_NO_SPACE') });
    expect(one.problems.length).toBeLessThanOrEqual(13);
    expect(actor.getSnapshot().value).toBe('waiting');
    lift();
    await one.untilSpace();
    for (let step = 0; step < 100 && actor.getSnapshot().value === 'waiting'; step++) {
      one.clock.increment(100);
      await turns(20);
    }
    expect(actor.getSnapshot().value).toBe('late');
    await actor.send({ type: 'SAY' });
    const kinds = (await actor.history().toArray()).map(({ kind }) => kind);
    expect(kinds).toEqual(['start', 'timer', 'event']);
    await one.host.settled();
    // The next time begins with short pauses again.
    const before = one.host.stats().restarts;
    const again = await one.fillUp();
    one.clock.increment(20_000);
    await turns();
    expect(one.host.stats().restarts).toBe(before + 1);
    again();
  });

  test('whoever sends something is told at once, and need not wait for the pause when there is space', async () => {
    const one = await small({ timed });
    const actor = await one.host.actor('timed', '1');
    const lift = await one.fillUp();
    one.clock.increment(1000);
    await turns();
    for (let i = 0; i < 4; i++) {
      await expect(actor.send({ type: 'SAY' })).rejects.toMatchObject(code('ERR_VARVE_NO_SPACE'));
      await turns(10);
    }
    lift();
    await one.untilSpace();
    await actor.send({ type: 'SAY' });
    expect(actor.getSnapshot().value).toBe('late');
    await one.host.settled();
  });

  test('shutting down does not wait for space', async () => {
    const one = await small({ timed });
    await one.host.actor('timed', '1');
    const lift = await one.fillUp();
    one.clock.increment(1000);
    await turns();
    await one.host.shutdown();
    expect((one.clock as unknown as { timeouts: Map<unknown, unknown> }).timeouts.size).toBe(0);
    lift();
  });

  test('an action is not run again because the journal could not be told of it', async () => {
    let ran = 0;
    const machine = setup({ actions: { count: () => void ran++ } }).createMachine({ on: { GO: { actions: 'count' } } });
    const one = await small({ machine });
    const actor = await one.host.actor('machine', '1');
    await actor.send({ type: 'GO' });
    const lift = await one.fillUp();
    expect(ran).toBe(1);
    // Marks are written a few milliseconds later, and fail.
    while (one.host.stats().restarts < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    for (let i = 0; i < 10; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      one.clock.increment(500);
    }
    expect(ran).toBe(1);
    lift();
    await one.untilSpace();
    while ((await one.store.streamHead('machine-1'))?.revision !== 2n) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      one.clock.increment(500);
    }
    expect(ran).toBe(1);
    await one.host.settled();
  });
});

test('an actor that could not be started is not started by its delayed event', async () => {
  const one = await small({ timed });
  const lift = await one.fillUp();
  await expect(one.host.actor('timed', '1')).rejects.toMatchObject(code('ERR_VARVE_NO_SPACE'));
  lift();
  await one.untilSpace();
  one.clock.increment(5000);
  await turns();
  await one.host.settled();
  expect(await one.host.find('timed', '1')).toBeUndefined();
});
