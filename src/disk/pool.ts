/**
 * The thread pool: piscina's threads, each of which runs a lane, and the queue before them.
 *
 * `piscina.run` for each job would cost two messages and the pool's bookkeeping, about as long as a good disk's sync.
 * So a pool thread is asked once, to start a lane (worker.ts), and is rung for each job after that.
 *
 * Promises: jobs start in the order of `run`, of one file never two at once. Threads start one by one, when a job finds
 * all others busy. A job is never interrupted, and never done twice: when its thread dies it rejects with
 * `ERR_DISK_THREAD_DIED`, and it is unknown whether it took effect. Called by the real disk, through shared-pool.ts.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { VarveError } from '../errors.js';
import { JobQueue, type QueuedJob } from './job-queue.js';
import type { Job } from './jobs.js';
import { Lane } from './lane.js';
import { type Failure, fromFailure } from './system-error.js';

interface PooledJob extends QueuedJob {
  readonly job: Job;
  readonly path: string;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** A bound for memory only: each partition has one sync under way, so this is more than 60,000 busy partitions. */
const WAITING_MAX = 65_536;

export class Pool {
  readonly #threads: number;
  readonly #worker: URL;
  readonly #queue = new JobQueue<PooledJob>();
  readonly #lanes = new Set<Lane>();
  readonly #idle: Lane[] = [];
  readonly #busy = new Map<Lane, PooledJob>();
  /** Threads that were given a lane, by their id. */
  readonly #laneOf = new Map<number, Lane>();
  readonly #watched = new WeakSet<Worker>();
  #starting: Lane | undefined;
  /** Takes the start of a lane back from piscina, when the thread that was to have it has ended. */
  #startGivenUp = new AbortController();
  #piscina: Piscina | undefined;

  /** `threads` from 1 up; `worker` is the compiled worker.ts. */
  constructor(threads: number, worker: URL = findWorker()) {
    this.#threads = threads;
    this.#worker = worker;
  }

  /** Threads that have been started and live. */
  get threads(): number {
    return this.#lanes.size;
  }

  /** Whether any job waits or runs, or a thread is starting. */
  get busy(): boolean {
    return this.#busy.size > 0 || this.#queue.waiting > 0 || this.#starting !== undefined;
  }

  /**
   * Does the job in a thread; `path` is the file concerned, for errors. Rejects with the system's error, or with
   * `ERR_VARVE_BACKPRESSURE` when 65,536 jobs wait already.
   */
  run(job: Job, path: string): Promise<void> {
    if (this.#queue.waiting >= WAITING_MAX) {
      const message = `${WAITING_MAX} disk operations wait for a thread already: await some before starting more`;
      return Promise.reject(new VarveError('ERR_VARVE_BACKPRESSURE', message, { path, limit: WAITING_MAX }));
    }
    return new Promise((resolve, reject) => {
      this.#queue.add({ job, path, key: 'fd' in job ? job.fd : undefined, resolve, reject });
      this.#dispatch();
    });
  }

  /** Ends the threads. The pool is not busy, and is not used again. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#lanes, (lane) => lane.stop()));
    await this.#piscina?.destroy();
  }

  #dispatch(): void {
    while (this.#queue.ready && this.#idle.length > 0) {
      this.#hand(this.#idle.pop() as Lane, this.#queue.take() as PooledJob);
    }
    if (this.#queue.ready && this.#starting === undefined && this.#lanes.size < this.#threads) void this.#startLane();
  }

  #hand(lane: Lane, pooled: PooledJob): void {
    this.#busy.set(lane, pooled);
    lane.hand(pooled.job);
  }

  #answered(lane: Lane, failure: Failure | null): void {
    const done = this.#busy.get(lane) as PooledJob;
    this.#queue.finished(done);
    const next = this.#queue.take();
    if (next !== undefined) {
      this.#hand(lane, next);
    } else {
      this.#busy.delete(lane);
      this.#idle.push(lane);
      lane.rest();
    }
    settle(done, failure);
  }

  /** Never rejects: a thread that does not start fails the jobs that wait. Meanwhile piscina holds the process. */
  async #startLane(): Promise<void> {
    const lane = new Lane((lane, failure) => this.#answered(lane, failure));
    this.#starting = lane;
    this.#lanes.add(lane);
    this.#startGivenUp = new AbortController();
    const { signal } = this.#startGivenUp;
    try {
      this.#piscina ??= this.#createPiscina();
      const started = this.#piscina.run(lane.start, { transferList: [lane.start.port], signal });
      for (const thread of this.#piscina.threads) this.#watch(thread);
      await started;
    } catch (error) {
      this.#ended(lane, error);
      return;
    }
    this.#starting = undefined;
    this.#idle.push(lane);
    this.#dispatch();
  }

  #createPiscina(): Piscina {
    const piscina = new Piscina({
      filename: this.#worker.href,
      minThreads: 0,
      maxThreads: this.#threads,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'disabled', // its own wait between tasks would come in the way of the lane's
      recordTiming: false,
      execArgv: [], // what a program preloads (--import) is of no use to a lane, and may be slow
      // To piscina a thread whose lane has started looks idle. It must never get a second task.
      loadBalancer: (_task, workers) => {
        const worker = workers.find(({ id }) => !this.#laneOf.has(id));
        const thread = piscina.threads.find(({ threadId }) => threadId === worker?.id);
        if (worker === undefined || thread === undefined || this.#starting === undefined) return null;
        this.#laneOf.set(worker.id, this.#starting);
        this.#starting.runIn(thread);
        return worker;
      },
    });
    // What killed a thread reaches its lane through `#watch`; without a listener here it would be thrown as well.
    piscina.on('error', () => {});
    return piscina;
  }

  /** Hears of the end of a thread, also of one that ends before it could be given its lane. */
  #watch(thread: Worker): void {
    if (this.#watched.has(thread)) return;
    this.#watched.add(thread);
    const id = thread.threadId; // −1 once it has ended
    let cause: unknown;
    thread.once('error', (error) => {
      cause = error;
    });
    thread.once('exit', () => {
      const lane = this.#laneOf.get(id) ?? this.#starting;
      this.#laneOf.delete(id);
      if (lane !== undefined) this.#ended(lane, cause);
    });
  }

  /** A lane's thread has ended without being told to, or has never begun. */
  #ended(lane: Lane, cause: unknown): void {
    if (!this.#lanes.delete(lane)) return;
    const last = lane.bury();
    if (this.#starting === lane) {
      this.#starting = undefined;
      this.#startGivenUp.abort(); // otherwise the next thread would be given this lane
      // Others, if there are any, take its part. Else all that waits fails: a next try would most likely end like this.
      if (this.#lanes.size === 0) this.#failAll(cause);
      return;
    }
    const at = this.#idle.indexOf(lane);
    if (at !== -1) this.#idle.splice(at, 1);
    const pooled = this.#busy.get(lane);
    if (pooled !== undefined) {
      this.#busy.delete(lane);
      this.#queue.finished(pooled);
      const message = 'A thread of the disk pool ended while it worked; whether the operation took effect is unknown';
      if (last !== undefined) settle(pooled, last.failure);
      else pooled.reject(threadDied(message, pooled, cause));
    }
    this.#dispatch();
  }

  #failAll(cause: unknown): void {
    for (let pooled = this.#queue.take(); pooled !== undefined; pooled = this.#queue.take()) {
      this.#queue.finished(pooled);
      pooled.reject(threadDied('A thread of the disk pool could not be started', pooled, cause));
    }
  }
}

function settle({ path, resolve, reject }: PooledJob, failure: Failure | null): void {
  if (failure === null) resolve();
  else reject(fromFailure(failure, path));
}

function threadDied(message: string, { job, path }: PooledJob, cause: unknown): Error {
  const error = new Error(`${message} (${job.kind} of ${path})`, cause === undefined ? undefined : { cause });
  return Object.assign(error, { code: 'ERR_DISK_THREAD_DIED', path });
}

/** The compiled worker: beside this module, or, where this is TypeScript under a test runner, in the build's output. */
function findWorker(): URL {
  const candidates = [new URL('./worker.js', import.meta.url), new URL('../../dist/disk/worker.js', import.meta.url)];
  const found = candidates.find((url) => existsSync(fileURLToPath(url)));
  if (found === undefined) {
    const places = candidates.map((url) => fileURLToPath(url)).join(' or ');
    throw new Error(`The worker of the disk pool is missing (${places}): run \`npm run build\` first`);
  }
  return found;
}
