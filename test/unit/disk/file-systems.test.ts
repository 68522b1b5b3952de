import { beforeEach, expect, jest, test } from '@jest/globals';
import type { NativeSyscalls } from '../../../src/disk/syscalls.js';

const statfs = jest.fn<(path: string) => Promise<{ type: number }>>();
jest.unstable_mockModule('node:fs/promises', () => ({ statfs }));
const { featuresOf } = await import('../../../src/disk/file-systems.js');

const page = new Uint8Array(4096);
const unmapped: [bigint, number][] = [];
const native = {
  mapAnonymous: () => 4096n,
  view: () => page,
  munmap: (address: bigint, length: number) => unmapped.push([address, length]),
} as unknown as NativeSyscalls;

beforeEach(() => {
  unmapped.length = 0;
});

const featuresOn = (type: number, calls: NativeSyscalls | undefined = native) => {
  statfs.mockResolvedValue({ type });
  return featuresOf('/data', calls, 'the reason');
};

test.each([
  ['ext4', 0xef53],
  ['xfs', 0x58465342],
  ['tmpfs', 0x01021994],
])('%s can do all', async (fileSystem, type) => {
  expect(await featuresOn(type)).toEqual({ map: true, fallocate: true, fileSystem, limits: '' });
  expect(unmapped).toEqual([[4096n, 4096]]);
});

test('btrfs reserves space, but not for stores into a mapping', async () => {
  for (const type of [0x9123683e, 0x9123683e - 2 ** 32]) {
    expect(await featuresOn(type)).toEqual({
      map: false,
      fallocate: true,
      fileSystem: 'btrfs',
      limits: expect.stringContaining('btrfs'),
    });
  }
});

test.each([
  ['zfs', 0x2fc12fc1],
  ['overlayfs', 0x794c7630],
  ['nfs', 0x6969],
  ['0x65735546', 0x65735546],
])('of %s nothing is assumed', async (fileSystem, type) => {
  expect(await featuresOn(type)).toEqual({
    map: false,
    fallocate: false,
    fileSystem,
    limits: expect.stringContaining(fileSystem),
  });
});

test('without native calls there is neither, and the reason is given', async () => {
  statfs.mockResolvedValue({ type: 0xef53 });
  expect(await featuresOf('/data', undefined, 'the reason')).toEqual({
    map: false,
    fallocate: false,
    fileSystem: 'ext4',
    limits: 'the reason',
  });
});

test('an engine that forbids views, and memory that cannot be mapped, leave reserving alone', async () => {
  const forbidden = {
    ...native,
    view() {
      throw new Error('no external buffers');
    },
  };
  expect(await featuresOn(0xef53, forbidden)).toEqual({
    map: false,
    fallocate: true,
    fileSystem: 'ext4',
    limits: expect.stringContaining('no external buffers'),
  });
  expect(unmapped).toHaveLength(1);
  const full = {
    ...native,
    mapAnonymous() {
      throw new Error('ENOMEM');
    },
  };
  expect(await featuresOn(0xef53, full)).toMatchObject({ map: false, limits: expect.stringContaining('ENOMEM') });
  const forgets = { set: () => true, get: () => 0 };
  const forgetful = { ...native, view: () => new Proxy(new Uint8Array(4096), forgets) };
  await expect(featuresOn(0xef53, forgetful)).resolves.toMatchObject({ map: false });
});

test('an error has the path', async () => {
  statfs.mockRejectedValue(Object.assign(new Error('EIO'), { code: 'EIO', errno: -5 }));
  await expect(featuresOf('/data', native, '')).rejects.toMatchObject({ code: 'EIO', path: '/data' });
});
