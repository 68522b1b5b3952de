/** Puts are pipelined by lmdb itself: those of one turn share a transaction, and transactions overlap with their syncs. */
import { open as openDatabase } from 'lmdb';

/** @type {import('./index.js').OpenPeer} */
export function open(directory, ack) {
  const durable = ack === 'durable';
  const db = openDatabase({
    path: directory,
    keyEncoding: 'uint32',
    encoding: 'binary',
    ...(durable ? { separateFlushed: true } : { noSync: true }),
  });
  let last = 0;
  const put = (/** @type {Uint8Array} */ payload) => {
    const committed = db.put(++last, payload);
    return durable ? committed.flushed : committed;
  };
  const count = (/** @type {Iterable<{ key: number, value: Uint8Array }>} */ entries) => {
    let records = 0;
    for (const { value } of entries) if (value.length > 0) records++;
    return records;
  };
  return {
    library: 'lmdb',
    name: `lmdb ${durable ? 'flushed' : 'noSync'}`,
    durability: durable
      ? 'lmdb: `flushed` has resolved'
      : 'lmdb: committed, nothing synced; power loss may ruin the database',
    append: put,
    async appendBatch(payloads) {
      let done;
      for (const payload of payloads) done = put(payload);
      await done;
    },
    scan: () => count(db.getRange({})),
    scanBackward: () => count(db.getRange({ reverse: true })),
    get: (number) => db.get(number),
    close: () => db.close(),
  };
}
