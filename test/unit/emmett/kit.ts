/** What the tests of the Emmett adapter share: stores on simulated disks, and a small shop. */
import type { Event } from '@event-driven-io/emmett';
import { type EventStore, type EventStoreOptions, openEventStore } from 'varve';
import { getVarveEventStore, type VarveEmmettOptions } from 'varve/emmett';
import { SimulatedDisk } from '../../../src/testing/simulated-disk.js';

export type ItemAdded = Event<'ItemAdded', { sku: string; quantity: number }>;
export type ItemRemoved = Event<'ItemRemoved', { sku: string; quantity: number }>;
export type CartEvent = ItemAdded | ItemRemoved;

export const added = (sku: string, quantity = 1): CartEvent => ({ type: 'ItemAdded', data: { sku, quantity } });
export const removed = (sku: string, quantity = 1): CartEvent => ({ type: 'ItemRemoved', data: { sku, quantity } });

export type Cart = Record<string, number>;
export const initialState = (): Cart => ({});
export function evolve(state: Cart, { type, data: { sku, quantity } }: CartEvent): Cart {
  return { ...state, [sku]: (state[sku] ?? 0) + (type === 'ItemAdded' ? quantity : -quantity) };
}

export const settings = (disk: SimulatedDisk): EventStoreOptions => ({
  directory: '/data',
  disk,
  segmentSize: 64 * 1024,
});

/** Varve's store, and Emmett's on it. */
export async function shop(options: VarveEmmettOptions = {}, more: Partial<EventStoreOptions> = {}) {
  const disk = new SimulatedDisk();
  const store: EventStore = await openEventStore({ ...settings(disk), ...more });
  return { disk, store, eventStore: getVarveEventStore({ ...options, store }) };
}

export const code = (expected: string) => ({ code: expected });

export function deferred<T = void>() {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((done, failed) => {
    resolve = done;
    reject = failed;
  });
  return { promise, resolve, reject };
}
