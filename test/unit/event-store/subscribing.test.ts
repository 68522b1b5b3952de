/** Reading and subscribing: where they begin, what they tell, how they end, and what they leave behind. */
import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type EventStore, type EventStoreOptions, openLog, type RecordedEvent, type SubscriptionStatus } from 'varve';
import { makeCodecRegistry } from '../../../src/adapter/event-store/codec-registry.js';
import { followAll } from '../../../src/adapter/event-store/follow-events.js';
import { StoreCore } from '../../../src/adapter/event-store/store-core.js';
import { makeUpcasters } from '../../../src/adapter/event-store/upcasters.js';
import { SimulatedDisk } from '../../../src/testing/simulated-disk.js';
import { DIRECTORY, open } from '../../support/event-history.js';
import { turns, until } from '../../support/logs.js';

let disk: SimulatedDisk;
let store: EventStore;

async function reopen(options: Partial<EventStoreOptions> = {}): Promise<void> {
  await store?.close();
  store = await open(disk, options);
}

beforeEach(async () => {
  disk = new SimulatedDisk();
  store = await open(disk, { partitions: 3, segmentSize: 256 * 1024 });
});
afterEach(() => store.close());

const events = (count: number, type = 'T') => Array.from({ length: count }, (_, i) => ({ type, data: i }));
const places = (list: readonly RecordedEvent[]) => list.map(({ stream, revision }) => `${stream}@${revision}`);

async function first(source: AsyncIterable<RecordedEvent>, count: number): Promise<string[]> {
  const found: RecordedEvent[] = [];
  if (count > 0) {
    for await (const event of source) if (found.push(event) === count) break;
  }
  return places(found);
}

/** Holds back the syncs of segments until it is called. */
function holdSyncs(file = 'part_*'): () => void {
  let release = () => {};
  const hold = new Promise<void>((resolve) => {
    release = resolve;
  });
  const lift = disk.faults.add({ kind: 'sync', file, times: 1000, fault: { hold } });
  return () => {
    lift();
    release();
  };
}

describe('reading beside what is not durable', () => {
  test('shows as many of the newest durable events as are to be kept', async () => {
    await store.appendToStream('s', events(5));
    await store.setStreamMetadata('s', { maxCount: 2 });
    const release = holdSyncs();
    await store.appendToStream('s', events(2), { ack: 'written' });
    expect(places(await store.readStream('s').toArray())).toEqual(['s@3', 's@4']);
    release();
    await store.appendToStream('s', events(1));
    expect(places(await store.readStream('s').toArray())).toEqual(['s@6', 's@7']);
  });

  test('leaves out none before it, however many there are', async () => {
    await store.appendToStream('s', events(600));
    const release = holdSyncs();
    await store.appendToStream('s', events(3), { ack: 'written' });
    const newest = { direction: 'backwards', maxCount: 2 } as const;
    expect(places(await store.readStream('s', newest).toArray())).toEqual(['s@599', 's@598']);
    release();
  });

  test('does not show half of what is appended over several partitions', async () => {
    const streams = ['a', 'b', 'c', 'd'];
    const places = await store.appendToStreams(streams.map((stream) => ({ stream, events: events(1) })));
    expect(places).toHaveLength(4);
    const used = new Set((await store.readAll().toArray()).map(({ partition }) => partition));
    expect(used.size).toBeGreaterThan(1);
    for (const partition of used) {
      const before = (await store.readAll().toArray()).length;
      const release = holdSyncs(`part_${partition}_*`);
      const append = store.appendToStreams(streams.map((stream) => ({ stream, events: events(1) })));
      await turns();
      for (const direction of ['forwards', 'backwards'] as const) {
        expect(await store.readAll({ direction }).toArray()).toHaveLength(before);
      }
      release();
      await append;
      expect(await store.readAll({ direction: 'backwards' }).toArray()).toHaveLength(before + 4);
    }
  });
});

test('events that are too old do not hide those behind them', async () => {
  await store.appendToStream('s', events(300));
  disk.advance(1_000_000);
  await store.appendToStream('s', events(300));
  await store.setStreamMetadata('s', { maxAge: 500_000 });
  expect(places(await store.readStream('s', { maxCount: 2 }).toArray())).toEqual(['s@300', 's@301']);
  expect(await store.readStream('s').toArray()).toHaveLength(300);
  const oldest = { direction: 'backwards', fromRevision: 301n } as const;
  expect(places(await store.readStream('s', oldest).toArray())).toEqual(['s@301', 's@300']);
});

describe('filters and upcasters', () => {
  const upcasters = [{ type: 'Old', from: 1, toType: 'New', upcast: ({ data }: { data: unknown }) => ({ data }) }];

  test.each([10, 700])('go by the type as it is read, of %i events', async (count) => {
    await store.appendToStream('s', [...events(count, 'Old'), ...events(1, 'New'), ...events(1, 'Other')]);
    await reopen({ upcasters });
    for (const direction of ['forwards', 'backwards'] as const) {
      const found = await store.readAll({ direction, filter: { types: ['New'] } }).toArray();
      expect(found).toHaveLength(count + 1);
      expect(await store.readAll({ direction, filter: { types: ['Old'] } }).toArray()).toEqual([]);
    }
  });

  test('what nobody wants is not decoded', async () => {
    const upcast = () => {
      throw new Error('cannot be read');
    };
    await store.appendToStream('bad-1', events(1, 'Bad'));
    await store.appendToStream('good-1', { type: 'Good', tags: ['x'] });
    await reopen({ upcasters: [{ type: 'Bad', from: 1, upcast }] });
    for (const filter of [{ types: ['Good'] }, { categories: ['good'] }, { tags: ['x'] }, { streamPrefixes: ['go'] }]) {
      expect(places(await store.readAll({ filter }).toArray())).toEqual(['good-1@0']);
    }
    await expect(store.readAll().toArray()).rejects.toMatchObject({ code: 'ERR_VARVE_INVALID_EVENT' });
  });

  test('events of the store itself are shown where they are asked for', async () => {
    await store.appendToStream('s', events(1));
    await store.setStreamMetadata('s', { maxCount: 3 });
    expect(await store.readAll().toArray()).toHaveLength(1);
    const all = await store.readAll({ filter: { system: true } }).toArray();
    expect(all).toMatchObject([{ stream: 's' }, { stream: '$$s', type: '$metadata', data: { maxCount: 3 } }]);
    expect(places(await store.readStream('$$s').toArray())).toEqual(['$$s@0']);
  });
});

describe('subscriptions begin', () => {
  test('at the start, the end, a position, or a checkpoint', async () => {
    const { positions } = await store.appendToStream('a', events(3));
    const checkpoint = store.checkpoint();
    const atEnd = store.subscribeToAll({ from: 'end' });
    const [, second] = positions as [bigint, bigint];
    await store.appendToStream('b', events(2));
    const all = ['a@0', 'a@1', 'a@2', 'b@0', 'b@1'];
    expect(await first(store.subscribeToAll(), 5)).toEqual(all);
    expect(await first(store.subscribeToAll({ from: second }), 4)).toEqual(all.slice(1));
    expect(await first(store.subscribeToAll({ from: { checkpoint } }), 2)).toEqual(all.slice(3));
    expect(await first(atEnd, 2)).toEqual(all.slice(3));
  });

  test('at a revision, and in a stream that is not there yet', async () => {
    const coming = first(store.subscribeToStream('s'), 3);
    const late = first(store.subscribeToStream('s', { from: 2n }), 1);
    const end = store.subscribeToStream('s', { from: 'end' });
    await turns();
    await store.appendToStream('s', events(3));
    expect(await coming).toEqual(['s@0', 's@1', 's@2']);
    expect(await late).toEqual(['s@2']);
    expect(await first(end, 3)).toEqual(['s@0', 's@1', 's@2']);
  });

  test('with what fits', async () => {
    const cart = first(store.subscribeToCategory('cart', { filter: { types: ['Paid'] } }), 1);
    await store.appendToStream('cart-1', events(1, 'Added'));
    await store.appendToStream('carton-1', events(1, 'Paid'));
    await store.appendToStream('cart-2', events(1, 'Paid'));
    expect(await cart).toEqual(['cart-2@0']);
  });
});

describe('subscriptions tell', () => {
  test.each(['all', 'stream'])('when they have caught up, and fallen behind (%s)', async (of) => {
    await store.appendToStream('s', events(2));
    const live = of === 'all' ? store.subscribeToAll() : store.subscribeToStream('s');
    const statuses: SubscriptionStatus[] = [];
    live.status$.subscribe((status) => statuses.push(status));
    const told: string[] = [];
    for await (const message of live.messages()) {
      const last = told.at(-1);
      if (message.kind === 'event' && last?.startsWith('event'))
        told[told.length - 1] = `event ${Number(last.slice(6)) + 1}`;
      else told.push(message.kind === 'event' ? 'event 1' : message.kind);
      if (told.length === 2) await store.appendToStream('s', events(3));
      if (told.length === 3 && told[2] === 'event 3') await store.appendToStream('s', events(1500));
      if (told.length === 6) break;
    }
    expect(told).toEqual(['event 2', 'caughtUp', 'event 3', 'fellBehind', 'event 1500', 'caughtUp']);
    expect(statuses).toEqual(['catchingUp', 'caughtUp', 'fellBehind', 'caughtUp']);
    expect(live.status).toBe('caughtUp');
  });

  test('every reader all of it', async () => {
    const live = store.subscribeToAll();
    const observed: RecordedEvent[] = [];
    const subscription = live.subscribe((event) => observed.push(event));
    const both = Promise.all([first(live, 4), first(live, 4)]);
    await store.appendToStream('s', events(4));
    expect(await both).toEqual([places(observed), places(observed)]);
    expect(observed).toHaveLength(4);
    subscription.unsubscribe();
  });
});

describe('subscriptions end', () => {
  test('with the reason of their signal', async () => {
    const reason = new Error('enough');
    for (const subscribe of [
      (signal: AbortSignal) => store.subscribeToAll({ signal }),
      (signal: AbortSignal) => store.subscribeToStream('s', { signal }),
    ]) {
      const stop = new AbortController();
      const reading = first(subscribe(stop.signal), 1);
      await turns();
      stop.abort(reason);
      await expect(reading).rejects.toBe(reason);
      await expect((async () => first(subscribe(stop.signal), 1))()).rejects.toBe(reason);
      expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
    }
  });

  test('when the store is closed: waiting, or in the middle of what is there', async () => {
    await store.appendToStream('s', events(2000));
    const waiting = first(store.subscribeToStream('t'), 1);
    let completed = false;
    store.subscribeToAll().subscribe({
      complete: () => {
        completed = true;
      },
    });
    const live = store.subscribeToAll()[Symbol.asyncIterator]();
    await live.next();
    const finite = store.readAll()[Symbol.asyncIterator]();
    await finite.next();
    const ranged = store.readStream('s')[Symbol.asyncIterator]();
    await ranged.next();
    await store.close();
    expect(await waiting).toEqual([]);
    await until(() => completed);
    const drain = async (iterator: AsyncIterator<RecordedEvent>) => {
      for (;;) if ((await iterator.next()).done) return 'ended';
    };
    expect(await drain(live)).toBe('ended');
    // What has an end of its own must not look as if it had come to it.
    await expect(drain(finite)).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
    await expect(drain(ranged)).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
  });

  test('finite ones with an error, also where the next segment is not looked at yet', async () => {
    await store.close();
    const code = 'ERR_VARVE_CLOSED';
    for (const read of [() => store.readStream('s'), () => store.readAll({ filter: { types: ['T'] } })]) {
      store = await open(new SimulatedDisk(), { segmentSize: 8192 });
      for (let i = 0; i < 20; i++) await store.appendToStream('s', { type: 'T', data: 'x'.repeat(500) });
      // The newest segment, whose layer stays in memory, holds nothing of it.
      for (let i = 0; i < 8; i++) await store.appendToStream('t', { type: 'U', data: 'x'.repeat(500) });
      const batches = read().batches();
      await batches.next();
      await store.close();
      await expect(batches.next()).rejects.toMatchObject({ code });
    }
  });

  test('and leave nothing behind', async () => {
    await store.close();
    const log = await openLog({ directory: DIRECTORY, disk, segmentSize: 256 * 1024 });
    const core = await StoreCore.open(log, {
      partitions: 3,
      decoding: { codecs: makeCodecRegistry(), upcasters: makeUpcasters([]) },
      headCacheBytes: 1024,
      eventCacheBytes: 1024,
      streamIndexCacheBytes: 1024,
      maxQueuedAppends: 10,
      batchBytes: 1000,
    });
    const stop = new AbortController();
    const followers = Array.from({ length: 5 }, () => followAll(core, [1, 1, 1], {}, stop.signal));
    const reading = followers.map(async (pieces) => {
      for await (const _ of pieces) {
        // Nothing comes but that it has caught up.
      }
    });
    await turns();
    expect([core.waiting, getEventListeners(stop.signal, 'abort').length]).toEqual([5, 5]);
    stop.abort();
    expect((await Promise.allSettled(reading)).map(({ status }) => status)).toEqual(Array(5).fill('rejected'));
    expect([core.waiting, getEventListeners(stop.signal, 'abort').length]).toEqual([0, 0]);
    core.end();
    await core.close();
  });
});

describe('when a partition fails', () => {
  const FAILED = { code: 'ERR_VARVE_PARTITION_FAILED' };
  const failing = async (source: AsyncIterable<RecordedEvent>, seen: RecordedEvent[]) => {
    for await (const event of source) seen.push(event);
  };

  test('who follows gets what is durable, and is told', async () => {
    await store.appendToStream('s', events(3));
    const [{ partition }] = (await store.readStream('s').toArray()) as [RecordedEvent];
    const elsewhere = await (async () => {
      for (let i = 0; ; i++) {
        await store.appendToStream(`t-${i}`, events(1));
        if ((await store.readStream(`t-${i}`).toArray())[0]?.partition !== partition) return `t-${i}`;
      }
    })();
    const seen: RecordedEvent[][] = [[], [], []];
    const following = [
      failing(store.subscribeToStream('s'), seen[0] as RecordedEvent[]),
      failing(store.subscribeToAll(), seen[1] as RecordedEvent[]),
    ].map((promise) => expect(promise).rejects.toMatchObject({ ...FAILED, partition }));
    const beside = failing(store.subscribeToStream(elsewhere), seen[2] as RecordedEvent[]);
    await until(() => seen.every((list) => list.length > 0));
    disk.faults.add({ kind: 'sync', file: `part_${partition}_*`, fault: { error: 'EIO' } });
    await expect(store.appendToStream('s', events(1))).rejects.toMatchObject(FAILED);
    await Promise.all(following);
    expect(places(seen[0] as RecordedEvent[])).toEqual(['s@0', 's@1', 's@2']);
    await expect(failing(store.subscribeToStream('s'), [])).rejects.toMatchObject(FAILED);
    // Another partition goes on.
    await store.appendToStream(elsewhere, events(1));
    await until(() => seen[2]?.length === 2);
    await store.close().catch((error) => expect(error).toMatchObject(FAILED));
    await beside;
    store = await open(new SimulatedDisk());
  });
});

test('the end of a stream is behind what is durable', async () => {
  await store.appendToStream('s', events(2));
  const release = holdSyncs();
  await store.appendToStream('s', events(2), { ack: 'written' });
  const following = first(store.subscribeToStream('s', { from: 'end' }), 2);
  await turns(5);
  release();
  expect(await following).toEqual(['s@2', 's@3']);
});
