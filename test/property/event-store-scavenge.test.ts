/** Power cuts at every operation of a scavenge, and of one that writes anew what an earlier one has kept. */
import { expect, test } from '@jest/globals';
import { changesDisk, Random, SimulatedDisk } from '../../src/testing/index.js';
import { DIRECTORY, fill, openStore, range, revisionsOf } from '../support/small-stores.js';

test.each(['random', 'slow sync'] as const)('what is alive is there, with %s', async (schedule) => {
  const disk = new SimulatedDisk({ seed: 3, schedule });
  const store = await openStore(disk);
  const round = async (i: number) => {
    for (let n = 0; n < 4; n++) {
      await store.appendToStream('keep', { type: 'Kept', data: i });
      await fill(store, `gone-${i}`, 8);
      await fill(store, 'short', 3);
    }
    await store.deleteStream(`gone-${i}`);
  };
  await store.setStreamMetadata('short', { maxCount: 2 });
  await round(0);
  await store.scavenge();
  await round(1);
  await round(2);
  const states: { disk: SimulatedDisk; what: string }[] = [];
  const random = new Random(5);
  disk.onOperation = (operation, when) => {
    const seldom = /\.idx|_.*\.wal$/.test(operation.path) ? 0.03 : 0.35;
    if (!changesDisk(operation) || !random.chance(seldom)) return;
    const what = `${when} ${operation.kind} ${operation.path}`;
    states.push({ disk: disk.crashed(random, when === 'after' && random.chance(0.5) ? 'none' : undefined), what });
  };
  const report = await store.scavenge();
  disk.onOperation = undefined;
  await store.close();
  expect(report.segments).toBeGreaterThan(3);
  expect(states.length).toBeGreaterThan(15);
  for (const { disk: state, what } of states) {
    const again = await openStore(state);
    try {
      expect([what, await revisionsOf(again, 'keep')]).toEqual([what, range(0, 11)]);
      expect([what, await revisionsOf(again, 'short')]).toEqual([what, [34, 35]]);
      const all = await again.readAll().toArray();
      const positions = all.map(({ position }) => position);
      expect(positions).toEqual([...new Set(positions)].sort((a, b) => Number(a - b)));
      for (const name of ['gone-0', 'gone-1', 'gone-2', 'short']) {
        const last = name === 'short' ? 35 : 31;
        const own = all.filter(({ stream }) => stream === name).map(({ revision }) => Number(revision));
        expect([what, own]).toEqual([what, range(last - own.length + 1, last)]);
      }
      const next = await again.appendToStream('gone-0', { type: 'A' }, { expectedRevision: 'noStream' });
      expect(next.nextExpectedRevision).toBe(32n);
      await again.scavenge();
      expect([what, await revisionsOf(again, 'keep')]).toEqual([what, range(0, 11)]);
    } finally {
      await again.close();
    }
    const names = (await state.list(DIRECTORY)).filter((name) => name.includes('.kept'));
    expect(names.filter((name) => name.endsWith('.tmp'))).toEqual([]);
  }
});

test('an event is not left out for one that is not durable', async () => {
  const disk = new SimulatedDisk();
  const store = await openStore(disk);
  await fill(store, 'short', 3);
  await store.setStreamMetadata('short', { maxCount: 1 });
  await fill(store, 'gone', 60);
  await store.deleteStream('gone');
  const releases: (() => void)[] = [];
  const hold = () => ({ hold: new Promise<void>((resolve) => releases.push(resolve)) });
  disk.faults.add({ kind: 'create', file: '*.kept.tmp', fault: hold() });
  const scavenging = store.scavenge();
  while (disk.faults.applied.length === 0) await new Promise(setImmediate);
  const lift = disk.faults.add({ kind: 'sync', file: 'part_*.wal', times: 1000, fault: hold() });
  await store.appendToStream('short', { type: 'New' }, { ack: 'written' });
  releases[0]?.();
  for (let i = 0; i < 300; i++) await new Promise(setImmediate);
  const state = disk.crashed(new Random(1), 'none');
  lift();
  releases[1]?.();
  expect((await scavenging).segments).toBeGreaterThan(1);
  expect(await revisionsOf(store, 'short')).toEqual([3]);
  await store.close();
  const again = await openStore(state);
  expect(await revisionsOf(again, 'short')).toEqual([2]);
  await again.close();
});

test('the name of a kept file is durable before the log gives its segment up', async () => {
  const disk = new SimulatedDisk();
  const store = await openStore(disk);
  await store.appendToStream('keep', { type: 'Kept' });
  await fill(store, 'gone', 60);
  await store.deleteStream('gone');
  const states: SimulatedDisk[] = [];
  const random = new Random(1);
  disk.onOperation = ({ kind, path }, when) => {
    if (when !== 'after' || kind !== 'rename' || !path.includes('MANIFEST') || states.length > 0) return;
    for (let i = 0; i < 24; i++) states.push(disk.crashed(random));
  };
  expect((await store.scavenge()).segments).toBeGreaterThan(1);
  await store.close();
  expect(states.length).toBe(24);
  for (const state of states) {
    const again = await openStore(state);
    expect(await revisionsOf(again, 'keep')).toEqual([0]);
    await again.close();
  }
});
