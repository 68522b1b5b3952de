/**
 * What Varve is compared with: each file of this folder makes one package keep records in order, in the way in which that
 * package does it best at the durability that is asked for.
 *
 * A peer that is not installed, or cannot be loaded here, is left out, and said to be.
 */
import { readFile } from 'node:fs/promises';

/** @typedef {'durable' | 'written'} Ack */
/** @typedef {'sqlite' | 'lmdb' | 'classic-level' | 'rocksdb' | 'sonic-boom' | 'event-storage'} PeerName */

/**
 * Records with numbers from 1 on, in a directory of its own.
 *
 * @typedef {object} PeerStore
 * @property {string} library name of the package, for rows that only read
 * @property {string} name the same with the way in which it appends
 * @property {string} durability what holds when `append` is done
 * @property {(payload: Uint8Array) => unknown} append done when it returns; when it resolves, if it returns a promise
 * @property {(payloads: readonly Uint8Array[]) => unknown} [appendBatch] all or nothing
 * @property {() => number | Promise<number>} [scan] from the first to the last, each with its bytes; how many they are
 * @property {() => number | Promise<number>} [scanBackward]
 * @property {(number: number) => Uint8Array | Promise<Uint8Array>} [get]
 * @property {() => unknown} close
 */

/** @typedef {PeerStore & { id: PeerName }} OpenedPeer */

/** @typedef {(directory: string, ack: Ack) => PeerStore | Promise<PeerStore>} OpenPeer */

/** @type {Record<PeerName | 'emmett-sqlite', string>} */
const PACKAGES = {
  sqlite: 'better-sqlite3',
  lmdb: 'lmdb',
  'classic-level': 'classic-level',
  rocksdb: 'rocksdb-native',
  'sonic-boom': 'sonic-boom',
  'event-storage': 'event-storage',
  'emmett-sqlite': '@event-driven-io/emmett-sqlite',
};

export class Peers {
  #wanted;
  /** @type {string[]} */
  skipped = [];

  /** @param {boolean} wanted */
  constructor(wanted) {
    this.#wanted = wanted;
  }

  /**
   * The module of a peer, or undefined where it cannot be loaded.
   *
   * @param {PeerName | 'emmett-sqlite' | 'sqlite-events'} name
   * @returns {Promise<any>}
   */
  async load(name) {
    const packageName = name === 'sqlite-events' ? PACKAGES.sqlite : PACKAGES[name];
    const why = this.#wanted ? undefined : 'run without peers';
    try {
      if (why === undefined) return await import(`./${name}.js`);
    } catch (error) {
      const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
      this.#skip(packageName, code === 'ERR_MODULE_NOT_FOUND' ? 'it is not installed' : (message.split('\n')[0] ?? ''));
      return undefined;
    }
    this.#skip(packageName, why);
    return undefined;
  }

  /**
   * Opens those of the peers that can be loaded, each in a new directory.
   *
   * @param {readonly PeerName[]} names
   * @param {import('../workspace.js').Workspace} workspace
   * @param {Ack} ack
   * @returns {Promise<OpenedPeer[]>}
   */
  async open(names, workspace, ack) {
    const stores = [];
    for (const name of names) {
      const peer = await this.load(name);
      if (peer !== undefined) stores.push({ ...(await peer.open(workspace.makeDirectory(), ack)), id: name });
    }
    return stores;
  }

  /** @param {string} packageName @param {string} why */
  #skip(packageName, why) {
    const line = `${packageName} was not measured: ${why}`;
    if (!this.skipped.includes(line)) this.skipped.push(line);
  }
}

/** Versions of the packages that are there. @returns {Promise<Record<string, string>>} */
export async function installedVersions() {
  /** @type {Record<string, string>} */
  const versions = {};
  for (const name of Object.values(PACKAGES)) {
    try {
      const manifest = await readFile(new URL(`../node_modules/${name}/package.json`, import.meta.url), 'utf8');
      versions[name] = JSON.parse(manifest).version;
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ENOENT') throw error;
    }
  }
  return versions;
}
