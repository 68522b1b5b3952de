/** Things that happen at the same time: sends and whatever ends, moves or fails an actor. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { createActorHost } from 'varve/xstate';
import { assign, createMachine, SimulatedClock, setup } from 'xstate';
import { SimulatedDisk } from '../../../src/testing/simulated-disk.js';
import { unheardRejections } from '../../support/unheard.js';
import { closeAll, code, made, openStore, world } from './xstate-kit.js';

const unheard = unheardRejections();
afterEach(async () => {
  await closeAll();
  expect(unheard()).toEqual([]);
});

const counter = createMachine({
  context: { n: 0 },
  on: { ADD: { actions: assign({ n: ({ context }) => context.n + 1 }) } },
});
const add = { type: 'ADD' } as const;
const breath = () => new Promise((resolve) => setImmediate(resolve));

/** How many were acknowledged; the others must have been refused with one of these codes. */
async function outcome(sends: readonly Promise<unknown>[], codes: readonly string[]): Promise<number> {
  const results = await Promise.allSettled(sends);
  for (const result of results) {
    if (result.status === 'rejected') expect(codes).toContain((result.reason as { code?: string }).code);
  }
  return results.filter(({ status }) => status === 'fulfilled').length;
}

test('thousands of sends at once to one actor are taken once each, in order', async () => {
  const { host } = await made(world({ counter: { machine: counter, snapshotEvery: 1000 } }));
  const actor = await host.actor('counter', '1');
  const snapshots = await Promise.all(Array.from({ length: 5000 }, () => actor.send(add)));
  expect(snapshots.map(({ context }) => context.n)).toEqual(Array.from({ length: 5000 }, (_, i) => i + 1));
});

test('sends while actors leave memory all arrive', async () => {
  const { host, clock } = await made(world({ counter }, { passivateAfter: 2, maxActive: 2 }));
  const actors = await Promise.all(['1', '2', '3', '4', '5'].map((id) => host.actor('counter', id)));
  const sends: Promise<unknown>[] = [];
  for (let i = 0; i < 60; i++) {
    for (const actor of actors) sends.push(actor.send(add));
    clock.increment(3);
    if (i % 3 === 0) await breath();
    if (i % 10 === 0) await host.settled();
  }
  expect(await outcome(sends, [])).toBe(300);
  for (const { id } of actors) expect((await host.actor('counter', id)).getSnapshot().context).toEqual({ n: 60 });
  expect(host.stats().passivations).toBeGreaterThan(5);
});

test.each(['stop', 'shutdown', 'close the store'])(
  'sends against %s: acknowledged is there, the others are not',
  async (end) => {
    for (let turn = 0; turn < 8; turn++) {
      const disk = new SimulatedDisk({ seed: turn });
      const { host, store } = await made(world({ counter }, { disk }));
      const actor = await host.actor('counter', '1');
      const sends: Promise<unknown>[] = [];
      const send = (count: number) => {
        for (let i = 0; i < count; i++) sends.push(actor.send(add));
      };
      send(10);
      for (let i = 0; i < turn; i++) await breath();
      send(5);
      const ending = end === 'stop' ? actor.stop() : end === 'shutdown' ? host.shutdown() : store.close();
      send(5);
      await ending;
      send(5);
      const codes = ['ERR_VARVE_ACTOR_ENDED', 'ERR_VARVE_CLOSED'];
      const acknowledged = await outcome(sends, codes);
      // What was accepted is completed.
      if (end === 'shutdown') expect(acknowledged).toBe(15);
      if (end === 'stop') expect(acknowledged).toBeGreaterThanOrEqual(15);
      await host.shutdown();
      await store.close();
      const next = await made(world({ counter }, { disk }));
      const again = await next.host.find('counter', '1');
      const { n } = again?.getSnapshot().context ?? { n: 0 };
      expect(n).toBeGreaterThanOrEqual(acknowledged);
      if (end !== 'close the store') expect(n).toBe(acknowledged);
    }
  },
);

describe('an append that fails', () => {
  test('fails what is piled upon it; the actor goes on from what the journal has', async () => {
    for (let turn = 0; turn < 12; turn++) {
      const disk = new SimulatedDisk({ seed: turn });
      const clock = new SimulatedClock();
      const store = await openStore(disk);
      const ran: number[] = [];
      const machine = setup({
        actions: { note: (_, { n }: { n: number }) => void ran.push(n) },
      }).createMachine({
        context: { n: 0 },
        on: {
          ADD: {
            actions: [
              assign({ n: ({ context }) => context.n + 1 }),
              { type: 'note', params: ({ event }) => ({ n: event.n as number }) },
            ],
          },
        },
      });
      const host = await createActorHost({ store, machines: { m: machine }, clock, onError: () => {} });
      const actor = await host.actor('m', '1');
      await actor.send({ type: 'ADD', n: 0 });
      disk.faults.add({
        kind: 'sync',
        file: 'part_*',
        nth: 1 + (turn % 3),
        fault: { writeback: 'revert', report: 'now' },
      });
      const acknowledged = new Set([0]);
      const sends = Array.from({ length: 30 }, (_, i) =>
        breath()
          .then(() => actor.send({ type: 'ADD', n: i + 1 }))
          .then(() => void acknowledged.add(i + 1)),
      );
      await outcome(sends, ['ERR_VARVE_PARTITION_FAILED']);
      expect(actor.getSnapshot().context.n).toBeGreaterThanOrEqual(acknowledged.size);
      await host.shutdown();
      await store.close().catch(() => {});
      const next = await openStore(disk.processCrash());
      const again = await createActorHost({ store: next, machines: { m: machine }, clock });
      const events: unknown[] = [];
      for await (const { kind, event } of (await again.actor('m', '1')).history())
        if (kind === 'event') events.push(event.n);
      for (const n of acknowledged) expect(events).toContain(n);
      for (const n of ran) expect(events).toContain(n);
      await again.shutdown();
      await next.close();
    }
  });
});

test('what is sent while an actor is looked for and not found starts it', async () => {
  const { host, clock, store } = await made(world({ counter }, { passivateAfter: 2 }));
  const actor = await host.actor('counter', '1');
  clock.increment(10);
  await host.settled();
  expect(host.stats().active).toBe(0);
  await store.deleteStream('counter-1');
  const [found, sent] = await Promise.all([host.find('counter', '1'), actor.send(add)]);
  expect(found).toBeUndefined();
  expect(sent.context).toEqual({ n: 1 });
});

test('two hosts over one store: one of them runs an actor, and none of its events is lost', async () => {
  const { store, clock, host } = await made(world({ counter }, { passivateAfter: 5 }));
  const other = await createActorHost({ store, machines: { counter }, clock, passivateAfter: 5, onError: () => {} });
  const starts = await Promise.allSettled([host.actor('counter', '1'), other.actor('counter', '1')]);
  expect(starts.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  const actor = await host.actor('counter', '1');
  let acknowledged = 0;
  for (let i = 0; i < 30; i++) {
    const there = await other.actor('counter', '1').catch((error) => {
      expect(error).toMatchObject(code('ERR_VARVE_LEASE_LOST'));
      return undefined;
    });
    const sends = [actor.send(add), ...(there === undefined ? [] : [there.send(add)])];
    acknowledged += await outcome(sends, ['ERR_VARVE_LEASE_LOST']);
    clock.increment(20); // whoever has it lets it go
    await breath();
  }
  await Promise.all([host.settled(), other.settled()]);
  await other.shutdown();
  clock.increment(20);
  expect(acknowledged).toBeGreaterThan(0);
  expect((await host.actor('counter', '1')).getSnapshot().context.n).toBe(acknowledged);
});

test('nothing is left on the clock of a host that was shut down', async () => {
  const clock = new SimulatedClock();
  const machine = createMachine({ after: { 1000: { actions: () => {} } } });
  const { host } = await made(world({ machine }, { clock }));
  await host.actor('machine', '1');
  await host.shutdown();
  expect((clock as unknown as { timeouts: Map<unknown, unknown> }).timeouts.size).toBe(0);
});
