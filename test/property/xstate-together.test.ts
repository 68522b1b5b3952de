/**
 * Actors that need each other, over lives that end by power cuts, in hosts of ever newer versions of their machines:
 * messages between durable actors are taken once and in order, durable children answer once, snapshots are migrated, and
 * delayed events go off by their policy.
 */
import assert from 'node:assert/strict';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { durable, durableChild, type MachineOptions } from 'varve/xstate';
import { assign, createMachine, SimulatedClock, sendParent, sendTo, setup } from 'xstate';
import { Random } from '../../src/testing/random.js';
import { SimulatedDisk } from '../../src/testing/simulated-disk.js';
import { runs } from '../runs.js';
import { unheardRejections } from '../support/unheard.js';
import { world } from '../unit/xstate/xstate-kit.js';

const RUNS = runs(25);
const unheard = unheardRejections();
const BOILING = 100;

type Command =
  | { readonly do: 'tell' | 'spawn'; readonly wait: boolean }
  | { readonly do: 'finish'; readonly which: number; readonly wait: boolean }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'settle' | 'yield' }
  | { readonly do: 'crash' | 'deploy'; readonly gap: number };

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('tell' as const, 'spawn' as const), wait: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('finish' as const), which: fc.nat(5), wait: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(5, 30, 60) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('settle' as const, 'yield' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('crash' as const, 'deploy' as const),
      gap: fc.constantFrom(0, 40, 500),
    }),
  },
);

interface OrderContext {
  readonly version: string;
  readonly told: readonly number[];
  readonly opened: readonly number[];
  readonly results: readonly number[];
}

function machinesOf(version: string, snapshotEvery: number) {
  const order = setup({
    types: {} as { context: OrderContext },
    actors: { work: durableChild<{ n: number }, number>('work') },
  }).createMachine({
    context: { version, told: [], opened: [], results: [] },
    on: {
      TELL: {
        actions: [
          assign({ told: ({ context, event }) => [...context.told, event.n] }),
          sendTo(
            () => durable('sink', 'all'),
            ({ event }) => ({ type: 'HEARD', n: event.n }),
          ),
        ],
      },
      SPAWN: {
        actions: assign(({ context, event, spawn }) => {
          spawn('work', { id: `work ${event.n}`, input: { n: event.n } });
          return context;
        }),
      },
      FINISH: {
        actions: sendTo(
          ({ event }) => `work ${event.n}`,
          () => ({ type: 'FINISH' }),
        ),
      },
      OPENED: { actions: assign({ opened: ({ context, event }) => [...context.opened, event.n] }) },
      'xstate.done.actor.*': {
        actions: assign({ results: ({ context, event }) => [...context.results, event.output] }),
      },
    },
  });
  const work = setup({ types: {} as { context: { n: number }; input: { n: number } } }).createMachine({
    context: ({ input }) => ({ n: input.n }),
    entry: sendParent(({ context }) => ({ type: 'OPENED', n: context.n })),
    initial: 'open',
    states: { open: { on: { FINISH: 'done' } }, done: { type: 'final' } },
    output: ({ context }) => context.n,
  });
  const sink = createMachine({
    types: {} as { context: { heard: number[] } },
    context: { heard: [] },
    on: { HEARD: { actions: assign({ heard: ({ context, event }) => [...context.heard, event.n] }) } },
  });
  const egg = createMachine({ initial: 'boiling', states: { boiling: { after: { [BOILING]: 'done' } }, done: {} } });
  const kept: MachineOptions['migrate'] = (snapshot) => snapshot;
  const common = { version, snapshotEvery, hashEvery: 1 };
  const migrate: MachineOptions['migrate'] = (snapshot) => {
    const { context } = snapshot as unknown as { context: OrderContext };
    return { ...snapshot, context: { ...context, version } } as unknown as typeof snapshot;
  };
  return {
    order: { machine: order, ...common, migrate },
    work: { machine: work, ...common, migrate: kept },
    sink: { machine: sink, ...common, migrate: kept },
    remaining: { machine: egg, timers: 'remaining' as const },
    restart: { machine: egg, timers: 'restart' as const },
    deadline: egg,
  };
}

const seen = { crashes: 0, heard: 0, results: 0, migrated: 0, early: 0, boiled: 0 };

async function play(commands: readonly Command[], snapshotEvery: number, seed: number): Promise<void> {
  const random = new Random(seed);
  const clock = new SimulatedClock();
  let version = 1;
  const open = (disk: SimulatedDisk) => world(machinesOf(String(version), snapshotEvery), { disk, clock });
  let one = await open(new SimulatedDisk({ seed }));
  const sent = { TELL: [] as number[], SPAWN: [] as number[], FINISH: [] as number[] };
  let n = 0;
  let lifeBegan = 0;
  let gone = 0;
  for (const machine of ['remaining', 'restart', 'deadline'] as const) await one.host.actor(machine, 'egg');
  let order = await one.host.actor('order', 'o');
  let sending: Promise<unknown>[] = [];
  const send = async (type: keyof typeof sent, value: number, wait: boolean) => {
    const doing = order.send({ type, n: value }).then(() => void sent[type].push(value));
    sending.push(doing);
    if (wait) await doing;
  };
  const settle = async () => {
    await Promise.all(sending);
    await one.host.settled();
    clock.increment(0);
    await one.host.settled();
  };
  const boiled = async () => {
    const values: Record<string, unknown> = {};
    for (const machine of ['remaining', 'restart', 'deadline'] as const)
      values[machine] = (await one.host.find(machine, 'egg'))?.getSnapshot().value;
    return values;
  };
  const check = async () => {
    await settle();
    // A child may be told to finish twice.
    const ended = ({ error }: { error: unknown }) => (error as { code?: string }).code === 'ERR_VARVE_ACTOR_ENDED';
    assert.deepEqual(
      one.problems.filter((problem) => !ended(problem)),
      [],
    );
    const { told, opened, results, version: of } = order.getSnapshot().context;
    const heard = (await one.host.find('sink', 'all'))?.getSnapshot().context.heard ?? [];
    assert.deepEqual(heard, told, 'messages are taken once, in order');
    for (const value of sent.TELL) assert.ok(told.includes(value), `told ${value}, acknowledged and lost`);
    for (const value of sent.SPAWN) assert.ok(opened.includes(value), `the child ${value} never spoke`);
    assert.equal(new Set(opened).size, opened.length, 'each child speaks once');
    for (const value of sent.FINISH) assert.ok(results.includes(value), `the child ${value} never answered`);
    assert.equal(new Set(results).size, results.length, 'each child answers once');
    const past = await order.at(order.revision);
    assert.deepEqual(past.context, order.getSnapshot().context);
    if (of === String(version) && version > 1) seen.migrated++;
    seen.heard += heard.length;
    seen.results += results.length;
    const now = clock.now();
    const eggs = await boiled();
    if (now >= BOILING) assert.equal(eggs.deadline, 'done');
    assert.equal(eggs.remaining, now - gone < BOILING ? 'boiling' : 'done');
    if (now - lifeBegan >= BOILING) {
      assert.equal(eggs.restart, 'done');
      seen.boiled++;
    } else if (eggs.restart === 'boiling' && now >= BOILING) seen.early++;
  };
  for (const step of commands) {
    if (step.do === 'tell' || step.do === 'spawn') await send(step.do === 'tell' ? 'TELL' : 'SPAWN', n++, step.wait);
    else if (step.do === 'finish') {
      const open = sent.SPAWN.filter((value) => !sent.FINISH.includes(value));
      const value = open[step.which % Math.max(1, open.length)];
      if (value !== undefined) await send('FINISH', value, step.wait);
    } else if (step.do === 'pass') clock.increment(step.ms);
    else if (step.do === 'settle') await check();
    else if (step.do === 'yield') await new Promise((resolve) => setImmediate(resolve));
    else if ('gap' in step) {
      await send('TELL', n++, true); // until now the host was there
      if (step.do === 'deploy') {
        await check();
        await one.host.shutdown({ snapshots: true });
        version++;
      }
      const { disk } = one;
      const left = step.do === 'deploy' ? disk : disk.crashed(random);
      const before = one;
      const acknowledged = { TELL: [...sent.TELL], SPAWN: [...sent.SPAWN], FINISH: [...sent.FINISH] };
      if (step.do === 'deploy') await before.close();
      else {
        const over = sending;
        sending = [];
        await before.close();
        await Promise.all(over);
        // What was acknowledged behind the power cut is of a life that never was.
        Object.assign(sent, acknowledged);
      }
      clock.increment(step.gap);
      gone += step.gap;
      lifeBegan = clock.now();
      one = await open(left);
      await one.host.find('restart', 'egg'); // its delay begins anew when it is woken
      order = await one.host.actor('order', 'o');
      seen.crashes++;
    }
  }
  await check();
  await one.close();
}

test(
  'actors together are what they would be without power cuts and deployments',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(command, { minLength: 5, maxLength: 25 }),
        fc.constantFrom(1, 3, 100),
        fc.nat(),
        async (commands, snapshotEvery, seed) => {
          await play(commands, snapshotEvery, seed);
          expect(unheard()).toEqual([]);
        },
      ),
      { numRuns: RUNS, interruptAfterTimeLimit: 60_000 + RUNS * 2000 },
    );
    for (const [what, count] of Object.entries(seen))
      if (what !== 'early') expect([what, count > 0]).toEqual([what, true]);
  },
  90_000 + RUNS * 3000,
);
