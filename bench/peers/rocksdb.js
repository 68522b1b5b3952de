/** rocksdb-native offers no synced write: what makes a put durable is to flush the memory table to a file. */
import RocksDB from 'rocksdb-native';
import { keyOf } from './keys.js';

/** @type {import('./index.js').OpenPeer} */
export async function open(directory, ack) {
  const db = new RocksDB(directory);
  await db.ready();
  let last = 0;
  const write = async (/** @type {readonly Uint8Array[]} */ payloads) => {
    const batch = db.write();
    for (const payload of payloads) batch.tryPut(keyOf(++last), payload);
    await batch.flush();
    batch.destroy();
    if (ack === 'durable') await db.flush();
  };
  const count = async (/** @type {boolean} */ reverse) => {
    let records = 0;
    for await (const { value } of db.iterator({}, { reverse })) if (value.length > 0) records++;
    return records;
  };
  return {
    library: 'rocksdb-native',
    name: `rocksdb-native ${ack === 'durable' ? 'put + flush' : 'put'}`,
    durability: ack === 'durable' ? 'RocksDB, memory table flushed' : 'RocksDB, WAL not synced',
    append: async (payload) => {
      await db.put(keyOf(++last), payload);
      if (ack === 'durable') await db.flush();
    },
    appendBatch: write,
    scan: () => count(false),
    scanBackward: () => count(true),
    get: (number) => db.get(keyOf(number)),
    close: () => db.close(),
  };
}
