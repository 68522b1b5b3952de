/**
 * Emmett's event store on SQLite. It opens the database for each call; concurrent appends fail with SQLITE_BUSY, and now
 * and then one does that comes right behind another.
 */
import { join } from 'node:path';
import { getSQLiteEventStore } from '@event-driven-io/emmett-sqlite';

const ATTEMPTS = 50;

/** @param {string} directory */
export async function openEvents(directory) {
  const store = getSQLiteEventStore({
    fileName: join(directory, 'emmett.db'),
    schema: { autoMigration: 'CreateOrUpdate' },
  });
  return {
    library: 'emmett-sqlite',
    name: 'emmett-sqlite',
    durability: 'SQLite in WAL mode, synchronous=FULL',
    /** @param {string} stream @param {{ type: string, data: unknown }} event */
    async append(stream, event) {
      for (let attempt = 1; ; attempt++) {
        try {
          return await store.appendToStream(stream, [event]);
        } catch (error) {
          if (/** @type {any} */ (error).code !== 'SQLITE_BUSY' || attempt === ATTEMPTS) throw error;
        }
      }
    },
    /** @param {string} stream @returns {Promise<number>} */
    readStream: async (stream) => (await store.readStream(stream)).events.length,
    close() {},
  };
}
