/**
 * The order in which jobs leave: first come, first served, and of one file never two at the same time.
 *
 * A job whose file is busy waits behind its predecessor, out of the way of all others, and joins the end of the queue
 * when that one has finished. So the operations on one file take effect in the order in which they were asked for, on
 * however many threads. A plain data structure, used by the pool alone.
 */

/** An entry of the queue; it is also the link of the two lists that it may stand in. */
export interface QueuedJob {
  /** Jobs with the same key run one after another: the file descriptor. Undefined where no order is needed. */
  readonly key: number | undefined;
  /** The one behind it in the queue. */
  next?: QueuedJob | undefined;
  /** The one that waits for this one to finish. */
  follower?: QueuedJob | undefined;
}

export class JobQueue<T extends QueuedJob> {
  #head: QueuedJob | undefined;
  #tail: QueuedJob | undefined;
  /** The latest job of each file that has any, waiting or taken. */
  readonly #latest = new Map<number, QueuedJob>();
  #waiting = 0;

  /** Jobs added and not yet taken. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Whether `take` has one to give. */
  get ready(): boolean {
    return this.#head !== undefined;
  }

  add(job: T): void {
    this.#waiting++;
    if (job.key !== undefined) {
      const predecessor = this.#latest.get(job.key);
      this.#latest.set(job.key, job);
      if (predecessor !== undefined) {
        predecessor.follower = job;
        return;
      }
    }
    this.#append(job);
  }

  /** The next job that may run, or undefined. */
  take(): T | undefined {
    const job = this.#head;
    if (job === undefined) return undefined;
    this.#waiting--;
    this.#head = job.next;
    if (this.#head === undefined) this.#tail = undefined;
    return job as T;
  }

  /** To be called once for each job taken, whether it succeeded or not. */
  finished(job: T): void {
    if (job.follower !== undefined) this.#append(job.follower);
    else if (job.key !== undefined) this.#latest.delete(job.key);
  }

  #append(job: QueuedJob): void {
    if (this.#tail === undefined) this.#head = job;
    else this.#tail.next = job;
    this.#tail = job;
  }
}
