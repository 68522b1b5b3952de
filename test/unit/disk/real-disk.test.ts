import fs from 'node:fs';
import { describe, expect, jest, test } from '@jest/globals';
import type { Disk } from '../../../src/disk/disk.js';
import { realDisk } from '../../../src/disk/real-disk.js';
import { nativeSyscalls } from '../../../src/disk/syscalls.js';
import { diskContract } from './contract.js';
import { Child, temporaryDirectory } from './places.js';

function diskWithoutNative(): Disk {
  const before = process.env.VARVE_NATIVE;
  process.env.VARVE_NATIVE = '0';
  try {
    return realDisk();
  } finally {
    if (before === undefined) delete process.env.VARVE_NATIVE;
    else process.env.VARVE_NATIVE = before;
  }
}

const native = nativeSyscalls() !== undefined;

diskContract('the real disk', realDisk, temporaryDirectory);
diskContract('the real disk without native parts', diskWithoutNative, temporaryDirectory);

test.each([0, -1, 1.5, 65, Number.NaN])('threads: %p is refused', (threads) => {
  expect(() => realDisk({ threads })).toThrow(
    expect.objectContaining({ code: 'ERR_VARVE_INVALID_OPTION', option: 'threads' }),
  );
});

test('without native parts there is no mapping and no reserving, and the reason is told', async () => {
  const disk = diskWithoutNative();
  expect(await disk.features(temporaryDirectory())).toMatchObject({
    map: false,
    fallocate: false,
    limits: expect.stringContaining('VARVE_NATIVE=0'),
  });
  await disk.close();
});

test('an error names the file, the system call and the number, whichever thread it comes from', async () => {
  const disk = realDisk();
  const path = `${temporaryDirectory()}/missing`;
  const missing = { code: 'ENOENT', errno: -2, path };
  await expect(disk.open(path, 'read')).rejects.toMatchObject({ ...missing, syscall: 'open' });
  await expect(disk.list(path)).rejects.toMatchObject({ ...missing, syscall: 'scandir' });
  await expect(disk.rename(path, `${path}2`)).rejects.toMatchObject({ ...missing, syscall: 'rename' });
  await expect(disk.unlink(path)).rejects.toMatchObject({ ...missing, syscall: 'unlink' });
  await expect(disk.syncDirectory(path)).rejects.toMatchObject({ ...missing, syscall: 'open' });
  await expect(disk.freeBytes(path)).rejects.toMatchObject({ ...missing, syscall: 'statfs' });
  await expect(disk.features(path)).rejects.toMatchObject({ ...missing, syscall: 'statfs' });

  const file = await disk.open(path, 'create');
  await file.close();
  const readOnly = await disk.open(path, 'read');
  expect(() => readOnly.writeSync(new Uint8Array(1), 0)).toThrow(
    expect.objectContaining({ code: 'EBADF', errno: -9, syscall: 'write', path }),
  );
  await expect(readOnly.truncate(1)).rejects.toMatchObject({ code: 'EINVAL', errno: -22, syscall: 'ftruncate', path });
  await readOnly.close();
  await disk.close();
});

test('a directory is no file, in every way of reading it', async () => {
  const disk = realDisk();
  const path = temporaryDirectory();
  const file = await disk.open(path, 'read');
  await expect(file.read(new Uint8Array(1), 0)).rejects.toMatchObject({ code: 'EISDIR', syscall: 'read', path });
  expect(() => file.readSync(new Uint8Array(1), 0)).toThrow(
    expect.objectContaining({ code: 'EISDIR', syscall: 'read', path }),
  );
  await file.close();
  await disk.close();
});

test('pieces of many files come in order, shorter only where the file ends, and leave nothing open', async () => {
  const disk = realDisk({ threads: 1 });
  const directory = temporaryDirectory();
  const pieceOf = (i: number) => ({ path: `${directory}/${i}`, position: 3, length: 1 + (i % 9) });
  const pieces = Array.from({ length: 500 }, (_, i) => pieceOf(i));
  for (const [i, { path }] of pieces.entries()) fs.writeFileSync(path, new Uint8Array(8).fill(i));
  const open = () => fs.readdirSync('/proc/self/fd').length;
  await disk.readPieces?.(pieces.slice(0, 1)); // starts the thread
  const before = process.platform === 'linux' ? open() : 0;
  const read = await disk.readPieces?.(pieces);
  expect(read).toEqual(pieces.map(({ length }, i) => new Uint8Array(Math.min(5, length)).fill(i)));
  expect(await disk.readPieces?.([{ ...pieceOf(1), position: 8 }])).toEqual([new Uint8Array(0)]);

  const missing = { path: `${directory}/missing`, position: 0, length: 1 };
  await expect(disk.readPieces?.([pieceOf(1), missing])).rejects.toMatchObject({ code: 'ENOENT', path: missing.path });
  const unreadable = { path: directory, position: 0, length: 1 };
  await expect(disk.readPieces?.([pieceOf(1), unreadable])).rejects.toMatchObject({ code: 'EISDIR', path: directory });
  if (process.platform === 'linux') expect(open()).toBe(before);
  await disk.close();
});

test('makeDirectory refuses a file in the way', async () => {
  const disk = realDisk();
  const path = `${temporaryDirectory()}/file`;
  await (await disk.open(path, 'create')).close();
  await expect(disk.makeDirectory(path)).rejects.toMatchObject({ code: 'EEXIST', path });
  await expect(disk.makeDirectory(`${path}/below`)).rejects.toMatchObject({ code: 'ENOTDIR' });
  await disk.close();
});

describe('space', () => {
  const SIZE = 1_000_000;

  async function blockBytesAfter(mode: 'allocate' | 'keep-size' | 'zero' | 'none', disk: Disk): Promise<number> {
    const file = await disk.open(`${temporaryDirectory()}/file`, 'create');
    await file.allocate(mode, SIZE);
    await file.sync();
    await file.close();
    return fs.statSync(file.path).blocks * 512;
  }

  (native ? test : test.skip)('allocate and keep-size reserve blocks', async () => {
    const disk = realDisk();
    expect(await blockBytesAfter('allocate', disk)).toBeGreaterThanOrEqual(SIZE);
    expect(await blockBytesAfter('keep-size', disk)).toBeGreaterThanOrEqual(SIZE);
    await disk.close();
  });

  test('zero writes blocks, none reserves nothing', async () => {
    const disk = diskWithoutNative();
    expect(await blockBytesAfter('zero', disk)).toBeGreaterThanOrEqual(SIZE);
    expect(await blockBytesAfter('none', disk)).toBe(0);
    await disk.close();
  });

  (native ? test : test.skip)('a reservation that fails says so from the thread that made it', async () => {
    const disk = realDisk();
    const path = `${temporaryDirectory()}/file`;
    await (await disk.open(path, 'create')).close();
    const file = await disk.open(path, 'read');
    await expect(file.allocate('keep-size', SIZE)).rejects.toMatchObject({
      code: 'EBADF',
      errno: -9,
      syscall: 'fallocate',
      path,
      message: expect.stringContaining('not given back: EINVAL'),
    });
    await file.close();
    await disk.close();
  });
});

describe('a file guards itself', () => {
  (native ? test : test.skip)('a prefetch that is under way keeps the descriptor from being closed', async () => {
    const disk = realDisk({ threads: 1 });
    const directory = temporaryDirectory();
    const slow = await disk.open(`${directory}/slow`, 'create');
    const file = await disk.open(`${directory}/file`, 'create');
    const ended: string[] = [];
    const slowly = slow.allocate('zero', 1_000_000).then(() => ended.push('before it'));
    file.prefetch?.(0, 1_000_000); // behind the end of the file, which is no failure
    const closed = file.close().then(() => ended.push('closed'));
    await Promise.all([slowly, closed]);
    expect(ended).toEqual(['before it', 'closed']);
    expect(() => file.prefetch?.(0, 1)).toThrow(expect.objectContaining({ code: 'EBADF', path: file.path }));
    await slow.close();
    await disk.close();
  });

  test('a prefetch that comes to nothing is nobody’s failure', async () => {
    const disk = realDisk();
    const file = await disk.open(`${temporaryDirectory()}/file`, 'create');
    await disk.close(); // no thread does it any more
    file.prefetch?.(0, 1);
    await file.close();
    const without = diskWithoutNative();
    const plain = await without.open(`${temporaryDirectory()}/file`, 'create');
    plain.prefetch?.(0, 1);
    await plain.close();
    await without.close();
  });

  test('after close every operation is EBADF, though the descriptor has a new owner', async () => {
    const disk = realDisk();
    const directory = temporaryDirectory();
    const file = await disk.open(`${directory}/closed`, 'create');
    await file.close();
    const other = await disk.open(`${directory}/other`, 'create'); // gets the same number
    const closed = expect.objectContaining({ code: 'EBADF', path: file.path });
    expect(() => file.writeSync(new Uint8Array(1), 0)).toThrow(closed);
    expect(() => file.readSync(new Uint8Array(1), 0)).toThrow(closed);
    expect(() => file.map(1)).toThrow(closed);
    await expect(file.read(new Uint8Array(1), 0)).rejects.toEqual(closed);
    await expect(file.size()).rejects.toEqual(closed);
    await expect(file.sync()).rejects.toEqual(closed);
    await expect(file.allocate('zero', 1)).rejects.toEqual(closed);
    await expect(file.truncate(1)).rejects.toEqual(closed);
    await expect(file.close()).rejects.toEqual(closed);
    expect(await other.size()).toBe(0);
    await other.close();
    await disk.close();
  });

  (process.platform === 'linux' ? test : test.skip)('close gives the descriptor back', async () => {
    const disk = realDisk();
    const file = await disk.open(`${temporaryDirectory()}/file`, 'create');
    const holders = () =>
      fs.readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return fs.readlinkSync(`/proc/self/fd/${fd}`) === file.path;
        } catch {
          return false; // the descriptor that listed the others
        }
      });
    expect(holders()).toHaveLength(1);
    await file.close();
    expect(holders()).toHaveLength(0);
    await disk.close();
  });

  test('close is refused while an operation is under way', async () => {
    const disk = realDisk();
    const file = await disk.open(`${temporaryDirectory()}/file`, 'create');
    const syncing = file.sync();
    await expect(file.close()).rejects.toMatchObject({ code: 'EBUSY', path: file.path });
    await syncing;
    await file.close();
    await disk.close();
  });

  test.each([-1, 1.5, 2 ** 53, Number.NaN])('%p is no size', async (size) => {
    const disk = realDisk();
    const file = await disk.open(`${temporaryDirectory()}/file`, 'create');
    file.writeSync(new Uint8Array(10), 0);
    await expect(file.truncate(size)).rejects.toMatchObject({ code: 'EINVAL', path: file.path });
    await expect(file.allocate('none', size)).rejects.toMatchObject({ code: 'EINVAL', path: file.path });
    expect(await file.size()).toBe(10);
    await file.close();
    await disk.close();
  });

  (native ? test : test.skip)('a mapped file is not shortened, and an unmapped mapping not touched', async () => {
    const disk = realDisk();
    const file = await disk.open(`${temporaryDirectory()}/file`, 'create');
    await file.allocate('allocate', 8192);
    for (const length of [0, -1, 1.5]) {
      expect(() => file.map(length)).toThrow(
        expect.objectContaining({ code: 'EINVAL', message: expect.stringContaining('does not have') }),
      );
    }
    const mapping = file.map(8192);
    await expect(file.truncate(8191)).rejects.toMatchObject({ code: 'EBUSY' });
    await expect(file.allocate('none', 8191)).rejects.toMatchObject({ code: 'EBUSY' });
    await file.allocate('keep-size', 4096);
    await file.truncate(8192);
    mapping.unmap();
    expect(() => mapping.bytes).toThrow(/unmap/);
    await file.truncate(0);
    await file.close();
    await disk.close();
  });
});

describe('calls that do less than they were asked to', () => {
  test('a write goes on until all is written, and fails when nothing more is', async () => {
    const disk = realDisk();
    const file = await disk.open(`${temporaryDirectory()}/file`, 'create');
    const content = Uint8Array.from({ length: 100 }, (_, i) => i);
    const write = fs.writeSync as (...args: unknown[]) => number;
    const spy = jest.spyOn(fs, 'writeSync');
    try {
      spy.mockImplementation(((fd: number, bytes: Uint8Array, offset: number, length: number, position: number) =>
        write(fd, bytes, offset, Math.min(length, 30), position)) as never);
      file.writeSync(content, 5);
      spy.mockReturnValue(0);
      expect(() => file.writeSync(content, 200)).toThrow(expect.objectContaining({ code: 'EIO', path: file.path }));
    } finally {
      spy.mockRestore();
    }
    const into = new Uint8Array(100);
    expect(file.readSync(into, 5)).toBe(100);
    expect(into).toEqual(content);
    await file.close();
    await disk.close();
  });

  test('a read goes on until it is full', async () => {
    const disk = realDisk();
    const file = await disk.open(`${temporaryDirectory()}/file`, 'create');
    const content = Uint8Array.from({ length: 100 }, (_, i) => i);
    file.writeSync(content, 0);
    const { read, readSync } = fs as unknown as Record<'read' | 'readSync', (...args: unknown[]) => number>;
    const spies = [
      jest
        .spyOn(fs, 'read')
        .mockImplementation(((fd: number, into: Uint8Array, offset: number, length: number, ...rest: unknown[]) =>
          read(fd, into, offset, Math.min(length, 30), ...rest)) as never),
      jest
        .spyOn(fs, 'readSync')
        .mockImplementation(((fd: number, into: Uint8Array, offset: number, length: number, position: number) =>
          readSync(fd, into, offset, Math.min(length, 30), position)) as never),
    ];
    try {
      for (const way of ['read', 'readSync'] as const) {
        const into = new Uint8Array(95);
        expect(await file[way](into, 5)).toBe(95);
        expect(into).toEqual(content.subarray(5));
      }
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
    await file.close();
    await disk.close();
  });
});

describe('the process', () => {
  test('ends by itself with an open disk, file and lock', async () => {
    const child = new Child(
      `const disk = realDisk();
       await disk.lock(process.env.DIRECTORY + '/LOCK');
       const file = await disk.open(process.env.DIRECTORY + '/file', 'create');
       file.writeSync(new Uint8Array(10), 0);
       await Promise.all(Array.from({ length: 20 }, () => disk.syncDirectory(process.env.DIRECTORY)));
       console.log('done');`,
      { DIRECTORY: temporaryDirectory() },
    );
    expect(await child.line()).toBe('done');
    expect(await child.end()).toBe(0);
  });

  test('does not end before what it awaits', async () => {
    const child = new Child(
      `const disk = realDisk();
       const file = await disk.open(process.env.DIRECTORY + '/file', 'create');
       for (let i = 0; i < 20; i++) {
         await file.sync();
         await file.truncate(i);
       }
       console.log('done');`,
      { DIRECTORY: temporaryDirectory() },
    );
    expect(await child.line()).toBe('done');
    expect(await child.end()).toBe(0);
  });
});
