/**
 * The shared integers through which the main thread hands a job to a lane, and the lane hears of it.
 *
 *     0  BELL   jobs handed over so far, modulo 2^32
 *     1  KIND   of the present job: KIND_SYNC, KIND_MESSAGE, KIND_STOP
 *     2  FD     of the present job, where KIND_SYNC
 *
 * The main thread writes KIND and FD (or posts a message), then adds one to BELL and notifies. The lane waits for BELL
 * to differ from the value that it saw last, so a ring that comes before the wait is not lost: the wait returns at
 * once. A lane has one job at a time, and the main thread writes the next only when the last was answered, so no field
 * is ever overwritten while it is read. Known to lane.ts and worker.ts only.
 */
import type { MessagePort } from 'node:worker_threads';

export const BELL = 0;
export const KIND = 1;
export const FD = 2;
export const BELL_INTS = 3;

/** The frequent job: it fits into the integers, which saves a message (about 15 µs). */
export const KIND_SYNC = 1;
/** The job lies in the lane's port. */
export const KIND_MESSAGE = 2;
/** No job: the lane ends. */
export const KIND_STOP = 3;

/** What a lane is given when it starts. */
export interface LaneStart {
  readonly ints: Int32Array;
  readonly port: MessagePort;
}
