import { type AnyEvent, ExpectedVersionConflictError } from '@event-driven-io/emmett';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { EventStore } from 'varve';
import type { VarveEventStore } from 'varve/emmett';
import type { SimulatedDisk } from '../../../src/testing/simulated-disk.js';
import { holdSyncs } from '../../support/held-syncs.js';
import { turns } from '../../support/logs.js';
import { added, type CartEvent, code, evolve, initialState, removed, shop } from './kit.js';

let disk: SimulatedDisk;
let store: EventStore;
let eventStore: VarveEventStore;

beforeEach(async () => {
  ({ disk, store, eventStore } = await shop());
});
afterEach(() => store.close());

const skus = (events: readonly AnyEvent[]) => events.map(({ data }) => data.sku).join('');
const five = () =>
  eventStore.appendToStream(
    'cart-1',
    ['a', 'b', 'c', 'd', 'e'].map((sku) => added(sku)),
  );

describe('readStream', () => {
  test('gives events with their places, and the version', async () => {
    await eventStore.appendToStream('other', [added('x')]);
    await eventStore.appendToStream('cart-1', [
      { ...added('a'), metadata: { by: 'me' } } as AnyEvent,
      { type: 'Plain', data: { at: new Date(5), n: 1n } } as AnyEvent,
    ]);
    const uuid = expect.stringMatching(/^[0-9a-f-]{36}$/);
    expect(await eventStore.readStream('cart-1')).toEqual({
      currentStreamVersion: 2n,
      streamExists: true,
      events: [
        {
          ...added('a'),
          kind: 'Event',
          metadata: { by: 'me', messageId: uuid, streamName: 'cart-1', streamPosition: 1n, globalPosition: 2n },
        },
        {
          type: 'Plain',
          data: { at: new Date(5), n: 1n },
          kind: 'Event',
          metadata: { messageId: uuid, streamName: 'cart-1', streamPosition: 2n, globalPosition: 3n },
        },
      ],
    });
  });

  test('of a stream that is not there', async () => {
    expect(await eventStore.readStream('cart-1')).toEqual({
      currentStreamVersion: 0n,
      events: [],
      streamExists: false,
    });
  });

  test.each([
    [{}, 'abcde'],
    [{ from: 0n }, 'abcde'],
    [{ from: 1n }, 'abcde'],
    [{ from: 2n }, 'bcde'],
    [{ from: 5n }, 'e'],
    [{ from: 6n }, ''],
    [{ to: 0n }, ''],
    [{ to: 1n }, 'a'],
    [{ to: 5n }, 'abcde'],
    [{ to: 9n }, 'abcde'],
    [{ from: 2n, to: 4n }, 'bcd'],
    [{ from: 3n, to: 3n }, 'c'],
    [{ from: 4n, to: 3n }, ''],
    [{ maxCount: 0n }, ''],
    [{ maxCount: 2n }, 'ab'],
    [{ maxCount: 9n }, 'abcde'],
    [{ from: 2n, maxCount: 2n }, 'bc'],
    [{ from: 5n, maxCount: 2n }, 'e'],
    [{ to: 4n, maxCount: 2n }, 'ab'],
    [{ from: 2n, to: 3n, maxCount: 9n }, 'bc'],
  ])('%p are both inclusive, and exact', async (range, expected) => {
    await five();
    const { events, currentStreamVersion, streamExists } = await eventStore.readStream('cart-1', range);
    expect(skus(events)).toBe(expected);
    expect({ currentStreamVersion, streamExists }).toEqual({ currentStreamVersion: 5n, streamExists: true });
  });

  test.each([
    [{ from: -1n }, 'from'],
    [{ from: 1 as unknown as bigint }, 'from'],
    [{ to: '2' as unknown as bigint }, 'to'],
    [{ to: 2n ** 53n }, 'to'],
    [{ maxCount: -1n }, 'maxCount'],
    [{ maxCount: 2 as unknown as bigint }, 'maxCount'],
  ])('%p is refused', async (range, option) => {
    await expect(eventStore.readStream('cart-1', range)).rejects.toMatchObject({
      ...code('ERR_VARVE_INVALID_OPTION'),
      option,
    });
  });

  test('may expect a version, which is that of the stream, not of the range', async () => {
    await five();
    for (const expectedStreamVersion of [5n, 'STREAM_EXISTS', 'NO_CONCURRENCY_CHECK'] as const) {
      expect((await eventStore.readStream('cart-1', { to: 1n, expectedStreamVersion })).events).toHaveLength(1);
    }
    for (const expectedStreamVersion of [0n, 1n, 4n, 6n, -1n, 'STREAM_DOES_NOT_EXIST'] as const) {
      const reading = eventStore.readStream('cart-1', { to: 1n, expectedStreamVersion });
      await expect(reading).rejects.toThrow(ExpectedVersionConflictError);
      await expect(reading).rejects.toMatchObject({ current: '5', expected: expectedStreamVersion.toString() });
    }
    for (const expectedStreamVersion of [0n, 'STREAM_DOES_NOT_EXIST', 'NO_CONCURRENCY_CHECK'] as const) {
      expect((await eventStore.readStream('cart-2', { expectedStreamVersion })).events).toEqual([]);
    }
    await expect(eventStore.readStream('cart-2', { expectedStreamVersion: 'STREAM_EXISTS' })).rejects.toMatchObject({
      current: '0',
      expected: 'STREAM_EXISTS',
    });
  });

  test('upcasts', async () => {
    await five();
    const upcast = ({ data, ...event }: CartEvent) =>
      ({ ...event, data: { ...data, currency: 'EUR' } }) as unknown as CartEvent;
    const { events } = await eventStore.readStream<CartEvent>('cart-1', { schema: { versioning: { upcast } }, to: 1n });
    expect(events[0]?.data).toEqual({ sku: 'a', quantity: 1, currency: 'EUR' });
    expect(events[0]?.metadata.streamPosition).toBe(1n);
  });

  test('sees what is durable, and says no other version', async () => {
    await eventStore.appendToStream('cart-1', [added('a')]);
    const release = holdSyncs(disk);
    const appending = Promise.all([
      eventStore.appendToStream('cart-1', [added('b')]),
      eventStore.appendToStream('cart-2', [added('c')]),
    ]);
    await turns();
    expect(await eventStore.readStream('cart-1')).toMatchObject({ currentStreamVersion: 1n, events: [added('a')] });
    expect(await eventStore.aggregateStream('cart-1', { evolve, initialState })).toMatchObject({
      currentStreamVersion: 1n,
      state: { a: 1 },
    });
    expect(await eventStore.streamExists('cart-2')).toBe(false);
    expect(await eventStore.readStream('cart-2')).toMatchObject({ currentStreamVersion: 0n, streamExists: false });
    release();
    await appending;
    expect(await eventStore.readStream('cart-1')).toMatchObject({ currentStreamVersion: 2n });
    expect(await eventStore.streamExists('cart-2')).toBe(true);
  });

  test('gives metadata that look like its own as what they are here', async () => {
    const foreign = { checkpoint: '0000000000000000009', messageId: 'x', streamName: 'x', streamPosition: 9n, mine: 1 };
    await eventStore.appendToStream('cart-1', [
      { ...added('a'), metadata: { ...foreign, globalPosition: 9n } } as AnyEvent,
    ]);
    const { events } = await eventStore.readStream('cart-1');
    expect(events[0]?.metadata).toEqual({
      mine: 1,
      messageId: expect.not.stringMatching(/^x$/),
      streamName: 'cart-1',
      streamPosition: 1n,
      globalPosition: 1n,
    });
  });

  test.each(['text', ['a'], 5, null])(
    'leaves out metadata that are %j, which another writer has given',
    async (metadata) => {
      await store.appendToStream('s', { type: 'T', metadata });
      const { events } = await eventStore.readStream('s');
      expect(Object.keys(events[0]?.metadata as object).sort()).toEqual([
        'globalPosition',
        'messageId',
        'streamName',
        'streamPosition',
      ]);
    },
  );

  test('goes on with its positions where a stream was truncated', async () => {
    await five();
    await store.truncateStream('cart-1', 3n);
    const { events, currentStreamVersion } = await eventStore.readStream('cart-1', { maxCount: 1n });
    expect(skus(events)).toBe('d');
    expect(events[0]?.metadata.streamPosition).toBe(4n);
    expect(currentStreamVersion).toBe(5n);
  });
});

describe('aggregateStream', () => {
  test('folds all events', async () => {
    await eventStore.appendToStream('cart-1', [added('a', 3), removed('a'), added('b')]);
    expect(await eventStore.aggregateStream('cart-1', { evolve, initialState })).toEqual({
      currentStreamVersion: 3n,
      state: { a: 2, b: 1 },
      streamExists: true,
      lastEventGlobalPosition: 3n,
    });
  });

  test('of a stream that is not there is the initial state', async () => {
    expect(await eventStore.aggregateStream('cart-1', { evolve, initialState })).toEqual({
      currentStreamVersion: 0n,
      state: {},
      streamExists: false,
    });
  });

  // As Emmett's own feature tests have it: the version is the one that the state stands for.
  test.each([
    [{ to: 1n }, 1n, 'a'],
    [{ to: 3n }, 3n, 'abc'],
    [{ to: 9n }, 5n, 'abcde'],
    [{ from: 2n, maxCount: 2n }, 3n, 'bc'],
    [{ to: 0n }, 0n, ''],
    [{ from: 9n }, 0n, ''],
  ])('travels in time: %p', async (read, currentStreamVersion, keys) => {
    await five();
    const result = await eventStore.aggregateStream('cart-1', { evolve, initialState, read });
    expect(result).toMatchObject({ currentStreamVersion, streamExists: true });
    expect(Object.keys(result.state).join('')).toBe(keys);
  });

  test('hands evolve events as they are read, after upcasting', async () => {
    await eventStore.appendToStream('cart-1', [added('a')]);
    const upcast = ({ data, ...event }: CartEvent) => ({ ...event, data: { ...data, quantity: 7 } }) as CartEvent;
    const { state } = await eventStore.aggregateStream<unknown[], CartEvent>('cart-1', {
      evolve: (state: unknown[], event: CartEvent) => [...state, event],
      initialState: () => [],
      read: { schema: { versioning: { upcast } } },
    });
    expect(state).toMatchObject([{ ...added('a', 7), metadata: { streamPosition: 1n, streamName: 'cart-1' } }]);
  });

  test('rejects with what evolve throws, and for a version that is not expected', async () => {
    await five();
    const failing = () => {
      throw new Error('no');
    };
    await expect(eventStore.aggregateStream('cart-1', { evolve: failing, initialState })).rejects.toThrow('no');
    await expect(
      eventStore.aggregateStream('cart-1', { evolve, initialState, read: { expectedStreamVersion: 4n } }),
    ).rejects.toThrow(ExpectedVersionConflictError);
  });

  test('of a stream whose events have all been given up has its version all the same', async () => {
    await five();
    await store.setStreamMetadata('cart-1', { maxAge: 1 });
    disk.advance(1000);
    expect(await eventStore.aggregateStream('cart-1', { evolve, initialState })).toEqual({
      currentStreamVersion: 5n,
      state: {},
      streamExists: true,
    });
  });

  test('reads far longer streams than one piece', async () => {
    for (let i = 0; i < 3; i++) {
      await eventStore.appendToStream(
        'long',
        Array.from({ length: 300 }, () => added('a')),
      );
    }
    const { state, currentStreamVersion } = await eventStore.aggregateStream('long', { evolve, initialState });
    expect({ state, currentStreamVersion }).toEqual({ state: { a: 900 }, currentStreamVersion: 900n });
  });
});

describe('streamExists', () => {
  test('tells whether there is something to read', async () => {
    expect(await eventStore.streamExists('cart-1')).toBe(false);
    await five();
    expect(await eventStore.streamExists('cart-1')).toBe(true);
    await store.deleteStream('cart-1');
    expect(await eventStore.streamExists('cart-1')).toBe(false);
    expect(await eventStore.readStream('cart-1')).toEqual({
      currentStreamVersion: 0n,
      events: [],
      streamExists: false,
    });
  });

  test('refuses what cannot name a stream', async () => {
    await expect(eventStore.streamExists('')).rejects.toMatchObject(code('ERR_VARVE_INVALID_OPTION'));
  });
});
