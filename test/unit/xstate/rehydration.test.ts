/** What XState promises of a machine that is restored from a snapshot, and what people miss there, over a power cut. */
import { afterEach, describe, expect, test } from '@jest/globals';
import {
  type AnyActorRef,
  type AnyMachineSnapshot,
  assign,
  cancel,
  createActor,
  createMachine,
  fromPromise,
  raise,
  SimulatedClock,
  sendTo,
  setup,
} from 'xstate';
import { unheardRejections } from '../../support/unheard.js';
import { closeAll, made, world } from './xstate-kit.js';

const unheard = unheardRejections();
afterEach(async () => {
  await closeAll();
  expect(unheard()).toEqual([]);
});

const ticks = () => new Promise((resolve) => setTimeout(resolve, 5));

/** A snapshot behind each entry, or only the journal. */
describe.each([1, 3, 1000])('with a snapshot each %i entries', (snapshotEvery) => {
  const given = <Machine>(machine: Machine) => ({ m: { machine, snapshotEvery, hashEvery: 1 } });

  test('entry actions are not run again', async () => {
    const ran: string[] = [];
    const machine = setup({
      actions: { note: (_, { what }: { what: string }) => void ran.push(what) },
    }).createMachine({
      entry: { type: 'note', params: { what: 'root' } },
      initial: 'a',
      states: {
        a: { entry: { type: 'note', params: { what: 'a' } }, on: { GO: 'b' } },
        b: { entry: { type: 'note', params: { what: 'b' } }, exit: { type: 'note', params: { what: 'left b' } } },
      },
    });
    const before = await made(world(given(machine)));
    await (await before.host.actor('m', '1')).send({ type: 'GO' });
    await before.host.settled();
    const after = await made(before.crash(given(machine)));
    const again = await after.host.actor('m', '1');
    await after.host.settled();
    expect(again.getSnapshot().value).toBe('b');
    expect(ran).toEqual(['root', 'a', 'b']);
  });

  test('delayed transitions go on, at their moment and not before; overdue ones at once', async () => {
    const machine = createMachine({
      initial: 'a',
      states: { a: { after: { 100: 'b' } }, b: { after: { 100: 'c' } }, c: {} },
    });
    const before = await made(world(given(machine)));
    await before.host.actor('m', '1');
    before.clock.increment(60);
    const after = await made(before.crash(given(machine)));
    const actor = await after.host.actor('m', '1');
    after.clock.increment(39);
    await after.host.settled();
    expect(actor.getSnapshot().value).toBe('a');
    after.clock.increment(1);
    await after.host.settled();
    expect(actor.getSnapshot().value).toBe('b');
    after.clock.increment(150); // nobody is there
    const late = await made(after.crash(given(machine)));
    late.clock.increment(0);
    await late.host.settled();
    expect((await late.host.actor('m', '1')).getSnapshot().value).toBe('c');
  });

  test('what was due while nobody was there comes before what is sent now', async () => {
    const machine = createMachine({
      initial: 'open',
      states: { open: { after: { 100: 'late' }, on: { PAY: 'paid' } }, late: {}, paid: {} },
    });
    const before = await made(world(given(machine)));
    await before.host.actor('m', '1');
    const disk = before.disk;
    await before.close();
    before.clock.increment(200);
    const after = await made(world(given(machine), { disk, clock: before.clock }));
    const actor = await after.host.actor('m', '1');
    expect((await actor.send({ type: 'PAY' })).value).toBe('late');
  });

  test('invoked machines go on, with their own delayed transitions and children', async () => {
    const grandchild = createMachine({
      context: { n: 0 },
      on: { ADD: { actions: assign({ n: ({ context }) => context.n + 1 }) } },
    });
    const child = setup({ actors: { grandchild } }).createMachine({
      initial: 'a',
      invoke: { src: 'grandchild', id: 'grandchild' },
      on: { ADD: { actions: sendTo('grandchild', { type: 'ADD' }) } },
      states: { a: { after: { 50: 'b' } }, b: { after: { 50: 'c' } }, c: { type: 'final' } },
    });
    const machine = setup({ actors: { child } }).createMachine({
      initial: 'waiting',
      states: { waiting: { invoke: { src: 'child', id: 'child', onDone: 'over' } }, over: {} },
      on: { ADD: { actions: sendTo('child', { type: 'ADD' }) } },
    });
    let now = await made(world(given(machine)));
    const numbers: unknown[] = [];
    for (let round = 0; round < 3; round++) {
      const actor = await now.host.actor('m', '1');
      await actor.send({ type: 'ADD' });
      const inner = actor.getSnapshot().children.child?.getSnapshot() as AnyMachineSnapshot;
      numbers.push([inner.value, inner.children.grandchild?.getSnapshot().context.n]);
      now.clock.increment(30);
      await now.host.settled();
      now = await made(now.crash(given(machine)));
    }
    expect(numbers).toEqual([
      ['a', 1],
      ['a', 2],
      ['b', 3],
    ]);
    now.clock.increment(30); // b was entered at 60
    await now.host.settled();
    expect((await now.host.actor('m', '1')).getSnapshot().value).toBe('over');
  });

  test('children that are done are not run again; what they gave is remembered', async () => {
    let runs = 0;
    const machine = setup({ actors: { job: fromPromise(async () => ++runs) } }).createMachine({
      context: { result: 0 },
      invoke: { src: 'job', id: 'job', onDone: { actions: assign({ result: ({ event }) => event.output }) } },
    });
    let now = await made(world(given(machine)));
    for (let round = 0; round < 3; round++) {
      const actor = await now.host.actor('m', '1');
      await ticks();
      await now.host.settled();
      expect(actor.getSnapshot().context).toEqual({ result: 1 });
      now = await made(now.crash(given(machine)));
    }
    expect(runs).toBe(1);
  });

  test('history states remember', async () => {
    const machine = createMachine({
      initial: 'on',
      states: {
        on: {
          type: 'parallel',
          states: {
            past: { type: 'history', history: 'deep' },
            x: { initial: 'x1', states: { x1: { on: { X: 'x2' } }, x2: {} } },
            y: { initial: 'y1', states: { y1: { on: { Y: 'y2' } }, y2: {} } },
          },
          on: { OFF: 'off' },
        },
        off: { on: { ON: 'on.past' } },
      },
    });
    const before = await made(world(given(machine)));
    const actor = await before.host.actor('m', '1');
    for (const type of ['Y', 'X', 'OFF']) await actor.send({ type });
    await before.host.settled();
    const middle = await made(before.crash(given(machine)));
    const again = await middle.host.actor('m', '1');
    expect((await again.send({ type: 'ON' })).value).toEqual({ on: { x: 'x2', y: 'y2' } });
    await again.send({ type: 'OFF' });
    await middle.host.settled();
    // What a restored actor has journalled has the checksums that another restored one has.
    const after = await made(middle.crash(given(machine)));
    const last = await after.host.actor('m', '1');
    expect((await last.send({ type: 'ON' })).value).toEqual({ on: { x: 'x2', y: 'y2' } });
    expect(after.problems).toEqual([]);
  });

  test('regions take their turn in the order in which their states were entered, in children too', async () => {
    const machine = setup({
      types: { context: {} as { set: boolean; order: string[] }, events: {} as { type: 'NEXT' | 'SET' } },
      guards: { set: ({ context }) => context.set },
      actions: {
        set: assign({ set: true }),
        note: assign(({ context }, { what }: { what: string }) => ({ order: [...context.order, what] })),
      },
    }).createMachine({
      context: { set: false, order: [] },
      type: 'parallel',
      on: { SET: { actions: 'set' } },
      states: {
        x: {
          initial: 'x1',
          states: {
            x1: { on: { NEXT: 'x2' } },
            x2: { always: { guard: 'set', target: 'x3', actions: { type: 'note', params: { what: 'x' } } } },
            x3: { tags: 'end' },
          },
        },
        y: {
          initial: 'y1',
          states: {
            y1: { always: { guard: 'set', target: 'y2', actions: { type: 'note', params: { what: 'y' } } } },
            y2: {},
          },
        },
      },
    });
    const parent = setup({ actors: { machine } }).createMachine({
      invoke: { src: 'machine', id: 'kid' },
      on: { '*': { actions: sendTo('kid', ({ event }) => event) } },
    });
    const plan = { ...given(machine), p: { machine: parent, snapshotEvery, hashEvery: 1 } };
    const before = await made(world(plan));
    for (const m of ['m', 'p'] as const) await (await before.host.actor(m, '1')).send({ type: 'NEXT' });
    await before.host.settled();
    const after = await made(before.crash(plan));
    const own = await (await after.host.actor('m', '1')).send({ type: 'SET' });
    const { kid } = (await (await after.host.actor('p', '1')).send({ type: 'SET' })).children;
    for (const snapshot of [own, kid?.getSnapshot() as typeof own]) {
      expect(snapshot.context.order).toEqual(['y', 'x']);
      expect(snapshot.value).toEqual({ x: 'x3', y: 'y2' });
      expect(snapshot.hasTag('end')).toBe(true);
    }
    expect(after.problems).toEqual([]);
  });

  test('a system knows its actors by systemId', async () => {
    const logger = createMachine({
      context: { n: 0 },
      on: { LOG: { actions: assign({ n: ({ context }) => context.n + 1 }) } },
    });
    const machine = setup({ actors: { logger } }).createMachine({
      invoke: { src: 'logger', systemId: 'logger' },
      on: { LOG: { actions: sendTo(({ system }) => system.get('logger'), { type: 'LOG' }) } },
    });
    let now = await made(world(given(machine)));
    for (let round = 1; round <= 3; round++) {
      const actor = await now.host.actor('m', '1');
      const snapshot = await actor.send({ type: 'LOG' });
      const [child] = Object.values(snapshot.children);
      expect(child?.getSnapshot().context).toEqual({ n: round });
      await now.host.settled();
      now = await made(now.crash(given(machine)));
    }
  });

  test('references in the context lead to the restored children, time and again', async () => {
    const kid = createMachine({
      context: { n: 0 },
      on: { ADD: { actions: assign({ n: ({ context }) => context.n + 1 }) } },
    });
    const machine = setup({
      types: {} as { context: { kids: AnyActorRef[] } },
      actors: { kid },
    }).createMachine({
      context: { kids: [] },
      on: {
        SPAWN: {
          actions: assign({
            kids: ({ context, spawn }) => [...context.kids, spawn('kid', { id: `kid ${context.kids.length}` })],
          }),
        },
        ADD: { actions: sendTo(({ context }) => context.kids.at(-1) as AnyActorRef, { type: 'ADD' }) },
      },
    });
    let now = await made(world(given(machine)));
    for (let round = 1; round <= 3; round++) {
      const actor = await now.host.actor('m', '1');
      await actor.send({ type: 'SPAWN' });
      await actor.send({ type: 'ADD' });
      const { kids } = actor.getSnapshot().context;
      expect(kids.map((ref) => ref.getSnapshot().context.n)).toEqual(Array.from({ length: round }, () => 1));
      const persisted = (await actor.getPersistedSnapshot()) as unknown as { children: Record<string, unknown> };
      expect(Object.keys(persisted.children)).toHaveLength(round);
      await now.host.settled();
      now = await made(now.crash(given(machine)));
    }
  });

  test('a final state stays final, with its output', async () => {
    const machine = createMachine({
      initial: 'a',
      states: { a: { on: { END: 'b' } }, b: { type: 'final', output: 7 } },
      output: ({ event }) => event.output,
    });
    const before = await made(world(given(machine)));
    await (await before.host.actor('m', '1')).send({ type: 'END' });
    const after = await made(before.crash(given(machine)));
    const actor = await after.host.actor('m', '1');
    expect(actor.getSnapshot()).toMatchObject({ status: 'done', value: 'b', output: 7 });
    await expect(actor.send({ type: 'END' })).rejects.toMatchObject({ code: 'ERR_VARVE_ACTOR_ENDED' });
    let complete = 0;
    actor.subscribe({ complete: () => complete++ });
    expect(complete).toBe(1);
  });

  test('a restored snapshot has its habits: matches, can, hasTag, getMeta', async () => {
    const machine = setup({
      guards: { rich: ({ context }) => context.money > 1 },
      types: {} as { context: { money: number } },
    }).createMachine({
      id: 'm',
      context: { money: 0 },
      initial: 'a',
      states: {
        a: { tags: 'first', on: { EARN: { target: 'b', actions: assign({ money: 2 }) } } },
        b: { tags: 'second', meta: { text: 'hello' }, on: { BUY: { guard: 'rich', target: 'a' } } },
      },
    });
    const before = await made(world(given(machine)));
    await (await before.host.actor('m', '1')).send({ type: 'EARN' });
    const after = await made(before.crash(given(machine)));
    const snapshot = (await after.host.actor('m', '1')).getSnapshot();
    expect(snapshot.matches('b')).toBe(true);
    expect(snapshot.can({ type: 'BUY' })).toBe(true);
    expect(snapshot.can({ type: 'EARN' })).toBe(false);
    expect([snapshot.hasTag('first'), snapshot.hasTag('second')]).toEqual([false, true]);
    expect(snapshot.getMeta()).toEqual({ 'm.b': { text: 'hello' } });
  });

  test('stopped children stay stopped', async () => {
    let runs = 0;
    const job = fromPromise(() => {
      runs++;
      return new Promise(() => {});
    });
    const machine = setup({ actors: { job } }).createMachine({
      initial: 'busy',
      states: { busy: { invoke: { src: 'job', id: 'job' }, on: { LEAVE: 'free' } }, free: {} },
    });
    const before = await made(world(given(machine)));
    await (await before.host.actor('m', '1')).send({ type: 'LEAVE' });
    await before.host.settled();
    const after = await made(before.crash(given(machine)));
    const actor = await after.host.actor('m', '1');
    await after.host.settled();
    expect(Object.keys(actor.getSnapshot().children)).toEqual([]);
    expect(runs).toBe(1);
  });
});

test.each([1, 1000])(
  'delayed events of one id are cancelled as XState has it (a snapshot each %i)',
  async (snapshotEvery) => {
    const machine = setup({
      actions: { later: raise({ type: 'LATER' }, { delay: 50, id: 'later' }), cancel: cancel('later') },
    }).createMachine({
      context: { n: 0 },
      on: {
        TWICE: { actions: ['later', 'later'] },
        CANCEL: { actions: ['cancel', 'cancel'] },
        LATER: { actions: assign({ n: ({ context }) => context.n + 1 }) },
      },
    });
    const clock = new SimulatedClock();
    const plain = createActor(machine, { clock }).start();
    for (const type of ['TWICE', 'CANCEL']) plain.send({ type });
    clock.increment(50);
    const before = await made(world({ m: { machine, snapshotEvery } }));
    await (await before.host.actor('m', '1')).send({ type: 'TWICE' });
    await before.host.settled();
    const after = await made(before.crash({ m: { machine, snapshotEvery } }));
    const actor = await after.host.actor('m', '1');
    await actor.send({ type: 'CANCEL' });
    after.clock.increment(50);
    await after.host.settled();
    expect(actor.getSnapshot().context).toEqual(plain.getSnapshot().context);
  },
);

test('what was acknowledged at written is there when the actor comes back', async () => {
  const machine = createMachine({
    context: { n: 0 },
    on: { ADD: { actions: assign({ n: ({ context }) => context.n + 1 }) } },
  });
  const { host, clock } = await made(world({ m: machine }, { ack: 'written', passivateAfter: 10 }));
  const actor = await host.actor('m', '1');
  for (let n = 1; n <= 20; n++) {
    expect((await actor.send({ type: 'ADD' })).context).toEqual({ n });
    expect((await actor.history().toArray()).length).toBe(n + 1);
    if (n % 3 === 0) clock.increment(30); // it leaves memory
  }
  expect(host.stats().passivations).toBeGreaterThan(0);
});

test.each(['a delayed transition', 'a result'])('%s that throws ends the actor, and is told', async (what) => {
  let runs = 0;
  const machine = setup({
    actors: { job: fromPromise(async () => ++runs) },
    actions: {
      fail: assign(() => {
        throw new Error('no good');
      }),
    },
  }).createMachine({
    context: {},
    ...(what === 'a result'
      ? { invoke: { src: 'job', onDone: { actions: 'fail' } } }
      : { after: { 10: { actions: 'fail' } } }),
  });
  const before = await made(world({ m: machine }));
  const actor = await before.host.actor('m', '1');
  before.clock.increment(10);
  await ticks();
  await before.host.settled();
  expect(before.problems.map(({ error }) => (error as Error).message)).toEqual(['no good']);
  expect(actor.getSnapshot()).toMatchObject({ status: 'error', error: { message: 'no good' } });
  await expect(actor.send({ type: 'X' })).rejects.toMatchObject({ code: 'ERR_VARVE_ACTOR_ENDED' });
  const after = await made(before.crash());
  await after.host.settled();
  expect((await after.host.actor('m', '1')).getSnapshot()).toMatchObject({ status: 'error' });
  expect(runs).toBe(what === 'a result' ? 1 : 0);
});
