/** Promises, callbacks, observables, transitions and machines inside of a durable actor; delayed events. */
import { afterEach, describe, expect, test } from '@jest/globals';
import {
  assign,
  createMachine,
  fromCallback,
  fromPromise,
  fromTransition,
  sendParent,
  sendTo,
  setup,
  spawnChild,
} from 'xstate';
import { closeAll, made, world } from './xstate-kit.js';

afterEach(closeAll);

describe('a promise', () => {
  const paying = (pay: (input: number) => Promise<string>) =>
    setup({ actors: { pay: fromPromise<string, number>(({ input }) => pay(input)) } }).createMachine({
      context: { receipt: '' },
      initial: 'paying',
      states: {
        paying: {
          invoke: {
            src: 'pay',
            input: 12,
            onDone: { target: 'paid', actions: assign({ receipt: ({ event }) => event.output }) },
            onError: 'failed',
          },
        },
        paid: {},
        failed: {},
      },
    });

  test('is not run again when its result is in the journal', async () => {
    let calls = 0;
    const order = paying(async (input) => `receipt ${input} ${++calls}`);
    const before = await made(world({ order }));
    const actor = await before.host.actor('order', '1');
    await new Promise<void>((resolve) => actor.subscribe((s) => s.matches('paid') && resolve()));
    expect(actor.getSnapshot().context).toEqual({ receipt: 'receipt 12 1' });
    const after = await made(before.crash());
    const again = await after.host.actor('order', '1');
    await after.host.settled();
    expect(again.getSnapshot().context).toEqual({ receipt: 'receipt 12 1' });
    expect(calls).toBe(1);
  });

  test.each([
    ['restart', 'paid', 2],
    ['fail', 'failed', 1],
    ['ignore', 'paying', 1],
  ] as const)('that was under way at a crash: %s', async (interrupted, state, runs) => {
    let calls = 0;
    const order = paying(() => (++calls === 1 ? new Promise<string>(() => {}) : Promise.resolve('late')));
    const machines = { order: { machine: order, interrupted } };
    const before = await made(world(machines));
    await before.host.actor('order', '1');
    const after = await made(before.crash(machines));
    await after.host.settled();
    await new Promise((resolve) => setTimeout(resolve, 5));
    await after.host.settled();
    const actor = await after.host.actor('order', '1');
    expect(actor.getSnapshot().value).toBe(state);
    expect(calls).toBe(runs);
  });
});

test('a tree of machines, a transition and a callback is one unit', async () => {
  const inner = createMachine({
    id: 'inner',
    context: { seen: 0 },
    on: { PING: { actions: [assign({ seen: ({ context }) => context.seen + 1 }), sendParent({ type: 'PONG' })] } },
  });
  const machine = setup({
    actors: {
      inner,
      sum: fromTransition((state: number, event: { type: 'ADD'; by: number }) => state + event.by, 0),
      echo: fromCallback(({ sendBack, receive }) => receive((event) => sendBack({ type: 'ECHO', of: event.type }))),
    },
  }).createMachine({
    context: { pongs: 0, echoes: [] as string[] },
    invoke: [
      { src: 'inner', id: 'inner' },
      { src: 'sum', id: 'sum' },
      { src: 'echo', id: 'echo' },
    ],
    on: {
      GO: {
        actions: [
          sendTo('inner', { type: 'PING' }),
          sendTo('sum', { type: 'ADD', by: 2 }),
          sendTo('echo', { type: 'HELLO' }),
        ],
      },
      PONG: { actions: assign({ pongs: ({ context }) => context.pongs + 1 }) },
      ECHO: { actions: assign({ echoes: ({ context, event }) => [...context.echoes, event.of as string] }) },
    },
  });
  const before = await made(world({ machine }));
  const actor = await before.host.actor('machine', '1');
  await actor.send({ type: 'GO' });
  await actor.send({ type: 'GO' });
  await before.host.settled();
  const look = (snapshot: ReturnType<typeof actor.getSnapshot>) => ({
    context: snapshot.context,
    inner: snapshot.children.inner?.getSnapshot().context,
    sum: snapshot.children.sum?.getSnapshot().context,
  });
  const expected = { context: { pongs: 2, echoes: ['HELLO', 'HELLO'] }, inner: { seen: 2 }, sum: 4 };
  expect(look(actor.getSnapshot())).toEqual(expected);
  const after = await made(before.crash());
  const again = await after.host.actor('machine', '1');
  expect(look(again.getSnapshot())).toEqual(expected);
  await again.send({ type: 'GO' });
  expect(look(again.getSnapshot()).inner).toEqual({ seen: 3 });
});

test('delayed events keep their moment over a crash, and wake sleeping actors', async () => {
  const light = createMachine({
    initial: 'green',
    states: { green: { after: { 1000: 'red' } }, red: { after: { 500: 'green' } } },
  });
  const before = await made(world({ light }));
  await before.host.actor('light', 'a');
  before.clock.increment(400);
  const after = await made(before.crash());
  expect(after.host.stats().active).toBe(0);
  after.clock.increment(599);
  await after.host.settled();
  expect(after.host.stats().active).toBe(0);
  after.clock.increment(1);
  await after.host.settled();
  const actor = await after.host.actor('light', 'a');
  expect(actor.getSnapshot().value).toBe('red');
  after.clock.increment(500);
  await after.host.settled();
  expect(actor.getSnapshot().value).toBe('green');
});

test('snapshots: children that were restored are persisted again', async () => {
  const child = createMachine({
    context: { n: 0 },
    on: { INC: { actions: assign({ n: ({ context }) => context.n + 1 }) } },
  });
  const machine = setup({ actors: { child } }).createMachine({
    entry: spawnChild('child', { id: 'kid' }),
    on: { INC: { actions: sendTo('kid', { type: 'INC' }) } },
  });
  const machines = { machine: { machine, snapshotEvery: 2, hashEvery: 1 } };
  let now = await made(world(machines));
  for (let round = 1; round <= 3; round++) {
    const actor = await now.host.actor('machine', '1');
    for (let i = 0; i < 3; i++) await actor.send({ type: 'INC' });
    await now.host.settled();
    expect(actor.getSnapshot().children.kid?.getSnapshot().context).toEqual({ n: 3 * round });
    expect((await now.store.listSnapshots('machine-1')).length).toBeGreaterThan(0);
    now = await made(now.crash(machines));
  }
});
