/** One thread of a campaign: of all runs those that are its own, until it is told to stop or the time is over. */
import { parentPort, workerData } from 'node:worker_threads';
import { FAULT_KINDS, faultRun, newCounts, newFaultCounts, randomRun, smallRuns } from '../../dist/testing/index.js';
import { play, shrink } from './play.js';

/** Runs with a fault behind each pair of those that are crashed. */
const FAULT_RUNS = 4;

const { seed, end, rates, job, jobs } = workerData;
let stopped = false;
parentPort?.once('message', () => {
  stopped = true;
});
// A violation is told by its replay: the traces of errors that are expected cost more than the errors.
Error.stackTraceLimit = 0;

/** @param {any} run @param {number} [steps] */
async function one(run, steps) {
  const counts = newCounts();
  const faults = newFaultCounts();
  let violation = await play(run, counts, faults);
  if (violation !== undefined) violation = await shrink(run, violation);
  const programsOfSteps = [1, 2, 3].map((length) => (length === steps ? 1 : 0));
  parentPort?.postMessage({ counts, faults, programsOfSteps, violation });
}

function* small() {
  let number = 0;
  for (const length of [1, 2, 3]) {
    for (const run of smallRuns(length, seed + length * 100_000, rates))
      if (number++ % jobs === job) yield { length, run };
  }
}

const programs = small();
for (let i = job; !stopped && Date.now() < end; i += jobs) {
  const { value } = programs.next();
  if (value) await one(value.run, value.length);
  await one(randomRun(seed + i, rates));
  for (let k = i * FAULT_RUNS; k < (i + 1) * FAULT_RUNS; k++) {
    const kind = FAULT_KINDS[k % FAULT_KINDS.length];
    if (kind !== undefined) await one(faultRun(seed + k, kind));
  }
  // The thread's own messages come in only here: runs leave no room for them.
  await new Promise((resolve) => setTimeout(resolve, 0));
}
parentPort?.close();
