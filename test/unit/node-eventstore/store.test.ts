import { describe, expect, test } from '@jest/globals';
import type { EventStore } from 'varve';
import { ConcurrencyError, VarveStore } from 'varve/node-eventstore';
import { SimulatedDisk } from '../../../src/testing/index.js';
import { intercepted } from '../../support/intercepted.js';
import { call, type StoredEvent, type StoredSnapshot, varveStore } from '../../support/node-eventstore.js';
import { DIRECTORY, openStore, range, withStore } from '../../support/small-stores.js';

const stamp = (n: number) => new Date(Date.UTC(2001, 0, 1, 0, 0, n));
let made = 0;

/** An event as node-eventstore makes it. */
function event(aggregateId: string, streamRevision: number, fields: object = {}) {
  const id = `e${made++}`;
  const commitStamp = stamp(made);
  return { id, streamId: aggregateId, aggregateId, streamRevision, commitStamp, payload: { id }, ...fields };
}

const withConnected = (
  work: (store: VarveStore, varve: EventStore, disk: SimulatedDisk) => Promise<void>,
  options = {},
) => withStore(async (varve, disk) => work(await varveStore(varve, options), varve, disk));

const add = (store: VarveStore, ...events: object[]) => call(store, 'addEvents', events);
const get = (store: VarveStore, query: unknown, skip = 0, limit = -1) =>
  call<StoredEvent[]>(store, 'getEvents', query, skip, limit);
const ids = (events: readonly { id: string }[]) => events.map(({ id }) => id);

/** Three aggregates called 1, of several kinds; and their events. */
async function fillWith(store: VarveStore) {
  const hr = { aggregate: 'person', context: 'hr' };
  const events = [
    event('1', 0, hr),
    event('1', 0),
    event('1', 1, hr),
    event('1', 0, { aggregate: 'person', context: 'sales' }),
    event('2', 0, hr),
    event('1', 1),
    event('1', 0, { aggregate: 'company', context: 'hr' }),
  ];
  for (const one of events) await add(store, one);
  return events;
}

describe('addEvents', () => {
  test('keeps events as they are, but for their functions', () =>
    withConnected(async (store, varve) => {
      const payload = { name: 'renamed', at: new Date(7), n: 5n, nested: { list: [1, undefined] } };
      const given = { ...event('1', 0, { payload }), aggregate: undefined, commitId: 'c', position: null, more: 1 };
      await add(store, { ...given, applyMappings() {} });
      expect(await get(store, {})).toStrictEqual([given]);
      const [stored] = await varve.readStream('eventstore/_general/_general-1').toArray();
      expect(stored).toMatchObject({ type: 'renamed', data: payload });
    }));

  test.each([undefined, null, 5, {}, { name: '' }, { name: 5 }, { name: 'x'.repeat(600) }, { name: '\ud800' }])(
    'takes a payload of %j',
    (payload) =>
      withConnected(async (store) => {
        await add(store, event('1', 0, { payload }));
        expect((await get(store, {}))[0]?.payload).toEqual(payload);
      }),
  );

  test('takes one of two commits at the same revision', () =>
    withConnected(async (store) => {
      await add(store, event('1', 0), event('1', 1));
      const both = await Promise.allSettled([add(store, event('1', 2)), add(store, event('1', 2))]);
      expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      for (const streamRevision of [0, 1, 2, 4]) {
        const error = await add(store, event('1', streamRevision)).catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(ConcurrencyError);
        expect(error).toMatchObject({
          name: 'ConcurrencyError',
          code: 'ERR_VARVE_WRONG_REVISION',
          aggregateId: '1',
          streamRevision,
          actual: 2n,
        });
      }
      expect(await get(store, {})).toHaveLength(3);
    }));

  test('of several aggregates takes all or none', () =>
    withConnected(async (store) => {
      await add(store, event('1', 0), event('2', 0), event('1', 1));
      await expect(add(store, event('3', 0), event('2', 0))).rejects.toMatchObject({ aggregateId: '2' });
      expect(
        (await get(store, {})).map(({ aggregateId, streamRevision }) => `${aggregateId}@${streamRevision}`),
      ).toEqual(['1@0', '1@1', '2@0']);
      expect(await get(store, { aggregateId: '3' })).toEqual([]);
    }));

  test('of nothing does nothing', () =>
    withConnected(async (store) => {
      await call(store, 'addEvents', []);
      await call(store, 'addEvents', undefined);
      expect(await get(store, {})).toEqual([]);
    }));

  test.each([
    ['no aggregate id', [event('1', 0), event('', 0)], { message: 'aggregateId not defined!' }],
    ['a number as id', [{ ...event('1', 0), aggregateId: 5 }], { option: 'aggregateId' }],
    ['no revision', [{ ...event('1', 0), streamRevision: null }], { option: 'streamRevision' }],
    ['a gap', [event('1', 0), event('1', 2)], { option: 'streamRevision' }],
    ['a function in the payload', [event('1', 0, { payload: { f() {} } })], { code: 'ERR_VARVE_INVALID_EVENT' }],
  ])('refuses events with %s', (_what, events, refusal) =>
    withConnected(async (store, varve) => {
      await expect(add(store, ...events)).rejects.toMatchObject(refusal);
      expect(await varve.readAll().toArray()).toEqual([]);
    }),
  );

  test('a deleted stream can begin again, and goes on', () =>
    withConnected(async (store, varve) => {
      await add(store, event('1', 0), event('1', 1));
      await varve.deleteStream('eventstore/_general/_general-1');
      expect(await get(store, { aggregateId: '1' })).toEqual([]);
      expect(await get(store, {})).toEqual([]);
      const again = [event('1', 0), event('1', 1), event('1', 2)];
      for (const one of again) await add(store, one);
      expect(await get(store, { aggregateId: '1' })).toStrictEqual(again);
      expect(await get(store, {})).toStrictEqual(again);
      expect(ids(await call(store, 'getEventsByRevision', { aggregateId: '1' }, 1, 2))).toEqual([again[1]?.id]);
      await expect(add(store, event('1', 2))).rejects.toBeInstanceOf(ConcurrencyError);
    }));
});

describe('getEvents', () => {
  test.each<[object | null, number[]]>([
    [null, [0, 1, 2, 3, 4, 5, 6]],
    [{}, [0, 1, 2, 3, 4, 5, 6]],
    [{ aggregateId: '1' }, [0, 1, 2, 3, 5, 6]],
    [{ aggregate: 'person' }, [0, 2, 3, 4]],
    [{ context: 'hr' }, [0, 2, 4, 6]],
    [{ context: 'hr', aggregate: 'person' }, [0, 2, 4]],
    [{ aggregateId: '1', aggregate: 'person' }, [0, 2, 3]],
    [{ aggregateId: '1', context: 'hr' }, [0, 2, 6]],
    [{ aggregateId: '1', aggregate: 'person', context: 'hr' }, [0, 2]],
    [{ aggregateId: '2', aggregate: undefined, context: '' }, [4]],
    [{ aggregateId: '3' }, []],
    [{ context: 'h' }, []],
  ])('with %j', (query, expected) =>
    withConnected(async (store) => {
      const events = await fillWith(store);
      expect(await get(store, query)).toStrictEqual(expected.map((i) => events[i]));
    }),
  );

  test.each<[number, number, number[]]>([
    [0, -1, [0, 1, 2, 3, 4, 5, 6]],
    [2, -1, [2, 3, 4, 5, 6]],
    [2, 3, [2, 3, 4]],
    [6, 3, [6]],
    [9, 3, []],
    [0, 0, []],
  ])('skipping %d, at most %d', (skip, limit, expected) =>
    withConnected(async (store) => {
      const events = await fillWith(store);
      expect(await get(store, {}, skip, limit)).toStrictEqual(expected.map((i) => events[i]));
    }),
  );

  test('keeps contexts, aggregates and ids apart', () =>
    withConnected(async (store) => {
      const places = [
        { context: 'a', aggregate: 'b', aggregateId: 'c-d' },
        { context: 'a', aggregate: 'b-c', aggregateId: 'd' },
        { context: 'a/b', aggregate: 'c', aggregateId: 'd' },
        { context: 'a', aggregate: 'b/c', aggregateId: 'd' },
        { context: 'a%2f', aggregate: 'b', aggregateId: 'c' },
      ];
      for (const place of places) await add(store, event('', 0, place));
      for (const place of places) expect(await get(store, place)).toMatchObject([place]);
      expect(await get(store, { context: 'a' })).toHaveLength(3);
      expect(await get(store, { context: 'a', aggregate: 'b' })).toHaveLength(1);
    }));

  test('refuses what cannot be queried', () =>
    withConnected(async (store) => {
      const refused = { code: 'ERR_VARVE_INVALID_OPTION' };
      await expect(get(store, { 'payload.name': 'x' })).rejects.toMatchObject(refused);
      await expect(get(store, { aggregateId: 5 })).rejects.toMatchObject(refused);
      await expect(get(store, {}, -1)).rejects.toMatchObject({ ...refused, option: 'skip' });
      await expect(get(store, {}, 0, 0.5)).rejects.toMatchObject({ ...refused, option: 'limit' });
    }));

  test('shares nothing with who has asked before', () =>
    withConnected(async (store) => {
      await fillWith(store);
      const [first] = await get(store, {});
      (first as { payload: { id: string } }).payload.id = 'changed';
      expect((await get(store, {}))[0]?.payload).not.toEqual(first?.payload);
    }));
});

test('getEventsSince takes the events that were committed then or later', () =>
  withConnected(async (store) => {
    const events = await fillWith(store);
    const at = (events[3] as { commitStamp: Date }).commitStamp;
    const since = (skip: number, limit: number) => call<StoredEvent[]>(store, 'getEventsSince', at, skip, limit);
    expect(await since(0, -1)).toStrictEqual(events.slice(3));
    expect(await since(1, 2)).toStrictEqual(events.slice(4, 6));
    expect(await since(0, 0)).toEqual([]);
    await expect(call(store, 'getEventsSince', 'now', 0, -1)).rejects.toMatchObject({ option: 'date' });
  }));

describe('getEventsByRevision', () => {
  test.each<[number, number, number[]]>([
    [0, -1, [0, 1, 2, 3]],
    [1, -1, [1, 2, 3]],
    [1, 3, [1, 2]],
    [3, 9, [3]],
    [0, 0, []],
    [4, -1, []],
    [3, 2, []],
  ])('from %d to before %d', (revMin, revMax, expected) =>
    withConnected(async (store) => {
      for (const n of range(0, 3)) await add(store, event('1', n), event('2', n));
      const found = await call<StoredEvent[]>(store, 'getEventsByRevision', { aggregateId: '1' }, revMin, revMax);
      expect(found.map(({ streamRevision }) => streamRevision)).toEqual(expected);
    }),
  );

  test('of all aggregates with an id, in the order of commits', () =>
    withConnected(async (store) => {
      const events = await fillWith(store);
      const query = { aggregateId: '1' };
      const one = events.filter(({ aggregateId }) => aggregateId === '1');
      expect(await call(store, 'getEventsByRevision', query, 0, -1)).toStrictEqual(one);
      expect(await call(store, 'getEventsByRevision', query, 0, 1)).toStrictEqual(
        one.filter(({ streamRevision }) => streamRevision === 0),
      );
    }));

  test('needs an id, and whole revisions', () =>
    withConnected(async (store) => {
      const find = (...args: unknown[]) => call(store, 'getEventsByRevision', ...args);
      await expect(find({ aggregate: 'person' }, 0, -1)).rejects.toThrow('aggregateId not defined!');
      await expect(find({ aggregateId: '1' }, 'a', -1)).rejects.toMatchObject({ option: 'revMin' });
      await expect(find({ aggregateId: '1' }, 0, null)).rejects.toMatchObject({ option: 'revMax' });
    }));

  test('reads a truncated stream from where it begins', () =>
    withConnected(async (store, varve) => {
      for (const n of range(0, 3)) await add(store, event('1', n));
      await varve.truncateStream('eventstore/_general/_general-1', 2n);
      const rest = await call<StoredEvent[]>(store, 'getEventsByRevision', { aggregateId: '1' }, 0, -1);
      expect(rest.map(({ streamRevision }) => streamRevision)).toEqual([2, 3]);
      expect(await get(store, {})).toStrictEqual(rest);
      await add(store, event('1', 4));
    }));
});

test('getLastEvent', () =>
  withConnected(async (store) => {
    const events = await fillWith(store);
    const last = (query: unknown) => call(store, 'getLastEvent', query);
    expect(await last({ aggregateId: '1' })).toStrictEqual(events[6]);
    expect(await last({ aggregateId: '1', aggregate: 'person' })).toStrictEqual(events[3]);
    expect(await last({ aggregateId: '1', aggregate: 'person', context: 'hr' })).toStrictEqual(events[2]);
    expect(await last({ aggregateId: '3' })).toBeUndefined();
    await expect(last({ context: 'hr' })).rejects.toThrow('aggregateId not defined!');
    await expect(last(null)).rejects.toThrow('aggregateId not defined!');
  }));

describe('dispatching', () => {
  const undispatched = async (store: VarveStore, query: unknown = null) =>
    ids(await call<StoredEvent[]>(store, 'getUndispatchedEvents', query));

  test('events are undispatched until they are set dispatched, over reopenings', () =>
    withConnected(async (store, varve, disk) => {
      const all = ids(await fillWith(store));
      expect(await undispatched(store)).toEqual(all);
      await call(store, 'setEventToDispatched', all[1]);
      await call(store, 'setEventToDispatched', all[4]);
      await call(store, 'setEventToDispatched', all[4]);
      await call(store, 'setEventToDispatched', 'unknown');
      const left = all.filter((_, i) => i !== 1 && i !== 4);
      expect(await undispatched(store)).toEqual(left);
      expect(await undispatched(store, { context: 'hr', aggregate: 'person' })).toEqual([all[0], all[2]]);
      await varve.close();
      const again = await openStore(disk);
      expect(await undispatched(await varveStore(again))).toEqual(left);
      await again.close();
    }));

  test.each([
    [65_536, 1],
    [8192, 1297], // the sum does not fit in a segment
  ])('the records are summed up when there are many of them; with segments of %d bytes', (segmentSize, sum) =>
    withStore(
      async (varve) => {
        const store = await varveStore(varve);
        const events = range(0, 1299).map((n) => event('1', n));
        for (let i = 0; i < events.length; i += 10) await add(store, ...events.slice(i, i + 10));
        const held = [700, 900, 1299].map((i) => events[i] as { id: string }); // never dispatched
        const done = (some: readonly { id: string }[]) =>
          Promise.all(some.map(({ id }) => call(store, 'setEventToDispatched', id)));
        await done(events.filter((one) => !held.includes(one)));
        const records = () => varve.readStream('eventstore.dispatched').toArray();
        expect(await records()).toHaveLength(1297);
        expect(await undispatched(store)).toEqual(ids(held));
        expect(await records()).toHaveLength(sum);
        expect(await undispatched(store)).toEqual(ids(held));
        await done(held.slice(0, 1));
        expect(await undispatched(store)).toEqual(ids(held.slice(1)));
        await add(store, event('1', 1300));
        expect(await undispatched(store)).toHaveLength(3);
      },
      { segmentSize },
    ),
  );

  test('what was dispatched while records are summed up is not forgotten', () =>
    withStore(async (varve) => {
      const stream = 'eventstore.dispatched';
      const events = range(0, 1100).map((n) => event('1', n));
      const between = intercepted(varve, 'appendToStream', async (_stream, given) => {
        if ((given as { type: string }).type !== 'DispatchedUpTo') return;
        await varve.appendToStream(stream, { type: 'Dispatched', data: { id: events[1100]?.id } });
      });
      const store = await varveStore(between);
      for (let i = 0; i < events.length; i += 10) await add(store, ...events.slice(i, i + 10));
      await Promise.all(events.slice(0, -1).map(({ id }) => call(store, 'setEventToDispatched', id)));
      expect(await undispatched(store)).toEqual([events[1100]?.id]);
      expect(await undispatched(store)).toEqual([]);
    }));

  test('needs an id', () =>
    withConnected(async (store) => {
      await expect(call(store, 'setEventToDispatched', undefined)).rejects.toMatchObject({ option: 'id' });
    }));
});

describe('snapshots', () => {
  const snapshot = (revision: number, fields: object = {}) => ({
    id: `s${made++}`,
    aggregateId: '1',
    aggregate: null,
    context: null,
    revision,
    version: 1,
    commitStamp: stamp(made),
    data: { at: new Date(revision) },
    ...fields,
  });
  const save = (store: VarveStore, given: object) => call(store, 'addSnapshot', given);
  const find = (store: VarveStore, revMax = -1, query: object = { aggregateId: '1' }) =>
    call<StoredSnapshot | null>(store, 'getSnapshot', query, revMax);

  test('the last one up to a revision is found', () =>
    withConnected(async (store) => {
      const [five, ten, twenty] = [5, 10, 20].map((revision) => snapshot(revision));
      expect(await find(store)).toBeNull();
      for (const one of [five, ten, twenty]) await save(store, one as object);
      expect(await find(store)).toStrictEqual(twenty);
      expect(await find(store, 20)).toStrictEqual(twenty);
      expect(await find(store, 19)).toStrictEqual(ten);
      expect(await find(store, 5)).toStrictEqual(five);
      expect(await find(store, 4)).toBeNull();
      expect(await find(store, -1, { aggregateId: '2' })).toBeNull();
    }));

  test('is kept as it was when it was handed over', () =>
    withConnected(async (store) => {
      const given = snapshot(1);
      const saved = save(store, given);
      given.data = { at: new Date(99) };
      await saved;
      expect((await find(store))?.data).toEqual({ at: new Date(1) });
    }));

  test('is found by its aggregate, though that has no events, or several have the id', () =>
    withConnected(async (store) => {
      await save(store, snapshot(1, { aggregate: 'person', context: 'hr' }));
      await save(store, snapshot(2, { aggregate: 'company', context: 'hr' }));
      expect((await find(store))?.revision).toBe(2);
      expect((await find(store, -1, { aggregateId: '1', aggregate: 'person' }))?.revision).toBe(1);
      expect(await find(store, -1, { aggregateId: '1', context: 'sales' })).toBeNull();
      expect(await get(store, {})).toEqual([]);
    }));

  test('are cleaned up but for so many', () =>
    withConnected(
      async (store) => {
        for (const revision of range(1, 5)) await save(store, snapshot(revision));
        await save(store, snapshot(1, { aggregateId: '2' }));
        const clean = (query: object) => call(store, 'cleanSnapshots', query);
        expect(await clean({ aggregateId: '1' })).toBe(3);
        expect(await find(store, 3)).toBeNull();
        expect((await find(store, 4))?.revision).toBe(4);
        expect(await clean({ aggregateId: '1' })).toBe(0);
        expect(await clean({ aggregateId: '2' })).toBe(0);
        expect(await clean({ aggregateId: '3' })).toBe(0);
        expect((await find(store, -1, { aggregateId: '2' }))?.revision).toBe(1);
        await expect(clean({})).rejects.toThrow('aggregateId not defined!');
      },
      { maxSnapshotsCount: 2 },
    ));

  test('are all kept if no number is given', () =>
    withConnected(async (store) => {
      for (const revision of range(1, 5)) await save(store, snapshot(revision));
      expect(await call(store, 'cleanSnapshots', { aggregateId: '1' })).toBe(0);
      expect((await find(store, 1))?.revision).toBe(1);
    }));

  test('need an id', () =>
    withConnected(async (store) => {
      await expect(save(store, { ...snapshot(1), aggregateId: undefined })).rejects.toThrow('aggregateId not defined!');
      await expect(find(store, -1, {})).rejects.toThrow('aggregateId not defined!');
      await expect(find(store, 1.5)).rejects.toMatchObject({ option: 'revMax' });
    }));
});

describe('getNextPositions', () => {
  test('gives none unless it is asked for', () =>
    withConnected(async (store) => {
      expect(await call(store, 'getNextPositions', 2)).toBeUndefined();
    }));

  test('gives each position once, over reopenings, whoever asks', () =>
    withConnected(
      async (store, varve, disk) => {
        const other = await varveStore(varve, { trackPosition: true });
        const given = await Promise.all(
          [3, 1, 2, 4, 0].map((count, i) => call<number[]>(i % 2 === 0 ? store : other, 'getNextPositions', count)),
        );
        expect(given.map(({ length }) => length)).toEqual([3, 1, 2, 4, 0]);
        expect(given.flat().sort((a, b) => a - b)).toEqual(range(1, 10));
        await varve.close();
        const again = await openStore(disk);
        expect(await call(await varveStore(again, { trackPosition: true }), 'getNextPositions', 2)).toEqual([11, 12]);
        await again.close();
        await expect(call(store, 'getNextPositions', -1)).rejects.toMatchObject({ option: 'positions' });
      },
      { trackPosition: true },
    ));
});

test('clear forgets everything of node-eventstore, for good, and nothing else', () =>
  withConnected(
    async (store, varve, disk) => {
      await fillWith(store);
      await call(store, 'addSnapshot', { aggregateId: '1', revision: 0, data: 1 });
      await call(store, 'getNextPositions', 3);
      await varve.appendToStream('mine', { type: 'Kept' });
      for (let i = 0; i < 2; i++) {
        await call(store, 'clear');
        expect(await get(store, {})).toEqual([]);
        expect(await call(store, 'getUndispatchedEvents', null)).toEqual([]);
        expect(await call(store, 'getSnapshot', { aggregateId: '1' }, -1)).toBeNull();
        expect(await call(store, 'getNextPositions', 1)).toEqual([1]);
        await add(store, event('1', 0));
        expect(await get(store, { aggregateId: '1' })).toHaveLength(1);
      }
      expect(await varve.streamExists('mine')).toBe(true);
      const names = (await varve.streams().toArray()).map(({ stream }) => stream);
      expect(names.filter((name) => name.startsWith('eventstore/') || name.startsWith('eventstore~1'))).toEqual([]);
      await varve.close();
      const again = await openStore(disk);
      expect(await get(await varveStore(again), {})).toHaveLength(1);
      await again.close();
    },
    { trackPosition: true },
  ));

describe('streams', () => {
  const read = async (stream: AsyncIterable<StoredEvent>) => {
    const all: StoredEvent[] = [];
    for await (const one of stream) all.push(one);
    return all;
  };

  test('give the same as arrays', () =>
    withConnected(async (store) => {
      const events = await fillWith(store);
      const at = (events[3] as { commitStamp: Date }).commitStamp;
      expect(await read(store.streamEvents())).toStrictEqual(events);
      expect(await read(store.streamEvents({ context: 'hr' }, 1, 2))).toStrictEqual([events[2], events[4]]);
      expect(await read(store.streamEventsSince(at))).toStrictEqual(events.slice(3));
      expect(await read(store.streamEventsSince(at, 1, 1))).toStrictEqual([events[4]]);
      const person = { aggregateId: '1', aggregate: 'person', context: 'hr' };
      expect(await read(store.streamEventsByRevision(person))).toStrictEqual([events[0], events[2]]);
      expect(await read(store.streamEventsByRevision(person, 1, 2))).toStrictEqual([events[2]]);
      await expect(read(store.streamEventsByRevision({}))).rejects.toThrow('aggregateId not defined!');
    }));
});

describe('connecting', () => {
  const disconnected = { code: 'ERR_VARVE_CLOSED' };

  test('opens a directory, and disconnecting closes it; again, too', async () => {
    const disk = new SimulatedDisk();
    const store = new VarveStore({ directory: DIRECTORY, storeOptions: { disk, segmentSize: 8192 } });
    const heard: string[] = [];
    for (const name of ['connect', 'disconnect']) store.on(name, () => heard.push(name));
    await expect(add(store, event('1', 0))).rejects.toMatchObject(disconnected);
    expect(() => store.streamEvents()).toThrow(expect.objectContaining(disconnected));
    await call(store, 'disconnect');
    expect(heard).toEqual([]);
    expect(await Promise.all([call(store, 'connect'), call(store, 'connect')])).toEqual([store, store]);
    await add(store, event('1', 0));
    await expect(openStore(disk)).rejects.toMatchObject({ code: 'ERR_VARVE_LOCKED' });
    await call(store, 'disconnect');
    await expect(get(store, {})).rejects.toMatchObject(disconnected);
    await call(store, 'connect');
    expect(await get(store, {})).toHaveLength(1);
    await call(store, 'disconnect');
    expect(heard).toEqual(['connect', 'connect', 'disconnect', 'connect', 'disconnect']);
    await (await openStore(disk)).close();
  });

  test('tells why it could not, and can be tried again', async () => {
    const disk = new SimulatedDisk();
    const owner = await openStore(disk);
    const store = new VarveStore({ directory: DIRECTORY, storeOptions: { disk, segmentSize: 8192 } });
    await expect(call(store, 'connect')).rejects.toMatchObject({ code: 'ERR_VARVE_LOCKED' });
    await owner.close();
    await call(store, 'connect');
    await call(store, 'disconnect');
  });

  test('leaves open what somebody else has opened', () =>
    withConnected(async (store, varve) => {
      await call(store, 'disconnect');
      expect(await varve.streamExists('x')).toBe(false);
    }));

  test('two stores on one event store know of each other', () =>
    withConnected(async (store, varve) => {
      const other = await varveStore(varve);
      await add(store, event('1', 0));
      await expect(add(other, event('1', 0))).rejects.toBeInstanceOf(ConcurrencyError);
      const [one] = await get(other, {});
      await call(other, 'setEventToDispatched', one?.id);
      expect(await call(store, 'getUndispatchedEvents', null)).toEqual([]);
    }));
});

describe('callbacks', () => {
  test('are called once, after the call has returned', () =>
    withConnected(async (store) => {
      const calls: unknown[][] = [];
      store.addEvents([event('1', 0)], (...args) => calls.push(args));
      expect(calls).toEqual([]);
      await call(store, 'getEvents', {}, 0, -1);
      while (calls.length === 0) await get(store, {});
      expect(calls).toEqual([[null, null]]);
    }));

  test('may be left out: then errors are emitted', () =>
    withConnected(async (store) => {
      const emitted = new Promise((resolve) => store.once('error', resolve));
      store.addEvents([event('1', 5)]);
      expect(await emitted).toBeInstanceOf(ConcurrencyError);
      store.addEvents([event('1', 0)]);
      while ((await get(store, {})).length === 0);
    }));
});

test.each([
  [undefined, 'options'],
  [{}, 'directory'],
  [{ directory: '' }, 'directory'],
  [{ directory: '/x', store: { appendToStreams() {} } }, 'directory'],
  [{ store: {} }, 'store'],
  [{ store: { appendToStreams() {} }, storeOptions: {} }, 'storeOptions'],
  [{ directory: '/x', storeOptions: 5 }, 'storeOptions'],
  [{ directory: '/x', trackPosition: 1 }, 'trackPosition'],
  [{ directory: '/x', maxSnapshotsCount: 0 }, 'maxSnapshotsCount'],
  [{ directory: '/x', dbName: 'eventstore' }, 'dbName'],
])('the constructor refuses %j', (options, option) => {
  expect(() => new VarveStore(options as never)).toThrow(
    expect.objectContaining({ code: 'ERR_VARVE_INVALID_OPTION', option }),
  );
});
