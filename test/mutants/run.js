/**
 * Breaks the log in one small way after the other, and requires a test to fail each time:
 *
 *   npm run test:mutants -- [--short] [--only id,id] [--own] [--jobs 2] [--seed 1] [--limit 120]
 *
 * A mutant's own tests come first, then, if it is still alive, the whole quick suite; not with `--own`.
 * `--short` takes a few of each kind; `--limit` is how many seconds one test may take, of those that are slow by nature;
 * the run of a test file that takes more than twice that counts as hung; `--seed` is fast-check's. Ends with status 1 if a mutant survives, or cannot be loaded.
 */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { mutants, SHORT } from './index.js';
import { applyMutant } from './mutant.js';
import { Workplace } from './workplace.js';

/** @typedef {import('./mutant.js').Mutant} Mutant */

/**
 * @typedef {object} Verdict
 * @property {'killed' | 'hang' | 'survived' | 'invalid'} verdict
 * @property {string | undefined} [what]
 * @property {boolean | undefined} [timedOut]
 */

/** VARVE_TEST_RUNS of a mutant's own tests, and of all of them. */
const OWN_RUNS = 25;
const QUICK_RUNS = 10;
/** For a run of many test files. */
const LIMIT_OF_ALL_MS = 30 * 60_000;

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    short: { type: 'boolean', default: false },
    own: { type: 'boolean', default: false },
    jobs: { type: 'string', default: String(Math.min(2, availableParallelism())) },
    seed: { type: 'string', default: '1' },
    limit: { type: 'string', default: '120' },
  },
});
const jobs = Number(values.jobs);
const testLimitMs = Number(values.limit) * 1000;
const always = { testLimitMs, seed: values.seed };

const wanted = values.only?.split(',') ?? (values.short ? SHORT : undefined);
const unknown = wanted?.filter((id) => !mutants.some((mutant) => mutant.id === id)) ?? [];
if (unknown.length > 0) throw new Error(`There is no mutant ${unknown.join(', ')}`);
const chosen = mutants.filter(({ id }) => wanted?.includes(id) ?? true);

const project = fileURLToPath(new URL('../..', import.meta.url));
const scratch = mkdtempSync(path.join(realpathSync(tmpdir()), 'varve-mutants-'));
process.once('exit', () => rmSync(scratch, { recursive: true, force: true }));
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.once(signal, () => process.exit(1));

const started = performance.now();
const seconds = (since = started) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

/**
 * @param {Mutant} mutant
 * @param {Workplace} place
 * @returns {Promise<Verdict>}
 */
async function judge(mutant, place) {
  const takeBack = applyMutant(mutant, place.root);
  try {
    try {
      place.compile(mutant.file);
    } catch (error) {
      return { verdict: 'invalid', what: `does not compile: ${String(error).slice(0, 300)}` };
    }
    const problem = await place.loadProblem();
    if (problem !== undefined) return { verdict: 'invalid', what: `cannot be loaded: ${problem}` };
    for (const file of mutant.tests) {
      const own = await place.test({ files: [file], runs: mutant.runs ?? OWN_RUNS, workers: 1, limitMs, ...always });
      if (own.outcome !== 'passed') return verdictOf(own);
    }
    if (values.own) return { verdict: 'survived', what: mutant.breaks };
    const workers = Math.max(1, Math.floor(availableParallelism() / jobs));
    const all = await place.test({ runs: QUICK_RUNS, workers, limitMs: LIMIT_OF_ALL_MS, ...always });
    if (all.outcome === 'passed') return { verdict: 'survived', what: mutant.breaks };
    return { ...verdictOf(all), what: `not by its own tests, but: ${all.what}` };
  } finally {
    takeBack();
    place.compile(mutant.file);
  }
}

/** @param {import('./workplace.js').TestRun} run @returns {Verdict} */
function verdictOf({ outcome, what, timedOut }) {
  if (outcome === 'hung') return { verdict: 'hang', what: `ended after ${Math.ceil(limitMs / 1000)} s` };
  if (outcome === 'broken') return { verdict: 'invalid', what };
  return { verdict: 'killed', what, timedOut };
}

const places = Array.from({ length: Math.min(jobs, chosen.length) }, (_, i) => {
  const place = new Workplace(project, mkdtempSync(path.join(scratch, `job-${i + 1}-`)));
  place.build();
  return place;
});

// What fails without any mutant would kill all of them.
const files = [...new Set(chosen.flatMap(({ tests }) => tests))];
console.log(`${chosen.length} mutants, ${places.length} at a time; first their ${files.length} test files, unchanged`);
const [first] = places;
const before = performance.now();
const base = await first?.test({ files, runs: OWN_RUNS, workers: jobs, limitMs: LIMIT_OF_ALL_MS, ...always });
if (base?.outcome !== 'passed') {
  const why = base?.timedOut ? ' (it did not end in time)' : '';
  console.log(`The tests do not pass without mutants: ${base?.what ?? base?.outcome}${why}`);
  process.exit(1);
}
/** Of the run of one test file. A machine that is busy with other things is given its time. */
const limitMs = Math.max(2 * testLimitMs, 2 * (performance.now() - before));
console.log(
  `All pass, in ${seconds(before)}; a run that takes longer than ${Math.ceil(limitMs / 1000)} s counts as hung`,
);

const counts = { killed: 0, hang: 0, survived: 0, invalid: 0 };
let timedOut = 0;
let done = 0;
/** @type {string[]} */
const failures = [];
const queue = [...chosen];
await Promise.all(
  places.map(async (place) => {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const since = performance.now();
      const result = await judge(mutant, place);
      counts[result.verdict]++;
      if (result.timedOut) timedOut++;
      const word = result.timedOut ? 'killed by a time-out' : result.verdict;
      const line = `${word}: ${mutant.id} (${seconds(since)}) ${result.what ?? ''}`;
      if (result.verdict === 'survived' || result.verdict === 'invalid') failures.push(line);
      console.log(`[${String(++done).padStart(3)}/${chosen.length}] ${line}`);
    }
  }),
);

for (const failure of failures) console.log(failure);
console.log(
  `${chosen.length} mutants: ${counts.killed + counts.hang} killed (${timedOut} by a test's time-out, ${counts.hang} as a hang), ` +
    `${counts.survived} survived, ${counts.invalid} invalid; ${seconds()}`,
);
process.exit(failures.length > 0 ? 1 : 0);
