/** One stream of JSON events, each with a string as long as the payload. */
import { once } from 'node:events';
import EventStore from 'event-storage';

const STREAM = 'log';

/** @type {import('./index.js').OpenPeer} */
export async function open(directory, ack) {
  const syncOnFlush = ack === 'durable';
  const store = new EventStore('bench', { storageDirectory: directory, storageConfig: { syncOnFlush } });
  await once(store, 'ready');
  /** @type {Map<number, string>} */
  const texts = new Map();
  const eventOf = ({ length }) => {
    const payload = texts.get(length) ?? 'x'.repeat(length);
    texts.set(length, payload);
    return { payload };
  };
  const commit = (/** @type {readonly Uint8Array[]} */ payloads) =>
    new Promise((resolve) => store.commit(STREAM, payloads.map(eventOf), resolve));
  return {
    library: 'event-storage',
    name: `event-storage${syncOnFlush ? ' syncOnFlush' : ''}`,
    durability: syncOnFlush ? 'event-storage: syncOnFlush' : 'event-storage: flushed, not synced',
    append: (payload) => commit([payload]),
    appendBatch: commit,
    scan() {
      let records = 0;
      for (const { payload } of store.getEventStream(STREAM)) if (payload.length > 0) records++;
      return records;
    },
    close: () => store.close(),
  };
}
