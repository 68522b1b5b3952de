import {
  type AnyEvent,
  CommandHandler,
  ConcurrencyError,
  DeciderCommandHandler,
  EmmettError,
  ExpectedVersionConflictError,
  isExpectedVersionConflictError,
  WrapEventStore,
} from '@event-driven-io/emmett';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { EventStore } from 'varve';
import type { VarveEventStore } from 'varve/emmett';
import { added, type CartEvent, code, evolve, initialState, removed, shop } from './kit.js';

let store: EventStore;
let eventStore: VarveEventStore;

beforeEach(async () => {
  ({ store, eventStore } = await shop());
});
afterEach(() => store.close());

const three = () => eventStore.appendToStream('cart-1', [added('a'), added('b'), added('c')]);

describe('appendToStream', () => {
  test('tells the version behind it, where it is, and whether the stream is new', async () => {
    expect(await three()).toEqual({
      nextExpectedStreamVersion: 3n,
      createdNewStream: true,
      lastEventGlobalPosition: 3n,
    });
    expect(await eventStore.appendToStream('cart-1', [added('d')])).toEqual({
      nextExpectedStreamVersion: 4n,
      createdNewStream: false,
      lastEventGlobalPosition: 4n,
    });
  });

  test.each([
    [undefined, true, true],
    ['NO_CONCURRENCY_CHECK', true, true],
    ['STREAM_EXISTS', true, false],
    ['STREAM_DOES_NOT_EXIST', false, true],
    [0n, false, true],
    [3n, true, false],
    [2n, false, false],
    [4n, false, false],
    [-1n, false, false],
    [2n ** 60n, false, false],
  ] as const)('expecting %p of a stream at 3, and of none', async (expectedStreamVersion, atThree, atNone) => {
    await three();
    const options = expectedStreamVersion === undefined ? {} : { expectedStreamVersion };
    for (const [stream, ok, current] of [
      ['cart-1', atThree, 3n],
      ['cart-2', atNone, 0n],
    ] as const) {
      const appending = eventStore.appendToStream(stream, [added('d')], options);
      if (ok) {
        expect((await appending).nextExpectedStreamVersion).toBe(current + 1n);
        continue;
      }
      const error = await appending.catch((e: unknown) => e);
      expect(error).toBeInstanceOf(ExpectedVersionConflictError);
      expect(error).toBeInstanceOf(ConcurrencyError);
      expect(isExpectedVersionConflictError(error)).toBe(true);
      expect(error).toMatchObject({
        current: current.toString(),
        expected: `${expectedStreamVersion}`,
        errorCode: EmmettError.Codes.ConcurrencyError,
      });
      expect((await eventStore.readStream(stream)).currentStreamVersion).toBe(current);
    }
  });

  test('tells the store’s own error as the cause', async () => {
    await three();
    await expect(
      eventStore.appendToStream('cart-1', [added('d')], { expectedStreamVersion: 1n }),
    ).rejects.toMatchObject({
      cause: { code: 'ERR_VARVE_WRONG_REVISION', stream: 'cart-1' },
    });
  });

  test.each([3, '3', {}, 'stream_exists'])('expecting %p is refused', async (expectedStreamVersion) => {
    await three();
    await expect(
      eventStore.appendToStream('cart-1', [added('d')], { expectedStreamVersion: expectedStreamVersion as never }),
    ).rejects.toMatchObject({ ...code('ERR_VARVE_INVALID_OPTION'), option: 'expectedStreamVersion' });
  });

  test('of many at one version one wins', async () => {
    await three();
    const all = Array.from({ length: 20 }, (_, i) =>
      eventStore.appendToStream('cart-1', [added(`${i}`)], { expectedStreamVersion: 3n }),
    );
    const outcomes = await Promise.allSettled(all);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ current: '4', expected: '3' });
    }
    expect((await eventStore.readStream('cart-1')).currentStreamVersion).toBe(4n);
  });

  test('keeps what JSON would lose', async () => {
    const data = { at: new Date(7), big: 12n, set: new Set(['a']), none: undefined, bytes: Uint8Array.of(1, 2) };
    await eventStore.appendToStream('s', [{ type: 'T', data, metadata: { at: new Date(9) } } as AnyEvent]);
    const { events } = await eventStore.readStream('s');
    expect(events[0]?.data).toEqual(data);
    expect((events[0]?.metadata as unknown as { at: Date } | undefined)?.at).toEqual(new Date(9));
  });

  test('keeps commands apart from events', async () => {
    await eventStore.appendToStream('s', [
      { type: 'Do', data: {}, kind: 'Command' } as unknown as AnyEvent,
      { type: 'Done', data: {}, kind: 'Event' } as AnyEvent,
    ]);
    const { events } = await eventStore.readStream('s');
    expect(events.map(({ type, kind }) => `${type} ${kind}`)).toEqual(['Do Command', 'Done Event']);
  });

  test('downcasts what is stored', async () => {
    const downcast = ({ data, ...event }: CartEvent) => ({ ...event, data: { s: data.sku } }) as never;
    await eventStore.appendToStream('s', [added('a')], { schema: { versioning: { downcast } } });
    expect((await store.readStream('s').toArray())[0]?.data).toEqual({ s: 'a' });
  });

  test('a downcast may change metadata', async () => {
    const downcast = (event: AnyEvent) => ({ ...event, metadata: { version: 1 } }) as AnyEvent;
    await eventStore.appendToStream('s', [{ ...added('a'), metadata: { by: 'me' } } as AnyEvent], {
      schema: { versioning: { downcast } },
    });
    expect((await store.readStream('s').toArray())[0]?.metadata).toEqual({ by: 'me', version: 1 });
  });

  test('goes on behind a stream that was deleted', async () => {
    await three();
    await store.deleteStream('cart-1');
    await expect(
      eventStore.appendToStream('cart-1', [added('d')], { expectedStreamVersion: 'STREAM_EXISTS' }),
    ).rejects.toMatchObject({ current: '0' });
    expect(
      await eventStore.appendToStream('cart-1', [added('d')], { expectedStreamVersion: 'STREAM_DOES_NOT_EXIST' }),
    ).toMatchObject({ createdNewStream: true, nextExpectedStreamVersion: 4n });
  });

  test('to a tombstoned stream is refused by the store', async () => {
    await three();
    await store.tombstoneStream('cart-1');
    await expect(three()).rejects.toMatchObject(code('ERR_VARVE_STREAM_TOMBSTONED'));
  });

  test.each<[string, unknown, object]>([
    ['nothing', undefined, { option: 'events' }],
    ['no events', [], { option: 'events' }],
    ['one that is not in an array', added('a'), { option: 'events' }],
    ['null', [added('a'), null], { option: 'events[1]' }],
    ['a field that would be lost', [{ ...added('a'), id: 'x' }], { option: 'events[0].id' }],
    ['metadata that are no object', [{ ...added('a'), metadata: 'x' }], { option: 'events[0].metadata' }],
    ['another kind', [{ ...added('a'), kind: 'Query' }], { option: 'events[0].kind' }],
    ['no type', [{ data: {} }], { option: 'events[0].type' }],
    ['a function', [{ type: 'T', data: { f: () => {} } }], { valuePath: 'events[0].data.f' }],
    [
      'a symbol in metadata',
      [{ type: 'T', data: {}, metadata: { s: Symbol('s') } }],
      { valuePath: 'events[0].metadata.s' },
    ],
  ])('%s is refused, and nothing is written', async (_name, events, fields) => {
    await expect(eventStore.appendToStream('s', events as AnyEvent[])).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_VARVE_INVALID_(EVENT|OPTION)$/),
      ...fields,
    });
    expect(await eventStore.streamExists('s')).toBe(false);
  });

  test.each(['', '$mine', 5, 'x'.repeat(1025)])('a stream cannot be named %p', async (name) => {
    await expect(eventStore.appendToStream(name as string, [added('a')])).rejects.toMatchObject({
      ...code('ERR_VARVE_INVALID_OPTION'),
      option: 'stream',
    });
  });
});

describe('Emmett’s command handlers', () => {
  const handle = CommandHandler<ReturnType<typeof initialState>, CartEvent>({
    evolve,
    initialState,
    retry: {
      onVersionConflict: {
        retries: 30,
        minTimeout: 1,
        maxTimeout: 5,
        shouldRetryError: isExpectedVersionConflictError,
      },
    },
  });

  test('CommandHandler', async () => {
    expect(await handle(eventStore, 'cart-1', () => [added('a'), added('b')])).toEqual({
      newState: { a: 1, b: 1 },
      newEvents: [added('a'), added('b')],
      nextExpectedStreamVersion: 2n,
      createdNewStream: true,
      lastEventGlobalPosition: 2n,
    });
    expect(await handle(eventStore, 'cart-1', (state) => added('c', Object.keys(state).length))).toMatchObject({
      newState: { a: 1, b: 1, c: 2 },
      nextExpectedStreamVersion: 3n,
    });
    expect(await handle(eventStore, 'cart-1', () => [])).toMatchObject({
      nextExpectedStreamVersion: 3n,
      createdNewStream: false,
      newEvents: [],
    });
    await expect(
      handle(eventStore, 'cart-1', () => added('x'), { expectedStreamVersion: 1n, retry: { retries: 0 } }),
    ).rejects.toThrow(ExpectedVersionConflictError);
  });

  test('retry, so that no decision is made on an old state', async () => {
    await handle(eventStore, 'cart-1', () => added('a', 5));
    const sold = await Promise.all(
      Array.from({ length: 9 }, async () => {
        let took = false;
        await handle(eventStore, 'cart-1', (state) => {
          took = (state.a ?? 0) > 0;
          return took ? removed('a') : [];
        });
        return took;
      }),
    );
    expect(sold.filter((took) => took)).toHaveLength(5);
    const { state } = await eventStore.aggregateStream<Record<string, number>, CartEvent>('cart-1', {
      evolve,
      initialState,
    });
    expect(state).toEqual({ a: 0 });
  });

  test('upcast and downcast', async () => {
    type Stored = { type: 'ItemAdded'; data: { s: string } };
    const upcast = (event: Stored) => ({ ...event, data: { sku: event.data.s, quantity: 1 } }) as CartEvent;
    const downcast = (event: CartEvent) => ({ ...event, data: { s: event.data.sku } }) as Stored;
    // Emmett 0.42 hands a downcast to the store only where it is given with the call.
    const schema = { versioning: { upcast, downcast } } as never;
    await handle(eventStore, 'cart-1', () => added('a'), { schema });
    const { newState } = await handle(eventStore, 'cart-1', (state) => added(`b${state.a}`), { schema });
    expect((await store.readStream('cart-1').toArray()).map(({ data }) => data)).toEqual([{ s: 'a' }, { s: 'b1' }]);
    expect(newState).toEqual({ a: 1, b1: 1 });
  });

  test('DeciderCommandHandler', async () => {
    type Add = { type: 'Add'; data: { sku: string } };
    const decide = DeciderCommandHandler<Record<string, number>, Add, CartEvent>({
      decide: ({ data: { sku } }, state) => added(sku, 1 + (state[sku] ?? 0)),
      evolve,
      initialState,
      mapToStreamId: (id) => `cart-${id}`,
    });
    const result = await decide(eventStore, '7', [
      { type: 'Add', data: { sku: 'a' } },
      { type: 'Add', data: { sku: 'a' } },
    ]);
    expect(result).toMatchObject({ newState: { a: 3 }, nextExpectedStreamVersion: 2n });
    expect(await eventStore.streamExists('cart-7')).toBe(true);
  });

  test('work in a session of Emmett’s test wrapper, which notes what is appended', async () => {
    const wrapped = WrapEventStore(eventStore as never) as unknown as VarveEventStore & {
      appendedEvents: Map<string, [string, CartEvent[]]>;
    };
    await handle(wrapped, 'cart-1', () => added('a'));
    expect([...wrapped.appendedEvents.values()]).toEqual([['cart-1', [added('a')]]]);
    expect((await eventStore.readStream('cart-1')).events).toMatchObject([added('a')]);
  });
});

describe('withSession', () => {
  test('hands on the event store, and gives what the callback gives', async () => {
    const result = await eventStore.withSession(async (session) => {
      await session.eventStore.appendToStream('s', [added('a')]);
      await session.close();
      return (await session.eventStore.readStream('s')).currentStreamVersion;
    });
    expect(result).toBe(1n);
    const { withSession } = eventStore;
    expect(await withSession((session) => session.eventStore.streamExists('s'))).toBe(true);
  });

  test('rejects as the callback does', async () => {
    await expect(eventStore.withSession(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  });
});
