/** Disks that are full, and partitions that fail: nothing is acknowledged that is not there, nothing is half done. */
import { describe, expect, test } from '@jest/globals';
import type { EventStore } from 'varve';
import { SimulatedDisk } from '../../../src/testing/simulated-disk.js';
import { History, open } from '../../support/event-history.js';
import { settles, turns, within } from '../../support/logs.js';

const SMALL = { segmentSize: 8192, preallocate: { segments: 0 }, recycle: 0 };
const event = (size = 0) => ({ type: 'T', data: 'x'.repeat(size) });
const fill = (disk: SimulatedDisk) =>
  disk.faults.add({ kind: 'allocate', file: '*', times: Number.POSITIVE_INFINITY, fault: { error: 'ENOSPC' } });

/** A stream in each of two partitions; `prepare` comes before what leaves little room in the second. */
async function twoStreams<T>(store: EventStore, prepare: () => T): Promise<[string, string, T]> {
  const streams = ['a', 'b', 'c', 'd', 'e'];
  for (const stream of streams) await store.appendToStream(stream, event());
  const events = await store.readAll().toArray();
  const of = (partition: number) => events.find((each) => each.partition === partition)?.stream as string;
  const [one, two] = [of(1), of(2)];
  const prepared = prepare();
  for (let i = 0; i < 2; i++) await store.appendToStream(two, event(1200));
  return [one, two, prepared];
}
const revisions = async (store: EventStore, stream: string) =>
  (await store.readStream(stream).toArray()).map(({ revision }) => Number(revision));

test('appends at the same time are together no larger than a segment', async () => {
  const store = await open(new SimulatedDisk(), { ...SMALL, segmentSize: 5120 });
  await Promise.all(Array.from({ length: 10 }, () => store.appendToStream('s', event(400))));
  expect(await revisions(store, 's')).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  await store.close();
});

describe('without space', () => {
  test.each([1, 3])(
    'appends are refused, and go on densely when it has returned: %i partitions',
    async (partitions) => {
      const disk = new SimulatedDisk();
      const options = { ...SMALL, partitions, whenFull: 'refuse' as const };
      const store = await open(disk, options);
      const history = new History();
      const append = (stream: string) => history.append(store, [{ stream, count: 2 }], 200);
      for (let i = 0; i < 5; i++) await append('a');
      const lift = fill(disk);
      const outcomes = await Promise.allSettled(Array.from({ length: 40 }, (_, i) => append(i % 2 ? 'a' : 'b-1')));
      const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
      expect(refused.length).toBeGreaterThan(10);
      for (const { reason } of refused) expect(reason).toMatchObject({ code: 'ERR_VARVE_NO_SPACE' });
      await history.check(store);
      lift();
      while (!(await append('a').catch(() => false))) await turns();
      await Promise.all([append('a'), append('b-1'), append('d')]);
      await history.check(store);
      await store.close();
      const again = await open(disk, options);
      await history.check(again);
      await again.close();
    },
  );

  test('what is decided over several partitions waits for space, though appends are refused', async () => {
    const disk = new SimulatedDisk();
    const store = await open(disk, { ...SMALL, partitions: 2, whenFull: 'refuse' });
    const [one, two, lift] = await twoStreams(store, () => fill(disk));
    const both = store.appendToStreams([
      { stream: one, events: [event()] },
      { stream: two, events: [event(2000)] },
    ]);
    const behind = store.appendToStream(one, event());
    expect(await settles(both, 20)).toBe(false);
    lift();
    await within(both, 'the append over both');
    await within(behind, 'the append behind it');
    expect(await revisions(store, one)).toEqual([0, 1, 2]);
    expect(await revisions(store, two)).toEqual([0, 1, 2, 3]);
    await store.close();
  });

  test('what is decided is done at the next open, if the store is closed before space returns', async () => {
    const disk = new SimulatedDisk();
    for (const whenFull of ['refuse', 'wait'] as const) {
      const options = { ...SMALL, directory: `/${whenFull}`, partitions: 2, whenFull };
      const store = await open(disk, options);
      const [one, two, lift] = await twoStreams(store, () => fill(disk));
      const both = store.appendToStreams([
        { stream: one, events: [event()] },
        { stream: two, events: [event(2000)] },
      ]);
      both.catch(() => {});
      await turns();
      await within(store.close(), 'closing');
      await expect(both).rejects.toMatchObject({ name: 'VarveError' });
      lift();
      const again = await open(disk, options);
      expect(await revisions(again, one)).toEqual([0, 1]);
      expect(await revisions(again, two)).toEqual([0, 1, 2, 3]);
      await again.close();
    }
  });

  test('closing ends appends that wait for it', async () => {
    const disk = new SimulatedDisk();
    const store = await open(disk, SMALL);
    await store.appendToStream('s', event(500));
    fill(disk);
    const appends = Array.from({ length: 20 }, () => store.appendToStream('s', event(500)));
    const ended = Promise.allSettled(appends);
    await turns();
    await within(store.close(), 'closing');
    const outcomes = await within(ended, 'all appends');
    const done = outcomes.filter(({ status }) => status === 'fulfilled').length;
    for (const outcome of outcomes.slice(done)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ERR_VARVE_CLOSED' } });
    }
    expect(done).toBeGreaterThan(0);
    expect(done).toBeLessThan(20);
  });

  test.each(['purge', 'scavenge'] as const)('closing ends a %s that waits for it', async (work) => {
    const disk = new SimulatedDisk();
    const store = await open(disk, SMALL);
    const streams = Array.from({ length: 60 }, (_, i) => `s-${i}`);
    for (const stream of streams) await store.appendToStream(stream, event(200));
    for (const stream of streams) await store.deleteStream(stream);
    const lift = fill(disk);
    const working = store[work]();
    working.catch(() => {});
    expect(await settles(working, 20)).toBe(false);
    await within(store.close(), 'closing');
    await expect(working).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
    lift();
    const again = await open(disk, SMALL);
    for (const stream of streams) expect((await again.appendToStream(stream, event())).nextExpectedRevision).toBe(1n);
    await again.close();
  });
});

describe('a partition that fails', () => {
  const failSync = (disk: SimulatedDisk, partition: number) =>
    disk.faults.add({ kind: 'sync', file: `part_${partition}_*`, fault: { writeback: 'keep' } });
  const FAILED = { code: 'ERR_VARVE_PARTITION_FAILED' };

  test('lets the others go on', async () => {
    const disk = new SimulatedDisk();
    const store = await open(disk, { ...SMALL, partitions: 2 });
    const [one, two] = await twoStreams(store, () => {});
    failSync(disk, 1);
    await expect(store.appendToStream(one, event())).rejects.toMatchObject(FAILED);
    await expect(store.appendToStream(one, event())).rejects.toMatchObject({ ...FAILED, partition: 1 });
    await store.appendToStream(two, event());
    expect(await revisions(store, one)).toEqual([0]);
    await store.close().catch(() => {});
  });

  // The first is the one that decides: whether it has is not known then. When the second fails, it has.
  test.each([1, 2])('under an append over several holds all of them back: partition %i', async (partition) => {
    const disk = new SimulatedDisk();
    const options = { ...SMALL, partitions: 2 };
    const store = await open(disk, options);
    const [one, two] = await twoStreams(store, () => {});
    failSync(disk, partition);
    const both = store.appendToStreams([
      { stream: one, events: [event()] },
      { stream: two, events: [event()] },
    ]);
    await expect(both).rejects.toMatchObject(FAILED);
    for (const stream of [one, two]) {
      await expect(store.appendToStream(stream, event())).rejects.toMatchObject(FAILED);
      await expect(store.deleteStream(stream)).rejects.toMatchObject(FAILED);
    }
    const again = await open(disk.processCrash(), options);
    expect(await revisions(again, one)).toEqual([0, 1]);
    expect(await revisions(again, two)).toEqual([0, 1, 2, 3]);
    await again.close();
    await store.close().catch(() => {});
  });
});
