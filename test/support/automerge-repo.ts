/** Storage of automerge-repo on simulated disks. */

import { VarveStorageAdapter } from 'varve/automerge-repo';
import type { SimulatedDisk } from '../../src/testing/index.js';
import { DIRECTORY } from './small-stores.js';

export const SEGMENT = 8192;

export const adapterOn = (disk: SimulatedDisk, options: { partitions?: number; segmentSize?: number } = {}) =>
  new VarveStorageAdapter({ directory: DIRECTORY, storeOptions: { disk, segmentSize: SEGMENT, ...options } });

export async function withAdapter(
  disk: SimulatedDisk,
  work: (adapter: VarveStorageAdapter) => Promise<void>,
  options: { partitions?: number; segmentSize?: number } = {},
): Promise<void> {
  const adapter = adapterOn(disk, options);
  try {
    await work(adapter);
  } finally {
    await adapter.close();
  }
}

/** `length` bytes that no other `seed` has. */
export const bytes = (seed: number, length = 20): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (seed * 31 + i * 7 + (seed >> 8)) & 0xff);
