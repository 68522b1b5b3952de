/** What the suites of varve/testing do not ask of the journal and the stores of states: arguments, closing, purges, order. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { EventStore, StreamMetadata } from 'varve';
import { EventStoreJournal, EventStoreSnapshots, EventStoreStates, openPersistence } from 'varve/journal';
import { Random, SimulatedDisk } from '../../../src/testing/index.js';
import { fill, openStore } from '../../support/small-stores.js';
import { code } from '../event-store/consumer-kit.js';

let disk: SimulatedDisk;
let store: EventStore;

beforeEach(async () => {
  disk = new SimulatedDisk();
  store = await openStore(disk, { segmentSize: 256 * 1024 });
});
afterEach(() => store.close());

async function reopen(): Promise<void> {
  await store.close();
  store = await openStore(disk, { segmentSize: 256 * 1024 });
}

const invalid = (option: string) => ({ ...code('ERR_VARVE_INVALID_OPTION'), option });
const events = (...list: unknown[]) => list.map((event) => ({ event }));
async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of source) found.push(one);
  return found;
}

describe('the journal', () => {
  let journal: EventStoreJournal;
  beforeEach(() => {
    journal = new EventStoreJournal(store);
  });
  const seqs = async (id = 'a', range = {}) => (await all(journal.read(id, range))).map(({ seq }) => seq);

  test.each<[string, (journal: EventStoreJournal) => Promise<unknown>]>([
    ['persistenceId', (j) => j.append('', events(1), 0)],
    ['persistenceId', (j) => j.append('x'.repeat(901), events(1), 0)],
    ['persistenceId', (j) => j.append('\ud800', events(1), 0)],
    ['persistenceId', (j) => j.highestSeq(7 as never)],
    ['expectedSeq', (j) => j.append('a', events(1), -1)],
    ['expectedSeq', (j) => j.append('a', [], 0.5)],
    ['events', (j) => j.append('a', 'events' as never, 0)],
    ['events[0]', (j) => j.append('a', ['event'] as never, 0)],
    ['events[1]', (j) => j.append('a', [{ event: 1 }, { tags: [] }] as never, 0)],
    ['events[0].tag', (j) => j.append('a', [{ event: 1, tag: 'x' }] as never, 0)],
    ['events[0].timestamp', (j) => j.append('a', [{ event: 1, timestamp: Number.NaN }], 0)],
    ['range.from', async (j) => j.read('a', { from: -1 })],
    ['range.to', async (j) => j.read('a', { to: 0.5 })],
    ['range.limit', async (j) => j.read('a', { limit: -1 })],
    ['range.until', async (j) => j.read('a', { until: 1 } as never)],
    ['toSeq', (j) => j.deleteTo('a', -1)],
    ['seq', (j) => j.raiseHighestSeq('a', -1)],
    ['page.limit', (j) => j.persistenceIds({ limit: 0 })],
    ['after', (j) => j.persistenceIds({ after: 'a' })],
    ['tag', async (j) => j.eventsByTag(1 as never)],
    ['range.after', async (j) => j.eventsByTag('t', { after: -1 })],
    ['options.from', async (j) => j.follow('a', { from: 0.5 })],
    ['options.signal', async (j) => j.follow('a', { signal: 'stop' as never })],
    ['tag', async (j) => j.followTag(undefined as never)],
    ['options.before', async (j) => j.followTag('t', { before: 1 } as never)],
  ])('refuses a bad %s', async (option, ask) => {
    const name = option.startsWith('options.') ? option.slice('options.'.length) : option;
    await expect(ask(journal)).rejects.toMatchObject(invalid(name));
    expect((await journal.persistenceIds()).ids).toEqual([]);
  });

  test('refuses what is no store, and categories with a dash', () => {
    const make =
      (given: unknown, options = {}) =>
      () =>
        new EventStoreJournal(given as EventStore, options);
    expect(make({})).toThrow(expect.objectContaining(invalid('store')));
    for (const category of ['', 'a-b', '$a', 'x'.repeat(101), 1]) {
      expect(make(store, { category })).toThrow(expect.objectContaining(invalid('category')));
    }
    expect(make(store, { eventType: 'T' })).toThrow(expect.objectContaining(invalid('eventType')));
    expect(make(store, { name: 'x' })).toThrow(expect.objectContaining(invalid('name')));
  });

  test('an event that the codec cannot keep is named, and so is a bad tag', async () => {
    const refusal = code('ERR_VARVE_INVALID_EVENT');
    const append = journal.append('a', [...events(1), { event: { at: [Symbol('s')] } }], 0);
    await expect(append).rejects.toMatchObject({ ...refusal, valuePath: 'events[1].data.at[0]' });
    await expect(journal.append('a', [{ event: 1, tags: [''] }], 0)).rejects.toMatchObject(refusal);
    expect(await journal.highestSeq('a')).toBe(0);
  });

  test('takes events as they are at the call', async () => {
    const event = { n: 1 };
    const tags = ['red'];
    const list = [{ event, tags }];
    const appending = journal.append('a', list, 0);
    event.n = 2;
    tags.push('green');
    list.push({ event, tags });
    expect(await appending).toMatchObject([{ seq: 1, tags: ['red'] }]);
    expect(await all(journal.read('a'))).toMatchObject([{ event: { n: 1 }, tags: ['red'] }]);
  });

  test('appends that are not awaited keep their order', async () => {
    await Promise.all([0, 1, 2, 3].map((seq) => journal.append('a', events(seq), seq)));
    expect((await all(journal.read('a'))).map(({ event }) => event)).toEqual([0, 1, 2, 3]);
  });

  test('gives back the time that its caller has said', async () => {
    const [said, not] = await journal.append('a', [{ event: 1, timestamp: 12.5 }, { event: 2 }], 0);
    expect(said?.timestamp).toBe(12.5);
    expect(await all(journal.read('a'))).toEqual([said, not]);
  });

  test('takes Infinity for no bound, and 0 for the beginning', async () => {
    await journal.append('a', events(1, 2, 3), 0);
    const limit = Number.POSITIVE_INFINITY;
    expect(await seqs('a', { from: 0, to: limit, limit })).toEqual([1, 2, 3]);
    expect(await seqs('a', { to: 0 })).toEqual([]);
    await journal.deleteTo('a', limit);
    expect(await seqs()).toEqual([]);
    expect(await journal.highestSeq('a')).toBe(3);
  });

  test('is not the journal of another category, whatever its ids', async () => {
    const other = new EventStoreJournal(store, { category: 'other' });
    await journal.append('other-a', [{ event: 1, tags: ['t'] }], 0);
    await other.append('a', [{ event: 2, tags: ['t'] }], 0);
    expect(await journal.highestSeq('a')).toBe(0);
    expect((await journal.persistenceIds()).ids).toEqual(['other-a']);
    expect((await other.persistenceIds()).ids).toEqual(['a']);
    expect((await all(journal.eventsByTag('t'))).map(({ event }) => event)).toEqual([1]);
    const [first] = await all(other.eventsByTag('t'));
    expect(first).toMatchObject({ persistenceId: 'a', event: 2 });
  });

  test('events have the types that it is told, by which upcasters go', async () => {
    const typed = new EventStoreJournal<{ kind: string }>(store, { eventType: ({ kind }) => kind });
    await typed.append('a', events({ kind: 'Made' }) as never, 0);
    expect((await store.readStream('journal-a').toArray()).map(({ type }) => type)).toEqual(['Made']);
    await journal.append('b', events(1), 0);
    expect((await store.readStream('journal-b').toArray()).map(({ type }) => type)).toEqual(['Event']);
  });

  test('what was deleted is gone from the disk after a purge, and its numbers are not given again', async () => {
    const small = await openStore(new SimulatedDisk());
    const own = new EventStoreJournal(small);
    const text = 'x'.repeat(300);
    for (let n = 0; n < 60; n++) await own.append('a', [{ event: text, tags: ['t'] }], n);
    await own.deleteTo('a', 60);
    await fill(small, 'later', 30);
    expect((await small.purge()).segments).toBeGreaterThan(0);
    expect(await all(own.eventsByTag('t'))).toEqual([]);
    expect(await own.highestSeq('a')).toBe(60);
    await expect(own.append('a', events(1), 0)).rejects.toMatchObject({ actualSeq: 60 });
    await own.append('a', events(61), 60);
    expect((await all(own.read('a'))).map(({ seq }) => seq)).toEqual([61]);
    await small.close();
  });

  test('the highest sequence number is told when it is durable', async () => {
    const appending = journal.append('a', events(1), 0);
    expect(await journal.highestSeq('a')).toBe(1);
    const crashed = await openStore(disk.crashed(new Random(1), 'none'));
    expect(await new EventStoreJournal(crashed).highestSeq('a')).toBe(1);
    await crashed.close();
    await appending;
  });

  test('numbers that were given elsewhere are not given again; not where events are', async () => {
    await journal.raiseHighestSeq('a', 0);
    await journal.raiseHighestSeq('a', 7);
    await journal.raiseHighestSeq('a', 5);
    expect(await journal.highestSeq('a')).toBe(7);
    await expect(journal.append('a', events(1), 0)).rejects.toMatchObject({ actualSeq: 7 });
    await reopen();
    journal = new EventStoreJournal(store);
    await journal.append('a', events(8), 7);
    expect(await seqs()).toEqual([8]);
    await journal.raiseHighestSeq('a', 8);
    await expect(journal.raiseHighestSeq('a', 9)).rejects.toMatchObject(invalid('seq'));
    expect(await seqs()).toEqual([8]);
  });

  test('a tombstone is told as it is, and hides its events from tags', async () => {
    await journal.append('a', [{ event: 1, tags: ['t'] }], 0);
    await store.tombstoneStream('journal-a');
    await expect(journal.append('a', events(2), 1)).rejects.toMatchObject(code('ERR_VARVE_STREAM_TOMBSTONED'));
    expect(await all(journal.eventsByTag('t'))).toEqual([]);
  });

  test('followers leave out what was deleted before they came to it', async () => {
    await journal.append(
      'a',
      [1, 2].map((event) => ({ event, tags: ['t'] })),
      0,
    );
    await journal.deleteTo('a', 1);
    const follower = journal.followTag('t');
    expect((await follower.next()).value).toMatchObject({ seq: 2 });
    await follower.return();
  });

  test('closing it ends its followers and leaves the store open', async () => {
    await journal.append('a', [{ event: 1, tags: ['t'] }], 0);
    const followers = [journal.follow('a'), journal.followTag('t')];
    const reader = journal.read('a');
    for (const follower of followers) expect((await follower.next()).value).toMatchObject({ seq: 1 });
    const ends = followers.map((follower) => follower.next());
    await journal.close();
    for (const end of ends) expect(await end).toEqual({ value: undefined, done: true });
    const closed = code('ERR_VARVE_CLOSED');
    await expect(reader.next()).rejects.toMatchObject(closed);
    for (const ask of [
      () => journal.highestSeq('a'),
      () => journal.deleteTo('a', 1),
      () => journal.raiseHighestSeq('a', 1),
      () => journal.persistenceIds(),
      async () => journal.read('a'),
      async () => journal.eventsByTag('t'),
      async () => journal.follow('a'),
      async () => journal.followTag('t'),
    ]) {
      await expect(ask()).rejects.toMatchObject(closed);
    }
    expect(await new EventStoreJournal(store).highestSeq('a')).toBe(1);
  });

  test('closing the store ends its followers too', async () => {
    const follower = journal.follow('a');
    const end = follower.next();
    await new Promise(setImmediate);
    await store.close();
    expect(await end).toEqual({ value: undefined, done: true });
    await expect(journal.append('a', events(1), 0)).rejects.toMatchObject(code('ERR_VARVE_CLOSED'));
  });
});

describe('the snapshot store', () => {
  let snapshots: EventStoreSnapshots;
  beforeEach(() => {
    snapshots = new EventStoreSnapshots(store);
  });
  const left = async () => (await snapshots.find('a')).map(({ seq }) => seq);
  const kept = async () => (await store.readStream('snapshot-a').toArray()).length;

  test.each<[string, (store: EventStoreSnapshots) => Promise<unknown>]>([
    ['persistenceId', (s) => s.save('', 1, 1)],
    ['seq', (s) => s.save('a', -1, 1)],
    ['timestamp', (s) => s.save('a', 1, 1, { timestamp: Number.NaN })],
    ['keep', (s) => s.save('a', 1, 1, { keep: 0 })],
    ['kept', (s) => s.save('a', 1, 1, { kept: 1 } as never)],
    ['persistenceId', (s) => s.latest(1 as never)],
    ['seq', (s) => s.before('a', -1)],
    ['criteria.minSeq', (s) => s.find('a', { minSeq: -1 })],
    ['criteria.max', (s) => s.find('a', { max: 1 } as never)],
    ['criteria.maxTimestamp', (s) => s.delete('a', { maxTimestamp: 'x' as never })],
    ['criteria', (s) => s.delete('a', undefined as never)],
  ])('refuses a bad %s', async (option, ask) => {
    await expect(ask(snapshots)).rejects.toMatchObject(invalid(option));
    expect(await kept()).toBe(0);
  });

  test('refuses bad options', () => {
    for (const [option, value] of [
      ['category', 'a-b'],
      ['keep', 0],
      ['onPruneError', 1],
      ['keeps', 1],
    ] as const) {
      const make = () => new EventStoreSnapshots(store, { [option]: value });
      expect(make).toThrow(expect.objectContaining(invalid(option)));
    }
  });

  test('takes the state as it is at the call, the first time and later', async () => {
    for (const seq of [1, 2]) {
      const state = { seq };
      const saving = snapshots.save('a', seq, state);
      state.seq = 99;
      await saving;
      expect((await snapshots.latest('a'))?.state).toEqual({ seq });
    }
  });

  test('refuses a state that the codec cannot keep, the first time and later', async () => {
    for (let i = 0; i < 2; i++) {
      await expect(snapshots.save('a', 1, { f: () => {} })).rejects.toMatchObject(code('ERR_VARVE_INVALID_EVENT'));
      await snapshots.save('a', 1, 1);
    }
    expect(await kept()).toBe(2);
  });

  test('finds the latest whatever the order of saving, by all of its kind, and after a reopening', async () => {
    const orders = [[5, 9, 7, 1], [9, 5], [1, 9, 5, 6, 7, 8], [9]];
    for (const [i, order] of orders.entries()) {
      const id = `id ${i}`;
      // Nothing is known of the id yet, and they are all asked for at once, of two of a kind.
      const stores = [snapshots, new EventStoreSnapshots(store)];
      await Promise.all(order.map((seq, n) => (stores[n % 2] as EventStoreSnapshots).save(id, seq, seq)));
      expect((await snapshots.latest(id))?.seq).toBe(9);
      await reopen();
      snapshots = new EventStoreSnapshots(store);
      await snapshots.save(id, 4, 4); // below the highest, with nothing in memory
      expect((await snapshots.latest(id))?.seq).toBe(9);
      expect((await snapshots.before(id, 9))?.seq).toBe(Math.max(4, ...order.filter((seq) => seq < 9)));
    }
  });

  test('the latest one is read without those before it', async () => {
    for (let seq = 1; seq <= 20; seq++) await snapshots.save('a', seq, seq);
    const read = jest.spyOn(store, 'readStream');
    expect((await snapshots.latest('a'))?.seq).toBe(20);
    expect(read).toHaveBeenCalledTimes(2);
    expect(read).toHaveBeenNthCalledWith(1, 'snapshot-a', { direction: 'backwards', maxCount: 1 });
    expect(read).toHaveBeenNthCalledWith(2, 'snapshot-a', { direction: 'backwards', maxCount: 2, fromRevision: 18n });
    read.mockRestore();
  });

  test('a deletion counts for what was saved before it, and not for what comes', async () => {
    for (const seq of [10, 20]) await snapshots.save('a', seq, seq);
    await snapshots.delete('a', { maxSeq: 15 });
    await snapshots.save('a', 12, 12);
    expect(await left()).toEqual([20, 12]);
    await reopen();
    snapshots = new EventStoreSnapshots(store);
    expect(await left()).toEqual([20, 12]);
  });

  test('what a replacement has replaced does not come back when that is deleted', async () => {
    await snapshots.save('a', 1, 'keep', { timestamp: 1 });
    await snapshots.save('a', 5, 'old', { timestamp: 10 });
    await snapshots.save('a', 5, 'new', { timestamp: 20 });
    await snapshots.delete('a', { minTimestamp: 15 });
    expect(await left()).toEqual([1]);
  });

  test('deletes all, and goes on', async () => {
    for (const seq of [1, 2]) await snapshots.save('a', seq, seq);
    await snapshots.delete('a', {});
    expect(await left()).toEqual([]);
    expect(await kept()).toBe(1);
    await snapshots.save('a', 1, 'again');
    expect((await snapshots.latest('a'))?.state).toBe('again');
    await snapshots.delete('none', {});
    expect(await store.streamExists('snapshot-none')).toBe(false);
  });

  test('gives the space of what was deleted or not kept back', async () => {
    const keeping = new EventStoreSnapshots(store, { keep: 2 });
    for (let seq = 1; seq <= 10; seq++) await keeping.save('a', seq, seq);
    expect(await kept()).toBe(2);
    await keeping.save('a', 11, 11, { keep: 1 });
    expect(await left()).toEqual([11]);
    expect(await kept()).toBe(1);
  });

  test('a failure of pruning is told to whom it concerns, or is a warning', async () => {
    const refusal = new Error('the disk is unwell');
    jest.spyOn(store, 'truncateStream').mockRejectedValue(refusal);
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    try {
      const told = jest.fn();
      const telling = new EventStoreSnapshots(store, { keep: 1, onPruneError: told });
      for (const seq of [1, 2]) await telling.save('a', seq, seq);
      expect(told).toHaveBeenCalledWith(refusal);
      expect(warned).not.toHaveBeenCalled();
      const closed = Object.assign(new Error('closed'), code('ERR_VARVE_CLOSED'));
      jest.spyOn(store, 'truncateStream').mockRejectedValueOnce(closed);
      await snapshots.save('a', 3, 3, { keep: 1 });
      expect(warned).not.toHaveBeenCalled(); // it was closed meanwhile
      await snapshots.save('a', 3, 3, { keep: 1 });
      expect(warned).toHaveBeenCalledWith(expect.objectContaining({ cause: refusal }));
      expect((await snapshots.latest('a'))?.seq).toBe(3);
    } finally {
      jest.restoreAllMocks();
    }
  });

  test('is closed without its store', async () => {
    await snapshots.close();
    for (const ask of [
      () => snapshots.save('a', 1, 1),
      () => snapshots.latest('a'),
      () => snapshots.before('a', 1),
      () => snapshots.find('a'),
      () => snapshots.delete('a', {}),
    ]) {
      await expect(ask()).rejects.toMatchObject(code('ERR_VARVE_CLOSED'));
    }
    await new EventStoreSnapshots(store).save('a', 1, 1);
  });
});

describe('the store of durable states', () => {
  let states: EventStoreStates;
  beforeEach(() => {
    states = new EventStoreStates(store);
  });

  test('refuses bad arguments', async () => {
    await expect(states.upsert('', 0, 1)).rejects.toMatchObject(invalid('persistenceId'));
    await expect(states.upsert('a', -1, 1)).rejects.toMatchObject(invalid('expectedRevision'));
    await expect(states.load(1 as never)).rejects.toMatchObject(invalid('persistenceId'));
    await expect(states.delete('')).rejects.toMatchObject(invalid('persistenceId'));
    expect(() => new EventStoreStates(store, { category: 'a-b' })).toThrow(
      expect.objectContaining(invalid('category')),
    );
    expect(() => new EventStoreStates(store, { keep: 1 } as never)).toThrow(expect.objectContaining(invalid('keep')));
    const unstorable = states.upsert('a', 0, () => {});
    await expect(unstorable).rejects.toMatchObject(code('ERR_VARVE_INVALID_EVENT'));
    expect(await states.load('a')).toBeUndefined();
  });

  test('keeps the newest state of each id only, and nothing of deleted ones', async () => {
    for (let n = 0; n < 5; n++) await states.upsert('a', n, n);
    expect(await store.readStream('state-a').toArray()).toMatchObject([{ data: 4 }]);
    await states.delete('a');
    expect(await store.streamExists('state-a')).toBe(false);
    await states.upsert('a', 0, 'new');
    await states.upsert('a', 1, 'newer');
    expect(await store.readStream('state-a').toArray()).toMatchObject([{ data: 'newer' }]);
    expect<Partial<StreamMetadata>>(await store.getStreamMetadata('state-a')).toMatchObject({ maxCount: 1 });
  });

  test('two stores of a kind see what the other one has written', async () => {
    const other = new EventStoreStates(store);
    await states.upsert('a', 0, 1);
    await other.upsert('a', 1, 2);
    await expect(states.upsert('a', 1, 3)).rejects.toMatchObject({ expectedRevision: 1, actualRevision: 2 });
    await other.delete('a');
    await expect(states.upsert('a', 2, 3)).rejects.toMatchObject({ expectedRevision: 2, actualRevision: 0 });
    await states.upsert('a', 0, 4);
    expect(await other.load('a')).toMatchObject({ revision: 1, state: 4 });
  });

  test('what somebody else has done to the stream is noticed', async () => {
    await states.upsert('a', 0, 1);
    await store.appendToStream('state-a', { type: 'StateStored', data: 2, metadata: { revision: 2 } });
    await expect(states.upsert('a', 1, 3)).rejects.toMatchObject({ expectedRevision: 1, actualRevision: 2 });
    await states.upsert('a', 2, 3);
    expect(await states.load('a')).toMatchObject({ revision: 3, state: 3 });
  });

  test('a deletion does not take a state that was written since', async () => {
    await states.upsert('a', 0, 'old');
    const deleteStream = store.deleteStream.bind(store);
    jest.spyOn(store, 'deleteStream').mockImplementationOnce(async (...asked) => {
      await states.upsert('a', 0, 'new');
      await deleteStream(...asked);
    });
    await states.delete('a');
    expect(await states.load('a')).toMatchObject({ revision: 1, state: 'new' });
  });

  test('a deletion that another write comes before deletes what was written', async () => {
    await states.upsert('a', 0, 1);
    const writing = states.upsert('a', 1, 2);
    await states.delete('a');
    await writing;
    expect(await states.load('a')).toBeUndefined();
    await expect(states.upsert('a', 2, 3)).rejects.toMatchObject({ actualRevision: 0 });
  });

  test('a deletion that was cut off behind its event is one', async () => {
    await states.upsert('a', 0, 1);
    const cut = jest.spyOn(store, 'deleteStream').mockRejectedValue(new Error('the power is off'));
    await expect(states.delete('a')).rejects.toThrow('the power is off');
    cut.mockRestore();
    await reopen();
    states = new EventStoreStates(store);
    expect(await states.load('a')).toBeUndefined();
    await states.delete('a');
    expect(await states.upsert('a', 0, 2)).toMatchObject({ revision: 1 });
  });

  test('is closed without its store', async () => {
    await states.close();
    for (const ask of [() => states.upsert('a', 0, 1), () => states.load('a'), () => states.delete('a')]) {
      await expect(ask()).rejects.toMatchObject(code('ERR_VARVE_CLOSED'));
    }
    await new EventStoreStates(store).upsert('a', 0, 1);
  });
});

describe('a place for all of them', () => {
  test('opens and closes with its store', async () => {
    const own = new SimulatedDisk();
    const place = { directory: '/actors', disk: own, segmentSize: 256 * 1024 };
    const first = await openPersistence(place);
    await first.journal.append('a', events(1), 0);
    await first.snapshots.save('a', 1, 'state');
    await first.states.upsert('a', 0, 'newest');
    await first.close();
    await first.close();
    await expect(first.store.streamExists('a')).rejects.toMatchObject(code('ERR_VARVE_CLOSED'));
    const second = await openPersistence(place);
    expect(await second.journal.highestSeq('a')).toBe(1);
    expect(await second.snapshots.latest('a')).toMatchObject({ seq: 1, state: 'state' });
    expect(await second.states.load('a')).toMatchObject({ revision: 1, state: 'newest' });
    await second[Symbol.asyncDispose]();
  });

  test('refuses what an event store refuses', async () => {
    const options = { directory: '/actors', disk, partition: 2 };
    await expect(openPersistence(options as never)).rejects.toMatchObject(invalid('partition'));
  });
});
