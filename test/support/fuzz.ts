/** How long a fuzzer runs: a number of cases in the suite, minutes under `npm run test:fuzz`. */
import { runs } from '../runs.js';

const MINUTES = Number(process.env.VARVE_FUZZ_MINUTES ?? 0);
const SEED = Number(process.env.VARVE_FUZZ_SEED ?? 1);
/** For limits that are only against hanging. */
export const HOUR_MS = 3_600_000;
const PROGRESS_MS = 10_000;

/** Calls `check` once, or seed after seed for `share` of the minutes that were given, telling how it gets on. */
export async function fuzz(
  what: string,
  usual: number,
  share: number,
  check: (numRuns: number, seed: number) => unknown,
): Promise<void> {
  const end = Date.now() + MINUTES * share * 60_000;
  let told = Date.now();
  let seed = SEED;
  let cases = 0;
  do {
    const count = runs(usual);
    await check(count, seed++);
    cases += count;
    if (MINUTES > 0 && Date.now() - told > PROGRESS_MS) {
      told = Date.now();
      process.stdout.write(`${what}: ${cases} cases, seed ${seed}\n`);
    }
  } while (Date.now() < end);
  if (MINUTES > 0) process.stdout.write(`${what}: ${cases} cases in all\n`);
}
