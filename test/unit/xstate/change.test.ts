/** Snapshots, determinism, versions: machines that change, and those that should not. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { checkMachines } from 'varve/xstate';
import { assign, createMachine } from 'xstate';
import { closeAll, code, made, world } from './xstate-kit.js';

afterEach(closeAll);

type Counted = { context: { n: number }; events: { type: 'INC'; by?: number } };

const counter = (add: () => number = () => 1, first = 0) =>
  createMachine({
    types: {} as Counted,
    context: { n: first },
    on: { INC: { actions: assign({ n: ({ context }) => context.n + add() }) } },
  });

describe('snapshots', () => {
  test.each([
    ['entries', 3, [2n, 5n]],
    ['bytes', { bytes: 40 }, [2n, 5n]],
  ] as const)('after so many %s', async (_what, snapshotEvery, revisions) => {
    const { host, store } = await made(world({ counter: { machine: counter(), snapshotEvery } }));
    const actor = await host.actor('counter', '1');
    for (let i = 0; i < 7; i++) {
      await actor.send({ type: 'INC' });
      await host.settled();
    }
    const snapshots = await store.listSnapshots('counter-1');
    expect(snapshots.map(({ revision }) => revision)).toEqual(revisions);
  });

  test('are made under pipelining, on demand, and on final state; waking begins with them', async () => {
    const machine = createMachine({
      types: {} as { context: { n: number }; events: { type: 'INC' } | { type: 'END' } },
      context: { n: 0 },
      initial: 'on',
      states: {
        on: { on: { INC: { actions: assign({ n: ({ context }) => context.n + 1 }) }, END: 'over' } },
        over: { type: 'final' },
      },
    });
    const machines = { m: { machine, snapshotEvery: 10 } };
    const before = await made(world(machines));
    const actor = await before.host.actor('m', '1');
    await Promise.all(Array.from({ length: 35 }, () => actor.send({ type: 'INC' })));
    await before.host.settled();
    expect((await before.store.listSnapshots('m-1')).length).toBe(2);
    const other = await before.host.actor('m', '2');
    await other.send({ type: 'INC' });
    await other.send({ type: 'END' });
    await before.host.settled();
    expect((await before.store.listSnapshots('m-2')).map(({ revision }) => revision)).toEqual([2n]);
    await before.host.shutdown({ snapshots: true });
    expect((await before.store.listSnapshots('m-1')).at(-1)?.revision).toBe(35n);
    // What is before the snapshot's own revision can go.
    await before.store.truncateStream('m-1', 35n);
    const after = await made(before.crash(machines));
    expect((await after.host.actor('m', '1')).getSnapshot().context).toEqual({ n: 35 });
    expect((await after.host.actor('m', '2')).getSnapshot()).toMatchObject({ status: 'done', context: { n: 1 } });
  });

  test('of a context that cannot be kept are reported; the journal is enough', async () => {
    const machine = createMachine({
      context: { at: () => 1 },
      initial: 'a',
      states: { a: { on: { GO: 'b' } }, b: {} },
    });
    const machines = { m: { machine, snapshotEvery: 1, hashEvery: 1 } };
    const one = await made(world(machines));
    await (await one.host.actor('m', '1')).send({ type: 'GO' });
    await one.host.settled();
    expect(one.problems.map(({ what }) => what)).toEqual([
      'the checksum of its state',
      'saving a snapshot',
      'saving a snapshot',
    ]);
    const after = await made(one.crash(machines));
    expect((await after.host.actor('m', '1')).getSnapshot().value).toBe('b');
  });
});

describe('a machine that does not compute the same again', () => {
  const drifting = () => {
    let calls = 0;
    return counter(() => ++calls);
  };

  test.each([
    [1, 'at revision 1'],
    [3, 'between the revisions 0 and 2'],
  ])('is found out, with a checksum every %s', async (hashEvery, where) => {
    const machines = { counter: { machine: drifting(), hashEvery } };
    const before = await made(world(machines));
    const actor = await before.host.actor('counter', '1');
    for (let i = 0; i < 6; i++) await actor.send({ type: 'INC' });
    await expect(actor.at(5)).rejects.toMatchObject({
      ...code('ERR_VARVE_DIVERGED'),
      stream: 'counter-1',
      eventType: 'INC',
      message: expect.stringContaining(where),
    });
    const after = await made(before.crash(machines));
    await expect(after.host.actor('counter', '1')).rejects.toMatchObject(code('ERR_VARVE_DIVERGED'));
  });

  test('a machine that throws at replay is named with its event', async () => {
    let fails = false;
    const machine = counter(() => {
      if (fails) throw new Error('later');
      return 1;
    });
    const { host } = await made(world({ counter: machine }));
    const actor = await host.actor('counter', '1');
    await actor.send({ type: 'INC' });
    fails = true;
    await expect(actor.at(1)).rejects.toMatchObject({
      ...code('ERR_VARVE_DIVERGED'),
      revision: 1n,
      cause: expect.objectContaining({ message: 'later' }),
    });
  });
});

describe('another version', () => {
  const two = createMachine({
    types: {} as { context: { total: number }; events: { type: 'ADD'; by: number } },
    context: { total: 0 },
    on: { ADD: { actions: assign({ total: ({ context, event }) => context.total + event.by }) } },
  });
  const upcast = (event: { type: string }) => (event.type === 'INC' ? { type: 'ADD', by: 1 } : event);
  const migrate = (snapshot: object) => {
    const { n } = (snapshot as { context: { n: number } }).context;
    return { ...snapshot, context: { total: n } } as never;
  };

  async function versionOne(snapshots: boolean) {
    const one = await made(world({ counter: { machine: counter(), version: '1', hashEvery: 1 } }));
    const actor = await one.host.actor('counter', '1');
    await actor.send({ type: 'INC' });
    await actor.send({ type: 'INC' });
    if (snapshots) await one.host.shutdown({ snapshots });
    return one;
  }

  test('takes over snapshots with migrate, and events with upcast', async () => {
    const one = await versionOne(true);
    const machines = { counter: { machine: two, version: '2', migrate, upcast, hashEvery: 1 } };
    const next = await made(one.crash(machines));
    const actor = await next.host.actor('counter', '1');
    expect(actor.getSnapshot().context).toEqual({ total: 2 });
    expect((await actor.send({ type: 'ADD', by: 5 })).context).toEqual({ total: 7 });
    const versions = (await actor.history().toArray()).map(({ version }) => version);
    expect(versions).toEqual(['1', '1', '1', '2']);
    const again = await made(next.crash(machines));
    expect((await again.host.actor('counter', '1')).getSnapshot().context).toEqual({ total: 7 });
  });

  test('replays events with upcast where there is no snapshot', async () => {
    const one = await versionOne(false);
    const next = await made(one.crash({ counter: { machine: two, version: '2', upcast } }));
    expect((await next.host.actor('counter', '1')).getSnapshot().context).toEqual({ total: 2 });
  });

  test('is refused for snapshots that nothing migrates', async () => {
    const one = await versionOne(true);
    const next = await made(one.crash({ counter: { machine: two, version: '2' } }));
    await expect(next.host.actor('counter', '1')).rejects.toMatchObject({
      ...code('ERR_VARVE_MACHINE_VERSION'),
      stream: 'counter-1',
    });
  });
});

describe('checkMachines', () => {
  test('finds before a deployment what would not work, and changes nothing', async () => {
    const one = await made(world({ counter: { machine: counter(), hashEvery: 1 } }));
    for (const id of ['a', 'b', 'c']) await (await one.host.actor('counter', id)).send({ type: 'INC' });
    await one.host.shutdown();
    const { store } = one;
    const before = store.checkpoint();
    expect(await checkMachines({ store, machines: { counter: counter() } })).toEqual({ checked: 3, problems: [] });
    const progress: number[] = [];
    const report = await checkMachines({
      store,
      machines: { counter: counter(() => 2) },
      onProgress: ({ checked }) => void progress.push(checked),
    });
    expect(progress).toEqual([1, 2, 3]);
    expect(report.checked).toBe(3);
    expect(report.problems).toMatchObject(
      ['a', 'b', 'c'].map((id) => ({ id, machine: 'counter', code: 'ERR_VARVE_DIVERGED', revision: 1n })),
    );
    expect(store.checkpoint()).toBe(before);
    const sampled = await checkMachines({ store, machines: { counter: counter() }, sample: 1e-9 });
    expect(sampled.checked).toBe(0);
    await expect(checkMachines({ store, machines: { counter: counter() }, sample: 0 })).rejects.toMatchObject(
      code('ERR_VARVE_INVALID_OPTION'),
    );
  });

  test('looks at what is before a snapshot, too', async () => {
    const one = await made(world({ counter: { machine: counter(), hashEvery: 1 } }));
    await (await one.host.actor('counter', 'a')).send({ type: 'INC' });
    await one.host.shutdown({ snapshots: true });
    const report = await checkMachines({ store: one.store, machines: { counter: counter(() => 2) } });
    expect(report.problems).toMatchObject([{ code: 'ERR_VARVE_DIVERGED', revision: 1n }]);
  });
});
