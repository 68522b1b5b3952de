/** Every method and error of the stores for actor-ts, with a stand-in for what they need of that module. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { VarveError } from 'varve';
import { type ActorTs, type ActorTsStores, openActorTsStores } from 'varve/actor-ts';
import { EventStoreJournal } from 'varve/journal';
import { SimulatedDisk } from '../../../src/testing/index.js';
import { code } from '../event-store/consumer-kit.js';
import { open, RICH } from '../journal/kit.js';

class JournalConcurrencyError extends Error {
  constructor(
    readonly persistenceId: string,
    readonly expectedSeq: number,
    readonly actualSeq: number,
  ) {
    super('journal');
  }
}
class DurableStateConcurrencyError extends Error {
  constructor(
    readonly persistenceId: string,
    readonly expected: number,
    readonly actual: number,
  ) {
    super('durable state');
  }
}
class JournalError extends Error {
  constructor(
    message: string,
    override readonly cause?: unknown,
  ) {
    super(message);
  }
}
class Option<T> {
  constructor(readonly value: T | null) {}
  isSome = () => this.value !== null;
  toNullable = () => this.value;
}
const actorTs: ActorTs = {
  JournalConcurrencyError,
  DurableStateConcurrencyError,
  JournalError,
  fromNullable: (value) => new Option(value ?? null),
};

let disk: SimulatedDisk;
let stores: ActorTsStores;

const place = () => ({ directory: '/data', disk, segmentSize: 1024 * 1024 });
beforeEach(async () => {
  disk = new SimulatedDisk();
  stores = await openActorTsStores(actorTs, place());
});
afterEach(() => stores.close());

async function reopen(): Promise<void> {
  await stores.close();
  stores = await openActorTsStores(actorTs, place());
}

/** What `promise` rejects with: a `JournalError`, and Varve's error behind it. */
async function expectJournalError(promise: Promise<unknown>, cause: string, what: string): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(JournalError);
  expect((error as JournalError).message).toMatch(new RegExp(`^${what} failed: .+`));
  expect((error as JournalError).cause).toBeInstanceOf(VarveError);
  expect((error as JournalError).cause).toMatchObject(code(cause));
}

const entries = (...events: unknown[]) => events.map((event) => ({ event }));
const seqs = async (...asked: [string, number, number?]) =>
  (await stores.journal.read(...asked)).map(({ sequenceNr }) => sequenceNr);

describe('the journal', () => {
  test('numbers events from 1 on, and gives back what it was given', async () => {
    const given = RICH.map((event, i) => ({ event, ...(i % 2 === 0 ? { tags: ['red', 'blue'] } : {}) }));
    const written = await stores.journal.append('a', given, 0);
    expect(written).toMatchObject(
      given.map(({ event, tags }, i) => ({ persistenceId: 'a', sequenceNr: i + 1, event, ...(tags && { tags }) })),
    );
    expect(await stores.journal.read('a', 1)).toEqual(written);
    // An event without tags has none, rather than an empty list.
    expect(written.map((event) => 'tags' in event)).toEqual(given.map((_, i) => i % 2 === 0));
  });

  test('resolves with the objects of the caller', async () => {
    const event = { n: 1 };
    const [written] = await stores.journal.append('a', [{ event }], 0);
    expect(written?.event).toBe(event);
    expect((await stores.journal.read('a', 1))[0]?.event).not.toBe(event);
  });

  test('reads with inclusive bounds', async () => {
    await stores.journal.append('a', entries(1, 2, 3, 4), 0);
    expect(await seqs('a', 2, 3)).toEqual([2, 3]);
    expect(await seqs('a', 3)).toEqual([3, 4]);
    expect(await seqs('a', 5)).toEqual([]);
    expect(await seqs('b', 1)).toEqual([]);
  });

  test("refuses with actor-ts's own error where it is not as expected", async () => {
    await stores.journal.append('a', entries(1, 2), 0);
    const error = await stores.journal.append('a', entries(3), 0).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(JournalConcurrencyError);
    expect(error).toMatchObject({ persistenceId: 'a', expectedSeq: 0, actualSeq: 2 });
    expect(await seqs('a', 1)).toEqual([1, 2]);
    // Nothing to be written, nothing to be in conflict with.
    expect(await stores.journal.append('a', [], 0)).toEqual([]);
  });

  test('of several writers one wins', async () => {
    const writers = Array.from({ length: 6 }, (_, i) => stores.journal.append('a', entries(i), 0));
    const outcomes = await Promise.allSettled(writers);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(JournalConcurrencyError);
    }
    expect(await seqs('a', 1)).toEqual([1]);
  });

  test('deletes a prefix; the highest sequence number stays, also over a reopening', async () => {
    await stores.journal.delete('none', 5);
    await stores.journal.append('a', entries(1, 2, 3), 0);
    await stores.journal.delete('a', 2);
    expect(await seqs('a', 1)).toEqual([3]);
    await stores.journal.delete('a', 3);
    await stores.journal.delete('a', 3);
    await reopen();
    expect(await seqs('a', 1)).toEqual([]);
    expect(await stores.journal.highestSeq('a')).toBe(3);
    await stores.journal.append('a', entries(4), 3);
    expect(await seqs('a', 1)).toEqual([4]);
  });

  test('raises the mark of an id without events, so that a copied history keeps its numbers', async () => {
    await stores.journal.raiseCompactionMark('a', 4);
    await stores.journal.raiseCompactionMark('a', 2);
    expect(await stores.journal.highestSeq('a')).toBe(4);
    await expect(stores.journal.append('a', entries('x'), 0)).rejects.toBeInstanceOf(JournalConcurrencyError);
    await stores.journal.append('a', entries(5, 6), 4);
    await reopen();
    expect(await seqs('a', 1)).toEqual([5, 6]);
    await stores.journal.raiseCompactionMark('a', 6);
    await expectJournalError(
      stores.journal.raiseCompactionMark('a', 9),
      'ERR_VARVE_INVALID_OPTION',
      'raiseCompactionMark',
    );
    expect(await stores.journal.highestSeq('a')).toBe(6);
  });

  test('lists the ids that have events, each once', async () => {
    expect(await stores.journal.persistenceIds()).toEqual([]);
    for (const id of ['b', 'a', 'c']) await stores.journal.append(id, entries(1), 0);
    await stores.journal.delete('c', 1);
    await stores.snapshotStore.save('d', 1, {});
    expect(await stores.journal.persistenceIds()).toEqual(['b', 'a']);
  });

  test('tells subscribers of what is durable, in order; one that throws harms nobody', async () => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    try {
      const told: unknown[] = [];
      const listener = ({ event }: { event: unknown }) => told.push(event);
      const unsubscribe = stores.journal.events.subscribe(listener);
      stores.journal.events.subscribe(() => {
        throw new Error('a bad subscriber');
      });
      const again = stores.journal.events.subscribe(listener);
      await stores.journal.append('a', entries(1), 0);
      again();
      await stores.journal.append('a', entries(2, 3), 1);
      await stores.journal.append('a', entries(4), 0).catch(() => {});
      unsubscribe();
      unsubscribe();
      await stores.journal.append('a', entries(5), 3);
      expect(told).toEqual([1, 1, 2, 3]);
      expect(warned).toHaveBeenCalledTimes(4);
    } finally {
      warned.mockRestore();
    }
  });

  test('what is wrong otherwise is a JournalError with the cause', async () => {
    const { journal } = stores;
    await expectJournalError(
      journal.append(
        'a',
        entries(() => {}),
        0,
      ),
      'ERR_VARVE_INVALID_EVENT',
      'append',
    );
    await expectJournalError(journal.append('', entries(1), 0), 'ERR_VARVE_INVALID_OPTION', 'append');
    await expectJournalError(journal.append('a', entries(1), -1), 'ERR_VARVE_INVALID_OPTION', 'append');
    await expectJournalError(journal.append('a', 'x' as never, 0), 'ERR_VARVE_INVALID_OPTION', 'append');
    await expectJournalError(journal.read('a', -1), 'ERR_VARVE_INVALID_OPTION', 'read');
    await expectJournalError(journal.highestSeq(''), 'ERR_VARVE_INVALID_OPTION', 'highestSeq');
    await expectJournalError(journal.delete('a', 0.5), 'ERR_VARVE_INVALID_OPTION', 'delete');
    await journal.close();
    await journal.close();
    await expectJournalError(journal.append('a', entries(1), 0), 'ERR_VARVE_CLOSED', 'append');
    await expectJournalError(journal.persistenceIds(), 'ERR_VARVE_CLOSED', 'persistenceIds');
  });

  test('an actor-ts that gives events without their tags is called too old', async () => {
    const append = stores.journal.append('a', ['event'] as never, 0);
    await expect(append).rejects.toThrow(/too old for varve\/actor-ts/);
    await expect(stores.journal.append('a', [{ type: 'Made' }] as never, 0)).rejects.toThrow(/too old/);
    expect(await stores.journal.highestSeq('a')).toBe(0);
  });
});

describe('the snapshot store', () => {
  test('saves, and loads the latest and the one before', async () => {
    const { snapshotStore } = stores;
    expect((await snapshotStore.loadLatest('a')).isSome()).toBe(false);
    const state = { roles: new Set(['admin']), at: new Date(0) };
    const saved = await snapshotStore.save('a', 5, state);
    expect(saved).toMatchObject({ persistenceId: 'a', sequenceNr: 5, state });
    await snapshotStore.save('a', 9, 'nine');
    expect((await snapshotStore.loadLatest('a')).toNullable()).toMatchObject({ sequenceNr: 9, state: 'nine' });
    expect((await snapshotStore.loadBefore('a', 9)).toNullable()).toEqual(saved);
    expect((await snapshotStore.loadBefore('a', 5)).toNullable()).toBeNull();
    await snapshotStore.save('a', 9, 'again');
    expect((await snapshotStore.loadLatest('a')).toNullable()).toMatchObject({ state: 'again' });
  });

  test('deletes up to a sequence number, inclusive', async () => {
    const { snapshotStore } = stores;
    for (const seq of [1, 2, 3]) await snapshotStore.save('a', seq, seq);
    await snapshotStore.delete('a', 2);
    expect((await snapshotStore.loadBefore('a', 3)).toNullable()).toBeNull();
    await snapshotStore.delete('a', 3);
    await snapshotStore.delete('a', 3);
    expect((await snapshotStore.loadLatest('a')).isSome()).toBe(false);
  });

  test('keeps as many as was asked for', async () => {
    await stores.close();
    stores = await openActorTsStores(actorTs, place(), { keepSnapshots: 2 });
    for (const seq of [1, 2, 3, 4]) await stores.snapshotStore.save('a', seq, seq);
    expect((await stores.snapshotStore.loadBefore('a', 4)).toNullable()).toMatchObject({ sequenceNr: 3 });
    expect((await stores.snapshotStore.loadBefore('a', 3)).toNullable()).toBeNull();
  });

  test('says that it does not encrypt, and what is wrong', async () => {
    const { snapshotStore } = stores;
    expect(snapshotStore.persistenceOptionSupport).toEqual({ encryption: false, compression: false, integrity: false });
    await expectJournalError(
      snapshotStore.save('a', 1, () => {}),
      'ERR_VARVE_INVALID_EVENT',
      'save',
    );
    await expectJournalError(snapshotStore.delete('a', -1), 'ERR_VARVE_INVALID_OPTION', 'delete');
    await snapshotStore.close();
    await expectJournalError(snapshotStore.loadLatest('a'), 'ERR_VARVE_CLOSED', 'loadLatest');
    await expectJournalError(snapshotStore.loadBefore('a', 1), 'ERR_VARVE_CLOSED', 'loadBefore');
  });
});

describe('the store of durable states', () => {
  test('writes at a revision, loads and deletes', async () => {
    const { durableStateStore } = stores;
    expect((await durableStateStore.load('a')).isSome()).toBe(false);
    expect(await durableStateStore.upsert('a', 0, { n: 1n })).toMatchObject({ revision: 1, persistenceId: 'a' });
    const second = await durableStateStore.upsert('a', 1, { n: 2n });
    expect((await durableStateStore.load('a')).toNullable()).toEqual(second);
    await durableStateStore.delete('a');
    await durableStateStore.delete('a');
    expect((await durableStateStore.load('a')).toNullable()).toBeNull();
    expect(await durableStateStore.upsert('a', 0, 'new')).toMatchObject({ revision: 1 });
  });

  test("refuses with actor-ts's own error, and a bad revision as a bad argument", async () => {
    const { durableStateStore } = stores;
    await durableStateStore.upsert('a', 0, 1);
    const error = await durableStateStore.upsert('a', 0, 2).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DurableStateConcurrencyError);
    expect(error).toMatchObject({ persistenceId: 'a', expected: 0, actual: 1 });
    for (const bad of [-1, 1.5]) {
      await expectJournalError(durableStateStore.upsert('b', bad, 1), 'ERR_VARVE_INVALID_OPTION', 'upsert');
    }
    await durableStateStore.close();
    await expectJournalError(durableStateStore.load('a'), 'ERR_VARVE_CLOSED', 'load');
    await expectJournalError(durableStateStore.delete('a'), 'ERR_VARVE_CLOSED', 'delete');
    expect(durableStateStore.storageLocality).toBe('node-local');
  });
});

describe('opening', () => {
  test('names what a module lacks that is not actor-ts, before anything is opened', async () => {
    const { JournalError: _, ...lacking } = actorTs;
    const other = new SimulatedDisk();
    for (const [module, names] of [
      [lacking, 'JournalError'],
      [{}, 'JournalConcurrencyError, JournalError, DurableStateConcurrencyError, fromNullable'],
      [undefined, 'JournalConcurrencyError, JournalError, DurableStateConcurrencyError, fromNullable'],
    ] as const) {
      const opening = openActorTsStores(module as never, { directory: '/data', disk: other });
      await expect(opening).rejects.toMatchObject({
        ...code('ERR_VARVE_INVALID_OPTION'),
        option: 'actorTs',
        message: expect.stringContaining(`it lacks ${names}.`),
      });
    }
    const store = await open(other);
    await store.close();
  });

  test('over a store of yours leaves it open', async () => {
    const own = await openActorTsStores(actorTs, stores.store);
    await own.journal.append('a', entries(1), 0);
    await own.close();
    await own.close();
    expect(await seqs('a', 1)).toEqual([1]);
    expect(await new EventStoreJournal(stores.store).highestSeq('a')).toBe(1);
  });

  test('refuses bad options', async () => {
    const opening = (where: unknown, options: object) => openActorTsStores(actorTs, where as never, options);
    const refusal = (option: string) => ({ ...code('ERR_VARVE_INVALID_OPTION'), option });
    await expect(opening('./data', {})).rejects.toMatchObject(refusal('place'));
    await expect(opening(stores.store, { keepSnapshots: 0 })).rejects.toMatchObject(refusal('keepSnapshots'));
    await expect(opening(stores.store, { keep: 1 })).rejects.toMatchObject(refusal('keep'));
  });
});
