import {
  type AnyEvent,
  EmmettError,
  getInMemoryDatabase,
  inMemoryProjector,
  inMemorySingleStreamProjection,
  type MessageHandlerResult,
  MessageProcessor,
  reactor,
} from '@event-driven-io/emmett';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import type { EventStore } from 'varve';
import { getVarveEventStore, type VarveEventStore } from 'varve/emmett';
import { turns } from '../../support/logs.js';
import { added, type CartEvent, code, deferred, removed, settings, shop } from './kit.js';

let store: EventStore | undefined;
async function made(partitions = 1) {
  const opened = await shop({}, { partitions });
  store = opened.store;
  return opened;
}
afterEach(async () => {
  await store?.close();
  store = undefined;
  jest.restoreAllMocks();
});

// biome-ignore lint/suspicious/noExplicitAny: messages of any kind
type Message = any;
const skuOf = ({ data }: Message): string => data.sku;

/** A consumer with one processor that notes what it is handed. */
function watching(
  eventStore: VarveEventStore,
  more: object = {},
  options: Parameters<VarveEventStore['consumer']>[0] = {},
) {
  const seen: string[] = [];
  const consumer = eventStore.consumer(options);
  const processor = consumer.reactor({
    processorId: 'p',
    eachMessage: (message: Message) => void seen.push(skuOf(message)),
    ...more,
  });
  return { seen, consumer, processor };
}

const append = (eventStore: VarveEventStore, skus: string, stream = 's') =>
  eventStore.appendToStream(
    stream,
    [...skus].map((sku) => added(sku)),
  );

/** Runs it until it is level, and stops it. */
async function upToNow({ consumer }: Pick<ReturnType<typeof watching>, 'consumer'>): Promise<void> {
  const done = consumer.start();
  await consumer.whenCaughtUp();
  await consumer.stop();
  await done;
}

async function stored({ store }: { store: EventStore }, name = 'emmett:p'): Promise<string | undefined> {
  return (await store.readCheckpoint(name))?.checkpoint;
}

describe('delivery', () => {
  test.each([1, 3])('what is there, then what comes, in order, from %s partitions', async (partitions) => {
    const { eventStore } = await made(partitions);
    for (const sku of 'abcdef') await append(eventStore, sku, `s-${sku}`);
    const { seen, consumer } = watching(eventStore);
    expect(consumer.isRunning).toBe(false);
    const done = consumer.start();
    expect(consumer.isRunning).toBe(true);
    await consumer.whenCaughtUp();
    expect(seen.join('')).toBe('abcdef');
    await append(eventStore, 'gh', 's-a');
    const { lastEventGlobalPosition } = await append(eventStore, 'i', 's-x');
    await consumer.whenProcessed(lastEventGlobalPosition);
    expect(seen.join('')).toBe('abcdefghi');
    await consumer.stop();
    await done;
    expect(consumer.isRunning).toBe(false);
  });

  test('messages as they are read, and a context', async () => {
    const { eventStore } = await made();
    await append(eventStore, 'a', 'cart-1');
    const told: unknown[][] = [];
    await upToNow(watching(eventStore, { eachMessage: (...all: unknown[]) => void told.push(all) }));
    expect(told[0]?.[0]).toEqual((await eventStore.readStream('cart-1')).events[0]);
    expect(told[0]?.[1]).toEqual({ eventStore, database: eventStore.database });
  });

  test('only what it can handle, upcast', async () => {
    const { eventStore } = await made();
    await eventStore.appendToStream('s', [added('a'), removed('b'), added('c')]);
    const watched = watching(eventStore, {
      canHandle: ['ItemAdded'],
      messageOptions: {
        schema: { versioning: { upcast: (e: AnyEvent) => ({ ...e, data: { sku: e.data.sku.toUpperCase() } }) } },
      },
    });
    await upToNow(watched);
    expect(watched.seen.join('')).toBe('AC');
  });

  test('in batches of a size, each to be stored before the next', async () => {
    const opened = await made();
    await append(opened.eventStore, 'abcde');
    const sizes: [number, string | undefined][] = [];
    const processor = MessageProcessorOf(async (messages) => {
      sizes.push([messages.length, await stored(opened, 'emmett:own')]);
    });
    const consumer = opened.eventStore.consumer({ batchSize: 2, processors: [processor] });
    await upToNow({ consumer } as never);
    expect(sizes.map(([size]) => size)).toEqual([2, 2, 1]);
    const at: (string | undefined)[] = [];
    const watched = watching(
      opened.eventStore,
      { eachMessage: async () => void at.push(await stored(opened)) },
      { batchSize: 2 },
    );
    await upToNow(watched);
    expect(at).toEqual([undefined, undefined, '2', '2', '4']);
    expect(await stored(opened)).toBe('5');
  });

  test('a slow processor holds back no other', async () => {
    const { eventStore } = await made();
    await append(eventStore, 'abc');
    const gate = deferred();
    const { seen, consumer } = watching(eventStore);
    consumer.reactor({ processorId: 'slow', eachMessage: () => gate.promise });
    const done = consumer.start();
    await consumer.whenStarted();
    while (seen.length < 3) await turns();
    gate.resolve();
    await consumer.whenCaughtUp();
    await consumer.stop();
    await done;
  });

  test('without anything to wait for, it is level', async () => {
    const { eventStore } = await made();
    const { consumer } = watching(eventStore);
    const done = consumer.start();
    await consumer.whenCaughtUp();
    await consumer.stop();
    await done;
  });
});

/** A processor as somebody else might make one: with a handler of batches, and no checkpoints. */
function MessageProcessorOf(handle: (messages: Message[]) => Promise<MessageHandlerResult>) {
  let isActive = false;
  return {
    id: 'own',
    instanceId: 'own:1',
    type: 'reactor',
    init: async () => {},
    start: async () => {
      isActive = true;
      return 'BEGINNING' as const;
    },
    close: async () => {
      isActive = false;
    },
    get isActive() {
      return isActive;
    },
    handle,
  };
}

describe('where a processor begins', () => {
  test.each([1, 3])(
    'behind its checkpoint, also after the store was opened again, in %s partitions',
    async (partitions) => {
      const { disk, store: first, eventStore } = await made(partitions);
      for (const sku of 'abc') await append(eventStore, sku, `s-${sku}`);
      const one = watching(eventStore);
      await upToNow(one);
      await append(eventStore, 'd', 's-d');
      const two = watching(eventStore);
      await upToNow(two);
      await append(eventStore, 'e', 's-e');
      await first.close();
      const again = getVarveEventStore(settings(disk));
      const three = watching(again);
      await upToNow(three);
      expect([one.seen, two.seen, three.seen].map((seen) => seen.join(''))).toEqual(['abc', 'd', 'e']);
      await again.close();
    },
  );

  test('the same consumer started again goes on', async () => {
    const { eventStore } = await made();
    await append(eventStore, 'ab');
    const watched = watching(eventStore);
    await upToNow(watched);
    await append(eventStore, 'c');
    await upToNow(watched);
    expect(watched.seen.join('')).toBe('abc');
  });

  test('at the beginning, if it says so, whatever is stored; from there on its checkpoint counts', async () => {
    const opened = await made();
    await append(opened.eventStore, 'abc');
    await upToNow(watching(opened.eventStore));
    const gate = deferred();
    const { seen, consumer } = watching(
      opened.eventStore,
      {
        startFrom: 'BEGINNING',
        eachMessage: (message: Message) => {
          seen.push(skuOf(message));
          return seen.length === 2 ? gate.promise : undefined;
        },
      },
      { batchSize: 1 },
    );
    const done = consumer.start();
    while (seen.length < 2) await turns();
    expect(await stored(opened)).toBe('1');
    gate.resolve();
    await consumer.stop();
    await done;
    expect(seen.join('')).toBe('ab');
    const next = watching(opened.eventStore);
    await upToNow(next);
    expect(next.seen.join('')).toBe('c');
  });

  test('at the end, or behind a position', async () => {
    const { eventStore } = await made();
    const { lastEventGlobalPosition } = await append(eventStore, 'ab');
    await append(eventStore, 'c');
    const end = watching(eventStore, { startFrom: 'END', processorId: 'end' });
    const behind = watching(eventStore, {
      startFrom: { lastCheckpoint: lastEventGlobalPosition },
      processorId: 'behind',
    });
    const running = [end.consumer.start(), behind.consumer.start()];
    await end.consumer.whenCaughtUp();
    await end.consumer.whenStarted();
    await append(eventStore, 'd');
    await Promise.all([end, behind].map(({ consumer }) => consumer.whenCaughtUp()));
    await Promise.all([end, behind].map(({ consumer }) => consumer.stop()));
    await Promise.all(running);
    expect([end.seen.join(''), behind.seen.join('')]).toEqual(['d', 'cd']);
  });

  test('at the end that there was at the start: no one waits for what is not delivered', async () => {
    const { eventStore } = await made();
    await append(eventStore, 'a');
    for (const waiting of [true, false]) {
      const { seen, consumer } = watching(eventStore, { startFrom: 'END', processorId: `p${waiting}` });
      const done = consumer.start();
      if (waiting) await consumer.whenStarted();
      await append(eventStore, 'b');
      await consumer.whenCaughtUp();
      await consumer.stop();
      await done;
      if (waiting) expect(seen).toEqual(['b']);
    }
  });

  test('what was purged is left out', async () => {
    const { store, eventStore } = await made();
    const big = 'x'.repeat(30_000);
    for (let i = 0; i < 8; i++)
      await eventStore.appendToStream('s', [{ type: 'T', data: { sku: `${i}`, big } } as AnyEvent]);
    const positions = (await store.readAll().toArray()).map(({ position }) => position);
    await watching(eventStore, { stopAfter: (message: Message) => skuOf(message) === '1' }).consumer.start();
    await store.purge({ floor: positions[6] as bigint, system: true });
    const watched = watching(eventStore);
    await upToNow(watched);
    expect(watched.seen.at(-1)).toBe('7');
    expect(watched.seen.length).toBeLessThan(8);
  });

  test.each([1, { lastCheckpoint: '0000000000000000001' }, { lastCheckpoint: -1n }])(
    '%p is no place to begin',
    async (startFrom) => {
      const { eventStore } = await made();
      const { consumer } = watching(eventStore, { startFrom });
      await expect(consumer.start()).rejects.toMatchObject(code('ERR_VARVE_INVALID_OPTION'));
      expect(consumer.isRunning).toBe(false);
    },
  );
});

describe('checkpoints', () => {
  test('lie behind what nobody handles only with something handled, or after very much', async () => {
    const opened = await made();
    const { eventStore } = opened;
    await eventStore.appendToStream('s', [removed('a'), removed('b')]);
    const watched = () => watching(eventStore, { canHandle: ['ItemAdded'] }, { batchSize: 1000 });
    await upToNow(watched());
    expect(await stored(opened)).toBeUndefined();
    await eventStore.appendToStream('s', [added('c'), removed('d')]);
    await upToNow(watched());
    expect(await stored(opened)).toBe('4');
    for (let i = 0; i < 9; i++) {
      await eventStore.appendToStream(
        's',
        Array.from({ length: 500 }, () => removed('e')),
      );
    }
    await upToNow(watched());
    expect(Number(await stored(opened))).toBeGreaterThan(4000);
  });

  test('that somebody else writes make the processor fail, and stay', async () => {
    const opened = await made();
    await append(opened.eventStore, 'ab');
    const watched = watching(opened.eventStore);
    const done = watched.consumer.start();
    const failed = expect(done).rejects.toMatchObject(code('ERR_VARVE_CHECKPOINT_CONFLICT'));
    await watched.consumer.whenCaughtUp();
    await opened.store.writeCheckpoint('emmett:p', '1');
    await append(opened.eventStore, 'c');
    await failed;
    expect(await stored(opened)).toBe('1');
  });

  test('of processors in partitions of Emmett are apart', async () => {
    const opened = await made();
    await append(opened.eventStore, 'ab');
    const consumer = opened.eventStore.consumer();
    const seen: string[] = [];
    for (const partition of ['x', 'y']) {
      consumer.reactor({
        processorId: 'p',
        partition,
        eachMessage: (m: Message) => void seen.push(partition + skuOf(m)),
      });
    }
    await upToNow({ consumer });
    expect(seen.sort()).toEqual(['xa', 'xb', 'ya', 'yb']);
    expect([await stored(opened, 'emmett:p:x'), await stored(opened, 'emmett:p:y')]).toEqual(['2', '2']);
  });

  test('of its own are left to a processor', async () => {
    const opened = await made();
    await append(opened.eventStore, 'ab');
    const noted: bigint[] = [];
    const checkpoints = {
      read: async () => ({ lastCheckpoint: 1n }),
      store: async ({ message }: Message) => {
        noted.push(message.metadata.globalPosition);
        return { success: true, newCheckpoint: message.metadata.globalPosition };
      },
    };
    const watched = watching(opened.eventStore, { checkpoints });
    await upToNow(watched);
    expect({ seen: watched.seen, noted }).toEqual({ seen: ['b'], noted: [2n] });
    expect(await stored(opened)).toBeUndefined();
  });

  test('cannot be had outside of a consumer that runs', async () => {
    const { eventStore } = await made();
    const { processor } = watching(eventStore);
    await expect(processor.start({})).rejects.toThrow(EmmettError);
    await processor.close({});
  });
});

describe('projections', () => {
  const items = inMemorySingleStreamProjection<{ items: number }, CartEvent>({
    canHandle: ['ItemAdded'],
    collectionName: 'items',
    evolve: (document: { items: number } | null) => ({ items: (document?.items ?? 0) + 1 }),
  });
  type Items = { _id: string; items: number };

  test('of Emmett run on it', async () => {
    const { eventStore } = await made();
    await append(eventStore, 'ab', 's');
    await append(eventStore, 'c', 't');
    const consumer = eventStore.consumer();
    consumer.projector({ processorId: 'items', projection: items as never, truncateOnStart: true });
    await upToNow({ consumer });
    const found = await eventStore.database.collection<Items>('items').find();
    expect(found.map(({ _id, items: count }) => `${_id} ${count}`)).toEqual(['s 2', 't 1']);
  });

  test('and so do processors that Emmett makes', async () => {
    const { eventStore } = await made();
    await append(eventStore, 'ab', 's');
    const database = getInMemoryDatabase();
    const projector = inMemoryProjector({
      projection: items as never,
      processorId: 'own',
      connectionOptions: { database },
    });
    const seen: string[] = [];
    const plain = reactor({ processorId: 'plain', eachMessage: (m: Message) => void seen.push(skuOf(m)) });
    const consumer = eventStore.consumer({ processors: [projector, plain] });
    expect(consumer.processors.map(({ id }) => id)).toEqual(['own', 'plain']);
    await upToNow({ consumer });
    expect(await database.collection<Items>('items').findOne()).toMatchObject({ _id: 's', items: 2 });
    expect(seen).toEqual(['a', 'b']);
  });

  test('rebuild from the beginning', async () => {
    const { eventStore } = await made();
    await append(eventStore, 'ab', 's');
    for (let i = 0; i < 2; i++) {
      const consumer = eventStore.consumer();
      consumer.projector({
        processorId: 'i',
        projection: items as never,
        truncateOnStart: true,
        startFrom: 'BEGINNING',
      });
      await upToNow({ consumer });
      expect(await eventStore.database.collection<Items>('items').find()).toMatchObject([{ items: 2 }]);
    }
  });
});

describe('ending', () => {
  test('by the processor: STOP, or stopAfter', async () => {
    const opened = await made();
    await append(opened.eventStore, 'abcd');
    const first = watching(opened.eventStore, {
      eachMessage: (message: Message) => (skuOf(message) === 'b' ? MessageProcessor.result.stop() : undefined),
    });
    await first.consumer.start();
    expect(await stored(opened)).toBe('2');
    const second = watching(opened.eventStore, { stopAfter: (message: Message) => skuOf(message) === 'c' });
    await second.consumer.start();
    expect(second.seen).toEqual(['c']);
    expect(await stored(opened)).toBe('3');
  });

  test('SKIP goes on', async () => {
    const { eventStore } = await made();
    await append(eventStore, 'ab');
    const seen: string[] = [];
    await upToNow(
      watching(eventStore, {
        eachMessage: (message: Message) => {
          seen.push(skuOf(message));
          return MessageProcessor.result.skip();
        },
      }),
    );
    expect(seen).toEqual(['a', 'b']);
  });

  test('by a handler that throws: start rejects with it, and what came before is not handled again', async () => {
    const opened = await made();
    await append(opened.eventStore, 'abcd');
    const error = new Error('no');
    const first = watching(opened.eventStore, {
      eachMessage: (message: Message) => {
        if (skuOf(message) === 'c') throw error;
      },
    });
    const done = first.consumer.start();
    const waiting = expect(first.consumer.whenCaughtUp()).rejects.toBe(error);
    await expect(done).rejects.toBe(error);
    await waiting;
    expect(await stored(opened)).toBe('2');
    const second = watching(opened.eventStore);
    await upToNow(second);
    expect(second.seen).toEqual(['c', 'd']);
  });

  test('by a handler that throws, whose checkpoint cannot be stored either: the handler is told', async () => {
    const { store, eventStore } = await made();
    await append(eventStore, 'ab');
    const error = new Error('no');
    const { consumer } = watching(eventStore, {
      eachMessage: async (message: Message) => {
        if (skuOf(message) === 'a') return;
        await store.writeCheckpoint('emmett:p', '1');
        throw error;
      },
    });
    await expect(consumer.start()).rejects.toBe(error);
  });

  test('by STOP with an error: start rejects with it', async () => {
    const { eventStore } = await made();
    await append(eventStore, 'a');
    const stop = MessageProcessor.result.stop({ error: new EmmettError('broken') });
    await expect(watching(eventStore, { eachMessage: () => stop }).consumer.start()).rejects.toThrow('broken');
  });

  test('of one processor leaves the others', async () => {
    const { eventStore } = await made();
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    await append(eventStore, 'a');
    const { seen, consumer } = watching(eventStore);
    const error = new Error('no');
    consumer.reactor({ processorId: 'bad', eachMessage: () => Promise.reject(error) });
    const done = expect(consumer.start()).rejects.toBe(error);
    while (seen.length < 1 || warned.mock.calls.length < 1) await turns();
    await append(eventStore, 'b');
    while (seen.length < 2) await turns();
    await expect(consumer.whenCaughtUp()).rejects.toBe(error);
    await consumer.stop();
    await done;
    expect(warned.mock.calls[0]?.[0]).toMatchObject({ message: expect.stringContaining("'bad'"), cause: error });
  });

  test('by stop: behind the batch in hand, and with its checkpoint', async () => {
    const opened = await made();
    await append(opened.eventStore, 'abcd');
    const gate = deferred();
    const begun = deferred();
    const seen: string[] = [];
    const { consumer } = watching(
      opened.eventStore,
      {
        eachMessage: (message: Message) => {
          seen.push(skuOf(message));
          begun.resolve();
          return gate.promise;
        },
      },
      { batchSize: 2 },
    );
    const done = consumer.start();
    await begun.promise;
    let stopped = false;
    const stopping = consumer.stop().then(() => {
      stopped = true;
    });
    await turns();
    expect(stopped).toBe(false);
    gate.resolve();
    await stopping;
    await done;
    expect(seen).toEqual(['a', 'b']);
    expect(await stored(opened)).toBe('2');
  });

  test('by stop rejects who waits for more', async () => {
    const { eventStore } = await made();
    const { consumer } = watching(eventStore);
    const done = consumer.start();
    await consumer.whenStarted();
    const waiting = expect(consumer.whenProcessed(99n)).rejects.toMatchObject({
      ...code('ERR_VARVE_CLOSED'),
      consumer: 'p',
    });
    await turns();
    await consumer.stop();
    await waiting;
    await done;
  });

  test('by close of the event store', async () => {
    const { disk, store: first, eventStore: unused } = await made();
    await append(unused, 'a');
    await first.close();
    const eventStore = getVarveEventStore(settings(disk));
    const { seen, consumer } = watching(eventStore);
    const done = consumer.start();
    await consumer.whenCaughtUp();
    await eventStore.close();
    await done;
    expect(seen).toEqual(['a']);
    await expect(consumer.start()).rejects.toMatchObject(code('ERR_VARVE_CLOSED'));
  });

  test('by close of the event store, also where the store below stays open', async () => {
    const { eventStore } = await made();
    const { consumer } = watching(eventStore);
    const done = consumer.start();
    await consumer.whenCaughtUp();
    await eventStore.close();
    expect(consumer.isRunning).toBe(false);
    await done;
  });

  test('whoever asks afterwards is told how far it came', async () => {
    const { eventStore } = await made();
    const { lastEventGlobalPosition } = await append(eventStore, 'ab');
    const watched = watching(eventStore);
    await upToNow(watched);
    await watched.consumer.whenStarted();
    await watched.consumer.whenProcessed(lastEventGlobalPosition);
    await append(eventStore, 'c');
    await expect(watched.consumer.whenCaughtUp()).rejects.toMatchObject(code('ERR_VARVE_CLOSED'));
  });

  test('by close of the store below', async () => {
    const { store, eventStore } = await made();
    await append(eventStore, 'a');
    const { consumer } = watching(eventStore);
    const done = consumer.start();
    await consumer.whenCaughtUp();
    await store.close();
    await done;
  });

  test('calls the hooks once, and leaves no listener behind', async () => {
    const { eventStore } = await made();
    await append(eventStore, 'ab');
    const before = process.listenerCount('SIGTERM');
    const calls: string[] = [];
    const hook = (name: string) => async () => void calls.push(name);
    const hooks = { onInit: hook('init'), onStart: hook('start'), onClose: hook('close') };
    const watched = watching(eventStore, { hooks, stopAfter: () => true });
    await watched.consumer.init();
    expect(calls).toEqual(['init']);
    await watched.consumer.start();
    expect(calls).toEqual(['init', 'start', 'close']);
    expect(process.listenerCount('SIGTERM')).toBe(before);
  });

  test('by a signal of the system, as Emmett has it, handles nothing more', async () => {
    const opened = await made();
    await append(opened.eventStore, 'ab');
    const { seen, consumer, processor } = watching(opened.eventStore);
    const done = consumer.start();
    await consumer.whenCaughtUp();
    await processor.close({});
    await append(opened.eventStore, 'c');
    await done;
    expect(seen).toEqual(['a', 'b']);
    expect(await stored(opened)).toBe('2');
  });

  test('before it has begun', async () => {
    const { eventStore } = await made();
    const { seen, consumer } = watching(eventStore);
    await append(eventStore, 'a');
    const done = consumer.start();
    await consumer.stop();
    await done;
    expect(seen).toEqual([]);
    await consumer.close();
  });
});

describe('starting', () => {
  test('is told once, and again by the same promise', async () => {
    const { eventStore } = await made();
    const { consumer } = watching(eventStore);
    const done = consumer.start();
    expect(consumer.start()).toBe(done);
    await consumer.stop();
  });

  test('without a processor is refused', async () => {
    const { eventStore } = await made();
    await expect(eventStore.consumer().start()).rejects.toThrow('without a processor');
  });

  test('rejects with what a hook throws, and gives back the lock', async () => {
    const { eventStore } = await made();
    const error = new Error('no');
    const failing = watching(eventStore, { hooks: { onStart: () => Promise.reject(error) } });
    const started = expect(failing.consumer.whenStarted()).rejects.toBe(error);
    await expect(failing.consumer.start()).rejects.toBe(error);
    await started;
    await upToNow(watching(eventStore));
  });

  test.each([
    [{ consumerId: '' }, 'consumerId'],
    [{ processors: {} }, 'processors'],
    [{ processors: [{}] }, 'processors[0]'],
    [{ batchSize: 0 }, 'batchSize'],
    [{ batchSize: 10_001 }, 'batchSize'],
    [{ whenLocked: 'retry' }, 'whenLocked'],
    [{ pulling: {} }, 'pulling'],
  ])('with %j is refused by name', async (options, option) => {
    const { eventStore } = await made();
    expect(() => eventStore.consumer(options as never)).toThrow(
      expect.objectContaining({ ...code('ERR_VARVE_INVALID_OPTION'), option }),
    );
  });

  test('a consumer has an id', async () => {
    const { eventStore } = await made();
    expect(eventStore.consumer({ consumerId: 'mine' }).consumerId).toBe('mine');
    expect(eventStore.consumer().consumerId).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('locks: of one processor, a second', () => {
  async function two(whenLocked?: 'fail' | 'wait' | 'skip') {
    const { store, eventStore } = await made();
    await append(eventStore, 'a');
    const first = watching(eventStore);
    const running = first.consumer.start();
    await first.consumer.whenCaughtUp();
    // Another event store of Emmett on the same store of Varve.
    const second = watching(getVarveEventStore(store), {}, whenLocked === undefined ? {} : { whenLocked });
    return { eventStore, first, running, second };
  }

  test('is refused', async () => {
    const { first, running, second } = await two();
    await expect(second.consumer.start()).rejects.toThrow("The processor 'p' runs already on this store");
    await first.consumer.stop();
    await running;
    await upToNow(second);
  });

  test('is left out', async () => {
    const { first, running, second } = await two('skip');
    const other: string[] = [];
    second.consumer.reactor({ processorId: 'q', eachMessage: (m: Message) => void other.push(skuOf(m)) });
    await upToNow(second);
    expect({ seen: second.seen, other }).toEqual({ seen: [], other: ['a'] });
    await first.consumer.stop();
    await running;
  });

  test('waits, and goes on where the first was', async () => {
    const { eventStore, first, running, second } = await two('wait');
    const done = second.consumer.start();
    await append(eventStore, 'b');
    await first.consumer.whenCaughtUp();
    expect(second.seen).toEqual([]);
    await first.consumer.stop();
    await running;
    await append(eventStore, 'c');
    await second.consumer.whenCaughtUp();
    await second.consumer.stop();
    await done;
    expect({ first: first.seen, second: second.seen }).toEqual({ first: ['a', 'b'], second: ['c'] });
  });

  test('waits, and holds back no other of its consumer', async () => {
    const { first, running, second } = await two('wait');
    const other: string[] = [];
    second.consumer.reactor({ processorId: 'q', eachMessage: (m: Message) => void other.push(skuOf(m)) });
    const done = second.consumer.start();
    while (other.length < 1) await turns();
    await first.consumer.stop();
    await running;
    await second.consumer.whenStarted();
    await second.consumer.stop();
    await done;
  });

  test('that goes on in its place is not repeated', async () => {
    const { eventStore, first, running, second } = await two();
    await first.consumer.stop();
    await running;
    await append(eventStore, 'b');
    await upToNow(second);
    await append(eventStore, 'c');
    await upToNow(first);
    expect({ first: first.seen, second: second.seen }).toEqual({ first: ['a', 'c'], second: ['b'] });
  });

  test('that never began is not closed: it may be the same one', async () => {
    const { eventStore } = await made();
    const seen: string[] = [];
    const shared = reactor({ processorId: 'p', eachMessage: (m: Message) => void seen.push(skuOf(m)) });
    const [one, two] = [1, 2].map(() => eventStore.consumer({ processors: [shared], whenLocked: 'wait' }));
    const running = one?.start();
    await one?.whenStarted();
    const waiting = two?.start();
    await turns();
    await two?.stop();
    await waiting;
    await append(eventStore, 'a');
    await one?.whenCaughtUp();
    await one?.stop();
    await running;
    expect(seen).toEqual(['a']);
  });

  test('waits until it is told to end', async () => {
    const { first, running, second } = await two('wait');
    const done = second.consumer.start();
    await turns();
    await second.consumer.stop();
    await done;
    await first.consumer.stop();
    await running;
    await upToNow(watching((await made()).eventStore));
  });

  test('in the same consumer is refused too', async () => {
    const { eventStore } = await made();
    const { consumer } = watching(eventStore);
    consumer.reactor({ processorId: 'p', eachMessage: () => {} });
    await expect(consumer.start()).rejects.toThrow("The processor 'p' runs already");
  });
});
