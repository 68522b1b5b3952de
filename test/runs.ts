/**
 * How often a property is run: VARVE_TEST_RUNS when it is set, else `usual`.
 *
 * Properties that ask for a number of their own pass it through here (`{ numRuns: runs(500) }`), so that one variable
 * makes the whole suite shorter (`npm run test:quick`) or lets it search for a night.
 */
export function runs(usual: number): number {
  const wanted = process.env.VARVE_TEST_RUNS;
  if (wanted === undefined || wanted === '') return usual;
  const count = Number(wanted);
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new Error(`VARVE_TEST_RUNS must be a whole number of at least 1, not '${wanted}'`);
  }
  return count;
}
