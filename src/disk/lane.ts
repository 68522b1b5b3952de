/**
 * The main thread's end of a lane: hands over one job at a time and hears the answer.
 *
 * Promises: `onAnswer` is called once for each job handed over, unless the thread ends first, which the pool watches
 * for. Only while a job is under way does a lane keep the process alive. Called by the pool alone.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, type Worker } from 'node:worker_threads';
import { BELL, BELL_INTS, FD, KIND, KIND_MESSAGE, KIND_STOP, KIND_SYNC, type LaneStart } from './bell.js';
import type { Job } from './jobs.js';
import type { Failure } from './system-error.js';

export class Lane {
  readonly #ints = new Int32Array(new SharedArrayBuffer(BELL_INTS * Int32Array.BYTES_PER_ELEMENT));
  readonly #port: MessagePort;
  /** What the thread is to be given; its port must be transferred. */
  readonly start: LaneStart;
  #thread: Worker | undefined;

  constructor(onAnswer: (lane: Lane, failure: Failure | null) => void) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.start = { ints: this.#ints, port: port2 };
    port1.on('message', (failure: Failure | null) => onAnswer(this, failure));
    port1.unref(); // the thread is what keeps the process alive: unlike the port, it tells when it ends
  }

  /** The lane runs in this thread. */
  runIn(thread: Worker): void {
    this.#thread = thread;
  }

  /** Hands over a job. The last one has been answered. */
  hand(job: Job): void {
    this.#thread?.ref();
    if (job.kind === 'sync') {
      this.#ring(KIND_SYNC, job.fd);
    } else {
      this.#port.postMessage(job);
      this.#ring(KIND_MESSAGE);
    }
  }

  /** No job is under way: the process may end. */
  rest(): void {
    this.#thread?.unref();
  }

  /** Ends the idle lane's loop; resolves when the thread has left it. */
  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#thread?.ref();
      this.#port.once('close', resolve);
      this.#ring(KIND_STOP);
    });
  }

  /** The thread has ended. Returns an answer that it gave before, if that has not been heard yet. */
  bury(): { failure: Failure | null } | undefined {
    const last = receiveMessageOnPort(this.#port) as { message: Failure | null } | undefined;
    this.#port.close();
    return last && { failure: last.message };
  }

  #ring(kind: number, fd = 0): void {
    this.#ints[KIND] = kind;
    this.#ints[FD] = fd;
    Atomics.add(this.#ints, BELL, 1);
    Atomics.notify(this.#ints, BELL);
  }
}
