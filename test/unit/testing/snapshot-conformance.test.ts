/** The suite for snapshot stores: a right one passes every case, and each mistake fails the cases that are about it. */
import { describe, expect, test } from '@jest/globals';
import {
  registerCases,
  type SaveOptions,
  type SnapshotConformanceOptions,
  type SnapshotCriteria,
  snapshotStoreConformance,
} from '../../../src/testing/index.js';
import { MemorySnapshotStore } from '../../support/memory-journal.js';

const options: SnapshotConformanceOptions<unknown> = {
  reopen: async (store) => (store as MemorySnapshotStore).reopened(),
  breakPruning: (store) => {
    (store as MemorySnapshotStore).pruningFails = true;
  },
};

describe('a snapshot store that does everything right', () => {
  registerCases(
    snapshotStoreConformance(() => new MemorySnapshotStore(), options),
    { test },
  );
});

const MISTAKES: [string, typeof MemorySnapshotStore, string[]][] = [
  [
    'gives the last one saved for the latest',
    class extends MemorySnapshotStore {
      override async latest(id: string) {
        return this.snapshots.filter(({ persistenceId }) => persistenceId === id).at(-1);
      }
    },
    ['latest: is the one with the highest sequence number, not the last one saved'],
  ],
  [
    'gives the latest of all persistence ids',
    class extends MemorySnapshotStore {
      override async latest() {
        return [...this.snapshots].sort((a, b) => b.seq - a.seq)[0];
      }
    },
    ['latest: none of an unknown persistence id', 'latest: keeps persistence ids apart'],
  ],
  [
    'keeps two of the same sequence number',
    class extends MemorySnapshotStore {
      override async save(persistenceId: string, seq: number, state: unknown, options: SaveOptions = {}) {
        const { timestamp = Date.now(), keep } = options;
        this.snapshots.push({ persistenceId, seq, state, timestamp });
        if (keep !== undefined) await this.prune(persistenceId, keep).catch(() => {});
      }
    },
    ['save: replaces the one with the same sequence number'],
  ],
  [
    'has no clock',
    class extends MemorySnapshotStore {
      override save(id: string, seq: number, state: unknown, { timestamp = 0, ...rest }: SaveOptions = {}) {
        return super.save(id, seq, state, { ...rest, timestamp });
      }
    },
    ['save: takes the present time for the timestamp'],
  ],
  [
    'cuts off large states',
    class extends MemorySnapshotStore {
      override save(id: string, seq: number, state: unknown, options: SaveOptions = {}) {
        return super.save(id, seq, JSON.stringify(state).length > 1e5 ? {} : state, options);
      }
    },
    ['save: keeps a large state'],
  ],
  [
    'takes before for inclusive',
    class extends MemorySnapshotStore {
      override before(id: string, seq: number) {
        return super.before(id, seq + 1);
      }
    },
    ['before: is the highest one below the sequence number, exclusive'],
  ],
  [
    'finds them in the order of saving',
    class extends MemorySnapshotStore {
      override async latest(id: string) {
        return (await super.find(id))[0];
      }
      override async before(id: string, seq: number) {
        return (await super.find(id, { maxSeq: seq - 1 }))[0];
      }
      override async find(id: string, criteria: SnapshotCriteria = {}) {
        const found = await super.find(id, criteria);
        return this.snapshots.filter((snapshot) => found.includes(snapshot)).reverse();
      }
    },
    ['find: gives all, the highest sequence number first', 'keep: leaves the newest, by sequence number'],
  ],
  ...(
    [
      ['maxSeq', { maxSeq: 100 }],
      ['minSeq', { minSeq: 0 }],
      ['maxTimestamp', { maxTimestamp: Number.MAX_SAFE_INTEGER }],
      ['minTimestamp', { minTimestamp: 0 }],
    ] as const
  ).map(([name, ignored]): [string, typeof MemorySnapshotStore, string[]] => [
    `heeds no ${name} when it finds`,
    class extends MemorySnapshotStore {
      override async before(id: string, seq: number) {
        return (await super.find(id, { maxSeq: seq - 1 }))[0];
      }
      override find(id: string, criteria: SnapshotCriteria = {}) {
        return super.find(id, { ...criteria, ...ignored });
      }
    },
    [
      `find: keeps to ${name}, inclusive`,
      ...(name === 'minSeq' || name === 'maxTimestamp' ? ['find: keeps to all criteria together, inclusive'] : []),
    ],
  ]),
  [
    'deletes down from the sequence number',
    class extends MemorySnapshotStore {
      override delete(id: string, { minSeq, ...criteria }: SnapshotCriteria) {
        // Saving deletes the one that it replaces.
        const replaces = minSeq === criteria.maxSeq && !this.snapshots.some(({ seq }) => seq === minSeq);
        return super.delete(id, replaces && minSeq !== undefined ? { ...criteria, minSeq } : criteria);
      }
    },
    ['delete: deletes one, by its sequence number'],
  ],
  [
    'deletes those that meet any of the criteria',
    class extends MemorySnapshotStore {
      override async delete(id: string, criteria: SnapshotCriteria) {
        const { maxSeq, minTimestamp } = criteria;
        if (maxSeq === undefined || minTimestamp === undefined) return super.delete(id, criteria);
        await super.delete(id, { maxSeq });
        await super.delete(id, { minTimestamp });
      }
    },
    ['delete: deletes those that meet all criteria, and no others'],
  ],
  [
    'deletes from all persistence ids',
    class extends MemorySnapshotStore {
      override async delete(id: string, criteria: SnapshotCriteria) {
        const all = Object.keys(criteria).length === 0;
        for (const { persistenceId } of this.snapshots) await super.delete(all ? persistenceId : id, criteria);
      }
    },
    ['delete: leaves other persistence ids alone'],
  ],
  [
    'keeps the last ones saved',
    class extends MemorySnapshotStore {
      override async prune(id: string, keep: number) {
        if (this.pruningFails) throw new Error('the disk is unwell');
        const kept = this.snapshots.filter(({ persistenceId }) => persistenceId === id).slice(-keep);
        this.snapshots = this.snapshots.filter((one) => one.persistenceId !== id || kept.includes(one));
      }
    },
    ['keep: leaves the newest, by sequence number'],
  ],
  [
    'keeps the newest of all persistence ids',
    class extends MemorySnapshotStore {
      override async prune(_id: string, keep: number) {
        if (this.pruningFails) throw new Error('the disk is unwell');
        this.snapshots = [...this.snapshots].sort((a, b) => b.seq - a.seq).slice(0, keep);
      }
    },
    ['keep: leaves other persistence ids alone'],
  ],
  [
    'fails to save where it fails to delete',
    class extends MemorySnapshotStore {
      override async save(id: string, seq: number, state: unknown, options: SaveOptions = {}) {
        const { keep, ...rest } = options;
        await super.save(id, seq, state, rest);
        if (keep !== undefined) await this.prune(id, keep);
      }
    },
    ['keep: its failure does not fail the save'],
  ],
  [
    'forgets what it has deleted when it is opened again',
    class extends MemorySnapshotStore {
      #all: typeof this.snapshots = [];
      override async delete(id: string, criteria: SnapshotCriteria) {
        this.#all = [...this.snapshots];
        await super.delete(id, criteria);
      }
      override reopened() {
        const store = super.reopened();
        store.snapshots = this.#all;
        return store;
      }
    },
    ['reopen: snapshots are there, and those that were deleted are not'],
  ],
  [
    'cannot be closed twice',
    class extends MemorySnapshotStore {
      #closes = 0;
      override async close() {
        if (++this.#closes === 2) throw new Error('it is closed');
      }
    },
    ['close: can be called twice'],
  ],
];

describe('a snapshot store that', () => {
  test.each(MISTAKES)('%s', async (_mistake, Kind, fails) => {
    const failed: string[] = [];
    for (const { name, run } of snapshotStoreConformance(() => new Kind(), options)) {
      await run().catch(() => failed.push(name));
    }
    expect(failed).toEqual(fails);
  });
});

test('every case is failed by some mistake', () => {
  const failed = new Set(MISTAKES.flatMap(([, , fails]) => fails));
  const names = snapshotStoreConformance(() => new MemorySnapshotStore(), options).map(({ name }) => name);
  expect(names.filter((name) => !failed.has(name))).toEqual([]);
});
