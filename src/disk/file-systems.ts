/**
 * What a directory's file system can do, found out without touching the directory. Called by the real disk alone.
 */
import { statfs } from 'node:fs/promises';
import type { DiskFeatures } from './disk.js';
import type { NativeSyscalls } from './syscalls.js';
import { named } from './system-error.js';

interface FileSystem {
  readonly name: string;
  /** fallocate(2) reserves space. */
  readonly fallocate: boolean;
  /** Reserved blocks are the very blocks that a later store goes to, so that it cannot meet a full disk. */
  readonly reservesForReal: boolean;
}

/** By `f_type` of statfs(2). Of a file system that is not listed nothing is assumed. */
const FILE_SYSTEMS = new Map<number, FileSystem>([
  [0xef53, { name: 'ext4', fallocate: true, reservesForReal: true }],
  [0x58465342, { name: 'xfs', fallocate: true, reservesForReal: true }],
  [0x01021994, { name: 'tmpfs', fallocate: true, reservesForReal: true }],
  // Copies on write: each store may need a new block.
  [0x9123683e, { name: 'btrfs', fallocate: true, reservesForReal: false }],
  [0x2fc12fc1, { name: 'zfs', fallocate: false, reservesForReal: false }],
  [0x794c7630, { name: 'overlayfs', fallocate: false, reservesForReal: false }],
  [0x6969, { name: 'nfs', fallocate: false, reservesForReal: false }],
]);

/** `nativeProblem` says why there is no `native`. */
export async function featuresOf(
  directory: string,
  native: NativeSyscalls | undefined,
  nativeProblem: string,
): Promise<DiskFeatures> {
  let type: number;
  try {
    type = (await statfs(directory)).type >>> 0; // sign-extended on some machines
  } catch (error) {
    throw named(error, directory);
  }
  const known = FILE_SYSTEMS.get(type);
  const fileSystem = known?.name ?? `0x${type.toString(16)}`;
  if (native === undefined) return { map: false, fallocate: false, fileSystem, limits: nativeProblem };

  const limits: string[] = [];
  const fallocate = known?.fallocate === true;
  if (!fallocate) limits.push(`${fileSystem} is not known to reserve space`);
  const viewProblem = viewLimit(native);
  if (!known?.reservesForReal) limits.push(`${fileSystem} is not known to reserve space for stores into a mapping`);
  if (viewProblem !== '') limits.push(viewProblem);
  return {
    map: known?.reservesForReal === true && viewProblem === '',
    fallocate,
    fileSystem,
    limits: limits.join('; '),
  };
}

/** Why mapped memory cannot be used here, or empty. Tried on a page of private memory. */
function viewLimit(native: NativeSyscalls): string {
  const length = 4096;
  let address: bigint;
  try {
    address = native.mapAnonymous(length);
  } catch (error) {
    return `memory cannot be mapped (${(error as Error).message})`;
  }
  try {
    const view = native.view(address, length);
    view[length - 1] = 1;
    return view[length - 1] === 1 ? '' : 'mapped memory does not keep what is stored';
  } catch (error) {
    return `this JavaScript engine forbids views of mapped memory (${(error as Error).message})`;
  } finally {
    native.munmap(address, length);
  }
}
