/** What Emmett 0.43 asks of a store: positions as texts, and the parts of which it makes consumers. */

import { type AnyEvent, CommandHandler, reactor } from '@event-driven-io/emmett';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type EventStore, formatPosition } from 'varve';
import { getVarveEventStore, type TextPosition, type VarveEventStore } from 'varve/emmett';
import { turns } from '../../support/logs.js';
import { added, code, evolve, initialState, shop } from './kit.js';

let store: EventStore;
let old: VarveEventStore;
let eventStore: VarveEventStore<'0.43'>;

beforeEach(async () => {
  ({ store, eventStore: old } = await shop());
  eventStore = getVarveEventStore({ store, api: '0.43' });
});
afterEach(() => store.close());

// biome-ignore lint/suspicious/noExplicitAny: messages of any kind
type Message = any;
const at = (position: number) => formatPosition(BigInt(position)) as TextPosition;

describe('positions', () => {
  test('are texts of 19 digits wherever they are told', async () => {
    const told: Message[] = [];
    const hooked = getVarveEventStore({
      store,
      api: '0.43',
      hooks: { onAfterCommit: (messages) => void told.push(...messages) },
    });
    expect(await hooked.appendToStream('s', [added('a'), added('b')])).toEqual({
      nextExpectedStreamVersion: 2n,
      createdNewStream: true,
      lastEventGlobalPosition: '0000000000000000002',
    });
    const { events, currentStreamVersion } = await eventStore.readStream('s');
    expect(currentStreamVersion).toBe(2n);
    expect(events.map(({ metadata }) => metadata)).toMatchObject([
      { streamPosition: 1n, globalPosition: '0000000000000000001', checkpoint: '0000000000000000001' },
      { streamPosition: 2n, globalPosition: '0000000000000000002', checkpoint: '0000000000000000002' },
    ]);
    expect(told).toEqual(events);
    expect(await eventStore.aggregateStream('s', { evolve, initialState })).toMatchObject({
      lastEventGlobalPosition: '0000000000000000002',
      currentStreamVersion: 2n,
    });
  });

  test('are no texts without the switch', async () => {
    await eventStore.appendToStream('s', [added('a')]);
    const { events } = await old.readStream('s');
    expect(events[0]?.metadata.globalPosition).toBe(1n);
    expect(events[0]?.metadata).not.toHaveProperty('checkpoint');
  });

  test('do for command handlers', async () => {
    const handle = CommandHandler({ evolve, initialState });
    await handle(eventStore, 's', () => added('a'));
    expect(await handle(eventStore, 's', () => added('b'))).toMatchObject({
      newState: { a: 1, b: 1 },
      lastEventGlobalPosition: '0000000000000000002',
    });
  });
});

describe('a consumer', () => {
  test('is the same, with texts; and either goes on where the other was', async () => {
    await eventStore.appendToStream('s', [added('a'), added('b')]);
    const seen: string[] = [];
    for (const on of [eventStore, old, eventStore]) {
      const consumer = (on as typeof eventStore).consumer();
      consumer.reactor({ processorId: 'p', eachMessage: (message: Message) => void seen.push(message.data.sku) });
      const done = consumer.start();
      await consumer.whenCaughtUp();
      const { lastEventGlobalPosition } = await (on as typeof eventStore).appendToStream('s', [added('c')]);
      await consumer.whenProcessed(lastEventGlobalPosition);
      await consumer.stop();
      await done;
    }
    expect(seen.join('')).toBe('abccc');
  });

  test('begins behind a text', async () => {
    await eventStore.appendToStream('s', [added('a'), added('b'), added('c')]);
    const seen: string[] = [];
    const consumer = eventStore.consumer();
    consumer.reactor({
      processorId: 'p',
      startFrom: { lastCheckpoint: at(2) },
      eachMessage: (message: Message) => void seen.push(message.data.sku),
    });
    const done = consumer.start();
    await consumer.whenCaughtUp();
    await expect(consumer.whenProcessed(3n as never)).rejects.toMatchObject(code('ERR_VARVE_INVALID_OPTION'));
    await consumer.stop();
    await done;
    expect(seen).toEqual(['c']);
  });
});

describe('a message source', () => {
  async function read(from: never, count: number) {
    const stopping = new AbortController();
    const found: Message[] = [];
    for await (const message of eventStore.messageSource().read({ from, signal: stopping.signal })) {
      found.push((message as Message).data.sku ?? message);
      if (found.length === count) stopping.abort();
    }
    return found;
  }
  const caughtUp = (position: number) => ({
    type: '__emt:MessageSourceCaughtUp',
    kind: 'Event',
    data: { checkpoint: at(position) },
    metadata: { checkpoint: at(position) },
  });

  test('delivers messages, and a marker when it has delivered what was there', async () => {
    await eventStore.appendToStream('s', [added('a'), added('b'), added('c')]);
    expect(await read('BEGINNING' as never, 4)).toEqual(['a', 'b', 'c', caughtUp(3)]);
    expect(await read(undefined as never, 1)).toEqual(['a']);
    expect(await read({ lastCheckpoint: at(2) } as never, 2)).toEqual(['c', caughtUp(3)]);
    expect(await read({ lastCheckpoint: at(3) } as never, 1)).toEqual([caughtUp(3)]);
    expect(await read('END' as never, 1)).toEqual([caughtUp(3)]);
  });

  test('goes on with what comes', async () => {
    const reading = read('BEGINNING' as never, 3);
    await turns();
    await eventStore.appendToStream('s', [added('a'), added('b')]);
    expect(await reading).toEqual([caughtUp(0), 'a', 'b']);
  });

  test('ends quietly when it is told to, also while it waits', async () => {
    const stopping = new AbortController();
    const reading = (async () => {
      for await (const _ of eventStore.messageSource().read({ from: 'END', signal: stopping.signal }));
    })();
    await turns();
    stopping.abort();
    await reading;
  });

  test('tells the newest position', async () => {
    const source = eventStore.messageSource();
    expect(await source.readLastMessageCheckpoint()).toBeNull();
    await eventStore.appendToStream('s', [added('a'), added('b')]);
    expect(await source.readLastMessageCheckpoint()).toBe(at(2));
    await source.close();
    expect(await old.messageSource().readLastMessageCheckpoint()).toBe(2n);
  });

  test('refuses what is no place, and no signal', async () => {
    const signal = new AbortController().signal;
    for (const given of [{ from: { lastCheckpoint: 2n }, signal }, { from: 'BEGINNING' }]) {
      const reading = async () => {
        for await (const _ of eventStore.messageSource().read(given as never));
      };
      await expect(reading()).rejects.toMatchObject(code('ERR_VARVE_INVALID_OPTION'));
    }
  });
});

describe('a checkpointer', () => {
  const message = (position: number) => ({ metadata: { globalPosition: at(position) } });
  const processorId = 'p';

  test('stores only over what was the last', async () => {
    await eventStore.appendToStream(
      's',
      ['a', 'b', 'c', 'd'].map((sku) => added(sku)),
    );
    const { read, store: put } = eventStore.checkpointer();
    expect(await read({ processorId })).toEqual({ lastCheckpoint: null });
    expect(await put({ processorId, message: message(2), lastCheckpoint: null })).toEqual({
      success: true,
      newCheckpoint: at(2),
    });
    expect(await read({ processorId })).toEqual({ lastCheckpoint: at(2) });
    expect(await read({ processorId, partition: 'x' })).toEqual({ lastCheckpoint: null });
    for (const [position, last, reason] of [
      [2, at(1), 'IGNORED'],
      [1, null, 'CURRENT_AHEAD'],
      [4, null, 'MISMATCH'],
      [4, at(3), 'MISMATCH'],
    ] as const) {
      expect(await put({ processorId, message: message(position), lastCheckpoint: last })).toEqual({
        success: false,
        reason,
      });
    }
    expect(await put({ processorId, message: message(4), lastCheckpoint: at(2) })).toMatchObject({ success: true });
    expect((await store.readCheckpoint('emmett:p'))?.checkpoint).toBe('4');
  });

  test('of two at the same time one stores', async () => {
    await eventStore.appendToStream(
      's',
      ['a', 'b'].map((sku) => added(sku)),
    );
    const { store: put } = eventStore.checkpointer();
    const outcomes = await Promise.all(
      [1, 2].map((position) => put({ processorId, message: message(position), lastCheckpoint: null })),
    );
    expect(outcomes.filter(({ success }) => success)).toHaveLength(1);
    expect(outcomes).toContainEqual({ success: false, reason: 'MISMATCH' });
  });

  test('does for processors that Emmett makes', async () => {
    await old.appendToStream(
      's',
      ['a', 'b', 'c'].map((sku) => added(sku)),
    );
    const seen: string[] = [];
    const made = () =>
      reactor({
        processorId,
        checkpoints: old.checkpointer() as never,
        stopAfter: (m: Message) => m.data.sku === 'b',
        eachMessage: (m: AnyEvent) => void seen.push(m.data.sku),
      });
    await old.consumer({ processors: [made()] }).start();
    expect((await store.readCheckpoint('emmett:p'))?.checkpoint).toBe('2');
    const consumer = old.consumer({ processors: [made()] });
    const done = consumer.start();
    await consumer.whenCaughtUp();
    await consumer.stop();
    await done;
    expect(seen).toEqual(['a', 'b', 'c']);
  });

  test.each([{ processorId: '' }, {}])('%j names no processor', async (named) => {
    await expect(eventStore.checkpointer().read(named as never)).rejects.toMatchObject({
      ...code('ERR_VARVE_INVALID_OPTION'),
      option: 'processorId',
    });
  });

  test('refuses messages from elsewhere', async () => {
    await expect(
      eventStore.checkpointer().store({ processorId, message: { metadata: {} }, lastCheckpoint: null }),
    ).rejects.toMatchObject({ option: 'message.metadata.globalPosition' });
  });
});

describe('a lock', () => {
  test('is held by one, and can be given back by that one only', async () => {
    const [one, two] = [1, 2].map(() => eventStore.processorLock({ processorId: 'p' }));
    const other = old.processorLock({ processorId: 'p', partition: 'x' });
    expect(await one?.tryAcquire()).toBe(true);
    expect(await one?.tryAcquire()).toBe(true);
    expect(await two?.tryAcquire()).toBe(false);
    expect(await other.tryAcquire()).toBe(true);
    await two?.release();
    expect(await two?.tryAcquire()).toBe(false);
    await one?.release();
    expect(await two?.tryAcquire()).toBe(true);
  });

  test('keeps out a consumer', async () => {
    const lock = eventStore.processorLock({ processorId: 'p' });
    await lock.tryAcquire();
    const consumer = old.consumer();
    consumer.reactor({ processorId: 'p', eachMessage: () => {} });
    await expect(consumer.start()).rejects.toThrow('runs already');
    await lock.release();
    const done = consumer.start();
    await consumer.whenStarted();
    expect(await lock.tryAcquire()).toBe(false);
    await consumer.stop();
    await done;
    expect(await lock.tryAcquire()).toBe(true);
  });
});
