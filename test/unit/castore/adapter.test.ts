import { Command, type EventDetail, EventStore, isEventAlreadyExistsError, tuple } from '@castore/core';
import { InMemoryEventStorageAdapter } from '@castore/event-storage-adapter-in-memory';
import { describe, expect, test } from '@jest/globals';
import type { EventStore as VarveStore } from 'varve';
import { VarveEventAlreadyExistsError, VarveEventStorageAdapter } from 'varve/castore';
import { SimulatedDisk } from '../../../src/testing/index.js';
import { adapterOn, passengers } from '../../support/castore.js';
import { openStore, range, withStore } from '../../support/small-stores.js';

const CONTEXT = { eventStoreId: 'PASSENGERS' };

const event = (version: number, payload: unknown = { n: version }, aggregateId = 'ada') => ({
  aggregateId,
  version,
  type: 'MOVED',
  payload,
});

async function push(adapter: VarveEventStorageAdapter, versions: readonly number[], force = false): Promise<void> {
  for (const version of versions) await adapter.pushEvent(event(version), { ...CONTEXT, force });
}

async function versionsOf(adapter: VarveEventStorageAdapter, options = {}): Promise<number[]> {
  return (await adapter.getEvents('ada', CONTEXT, options)).events.map(({ version }) => version);
}

const withAdapter = (work: (adapter: VarveEventStorageAdapter, store: VarveStore) => Promise<void>, options = {}) =>
  withStore((store) => work(adapterOn(store), store), options);

describe('pushEvent', () => {
  test('keeps an event as it was given, and gives it a timestamp if it has none', () =>
    withAdapter(async (adapter, store) => {
      const given: EventDetail = {
        ...event(1, { at: new Date(5), amount: 12n }),
        timestamp: '2001-01-01T00:00:00.000Z',
        metadata: { by: 'a test' },
      };
      const before = new Date().toISOString();
      expect(await adapter.pushEvent(given, CONTEXT)).toEqual({ event: given });
      const { event: second } = await adapter.pushEvent({ aggregateId: 'ada', version: 2, type: 'LEFT' }, CONTEXT);
      expect(second.timestamp >= before && second.timestamp <= new Date().toISOString()).toBe(true);
      const { events } = await adapter.getEvents('ada', CONTEXT);
      expect(events).toStrictEqual([given, second]);
      expect(Object.keys(second)).not.toContain('payload');
      const [stored] = await store.readStream('PASSENGERS-ada').toArray();
      expect(stored).toMatchObject({ type: 'MOVED', data: given.payload, revision: 0n });
    }));

  test('refuses a version that is there', () =>
    withAdapter(async (adapter) => {
      await push(adapter, [1, 2, 3]);
      for (const version of [1, 2, 3]) {
        const error = await adapter.pushEvent(event(version, 'other'), CONTEXT).catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(VarveEventAlreadyExistsError);
        expect(isEventAlreadyExistsError(error)).toBe(true);
        expect(error).toMatchObject({
          code: 'EventAlreadyExistsError',
          eventStoreId: 'PASSENGERS',
          aggregateId: 'ada',
          version,
        });
      }
      expect((await adapter.getEvents('ada', CONTEXT)).events.map(({ payload }) => payload)).toEqual(
        [1, 2, 3].map((n) => ({ n })),
      );
    }));

  test('takes one of many that push the same version at once', () =>
    withAdapter(async (adapter) => {
      await push(adapter, [1]);
      const pushed = await Promise.allSettled(range(1, 20).map((n) => adapter.pushEvent(event(2, { n }), CONTEXT)));
      const won = pushed.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value.event.payload] : []));
      expect(won).toHaveLength(1);
      for (const outcome of pushed) {
        if (outcome.status === 'rejected') expect(isEventAlreadyExistsError(outcome.reason)).toBe(true);
      }
      const { events } = await adapter.getEvents('ada', CONTEXT);
      expect(events.map(({ payload }) => payload)).toEqual([{ n: 1 }, won[0]]);
    }));

  test('takes different versions at once, in any order', () =>
    withAdapter(async (adapter) => {
      await Promise.all([3, 1, 5, 2, 4].map((version) => adapter.pushEvent(event(version), CONTEXT)));
      expect(await versionsOf(adapter)).toEqual([1, 2, 3, 4, 5]);
    }));

  test('takes versions with gaps and out of order, and still knows which are there', () =>
    withAdapter(async (adapter) => {
      await push(adapter, [3, 4, 9, 1, 10]);
      expect(await versionsOf(adapter)).toEqual([1, 3, 4, 9, 10]);
      for (const version of [1, 3, 4, 9, 10]) {
        await expect(adapter.pushEvent(event(version), CONTEXT)).rejects.toMatchObject({ version });
      }
      await push(adapter, [2, 11]);
      expect(await versionsOf(adapter)).toEqual([1, 2, 3, 4, 9, 10, 11]);
    }));

  test('supersedes a version by force, in its place', () =>
    withAdapter(async (adapter, store) => {
      await push(adapter, [1, 2, 3]);
      await adapter.pushEvent(event(2, 'better'), { ...CONTEXT, force: true });
      await adapter.pushEvent(event(2, 'best'), { ...CONTEXT, force: true });
      await push(adapter, [4], true);
      const { events } = await adapter.getEvents('ada', CONTEXT);
      expect(events.map(({ version, payload }) => [version, payload])).toEqual([
        [1, { n: 1 }],
        [2, 'best'],
        [3, { n: 3 }],
        [4, { n: 4 }],
      ]);
      await expect(adapter.pushEvent(event(4), CONTEXT)).rejects.toMatchObject({ version: 4 });
      // What was superseded is still in the log, and whoever subscribes is told.
      const stored = await store.readStream('PASSENGERS-ada').toArray();
      expect(stored.map(({ metadata }) => (metadata as { castore: object }).castore)).toMatchObject([
        { version: 1 },
        { version: 2 },
        { version: 3 },
        { version: 2, supersedes: true },
        { version: 2, supersedes: true },
        { version: 4 },
      ]);
      expect(stored[5]?.metadata).not.toHaveProperty('castore.supersedes');
    }));

  test.each([
    ['no version', { aggregateId: 'a', type: 'T' }, 'eventDetail.version'],
    ['version 0', { aggregateId: 'a', type: 'T', version: 0 }, 'eventDetail.version'],
    ['half a version', { aggregateId: 'a', type: 'T', version: 1.5 }, 'eventDetail.version'],
    ['no id', { type: 'T', version: 1 }, 'eventDetail.aggregateId'],
    ['no type', { aggregateId: 'a', version: 1 }, 'eventDetail.type'],
    ['a date', { aggregateId: 'a', type: 'T', version: 1, timestamp: new Date() }, 'eventDetail.timestamp'],
    ['a field of its own', { aggregateId: 'a', type: 'T', version: 1, tenant: 'x' }, 'eventDetail.tenant'],
    ['nothing', undefined, 'eventDetail'],
  ])('refuses an event with %s', (_what, detail, option) =>
    withAdapter(async (adapter, store) => {
      await expect(adapter.pushEvent(detail as EventDetail, CONTEXT)).rejects.toMatchObject({
        code: 'ERR_VARVE_INVALID_OPTION',
        option,
      });
      expect(await store.readAll().toArray()).toEqual([]);
    }),
  );

  test('refuses data that the codec does not keep', () =>
    withAdapter(async (adapter) => {
      await expect(adapter.pushEvent(event(1, { f: () => 1 }), CONTEXT)).rejects.toMatchObject({
        code: 'ERR_VARVE_INVALID_EVENT',
      });
      expect(await versionsOf(adapter)).toEqual([]);
    }));

  test('refuses unknown options, and a missing event store id', () =>
    withAdapter(async (adapter) => {
      const refused = { code: 'ERR_VARVE_INVALID_OPTION' };
      await expect(adapter.pushEvent(event(1), { ...CONTEXT, forced: true } as never)).rejects.toMatchObject(refused);
      await expect(adapter.pushEvent(event(1), { ...CONTEXT, force: 1 } as never)).rejects.toMatchObject(refused);
      await expect(adapter.pushEvent(event(1), {} as never)).rejects.toMatchObject(refused);
    }));

  test('rejects once the store is closed', async () => {
    const store = await openStore(new SimulatedDisk());
    const adapter = adapterOn(store);
    await store.close();
    const closed = { code: 'ERR_VARVE_CLOSED' };
    await expect(adapter.pushEvent(event(1), CONTEXT)).rejects.toMatchObject(closed);
    await expect(adapter.getEvents('ada', CONTEXT)).rejects.toMatchObject(closed);
    await expect(adapter.listAggregateIds(CONTEXT)).rejects.toMatchObject(closed);
  });
});

describe('what retention gives up', () => {
  test('a deleted aggregate begins again, at any version', () =>
    withAdapter(async (adapter, store) => {
      await push(adapter, [1, 2, 3]);
      await store.deleteStream('PASSENGERS-ada');
      expect(await versionsOf(adapter)).toEqual([]);
      await push(adapter, [1, 2]);
      expect(await versionsOf(adapter)).toEqual([1, 2]);
      expect(await versionsOf(adapter, { minVersion: 2 })).toEqual([2]);
      await expect(adapter.pushEvent(event(2), CONTEXT)).rejects.toMatchObject({ version: 2 });
    }));

  test('a truncated one is read from where it begins; versions before are not taken again', () =>
    withAdapter(async (adapter, store) => {
      await push(adapter, [1, 2, 3, 4]);
      await store.truncateStream('PASSENGERS-ada', 2n);
      expect(await versionsOf(adapter)).toEqual([3, 4]);
      await expect(adapter.pushEvent(event(1), CONTEXT)).rejects.toMatchObject({ version: 1 });
    }));

  test('one of which everything is too old goes on', () =>
    withStore(async (store, disk) => {
      const adapter = adapterOn(store);
      await push(adapter, [1, 2]);
      await store.setStreamMetadata('PASSENGERS-ada', { maxAge: 1000 });
      disk.advance(1_000_000);
      expect(await versionsOf(adapter)).toEqual([]);
      await push(adapter, [3, 4]);
      expect(await versionsOf(adapter)).toEqual([3, 4]);
    }));
});

describe('getEvents', () => {
  const cases: [object, number[]][] = [
    [{}, [1, 2, 3, 4, 5, 6]],
    [{ minVersion: 3 }, [3, 4, 5, 6]],
    [{ maxVersion: 2 }, [1, 2]],
    [{ minVersion: 2, maxVersion: 4 }, [2, 3, 4]],
    [{ minVersion: -7, maxVersion: 99 }, [1, 2, 3, 4, 5, 6]],
    [{ minVersion: 4, maxVersion: 3 }, []],
    [{ minVersion: 7 }, []],
    [{ maxVersion: 0 }, []],
    [{ limit: 2 }, [1, 2]],
    [{ limit: 0 }, []],
    [{ reverse: true }, [6, 5, 4, 3, 2, 1]],
    [{ reverse: true, limit: 2, maxVersion: 5 }, [5, 4]],
    [{ reverse: true, minVersion: 5 }, [6, 5]],
    [{ maxVersion: undefined, limit: undefined }, [1, 2, 3, 4, 5, 6]],
  ];

  test.each(cases)('with %j gives versions %j', (options, versions) =>
    withAdapter(async (adapter) => {
      await push(adapter, range(1, 6));
      expect(await versionsOf(adapter, options)).toEqual(versions);
    }),
  );

  test.each(cases)('with %j gives versions %j, where some were superseded', (options, versions) =>
    withAdapter(async (adapter) => {
      await push(adapter, [2, 1, 3, 4, 5, 6, 1, 4], true);
      expect(await versionsOf(adapter, options)).toEqual(versions);
    }),
  );

  test('of an aggregate that does not exist is empty', () =>
    withAdapter(async (adapter) => {
      expect(await adapter.getEvents('nobody', CONTEXT)).toEqual({ events: [] });
    }));

  test('tells aggregates and event stores apart', () =>
    withAdapter(async (adapter, store) => {
      const places = [
        ['a', 'b-c'],
        ['a-b', 'c'],
        ['a%2db', 'c'],
        ['$a', 'b'],
        ['a', ''],
      ] as const;
      for (const [eventStoreId, id] of places) {
        await adapter.pushEvent(event(1, [eventStoreId, id], id), { eventStoreId });
      }
      for (const [eventStoreId, id] of places) {
        const { events } = await adapter.getEvents(id, { eventStoreId });
        expect(events.map(({ aggregateId, payload }) => [aggregateId, payload])).toEqual([[id, [eventStoreId, id]]]);
      }
      const { aggregateIds } = await adapter.listAggregateIds({ eventStoreId: 'a-b' });
      expect(aggregateIds.map(({ aggregateId }) => aggregateId)).toEqual(['c']);
      expect((await store.readAll({ filter: { categories: ['a'] } }).toArray()).length).toBe(2);
    }));

  test('refuses unknown options, and events that somebody else has appended', () =>
    withAdapter(async (adapter, store) => {
      await expect(adapter.getEvents('ada', CONTEXT, { from: 1 } as never)).rejects.toMatchObject({ option: 'from' });
      await store.appendToStream('PASSENGERS-ada', { type: 'Foreign' });
      const refused = { code: 'ERR_VARVE_INVALID_EVENT', stream: 'PASSENGERS-ada' };
      await expect(adapter.getEvents('ada', CONTEXT)).rejects.toMatchObject(refused);
      await expect(adapter.pushEvent(event(1), CONTEXT)).rejects.toMatchObject(refused);
    }));
});

describe.each([1, 3])('pushEventGroup, %d partitions', (partitions) => {
  const withStores = (
    work: (
      stores: { first: ReturnType<typeof passengers>; second: ReturnType<typeof passengers> },
      adapter: VarveEventStorageAdapter,
    ) => Promise<void>,
  ) =>
    withAdapter(
      async (adapter, store) => {
        await work({ first: passengers(adapter, 'FIRST'), second: passengers(adapterOn(store), 'SECOND') }, adapter);
      },
      { partitions },
    );

  const board = (aggregateId: string) => ({
    aggregateId,
    version: 1,
    type: 'BOARDED' as const,
    payload: { name: aggregateId },
  });
  const move = (aggregateId: string, version: number) => ({
    aggregateId,
    version,
    type: 'MOVED' as const,
    payload: { to: 'deck 2' },
    metadata: { by: 'lift' },
  });

  test('pushes over aggregates and event stores, with one timestamp', () =>
    withStores(async ({ first, second }) => {
      const { eventGroup } = await EventStore.pushEventGroup(
        first.groupEvent(board('a')),
        second.groupEvent(board('a')),
        first.groupEvent(move('a', 2)),
        first.groupEvent({ ...board('b'), timestamp: '2001-01-01T00:00:00.000Z' }),
      );
      expect(eventGroup.map(({ event: { aggregateId, version } }) => `${aggregateId}${version}`)).toEqual([
        'a1',
        'a1',
        'a2',
        'b1',
      ]);
      const [one, two, three, four] = eventGroup.map(({ event: { timestamp } }) => timestamp);
      expect([two, three]).toEqual([one, one]);
      expect(four).toBe('2001-01-01T00:00:00.000Z');
      expect((await first.getEvents('a')).events).toEqual([eventGroup[0]?.event, eventGroup[2]?.event]);
      expect((await second.getExistingAggregate('a')).aggregate).toMatchObject({ name: 'a', version: 1 });
    }));

  test('pushes nothing if one version is there, and the rest by force', () =>
    withStores(async ({ first, second }) => {
      await second.pushEvent(board('z'));
      const group = [
        first.groupEvent(board('a')),
        first.groupEvent(board('b')),
        second.groupEvent(board('z')),
      ] as const;
      await expect(EventStore.pushEventGroup(...group)).rejects.toMatchObject({
        code: 'EventAlreadyExistsError',
        eventStoreId: 'SECOND',
        aggregateId: 'z',
        version: 1,
      });
      expect(await first.listAggregateIds()).toEqual({ aggregateIds: [] });
      await EventStore.pushEventGroup({ force: true }, ...group);
      expect((await first.listAggregateIds()).aggregateIds).toHaveLength(2);
    }));

  test('refuses one version twice in a group, unless by force: then the last counts', () =>
    withStores(async ({ first }) => {
      const twice = [
        first.groupEvent(board('a')),
        first.groupEvent({ ...board('a'), payload: { name: 'b' } }),
      ] as const;
      await expect(EventStore.pushEventGroup(...twice)).rejects.toMatchObject({ version: 1 });
      expect((await first.getEvents('a')).events).toEqual([]);
      await EventStore.pushEventGroup({ force: true }, ...twice);
      expect((await first.getExistingAggregate('a')).aggregate.name).toBe('b');
    }));

  test('of groups that meet each takes place as a whole', () =>
    withStores(async ({ first, second }) => {
      const groups = range(1, 8).map((n) =>
        EventStore.pushEventGroup(
          first.groupEvent({ ...board(n % 2 === 0 ? 'x' : 'y'), payload: { name: `${n}` } }),
          second.groupEvent({ ...board('x'), payload: { name: `${n}` } }),
        ),
      );
      const won = (await Promise.allSettled(groups)).filter(({ status }) => status === 'fulfilled');
      expect(won).toHaveLength(1);
      const { aggregate } = await second.getExistingAggregate('x');
      const { aggregateIds } = await first.listAggregateIds();
      expect(aggregateIds).toHaveLength(1);
      const id = aggregateIds[0]?.aggregateId as string;
      expect((await first.getExistingAggregate(id)).aggregate.name).toBe(aggregate.name);
    }));

  test('refuses events without context, of other adapters and of other stores', () =>
    withStores(async ({ first }, adapter) => {
      const good = first.groupEvent(board('a'));
      const inMemory = new InMemoryEventStorageAdapter().groupEvent(board('b'));
      inMemory.context = CONTEXT;
      await expect(adapter.pushEventGroup({}, good, inMemory)).rejects.toMatchObject({
        code: 'ERR_VARVE_INVALID_OPTION',
        option: 'groupedEvents[1].eventStorageAdapter',
      });
      await expect(adapter.pushEventGroup({}, good, adapter.groupEvent(board('b')))).rejects.toMatchObject({
        option: 'groupedEvents[1].context',
      });
      await withStore(async (elsewhere) => {
        const other = passengers(adapterOn(elsewhere)).groupEvent(board('b'));
        await expect(adapter.pushEventGroup({}, good, other)).rejects.toMatchObject({
          option: 'groupedEvents[1].eventStorageAdapter',
        });
      });
      await expect(adapter.pushEventGroup({ forced: true } as never, good)).rejects.toMatchObject({ option: 'forced' });
      const bad = first.groupEvent({ ...board('b'), version: 0 });
      await expect(adapter.pushEventGroup({}, good, bad)).rejects.toMatchObject({
        option: 'groupedEvents[1].event.version',
      });
      expect(await first.listAggregateIds()).toEqual({ aggregateIds: [] });
    }));

  test('of no events does nothing', () =>
    withStores(async (_stores, adapter) => {
      expect(await (adapter.pushEventGroup as (options: object) => Promise<unknown>)({})).toEqual({ eventGroup: [] });
    }));
});

describe("Castore's commands", () => {
  test('retry when somebody was faster', () =>
    withAdapter(async (adapter) => {
      const store = passengers(adapter);
      await store.pushEvent({ aggregateId: 'ada', version: 1, type: 'BOARDED', payload: { name: 'Ada' } });
      const move = new Command({
        commandId: 'MOVE',
        requiredEventStores: tuple(store),
        eventAlreadyExistsRetries: 10,
        handler: async ({ to }: { to: string }, [eventStore]) => {
          const { aggregate } = await eventStore.getExistingAggregate('ada');
          const version = aggregate.version + 1;
          return eventStore.pushEvent(
            { aggregateId: 'ada', version, type: 'MOVED', payload: { to }, metadata: { by: 'command' } },
            { prevAggregate: aggregate },
          );
        },
      });
      const decks = range(1, 6).map((n) => `deck ${n}`);
      await Promise.all(decks.map((to) => move.handler({ to }, [store])));
      const { aggregate } = await store.getExistingAggregate('ada');
      expect([...aggregate.places].sort()).toEqual(decks);
      expect(aggregate.version).toBe(7);
    }));
});

describe('the constructor', () => {
  test.each([
    [undefined, 'options'],
    [{}, 'store'],
    [{ store: {} }, 'store'],
    [{ store: { appendToStreams() {} }, directory: './data' }, 'directory'],
  ])('refuses %j', (options, option) => {
    expect(() => new VarveEventStorageAdapter(options as never)).toThrow(
      expect.objectContaining({ code: 'ERR_VARVE_INVALID_OPTION', option }),
    );
  });
});
