/**
 * Which host runs which actors of a store. Only one process can own a store, so it is known in memory; the expected
 * revision of each append is the fence behind it, should a store ever be shared in another way.
 */
import type { EventStore } from '../event-store/event-store.js';
import { notOwner } from './actor-errors.js';

const owners = new WeakMap<EventStore, Map<string, object>>();

/** Throws `ERR_VARVE_LEASE_LOST` where another host runs it. */
export function claim(store: EventStore, stream: string, host: object): void {
  const streams = owners.get(store) ?? new Map<string, object>();
  owners.set(store, streams);
  const owner = streams.get(stream);
  if (owner !== undefined && owner !== host) throw notOwner(stream);
  streams.set(stream, host);
}

export function release(store: EventStore, stream: string, host: object): void {
  const streams = owners.get(store);
  if (streams?.get(stream) === host) streams.delete(stream);
}
