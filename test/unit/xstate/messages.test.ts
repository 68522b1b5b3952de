/** Messages between durable actors: in order, effectively once, over crashes. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { createActorHost, durable, durableChild } from 'varve/xstate';
import { assign, createMachine, emit, sendParent, sendTo, setup } from 'xstate';
import { Random } from '../../../src/testing/random.js';
import { closeAll, code, made, world } from './xstate-kit.js';

afterEach(closeAll);

const sender = createMachine({
  types: {} as { events: { type: 'TELL'; n: number } | { type: 'LATER' } },
  on: {
    TELL: {
      actions: [
        emit(({ event }) => ({ type: 'TOLD', n: event.n })),
        sendTo(
          () => durable('receiver', 'r'),
          ({ event }) => ({ type: 'HEARD', n: event.n }),
        ),
      ],
    },
    LATER: {
      actions: sendTo(
        () => durable('receiver', 'r'),
        () => ({ type: 'HEARD', n: -1 }),
        { delay: 100 },
      ),
    },
  },
});
const receiver = createMachine({
  types: {} as { context: { heard: number[] }; events: { type: 'HEARD'; n: number } },
  context: { heard: [] },
  on: { HEARD: { actions: assign({ heard: ({ context, event }) => [...context.heard, event.n] }) } },
});

describe('sendTo(durable(…))', () => {
  test('starts the receiver and reaches it in order', async () => {
    const { host, store } = await made(world({ sender, receiver }));
    const one = await host.actor('sender', 's');
    await Promise.all(Array.from({ length: 20 }, (_, n) => one.send({ type: 'TELL', n })));
    await host.settled();
    const other = await host.find('receiver', 'r');
    expect(other?.getSnapshot().context.heard).toEqual(Array.from({ length: 20 }, (_, n) => n));
    // Event, what was emitted and the message are one append.
    const events = await store.readStream('sender-s', { fromRevision: 1n, maxCount: 3 }).toArray();
    expect(events.map(({ type }) => type)).toEqual(['TELL', 'TOLD', 'HEARD']);
    expect(new Set(events.map(({ created }) => created.getTime())).size).toBe(1);
  });

  test('waits for its delay, also asleep', async () => {
    const { host, clock } = await made(world({ sender, receiver }, { passivateAfter: 10 }));
    await (await host.actor('sender', 's')).send({ type: 'LATER' });
    clock.increment(50);
    await host.settled();
    expect(host.stats().active).toBe(0);
    clock.increment(50);
    await host.settled();
    const other = await host.find('receiver', 'r');
    expect(other?.getSnapshot().context.heard).toEqual([-1]);
  });

  test('is effectively once, wherever the power fails', async () => {
    const before = await made(world({ sender, receiver }));
    const one = await before.host.actor('sender', 's');
    const disks: ReturnType<typeof before.disk.crashed>[] = [];
    const told: number[] = [];
    const random = new Random(7);
    for (let n = 0; n < 12; n++) {
      const telling = one.send({ type: 'TELL', n }).then(() => told.push(n));
      for (let pause = 0; pause < n % 4; pause++) await new Promise((resolve) => setImmediate(resolve));
      disks.push(before.disk.crashed(random));
      await telling;
      disks.push(before.disk.crashed(random));
    }
    for (const [at, disk] of disks.entries()) {
      const after = await made(world({ sender, receiver }, { disk, clock: before.clock }));
      await after.host.settled();
      const heard = (await after.host.find('receiver', 'r'))?.getSnapshot().context.heard ?? [];
      expect(heard).toEqual(Array.from({ length: heard.length }, (_, n) => n));
      expect(heard.length).toBeGreaterThanOrEqual(Math.floor((at + 1) / 2));
      await after.close();
    }
  });

  test('a message waits for the one before it, which could not be handed over', async () => {
    const one = await made(world({ sender, receiver }));
    const other = await createActorHost({ store: one.store, machines: { receiver }, clock: one.clock });
    await other.actor('receiver', 'r'); // it is run elsewhere
    const actor = await one.host.actor('sender', 's');
    await actor.send({ type: 'TELL', n: 0 });
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    await other.shutdown();
    await actor.send({ type: 'TELL', n: 1 });
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    one.clock.increment(100);
    await one.host.settled();
    expect((await one.host.find('receiver', 'r'))?.getSnapshot().context.heard).toEqual([0, 1]);
  });

  test('an unknown machine is reported, and holds nothing up', async () => {
    const lost = createMachine({ on: { GO: { actions: sendTo(() => durable('nobody', 'x'), { type: 'HI' }) } } });
    const { host, problems } = await made(world({ lost }));
    await (await host.actor('lost', '1')).send({ type: 'GO' });
    await host.settled();
    const what = 'a message to nobody-x, which is parked,';
    expect(problems).toMatchObject([{ what, error: { code: 'ERR_VARVE_INVALID_OPTION' } }]);
  });

  test('a reference is a target only', () => {
    expect(() => durable('receiver', 'r').send({ type: 'HEARD' })).toThrow(
      expect.objectContaining(code('ERR_VARVE_INVALID_OPTION')),
    );
  });
});

describe('durableChild', () => {
  const payment = setup({
    types: { input: {} as { amount: number }, context: {} as { amount: number } },
  }).createMachine({
    context: ({ input }) => ({ amount: input.amount }),
    initial: 'open',
    states: {
      open: {
        entry: sendParent({ type: 'OPENED' }),
        on: { PAY: 'paid', FAIL: { actions: () => {}, target: 'paid' } },
      },
      paid: { type: 'final' },
    },
    output: ({ context }) => ({ paid: context.amount }),
  });
  const order = setup({ actors: { payment: durableChild<{ amount: number }>('payment') } }).createMachine({
    context: { log: [] as unknown[] },
    initial: 'paying',
    states: {
      paying: {
        invoke: {
          src: 'payment',
          id: 'pay',
          input: { amount: 3 },
          onDone: {
            target: 'done',
            actions: assign({ log: ({ context, event }) => [...context.log, event.output] }),
          },
        },
        on: {
          OPENED: { actions: assign({ log: ({ context }) => [...context.log, 'opened'] }) },
          CUSTOMER_PAYS: { actions: sendTo('pay', { type: 'PAY' }) },
          CANCEL: 'cancelled',
        },
      },
      done: {},
      cancelled: {},
    },
  });

  test('has a journal of its own, and tells its parent when it is done', async () => {
    const before = await made(world({ payment, order }));
    const actor = await before.host.actor('order', '1');
    await before.host.settled();
    expect(actor.getSnapshot().context.log).toEqual(['opened']);
    const after = await made(before.crash());
    await after.host.settled();
    const again = await after.host.actor('order', '1');
    await again.send({ type: 'CUSTOMER_PAYS' });
    await after.host.settled();
    expect(again.getSnapshot().value).toBe('done');
    expect(again.getSnapshot().context.log).toEqual(['opened', { paid: 3 }]);
    const streams = (await after.store.listStreams()).streams.map(({ stream }) => stream);
    expect(streams).toEqual(['order-1', 'payment-1/x:0']);
    const child = await after.host.find('payment', '1/x:0');
    expect(child?.getSnapshot().status).toBe('done');
  });

  test('is stopped when its parent leaves', async () => {
    const { host } = await made(world({ payment, order }));
    const actor = await host.actor('order', '1');
    await host.settled();
    await actor.send({ type: 'CANCEL' });
    await host.settled();
    const child = await host.find('payment', '1/x:0');
    expect(child?.getSnapshot().status).toBe('stopped');
    await expect(child?.send({ type: 'PAY' })).rejects.toMatchObject(code('ERR_VARVE_ACTOR_ENDED'));
  });

  test('tells its parent when its supervision gives it up', async () => {
    const failing = setup({
      actions: {
        mail: () => {
          throw new Error('no network');
        },
      },
    }).createMachine({ entry: 'mail' });
    const parent = setup({
      types: {} as { context: { why: unknown } },
      actors: { failing: durableChild('failing') },
    }).createMachine({
      context: { why: undefined },
      initial: 'waiting',
      states: {
        waiting: {
          invoke: {
            src: 'failing',
            onError: { target: 'failed', actions: assign({ why: ({ event }) => event.error }) },
          },
        },
        failed: {},
      },
    });
    const machines = { parent, failing: { machine: failing, supervision: { strategy: 'stop' as const } } };
    const one = await made(world(machines));
    const actor = await one.host.actor('parent', '1');
    await one.host.settled();
    expect(actor.getSnapshot()).toMatchObject({ value: 'failed', context: { why: { message: 'no network' } } });
    const after = await made(one.crash(machines));
    const again = await after.host.actor('parent', '1');
    expect(again.getSnapshot()).toMatchObject({ value: 'failed', context: { why: { message: 'no network' } } });
  });
});
