import type { ListAggregateIdsOptions } from '@castore/core';
import { describe, expect, test } from '@jest/globals';
import type { EventStore } from 'varve';
import type { VarveEventStorageAdapter } from 'varve/castore';
import { adapterOn } from '../../support/castore.js';
import { openStore, range, withStore } from '../../support/small-stores.js';

const CONTEXT = { eventStoreId: 'PASSENGERS' };
const day = (n: number) => new Date(Date.UTC(2001, 0, n)).toISOString();

/** Begins an aggregate on a day of January 2001. */
async function begin(adapter: VarveEventStorageAdapter, aggregateId: string, n: number, version = 1, force = false) {
  const event = { aggregateId, version, type: 'BOARDED', timestamp: day(n) };
  await adapter.pushEvent(event, { ...CONTEXT, force });
}

async function ids(adapter: VarveEventStorageAdapter, options: ListAggregateIdsOptions = {}): Promise<string[]> {
  const { aggregateIds, nextPageToken } = await adapter.listAggregateIds(CONTEXT, options);
  expect(nextPageToken).toBeUndefined();
  return aggregateIds.map(({ aggregateId }) => aggregateId);
}

async function pages(adapter: VarveEventStorageAdapter, options: ListAggregateIdsOptions): Promise<string[][]> {
  const found: string[][] = [];
  let given: ListAggregateIdsOptions = options;
  for (;;) {
    const { aggregateIds, nextPageToken } = await adapter.listAggregateIds(CONTEXT, given);
    found.push(aggregateIds.map(({ aggregateId }) => aggregateId));
    if (nextPageToken === undefined) return found;
    given = { pageToken: nextPageToken };
  }
}

const withFive = (work: (adapter: VarveEventStorageAdapter, store: EventStore) => Promise<void>, options = {}) =>
  withStore(async (store) => {
    const adapter = adapterOn(store);
    // Neither pushed in order nor named so.
    for (const [id, n] of [
      ['d', 3],
      ['a', 5],
      ['c', 1],
      ['e', 2],
      ['b', 4],
    ] as const)
      await begin(adapter, id, n);
    await work(adapter, store);
  }, options);

describe.each([1, 3])('listAggregateIds, %d partitions', (partitions) => {
  test('lists by the timestamps of the first events', () =>
    withFive(
      async (adapter, store) => {
        const listed = await adapter.listAggregateIds(CONTEXT);
        expect(listed).toEqual({
          aggregateIds: ['c', 'e', 'd', 'b', 'a'].map((aggregateId, i) => ({
            aggregateId,
            initialEventTimestamp: day(i + 1),
          })),
        });
        expect(await adapterOn(store).listAggregateIds(CONTEXT)).toEqual(listed);
        expect(await adapter.listAggregateIds({ eventStoreId: 'OTHERS' })).toEqual({ aggregateIds: [] });
      },
      { partitions },
    ));
});

describe('listAggregateIds', () => {
  test.each<[ListAggregateIdsOptions, string]>([
    [{ reverse: true }, 'abdec'],
    [{ initialEventAfter: day(3) }, 'dba'],
    [{ initialEventBefore: day(3) }, 'ced'],
    [{ initialEventAfter: day(2), initialEventBefore: day(4), reverse: true }, 'bde'],
    [{ initialEventAfter: day(6) }, ''],
    [{ limit: 5 }, 'cedba'],
    [{ limit: 9, reverse: false }, 'cedba'],
  ])('with %j', (options, expected) =>
    withFive(async (adapter) => {
      expect((await ids(adapter, options)).join('')).toBe(expected);
    }),
  );

  test.each<[ListAggregateIdsOptions, string]>([
    [{ limit: 2 }, 'ce db a'],
    [{ limit: 1 }, 'c e d b a'],
    [{ limit: 2, reverse: true }, 'ab de c'],
    [{ limit: 2, initialEventAfter: day(2), initialEventBefore: day(4) }, 'ed b'],
  ])('in pages, whose tokens keep the options: %j', (options, expected) =>
    withFive(async (adapter) => {
      expect((await pages(adapter, options)).map((page) => page.join('')).join(' ')).toBe(expected);
    }),
  );

  test('options beside a token replace those of the page before', () =>
    withFive(async (adapter) => {
      const { nextPageToken = '' } = await adapter.listAggregateIds(CONTEXT, { limit: 1 });
      expect(await ids(adapter, { pageToken: nextPageToken, limit: 9, initialEventBefore: day(4) })).toEqual([
        'e',
        'd',
        'b',
      ]);
    }));

  test('a limit of 0 is a page of nothing, and the token begins where it would have', () =>
    withFive(async (adapter) => {
      const { aggregateIds, nextPageToken = '' } = await adapter.listAggregateIds(CONTEXT, { limit: 0 });
      expect(aggregateIds).toEqual([]);
      expect(await ids(adapter, { pageToken: nextPageToken, limit: 9 })).toHaveLength(5);
    }));

  test('goes on at its place though the page before has changed', () =>
    withFive(async (adapter, store) => {
      const { nextPageToken = '' } = await adapter.listAggregateIds(CONTEXT, { limit: 2 });
      await store.deleteStream('PASSENGERS-e');
      await begin(adapter, 'early', 1);
      await begin(adapter, 'late', 9);
      expect(await ids(adapter, { pageToken: nextPageToken, limit: 9 })).toEqual(['d', 'b', 'a', 'late']);
    }));

  test('follows what was pushed, superseded and deleted since the last time', () =>
    withFive(async (adapter, store) => {
      expect(await ids(adapter)).toEqual(['c', 'e', 'd', 'b', 'a']);
      await begin(adapter, 'f', 6);
      await begin(adapter, 'c', 7, 2); // not its first event
      expect(await ids(adapter)).toEqual(['c', 'e', 'd', 'b', 'a', 'f']);
      await begin(adapter, 'c', 7, 1, true);
      expect(await ids(adapter)).toEqual(['e', 'd', 'b', 'a', 'f', 'c']);
      await store.deleteStream('PASSENGERS-b');
      expect(await ids(adapter)).toEqual(['e', 'd', 'a', 'f', 'c']);
      expect(await ids(adapterOn(store))).toEqual(['e', 'd', 'a', 'f', 'c']);
      await begin(adapter, 'b', 8);
      expect(await ids(adapter)).toEqual(['e', 'd', 'a', 'f', 'c', 'b']);
    }));

  test('forgets nothing that was found out before it failed', () =>
    withFive(async (_adapter, store) => {
      let reads = 0;
      const failing = new Proxy(store, {
        get(target, name) {
          const value = Reflect.get(target, name, target) as unknown;
          if (name === 'readStream' && ++reads === 5) throw new Error('the disk is away');
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
      const adapter = adapterOn(failing);
      await expect(adapter.listAggregateIds(CONTEXT)).rejects.toThrow('the disk is away');
      expect(await ids(adapter)).toEqual(['c', 'e', 'd', 'b', 'a']);
      await begin(adapter, 'f', 6);
      await begin(adapter, 'g', 7);
      reads = 2; // 'f' is looked at, 'g' is not
      await expect(adapter.listAggregateIds(CONTEXT)).rejects.toThrow('the disk is away');
      expect(await ids(adapter)).toEqual(['c', 'e', 'd', 'b', 'a', 'f', 'g']);
    }));

  test('lists many at once, with the same timestamp, each once', () =>
    withStore(async (store, disk) => {
      const adapter = adapterOn(store);
      await Promise.all(range(1, 60).map((n) => begin(adapter, `p-${n}`, 1)));
      const [one, two] = await Promise.all([ids(adapter), ids(adapter)]);
      expect(one).toHaveLength(60);
      expect(two).toEqual(one);
      expect((await pages(adapter, { limit: 7 })).flat()).toEqual(one);
      await store.close();
      const again = await openStore(disk);
      expect(await ids(adapterOn(again))).toEqual(one);
      await again.close();
    }));

  test.each([
    [{ pageToken: 'x' }, 'pageToken'],
    [{ pageToken: Buffer.from('{"limit":-1}').toString('base64url') }, 'pageToken'],
    [{ pageToken: Buffer.from('{"last":{"aggregateId":"a"}}').toString('base64url') }, 'pageToken'],
    [{ pageToken: 5 }, 'pageToken'],
    [{ limit: -1 }, 'limit'],
    [{ reverse: 'yes' }, 'reverse'],
    [{ initialEventAfter: new Date() }, 'initialEventAfter'],
    [{ from: 1 }, 'from'],
  ])('refuses %j', (options, option) =>
    withFive(async (adapter) => {
      await expect(adapter.listAggregateIds(CONTEXT, options as never)).rejects.toMatchObject({
        code: 'ERR_VARVE_INVALID_OPTION',
        option,
      });
    }),
  );
});
