/** What every store of durable states must do, as named cases for any test runner. */
import assert from 'node:assert/strict';
import type { DurableStateConcurrencyError, DurableStateStore } from '../../adapter/journal/durable-state-store.js';
import { type Check, type ConformanceCase, casesOf, rejection } from './case.js';

export interface DurableStateConformanceOptions<State> {
  /** The `n`th of many different states that the store can keep. Default: `{ n, text }`. */
  readonly state?: (n: number) => State;
  /** States of every kind that the store promises to keep. Default: some that JSON keeps. */
  readonly samples?: readonly State[];
  /** A state that the store can't keep, such as a function for a codec. Without it, one case is skipped. */
  readonly unstorable?: State;
  /** Closes the store and opens another one on the same data. Without it, cases are skipped. */
  readonly reopen?: (store: DurableStateStore<State>) => Promise<DurableStateStore<State>>;
}

class Fixture<State> {
  store: DurableStateStore<State>;
  readonly #options: DurableStateConformanceOptions<State>;

  constructor(store: DurableStateStore<State>, options: DurableStateConformanceOptions<State>) {
    this.store = store;
    this.#options = options;
  }

  state(n: number): State {
    return this.#options.state?.(n) ?? ({ n, text: `state ${n}` } as State);
  }

  /** Writes the states 1 … `count` of an id that has none. */
  async write(persistenceId: string, count: number): Promise<void> {
    for (let n = 1; n <= count; n++) await this.store.upsert(persistenceId, n - 1, this.state(n));
  }

  /** Checks that `persistenceId` has the `n`th state, at `revision`. */
  async expect(persistenceId: string, revision: number, n = revision): Promise<void> {
    const loaded = await this.store.load(persistenceId);
    const { timestamp: _, ...rest } = loaded ?? {};
    assert.deepEqual(rest, { persistenceId, revision, state: this.state(n) });
  }

  async expectConflict(persistenceId: string, expectedRevision: number, actualRevision: number): Promise<void> {
    const upsert = this.store.upsert(persistenceId, expectedRevision, this.state(99));
    const error = await rejection(upsert, `an upsert at ${expectedRevision} of ${actualRevision} must be refused`);
    const { name, ...fields } = error as DurableStateConcurrencyError;
    const { expectedRevision: expected, actualRevision: actual, persistenceId: id } = fields;
    assert.deepEqual(
      { name, id, expected, actual },
      { name: 'DurableStateConcurrencyError', id: persistenceId, expected: expectedRevision, actual: actualRevision },
    );
  }

  async reopen(): Promise<void> {
    assert(this.#options.reopen !== undefined);
    this.store = await this.#options.reopen(this.store);
  }

  close(): Promise<void> {
    return this.store.close();
  }
}

/** `make` opens an empty store; each case has one of its own and closes it. */
export function durableStateConformance<State = unknown>(
  make: () => DurableStateStore<State> | Promise<DurableStateStore<State>>,
  options: DurableStateConformanceOptions<State> = {},
): ConformanceCase[] {
  const checks = [...upsertChecks(options), ...deleteChecks<State>(), ...reopenChecks(options)];
  return casesOf(checks, async () => new Fixture(await make(), options));
}

function upsertChecks<State>(options: DurableStateConformanceOptions<State>): Check<Fixture<State>>[] {
  return [
    {
      name: 'load: none of an unknown persistence id',
      check: async (fixture) => {
        await fixture.write('a', 1);
        assert.equal(await fixture.store.load('b'), undefined);
      },
    },
    {
      name: 'upsert: the first one is revision 1, each after it one more',
      check: async (fixture) => {
        for (let n = 1; n <= 4; n++) {
          const { persistenceId, revision, state } = await fixture.store.upsert('a', n - 1, fixture.state(n));
          assert.deepEqual(
            { persistenceId, revision, state },
            { persistenceId: 'a', revision: n, state: fixture.state(n) },
          );
          await fixture.expect('a', n);
        }
      },
    },
    {
      name: 'upsert: resolves with the time that load gives',
      check: async (fixture) => {
        const [before, after] = [Date.now() - 60_000, Date.now() + 60_000];
        const { timestamp } = await fixture.store.upsert('a', 0, fixture.state(1));
        assert(timestamp > before && timestamp < after, `timestamp ${timestamp}`);
        assert.equal((await fixture.store.load('a'))?.timestamp, timestamp);
      },
    },
    {
      name: 'upsert: refuses a revision that is too low, and keeps the state',
      check: async (fixture) => {
        await fixture.write('a', 3);
        await fixture.expectConflict('a', 2, 3);
        await fixture.expect('a', 3);
      },
    },
    {
      name: 'upsert: refuses a revision that is too high, and keeps the state',
      check: async (fixture) => {
        await fixture.write('a', 3);
        await fixture.expectConflict('a', 4, 3);
        await fixture.expect('a', 3);
      },
    },
    {
      name: 'upsert: refuses to make a state that is there',
      check: async (fixture) => {
        await fixture.write('a', 1);
        await fixture.expectConflict('a', 0, 1);
        await fixture.expect('a', 1);
      },
    },
    {
      name: 'upsert: refuses a revision where there is no state',
      check: async (fixture) => {
        await fixture.expectConflict('a', 1, 0);
        assert.equal(await fixture.store.load('a'), undefined);
      },
    },
    {
      name: 'upsert: of several owners at once, one wins',
      check: async (fixture) => {
        for (let n = 0; n < 3; n++) {
          const owners = Array.from({ length: 8 }, (_, i) => fixture.store.upsert('a', n, fixture.state(10 * n + i)));
          const outcomes = await Promise.allSettled(owners);
          const winners = outcomes.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : []));
          assert.equal(winners.length, 1, `${winners.length} of 8 upserts at revision ${n} were accepted`);
          await fixture.expect('a', n + 1, 10 * n + (winners[0] as number));
        }
      },
    },
    {
      name: 'upsert: keeps persistence ids apart',
      check: async (fixture) => {
        await fixture.write('a', 2);
        await fixture.store.upsert('A', 0, fixture.state(7));
        await fixture.expect('a', 2);
        await fixture.expect('A', 1, 7);
      },
    },
    {
      name: 'upsert: keeps every kind of state',
      check: async (fixture) => {
        const samples =
          options.samples ?? (options.state === undefined ? (JSON_SAMPLES as State[]) : [options.state(1)]);
        for (const [i, sample] of samples.entries()) {
          await fixture.store.upsert('a', i, sample);
          assert.deepEqual((await fixture.store.load('a'))?.state, sample);
        }
      },
    },
    {
      name: 'upsert: refuses what it cannot keep, and keeps what was there',
      skipped: options.unstorable === undefined ? 'no unstorable state was given' : undefined,
      check: async (fixture) => {
        await fixture.write('a', 1);
        const upsert = fixture.store.upsert('a', 1, options.unstorable as State);
        await rejection(upsert, 'the state that cannot be kept must be refused');
        await fixture.expect('a', 1);
      },
    },
    {
      name: 'upsert: takes the state as it is at the call',
      check: async (fixture) => {
        // The first write of an id and those that follow may go different ways.
        for (let n = 1; n <= 2; n++) {
          const state = fixture.state(n);
          const upsert = fixture.store.upsert('a', n - 1, state);
          if (typeof state === 'object' && state !== null) Object.assign(state, fixture.state(50));
          await upsert;
          await fixture.expect('a', n);
        }
      },
    },
  ];
}

function deleteChecks<State>(): Check<Fixture<State>>[] {
  return [
    {
      name: 'delete: the state is gone',
      check: async (fixture) => {
        await fixture.write('a', 2);
        await fixture.store.delete('a');
        assert.equal(await fixture.store.load('a'), undefined);
      },
    },
    {
      name: 'delete: can be called twice, and of an unknown persistence id',
      check: async (fixture) => {
        await fixture.write('a', 1);
        await fixture.store.delete('a');
        await fixture.store.delete('a');
        await fixture.store.delete('b');
        assert.equal(await fixture.store.load('a'), undefined);
      },
    },
    {
      name: 'delete: revisions begin again, and an owner of the state that was there is refused',
      check: async (fixture) => {
        await fixture.write('a', 2);
        await fixture.store.delete('a');
        await fixture.expectConflict('a', 2, 0);
        await fixture.store.upsert('a', 0, fixture.state(5));
        await fixture.expect('a', 1, 5);
        await fixture.expectConflict('a', 2, 1);
        await fixture.store.upsert('a', 1, fixture.state(6));
        await fixture.expect('a', 2, 6);
      },
    },
    {
      name: 'delete: leaves other persistence ids alone',
      check: async (fixture) => {
        await fixture.write('a', 1);
        await fixture.write('b', 2);
        await fixture.store.delete('a');
        await fixture.expect('b', 2);
      },
    },
  ];
}

function reopenChecks<State>({ reopen }: DurableStateConformanceOptions<State>): Check<Fixture<State>>[] {
  const skipped = reopen === undefined ? 'no reopen was given' : undefined;
  return [
    {
      name: 'reopen: states are there, and writing goes on',
      skipped,
      check: async (fixture) => {
        await fixture.write('a', 3);
        await fixture.reopen();
        await fixture.expect('a', 3);
        await fixture.expectConflict('a', 2, 3);
        await fixture.store.upsert('a', 3, fixture.state(4));
        await fixture.expect('a', 4);
      },
    },
    {
      name: 'reopen: what was deleted stays deleted',
      skipped,
      check: async (fixture) => {
        await fixture.write('a', 2);
        await fixture.store.delete('a');
        await fixture.reopen();
        assert.equal(await fixture.store.load('a'), undefined);
        await fixture.store.upsert('a', 0, fixture.state(1));
        await fixture.expect('a', 1);
      },
    },
    {
      name: 'close: can be called twice',
      check: async (fixture) => {
        await fixture.store.close();
        await fixture.store.close();
      },
    },
    {
      name: 'close: writes are refused afterwards',
      check: async (fixture) => {
        await fixture.write('a', 1);
        await fixture.store.close();
        await rejection(fixture.store.upsert('a', 1, fixture.state(2)), 'a closed store must not accept states');
      },
    },
  ];
}

const JSON_SAMPLES: unknown[] = [
  {},
  '',
  'a\0b\u2028 ä 事 🪨',
  -1.5,
  true,
  null,
  [[{ deep: [{}] }]],
  { constructor: 1, toString: 'x' },
  { large: 'x'.repeat(100_000) },
];
