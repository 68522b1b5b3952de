/** Nact's own actors, on the engine: `start(configurePersistence(engine))` and what follows. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import {
  type ActorSystemRef,
  configurePersistence,
  dispatch,
  persistentQuery,
  query,
  spawnPersistent,
  start,
  stop,
} from 'nact';
import { VarvePersistenceEngine } from 'varve/nact';
import { SimulatedDisk } from '../../../src/testing/index.js';

let disk: SimulatedDisk;
let engine: VarvePersistenceEngine;
let system: ActorSystemRef;
const PATIENCE = 60_000;

beforeEach(() => {
  disk = new SimulatedDisk();
  begin();
});
afterEach(() => end());

function begin(): void {
  engine = new VarvePersistenceEngine({ directory: '/data', disk, segmentSize: 1024 * 1024 });
  system = start(configurePersistence(engine));
}

async function end(): Promise<void> {
  stop(system);
  await engine.close();
}

interface State {
  readonly total: number;
  /** Numbers that were replayed. */
  readonly replayed: readonly number[];
}

/** Adds up what it is told; answers when it is persisted. */
function spawnCounter(key = 'counter', properties: object = {}) {
  let replayed: number[] = [];
  const counter = async (state: State, message: { add?: number; sender?: unknown }, ctx: unknown): Promise<State> => {
    const context = ctx as { recovering?: boolean; persist(message: unknown, tags?: string[]): Promise<void> };
    const { add, sender } = message;
    if (add === undefined) {
      dispatch(sender as never, { ...state, replayed } as never);
      return state;
    }
    if (context.recovering) replayed = [...replayed, add];
    else await context.persist({ add }, [add % 2 === 0 ? 'even' : 'odd']);
    if (sender !== undefined && !context.recovering) dispatch(sender as never, add as never);
    return { ...state, total: state.total + add };
  };
  return spawnPersistent(system, counter as never, key, undefined, {
    initialState: { total: 0, replayed: [] },
    ...properties,
  } as never) as never;
}

const add = (actor: never, n: number) => query(actor, ((sender: unknown) => ({ add: n, sender })) as never, PATIENCE);
const state = (actor: never) => query(actor, ((sender: unknown) => ({ sender })) as never, PATIENCE) as Promise<State>;

describe('a persistent actor', () => {
  test('has its state when it is started again', async () => {
    const counter = spawnCounter();
    for (const n of [1, 2, 3]) await add(counter, n);
    expect(await state(counter)).toMatchObject({ total: 6, replayed: [] });
    await end();
    begin();
    const again = spawnCounter();
    expect(await state(again)).toMatchObject({ total: 6, replayed: [1, 2, 3] });
    await add(again, 4);
    expect(await state(again)).toMatchObject({ total: 10 });
  });

  test('goes on from its snapshot, with the events behind it', async () => {
    const counter = spawnCounter('counter', { snapshotEvery: 2 });
    for (const n of [1, 2, 3, 4, 5]) await add(counter, n);
    await end();
    begin();
    expect((await engine.latestSnapshot('counter'))?.sequenceNumber).toBe(4);
    expect(await state(spawnCounter('counter', { snapshotEvery: 2 }))).toMatchObject({ total: 15, replayed: [5] });
  });

  test('has its messages encoded and decoded as it says', async () => {
    const codec = {
      encoder: (message: object) => JSON.stringify(message),
      decoder: (text: string) => JSON.parse(text),
    };
    await add(spawnCounter('counter', codec), 7);
    const [first] = (await engine.events('counter')) as unknown as { data: unknown }[];
    expect(first?.data).toBe('{"add":7}');
    await end();
    begin();
    expect(await state(spawnCounter('counter', codec))).toMatchObject({ total: 7 });
  });

  test('keeps its tags', async () => {
    const counter = spawnCounter();
    for (const n of [1, 2, 3, 4]) await add(counter, n);
    const even = (await engine.events('counter', 0, 10, ['even'])) as unknown as { data: { add: number } }[];
    expect(even.map(({ data }) => data.add)).toEqual([2, 4]);
  });

  test('is one of two under a key: the other one is refused, and stopped', async () => {
    const told = jest.spyOn(console, 'log').mockImplementation(() => {});
    try {
      const [one, other] = [spawnCounter(), spawnCounter()];
      await Promise.all([state(one), state(other)]);
      let crash: unknown;
      const third = spawnCounter('counter', {
        onCrash: (_message: unknown, error: unknown, ctx: { stop: symbol }) => {
          crash = error;
          return ctx.stop;
        },
      });
      await state(third);
      await add(one, 1);
      dispatch(other, { add: 2 } as never);
      dispatch(third, { add: 3 } as never);
      while (crash === undefined) await new Promise(setImmediate);
      expect(crash).toMatchObject({
        name: 'JournalConcurrencyError',
        persistenceId: 'counter',
        expectedSeq: 0,
        actualSeq: 1,
      });
      expect(await state(one)).toMatchObject({ total: 1 });
      expect(await engine.events('counter')).toHaveLength(1);
    } finally {
      told.mockRestore();
    }
  });

  test('of many, each has its own', async () => {
    const keys = Array.from({ length: 20 }, (_, i) => `counter-${i}`);
    await Promise.all(
      keys.map(async (key, i) => {
        const counter = spawnCounter(key);
        await add(counter, i);
        await add(counter, 100);
      }),
    );
    await end();
    begin();
    const totals = await Promise.all(keys.map(async (key) => (await state(spawnCounter(key))).total));
    expect(totals).toEqual(keys.map((_, i) => i + 100));
  });
});

test('a persistent query reads what an actor has persisted, and keeps snapshots under a key of its own', async () => {
  const counter = spawnCounter();
  const sum = () =>
    persistentQuery(system, ((total: number, { add: n }: { add: number }) => total + n) as never, 'counter', {
      snapshotKey: 'sum',
      snapshotEvery: 2,
      cacheDuration: 1,
      initialState: 0,
    } as never)() as Promise<unknown>;
  for (const n of [1, 2, 3, 4]) await add(counter, n);
  expect(await sum()).toBe(10);
  while ((await engine.latestSnapshot('sum')) === undefined) await new Promise(setImmediate);
  expect(await engine.latestSnapshot('sum')).toMatchObject({ key: 'sum', sequenceNumber: 4, data: 10 });
  await add(counter, 5);
  expect(await sum()).toBe(15);
});
