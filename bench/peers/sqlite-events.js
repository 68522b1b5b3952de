/** An event store as one writes it on SQLite in an afternoon: a table with a unique (stream, revision). */
import { join } from 'node:path';
import { openDatabase } from './sqlite-library.js';

/** @param {string} directory */
export function openEvents(directory) {
  const { db, library, name, durability } = openDatabase(join(directory, 'events.db'), 'durable');
  db.exec(
    'CREATE TABLE events (position INTEGER PRIMARY KEY, stream TEXT NOT NULL, revision INTEGER NOT NULL, ' +
      'type TEXT NOT NULL, data TEXT NOT NULL, UNIQUE (stream, revision))',
  );
  const insert = db.prepare(
    'INSERT INTO events (stream, revision, type, data) ' +
      'SELECT ?, coalesce(max(revision), -1) + 1, ?, ? FROM events WHERE stream = ?',
  );
  const ofStream = db.prepare('SELECT revision, type, data FROM events WHERE stream = ? ORDER BY revision');
  const all = db.prepare('SELECT position, stream, revision, type, data FROM events ORDER BY position');
  const count = (/** @type {Iterable<{ data: string }>} */ rows) => {
    let events = 0;
    for (const row of rows) if (JSON.parse(row.data) !== undefined) events++;
    return events;
  };
  return {
    library: `${library}, unique (stream, revision)`,
    name: `${name}, unique (stream, revision)`,
    durability,
    /** @param {string} stream @param {{ type: string, data: unknown }} event */
    append: (stream, { type, data }) => insert.run(stream, type, JSON.stringify(data), stream),
    /** @param {() => void} appends one transaction for all of them */
    together(appends) {
      db.exec('BEGIN IMMEDIATE');
      appends();
      db.exec('COMMIT');
    },
    /** @param {string} stream */
    readStream: (stream) => count(ofStream.iterate(stream)),
    readAll: () => count(all.iterate()),
    close: () => db.close(),
  };
}
