/**
 * A lane's thread: the piscina task that takes jobs, one after another, until it is told to stop.
 *
 * The task itself only starts the lane and returns: a task that runs keeps its pool's port, and so the whole process,
 * alive, and a process must be able to end while its lanes wait. Loaded by piscina alone, as plain compiled JavaScript.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { BELL, FD, KIND, KIND_STOP, KIND_SYNC, type LaneStart } from './bell.js';
import { type Job, runJob } from './jobs.js';
import { type Failure, toFailure } from './system-error.js';

export default function startLane(start: LaneStart): void {
  setImmediate(serve, start); // after piscina has reported the task as done
}

function serve({ ints, port }: LaneStart): void {
  for (let seen = 0; ; ) {
    Atomics.wait(ints, BELL, seen);
    const rung = Atomics.load(ints, BELL);
    if (rung === seen) continue; // woken without a ring
    seen = rung;
    if (ints[KIND] === KIND_STOP) break;
    port.postMessage(perform(ints[KIND] === KIND_SYNC ? { kind: 'sync', fd: ints[FD] as number } : receive(port)));
  }
  port.close();
}

function receive(port: MessagePort): Job {
  return (receiveMessageOnPort(port) as { message: Job }).message; // posted before the bell was rung
}

/** Null when the job is done. A failure goes back as data: an Error would lose its fields on the way. */
function perform(job: Job): Failure | null {
  try {
    runJob(job);
    return null;
  } catch (error) {
    return toFailure(error);
  }
}
