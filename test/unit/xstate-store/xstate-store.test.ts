/** Stores of @xstate/store on the event store. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createStore } from '@xstate/store';
import { clearStorage, flushStorage, persist, rehydrateStore } from '@xstate/store/persist';
import { type EventStore, openEventStore } from 'varve';
import { varveEvents, varveStorage } from 'varve/xstate-store';
import { Random } from '../../../src/testing/random.js';
import { SimulatedDisk } from '../../../src/testing/simulated-disk.js';

const open = (disk: SimulatedDisk) => openEventStore({ directory: '/data', disk, segmentSize: 256 * 1024 });

let disk: SimulatedDisk;
let store: EventStore;

beforeEach(async () => {
  disk = new SimulatedDisk();
  store = await open(disk);
});
afterEach(() => store.close());

/** The power fails. */
async function crash(): Promise<void> {
  const after = disk.crashed(new Random(1), 'none');
  await store.close();
  disk = after;
  store = await open(disk);
}

const counter = (options: object) =>
  createStore({
    context: { count: 0 },
    on: { inc: ({ count }, { by = 1 }: { by?: number }) => ({ count: count + by }) },
  }).with(persist({ name: 'counter', ...options } as never));

/** Awaits what was written: `persist` tells nobody but `onDone`. */
function written() {
  const waiting: (() => void)[] = [];
  let done = 0;
  return {
    onDone: () => {
      done++;
      for (const tell of waiting.splice(0)) tell();
    },
    async times(count: number) {
      while (done < count) await new Promise<void>((resolve) => waiting.push(resolve));
    },
  };
}

describe('varveStorage', () => {
  test('keeps a store over a power failure, and gives it up when it is cleared', async () => {
    const done = written();
    const first = counter({ storage: varveStorage({ store }), onDone: done.onDone });
    await rehydrateStore(first);
    first.send({ type: 'inc', by: 2 });
    first.send({ type: 'inc', by: 3 });
    await done.times(2);
    await crash();
    const second = counter({ storage: varveStorage({ store }) });
    await rehydrateStore(second);
    expect(second.getSnapshot().context).toEqual({ count: 5 });
    await clearStorage(second);
    expect(await varveStorage({ store }).getItem('counter')).toBeNull();
  });

  test('keeps so many values', async () => {
    const storage = varveStorage({ store, keep: 3, prefix: 'settings' });
    for (let i = 0; i < 9; i++) await storage.setItem('theme', String(i));
    const events = await store.readStream('settings-theme').toArray();
    expect(events.map(({ data }) => data)).toEqual(['6', '7', '8']);
    expect(await storage.getItem('theme')).toBe('8');
    expect(await storage.getItem('nothing')).toBeNull();
  });

  test.each([
    ['store', { store: {} }],
    ['prefix', { prefix: 'a-b' }],
    ['keep', { keep: 0 }],
    ['other', { other: 1 }],
  ])('refuses a bad %s', (option, options) => {
    expect(() => varveStorage({ store, ...options } as never)).toThrow(
      expect.objectContaining({ code: 'ERR_VARVE_INVALID_OPTION', option }),
    );
  });
});

describe('varveEvents', () => {
  test('appends each event once, and replays them', async () => {
    const done = written();
    const first = counter({ ...varveEvents({ store }), onDone: done.onDone });
    await rehydrateStore(first);
    for (let i = 1; i <= 10; i++) first.send({ type: 'inc', by: i });
    await done.times(10);
    expect((await store.streamHead('xstate.store-counter'))?.revision).toBe(9n);
    await crash();
    const done2 = written();
    const second = counter({ ...varveEvents({ store }), onDone: done2.onDone });
    await rehydrateStore(second);
    expect(second.getSnapshot().context).toEqual({ count: 55 });
    second.send({ type: 'inc', by: 5 });
    await done2.times(1);
    expect((await store.streamHead('xstate.store-counter'))?.revision).toBe(10n);
    const third = counter(varveEvents({ store }));
    await rehydrateStore(third);
    expect(third.getSnapshot().context).toEqual({ count: 60 });
  });

  test('with maxEvents: checkpoints now and then, and never the whole list', async () => {
    const done = written();
    const first = counter({ ...varveEvents({ store }), maxEvents: 10, onDone: done.onDone });
    await rehydrateStore(first);
    for (let i = 0; i < 300; i++) first.send({ type: 'inc' });
    await done.times(300);
    const kinds = new Map<string, number>();
    for await (const { metadata } of store.readStream('xstate.store-counter')) {
      const { kind } = metadata as { kind: string };
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
    expect(Object.fromEntries(kinds)).toEqual({ event: 300, checkpoint: 4 });
    const second = counter({ ...varveEvents({ store }), maxEvents: 10 });
    await rehydrateStore(second);
    expect(second.getSnapshot().context).toEqual({ count: 300 });
  });

  test('writes what another version has made of the events as a whole', async () => {
    const done = written();
    const first = counter({ ...varveEvents({ store }), onDone: done.onDone });
    await rehydrateStore(first);
    first.send({ type: 'inc', by: 2 });
    await done.times(1);
    const done2 = written();
    const migrate = (events: { by: number }[]) => events.map((event) => ({ ...event, by: event.by * 10 }));
    const second = counter({ ...varveEvents({ store }), version: 1, migrate, onDone: done2.onDone });
    await rehydrateStore(second);
    second.send({ type: 'inc' });
    second.send({ type: 'inc' });
    await done2.times(2);
    const third = counter({ ...varveEvents({ store }), version: 1, migrate });
    await rehydrateStore(third);
    expect(third.getSnapshot().context).toEqual({ count: 22 });
  });

  test('goes on behind events that were throttled, and begins anew when it was cleared', async () => {
    const first = counter({ ...varveEvents({ store }), throttle: 60_000 });
    await rehydrateStore(first);
    for (let i = 0; i < 5; i++) first.send({ type: 'inc' });
    await flushStorage(first);
    expect((await store.streamHead('xstate.store-counter'))?.revision).toBe(4n);
    await clearStorage(first);
    const second = counter(varveEvents({ store }));
    await rehydrateStore(second);
    expect(second.getSnapshot().context).toEqual({ count: 0 });
  });

  test('what cannot be kept is told to onError', async () => {
    const errors: unknown[] = [];
    const done = written();
    const options = { onError: (error: unknown) => void errors.push(error), onDone: done.onDone };
    const first = counter({ ...varveEvents({ store }), ...options });
    await rehydrateStore(first);
    first.send({ type: 'inc' });
    await done.times(1);
    const events = varveEvents({ store });
    const unkept = counter({ ...events, ...options });
    await rehydrateStore(unkept);
    unkept.send({ type: 'inc', by: (() => 1) as never });
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(errors).toEqual([expect.objectContaining({ code: 'ERR_VARVE_INVALID_EVENT' })]);
  });
});
