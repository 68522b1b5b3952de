/** Plays one run of a campaign, and makes a run that breaks a promise as short as it can be. */
import fc from 'fast-check';
import {
  CrashViolation,
  exploreCrashes,
  exploreFault,
  FaultViolation,
  newCounts,
  newFaultCounts,
  STEPS,
} from '../../dist/testing/index.js';

/** @typedef {import('../../dist/testing/index.js').CrashRun | import('../../dist/testing/index.js').FaultRun} Run */

const SHRINK_MS = 120_000;

/**
 * Resolves with what the violation says, or undefined if all promises were kept.
 *
 * @param {Run} run
 * @param {import('../../dist/testing/index.js').CrashCounts} counts
 * @param {import('../../dist/testing/index.js').FaultCounts} faults
 * @returns {Promise<string | undefined>}
 */
export async function play(run, counts, faults) {
  try {
    if ('restart' in run) await exploreFault(run, faults);
    else await exploreCrashes(run, counts);
    return undefined;
  } catch (error) {
    if (error instanceof CrashViolation || error instanceof FaultViolation) return error.message;
    throw error;
  }
}

/**
 * Has fast-check look for a shorter program that breaks a promise with the same seed; resolves with what its violation says.
 *
 * @param {Run} run
 * @param {string} violation What the run itself says.
 * @returns {Promise<string>}
 */
export async function shrink(run, violation) {
  let shortest = violation;
  const property = fc.asyncProperty(fc.array(fc.constantFrom(...STEPS)), async (program) => {
    const found = await play({ ...run, program }, newCounts(), newFaultCounts());
    if (found !== undefined) shortest = found;
    return found === undefined;
  });
  await fc.check(property, { examples: [[[...run.program]]], numRuns: 1, interruptAfterTimeLimit: SHRINK_MS });
  return shortest;
}
