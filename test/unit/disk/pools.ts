/** Pools and blocking jobs for the tests of the thread pool. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { afterEach } from '@jest/globals';
import { Pool } from '../../../src/disk/pool.js';
import { temporaryDirectory } from './places.js';

const pools: Pool[] = [];

/** A pool that is closed after the test. */
export function newPool(threads: number, worker?: URL): Pool {
  const pool = new Pool(threads, worker);
  pools.push(pool);
  return pool;
}

afterEach(async () => {
  for (const pool of pools.splice(0)) await pool.close();
});

/** Waits, turn by turn, for what must come. */
export const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise(setImmediate);
};

/** Jobs that block until they are let go: syncing a named pipe waits for somebody who writes. */
export class Blockers {
  readonly #directory = temporaryDirectory();
  #count = 0;

  path(): string {
    const path = `${this.#directory}/${this.#count++}`;
    if (spawnSync('sh', ['-c', 'exec mkfifo "$0"', path]).status !== 0) throw new Error('mkfifo failed');
    return path;
  }

  /** Resolves when a job blocks on the pipe, which is then let go. */
  async letGo(path: string): Promise<void> {
    for (;;) {
      try {
        fs.closeSync(fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK));
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error; // nobody reads yet
        await new Promise(setImmediate);
      }
    }
  }
}
