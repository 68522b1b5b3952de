/** better-sqlite3, or node:sqlite where that cannot be loaded. Both have the calls that are used here. */

async function load() {
  try {
    const { default: Database } = await import('better-sqlite3');
    new Database(':memory:').close(); // the native part is loaded only now
    return { library: 'better-sqlite3', Database };
  } catch (error) {
    const sqlite = await import(/** @type {string} */ ('node:sqlite')).catch(() => {
      throw error; // of the two, the one that says what to do
    });
    return { library: 'node:sqlite', Database: sqlite.DatabaseSync };
  }
}

const { library, Database } = await load();

/**
 * A database in WAL mode. FULL syncs the WAL at each commit; NORMAL does not, and loses nothing when the process dies.
 *
 * @param {string} file
 * @param {import('./index.js').Ack} ack
 */
export function openDatabase(file, ack) {
  const synchronous = ack === 'durable' ? 'FULL' : 'NORMAL';
  const db = new Database(file);
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}`);
  return {
    db,
    library,
    name: `${library} ${synchronous}`,
    durability: `SQLite in WAL mode, synchronous=${synchronous}`,
  };
}
