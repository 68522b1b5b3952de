/** Emmett's event store on SQLite. It opens the database for each call, and of concurrent appends all but one fail. */
import { join } from 'node:path';
import { getSQLiteEventStore } from '@event-driven-io/emmett-sqlite';

/** @param {string} directory */
export async function openEvents(directory) {
  const store = getSQLiteEventStore({
    fileName: join(directory, 'emmett.db'),
    schema: { autoMigration: 'CreateOrUpdate' },
  });
  return {
    name: 'emmett-sqlite',
    durability: 'SQLite in WAL mode, synchronous=FULL',
    /** @param {string} stream @param {{ type: string, data: unknown }} event */
    append: (stream, event) => store.appendToStream(stream, [event]),
    /** @param {string} stream @returns {Promise<number>} */
    readStream: async (stream) => (await store.readStream(stream)).events.length,
    close() {},
  };
}
