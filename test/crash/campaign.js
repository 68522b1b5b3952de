/**
 * Crashes logs on simulated disks for a while, over the compiled package (npm run build):
 *
 *   node test/crash/campaign.js [--minutes 10] [--seed 1] [--states 0.5] [--second-states 0.05] [--violations 1]
 *   node test/crash/campaign.js --replay '<json of a violation>'
 *
 * Ends with status 1 if a promise was broken, or if something that should have happened never did.
 */
import { parseArgs } from 'node:util';
import {
  CrashViolation,
  exploreCrashes,
  exploreFault,
  FaultViolation,
  fsyncRun,
  newCounts,
  newFaultCounts,
  randomRun,
  smallRuns,
} from '../../dist/testing/index.js';

const PROGRESS_MS = 10_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    states: { type: 'string', default: '0.5' },
    'second-states': { type: 'string', default: '0.05' },
    violations: { type: 'string', default: '1' },
    replay: { type: 'string' },
  },
});

const counts = newCounts();
const faults = newFaultCounts();
let violations = 0;

/** @param {() => Promise<void>} work */
async function tell(work) {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof CrashViolation || error instanceof FaultViolation)) throw error;
    violations++;
    console.log(`\n${error.message}\n`);
  }
}

if (values.replay === undefined) {
  const rates = { states: Number(values.states), secondStates: Number(values['second-states']) };
  const seed = Number(values.seed);
  const end = Date.now() + Number(values.minutes) * 60_000;
  let progress = Date.now() + PROGRESS_MS;
  const small = [1, 2, 3].map((length) => smallRuns(length, seed, rates));
  for (let i = 0; Date.now() < end && violations < Number(values.violations); i++) {
    const generator = small[i % 3];
    const next = generator?.next();
    if (next?.value) await tell(() => exploreCrashes(next.value, counts));
    await tell(() => exploreCrashes(randomRun(seed + i, rates), counts));
    for (let k = 0; k < 10; k++) await tell(() => exploreFault(fsyncRun(seed * 1000 + i * 10 + k), faults));
    if (Date.now() < progress) continue;
    progress = Date.now() + PROGRESS_MS;
    console.log(JSON.stringify({ ...counts, faults, violations }));
  }
  const missing = Object.entries(counts).filter(([, count]) => count === 0);
  if (missing.length > 0) console.log(`Never happened: ${missing.map(([what]) => what).join(', ')}`);
  console.log(JSON.stringify({ ...counts, faults, violations }));
  process.exitCode = violations > 0 || missing.length > 0 ? 1 : 0;
} else {
  const run = JSON.parse(values.replay);
  await tell(() => ('rule' in run ? exploreFault(run, faults) : exploreCrashes(run, counts)));
  console.log(violations > 0 ? 'Broken.' : 'Held.');
  process.exitCode = violations > 0 ? 1 : 0;
}
process.exit();
