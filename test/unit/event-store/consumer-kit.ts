/** What the tests of consumers, snapshots and aggregates share. */
import { type EventStore, type EventStoreOptions, openEventStore, type RecordedEvent } from 'varve';
import { SimulatedDisk } from '../../../src/testing/simulated-disk.js';

export const SEGMENT = 64 * 1024;

export function open(disk: SimulatedDisk, options: Partial<EventStoreOptions> = {}): Promise<EventStore> {
  return openEventStore({ directory: '/data', disk, segmentSize: SEGMENT, ...options });
}

/** A store, and `count` events with the data 1 … count in three streams of the category `order`. */
export async function storeWith(count: number, options: Partial<EventStoreOptions> = {}) {
  const disk = new SimulatedDisk();
  const store = await open(disk, options);
  await append(store, 1, count);
  return { disk, store };
}

/** Appends events with the data first … last, each durable before the next. */
export async function append(store: EventStore, first: number, last: number): Promise<void> {
  for (let n = first; n <= last; n++) await store.appendToStream(`order-${n % 3}`, { type: 'Counted', data: n });
}

export const numberOf = (event: RecordedEvent): number => event.data as number;

/** 1 … count */
export const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

export function deferred<T = void>() {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((done, failed) => {
    resolve = done;
    reject = failed;
  });
  return { promise, resolve, reject };
}

export const code = (expected: string) => ({ code: expected });
