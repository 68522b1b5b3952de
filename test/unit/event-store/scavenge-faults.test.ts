/** A disk that fails somewhere in a scavenge: nothing that is alive is lost, now or after the next opening. */
import { expect, test } from '@jest/globals';
import type { EventStore } from 'varve';
import { Random, SimulatedDisk } from '../../../src/testing/index.js';
import type { OperationKind } from '../../../src/testing/operations.js';
import { DIRECTORY, fill, openStore, range, revisionsOf } from '../../support/small-stores.js';

async function check(store: EventStore): Promise<void> {
  expect(await revisionsOf(store, 'keep')).toEqual(range(0, 7));
  const all = await store.readAll({ filter: { categories: ['keep'] } }).toArray();
  expect(all.map(({ revision }) => Number(revision))).toEqual(range(0, 7));
  const gone = await store.readAll({ filter: { categories: ['gone'] } }).toArray();
  expect(gone.map(({ revision }) => Number(revision))).toEqual(range(48 - gone.length, 47));
  expect(await store.streamExists('gone')).toBe(false);
}

test.each<[OperationKind, string]>([
  ['write', '*.kept.tmp'],
  ['sync', '*.kept.tmp'],
  ['create', '*.kept.tmp'],
  ['rename', '*.kept.tmp'],
  ['read', '*.kept'],
  ['open', '*.kept'],
  ['unlink', '*.kept'],
  ['syncDirectory', '*'],
  ['rename', 'MANIFEST*'],
  ['sync', 'MANIFEST*'],
  ['rename', 'part_*.wal'],
  ['unlink', 'part_*'],
  ['create', '*.idx.tmp'],
])('a failed %s of %s', async (kind, file) => {
  let applied = 0;
  for (const nth of [1, 2, 3, 5]) {
    const disk = new SimulatedDisk({ seed: nth });
    const store = await openStore(disk);
    for (let i = 0; i < 8; i++) {
      await store.appendToStream('keep', { type: 'Kept' });
      await fill(store, 'gone', 6);
    }
    await store.deleteStream('gone');
    if (nth % 2 === 0) await store.scavenge({ threshold: 0.9 });
    await fill(store, 'later', 20);
    const lift = disk.faults.add({ kind, file, nth, fault: { error: 'EIO' } });
    const error = await store.scavenge({ threshold: 0.01 }).then(
      () => undefined,
      (reason: { code?: string }) => reason,
    );
    lift();
    if (error !== undefined) expect(error.code).toBe('ERR_VARVE_IO');
    if (disk.faults.applied.length === 0) {
      await store.close();
      break; // it has fewer operations of this kind
    }
    applied++;
    await check(store);
    const crashed = disk.crashed(new Random(nth));
    if (nth % 3 === 0) {
      await store.scavenge({ threshold: 0.01 });
      await check(store);
      await store.purge({ floor: { checkpoint: '5' } });
    }
    await store.close();
    for (const after of [disk, crashed]) {
      const again = await openStore(after);
      if (after === crashed || nth % 3 > 0) await check(again);
      await again.close();
      const names = (await after.list(DIRECTORY)).filter((name) => name.endsWith('.kept.tmp'));
      expect(names).toEqual([]);
      const third = await openStore(after);
      if (after === crashed || nth % 3 > 0) await check(third);
      await third.close();
    }
  }
  expect(applied).toBeGreaterThan(0);
});
