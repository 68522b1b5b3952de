/** What stores of states share: the newest event of a stream, and what is known of streams while a store is open. */
import type { EventStore } from '../event-store/event-store.js';
import type { RecordedEvent } from '../event-store/recorded-event.js';

/** Streams of which something is kept in mind. */
export const REMEMBERED = 10_000;

/** One of a kind for each event store: what all that write to it know together. */
export function perStore<T>(make: (store: EventStore) => T): (store: EventStore) => T {
  const made = new WeakMap<EventStore, T>();
  return (store) => {
    const known = made.get(store) ?? make(store);
    made.set(store, known);
    return known;
  };
}

/** The newest durable event of a stream; undefined where there is none that can be read. */
export async function newestEvent(store: EventStore, stream: string): Promise<RecordedEvent | undefined> {
  const [newest] = await store.readStream(stream, { direction: 'backwards', maxCount: 1 }).toArray();
  return newest;
}

/** A state as it is now, for when it cannot be encoded at once: its owner may go on changing it. */
export function taken<State>({ codec }: EventStore, state: State): State {
  return codec.decode(codec.encode(state, 'state')) as State;
}

/** Data of an event that says all in its metadata. Every codec that comes with the event store keeps it. */
export const NOTHING = new Uint8Array(0);
