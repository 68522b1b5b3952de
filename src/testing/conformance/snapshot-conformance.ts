/** What every snapshot store must do, as named cases for any test runner. */
import assert from 'node:assert/strict';
import type { Snapshot, SnapshotCriteria, SnapshotStore } from '../../adapter/journal/snapshot-store.js';
import { type Check, type ConformanceCase, casesOf } from './case.js';

export interface SnapshotConformanceOptions<State> {
  /** The `n`th of many different states that the store can keep. Default: `{ n, text }`. */
  readonly state?: (n: number) => State;
  /** A large state. Default: a text of 1 MiB, or the first state where `state` is given. */
  readonly large?: State;
  /** Closes the store and opens another one on the same data. Without it, one case is skipped. */
  readonly reopen?: (store: SnapshotStore<State>) => Promise<SnapshotStore<State>>;
  /** Has every deletion behind a save fail from now on. Without it, one case is skipped. */
  readonly breakPruning?: (store: SnapshotStore<State>) => void | Promise<void>;
}

class Fixture<State> {
  store: SnapshotStore<State>;
  readonly #options: SnapshotConformanceOptions<State>;

  constructor(store: SnapshotStore<State>, options: SnapshotConformanceOptions<State>) {
    this.store = store;
    this.#options = options;
  }

  state(n: number): State {
    return this.#options.state?.(n) ?? ({ n, text: `state ${n}` } as State);
  }

  /** A megabyte, where states are free to be anything. */
  large(): State {
    const { large, state } = this.#options;
    return large ?? state?.(1) ?? ({ text: 'x'.repeat(1024 * 1024) } as State);
  }

  /** Saves states of `a`, as of these sequence numbers, at times ten times as large. */
  async save(...seqs: readonly number[]): Promise<void> {
    for (const seq of seqs) await this.store.save('a', seq, this.state(seq), { timestamp: seq * 10 });
  }

  /** Checks that this is the snapshot of `a` as of `seq`. */
  is(snapshot: Snapshot<State> | undefined, seq: number): void {
    assert.deepEqual({ ...snapshot }, { persistenceId: 'a', seq, state: this.state(seq), timestamp: seq * 10 });
  }

  async left(criteria?: SnapshotCriteria): Promise<number[]> {
    return (await this.store.find('a', criteria)).map(({ seq }) => seq);
  }

  async reopen(): Promise<void> {
    assert(this.#options.reopen !== undefined);
    this.store = await this.#options.reopen(this.store);
  }

  async breakPruning(): Promise<void> {
    await this.#options.breakPruning?.(this.store);
  }

  close(): Promise<void> {
    return this.store.close();
  }
}

/** `make` opens an empty snapshot store; each case has one of its own and closes it. */
export function snapshotStoreConformance<State = unknown>(
  make: () => SnapshotStore<State> | Promise<SnapshotStore<State>>,
  options: SnapshotConformanceOptions<State> = {},
): ConformanceCase[] {
  const checks = [...loadChecks<State>(), ...deleteChecks<State>(options)];
  return casesOf(checks, async () => new Fixture(await make(), options));
}

function loadChecks<State>(): Check<Fixture<State>>[] {
  return [
    {
      name: 'latest: none of an unknown persistence id',
      check: async (fixture) => {
        await fixture.save(1);
        assert.equal(await fixture.store.latest('b'), undefined);
      },
    },
    {
      name: 'latest: is the one with the highest sequence number, not the last one saved',
      check: async (fixture) => {
        await fixture.save(5, 9, 7);
        fixture.is(await fixture.store.latest('a'), 9);
      },
    },
    {
      name: 'latest: keeps persistence ids apart',
      check: async (fixture) => {
        await fixture.save(1);
        await fixture.store.save('b', 2, fixture.state(2), { timestamp: 20 });
        fixture.is(await fixture.store.latest('a'), 1);
      },
    },
    {
      name: 'save: replaces the one with the same sequence number',
      check: async (fixture) => {
        await fixture.store.save('a', 5, fixture.state(1), { timestamp: 1 });
        await fixture.save(5);
        assert.deepEqual(await fixture.left(), [5]);
        fixture.is((await fixture.store.find('a'))[0], 5);
      },
    },
    {
      name: 'save: takes the present time for the timestamp',
      check: async (fixture) => {
        await fixture.store.save('a', 1, fixture.state(1));
        const [only] = await fixture.store.find('a');
        const age = Date.now() - (only?.timestamp ?? 0);
        assert(Math.abs(age) < 60_000, `the timestamp is ${age} ms old`);
      },
    },
    {
      name: 'save: keeps a large state',
      check: async (fixture) => {
        const large = fixture.large();
        await fixture.store.save('a', 1, large);
        assert.deepEqual((await fixture.store.find('a'))[0]?.state, large);
      },
    },
    {
      name: 'before: is the highest one below the sequence number, exclusive',
      check: async (fixture) => {
        await fixture.save(3, 5, 7);
        fixture.is(await fixture.store.before('a', 7), 5);
        fixture.is(await fixture.store.before('a', 100), 7);
        assert.equal(await fixture.store.before('a', 3), undefined);
      },
    },
    {
      name: 'find: gives all, the highest sequence number first',
      check: async (fixture) => {
        await fixture.save(5, 9, 7);
        assert.deepEqual(await fixture.left(), [9, 7, 5]);
      },
    },
    ...(
      [
        ['maxSeq', { maxSeq: 6 }, [6, 4, 2]],
        ['minSeq', { minSeq: 6 }, [8, 6]],
        ['maxTimestamp', { maxTimestamp: 60 }, [6, 4, 2]],
        ['minTimestamp', { minTimestamp: 60 }, [8, 6]],
        ['all criteria together', { minSeq: 4, maxTimestamp: 79 }, [6, 4]],
      ] as const
    ).map(([name, criteria, left]) => ({
      name: `find: keeps to ${name}, inclusive`,
      check: async (fixture: Fixture<State>) => {
        await fixture.save(2, 4, 6, 8);
        assert.deepEqual(await fixture.left(criteria), left);
      },
    })),
  ];
}

function deleteChecks<State>(options: SnapshotConformanceOptions<State>): Check<Fixture<State>>[] {
  return [
    {
      name: 'delete: deletes one, by its sequence number',
      check: async (fixture) => {
        await fixture.save(2, 4, 6);
        await fixture.store.delete('a', { minSeq: 4, maxSeq: 4 });
        assert.deepEqual(await fixture.left(), [6, 2]);
      },
    },
    {
      name: 'delete: deletes those that meet all criteria, and no others',
      check: async (fixture) => {
        await fixture.save(2, 4, 6, 8);
        await fixture.store.delete('a', { maxSeq: 6, minTimestamp: 40 });
        assert.deepEqual(await fixture.left(), [8, 2]);
      },
    },
    {
      name: 'delete: leaves other persistence ids alone',
      check: async (fixture) => {
        await fixture.save(2);
        await fixture.store.save('b', 2, fixture.state(2));
        await fixture.store.delete('b', {});
        assert.deepEqual(await fixture.left(), [2]);
      },
    },
    {
      name: 'keep: leaves the newest, by sequence number',
      check: async (fixture) => {
        await fixture.save(8, 2, 4);
        await fixture.store.save('a', 6, fixture.state(6), { keep: 2 });
        assert.deepEqual(await fixture.left(), [8, 6]);
      },
    },
    {
      name: 'keep: leaves other persistence ids alone',
      check: async (fixture) => {
        await fixture.save(2, 4);
        await fixture.store.save('b', 9, fixture.state(9), { keep: 1 });
        assert.deepEqual(await fixture.left(), [4, 2]);
      },
    },
    {
      name: 'keep: its failure does not fail the save',
      skipped: options.breakPruning === undefined ? 'no breakPruning was given' : undefined,
      check: async (fixture) => {
        await fixture.save(2, 4);
        await fixture.breakPruning();
        await fixture.store.save('a', 6, fixture.state(6), { keep: 1, timestamp: 60 });
        fixture.is(await fixture.store.latest('a'), 6);
      },
    },
    {
      name: 'reopen: snapshots are there, and those that were deleted are not',
      skipped: options.reopen === undefined ? 'no reopen was given' : undefined,
      check: async (fixture) => {
        await fixture.save(2, 4, 6);
        await fixture.store.delete('a', { maxSeq: 2 });
        await fixture.reopen();
        assert.deepEqual(await fixture.left(), [6, 4]);
      },
    },
    {
      name: 'close: can be called twice',
      check: async (fixture) => {
        await fixture.store.close();
        await fixture.store.close();
      },
    },
  ];
}
