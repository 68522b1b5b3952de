/** LevelDB; appends that wait for a sync at the same time share it, as far as the threads of libuv go. */
import { ClassicLevel } from 'classic-level';
import { keyOf } from './keys.js';

/** Entries that are fetched at once when iterating. */
const FETCHED = 1000;

/** @type {import('./index.js').OpenPeer} */
export async function open(directory, ack) {
  const db = new ClassicLevel(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  await db.open();
  const sync = ack === 'durable';
  let last = 0;
  const count = async (/** @type {boolean} */ reverse) => {
    const iterator = db.iterator({ reverse });
    let records = 0;
    for (;;) {
      const entries = await iterator.nextv(FETCHED);
      if (entries.length === 0) break;
      for (const [, value] of entries) if (value.length > 0) records++;
    }
    await iterator.close();
    return records;
  };
  return {
    library: 'classic-level',
    name: `classic-level sync: ${sync}`,
    durability: `LevelDB, sync: ${sync}`,
    append: (payload) => db.put(keyOf(++last), payload, { sync }),
    appendBatch: (payloads) =>
      db.batch(
        payloads.map((value) => ({ type: 'put', key: keyOf(++last), value })),
        { sync },
      ),
    scan: () => count(false),
    scanBackward: () => count(true),
    get: (number) => db.get(keyOf(number)),
    close: () => db.close(),
  };
}
