/** Every method and error of the engine for nact. */
import { afterEach, describe, expect, test } from '@jest/globals';
import type { PersistedEvent, PersistedSnapshot } from 'nact';
import { VarvePersistenceEngine } from 'varve/nact';
import { NactEvents } from '../../../src/adapter/nact/events.js';
import { checkNact } from '../../../src/adapter/nact/nact.js';
import { SimulatedDisk } from '../../../src/testing/index.js';
import { code, deferred } from '../event-store/consumer-kit.js';
import { open, RICH } from '../journal/kit.js';

const closing: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of closing.splice(0)) await one.close();
});

function engineOn(disk = new SimulatedDisk(), options = {}): VarvePersistenceEngine {
  const place = { directory: '/data', disk, segmentSize: 1024 * 1024 };
  const engine = new VarvePersistenceEngine(place, options);
  closing.push(engine);
  return engine;
}

const event = (sequenceNumber: number, data: unknown = sequenceNumber, tags: string[] = []): PersistedEvent => ({
  data,
  sequenceNumber,
  key: 'k',
  tags,
  createdAt: 1000 + sequenceNumber,
  isDeleted: false,
});
const snapshot = (sequenceNumber: number, data: unknown = sequenceNumber): PersistedSnapshot => ({
  data,
  sequenceNumber,
  key: 'k',
  createdAt: 2000 + sequenceNumber,
});

/** Reads as nact does. */
const read = async (engine: VarvePersistenceEngine, ...asked: [number?, number?, string[]?]) => {
  const found: PersistedEvent[] = [];
  for await (const one of engine.events('k', ...asked)) found.push(one);
  return found;
};
const numbers = async (engine: VarvePersistenceEngine, ...asked: [number?, number?, string[]?]) =>
  (await read(engine, ...asked)).map(({ sequenceNumber }) => sequenceNumber);

describe('persist', () => {
  test('gives events back as they were given', async () => {
    const engine = engineOn();
    const given = RICH.map((data, i) => event(i + 1, data, ['blue', 'red']));
    for (const one of given) await engine.persist(one);
    expect(await read(engine)).toEqual(given);
  });

  test('keeps the order of events that are not awaited, also while the store is being opened', async () => {
    const engine = engineOn();
    await Promise.all([1, 2, 3].map((n) => engine.persist(event(n))));
    await Promise.all([4, 5].map((n) => engine.persist(event(n))));
    expect(await numbers(engine)).toEqual([1, 2, 3, 4, 5]);
  });

  test('refuses an event that was persisted already, and one that leaves a gap', async () => {
    const engine = engineOn();
    await engine.persist(event(1));
    for (const wrong of [1, 3]) {
      await expect(engine.persist(event(wrong))).rejects.toMatchObject({
        name: 'JournalConcurrencyError',
        persistenceId: 'k',
        expectedSeq: wrong - 1,
        actualSeq: 1,
      });
    }
    expect(await numbers(engine)).toEqual([1]);
  });

  test('refuses what cannot be stored, by its place', async () => {
    const engine = engineOn();
    await expect(engine.persist(event(1, { f: () => {} }))).rejects.toMatchObject({
      ...code('ERR_VARVE_INVALID_EVENT'),
      valuePath: 'events[0].data.f',
    });
    expect(await read(engine)).toEqual([]);
  });

  test.each<[string, object | null]>([
    ['event', null],
    ['event.sequenceNumber', { sequenceNumber: 0 }],
    ['event.isDeleted', { isDeleted: true }],
    ['event.kind', { kind: 'x' }],
    ['persistenceId', { key: '' }],
    ['events[0].timestamp', { createdAt: Number.NaN }],
  ])('refuses a bad %s', async (option, change) => {
    const engine = engineOn();
    const given = (change === null ? null : { ...event(1), ...change }) as PersistedEvent;
    await expect(engine.persist(given)).rejects.toMatchObject({ ...code('ERR_VARVE_INVALID_OPTION'), option });
    expect(await read(engine)).toEqual([]);
  });

  test('is refused by a closed engine', async () => {
    const engine = engineOn();
    await engine.persist(event(1));
    await engine.close();
    await expect(engine.persist(event(2))).rejects.toMatchObject(code('ERR_VARVE_CLOSED'));
    await expect(engine.takeSnapshot(snapshot(1))).rejects.toMatchObject(code('ERR_VARVE_CLOSED'));
    await expect(engine.latestSnapshot('k')).rejects.toMatchObject(code('ERR_VARVE_CLOSED'));
    await expect(read(engine)).rejects.toMatchObject(code('ERR_VARVE_CLOSED'));
  });
});

describe('events', () => {
  const filled = async () => {
    const engine = engineOn();
    for (let n = 1; n <= 6; n++)
      await engine.persist(event(n, n, n % 2 === 0 ? ['even'] : n === 3 ? ['odd', 'x'] : ['odd']));
    return engine;
  };

  test('begin behind the offset', async () => {
    const engine = await filled();
    expect(await numbers(engine)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await numbers(engine, 4)).toEqual([5, 6]);
    expect(await numbers(engine, 6)).toEqual([]);
  });

  test('are limited exactly', async () => {
    const engine = await filled();
    expect(await numbers(engine, 1, 2)).toEqual([2, 3]);
    expect(await numbers(engine, 0, 0)).toEqual([]);
    expect(await numbers(engine, 0, undefined)).toHaveLength(6);
  });

  test('have all of the tags, and the limit counts these', async () => {
    const engine = await filled();
    expect(await numbers(engine, 0, undefined, ['odd'])).toEqual([1, 3, 5]);
    expect(await numbers(engine, 0, 2, ['odd'])).toEqual([1, 3]);
    expect(await numbers(engine, 0, 0, ['odd'])).toEqual([]);
    expect(await numbers(engine, 1, 5, ['x', 'odd'])).toEqual([3]);
    expect(await numbers(engine, 0, undefined, [])).toHaveLength(6);
  });

  test('can be awaited, and read twice', async () => {
    const engine = await filled();
    const events = engine.events('k', 4);
    expect(await events).toEqual(await read(engine, 4));
    expect(await events).toHaveLength(2);
    expect(await events.then((all) => all.length)).toBe(2);
    await engine.close();
    expect(await events.then(undefined, ({ code }) => code)).toBe('ERR_VARVE_CLOSED');
  });

  test('are reduced as an array is, by functions that are asynchronous or not', async () => {
    const engine = await filled();
    const events = engine.events('k');
    expect(await events.reduce((sum, { data }, i) => sum + (data as number) * i, 0)).toBe(70);
    const slow = await events.reduce(
      async (all: Promise<number[]>, { data }, i) => {
        expect(all).toBeInstanceOf(Promise);
        const seen = await all;
        await new Promise(setImmediate);
        return [...seen, (data as number) * 10 + i];
      },
      Promise.resolve([]) as Promise<number[]>,
    );
    expect(slow).toEqual([10, 21, 32, 43, 54, 65]);
    expect(await engine.events('none').reduce((sum) => sum, 7)).toBe(7);
  });

  test('a reduction reads no further than its function has come', async () => {
    let read = 0;
    const events = new NactEvents(async function* () {
      for (let n = 1; n <= 5; n++) {
        read++;
        yield event(n);
      }
    });
    const gate = deferred();
    const reducing = events.reduce(async (before: Promise<void>) => {
      await before;
      await gate.promise;
    }, Promise.resolve());
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
    expect(read).toBe(2); // one that is being dealt with, and the next
    gate.resolve();
    await reducing;
    expect(read).toBe(5);
  });

  test('a reduction ends when its function fails', async () => {
    const engine = await filled();
    let called = 0;
    const failing = engine.events('k').reduce(async (before: Promise<void>) => {
      await before;
      if (++called === 2) throw new Error('no further');
    }, Promise.resolve());
    await expect(failing).rejects.toThrow('no further');
    expect(called).toBe(2);
  });

  test.each<[string, [number?, number?, string[]?]]>([
    ['offset', [-1]],
    ['offset', [0.5]],
    ['limit', [0, -1]],
    ['tags', [0, 1, 'x' as never]],
    ['tags', [0, 1, [1 as never]]],
  ])('are refused for a bad %s', (option, asked) => {
    const engine = engineOn();
    expect(() => engine.events('k', ...asked)).toThrow(
      expect.objectContaining({ ...code('ERR_VARVE_INVALID_OPTION'), option }),
    );
  });
});

describe('snapshots', () => {
  test('the latest is the one with the highest sequence number, as it was given', async () => {
    const engine = engineOn();
    expect(await engine.latestSnapshot('k')).toBeUndefined();
    await engine.takeSnapshot(snapshot(5));
    await engine.takeSnapshot(snapshot(9, { total: 12n }));
    await engine.takeSnapshot(snapshot(7));
    expect(await engine.latestSnapshot('k')).toEqual(snapshot(9, { total: 12n }));
    expect(await engine.latestSnapshot('other')).toBeUndefined();
  });

  test('are taken in the turn of the call', async () => {
    const engine = engineOn();
    await engine.opened();
    for (const n of [1, 2]) {
      const state = { n };
      const taking = engine.takeSnapshot(snapshot(n, state));
      state.n = 99;
      await taking;
      expect(await engine.latestSnapshot('k')).toEqual(snapshot(n, { n }));
    }
  });

  test('as many are kept as was asked for', async () => {
    const engine = engineOn(undefined, { keepSnapshots: 3 });
    for (let n = 1; n <= 6; n++) await engine.takeSnapshot(snapshot(n));
    const left = await (await engine.opened()).readStream('snapshot-k').toArray();
    expect(left.map(({ data }) => data)).toEqual([4, 5, 6]);
  });

  test('bad ones are refused', async () => {
    const engine = engineOn();
    const refusal = code('ERR_VARVE_INVALID_OPTION');
    await expect(engine.takeSnapshot({ ...snapshot(1), sequenceNumber: -1 })).rejects.toMatchObject(refusal);
    await expect(engine.takeSnapshot({ ...snapshot(1), key: 1 as never })).rejects.toMatchObject(refusal);
    await expect(engine.takeSnapshot(null as never)).rejects.toMatchObject(refusal);
    await expect(engine.takeSnapshot(snapshot(1, Symbol('s')))).rejects.toMatchObject(code('ERR_VARVE_INVALID_EVENT'));
    expect(await engine.latestSnapshot('k')).toBeUndefined();
  });
});

describe('the engine', () => {
  test('over a store of its own closes it, and finds everything when it is opened again', async () => {
    const disk = new SimulatedDisk();
    const engine = engineOn(disk);
    await engine.persist(event(1));
    await engine.takeSnapshot(snapshot(1));
    await engine.close();
    await engine.close();
    const again = engineOn(disk);
    expect(await numbers(again)).toEqual([1]);
    expect(await again.latestSnapshot('k')).toEqual(snapshot(1));
  });

  test('over a store of yours leaves it open', async () => {
    const store = await open(new SimulatedDisk());
    closing.push(store);
    const engine = new VarvePersistenceEngine(store, { eventType: (data) => `T${data}` });
    expect(await engine.opened()).toBe(store);
    await engine.persist(event(1));
    await engine.close();
    expect((await store.readStream('journal-k').toArray()).map(({ type }) => type)).toEqual(['T1']);
    await expect(engine.persist(event(2))).rejects.toMatchObject(code('ERR_VARVE_CLOSED'));
  });

  test('tells every caller why its store could not be opened', async () => {
    const disk = new SimulatedDisk();
    const owner = await open(disk);
    closing.push(owner);
    const engine = new VarvePersistenceEngine({ directory: '/data', disk });
    await new Promise(setImmediate);
    const refusal = code('ERR_VARVE_LOCKED');
    await expect(engine.opened()).rejects.toMatchObject(refusal);
    await expect(engine.persist(event(1))).rejects.toMatchObject(refusal);
    await expect(engine.latestSnapshot('k')).rejects.toMatchObject(refusal);
    await expect(read(engine)).rejects.toMatchObject(refusal);
    await expect(engine.close()).rejects.toMatchObject(refusal);
  });

  test('refuses bad options', async () => {
    const make =
      (place: unknown, options = {}) =>
      () =>
        new VarvePersistenceEngine(place as never, options);
    const refusal = (option: string) => expect.objectContaining({ ...code('ERR_VARVE_INVALID_OPTION'), option });
    expect(make('./data')).toThrow(refusal('place'));
    expect(make({ directory: '/data' }, { keepSnapshots: 0 })).toThrow(refusal('keepSnapshots'));
    expect(make({ directory: '/data' }, { eventType: 'T' })).toThrow(refusal('eventType'));
    expect(make({ directory: '/data' }, { keep: 1 })).toThrow(refusal('keep'));
  });
});

describe('the version of nact', () => {
  const loading = (version: unknown) => () => checkNact(() => ({ version }));

  test.each(['7.6.0', '7.6.2', '7.10.0'])('%s is taken', (version) => {
    expect(loading(version)).not.toThrow();
  });

  test.each(['7.5.9', '7.2.1', '8.0.0', '17.6.0', undefined])('%s is refused', (version) => {
    expect(loading(version)).toThrow(
      expect.objectContaining({
        ...code('ERR_VARVE_UNSUPPORTED'),
        message: `varve/nact works with nact 7, from 7.6 on, and ${version} is installed: npm install nact@7.6`,
      }),
    );
  });

  test('none is refused, and what else fails is told as it is', () => {
    const failing = (error: Error) => () =>
      checkNact(() => {
        throw error;
      });
    const missing = Object.assign(new Error('Cannot find module'), { code: 'MODULE_NOT_FOUND' });
    expect(failing(missing)).toThrow(
      expect.objectContaining({ ...code('ERR_VARVE_UNSUPPORTED'), message: expect.stringContaining('not installed') }),
    );
    const other = new Error('the disk is unwell');
    expect(failing(other)).toThrow(other);
  });

  test('the one that is installed is taken', () => {
    expect(() => checkNact()).not.toThrow();
  });
});
