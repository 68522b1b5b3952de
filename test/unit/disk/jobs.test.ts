/** The jobs themselves, on this thread: that they make the calls whose effect no test can see without a power cut. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { afterEach, expect, jest, test } from '@jest/globals';
import { runJob } from '../../../src/disk/jobs.js';
import { nativeSyscalls } from '../../../src/disk/syscalls.js';
import { Child, temporaryDirectory } from './places.js';

const native = nativeSyscalls();
const nativeTest = native ? test : test.skip;

afterEach(() => {
  jest.restoreAllMocks();
});

function fileOf(length: number): { fd: number; path: string } {
  const path = `${temporaryDirectory()}/file`;
  fs.writeFileSync(path, new Uint8Array(length).fill(1));
  return { fd: fs.openSync(path, 'r+'), path };
}

/** Names of the calls, in order, that sync, drop or reserve. */
function record(): string[] {
  const calls: string[] = [];
  const watch = (object: object, name: string) => {
    const original = (object as Record<string, (...args: unknown[]) => unknown>)[name] as (
      ...args: unknown[]
    ) => unknown;
    jest.spyOn(object as Record<string, () => void>, name).mockImplementation(((...args: unknown[]) => {
      calls.push(name);
      return original(...args);
    }) as never);
  };
  for (const name of ['fdatasyncSync', 'fsyncSync', 'ftruncateSync', 'closeSync']) watch(fs, name);
  if (native) for (const name of ['fallocate', 'dropCache']) watch(native, name);
  return calls;
}

test('sync is one fdatasync', () => {
  const { fd } = fileOf(10);
  const calls = record();
  runJob({ kind: 'sync', fd });
  expect(calls).toEqual(['fdatasyncSync']);
});

test('syncDirectory is an fsync of the directory, whose descriptor is closed also when that fails', () => {
  const path = temporaryDirectory();
  const calls = record();
  runJob({ kind: 'syncDirectory', path });
  expect(calls).toEqual(['fsyncSync', 'closeSync']);
  jest.spyOn(fs, 'fsyncSync').mockImplementation(() => {
    throw new Error('no');
  });
  expect(() => runJob({ kind: 'syncDirectory', path })).toThrow('no');
  expect(calls).toEqual(['fsyncSync', 'closeSync', 'closeSync']);
});

test('on Windows, where directories cannot be synced, nothing is opened', () => {
  const platform = Object.getOwnPropertyDescriptor(process, 'platform') as PropertyDescriptor;
  Object.defineProperty(process, 'platform', { value: 'win32', configurable: true });
  try {
    runJob({ kind: 'syncDirectory', path: '/missing' });
  } finally {
    Object.defineProperty(process, 'platform', platform);
  }
});

nativeTest('a prefetch is that and nothing else, and needs no turn among the jobs of its file', () => {
  const { fd } = fileOf(8192);
  const calls = record();
  const prefetch = jest.spyOn(native as NonNullable<typeof native>, 'prefetch');
  const job = { kind: 'prefetch', of: fd, from: 4096, to: 8192 } as const;
  expect(job).not.toHaveProperty('fd');
  runJob(job);
  expect(prefetch).toHaveBeenCalledWith(fd, 4096, 8192);
  expect(calls).toEqual([]);
});

nativeTest('the page cache is dropped from the offset on, after a sync, and by nothing but dropCache', () => {
  const { fd } = fileOf(8192);
  const calls = record();
  runJob({ kind: 'allocate', fd, mode: 'allocate', size: 8192, native: true });
  expect(calls.splice(0)).toEqual(['fallocate']);
  runJob({ kind: 'dropCache', fd, from: 4096 });
  expect(calls.splice(0)).toEqual(['fdatasyncSync', 'dropCache']);
});

test('without native calls zeros are only written, and reserving is refused', () => {
  const { fd, path } = fileOf(3_000_000);
  const calls = record();
  runJob({ kind: 'allocate', fd, mode: 'zero', size: 2_500_000, native: false });
  expect(calls.splice(0)).toEqual(['ftruncateSync']);
  expect(fs.readFileSync(path).equals(Buffer.alloc(2_500_000))).toBe(true);
  expect(() => runJob({ kind: 'allocate', fd, mode: 'allocate', size: 1, native: false })).toThrow(
    expect.objectContaining({ code: 'EOPNOTSUPP', syscall: 'fallocate' }),
  );
});

test('zeros are written until all are, and a write that does nothing is an error', () => {
  const { fd, path } = fileOf(0);
  const { writeSync } = fs as unknown as { writeSync: (...args: unknown[]) => number };
  const spy = jest
    .spyOn(fs, 'writeSync')
    .mockImplementation(((fd: number, bytes: Uint8Array, offset: number, length: number, position: number) =>
      writeSync(fd, bytes, offset, Math.min(length, 1000), position)) as never);
  runJob({ kind: 'allocate', fd, mode: 'zero', size: 4500, native: false });
  expect(fs.statSync(path).size).toBe(4500);
  spy.mockReturnValue(0);
  expect(() => runJob({ kind: 'allocate', fd, mode: 'zero', size: 9000, native: false })).toThrow(
    expect.objectContaining({ code: 'EIO', syscall: 'write' }),
  );
  expect(fs.statSync(path).size).toBe(4500);
});

// A file system of its own, one megabyte large, where the kernel lets an ordinary user have one.
const MOUNT = 'mount -t tmpfs -o size=1m t "$DIRECTORY"';
const canMount = spawnSync('sh', ['-c', `DIRECTORY=/mnt exec unshare -Urm sh -c '${MOUNT}'`]).status === 0;

(canMount ? test.each(native ? ['allocate', 'keep-size', 'zero'] : ['zero']) : test.skip.each(['any']))(
  "a full disk fails '%s' with ENOSPC and gets back what was taken",
  async (mode) => {
    const child = new Child(
      `const disk = realDisk();
       const directory = process.env.DIRECTORY;
       const file = await disk.open(directory + '/file', 'create');
       file.writeSync(new Uint8Array(10).fill(7), 0);
       const before = await disk.freeBytes(directory);
       const error = await file.allocate(process.env.MODE, 2_000_000).catch((caught) => caught);
       console.log(error.code, error.path === file.path, await file.size());
       console.log(before === await disk.freeBytes(directory));
       await file.allocate(process.env.MODE, 500_000);
       console.log('recovered');`,
      { DIRECTORY: temporaryDirectory(), MODE: mode },
      ['unshare', '-Urm', 'sh', '-c', `${MOUNT} && exec "$@"`, 'sh'],
    );
    expect(await child.line()).toBe('ENOSPC true 10');
    expect(await child.line()).toBe('true');
    expect(await child.line()).toBe('recovered');
    expect(await child.end()).toBe(0);
  },
);
