/** What happens around a commit: hooks and inline projections. */

import {
  type AnyEvent,
  ExpectedVersionConflictError,
  forwardToMessageBus,
  getInMemoryDatabase,
  getInMemoryMessageBus,
  inlineProjections,
  inMemorySingleStreamProjection,
  type ProjectionDefinition,
} from '@event-driven-io/emmett';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { type EventStore, openEventStore } from 'varve';
import { getVarveEventStore, type VarveEmmettOptions, type VarveEventStore } from 'varve/emmett';
import { holdSyncs } from '../../support/held-syncs.js';
import { turns } from '../../support/logs.js';
import { added, type CartEvent, code, deferred, removed, settings, shop } from './kit.js';

let store: EventStore | undefined;

async function made(options: VarveEmmettOptions) {
  const opened = await shop(options);
  store = opened.store;
  return opened;
}
afterEach(async () => {
  await store?.close();
  store = undefined;
  jest.restoreAllMocks();
});

const UUID = expect.stringMatching(/^[0-9a-f-]{36}$/);
// biome-ignore lint/suspicious/noExplicitAny: handlers of hooks get recorded messages of any kind
type Messages = any[];

describe('onAfterCommit', () => {
  test('is told once of each append that succeeded, with everything', async () => {
    const told: Messages[] = [];
    const { eventStore } = await made({ hooks: { onAfterCommit: (messages) => void told.push(messages) } });
    await eventStore.appendToStream('s', [{ ...added('a'), metadata: { by: 'me' } } as AnyEvent, added('b')]);
    await eventStore.appendToStream('s', [added('c')]);
    await expect(eventStore.appendToStream('s', [added('d')], { expectedStreamVersion: 1n })).rejects.toThrow();
    const { events } = await eventStore.readStream('s');
    expect(told).toEqual([events.slice(0, 2), events.slice(2)]);
    expect(told[0]?.[0].metadata).toEqual({
      by: 'me',
      messageId: UUID,
      streamName: 's',
      streamPosition: 1n,
      globalPosition: 1n,
    });
  });

  test('is told of nothing that is not durable', async () => {
    const told: Messages[] = [];
    const { disk, eventStore } = await made({ hooks: { onAfterCommit: (messages) => void told.push(messages) } });
    const release = holdSyncs(disk);
    const appending = eventStore.appendToStream('s', [added('a')]);
    await turns();
    expect(told).toEqual([]);
    release();
    await appending;
    expect(told).toHaveLength(1);
  });

  test('never makes an append fail', async () => {
    const complained = jest.spyOn(console, 'error').mockImplementation(() => {});
    const { eventStore } = await made({ hooks: { onAfterCommit: () => Promise.reject(new Error('no')) } });
    expect(await eventStore.appendToStream('s', [added('a')])).toMatchObject({ nextExpectedStreamVersion: 1n });
    expect(complained).toHaveBeenCalledTimes(1);
  });

  test('forwards to Emmett’s message bus', async () => {
    const bus = getInMemoryMessageBus();
    const seen: string[] = [];
    bus.subscribe<CartEvent>((event: CartEvent) => void seen.push(event.data.sku), 'ItemAdded');
    const { eventStore } = await made({ hooks: { onAfterCommit: forwardToMessageBus(bus) } });
    await eventStore.appendToStream('s', [added('a'), removed('b'), added('c')]);
    expect(seen).toEqual(['a', 'c']);
  });
});

describe('onBeforeCommit', () => {
  test('is told what will be, and where in its stream', async () => {
    const told: Messages[] = [];
    const { eventStore } = await made({ hooks: { onBeforeCommit: (messages) => void told.push(messages) } });
    await eventStore.appendToStream('s', [added('a')]);
    await eventStore.appendToStream('s', [{ ...added('b'), metadata: { by: 'me' } } as AnyEvent, added('c')]);
    expect(told.flat().map(({ metadata }) => metadata)).toEqual([
      { messageId: UUID, streamName: 's', streamPosition: 1n },
      { messageId: UUID, streamName: 's', streamPosition: 2n, by: 'me' },
      { messageId: UUID, streamName: 's', streamPosition: 3n },
    ]);
    const { events } = await eventStore.readStream('s');
    expect(events.map(({ metadata }) => metadata.messageId)).toEqual(
      told.flat().map(({ metadata }) => metadata.messageId),
    );
  });

  test('aborts the append by throwing', async () => {
    const after: unknown[] = [];
    const { eventStore } = await made({
      hooks: {
        onBeforeCommit: (messages) =>
          (messages as Messages)[0].data.sku === 'bad' ? Promise.reject(new Error('not this one')) : undefined,
        onAfterCommit: (messages) => void after.push(messages),
      },
    });
    await expect(eventStore.appendToStream('s', [added('bad'), added('a')])).rejects.toThrow('not this one');
    expect(await eventStore.streamExists('s')).toBe(false);
    await eventStore.appendToStream('s', [added('good')]);
    expect(after).toHaveLength(1);
    expect((await eventStore.readStream('s')).events).toMatchObject([added('good')]);
  });

  test('is not asked where the expectation fails anyway', async () => {
    let asked = 0;
    const { eventStore } = await made({ hooks: { onBeforeCommit: () => void asked++ } });
    await eventStore.appendToStream('s', [added('a')]);
    for (const expectedStreamVersion of [0n, 2n, -1n, 'STREAM_DOES_NOT_EXIST'] as const) {
      await expect(eventStore.appendToStream('s', [added('b')], { expectedStreamVersion })).rejects.toMatchObject({
        current: '1',
        expected: expectedStreamVersion.toString(),
      });
    }
    await expect(
      eventStore.appendToStream('t', [added('b')], { expectedStreamVersion: 'STREAM_EXISTS' }),
    ).rejects.toThrow(ExpectedVersionConflictError);
    expect(asked).toBe(1);
  });

  test('is asked again where somebody was faster, unless a version was expected', async () => {
    const positions: bigint[] = [];
    let first = true;
    const { store, eventStore } = await made({
      hooks: {
        onBeforeCommit: async (messages) => {
          positions.push((messages as Messages)[0].metadata.streamPosition);
          if (first) await store.appendToStream('s', { type: 'Between' });
          first = false;
        },
      },
    });
    await eventStore.appendToStream('s', [added('a')]);
    expect(positions).toEqual([1n, 2n]);
    expect((await eventStore.readStream('s')).events.map(({ type }) => type)).toEqual(['Between', 'ItemAdded']);
    first = true;
    await expect(eventStore.appendToStream('s', [added('b')], { expectedStreamVersion: 2n })).rejects.toMatchObject({
      current: '3',
      expected: '2',
    });
    expect(positions).toEqual([1n, 2n, 3n]);
  });

  test('is told the next position of a stream that was deleted', async () => {
    const positions: bigint[] = [];
    const { store, eventStore } = await made({
      hooks: { onBeforeCommit: (messages) => void positions.push((messages as Messages)[0].metadata.streamPosition) },
    });
    await eventStore.appendToStream('s', [added('a')]);
    await store.deleteStream('s');
    expect(await eventStore.appendToStream('s', [added('b')])).toMatchObject({ nextExpectedStreamVersion: 2n });
    expect(positions).toEqual([1n, 2n]);
  });

  test('rejects with what the store refuses', async () => {
    const { store, eventStore } = await made({ hooks: { onBeforeCommit: () => {} } });
    await eventStore.appendToStream('s', [added('a')]);
    await store.tombstoneStream('s');
    await expect(eventStore.appendToStream('s', [added('a')])).rejects.toMatchObject(
      code('ERR_VARVE_STREAM_TOMBSTONED'),
    );
  });
});

interface Total extends Record<string, unknown> {
  items: number;
}
const totals = inMemorySingleStreamProjection<Total, CartEvent>({
  canHandle: ['ItemAdded', 'ItemRemoved'],
  collectionName: 'totals',
  initialState: () => ({ items: 0 }),
  evolve: (document: Total, { type, data: { quantity } }: CartEvent) => ({
    ...document,
    items: document.items + (type === 'ItemAdded' ? quantity : -quantity),
  }),
});
const totalOf = async (eventStore: VarveEventStore, id: string) =>
  (await eventStore.database.collection<Total & { _id: string }>('totals').findOne(({ _id }) => _id === id))?.items;

const projection = (
  handle: (events: Messages, context: { eventStore: VarveEventStore }) => unknown,
  more: Partial<ProjectionDefinition<AnyEvent>> = {},
) => inlineProjections([{ canHandle: ['ItemAdded'], handle: handle as never, ...more }] as never);

describe('inline projections', () => {
  test('of Emmett have what is appended when the append resolves', async () => {
    const { eventStore } = await made({ projections: inlineProjections([totals]) });
    await eventStore.appendToStream('cart-1', [added('a', 3), removed('a')]);
    await eventStore.appendToStream('cart-2', [added('b')]);
    expect(await totalOf(eventStore, 'cart-1')).toBe(2);
    expect(await totalOf(eventStore, 'cart-2')).toBe(1);
  });

  test('keep their documents where they are told to', async () => {
    const database = getInMemoryDatabase();
    const { eventStore } = await made({ projections: inlineProjections([totals]), database });
    await eventStore.appendToStream('cart-1', [added('a', 3)]);
    expect(eventStore.database).toBe(database);
    expect(await totalOf(eventStore, 'cart-1')).toBe(3);
  });

  test('are made again from what is stored when it is opened', async () => {
    const { disk, store: first, eventStore } = await made({ projections: inlineProjections([totals]) });
    await eventStore.appendToStream('cart-1', [added('a', 3), { type: 'Other', data: {} } as AnyEvent]);
    await eventStore.appendToStream('cart-1', [removed('a')]);
    await first.close();
    const again = getVarveEventStore({ ...settings(disk), projections: inlineProjections([totals]) });
    expect(await totalOf(again, 'cart-1')).toBeUndefined();
    await again.open();
    expect(await totalOf(again, 'cart-1')).toBe(2);
    await again.appendToStream('cart-1', [added('b', 10)]);
    expect(await totalOf(again, 'cart-1')).toBe(12);
    await again.close();
    const without = getVarveEventStore({
      ...settings(disk),
      projections: inlineProjections([totals]),
      replayProjections: false,
    });
    await without.appendToStream('cart-1', [added('b', 10)]);
    expect(await totalOf(without, 'cart-1')).toBe(10);
    await without.close();
  });

  test('are truncated before they are made again, and upcast', async () => {
    const { store, eventStore } = await made({});
    await eventStore.appendToStream('s', [added('a')]);
    const calls: unknown[] = [];
    const again = getVarveEventStore({
      store,
      projections: projection((events) => void calls.push(events.map(({ data }) => data)), {
        version: 4,
        init: ({ version, registrationType }) => void calls.push([version, registrationType]),
        truncate: async () => void calls.push('truncate'),
        eventsOptions: { schema: { versioning: { upcast: (e: AnyEvent) => ({ ...e, data: { ...e.data, up: 1 } }) } } },
      }),
    });
    await again.open();
    await again.open();
    expect(calls).toEqual([[4, 'inline'], 'truncate', [{ sku: 'a', quantity: 1, up: 1 }]]);
  });

  test('that can handle one event get all of the append, and others none', async () => {
    const seen: string[][] = [];
    const { eventStore } = await made({
      projections: projection((events) => void seen.push(events.map(({ type }) => type))),
    });
    await eventStore.appendToStream('s', [added('a'), removed('a')]);
    await eventStore.appendToStream('s', [removed('a')]);
    expect(seen).toEqual([['ItemAdded', 'ItemRemoved']]);
  });

  test('registered as async are not run inline', async () => {
    const seen: unknown[] = [];
    const [registration] = projection((events) => void seen.push(events));
    const { eventStore } = await made({ projections: [{ ...registration, type: 'async' } as never] });
    await eventStore.appendToStream('s', [added('a')]);
    expect(seen).toEqual([]);
  });

  test('run one append after another, in the order of the log', async () => {
    const seen: bigint[] = [];
    const { eventStore } = await made({
      projections: projection(async (events) => {
        const [{ metadata }] = events;
        if (metadata.streamPosition === 1n) await turns();
        seen.push(metadata.globalPosition);
      }),
    });
    await Promise.all(Array.from({ length: 10 }, (_, i) => eventStore.appendToStream(`s-${i % 3}`, [added('a')])));
    expect(seen).toEqual(Array.from({ length: 10 }, (_, i) => BigInt(i + 1)));
  });

  test('may append themselves', async () => {
    const { eventStore } = await made({
      projections: projection(async (events, context) => {
        for (const { data } of events) {
          if (data.sku !== 'echo') await context.eventStore.appendToStream('echoes', [added('echo')]);
        }
      }),
    });
    await eventStore.appendToStream('s', [added('a')]);
    expect((await eventStore.readStream('echoes')).events).toMatchObject([added('echo')]);
  });

  test('may read while they are made again', async () => {
    const { store, eventStore } = await made({});
    await eventStore.appendToStream('s', [added('a')]);
    const versions: bigint[] = [];
    const again = getVarveEventStore({
      store,
      projections: projection(async (_events, context) => {
        versions.push((await context.eventStore.readStream('s')).currentStreamVersion);
      }),
    });
    await again.open();
    expect(versions).toEqual([1n]);
  });

  test('that throw make the append reject, and take nothing back', async () => {
    let failing = true;
    const after: unknown[] = [];
    const { eventStore } = await made({
      projections: projection(() => (failing ? Promise.reject(new Error('no')) : undefined)),
      hooks: { onAfterCommit: (messages) => void after.push(messages) },
    });
    await expect(eventStore.appendToStream('s', [added('a')])).rejects.toThrow('no');
    expect(after).toEqual([]);
    failing = false;
    await eventStore.appendToStream('s', [added('b')]);
    expect((await eventStore.readStream('s')).events).toMatchObject([added('a'), added('b')]);
  });

  test('that cannot be made again keep everything from going on, until they can', async () => {
    const { store, eventStore } = await made({});
    await eventStore.appendToStream('s', [added('a')]);
    let failing = true;
    const again = getVarveEventStore({
      store,
      projections: projection(() => (failing ? Promise.reject(new Error('no')) : undefined)),
    });
    await expect(again.appendToStream('s', [added('b')])).rejects.toThrow('no');
    expect((await eventStore.readStream('s')).currentStreamVersion).toBe(1n);
    failing = false;
    await again.appendToStream('s', [added('b')]);
    expect((await eventStore.readStream('s')).currentStreamVersion).toBe(2n);
  });

  test('keep appends waiting while they are made again', async () => {
    const { store, eventStore } = await made({});
    await eventStore.appendToStream('s', [added('a')]);
    const gate = deferred();
    const again = getVarveEventStore({ store, projections: projection(() => gate.promise) });
    const appending = again.appendToStream('s', [added('b')]);
    await turns();
    expect((await eventStore.readStream('s')).currentStreamVersion).toBe(1n);
    gate.resolve();
    await appending;
    expect((await eventStore.readStream('s')).currentStreamVersion).toBe(2n);
  });
});

test('a store with upcasters of its own upcasts for Emmett too', async () => {
  const { disk, store: first, eventStore } = await made({});
  await eventStore.appendToStream('s', [added('a')]);
  await first.close();
  const upcasters = [
    { type: 'ItemAdded', from: 1, toType: 'Put', upcast: () => ({ type: 'Put', data: { up: true } }) },
  ];
  const again = getVarveEventStore(await openEventStore({ ...settings(disk), upcasters }));
  expect((await again.readStream('s')).events).toMatchObject([{ type: 'Put', data: { up: true } }]);
  await (await again.open()).close();
});
