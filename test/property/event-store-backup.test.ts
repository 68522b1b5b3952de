/** Backups: taken while transactions go on, and cut off by power cuts at every operation. */
import { describe, expect, test } from '@jest/globals';
import { type EventStore, openEventStore, restoreBackup } from 'varve';
import { changesDisk, Random, SimulatedDisk } from '../../src/testing/index.js';
import { fill, openStore, range } from '../support/small-stores.js';

const TARGET = '/backup';

function openBackup(disk: SimulatedDisk, options = {}): Promise<EventStore> {
  return openEventStore({ directory: TARGET, disk, segmentSize: 8192, ...options });
}

const everything = (store: EventStore) => store.readAll({ filter: { system: true } }).toArray();

async function contentOfBackup(disk: SimulatedDisk, options = {}): Promise<unknown[]> {
  const store = await openBackup(disk, options);
  try {
    return await everything(store);
  } finally {
    await store.close();
  }
}

const transact = (store: EventStore) =>
  store.appendToStreams(range(1, 6).map((n) => ({ stream: `s-${n}`, events: [{ type: 'T', data: 'x'.repeat(50) }] })));

test('taken while transactions go on has each of them whole or not at all', async () => {
  const partitions = 3;
  for (const seed of range(1, 3)) {
    const disk = new SimulatedDisk({ seed, schedule: 'random' });
    const store = await openStore(disk, { partitions });
    for (let i = 0; i < 20; i++) await transact(store);
    let going = true;
    const writing = (async () => {
      while (going) await transact(store);
    })();
    const before = (await store.streamHead('s-1'))?.revision as bigint;
    const { checkpoint } = await store.backup(TARGET);
    const after = (await store.streamHead('s-1'))?.revision as bigint;
    going = false;
    await writing;
    const all = await everything(store);
    await store.close();
    expect(after).toBeGreaterThan(before);
    const copy = await openBackup(disk, { partitions });
    expect(copy.checkpoint()).toBe(checkpoint);
    const lsns = checkpoint.split('.').map(Number);
    expect(await everything(copy)).toEqual(all.filter(({ partition, lsn }) => lsn <= (lsns[partition - 1] as number)));
    const heads = await Promise.all(range(1, 6).map((n) => copy.streamHead(`s-${n}`)));
    expect(new Set(heads.map((head) => head?.revision)).size).toBe(1);
    expect(heads[0]?.revision).toBeGreaterThanOrEqual(before);
    await copy.close();
  }
});

describe('a crash anywhere', () => {
  test('in a backup over an older one: it is refused or whole, and can be made again', async () => {
    const disk = new SimulatedDisk({ seed: 2 });
    const store = await openStore(disk, { partitions: 2 });
    for (let i = 0; i < 12; i++) await transact(store);
    await store.backup(TARGET);
    const older = await everything(store);
    for (let i = 0; i < 12; i++) await transact(store);
    const newer = await everything(store);
    const states: SimulatedDisk[] = [];
    const random = new Random(4);
    disk.onOperation = (operation) => {
      if (changesDisk(operation) && random.chance(0.4)) states.push(disk.crashed(random));
    };
    await store.backup(TARGET);
    disk.onOperation = undefined;
    await store.close();
    const seen = new Set<string>();
    expect(states.length).toBeGreaterThan(10);
    for (const state of states) {
      const found = await contentOfBackup(state.clone(), { partitions: 2 }).catch((error) => error.code as string);
      if (typeof found === 'string') expect(found).toBe('ERR_VARVE_BACKUP');
      else expect([older, newer]).toContainEqual(found);
      seen.add(typeof found === 'string' ? 'refused' : found.length === newer.length ? 'newer' : 'older');
      const source = await openStore(state, { partitions: 2 });
      await source.backup(TARGET);
      await source.close();
      expect(await contentOfBackup(state, { partitions: 2 })).toEqual(newer);
    }
    expect(seen.has('refused') && seen.has('older')).toBe(true);
  });

  test('in restoring: what is there is refused or whole', async () => {
    const disk = new SimulatedDisk({ seed: 2 });
    const store = await openStore(disk);
    await fill(store, 'a', 50);
    await store.backup(TARGET);
    const content = await everything(store);
    await store.close();
    const states: SimulatedDisk[] = [];
    const random = new Random(4);
    disk.onOperation = (operation) => {
      if (changesDisk(operation)) states.push(disk.crashed(random));
    };
    await restoreBackup({ from: TARGET, directory: '/again', disk });
    disk.onOperation = undefined;
    for (const state of states) {
      const open = () => openEventStore({ directory: '/again', disk: state, segmentSize: 8192 });
      const again = await open().catch(async (error) => {
        expect(error.code).toBe('ERR_VARVE_BACKUP');
        await restoreBackup({ from: TARGET, directory: '/again', disk: state });
        return open();
      });
      const found = await everything(again);
      // Before it has begun there is nothing, and the store is a new one.
      if (found.length > 0) expect(found).toEqual(content);
      await again.close();
    }
  });
});
