/** Events are journalled before anything of them can be seen. */
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { assign, createMachine, emit, setup } from 'xstate';
import { closeAll, code, made, world } from './xstate-kit.js';

const counter = createMachine({
  id: 'counter',
  context: { count: 0 },
  initial: 'on',
  states: {
    on: {
      on: {
        ADD: { actions: assign({ count: ({ context, event }) => context.count + event.by }) },
        OFF: 'off',
      },
    },
    off: { on: { ON: 'on' } },
  },
});

afterEach(closeAll);

describe('a durable actor', () => {
  test('takes events, and is what it was after a crash', async () => {
    const before = await made(world({ counter }));
    const actor = await before.host.actor('counter', 'a');
    expect((await actor.send({ type: 'ADD', by: 2 })).context).toEqual({ count: 2 });
    await actor.send({ type: 'ADD', by: 3 });
    await actor.send({ type: 'OFF' });
    expect(actor.getSnapshot().value).toBe('off');

    const after = await made(before.crash());
    const again = await after.host.actor('counter', 'a');
    expect(again.getSnapshot().value).toBe('off');
    expect(again.getSnapshot().context).toEqual({ count: 5 });
    await again.send({ type: 'ON' });
    expect(again.getSnapshot().matches('on')).toBe(true);
  });

  test('runs actions when the event is durable, and not again after a crash', async () => {
    const ran: string[] = [];
    const machine = setup({
      actions: { note: (_, params: { what: string }) => void ran.push(params.what) },
    }).createMachine({
      entry: { type: 'note', params: { what: 'entry' } },
      on: { GO: { actions: [{ type: 'note', params: { what: 'go' } }, emit({ type: 'WENT' })] } },
    });
    const before = await made(world({ machine }));
    const actor = await before.host.actor('machine', '1');
    const emitted = jest.fn();
    actor.on('WENT', emitted);
    const going = actor.send({ type: 'GO' });
    expect(ran).toEqual(['entry']);
    await going;
    expect(ran).toEqual(['entry', 'go']);
    expect(emitted.mock.calls).toEqual([[{ type: 'WENT' }]]);
    await before.host.settled();

    const after = await made(before.crash());
    await after.host.actor('machine', '1');
    await after.host.settled();
    expect(ran).toEqual(['entry', 'go']);
  });

  test('takes pipelined events in order', async () => {
    const { host, store } = await made(world({ counter }));
    const actor = await host.actor('counter', 'a');
    const seen: number[] = [];
    actor.subscribe((snapshot) => void seen.push(snapshot.context.count));
    await Promise.all([1, 2, 3, 4].map((by) => actor.send({ type: 'ADD', by })));
    expect(seen).toEqual([1, 3, 6, 10]);
    const history = await actor.history().toArray();
    expect(history.map(({ revision, event }) => [revision, event.type])).toEqual([
      [0, 'xstate.init'],
      ...[1, 2, 3, 4].map((revision) => [revision, 'ADD']),
    ]);
    expect((await actor.at(2)).context).toEqual({ count: 3 });
    expect((await store.streamHead('counter-a'))?.revision).toBe(4n);
  });

  test('refuses an unknown machine', async () => {
    const { host } = await made(world({ counter }));
    await expect(host.actor('nothing' as 'counter', 'a')).rejects.toMatchObject(code('ERR_VARVE_INVALID_OPTION'));
  });
});
