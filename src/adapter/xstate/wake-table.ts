/**
 * Which actors have something to do though nothing is sent to them: told by the newest entry of each journal.
 */
import type { EventStore } from '../event-store/event-store.js';
import { metadataOf } from './entries.js';

export interface WakeTable {
  /** By stream: when, in milliseconds of the host's clock; 0: at once. */
  readonly earliest: ReadonlyMap<string, number>;
  /** Time of the newest entry. */
  readonly lastSeen: number;
}

export async function readWakeTable(store: EventStore, machines: readonly string[]): Promise<WakeTable> {
  const earliest = new Map<string, number>();
  let lastSeen = 0;
  if (machines.length === 0) return { earliest, lastSeen };
  for await (const batch of store.readAll({ filter: { categories: machines } }).batches()) {
    for (const event of batch) {
      const { kind, at, wake } = metadataOf(event);
      lastSeen = Math.max(lastSeen, at);
      if (kind === 'emitted' || kind === 'message') continue;
      if (wake === undefined) earliest.delete(event.stream);
      else earliest.set(event.stream, wake);
    }
  }
  return { earliest, lastSeen };
}
