/** A table with an integer key; a transaction for each append. */
import { join } from 'node:path';
import { openDatabase } from './sqlite-library.js';

/** @type {import('./index.js').OpenPeer} */
export function open(directory, ack) {
  const { db, library, name, durability } = openDatabase(join(directory, 'log.db'), ack);
  db.exec('CREATE TABLE log (number INTEGER PRIMARY KEY, payload BLOB NOT NULL)');
  const insert = db.prepare('INSERT INTO log (payload) VALUES (?)');
  const one = db.prepare('SELECT payload FROM log WHERE number = ?');
  const begin = db.prepare('BEGIN IMMEDIATE');
  const commit = db.prepare('COMMIT');
  const forward = db.prepare('SELECT number, payload FROM log ORDER BY number');
  const backward = db.prepare('SELECT number, payload FROM log ORDER BY number DESC');
  const count = (/** @type {Iterable<{ number: number, payload: Uint8Array }>} */ rows) => {
    let records = 0;
    for (const { payload } of rows) if (payload.length > 0) records++;
    return records;
  };
  return {
    library,
    name,
    durability,
    append: (payload) => insert.run(payload),
    appendBatch(payloads) {
      begin.run();
      for (const payload of payloads) insert.run(payload);
      commit.run();
    },
    scan: () => count(forward.iterate()),
    scanBackward: () => count(backward.iterate()),
    get: (number) => one.get(number).payload,
    close: () => db.close(),
  };
}
