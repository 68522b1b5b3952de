/** The power fails anywhere in the life of actors with promises, delays, children and messages. */
import { afterEach, expect, test } from '@jest/globals';
import { durable } from 'varve/xstate';
import { assign, emit, fromPromise, sendParent, sendTo, setup } from 'xstate';
import { Random } from '../../../src/testing/random.js';
import { closeAll, made, world } from './xstate-kit.js';

afterEach(closeAll);

const kid = setup({}).createMachine({
  initial: 'a',
  states: {
    a: { after: { 30: 'b' } },
    b: { entry: sendParent({ type: 'KID' }), after: { 20: 'a' } },
  },
});
const worker = setup({
  types: {} as { context: { log: string[]; acted: number } },
  actors: { kid, work: fromPromise<string, number>(async ({ input }) => `worked ${input}`) },
  actions: { act: () => {} },
}).createMachine({
  context: { log: [], acted: 0 },
  invoke: { src: 'kid', id: 'kid' },
  on: { KID: { actions: assign({ log: ({ context }) => [...context.log, 'kid'] }) } },
  initial: 'idle',
  states: {
    idle: { on: { GO: 'working' }, after: { 50: { target: 'idle', reenter: true, actions: 'act' } } },
    working: {
      entry: ['act', emit({ type: 'STARTED' })],
      invoke: {
        src: 'work',
        input: ({ context }) => context.log.length,
        onDone: {
          target: 'idle',
          actions: [
            assign({ log: ({ context, event }) => [...context.log, event.output] }),
            sendTo(() => durable('sink', 'all'), { type: 'DONE' }),
          ],
        },
      },
    },
  },
});
const sink = setup({ types: {} as { context: { n: number } } }).createMachine({
  context: { n: 0 },
  on: { DONE: { actions: assign({ n: ({ context }) => context.n + 1 }) } },
});
const machines = {
  worker: { machine: worker, hashEvery: 1, snapshotEvery: 4 },
  sink: { machine: sink, hashEvery: 1, snapshotEvery: 4 },
};

test('what is woken behind it is what the journal tells, and everybody goes on', async () => {
  const random = new Random(11);
  const one = await made(world(machines));
  const disks: ReturnType<typeof one.disk.crashed>[] = [];
  const actors = await Promise.all(['1', '2'].map((id) => one.host.actor('worker', id)));
  for (let step = 0; step < 12; step++) {
    const sends = actors.map((actor) => actor.send({ type: 'GO' }));
    for (let pause = 0; pause < step % 5; pause++) await new Promise((resolve) => setImmediate(resolve));
    disks.push(one.disk.crashed(random));
    await Promise.all(sends);
    one.clock.increment(17);
    await one.host.settled();
  }
  expect(one.problems).toEqual([]);
  for (const disk of disks) {
    const after = await made(world(machines, { disk, clock: one.clock }));
    for (let turn = 0; turn < 3; turn++) {
      await after.host.settled();
      await new Promise((resolve) => setImmediate(resolve));
      after.clock.increment(60);
    }
    await after.host.settled();
    let done = 0;
    for (const id of ['1', '2']) {
      const actor = await after.host.find('worker', id);
      if (actor === undefined) continue;
      expect(actor.getSnapshot().value).toBe('idle');
      done += actor.getSnapshot().context.log.filter((entry) => entry.startsWith('worked')).length;
      expect((await actor.at(actor.revision)).context).toEqual(actor.getSnapshot().context);
    }
    await after.host.settled();
    const all = await after.host.find('sink', 'all');
    expect(all?.getSnapshot().context.n ?? 0).toBe(done);
    expect(after.problems).toEqual([]);
    await after.close();
  }
}, 60_000);
