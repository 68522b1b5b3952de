/** Small stores on simulated disks. */

import { type EventStore, type EventStoreOptions, openEventStore } from 'varve';
import { SimulatedDisk } from '../../src/testing/index.js';

export const DIRECTORY = '/store';

/** Segments of 8 KiB, so that a few dozen events fill several. */
export function openStore(disk: SimulatedDisk, options: Partial<EventStoreOptions> = {}): Promise<EventStore> {
  return openEventStore({ directory: DIRECTORY, disk, segmentSize: 8192, ...options });
}

export async function withStore(
  work: (store: EventStore, disk: SimulatedDisk) => Promise<void>,
  options: Partial<EventStoreOptions> = {},
): Promise<void> {
  const disk = new SimulatedDisk();
  const store = await openStore(disk, options);
  try {
    await work(store, disk);
  } finally {
    await store.close();
  }
}

/** Appends `count` events of about 300 bytes, one after the other. */
export async function fill(store: EventStore, stream: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++)
    await store.appendToStream(stream, { type: 'Filled', data: { text: 'x'.repeat(200) } });
}

export async function revisionsOf(store: EventStore, stream: string): Promise<number[]> {
  return (await store.readStream(stream).toArray()).map(({ revision }) => Number(revision));
}

export const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);
