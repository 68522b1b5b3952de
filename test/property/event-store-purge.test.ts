/** Purges and scavenges: random histories held against a map of streams, and power cuts at every operation. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { EventStore } from 'varve';
import { changesDisk, Random, SimulatedDisk } from '../../src/testing/index.js';
import { runs } from '../runs.js';
import { fill, openStore, range, revisionsOf } from '../support/small-stores.js';

interface ModelStream {
  head: number;
  truncateBefore: number;
  maxCount: number | undefined;
  tombstoned: boolean;
}

type Command =
  | { readonly kind: 'append'; readonly stream: number; readonly count: number }
  | { readonly kind: 'truncate' | 'maxCount'; readonly stream: number; readonly at: number }
  | { readonly kind: 'delete' | 'tombstone'; readonly stream: number }
  | { readonly kind: 'purge'; readonly back: number | undefined }
  | { readonly kind: 'scavenge'; readonly threshold: number }
  | { readonly kind: 'reopen' };

const STREAMS = 4;
const stream = fc.nat(STREAMS - 1);
const append = fc.record({ kind: fc.constant('append' as const), stream, count: fc.integer({ min: 1, max: 8 }) });
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: append },
  fc.record({ kind: fc.constantFrom('truncate' as const, 'maxCount' as const), stream, at: fc.nat(30) }),
  fc.record({ kind: fc.constantFrom('delete' as const, 'tombstone' as const), stream }),
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('purge' as const), back: fc.option(fc.nat(30), { nil: undefined }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('scavenge' as const), threshold: fc.constantFrom(0.01, 0.3, 0.5, 1) }),
  },
  fc.record({ kind: fc.constant('reopen' as const) }),
);

class Run {
  readonly model = new Map<string, ModelStream>();
  readonly options: { partitions: number };
  /** Events below it may be gone. */
  floor = 0n;
  purged = 0;
  scavenged = 0;
  /** Events that were moved by scavenges. */
  moved = 0;
  /** By stream: what was given up by earlier metadata. */
  readonly given = new Map<string, number>();
  readonly positions = new Map<string, bigint[]>();
  #disk = new SimulatedDisk();
  store: EventStore = undefined as never;

  constructor(partitions: number) {
    this.options = { partitions };
  }

  async open(): Promise<void> {
    this.store = await openStore(this.#disk, this.options);
  }

  async step(step: Command): Promise<void> {
    const { store } = this;
    if (step.kind === 'reopen') {
      await store.close();
      return this.open();
    }
    if (step.kind === 'scavenge') {
      const { threshold } = step;
      const before = await this.#readAll();
      const dry = await store.scavenge({ threshold, dryRun: true });
      expect(await this.#readAll()).toEqual(before);
      const report = await store.scavenge({ threshold });
      const { segments, events, movedEvents } = report;
      if (this.options.partitions === 1) expect({ segments, events }).toMatchObject({ segments: dry.segments });
      this.scavenged += segments;
      this.moved += movedEvents;
      // What is shown afterwards was shown before.
      const after = await this.#readAll();
      expect(after).toEqual(before.filter((mark) => after.includes(mark)));
      return;
    }
    if (step.kind === 'purge') {
      const last = BigInt(Math.max(0, ...[...this.positions.values()].flat().map(Number)));
      const back = step.back === undefined ? undefined : BigInt(step.back);
      const floor = back === undefined || back > last ? undefined : last - back;
      const dry = await store.purge({ dryRun: true, ...(floor === undefined ? {} : { floor }) });
      const report = await store.purge(floor === undefined ? {} : { floor });
      expect(report.segments).toBe(dry.segments);
      this.purged += report.segments;
      if (floor !== undefined && floor > this.floor) this.floor = floor;
      return;
    }
    const name = `s-${step.stream}`;
    const known = this.model.get(name) ?? { head: -1, truncateBefore: 0, maxCount: undefined, tombstoned: false };
    const alive = known.head >= known.truncateBefore && !known.tombstoned;
    switch (step.kind) {
      case 'append': {
        const events = range(1, step.count).map(() => ({ type: 'T', data: 'x'.repeat(250) }));
        const appending = store.appendToStream(name, events, {
          expectedRevision: alive ? BigInt(known.head) : 'noStream',
        });
        if (known.tombstoned) {
          await expect(appending).rejects.toMatchObject({ code: 'ERR_VARVE_STREAM_TOMBSTONED' });
          return;
        }
        const { positions } = await appending;
        this.positions.set(name, [...(this.positions.get(name) ?? []), ...positions]);
        known.head += step.count;
        break;
      }
      case 'truncate':
        if (!alive) return;
        this.#giveUp(name, known);
        known.truncateBefore = Math.max(known.truncateBefore, Math.min(step.at, known.head + 1));
        await store.truncateStream(name, BigInt(step.at));
        break;
      case 'maxCount':
        if (!alive) return;
        this.#giveUp(name, known); // the next word may bring back what no purge has taken yet
        [known.maxCount, known.truncateBefore] = [step.at + 1, 0];
        await store.setStreamMetadata(name, { maxCount: step.at + 1 });
        break;
      case 'delete':
        if (!alive) return;
        known.truncateBefore = known.head + 1;
        await store.deleteStream(name);
        break;
      case 'tombstone':
        if (!alive) return;
        known.tombstoned = true;
        await store.tombstoneStream(name);
    }
    this.model.set(name, known);
  }

  async #readAll(): Promise<string[]> {
    const events = await this.store.readAll().toArray();
    return events.map(({ stream: id, revision, position, lsn }) => `${id}@${revision}:${position}/${lsn}`);
  }

  /** In every manner of reading, an event is where it was appended, and of a stream a suffix is left. */
  async #checkAll(): Promise<void> {
    const all = await this.store.readAll({ filter: { categories: ['s'] } }).toArray();
    const shown = all.map(({ position }) => position);
    expect(shown).toEqual([...shown].sort((a, b) => Number(a - b)));
    const backwards = { direction: 'backwards', filter: { categories: ['s'] } } as const;
    expect((await this.store.readAll(backwards).toArray()).map(({ position }) => position).reverse()).toEqual(shown);
    const everything = await this.store.readAll().toArray();
    expect(everything.filter(({ stream: id }) => id.startsWith('s-'))).toEqual(all);
    const back = await this.store.readAll({ direction: 'backwards' }).toArray();
    expect(back.reverse()).toEqual(everything);
    const middle = shown[shown.length >> 1];
    if (middle !== undefined) {
      const from = (await this.store.readAll({ from: middle, filter: { categories: ['s'] } }).toArray())[0];
      expect(from?.position).toBe(middle);
    }
    for (const [name, positions] of this.positions) {
      const own = all.filter(({ stream: id }) => id === name);
      expect(own.map(({ revision }) => Number(revision))).toEqual(
        range(positions.length - own.length, positions.length - 1),
      );
      expect(own.map(({ position }) => position)).toEqual(positions.slice(positions.length - own.length));
    }
  }

  async check(): Promise<void> {
    await this.#checkAll();
    for (const [name, { head, truncateBefore, maxCount, tombstoned }] of this.model) {
      const found = await this.store.streamHead(name);
      const alive = head >= truncateBefore && head >= 0 && !tombstoned;
      expect(found?.revision).toBe(alive ? BigInt(head) : undefined);
      const revisions = await revisionsOf(this.store, name);
      if (!alive) {
        expect(revisions).toEqual([]);
        continue;
      }
      const oldest = Math.max(truncateBefore, maxCount === undefined ? 0 : head - maxCount + 1);
      // A suffix of what is alive, and all of it that no floor has reached and no earlier word has given up.
      expect(revisions).toEqual(range(head - revisions.length + 1, head));
      expect(revisions[0] ?? oldest).toBeGreaterThanOrEqual(oldest);
      const positions = this.positions.get(name) as bigint[];
      const from = Math.max(oldest, this.given.get(name) ?? 0);
      const kept = range(from, head).filter((revision) => (positions[revision] as bigint) >= this.floor);
      expect(revisions).toEqual(expect.arrayContaining(kept));
    }
  }

  /** Events that were given up once may be gone, though later metadata would keep them. */
  #giveUp(name: string, { head, truncateBefore, maxCount }: ModelStream): void {
    const oldest = Math.max(truncateBefore, maxCount === undefined ? 0 : head - maxCount + 1);
    this.given.set(name, Math.max(oldest, this.given.get(name) ?? 0));
  }
}

test.each([1, 2])('what is kept is there, and revisions go on, with %d partitions', async (partitions) => {
  let [purged, scavenged, moved] = [0, 0, 0];
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 20, maxLength: 60 }), async (steps) => {
      const run = new Run(partitions);
      await run.open();
      try {
        for (const step of steps) {
          await run.step(step);
          if (step.kind === 'purge' || step.kind === 'scavenge' || step.kind === 'reopen') await run.check();
        }
        await run.check();
      } finally {
        await run.store.close();
      }
      purged += run.purged;
      scavenged += run.scavenged;
      moved += run.moved;
    }),
    { numRuns: runs(15) },
  );
  expect(purged).toBeGreaterThan(0);
  expect(scavenged).toBeGreaterThan(0);
  expect(moved).toBeGreaterThan(0);
});

describe('a crash anywhere in a purge', () => {
  /** Streams with their newest revision and what is to be read of them, as long as it is not below the floor. */
  const check = async (disk: SimulatedDisk, partitions: number) => {
    const store = await openStore(disk, { partitions });
    try {
      expect((await store.streamHead('expired'))?.revision).toBe(24n);
      expect(await store.streamExists('deleted')).toBe(false);
      await expect(store.appendToStream('buried', { type: 'A' })).rejects.toMatchObject({
        code: 'ERR_VARVE_STREAM_TOMBSTONED',
      });
      expect(await store.getStreamMetadata('counted')).toMatchObject({ maxCount: 2 });
      expect(await revisionsOf(store, 'counted')).toEqual([28, 29]);
      const expired = await revisionsOf(store, 'expired');
      expect(expired).toEqual(range(25 - expired.length, 24));
      const next = await store.appendToStream('deleted', { type: 'A' }, { expectedRevision: 'noStream' });
      expect(next.nextExpectedRevision).toBe(15n);
      await store.purge({ floor: { checkpoint: store.checkpoint() } });
      expect((await store.streamHead('expired'))?.revision).toBe(24n);
    } finally {
      await store.close();
    }
  };

  test.each([1, 2])('with %d partitions', async (partitions) => {
    const disk = new SimulatedDisk({ seed: 7 });
    const store = await openStore(disk, { partitions });
    await fill(store, 'expired', 25);
    await fill(store, 'deleted', 15);
    await fill(store, 'buried', 5);
    await store.setStreamMetadata('counted', { maxCount: 2 });
    await fill(store, 'other', 20);
    await store.deleteStream('deleted');
    await store.tombstoneStream('buried');
    const floor = { checkpoint: store.checkpoint() };
    await fill(store, 'counted', 30);
    const states: SimulatedDisk[] = [];
    const random = new Random(11);
    disk.onOperation = (operation, when) => {
      if (!changesDisk(operation) || random.chance(0.5)) return;
      if (when === 'before') states.push(disk.crashed(random));
      else states.push(disk.crashed(random, random.chance(0.5) ? 'none' : 'all'));
    };
    const report = await store.purge({ floor });
    disk.onOperation = undefined;
    await store.close();
    expect(report.segments).toBeGreaterThan(2);
    expect(states.length).toBeGreaterThan(20);
    for (const state of states) await check(state, partitions);
  });
});
