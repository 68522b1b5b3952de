import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type Consumer, type ConsumerStatus, type EventStore, type ParkedEvent, VarveError } from 'varve';
import { append, code, deferred, numberOf, open, storeWith, upTo } from './consumer-kit.js';

/** Timers stand still until a test moves them; the simulated disk needs none. */
beforeEach(() => {
  const doNotFake = ['Date', 'hrtime', 'nextTick', 'performance', 'queueMicrotask', 'setImmediate', 'clearImmediate'];
  jest.useFakeTimers({ doNotFake: doNotFake as never });
});

afterEach(() => {
  jest.useRealTimers();
});

const failing = () => Promise.reject(new Error('no'));

/** What the consumer has stored. */
async function stored(store: EventStore, name = 'c'): Promise<string | undefined> {
  return (await store.readCheckpoint(name))?.checkpoint;
}

/** All that can happen without timers has happened. */
async function quiet(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

describe('delivery', () => {
  test.each([1, 3])('what is there, then what comes, in order, over %s partitions', async (partitions) => {
    const { store } = await storeWith(20, { partitions });
    const seen: number[] = [];
    const consumer = store.consume({ name: 'c', handler: (event) => void seen.push(numberOf(event)) });
    expect(consumer.status).toBe('catchingUp');
    await consumer.whenCaughtUp();
    expect(seen).toEqual(upTo(20));
    expect(consumer.status).toBe('caughtUp');
    await append(store, 21, 25);
    const { positions } = await store.appendToStream('order-1', { type: 'Counted', data: 26 });
    await consumer.whenProcessed(positions[0] as bigint);
    expect(seen).toEqual(upTo(26));
    await store.close();
  });

  test('whenCaughtUp waits for what has become durable since it was level', async () => {
    const { store } = await storeWith(1);
    const seen: number[] = [];
    const consumer = store.consume({ name: 'c', handler: (event) => void seen.push(numberOf(event)) });
    await consumer.whenCaughtUp();
    await append(store, 2, 2);
    expect(consumer.status).toBe('caughtUp');
    await consumer.whenCaughtUp();
    expect(seen).toEqual([1, 2]);
    await store.close();
  });

  test('one event at a time', async () => {
    const { store } = await storeWith(3);
    const turns = [deferred(), deferred(), deferred()];
    const begun: number[] = [];
    const consumer = store.consume({
      name: 'c',
      handler: (event) => {
        begun.push(numberOf(event));
        return turns[numberOf(event) - 1]?.promise;
      },
    });
    for (const [i, turn] of turns.entries()) {
      await quiet();
      expect(begun).toEqual(upTo(i + 1));
      turn.resolve();
    }
    await consumer.whenCaughtUp();
    await store.close();
  });

  test('a filter, a stream, a category', async () => {
    const { store } = await storeWith(6);
    await store.appendToStream('cart-1', { type: 'Added', data: 7 });
    const seen: Record<string, number[]> = {};
    const consumers = [
      { name: 'filter', filter: { types: ['Added'] } },
      { name: 'stream', stream: 'order-1' },
      { name: 'category', category: 'cart' },
    ].map((options) => {
      seen[options.name] = [];
      return store.consume({ ...options, handler: (event) => void seen[options.name]?.push(numberOf(event)) });
    });
    await Promise.all(consumers.map((consumer) => consumer.whenCaughtUp()));
    expect(seen).toEqual({ filter: [7], stream: [1, 4], category: [7] });
    await store.close();
  });

  test('from the end, from a position, from a checkpoint', async () => {
    const { store } = await storeWith(6);
    const checkpoint = store.checkpoint();
    const { positions } = await store.appendToStream('order-1', { type: 'Counted', data: 7 });
    const seen: Record<string, number[]> = {};
    const consumers = (
      [
        ['end', 'end'],
        ['position', positions[0]],
        ['checkpoint', { checkpoint }],
      ] as const
    ).map(([name, from]) => {
      seen[name] = [];
      return store.consume({ name, from: from ?? 'end', handler: (event) => void seen[name]?.push(numberOf(event)) });
    });
    await append(store, 8, 8);
    await Promise.all(consumers.map((consumer) => consumer.whenCaughtUp()));
    expect(seen).toEqual({ end: [8], position: [7, 8], checkpoint: [7, 8] });
    await store.close();
  });

  test('system events on demand, but never its own checkpoints', async () => {
    const { store } = await storeWith(2);
    await store.setStreamMetadata('order-1', { maxCount: 10 });
    const types: string[] = [];
    const consumer = store.consume({
      name: 'c',
      filter: { system: true },
      checkpointEvery: { events: 1 },
      handler: (event) => void types.push(event.type),
    });
    await consumer.whenCaughtUp();
    await quiet();
    expect(types.filter((type) => type !== '$metadata')).toEqual(['Counted', 'Counted']);
    expect(types.filter((type) => type === '$metadata').length).toBeLessThanOrEqual(2);
    await store.close();
  });

  test('whenProcessed also resolves for what the filter leaves out', async () => {
    const { store } = await storeWith(3);
    const consumer = store.consume({ name: 'c', filter: { types: ['Never'] }, handler: failing });
    const { positions } = await store.appendToStream('order-1', { type: 'Counted', data: 4 });
    await consumer.whenProcessed(positions[0] as bigint);
    await store.close();
  });

  test('the status, observed', async () => {
    const { store } = await storeWith(3);
    const consumer = store.consume({ name: 'c', handler: () => {} });
    const statuses: (ConsumerStatus | 'over')[] = [];
    consumer.status$.subscribe({ next: (status) => statuses.push(status), complete: () => statuses.push('over') });
    await consumer.whenCaughtUp();
    await consumer.stop();
    expect(statuses).toEqual(['catchingUp', 'caughtUp', 'stopped', 'over']);
    await store.close();
  });
});

describe('checkpoints', () => {
  test('are stored before the first event is handed on, so that "end" stays where it was', async () => {
    const { disk, store } = await storeWith(3);
    const first = store.consume({ name: 'c', from: 'end', handler: () => new Promise(() => {}) });
    await append(store, 4, 5);
    await quiet();
    const reopened = await open(disk.processCrash());
    const seen: number[] = [];
    const second = reopened.consume({ name: 'c', from: 'end', handler: (event) => void seen.push(numberOf(event)) });
    await second.whenCaughtUp();
    expect(seen).toEqual([4, 5]);
    expect(first.checkpoint).toBe('3');
    await Promise.all([reopened.close(), store.close()]);
  });

  test('after so many events', async () => {
    const { store } = await storeWith(7);
    const turn = deferred();
    const consumer = store.consume({
      name: 'c',
      checkpointEvery: { events: 3 },
      handler: (event) => (numberOf(event) === 7 ? turn.promise : undefined),
    });
    await quiet();
    expect(await stored(store)).toBe('6');
    turn.resolve();
    await consumer.stop();
    expect(await stored(store)).toBe(consumer.checkpoint);
    await store.close();
  });

  test('after so long', async () => {
    const { store } = await storeWith(7);
    const consumer = store.consume({ name: 'c', checkpointEvery: { ms: 500 }, handler: () => {} });
    await consumer.whenCaughtUp();
    await quiet();
    expect(await stored(store)).toBe('0');
    jest.advanceTimersByTime(499);
    await quiet();
    expect(await stored(store)).toBe('0');
    jest.advanceTimersByTime(1);
    await quiet();
    expect(Number(await stored(store))).toBeGreaterThanOrEqual(7);
    await store.close();
  });

  test('when it stops; and nothing more is written while nothing comes', async () => {
    const { store } = await storeWith(5);
    const consumer = store.consume({ name: 'c', handler: () => {} });
    await consumer.whenCaughtUp();
    await consumer.stop();
    const revision = (await store.readCheckpoint('c'))?.revision;
    expect(revision).toBe(1n); // one at the beginning, one at the end
    const again = store.consume({ name: 'c', handler: failing });
    await again.whenCaughtUp();
    jest.advanceTimersByTime(60_000);
    await quiet();
    await again.stop();
    expect((await store.readCheckpoint('c'))?.revision).toBe(2n);
    await store.close();
  });

  test('also for what a filter leaves out, where that is much', async () => {
    const { store } = await storeWith(0, { segmentSize: 4 * 1024 * 1024 });
    const events = Array.from({ length: 4100 }, () => ({ type: 'Counted' }));
    await store.appendToStream('order-1', events);
    const consumer = store.consume({ name: 'c', filter: { types: ['Never'] }, handler: failing });
    await consumer.whenCaughtUp();
    await quiet();
    expect(Number(await stored(store))).toBeGreaterThanOrEqual(4100);
    await store.close();
  });

  test('compare-and-set', async () => {
    const { store } = await storeWith(5);
    expect(await store.readCheckpoint('mine')).toBeUndefined();
    const first = await store.writeCheckpoint('mine', '2', { expectedRevision: 'noStream' });
    expect(await store.readCheckpoint('mine')).toMatchObject({ checkpoint: '2', revision: first.revision });
    await expect(store.writeCheckpoint('mine', '3', { expectedRevision: 'noStream' })).rejects.toMatchObject({
      code: 'ERR_VARVE_CHECKPOINT_CONFLICT',
      consumer: 'mine',
      expected: 'noStream',
      actual: 0n,
    });
    await expect(store.writeCheckpoint('mine', '3', { expectedRevision: 5n })).rejects.toMatchObject({ actual: 0n });
    const writes = [3, 4].map((n) => store.writeCheckpoint('mine', String(n), { expectedRevision: first.revision }));
    const outcomes = await Promise.allSettled(writes);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    await store.writeCheckpoint('mine', '0');
    expect(await stored(store, 'mine')).toBe('0');
    await store.close();
  });

  test('must not be ahead of the store', async () => {
    const { store } = await storeWith(5);
    await expect(store.writeCheckpoint('mine', '6')).rejects.toMatchObject({ option: 'checkpoint' });
    await expect(store.writeCheckpoint('mine', '1.1')).rejects.toMatchObject({ option: 'checkpoint' });
    await store.close();
  });

  test('only the newest few are kept, out of sight of readers and users', async () => {
    const { store } = await storeWith(1);
    for (let i = 0; i < 10; i++) await store.writeCheckpoint('mine', '1');
    expect(await store.readStream('$checkpoint-mine').toArray()).toHaveLength(4);
    expect((await store.readAll().toArray()).map(numberOf)).toEqual([1]);
    await expect(store.appendToStream('$checkpoint-mine', { type: 'x' })).rejects.toMatchObject({ option: 'stream' });
    await store.close();
  });

  test('survive a reopen', async () => {
    const { disk, store } = await storeWith(5, { partitions: 3 });
    const consumer = store.consume({ name: 'c', handler: () => {} });
    await consumer.whenCaughtUp();
    await consumer.stop();
    await store.close();
    const reopened = await open(disk, { partitions: 3 });
    await append(reopened, 6, 7);
    const seen: number[] = [];
    const again = reopened.consume({ name: 'c', handler: (event) => void seen.push(numberOf(event)) });
    await again.whenCaughtUp();
    expect(seen).toEqual([6, 7]);
    await reopened.close();
  });

  test('a consumer whose checkpoint somebody else writes fails, and leaves theirs', async () => {
    const { store } = await storeWith(5);
    const consumer = store.consume({ name: 'c', handler: () => {} });
    await consumer.whenCaughtUp();
    await store.writeCheckpoint('c', '2');
    await expect(consumer.stop()).rejects.toMatchObject(code('ERR_VARVE_CHECKPOINT_CONFLICT'));
    expect(consumer.status).toBe('failed');
    expect(await stored(store)).toBe('2');
    await store.close();
  });
});

describe('retries and parking', () => {
  /** A consumer whose handler fails for the event 2. */
  async function withPoison(retry = {}) {
    const { disk, store } = await storeWith(4);
    const attempts: [number, number][] = [];
    const parked: ParkedEvent[] = [];
    const consumer = store.consume({
      name: 'c',
      retry,
      handler: async (event, { attempt }) => {
        attempts.push([numberOf(event), attempt]);
        if (numberOf(event) === 2) throw new TypeError('poison');
      },
      onParked: (event) => void parked.push(event),
    });
    return { disk, store, consumer, attempts, parked };
  }

  test('the delays grow, up to a limit, and the next event waits for them', async () => {
    const { store, consumer, attempts } = await withPoison({ attempts: 4, minDelay: 100, factor: 3, maxDelay: 500 });
    const tried = async () => {
      await quiet();
      return attempts.filter(([n]) => n === 2).length;
    };
    for (const [i, delay] of [100, 300, 500].entries()) {
      expect(await tried()).toBe(i + 1);
      jest.advanceTimersByTime(delay - 1);
      expect(await tried()).toBe(i + 1);
      jest.advanceTimersByTime(1);
    }
    expect(await tried()).toBe(4);
    await consumer.whenCaughtUp();
    expect(attempts).toEqual([
      [1, 1],
      [2, 1],
      [2, 2],
      [2, 3],
      [2, 4],
      [3, 1],
      [4, 1],
    ]);
    await store.close();
  });

  test('an event that is given up is parked, told of, and the consumer goes on', async () => {
    const { disk, store, consumer, parked } = await withPoison({ attempts: 1 });
    await consumer.whenCaughtUp();
    const link = { stream: 'order-2', revision: 0n, position: 2n, attempts: 1, parkedRevision: 0n };
    const error = { name: 'TypeError', message: 'poison', stack: expect.stringContaining('poison') };
    expect(parked).toEqual([{ ...link, error }]);
    expect(await store.parkedEvents('c').toArray()).toEqual(parked);
    expect(consumer.parked).toBe(1);
    await store.close();
    const reopened = await open(disk);
    expect(await reopened.parkedEvents('c').toArray()).toEqual(parked);
    const again = reopened.consume({ name: 'c', handler: failing });
    await again.whenCaughtUp();
    expect(again.parked).toBe(1);
    await reopened.close();
  });

  test('the checkpoint behind a parked event is stored with it', async () => {
    const { store, consumer } = await withPoison({ attempts: 1 });
    await consumer.whenProcessed(2n);
    const [checkpoint, parked] = await Promise.all([
      store.readStream('$checkpoint-c', { direction: 'backwards', maxCount: 1 }).toArray(),
      store.readStream('$parked-c').toArray(),
    ]);
    expect(checkpoint[0]?.data).toEqual({ checkpoint: '2' });
    expect(parked[0]?.position).toBe((checkpoint[0]?.position as bigint) + 1n);
    await store.close();
  });

  test('whatever is thrown can be parked', async () => {
    const { store } = await storeWith(4);
    const thrown = [
      undefined,
      Object.create(null),
      { message: 7 },
      new VarveError('ERR_VARVE_CLOSED', 'x'.repeat(1e5)),
    ];
    const consumer = store.consume({
      name: 'c',
      retry: { attempts: 1 },
      handler: (event) => {
        throw thrown[numberOf(event) - 1];
      },
    });
    await consumer.whenCaughtUp();
    const errors = (await store.parkedEvents('c').toArray()).map(({ error }) => error);
    expect(errors).toMatchObject([
      { name: 'undefined', message: 'undefined' },
      { name: 'object' },
      { message: '7' },
      { name: 'VarveError', code: 'ERR_VARVE_CLOSED', message: 'x'.repeat(4096) },
    ]);
    await store.close();
  });

  test('a callback that throws fails the consumer; the event is parked all the same', async () => {
    const { store } = await storeWith(2);
    const consumer = store.consume({
      name: 'c',
      retry: { attempts: 1 },
      handler: failing,
      onParked: () => {
        throw new Error('callback');
      },
    });
    await expect(consumer.whenCaughtUp()).rejects.toThrow('callback');
    expect(consumer.status).toBe('failed');
    expect(consumer.parked).toBe(1);
    await store.close();
  });

  test('replay: what succeeds is parked no longer, what fails stays, what is gone leaves', async () => {
    const { disk, store } = await storeWith(9);
    const consumer = store.consume({ name: 'c', retry: { attempts: 1 }, handler: failing });
    await consumer.whenCaughtUp();
    await store.truncateStream('order-2', 1n); // event 2
    const seen: number[] = [];
    const result = await store.replayParked('c', (event, parked) => {
      seen.push(numberOf(event));
      expect(parked).toMatchObject({ stream: event.stream, revision: event.revision });
      if (numberOf(event) % 4 === 0) throw new Error('again');
    });
    expect(seen).toEqual([1, 3, 4, 5, 6, 7, 8, 9]);
    expect(result).toMatchObject({ replayed: 6, gone: 1 });
    expect(result.failed.map(({ parked }) => parked.position)).toEqual([4n, 8n]);
    expect(consumer.parked).toBe(2);
    await store.close();
    const reopened = await open(disk);
    const left = await reopened.parkedEvents('c').toArray();
    expect(left.map(({ position }) => position)).toEqual([4n, 8n]);
    expect(await reopened.replayParked('c', () => {})).toEqual({ replayed: 2, gone: 0, failed: [] });
    expect(await reopened.parkedEvents('c').toArray()).toEqual([]);
    await reopened.close();
  });

  test('replays do not run at the same time', async () => {
    const { store } = await storeWith(3);
    const consumer = store.consume({ name: 'c', retry: { attempts: 1 }, handler: failing });
    await consumer.whenCaughtUp();
    const seen: number[] = [];
    const handler = (event: { data: unknown }) => void seen.push(event.data as number);
    const results = await Promise.all([store.replayParked('c', handler), store.replayParked('c', handler)]);
    expect(results.map(({ replayed }) => replayed)).toEqual([3, 0]);
    expect(seen).toEqual([1, 2, 3]);
    await store.close();
  });

  test('an event that is parked during a replay is not lost', async () => {
    const { store } = await storeWith(1);
    const consumer = store.consume({ name: 'c', retry: { attempts: 1 }, handler: failing });
    await consumer.whenCaughtUp();
    await store.replayParked('c', async () => {
      await append(store, 2, 2);
      await quiet();
    });
    expect((await store.parkedEvents('c').toArray()).map(({ revision, stream }) => [stream, revision])).toEqual([
      ['order-2', 0n],
    ]);
    await store.close();
  });

  test('a replay heeds its signal', async () => {
    const { store } = await storeWith(3);
    const consumer = store.consume({ name: 'c', retry: { attempts: 1 }, handler: failing });
    await consumer.whenCaughtUp();
    const aborting = new AbortController();
    const replaying = store.replayParked('c', () => aborting.abort(new Error('enough')), { signal: aborting.signal });
    await expect(replaying).rejects.toThrow('enough');
    expect(consumer.parked).toBe(2);
    await store.close();
  });
});

describe('the lease', () => {
  /** Two consumers of one name; `turns` holds up the handler of the first. */
  async function competing(options = {}) {
    const { store } = await storeWith(4);
    const hold = deferred();
    const seen: [string, number][] = [];
    const signals: AbortSignal[] = [];
    const consume = (who: string, wait?: Promise<void>): Consumer =>
      store.consume({
        name: 'c',
        ...options,
        handler: async (event, { signal }) => {
          signals.push(signal);
          seen.push([who, numberOf(event)]);
          if (numberOf(event) === 3) await wait;
        },
      });
    const a = consume('a', hold.promise);
    const b = consume('b');
    await quiet();
    return { store, a, b, hold, seen, signals };
  }

  test('is held by one; the next takes over where that one has stopped', async () => {
    const { store, a, b, hold, seen } = await competing();
    expect([a.status, b.status]).toEqual(['catchingUp', 'waiting']);
    expect(b.checkpoint).toBeUndefined();
    const stopping = a.stop();
    await quiet();
    expect(b.status).toBe('waiting'); // the handler of a is not at its end
    hold.resolve();
    await stopping;
    await b.whenCaughtUp();
    expect(seen).toEqual([
      ['a', 1],
      ['a', 2],
      ['a', 3],
      ['b', 4],
    ]);
    await store.close();
  });

  test('goes to the next when its holder fails', async () => {
    const { store, a, b, hold } = await competing();
    await store.writeCheckpoint('c', '0');
    hold.resolve();
    await expect(a.stop()).rejects.toMatchObject(code('ERR_VARVE_CHECKPOINT_CONFLICT'));
    await b.whenCaughtUp();
    await store.close();
  });

  test('is lost by a handler that takes too long: nothing is stored any more', async () => {
    const { store, a, b, hold, seen, signals } = await competing({ handlerTimeout: 1000 });
    jest.advanceTimersByTime(999);
    await quiet();
    expect(b.status).toBe('waiting');
    jest.advanceTimersByTime(1);
    await b.whenCaughtUp();
    expect(a.status).toBe('failed');
    expect(a.error).toMatchObject({ code: 'ERR_VARVE_LEASE_LOST', consumer: 'c', stream: 'order-0' });
    expect(signals[2]?.reason).toBe(a.error);
    const { revision } = (await store.readCheckpoint('c')) ?? {};
    hold.resolve(); // too late
    await quiet();
    jest.advanceTimersByTime(999);
    await quiet();
    expect((await store.readCheckpoint('c'))?.revision).toBe(revision);
    await expect(a.stop()).rejects.toMatchObject(code('ERR_VARVE_LEASE_LOST'));
    expect(seen.filter(([who]) => who === 'b')).toEqual(upTo(4).map((n) => ['b', n])); // since the last stored one
    await store.close();
  });

  test('a storing that is under way when the lease is handed on does not overwrite the checkpoint of the next', async () => {
    const { disk, store } = await storeWith(4);
    const seen: number[] = [];
    const a = store.consume({
      name: 'c',
      checkpointEvery: { ms: 50 },
      handlerTimeout: 100,
      handler: (event) => (numberOf(event) === 3 ? new Promise(() => {}) : undefined),
    });
    await quiet();
    const held = deferred();
    disk.faults.add({ kind: 'sync', file: 'part_*', fault: { hold: held.promise } });
    jest.advanceTimersByTime(50); // a begins to store
    await quiet();
    const b = store.consume({ name: 'c', handler: (event) => void seen.push(numberOf(event)) });
    jest.advanceTimersByTime(50);
    await quiet();
    expect([a.status, b.status]).toEqual(['catchingUp', 'catchingUp']); // each waits for the disk
    held.resolve();
    await b.whenCaughtUp();
    expect(seen).toEqual([3, 4]);
    await b.stop();
    expect(await stored(store)).toBe(b.checkpoint);
    expect(a.status).toBe('failed');
    await store.close();
  });

  test('one that waits can be stopped, and the line moves on', async () => {
    const { store, a, b, hold } = await competing();
    const c = store.consume({ name: 'c', handler: () => {} });
    await b.stop();
    expect(b.status).toBe('stopped');
    hold.resolve();
    await a.stop();
    await c.whenCaughtUp();
    await store.close();
  });

  test('other names do not wait', async () => {
    const { store, hold } = await competing();
    const other = store.consume({ name: 'd', handler: () => {} });
    await other.whenCaughtUp();
    hold.resolve();
    await store.close();
  });
});

describe('ending', () => {
  test('stop awaits the handler under way, and counts it', async () => {
    const { store } = await storeWith(3);
    const turn = deferred();
    let aborted = false;
    const consumer = store.consume({
      name: 'c',
      handler: async (_, { signal }) => {
        await turn.promise;
        aborted = signal.aborted;
      },
    });
    await quiet();
    const stopping = consumer.stop();
    turn.resolve();
    await stopping;
    expect(aborted).toBe(false);
    expect(await stored(store)).toBe('1');
    await expect(consumer.whenCaughtUp()).rejects.toMatchObject(code('ERR_VARVE_CLOSED'));
    await expect(consumer.whenProcessed(3n)).rejects.toMatchObject(code('ERR_VARVE_CLOSED'));
    await store.close();
  });

  test('stop does not wait for the next attempt, and does not count the event', async () => {
    const { store } = await storeWith(3);
    const consumer = store.consume({ name: 'c', handler: failing });
    await quiet();
    await consumer.stop();
    expect(await stored(store)).toBe('0');
    expect(consumer.parked).toBe(0);
    await store.close();
  });

  test('a signal aborts the handler; what it throws then is no failed attempt', async () => {
    const { store } = await storeWith(3);
    const aborting = new AbortController();
    const consumer = store.consume({
      name: 'c',
      retry: { attempts: 1 },
      signal: aborting.signal,
      handler: (_, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    });
    await quiet();
    aborting.abort(new Error('enough'));
    await consumer.stop();
    expect(consumer.status).toBe('stopped');
    expect(consumer.parked).toBe(0);
    expect(await stored(store)).toBe('0');
    await store.close();
  });

  test('close waits for no handler, but stores what was dealt with', async () => {
    const { disk, store } = await storeWith(3);
    let signal: AbortSignal | undefined;
    const consumer = store.consume({
      name: 'c',
      handler: (event, context) => {
        signal = context.signal;
        return numberOf(event) === 3 ? new Promise(() => {}) : undefined;
      },
    });
    await quiet();
    await store.close();
    expect(signal?.aborted).toBe(true);
    expect(consumer.status).toBe('stopped');
    expect(() => store.consume({ name: 'c', handler: () => {} })).toThrow(
      expect.objectContaining(code('ERR_VARVE_CLOSED')),
    );
    const reopened = await open(disk);
    expect(await stored(reopened)).toBe('2');
    await reopened.close();
  });

  test('close does not wait for space: the checkpoint stays where it was', async () => {
    const small = { segmentSize: 8192, preallocate: { segments: 0 }, recycle: 0 };
    const { disk, store } = await storeWith(3, small);
    const consumer = store.consume({ name: 'c', checkpointEvery: { ms: 3_600_000 }, handler: () => {} });
    await consumer.whenCaughtUp();
    disk.faults.add({ kind: 'allocate', file: '*', times: Number.POSITIVE_INFINITY, fault: { error: 'ENOSPC' } });
    const appends = Array.from({ length: 10 }, () =>
      store.appendToStream('order-1', { type: 'Counted', data: 'x'.repeat(1000) }),
    );
    await quiet();
    const closing = Promise.allSettled([...appends, store.close()]);
    for (let i = 0; i < 50 && consumer.status !== 'stopped'; i++) {
      await quiet();
      jest.advanceTimersByTime(1000);
    }
    expect((await closing).at(-1)?.status).toBe('fulfilled');
    expect(consumer.status).toBe('stopped');
    const reopened = await open(disk.processCrash(), small);
    expect(await stored(reopened)).toBe('0');
    await reopened.close();
  });

  test('a partition that fails fails the consumer', async () => {
    const { disk, store } = await storeWith(3);
    const consumer = store.consume({ name: 'c', handler: () => {} });
    await consumer.whenCaughtUp();
    disk.faults.add({ kind: 'sync', file: 'part_*', fault: { error: 'EIO' } });
    await expect(consumer.stop()).rejects.toMatchObject(code('ERR_VARVE_PARTITION_FAILED'));
    expect(consumer.status).toBe('failed');
    await store.close().catch(() => {});
  });

  test('await using', async () => {
    const { store } = await storeWith(3);
    const consumer = store.consume({ name: 'c', handler: () => {} });
    await consumer.whenCaughtUp();
    await consumer[Symbol.asyncDispose]();
    expect(consumer.status).toBe('stopped');
    await store.close();
  });
});

test.each([
  [{ name: '' }, 'name'],
  [{ name: 'x'.repeat(257) }, 'name'],
  [{ name: undefined }, 'name'],
  [{ name: '\ud800' }, 'name'],
  [{ handler: 7 }, 'handler'],
  [{ handler: undefined }, 'handler'],
  [{ from: -1n }, 'position'],
  [{ filter: { type: 'x' } }, 'filter.type'],
  [{ stream: '' }, 'stream'],
  [{ stream: 'a', filter: { streams: ['b'] } }, 'stream'],
  [{ category: '' }, 'category'],
  [{ category: 'a', filter: { categories: ['b'] } }, 'category'],
  [{ checkpointEvery: { events: 0 } }, 'checkpointEvery.events'],
  [{ checkpointEvery: { ms: 0 } }, 'checkpointEvery.ms'],
  [{ retry: { attempts: 0 } }, 'retry.attempts'],
  [{ retry: { factor: 0.5 } }, 'retry.factor'],
  [{ retry: { delay: 1 } }, 'retry.delay'],
  [{ handlerTimeout: 0 }, 'handlerTimeout'],
  [{ onParked: 1 }, 'onParked'],
  [{ signal: {} }, 'signal'],
  [{ bogus: 1 }, 'bogus'],
])('%j is refused by name', async (options, option) => {
  const { store } = await storeWith(0);
  const consume = () => store.consume({ name: 'c', handler: () => {}, ...(options as object) });
  expect(consume).toThrow(expect.objectContaining({ code: 'ERR_VARVE_INVALID_OPTION', option }));
  await store.close();
});
