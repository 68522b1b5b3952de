/** Finding, keeping and letting go of actors; bad input. */
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { from } from 'rxjs';
import { createActorHost } from 'varve/xstate';
import { assign, createMachine, fromPromise, setup, waitFor } from 'xstate';
import { closeAll, code, made, openStore, world } from './xstate-kit.js';

afterEach(closeAll);

const counter = createMachine({
  types: {} as { context: { n: number }; events: { type: 'INC' } | { type: 'END' } | { type: 'ODD' } },
  context: { n: 0 },
  initial: 'on',
  states: {
    on: {
      on: {
        INC: { actions: assign({ n: ({ context }) => context.n + 1 }) },
        ODD: { guard: ({ context }) => context.n % 2 === 1, actions: assign({ n: 0 }) },
        END: 'over',
      },
    },
    over: { type: 'final' },
  },
  output: ({ context }) => context.n,
});

describe('an actor', () => {
  test('has the habits of an actor reference', async () => {
    const { host } = await made(world({ counter }));
    const actor = await host.actor('counter', '1');
    const numbers: number[] = [];
    const complete = jest.fn();
    from(actor as never).subscribe({
      next: (s) => void numbers.push((s as { context: { n: number } }).context.n),
      complete,
    });
    const odd = actor.select(({ context }) => context.n % 2 === 1);
    const changes: boolean[] = [];
    odd.subscribe((value) => void changes.push(value));
    const waiting = waitFor(actor as never, (s) => (s as { context: { n: number } }).context.n === 2);
    await actor.send({ type: 'INC' });
    await actor.send({ type: 'INC' });
    await waiting;
    await actor.send({ type: 'END' });
    expect(numbers).toEqual([1, 2, 2]);
    expect(changes).toEqual([true, false]);
    expect(complete).toHaveBeenCalledTimes(1);
    expect(actor.getSnapshot().output).toBe(2);
    expect(await actor.getPersistedSnapshot()).toMatchObject({ status: 'done', value: 'over', context: { n: 2 } });
    const late = jest.fn();
    actor.subscribe({ complete: late });
    expect(late).toHaveBeenCalledTimes(1);
    await expect(actor.send({ type: 'INC' })).rejects.toMatchObject(code('ERR_VARVE_ACTOR_ENDED'));
  });

  test('that has ended tells so whoever looks at it, asleep or not', async () => {
    const { host, clock } = await made(world({ counter }, { passivateAfter: 10 }));
    const actor = await host.actor('counter', '1');
    await actor.send({ type: 'END' });
    await host.settled(); // its last snapshot is saved
    clock.increment(20);
    expect(host.stats().active).toBe(0);
    await new Promise<void>((complete) => actor.subscribe({ complete }));
    expect(actor.getSnapshot().output).toBe(0);
  });

  test('is one, however often it is asked for', async () => {
    const { host } = await made(world({ counter }));
    const actors = await Promise.all(Array.from({ length: 10 }, () => host.actor('counter', '1')));
    await Promise.all(actors.map((actor) => actor.send({ type: 'INC' })));
    expect(actors.map((actor) => actor.getSnapshot().context.n)).toEqual(Array(10).fill(10));
    expect(host.stats()).toMatchObject({ active: 1, starts: 1, events: 11 });
  });

  test('can be found only if it was started', async () => {
    const { host } = await made(world({ counter }));
    const [missing, made1] = await Promise.all([host.find('counter', '1'), host.actor('counter', '1')]);
    expect(missing).toBeUndefined();
    expect((await host.find('counter', '1'))?.id).toBe(made1.id);
  });

  test('is stopped for good', async () => {
    const before = await made(world({ counter }));
    const actor = await before.host.actor('counter', '1');
    await actor.send({ type: 'INC' });
    await actor.stop();
    expect(actor.getSnapshot()).toMatchObject({ status: 'stopped', context: { n: 1 } });
    const after = await made(before.crash());
    const again = await after.host.actor('counter', '1');
    expect(again.getSnapshot()).toMatchObject({ status: 'stopped', context: { n: 1 } });
    await expect(again.send({ type: 'INC' })).rejects.toMatchObject(code('ERR_VARVE_ACTOR_ENDED'));
  });

  test('that was deleted while it slept has no snapshot to persist', async () => {
    const { host, store, clock } = await made(world({ counter }, { passivateAfter: 10 }));
    const actor = await host.actor('counter', '1');
    await host.settled();
    clock.increment(20);
    expect(host.stats().active).toBe(0);
    await store.deleteStream('counter-1');
    const stream = 'counter-1';
    await expect(actor.getPersistedSnapshot()).rejects.toMatchObject({ code: 'ERR_VARVE_STREAM_NOT_FOUND', stream });
    await actor.send({ type: 'INC' });
    expect(await actor.getPersistedSnapshot()).toMatchObject({ context: { n: 1 } });
  });

  test('that was deleted can be started anew', async () => {
    const { host, store, crash } = await made(world({ counter }));
    await (await host.actor('counter', '1')).send({ type: 'INC' });
    await host.shutdown();
    await store.deleteStream('counter-1');
    const after = await made(world({ counter }, { store }));
    const actor = await after.host.actor('counter', '1');
    await actor.send({ type: 'INC' });
    await actor.send({ type: 'INC' });
    const last = await made(crash());
    expect((await last.host.actor('counter', '1')).getSnapshot().context.n).toBe(2);
  });
});

describe('memory', () => {
  test('idle actors leave it, and come back when they are needed', async () => {
    const { host, clock } = await made(world({ counter }, { passivateAfter: 1000 }));
    const actor = await host.actor('counter', '1');
    await actor.send({ type: 'INC' });
    const watched = await host.actor('counter', '2');
    const { unsubscribe } = watched.subscribe(() => {});
    clock.increment(1000);
    clock.increment(1000);
    expect(host.stats()).toMatchObject({ active: 1, passivations: 1 });
    expect(actor.getSnapshot().context.n).toBe(1);
    await actor.send({ type: 'INC' });
    expect(actor.getSnapshot().context.n).toBe(2);
    expect(host.stats()).toMatchObject({ active: 2, wakeUps: 1 });
    unsubscribe();
    clock.increment(1000);
    clock.increment(1000);
    expect(host.stats().active).toBe(0);
  });

  test('holds no more than it may', async () => {
    const { host } = await made(world({ counter }, { maxActive: 3 }));
    for (let i = 0; i < 10; i++) await (await host.actor('counter', String(i))).send({ type: 'INC' });
    expect(host.stats().active).toBe(3);
    for (let i = 0; i < 10; i++) expect((await host.actor('counter', String(i))).getSnapshot().context.n).toBe(1);
  });
});

describe('another host of the same store', () => {
  test('does not run what this one runs, or hands it over', async () => {
    const one = await made(world({ counter }));
    const actor = await one.host.actor('counter', '1');
    const second = await createActorHost({ store: one.store, machines: { counter } });
    await expect(second.actor('counter', '1')).rejects.toMatchObject({
      ...code('ERR_VARVE_LEASE_LOST'),
      stream: 'counter-1',
    });
    await one.host.shutdown();
    const taken = await second.actor('counter', '1');
    await taken.send({ type: 'INC' });
    const third = await createActorHost({
      store: one.store,
      machines: { counter },
      forward: async ({ machine, id }, event) => (await second.actor(machine as 'counter', id)).send(event as never),
    });
    await taken.send({ type: 'INC' });
    expect(actor.getSnapshot().context.n).toBe(0);
    await expect(third.actor('counter', '1')).rejects.toMatchObject(code('ERR_VARVE_LEASE_LOST'));
    await second.shutdown();
    const own = await third.actor('counter', '1');
    expect((await own.send({ type: 'INC' })).context.n).toBe(3);
    await third.shutdown();
  });

  test('an append of somebody else is noticed, and the actor is not run on', async () => {
    const { host, store } = await made(world({ counter }));
    const actor = await host.actor('counter', '1');
    await store.appendToStream('counter-1', {
      type: 'INC',
      data: { type: 'INC' },
      metadata: { kind: 'event', at: 0, version: '1' },
    });
    const both = await Promise.allSettled([actor.send({ type: 'INC' }), actor.send({ type: 'INC' })]);
    for (const result of both) expect(result).toMatchObject({ reason: code('ERR_VARVE_LEASE_LOST') });
    // The second one expected the revision that the other's event had got: it is in the journal, and counts.
    expect((await actor.send({ type: 'INC' })).context.n).toBe(3);
  });
});

describe('shutting down', () => {
  test('completes what was accepted, and takes no more', async () => {
    const one = await made(world({ counter }));
    const actor = await one.host.actor('counter', '1');
    const sends = Array.from({ length: 50 }, () => actor.send({ type: 'INC' }));
    const down = one.host.shutdown();
    await expect(actor.send({ type: 'INC' })).rejects.toMatchObject(code('ERR_VARVE_CLOSED'));
    await expect(one.host.actor('counter', '2')).rejects.toMatchObject(code('ERR_VARVE_CLOSED'));
    expect((await Promise.all(sends)).at(-1)?.context.n).toBe(50);
    await down;
    expect(one.host.shutdown()).toBe(one.host.shutdown());
    expect(actor.getSnapshot().context.n).toBe(50);
  });

  test('stops what runs', async () => {
    const aborted = jest.fn();
    const work = fromPromise(({ signal }) => {
      signal.addEventListener('abort', aborted);
      return new Promise(() => {});
    });
    const machine = setup({ actors: { work } }).createMachine({ invoke: { src: 'work' } });
    const { host } = await made(world({ machine }));
    await host.actor('machine', '1');
    await host.shutdown();
    expect(aborted).toHaveBeenCalledTimes(1);
  });
});

describe('events that a machine cannot take', () => {
  test.each([
    ['ignore', [0], 'fulfilled'],
    ['journal', [0, 1], 'fulfilled'],
    ['reject', [0], 'rejected'],
  ] as const)('%s', async (unhandled, revisions, status) => {
    const { host } = await made(world({ counter: { machine: counter, unhandled } }));
    const actor = await host.actor('counter', '1');
    const [result] = await Promise.allSettled([actor.send({ type: 'ODD' })]);
    expect(result?.status).toBe(status);
    if (result?.status === 'rejected') expect(result.reason).toMatchObject(code('ERR_VARVE_EVENT_REFUSED'));
    expect((await actor.history().toArray()).map(({ revision }) => revision)).toEqual(revisions);
  });
});

describe('bad input', () => {
  test.each([
    ['no store', { store: {} }, 'store'],
    ['no machine', { machines: { m: {} } }, 'machines.m.machine'],
    ['a machine with a dash', { machines: { 'a-b': counter } }, 'machines.a-b'],
    ['an unknown option', { stores: 1 }, 'stores'],
    ['an unknown option of a machine', { machines: { m: { machine: counter, snapshot: 1 } } }, 'machines.m.snapshot'],
    ['a bad policy', { machines: { m: { machine: counter, timers: 'never' } } }, 'machines.m.timers'],
    [
      'a bad policy of one logic',
      { machines: { m: { machine: counter, interrupted: { x: 1 } } } },
      'machines.m.interrupted.x',
    ],
    ['a bad clock', { clock: {} }, 'clock'],
    [
      'bad supervision',
      { machines: { m: { machine: counter, supervision: { factor: 0 } } } },
      'machines.m.supervision.factor',
    ],
  ])('a host with %s is refused', async (_what, options, option) => {
    const store = await openStore();
    await expect(createActorHost({ store, machines: { counter }, ...options } as never)).rejects.toMatchObject({
      ...code('ERR_VARVE_INVALID_OPTION'),
      option,
    });
    await store.close();
  });

  test('events that cannot be kept are refused, and those behind them are not', async () => {
    const { host } = await made(world({ counter }));
    const actor = await host.actor('counter', '1');
    const bad = [{ type: 'INC', f: () => {} }, { type: '' }, 'INC', null];
    const results = await Promise.allSettled([...bad, { type: 'INC' }].map((event) => actor.send(event as never)));
    expect(results.map(({ status }) => status)).toEqual([...bad.map(() => 'rejected'), 'fulfilled']);
    for (const result of results.slice(0, -1)) {
      expect(result).toMatchObject({ reason: code('ERR_VARVE_INVALID_EVENT') });
    }
    expect(actor.getSnapshot().context.n).toBe(1);
    expect(host.stats().restarts).toBe(0);
  });

  test('ids', async () => {
    const { host } = await made(world({ counter }));
    for (const id of ['', 'x'.repeat(1100), 7]) {
      await expect(host.actor('counter', id as string)).rejects.toMatchObject(code('ERR_VARVE_INVALID_OPTION'));
    }
    const odd = await host.actor('counter', 'a-b/c @ ü');
    expect((await odd.send({ type: 'INC' })).context.n).toBe(1);
  });

  test('children without a name are refused before anything is journalled', async () => {
    const machine = createMachine({
      context: {},
      on: { GO: { actions: assign(({ spawn }) => ({ child: spawn(fromPromise(async () => 1)) })) } },
    });
    const { host } = await made(world({ machine }));
    const actor = await host.actor('machine', '1');
    await expect(actor.send({ type: 'GO' })).rejects.toMatchObject(code('ERR_VARVE_INVALID_OPTION'));
    expect((await actor.history().toArray()).length).toBe(1);
  });

  test('a journal that is none is refused by name', async () => {
    const { host, store } = await made(world({ counter }));
    await store.appendToStream('counter-1', { type: 'Foreign' });
    await expect(host.actor('counter', '1')).rejects.toMatchObject({
      ...code('ERR_VARVE_CORRUPT'),
      stream: 'counter-1',
    });
  });

  test('a journal whose beginning is missing is refused', async () => {
    const { host, store } = await made(world({ counter }));
    const actor = await host.actor('counter', '1');
    await actor.send({ type: 'INC' });
    await host.shutdown();
    await store.truncateStream('counter-1', 1n);
    const after = await made(world({ counter }, { store }));
    await expect(after.host.actor('counter', '1')).rejects.toMatchObject({
      ...code('ERR_VARVE_CORRUPT'),
      revision: 1n,
    });
  });

  test('revisions that are not there', async () => {
    const { host } = await made(world({ counter }));
    const actor = await host.actor('counter', '1');
    await expect(actor.at(1)).rejects.toMatchObject({ ...code('ERR_VARVE_INVALID_OPTION'), option: 'revision' });
    await expect(actor.at(-1)).rejects.toMatchObject(code('ERR_VARVE_INVALID_OPTION'));
  });
});
