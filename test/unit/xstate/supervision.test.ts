/** What is done when an action or an invoked promise throws. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { createMachine, fromPromise, setup } from 'xstate';
import { closeAll, code, made, world } from './xstate-kit.js';

afterEach(closeAll);

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Lets pauses of supervision go by until nothing is under way. */
async function letPass(one: { clock: { increment(ms: number): void }; host: { settled(): Promise<void> } }) {
  let over = false;
  const settled = one.host.settled().then(() => {
    over = true;
  });
  while (!over) {
    for (let i = 0; i < 20; i++) await turn();
    one.clock.increment(1000);
  }
  await settled;
}

describe('an action that throws', () => {
  const failing = (times: number, ran: string[]) =>
    setup({
      actions: {
        mail: () => {
          ran.push('mail');
          if (ran.filter((what) => what === 'mail').length <= times) throw new Error('no network');
        },
        after: () => void ran.push('after'),
      },
    }).createMachine({ on: { GO: { actions: ['mail', 'after'] } } });

  test('is called again after a pause, and the next one behind it', async () => {
    const ran: string[] = [];
    const one = await made(world({ m: failing(2, ran) }));
    const actor = await one.host.actor('m', '1');
    await actor.send({ type: 'GO' });
    expect(ran).toEqual(['mail']);
    await letPass(one);
    expect(ran).toEqual(['mail', 'mail', 'mail', 'after']);
    expect(one.host.stats().restarts).toBe(2);
    expect(one.problems).toEqual([]);
  });

  test('stops the actor, durably, when it has thrown too often', async () => {
    const ran: string[] = [];
    const machines = { m: { machine: failing(9, ran), supervision: { attempts: 3 } } };
    const one = await made(world(machines));
    const actor = await one.host.actor('m', '1');
    await actor.send({ type: 'GO' });
    await letPass(one);
    expect(ran).toEqual(['mail', 'mail', 'mail']);
    expect(one.problems).toMatchObject([{ what: "the action 'mail'" }]);
    expect(actor.getSnapshot()).toMatchObject({ status: 'error', error: { message: 'no network' } });
    const after = await made(one.crash(machines));
    const again = await after.host.actor('m', '1');
    expect(again.getSnapshot()).toMatchObject({ status: 'error', error: { message: 'no network' } });
    await expect(again.send({ type: 'GO' })).rejects.toMatchObject(code('ERR_VARVE_ACTOR_ENDED'));
    expect(ran.length).toBe(3);
  });

  test('escalates to the host, which may skip it', async () => {
    const ran: string[] = [];
    const seen: unknown[] = [];
    const machine = { machine: failing(9, ran), supervision: { strategy: 'escalate' as const } };
    const one = await made(
      world(
        { m: machine },
        {
          onError: (error, { what }) => {
            seen.push([(error as Error).message, what]);
            return 'skip';
          },
        },
      ),
    );
    await (await one.host.actor('m', '1')).send({ type: 'GO' });
    await one.host.settled();
    expect(seen).toEqual([['no network', "the action 'mail'"]]);
    expect(ran).toEqual(['mail', 'after']);
  });

  test('is called again in the next life, if this one ends first', async () => {
    const ran: string[] = [];
    const one = await made(world({ m: failing(1, ran) }));
    await (await one.host.actor('m', '1')).send({ type: 'GO' });
    await one.close();
    expect(ran).toEqual(['mail']);
    const after = await made(one.crash());
    await after.host.settled();
    expect(ran).toEqual(['mail', 'mail', 'after']);
  });

  test('that returns a promise holds up those behind it', async () => {
    const ran: string[] = [];
    let release: () => void = () => {};
    const machine = setup({
      actions: {
        slow: () =>
          new Promise<void>((resolve) => {
            release = () => {
              ran.push('slow');
              resolve();
            };
          }) as unknown as undefined,
        next: () => void ran.push('next'),
      },
    }).createMachine({ on: { GO: { actions: 'slow' }, NEXT: { actions: 'next' } } });
    const one = await made(world({ machine }));
    const actor = await one.host.actor('machine', '1');
    await actor.send({ type: 'GO' });
    await actor.send({ type: 'NEXT' });
    expect(ran).toEqual([]);
    release();
    await one.host.settled();
    expect(ran).toEqual(['slow', 'next']);
  });
});

describe('an invoked promise that rejects', () => {
  const failing = (times: number) => {
    let calls = 0;
    const work = fromPromise(async () => {
      if (++calls <= times) throw Object.assign(new Error('busy'), { code: 503 });
      return calls;
    });
    return setup({ actors: { work } }).createMachine({
      initial: 'working',
      states: { working: { invoke: { src: 'work', onDone: 'done' } }, done: {} },
    });
  };

  test('is run again, where the machine has no transition for its error', async () => {
    const one = await made(world({ m: failing(2) }));
    const actor = await one.host.actor('m', '1');
    for (let i = 0; i < 20; i++) await turn();
    await letPass(one);
    expect(actor.getSnapshot().value).toBe('done');
    const kinds = (await actor.history().toArray()).map(({ kind }) => kind);
    expect(kinds).toEqual(['start', 'child']);
  });

  test('fails its machine when that was too often; the error is in the history', async () => {
    const one = await made(world({ m: { machine: failing(9), supervision: { attempts: 2 } } }));
    const actor = await one.host.actor('m', '1');
    for (let i = 0; i < 20; i++) await turn();
    await letPass(one);
    for (let i = 0; i < 20; i++) await turn();
    await letPass(one);
    expect(actor.getSnapshot().status).toBe('error');
    const after = await made(one.crash());
    const again = await after.host.actor('m', '1');
    const { error } = again.getSnapshot();
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ message: 'busy', code: 503 });
  });

  test('is told to a machine that has one', async () => {
    const work = fromPromise(async () => {
      throw new Error('busy');
    });
    const machine = setup({ actors: { work } }).createMachine({
      initial: 'working',
      states: { working: { invoke: { src: 'work', onError: 'failed' } }, failed: {} },
    });
    const one = await made(world({ machine }));
    const actor = await one.host.actor('machine', '1');
    for (let i = 0; i < 20; i++) await turn();
    await one.host.settled();
    expect(actor.getSnapshot().value).toBe('failed');
  });
});

test('a machine that throws refuses the event, and is as it was', async () => {
  const machine = createMachine({
    types: {} as { context: { n: number }; events: { type: 'ADD'; by: number } },
    context: { n: 0 },
    initial: 'a',
    states: {
      a: {
        on: {
          ADD: {
            guard: ({ event }) => {
              if (event.by < 0) throw new Error('negative');
              return true;
            },
            target: 'b',
          },
        },
      },
      b: { after: { 100: 'a' } },
    },
  });
  const { host, clock } = await made(world({ machine }));
  const actor = await host.actor('machine', '1');
  const results = await Promise.allSettled([-1, 1].map((by) => actor.send({ type: 'ADD', by })));
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  expect(actor.getSnapshot().value).toBe('b');
  clock.increment(100);
  await host.settled();
  expect(actor.getSnapshot().value).toBe('a');
  expect((await actor.history().toArray()).length).toBe(3);
});
