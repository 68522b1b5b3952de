/** Looking at actors: all of a machine, one's history, inspectors. */
import { afterEach, expect, test } from '@jest/globals';
import { firstValueFrom, take, toArray } from 'rxjs';
import { assign, createMachine, fromPromise, type InspectionEvent, setup } from 'xstate';
import { closeAll, code, made, world } from './xstate-kit.js';

afterEach(closeAll);

const counter = createMachine({
  types: {} as { context: { n: number }; events: { type: 'INC' } },
  context: { n: 0 },
  on: { INC: { actions: assign({ n: ({ context }) => context.n + 1 }) } },
});

test('a read model: what has happened to all actors of a machine, and what happens', async () => {
  const { host } = await made(world({ counter, other: counter }));
  await (await host.actor('counter', 'a')).send({ type: 'INC' });
  await (await host.actor('other', 'x')).send({ type: 'INC' });
  const all = firstValueFrom(host.entries('counter').pipe(take(4), toArray()));
  const b = await host.actor('counter', 'b');
  await b.send({ type: 'INC' });
  const entries = await all;
  expect(entries.map(({ id, revision, event }) => [id, revision, event.type])).toEqual([
    ['a', 0, 'xstate.init'],
    ['a', 1, 'INC'],
    ['b', 0, 'xstate.init'],
    ['b', 1, 'INC'],
  ]);
  const from = (entries[2]?.position ?? 0n) + 1n;
  for await (const entry of host.entries('counter', { from })) {
    expect([entry.id, entry.revision]).toEqual(['b', 1]);
    break;
  }
  expect(() => host.entries('nothing' as 'counter')).toThrow(expect.objectContaining(code('ERR_VARVE_INVALID_OPTION')));
});

test('the subscription says when it has caught up', async () => {
  const { host } = await made(world({ counter }));
  await (await host.actor('counter', 'a')).send({ type: 'INC' });
  const kinds: string[] = [];
  for await (const message of host.entries('counter').messages()) {
    kinds.push(message.kind);
    if (message.kind === 'caughtUp') break;
  }
  expect(kinds).toEqual(['event', 'event', 'caughtUp']);
});

test('inspectors get the same events live and from the history', async () => {
  const work = fromPromise(async () => 7);
  const machine = setup({ actors: { work } }).createMachine({
    initial: 'working',
    states: { working: { invoke: { src: 'work', onDone: 'idle' } }, idle: { on: { GO: 'working' } } },
  });
  const live: InspectionEvent[] = [];
  const one = await made(world({ machine }, { inspect: (event) => void live.push(event) }));
  const actor = await one.host.actor('machine', '1');
  await new Promise<void>((resolve) => actor.subscribe((snapshot) => snapshot.value === 'idle' && resolve()));
  const replayed: InspectionEvent[] = [];
  await actor.replay((event) => void replayed.push(event));
  const toRoot = (events: InspectionEvent[]) =>
    events
      .filter(({ type, actorRef }) => type === '@xstate.event' && actorRef.sessionId === 'machine-1')
      .map((event) => (event as { event: { type: string } }).event.type);
  expect(toRoot(replayed)).toEqual(toRoot(live));
  expect(toRoot(replayed)).toEqual(['xstate.init', 'xstate.done.actor.0.(machine).working']);
  for (const events of [live, replayed]) {
    expect(events[0]).toMatchObject({ type: '@xstate.actor', rootId: 'machine-1' });
    expect(events.some(({ type }) => type === '@xstate.snapshot')).toBe(true);
  }
  // Who comes later hears of the actors that are there.
  const late: InspectionEvent[] = [];
  const after = await made(one.crash({ machine }, { inspect: (event) => void late.push(event) }));
  await after.host.actor('machine', '1');
  expect(late.filter(({ type }) => type === '@xstate.actor').map(({ actorRef }) => actorRef.sessionId)).toContain(
    'machine-1',
  );
  expect(late.filter(({ type }) => type === '@xstate.event')).toEqual([]);
});
