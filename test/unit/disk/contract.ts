/**
 * What every Disk keeps, real or simulated: one suite, run against each of them.
 *
 * It touches a disk through its port alone, so that it says nothing about where the bytes are.
 */
import { describe, expect, test } from '@jest/globals';
import type { Disk } from '../../../src/disk/disk.js';
import { allocation, bytes, mappings } from './contract-bytes.js';
import { type Check, contentOf, create, type Place, pattern } from './contract-place.js';

const MISSING = 'nothing-here';

/** Registers the suite. `makeDisk` gives a new disk, `makeDirectory` a new directory in it. */
export function diskContract(
  name: string,
  makeDisk: () => Disk | Promise<Disk>,
  makeDirectory: (disk: Disk) => string | Promise<string>,
): void {
  const withPlace = (run: (place: Place) => Promise<void>) => async () => {
    const disk = await makeDisk();
    try {
      await run({ disk, directory: await makeDirectory(disk) });
    } finally {
      await disk.close();
    }
  };
  const check = (title: string, run: (place: Place) => Promise<void>) => test(title, withPlace(run));

  describe(`${name} keeps the contract of a disk`, () => {
    check('now is a whole number of milliseconds', async ({ disk }) => {
      expect(Number.isSafeInteger(disk.now())).toBe(true);
    });

    check('random bytes have the length asked for, and differ', async ({ disk }) => {
      expect(disk.randomBytes(0)).toHaveLength(0);
      const first = disk.randomBytes(16);
      expect(first).toHaveLength(16);
      expect(disk.randomBytes(16)).not.toEqual(first);
    });

    check('features say why something is missing, and only then', async ({ disk, directory }) => {
      const features = await disk.features(directory);
      expect(features.fileSystem).not.toBe('');
      expect(features.limits === '').toBe(features.map && features.fallocate);
      expect(await disk.list(directory)).toEqual([]);
    });

    check('free bytes is a number of bytes', async ({ disk, directory }) => {
      const free = await disk.freeBytes(directory);
      expect(Number.isSafeInteger(free) && free >= 0).toBe(true);
    });

    directories(check);
    names(check);
    bytes(check);
    allocation(check);
    mappings(check);
    locks(check);
  });
}

function directories(check: Check): void {
  check('makes a directory and its missing parents, and leaves an existing one alone', async ({ disk, directory }) => {
    const deep = `${directory}/a/b/c`;
    await disk.makeDirectory(deep);
    await (await disk.open(`${deep}/file`, 'create')).close();
    await disk.makeDirectory(deep);
    expect(await disk.list(deep)).toEqual(['file']);
    expect(await disk.list(`${directory}/a`)).toEqual(['b']);
  });

  check('lists names sorted by code unit', async (place) => {
    // The last two stand the other way round by code point, and in UTF-8.
    const sorted = ['10', '9', 'B', 'a', 'a.b', 'b', 'ä', '\u{1f600}', '\uffee'];
    for (const name of [...sorted].reverse()) await (await create(place, name)).close();
    expect(await place.disk.list(place.directory)).toEqual(sorted);
  });

  check('a missing directory is ENOENT', async ({ disk, directory }) => {
    const missing = `${directory}/${MISSING}`;
    await expect(disk.list(missing)).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(disk.syncDirectory(missing)).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(disk.open(`${missing}/file`, 'create')).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(disk.lock(`${missing}/LOCK`)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  check('syncs a directory', async ({ disk, directory }) => {
    await expect(disk.syncDirectory(directory)).resolves.toBeUndefined();
  });
}

function names(check: Check): void {
  check('create makes an empty file, and refuses one that exists', async (place) => {
    const file = await create(place, 'file', pattern(10));
    await expect(place.disk.open(file.path, 'create')).rejects.toMatchObject({ code: 'EEXIST' });
    expect(await contentOf(file)).toEqual(pattern(10));
    await file.close();
    const empty = await create(place, 'empty');
    expect(await empty.size()).toBe(0);
    await empty.close();
  });

  check('read and write need a file that exists, and make none', async ({ disk, directory }) => {
    const missing = `${directory}/${MISSING}`;
    await expect(disk.open(missing, 'read')).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(disk.open(missing, 'write')).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await disk.list(directory)).toEqual([]);
  });

  check('a file opened to be read is not written', async (place) => {
    await (await create(place, 'file', pattern(10))).close();
    const file = await place.disk.open(`${place.directory}/file`, 'read');
    expect(() => file.writeSync(pattern(1), 0)).toThrow(expect.objectContaining({ code: 'EBADF' }));
    expect(await contentOf(file)).toEqual(pattern(10));
    await file.close();
  });

  check('a file opened to be written keeps what it has', async (place) => {
    await (await create(place, 'file', pattern(10))).close();
    const file = await place.disk.open(`${place.directory}/file`, 'write');
    file.writeSync(pattern(2, 100), 4);
    const expected = pattern(10);
    expected.set(pattern(2, 100), 4);
    expect(await contentOf(file)).toEqual(expected);
    await file.close();
  });

  check('rename replaces what bears the name, and files stay open', async (place) => {
    const { disk, directory } = place;
    const moved = await create(place, 'from', pattern(5));
    const replaced = await create(place, 'to', pattern(9, 50));
    await disk.rename(`${directory}/from`, `${directory}/to`);
    expect(await disk.list(directory)).toEqual(['to']);

    const reopened = await disk.open(`${directory}/to`, 'write');
    expect(await contentOf(reopened)).toEqual(pattern(5));
    expect(moved.path).toBe(`${directory}/from`);
    moved.writeSync(pattern(5, 70), 0);
    expect(await contentOf(reopened)).toEqual(pattern(5, 70));
    expect(await contentOf(replaced)).toEqual(pattern(9, 50));
    for (const file of [moved, replaced, reopened]) await file.close();
    await expect(disk.rename(`${directory}/from`, `${directory}/other`)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  check('unlink removes the name, and an open file stays whole', async (place) => {
    const { disk, directory } = place;
    const file = await create(place, 'file', pattern(5));
    await disk.unlink(file.path);
    expect(await disk.list(directory)).toEqual([]);
    expect(await contentOf(file)).toEqual(pattern(5));
    await file.close();
    await expect(disk.unlink(file.path)).rejects.toMatchObject({ code: 'ENOENT' });
  });
}

function locks(check: Check): void {
  check('a lock is held by one at a time', async ({ disk, directory }) => {
    const path = `${directory}/LOCK`;
    const lock = await disk.lock(path);
    await expect(disk.lock(path)).rejects.toMatchObject({ name: 'VarveError', code: 'ERR_VARVE_LOCKED', path });
    const other = await disk.lock(`${directory}/OTHER`);
    await other.release();
    await lock.release();
    const again = await disk.lock(path);
    await again.release();
  });

  check('of attempts at the same time exactly one wins', async ({ disk, directory }) => {
    const attempts = await Promise.allSettled(Array.from({ length: 8 }, () => disk.lock(`${directory}/LOCK`)));
    const winners = attempts.filter((attempt) => attempt.status === 'fulfilled');
    expect(winners).toHaveLength(1);
    for (const attempt of attempts) {
      if (attempt.status === 'rejected') expect(attempt.reason).toMatchObject({ code: 'ERR_VARVE_LOCKED' });
    }
    await winners[0]?.value.release();
  });
}
