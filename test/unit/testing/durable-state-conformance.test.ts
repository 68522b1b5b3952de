/** The suite for durable states: a right store passes every case, and each mistake fails the cases that are about it. */
import { describe, expect, test } from '@jest/globals';
import {
  DurableStateConcurrencyError,
  type DurableStateConformanceOptions,
  durableStateConformance,
  registerCases,
} from '../../../src/testing/index.js';
import { MemoryStates } from '../../support/memory-journal.js';

const options: DurableStateConformanceOptions<unknown> = {
  unstorable: () => {},
  reopen: async (store) => (store as MemoryStates).reopened(),
};

describe('a store of durable states that does everything right', () => {
  registerCases(
    durableStateConformance(() => new MemoryStates(), options),
    { test },
  );
});

const turn = () => new Promise((resolve) => setImmediate(resolve));

const MISTAKES: [string, typeof MemoryStates, string[]][] = [
  [
    'gives the last one written for any persistence id',
    class extends MemoryStates {
      override async load(id: string) {
        return this.states.get(id) ?? [...this.states.values()].at(-1);
      }
    },
    ['load: none of an unknown persistence id'],
  ],
  [
    'counts from 0',
    class extends MemoryStates {
      override async upsert(id: string, expected: number, state: unknown) {
        const stored = await super.upsert(id, expected, state);
        return { ...stored, revision: stored.revision - 1 };
      }
    },
    ['upsert: the first one is revision 1, each after it one more'],
  ],
  [
    'gives the present time for that of the state',
    class extends MemoryStates {
      override async load(id: string) {
        const found = await super.load(id);
        return found && { ...found, timestamp: Date.now() + 1 };
      }
    },
    ['upsert: resolves with the time that load gives'],
  ],
  [
    'accepts a revision that is too low',
    class extends MemoryStates {
      override check(id: string, expected: number) {
        const actual = this.states.get(id)?.revision ?? 0;
        if (expected > actual) throw new DurableStateConcurrencyError(id, expected, actual);
      }
    },
    [
      'upsert: refuses a revision that is too low, and keeps the state',
      'upsert: refuses to make a state that is there',
      'upsert: of several owners at once, one wins',
      'reopen: states are there, and writing goes on',
    ],
  ],
  [
    'accepts a revision that is too high',
    class extends MemoryStates {
      override check(id: string, expected: number) {
        const actual = this.states.get(id)?.revision ?? 0;
        if (expected < actual) throw new DurableStateConcurrencyError(id, expected, actual);
      }
    },
    [
      'upsert: refuses a revision that is too high, and keeps the state',
      'upsert: refuses a revision where there is no state',
      'delete: revisions begin again, and an owner of the state that was there is refused',
    ],
  ],
  [
    'takes a turn between its check and its write',
    class extends MemoryStates {
      override async upsert(id: string, expected: number, state: unknown) {
        this.check(id, expected);
        const later = new MemoryStates();
        later.check = () => {};
        const stored = await later.upsert(id, expected, state);
        await turn();
        this.states.set(id, stored);
        return stored;
      }
    },
    ['upsert: of several owners at once, one wins', 'close: writes are refused afterwards'],
  ],
  [
    'folds the case of persistence ids',
    class extends MemoryStates {
      override async upsert(id: string, expected: number, state: unknown) {
        const stored = await super.upsert(id.toLowerCase(), expected, state);
        return { ...stored, persistenceId: id };
      }
    },
    ['upsert: keeps persistence ids apart'],
  ],
  [
    'loses empty texts',
    class extends MemoryStates {
      override upsert(id: string, expected: number, state: unknown) {
        return super.upsert(id, expected, state === '' ? null : state);
      }
    },
    ['upsert: keeps every kind of state'],
  ],
  [
    'gives up the state that was there for one that it cannot keep',
    class extends MemoryStates {
      override upsert(id: string, expected: number, state: unknown) {
        if (typeof state === 'function') this.states.delete(id);
        return super.upsert(id, expected, state);
      }
    },
    ['upsert: refuses what it cannot keep, and keeps what was there'],
  ],
  [
    'takes the state when it gets to it',
    class extends MemoryStates {
      override async upsert(id: string, expected: number, state: unknown) {
        await turn();
        return super.upsert(id, expected, state);
      }
    },
    ['upsert: takes the state as it is at the call'],
  ],
  [
    'deletes the text of a state and not the state',
    class extends MemoryStates {
      override async delete(id: string) {
        const found = this.states.get(id);
        if (found !== undefined) this.states.set(id, { ...found, state: undefined });
      }
    },
    [
      'delete: the state is gone',
      'delete: can be called twice, and of an unknown persistence id',
      'delete: revisions begin again, and an owner of the state that was there is refused',
      'reopen: what was deleted stays deleted',
    ],
  ],
  [
    'deletes everything',
    class extends MemoryStates {
      override async delete() {
        this.states.clear();
      }
    },
    ['delete: leaves other persistence ids alone'],
  ],
  [
    'forgets when it is opened again',
    class extends MemoryStates {
      override reopened() {
        return new (this.constructor as new () => this)();
      }
    },
    ['reopen: states are there, and writing goes on'],
  ],
  [
    'cannot be closed twice',
    class extends MemoryStates {
      #closes = 0;
      override async close() {
        await super.close();
        if (++this.#closes === 2) throw new Error('it is closed');
      }
    },
    ['close: can be called twice', 'close: writes are refused afterwards'],
  ],
  [
    'goes on when it is closed',
    class extends MemoryStates {
      override async close() {}
    },
    ['close: writes are refused afterwards'],
  ],
];

async function failing(Kind: typeof MemoryStates): Promise<string[]> {
  const failed: string[] = [];
  for (const { name, run } of durableStateConformance(() => new Kind(), options)) {
    await run().catch(() => failed.push(name));
  }
  return failed;
}

describe('a store of durable states that', () => {
  test.each(MISTAKES)('%s', async (_mistake, Kind, fails) => {
    expect(await failing(Kind)).toEqual(fails);
  });

  test('was given nothing to reopen and nothing unstorable has those cases skipped', () => {
    const skipped = durableStateConformance(() => new MemoryStates()).filter((one) => one.skipped !== undefined);
    expect(skipped.map(({ name }) => name)).toEqual([
      'upsert: refuses what it cannot keep, and keeps what was there',
      'reopen: states are there, and writing goes on',
      'reopen: what was deleted stays deleted',
    ]);
  });
});

test('every case is failed by some mistake', () => {
  const failed = new Set(MISTAKES.flatMap(([, , fails]) => fails));
  const names = durableStateConformance(() => new MemoryStates(), options).map(({ name }) => name);
  expect(names.filter((name) => !failed.has(name))).toEqual([]);
});
