import { describe, expect, jest, test } from '@jest/globals';
import type { EventStore, RecordedEvent } from 'varve';
import { SimulatedDisk } from '../../../src/testing/simulated-disk.js';
import { code, deferred, open } from './consumer-kit.js';

const STREAM = 'account-1';

async function storeWith(count: number, disk = new SimulatedDisk()) {
  const store = await open(disk, { partitions: 3 });
  for (let n = 1; n <= count; n++) await store.appendToStream(STREAM, { type: 'Paid', data: n });
  return { disk, store };
}

const revisions = async (store: EventStore) =>
  (await store.listSnapshots(STREAM)).map(({ revision }) => Number(revision));
const stateAt = async (store: EventStore, atOrBefore?: bigint) =>
  (await store.readSnapshot<string>(STREAM, atOrBefore === undefined ? {} : { atOrBefore }))?.state;

async function save(store: EventStore, revision: number, keep?: number, state = `state ${revision}`) {
  return store.saveSnapshot(STREAM, { revision: BigInt(revision), state }, keep === undefined ? {} : { keep });
}

describe('snapshots', () => {
  test('the latest; the latest at or before a revision; none', async () => {
    const { disk, store } = await storeWith(10);
    expect(await stateAt(store)).toBeUndefined();
    for (const revision of [2, 5, 8]) await save(store, revision);
    expect(await stateAt(store)).toBe('state 8');
    const found = [];
    for (const limit of [1n, 2n, 4n, 5n, 7n, 100n]) found.push(await stateAt(store, limit));
    expect(found).toEqual([undefined, 'state 2', 'state 2', 'state 5', 'state 5', 'state 8']);
    await store.close();
    const reopened = await open(disk);
    expect(await reopened.readSnapshot(STREAM)).toEqual({
      revision: 8n,
      schemaVersion: 1,
      saved: expect.any(Date),
      state: 'state 8',
    });
    await reopened.close();
  });

  test('in whatever order they were saved, the highest revision is the latest', async () => {
    const { store } = await storeWith(10);
    for (const revision of [7, 2, 5]) await save(store, revision);
    expect(await stateAt(store)).toBe('state 7');
    expect(await stateAt(store, 6n)).toBe('state 5');
    expect(await stateAt(store, 4n)).toBe('state 2');
    expect(await revisions(store)).toEqual([2, 5, 7]);
    await store.close();
  });

  test('one that is saved at the same revision again replaces the one before', async () => {
    const { store } = await storeWith(3);
    await save(store, 2, undefined, 'old');
    await save(store, 2, undefined, 'new');
    expect(await stateAt(store)).toBe('new');
    expect(await revisions(store)).toEqual([2]);
    await store.close();
  });

  test('the state is what it was when it was given', async () => {
    const { store } = await storeWith(3);
    const state = { balance: 1n, seen: new Set(['a']) };
    const saving = store.saveSnapshot(STREAM, { revision: 0n, state });
    state.seen.add('b');
    await saving;
    expect((await store.readSnapshot(STREAM))?.state).toEqual({ balance: 1n, seen: new Set(['a']) });
    await store.close();
  });

  test('only of revisions that the stream has', async () => {
    const { store } = await storeWith(3);
    await expect(save(store, 3)).rejects.toMatchObject({ code: 'ERR_VARVE_INVALID_OPTION', option: 'revision' });
    await expect(store.saveSnapshot('none', { revision: 0n, state: 0 })).rejects.toMatchObject(
      code('ERR_VARVE_STREAM_NOT_FOUND'),
    );
    await expect(store.saveSnapshot(STREAM, { revision: 0n, state: () => {} })).rejects.toMatchObject(
      code('ERR_VARVE_INVALID_EVENT'),
    );
    expect(await revisions(store)).toEqual([]);
    await store.close();
  });

  test('keep N: the highest revisions are kept, and the stream behind is truncated', async () => {
    const { store } = await storeWith(10);
    for (const revision of [0, 1, 2, 3, 4]) expect(await save(store, revision, 2)).toEqual({});
    expect(await revisions(store)).toEqual([3, 4]);
    expect(await store.readStream(`$snapshot-${STREAM}`).toArray()).toHaveLength(2);
    await save(store, 9, 2);
    await save(store, 5, 2); // 4 goes, though it was saved before 9
    expect(await revisions(store)).toEqual([5, 9]);
    await save(store, 6, 2);
    expect(await revisions(store)).toEqual([6, 9]);
    expect(await stateAt(store, 8n)).toBe('state 6');
    await store.close();
  });

  test('deletion before a revision; what is saved there later counts', async () => {
    const { disk, store } = await storeWith(10);
    for (const revision of [1, 4, 2, 6]) await save(store, revision);
    await store.deleteSnapshots(STREAM, { before: 4n });
    expect(await revisions(store)).toEqual([4, 6]);
    await save(store, 3);
    expect(await revisions(store)).toEqual([3, 4, 6]);
    await Promise.all([5n, 4n].map((before) => store.deleteSnapshots(STREAM, { before })));
    expect(await revisions(store)).toEqual([6]);
    await store.deleteSnapshots(STREAM, { before: 100n });
    expect(await revisions(store)).toEqual([]);
    await store.close();
    const reopened = await open(disk);
    expect(await revisions(reopened)).toEqual([]);
    await reopened.close();
  });

  test('of two deletions at the same time neither undoes the other', async () => {
    const { store } = await storeWith(6);
    for (const revision of [1, 2, 3, 4]) await save(store, revision);
    await Promise.all([4n, 2n].map((before) => store.deleteSnapshots(STREAM, { before })));
    expect(await revisions(store)).toEqual([4]);
    await store.close();
  });

  test('a pruning that fails does not fail the saving, and is told', async () => {
    const { disk, store } = await storeWith(3);
    await save(store, 0);
    let syncs = 0;
    disk.onOperation = ({ kind }, when) => {
      if (kind !== 'sync' || when !== 'after' || ++syncs > 1) return;
      disk.faults.add({ kind: 'sync', file: 'part_*', times: 100, fault: { error: 'EIO' } });
    };
    const { pruneError } = await save(store, 1, 1);
    expect(pruneError).toMatchObject(code('ERR_VARVE_PARTITION_FAILED'));
    const reopened = await open(disk.processCrash());
    expect(await stateAt(reopened)).toBe('state 1');
    await reopened.close();
    await store.close().catch(() => {});
  });

  test('a deleted stream has none, also when it is written to again; a tombstoned one can have none', async () => {
    const { store } = await storeWith(3);
    await save(store, 2);
    await store.deleteStream(STREAM);
    expect(await stateAt(store)).toBeUndefined();
    await expect(save(store, 2)).rejects.toMatchObject(code('ERR_VARVE_STREAM_NOT_FOUND'));
    await store.appendToStream(STREAM, { type: 'Paid', data: 4 });
    expect(await stateAt(store)).toBeUndefined();
    await expect(save(store, 2)).rejects.toMatchObject({ option: 'revision' });
    await save(store, 3);
    expect(await stateAt(store)).toBe('state 3');
    await store.tombstoneStream(STREAM);
    expect(await stateAt(store)).toBeUndefined();
    await expect(save(store, 3)).rejects.toMatchObject(code('ERR_VARVE_STREAM_TOMBSTONED'));
    await store.close();
  });

  test('a truncated stream keeps the snapshot that stands for what is gone', async () => {
    const { store } = await storeWith(5);
    await save(store, 3);
    await store.truncateStream(STREAM, 4n);
    expect(await stateAt(store)).toBe('state 3');
    await store.close();
  });

  test('they are written with the codec of the store, out of sight of readers', async () => {
    const { store } = await storeWith(1, new SimulatedDisk());
    await save(store, 0);
    expect(await store.readAll().toArray()).toHaveLength(1);
    await store.close();
    const raw = await open(new SimulatedDisk(), { codec: 'raw' });
    await raw.appendToStream(STREAM, { type: 'Paid', data: new Uint8Array([1]) });
    await raw.saveSnapshot(STREAM, { revision: 0n, state: new Uint8Array([2]) });
    expect((await raw.readSnapshot(STREAM))?.state).toEqual(new Uint8Array([2]));
    await raw.close();
  });

  test.each([
    [
      'revision -1n',
      (store: EventStore) => store.saveSnapshot(STREAM, { revision: -1n, state: 0 }),
      'snapshot.revision',
    ],
    ['no revision', (store: EventStore) => store.saveSnapshot(STREAM, {} as never), 'snapshot.revision'],
    [
      'version 0',
      (store: EventStore) => store.saveSnapshot(STREAM, { revision: 0n, state: 0, schemaVersion: 0 }),
      'snapshot.schemaVersion',
    ],
    [
      'keep 0',
      (store: EventStore) => store.saveSnapshot(STREAM, { revision: 0n, state: 0 }, { keep: 0 }),
      'options.keep',
    ],
    ['a bad bound', (store: EventStore) => store.readSnapshot(STREAM, { atOrBefore: 1 as never }), 'atOrBefore'],
    ['no bound', (store: EventStore) => store.deleteSnapshots(STREAM, {} as never), 'before'],
    ['a system stream', (store: EventStore) => store.listSnapshots('$x'), 'stream'],
  ])('%s is refused', async (_what, call, option) => {
    const { store } = await storeWith(1);
    await expect(call(store)).rejects.toMatchObject({
      code: 'ERR_VARVE_INVALID_OPTION',
      option: option.replace(/^options\./, ''),
    });
    await store.close();
  });
});

describe('aggregates', () => {
  interface Account {
    balance: number;
    payments: number;
  }

  /** An account that counts how many events it was made of; an overdraft is refused. */
  function account(store: EventStore, options = {}) {
    const evolved: number[] = [];
    const aggregate = store.aggregate<Account>({
      stream: STREAM,
      initialState: () => ({ balance: 0, payments: 0 }),
      evolve: (state, event: RecordedEvent) => {
        evolved.push(event.data as number);
        return { balance: state.balance + (event.data as number), payments: state.payments + 1 };
      },
      ...options,
    });
    const pay = (amount: number, retries?: number) =>
      aggregate.handle(
        ({ balance }) => {
          if (balance + amount < 0) throw new Error('overdrawn');
          return { type: 'Paid', data: amount };
        },
        retries === undefined ? {} : { retries },
      );
    return { aggregate, pay, evolved };
  }

  test('load, decide, append', async () => {
    const { store } = await storeWith(0);
    const { aggregate, pay } = account(store);
    expect(await aggregate.load()).toEqual({ state: { balance: 0, payments: 0 }, revision: undefined, exists: false });
    expect(await pay(10)).toMatchObject({ revision: 0n, positions: [1n] });
    expect(await pay(-4)).toMatchObject({ revision: 1n });
    await expect(pay(-7)).rejects.toThrow('overdrawn');
    expect(await aggregate.load()).toEqual({ state: { balance: 6, payments: 2 }, revision: 1n, exists: true });
    expect(await aggregate.handle(() => [])).toEqual({ revision: 1n, positions: [] });
    await store.close();
  });

  test('of many at once each decides on what the others have left', async () => {
    const { store } = await storeWith(0);
    const { aggregate, pay } = account(store);
    await pay(5);
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => pay(-1, 20)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(5);
    expect((await aggregate.load()).state).toEqual({ balance: 0, payments: 6 });
    await store.close();
  });

  test('without retries the conflict is told', async () => {
    const { store } = await storeWith(1);
    const { aggregate } = account(store);
    const turn = deferred();
    const slow = aggregate.handle(
      async () => {
        await turn.promise;
        return { type: 'Paid', data: 1 };
      },
      { retries: 0 },
    );
    await store.appendToStream(STREAM, { type: 'Paid', data: 1 });
    turn.resolve();
    await expect(slow).rejects.toMatchObject(code('ERR_VARVE_WRONG_REVISION'));
    await store.close();
  });

  test('a snapshot every N events, and loading from there', async () => {
    const { store } = await storeWith(0);
    const writer = account(store, { snapshotEvery: 3, keepSnapshots: 1 });
    for (let n = 1; n <= 8; n++) {
      await writer.pay(n);
      await writer.aggregate.whenSnapshotted();
    }
    expect(await revisions(store)).toEqual([5]);
    const reader = account(store);
    expect((await reader.aggregate.load()).state).toEqual({ balance: 36, payments: 8 });
    expect(reader.evolved).toEqual([7, 8]);
    await store.close();
  });

  test('a snapshot of another version is ignored', async () => {
    const { store } = await storeWith(4);
    await store.saveSnapshot(STREAM, { revision: 1n, state: { balance: 3, payments: 2 }, schemaVersion: 2 });
    await store.saveSnapshot(STREAM, { revision: 2n, state: 'of old', schemaVersion: 1 });
    const { aggregate, evolved } = account(store, { schemaVersion: 2 });
    expect((await aggregate.load()).state).toEqual({ balance: 10, payments: 4 });
    expect(evolved).toEqual([3, 4]);
    const { aggregate: third } = account(store, { schemaVersion: 3 });
    expect((await third.load()).state).toEqual({ balance: 10, payments: 4 });
    await store.close();
  });

  test('a snapshot that a gap follows is ignored', async () => {
    const { store } = await storeWith(6);
    await store.saveSnapshot(STREAM, { revision: 1n, state: { balance: 3, payments: 2 } });
    await store.truncateStream(STREAM, 4n);
    const { aggregate } = account(store);
    expect((await aggregate.load()).state).toEqual({ balance: 11, payments: 2 });
    await store.close();
  });

  test('a deleted stream begins anew', async () => {
    const { store } = await storeWith(3);
    await store.saveSnapshot(STREAM, { revision: 2n, state: { balance: 6, payments: 3 } });
    await store.deleteStream(STREAM);
    const { aggregate, pay } = account(store);
    expect(await aggregate.load()).toMatchObject({ exists: false, state: { balance: 0 } });
    expect(await pay(2)).toMatchObject({ revision: 3n });
    expect(await aggregate.load()).toEqual({ state: { balance: 2, payments: 1 }, revision: 3n, exists: true });
    await store.close();
  });

  test('a snapshot that cannot be saved fails no append, and is told', async () => {
    const { store } = await storeWith(0);
    const onSnapshotError = jest.fn();
    const aggregate = store.aggregate({
      stream: STREAM,
      initialState: () => () => {}, // no codec takes a function
      evolve: (state) => state,
      snapshotEvery: 1,
      onSnapshotError,
    });
    expect(await aggregate.handle(() => ({ type: 'Paid' }))).toMatchObject({ revision: 0n });
    await aggregate.whenSnapshotted();
    expect(onSnapshotError).toHaveBeenCalledWith(expect.objectContaining(code('ERR_VARVE_INVALID_EVENT')));
    await store.close();
  });

  test.each([
    [{ stream: undefined }, 'stream'],
    [{ stream: '$x' }, 'stream'],
    [{ evolve: undefined }, 'evolve'],
    [{ initialState: {} }, 'initialState'],
    [{ snapshotEvery: 0 }, 'snapshotEvery'],
    [{ keepSnapshots: 0 }, 'keepSnapshots'],
    [{ schemaVersion: 0 }, 'schemaVersion'],
    [{ bogus: 1 }, 'bogus'],
  ])('%j is refused', async (options, option) => {
    const { store } = await storeWith(0);
    expect(() => account(store, options)).toThrow(
      expect.objectContaining({ code: 'ERR_VARVE_INVALID_OPTION', option }),
    );
    await store.close();
  });
});
