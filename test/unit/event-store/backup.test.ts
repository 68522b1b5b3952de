import { describe, expect, test } from '@jest/globals';
import { type EventStore, openEventStore, restoreBackup } from 'varve';
import type { SimulatedDisk } from '../../../src/testing/index.js';
import { DIRECTORY, fill, range, revisionsOf, withStore } from '../../support/small-stores.js';

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

describe('a backup', () => {
  test.each(['mmap', 'write'] as const)('is the store, to the event and LSN, opened in place (%s)', (io) =>
    withStore(
      async (store, disk) => {
        await fill(store, 'a', 70);
        await store.setStreamMetadata('a', { maxCount: 50 });
        const report = await store.backup(TARGET);
        expect(report).toMatchObject({ checkpoint: store.checkpoint(), copiedFiles: report.files });
        expect(await contentOfBackup(disk.processCrash(), { io })).toEqual(await everything(store));
        const opened = await openBackup(disk, { io });
        await opened.appendToStream('a', { type: 'B' }, { expectedRevision: 69n });
        expect(await revisionsOf(opened, 'a')).toEqual(range(21, 70));
        await opened.close();
        expect(await revisionsOf(store, 'a')).toEqual(range(20, 69));
      },
      { io },
    ),
  );

  test('of an empty store', () =>
    withStore(async (store, disk) => {
      await store.backup(TARGET);
      expect(await contentOfBackup(disk)).toEqual([]);
    }));

  test('of a purged store goes on with the same LSNs and revisions', () =>
    withStore(async (store, disk) => {
      await fill(store, 'a', 60);
      await store.backup(TARGET);
      await store.purge({ floor: { checkpoint: store.checkpoint() } });
      await fill(store, 'b', 30);
      await store.backup(TARGET);
      const segments = (await disk.list(TARGET)).filter((name) => name.startsWith('part_'));
      expect(segments).toHaveLength(store.stats().segments.active + store.stats().segments.sealed);
      expect(await contentOfBackup(disk)).toEqual(await everything(store));
      const copy = await openBackup(disk);
      expect((await copy.streamHead('a'))?.revision).toBe(59n);
      await copy.close();
    }));
});

describe('a second backup into the same directory', () => {
  test('copies only what is new', () =>
    withStore(async (store, disk) => {
      await fill(store, 'a', 70);
      const first = await store.backup(TARGET);
      const progress: number[] = [];
      const second = await store.backup(TARGET, { onProgress: ({ files }) => progress.push(files) });
      expect(second).toMatchObject({ files: first.files, copiedFiles: 2 }); // the newest segment and the manifest
      expect(progress).toEqual(range(1, first.files));
      await fill(store, 'b', 70);
      const third = await store.backup(TARGET);
      expect(third.files).toBeGreaterThan(first.files + 1);
      expect(third.copiedFiles).toBe(third.files - first.files + 2);
      expect(await contentOfBackup(disk)).toEqual(await everything(store));
    }));

  test('copies again what was damaged, or is missing', () =>
    withStore(async (store, disk) => {
      await fill(store, 'a', 70);
      await store.backup(TARGET);
      const [one, two] = (await disk.list(TARGET)).filter((name) => name.startsWith('part_'));
      disk.damage(`${TARGET}/${one}`, 5000, new Uint8Array([1, 2, 3]));
      await disk.unlink(`${TARGET}/${two}`);
      expect((await store.backup(TARGET)).copiedFiles).toBe(4);
      expect(await contentOfBackup(disk)).toEqual(await everything(store));
    }));

  test('takes away what a store has written that was opened there', () =>
    withStore(async (store, disk) => {
      await fill(store, 'a', 50);
      await store.backup(TARGET);
      const other = await openBackup(disk);
      await fill(other, 'other', 70);
      await other.close();
      const again = await openBackup(disk); // which makes index files
      expect(await revisionsOf(again, 'other')).toEqual(range(0, 69));
      await again.close();
      await fill(store, 'mine', 70);
      await store.backup(TARGET);
      expect(await contentOfBackup(disk)).toEqual(await everything(store));
      const opened = await openBackup(disk);
      expect(await revisionsOf(opened, 'mine')).toEqual(range(0, 69));
      expect(await revisionsOf(opened, 'other')).toEqual([]);
      await opened.close();
    }));
});

describe('a backup of a store that was restored and went its own way', () => {
  test('takes the place of that of the other, whose segments look alike', () =>
    withStore(async (store, disk) => {
      await fill(store, 'a', 50);
      await store.backup(TARGET);
      await restoreBackup({ from: TARGET, directory: '/again', disk });
      const again = await openEventStore({ directory: '/again', disk, segmentSize: 8192 });
      await fill(store, 'mine', 60);
      await fill(again, 'ours', 60);
      await store.backup(TARGET);
      await again.backup(TARGET);
      expect(await contentOfBackup(disk)).toEqual(await everything(again));
      await again.close();
    }));
});

describe('what is refused', () => {
  test('the directory of the store, one with other files, one of another store, one that is open', () =>
    withStore(async (store, disk) => {
      await fill(store, 'a', 1);
      const refused = { code: 'ERR_VARVE_INVALID_OPTION' };
      await expect(store.backup(DIRECTORY)).rejects.toMatchObject(refused);
      await expect(store.backup('')).rejects.toMatchObject(refused);
      await disk.makeDirectory('/else');
      await (await disk.open('/else/letter.txt', 'create')).close();
      await expect(store.backup('/else')).rejects.toMatchObject(refused);
      const other = await openEventStore({ directory: '/other', disk, segmentSize: 8192 });
      await other.backup(TARGET);
      await other.close();
      await expect(store.backup(TARGET)).rejects.toMatchObject({ code: 'ERR_VARVE_BACKUP' });
      await store.backup('/mine');
      const open = await openEventStore({ directory: '/mine', disk, segmentSize: 8192 });
      await expect(store.backup('/mine')).rejects.toMatchObject({ code: 'ERR_VARVE_LOCKED' });
      await open.close();
    }));

  test('a full disk is told, and a signal ends it; the next backup completes it', () =>
    withStore(async (store, disk) => {
      await fill(store, 'a', 70);
      const ending = new AbortController();
      const reason = new Error('enough');
      const onProgress = () => ending.abort(reason);
      await expect(store.backup(TARGET, { signal: ending.signal, onProgress })).rejects.toBe(reason);
      await expect(openBackup(disk)).rejects.toMatchObject({ code: 'ERR_VARVE_BACKUP' });
      await expect(restoreBackup({ from: TARGET, directory: '/again', disk })).rejects.toMatchObject({
        code: 'ERR_VARVE_BACKUP',
      });
      disk.faults.add({ kind: 'write', file: /\.wal\.tmp$/, fault: { error: 'ENOSPC' } });
      await expect(store.backup(TARGET)).rejects.toMatchObject({ code: 'ERR_VARVE_IO' });
      await store.backup(TARGET);
      expect(await contentOfBackup(disk)).toEqual(await everything(store));
    }));
});

describe('restoring', () => {
  test('gives the store back in a directory of its own', () =>
    withStore(async (store, disk) => {
      await fill(store, 'a', 70);
      const { checkpoint, files } = await store.backup(TARGET);
      const report = await restoreBackup({ from: TARGET, directory: '/again', disk });
      expect(report).toMatchObject({ directory: '/again', checkpoint, files });
      const again = await openEventStore({ directory: '/again', disk, segmentSize: 8192, verify: 'full' });
      expect(await everything(again)).toEqual(await everything(store));
      await again.close();
      await expect(restoreBackup({ from: TARGET, directory: '/again', disk })).rejects.toMatchObject({
        code: 'ERR_VARVE_INVALID_OPTION',
      });
    }));

  test('refuses what is damaged, in a segment or in the list; and what is no backup', () =>
    withStore(async (store, disk) => {
      await fill(store, 'a', 70);
      await store.backup(TARGET);
      const clean = disk.clone();
      const [segment] = (await disk.list(TARGET)).filter((name) => name.startsWith('part_'));
      const refused = { code: 'ERR_VARVE_BACKUP' };
      disk.damage(`${TARGET}/${segment}`, 6000, new Uint8Array([1, 2, 3]));
      await expect(restoreBackup({ from: TARGET, directory: '/again', disk })).rejects.toMatchObject(refused);
      await expect(openEventStore({ directory: '/again', disk })).rejects.toMatchObject(refused);
      clean.damage(`${TARGET}/BACKUP`, 20, new Uint8Array([1, 2, 3]));
      await expect(restoreBackup({ from: TARGET, directory: '/new', disk: clean })).rejects.toMatchObject(refused);
      await expect(restoreBackup({ from: DIRECTORY, directory: '/new', disk })).rejects.toMatchObject(refused);
      await expect(restoreBackup({ from: '', directory: '/new', disk })).rejects.toMatchObject({
        code: 'ERR_VARVE_INVALID_OPTION',
      });
    }));
});
