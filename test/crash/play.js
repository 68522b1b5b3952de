/** Plays one run of a campaign. */
import { CrashViolation, exploreCrashes, exploreFault, FaultViolation } from '../../dist/testing/index.js';

/**
 * Resolves with what the violation says, or undefined if all promises were kept.
 *
 * @param {import('../../dist/testing/index.js').CrashRun | import('../../dist/testing/index.js').FaultRun} run
 * @param {import('../../dist/testing/index.js').CrashCounts} counts
 * @param {import('../../dist/testing/index.js').FaultCounts} faults
 * @returns {Promise<string | undefined>}
 */
export async function play(run, counts, faults) {
  try {
    if ('rule' in run) await exploreFault(run, faults);
    else await exploreCrashes(run, counts);
    return undefined;
  } catch (error) {
    if (error instanceof CrashViolation || error instanceof FaultViolation) return error.message;
    throw error;
  }
}
