/**
 * One thread pool for all disks of the process that ask for the same number of threads.
 *
 * A hundred logs need no hundred pools, and a program (or a test) that opens and closes logs by the thousand must not
 * start threads by the thousand: so a pool that nobody holds any more waits a moment before it ends. Called by the real
 * disk alone.
 */
import { clearTimeout, setTimeout } from 'node:timers';
import { VarveError } from '../errors.js';
import type { Job } from './jobs.js';
import { Pool } from './pool.js';

/** How long an unheld pool waits for the next user, in milliseconds. */
const LINGER_MS = 1000;

interface SharedPool {
  readonly pool: Pool;
  holders: number;
  ending: NodeJS.Timeout | undefined;
}

const pools = new Map<number, SharedPool>();

/** One disk's hold on a pool. */
export class PoolHandle {
  readonly #threads: number;
  #shared: SharedPool | undefined;

  /** `threads`: an integer from 1 up. No thread starts before the first job. */
  constructor(threads: number) {
    let shared = pools.get(threads);
    if (shared === undefined) {
      shared = { pool: new Pool(threads), holders: 0, ending: undefined };
      pools.set(threads, shared);
    }
    clearTimeout(shared.ending);
    shared.holders++;
    this.#shared = shared;
    this.#threads = threads;
  }

  /** See `Pool.run`. Rejects with `ERR_VARVE_CLOSED` after `release`. */
  run(job: Job, path: string): Promise<void> {
    if (this.#shared !== undefined) return this.#shared.pool.run(job, path);
    return Promise.reject(
      new VarveError('ERR_VARVE_CLOSED', `The disk is closed: no ${job.kind} of ${path}`, { path }),
    );
  }

  /** Idempotent. Jobs under way are finished. */
  release(): void {
    if (this.#shared === undefined) return;
    this.#shared.holders--;
    if (this.#shared.holders === 0) endLater(this.#threads, this.#shared);
    this.#shared = undefined;
  }
}

function endLater(threads: number, shared: SharedPool): void {
  shared.ending = setTimeout(() => {
    if (shared.pool.busy) {
      endLater(threads, shared);
      return;
    }
    pools.delete(threads);
    void shared.pool.close();
  }, LINGER_MS).unref();
}
