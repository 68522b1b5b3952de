/**
 * Crashes logs on simulated disks for a while, over the compiled package (npm run build):
 *
 *   node test/crash/campaign.js [--minutes 10] [--seed 1] [--jobs 1] [--states 2] [--second-states 0.1] [--violations 1]
 *   node test/crash/campaign.js --replay '<json of a violation>'
 *
 * First every program of one, two and three steps, each followed by a random longer one and some with a fault; then
 * random ones only. `--states` are taken before and behind each operation of the disk, `--second-states` at each
 * operation of a recovery. Ends with status 1 if a promise was broken, or if something never happened that should have.
 */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { addCounts, newCounts, newFaultCounts } from '../../dist/testing/index.js';
import { play } from './play.js';

const PROGRESS_MS = 10_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '1' },
    states: { type: 'string', default: '2' },
    'second-states': { type: 'string', default: '0.1' },
    violations: { type: 'string', default: '1' },
    replay: { type: 'string' },
  },
});

if (values.replay !== undefined) {
  const violation = await play(JSON.parse(values.replay), newCounts(), newFaultCounts());
  console.log(violation ?? 'Held.');
  process.exit(violation === undefined ? 0 : 1);
}

const counts = newCounts();
const faults = newFaultCounts();
const campaign = { programsOfSteps: [0, 0, 0], violations: 0 };
const begun = Date.now();
const line = () => {
  const seconds = Math.round((Date.now() - begun) / 1000);
  return JSON.stringify({ seconds, ...campaign, ...counts, faults });
};
const progress = setInterval(() => console.log(line()), PROGRESS_MS);

const jobs = Number(values.jobs);
const settings = {
  seed: Number(values.seed),
  end: begun + Number(values.minutes) * 60_000,
  rates: { states: Number(values.states), secondStates: Number(values['second-states']) },
  jobs,
};
const workers = Array.from({ length: jobs }, (_, job) => {
  const workerData = { ...settings, job };
  return new Worker(new URL('campaign-worker.js', import.meta.url), { workerData });
});
for (const worker of workers) {
  worker.on('message', (message) => {
    addCounts(counts, message.counts);
    addCounts(faults, message.faults);
    message.programsOfSteps.forEach((/** @type {number} */ done, /** @type {number} */ i) => {
      campaign.programsOfSteps[i] = (campaign.programsOfSteps[i] ?? 0) + done;
    });
    if (message.violation === undefined) return;
    console.log(`\n${message.violation}\n`);
    campaign.violations++;
    if (campaign.violations >= Number(values.violations)) for (const other of workers) other.postMessage('stop');
  });
}
await Promise.all(workers.map((worker) => once(worker, 'exit')));
clearInterval(progress);

const missing = [...Object.entries(counts), ...Object.entries(faults)].filter(([, count]) => count === 0);
if (missing.length > 0) console.log(`Never happened: ${missing.map(([what]) => what).join(', ')}`);
console.log(line());
process.exitCode = campaign.violations > 0 || missing.length > 0 ? 1 : 0;
