/**
 * Crash states of small programs, and of random ones: see src/testing/crash-explorer.ts. A failure prints the run that
 * replays it: `node test/crash/campaign.js --replay '<json>'`. `npm run test:crash` goes through many more.
 */
import { test } from '@jest/globals';
import fc from 'fast-check';
import { smallRuns } from '../../src/testing/crash-campaign.js';
import { newCounts } from '../../src/testing/crash-counts.js';
import { type CrashRun, exploreCrashes } from '../../src/testing/crash-explorer.js';
import { STEPS } from '../../src/testing/crash-programs.js';
import { runs } from '../runs.js';

const counts = newCounts();
/** 1 where the number of runs is the usual one. */
const effort = runs(100) / 100;

async function exploreAll(all: Iterable<CrashRun>): Promise<void> {
  for (const run of all) await exploreCrashes(run, counts);
}

/** About `wanted` of them, evenly spread. */
function* some(all: Iterable<CrashRun>, wanted: number, count: number): Generator<CrashRun> {
  let due = 0;
  for (const run of all) {
    due += wanted / count;
    if (due < 1) continue;
    due -= 1;
    yield run;
  }
}

test('programs of one step, crashed at every operation, in every state but torn sectors', async () => {
  await exploreAll(
    some(
      smallRuns(1, 1, { states: Math.min(3, 0.5 * effort), secondStates: Math.min(1, 0.02 * effort) }),
      Math.min(20, 20 * effort),
      40,
    ),
  );
});

test('programs of two steps', async () => {
  const all = smallRuns(2, 1000, { states: 0.3, secondStates: 0.02 });
  await exploreAll(some(all, Math.min(400, 10 * effort), 400));
});

test('programs of three steps', async () => {
  const all = smallRuns(3, 10_000, { states: 0.3, secondStates: 0.02 });
  await exploreAll(some(all, Math.min(4000, 10 * effort), 4000));
});

/** Random longer programs; one that breaks a promise is made as short as it can be. */
const randomRuns = fc.record<CrashRun>({
  seed: fc.nat(),
  schedule: fc.constantFrom('order', 'random', 'slow sync', 'slow names'),
  log: fc.record({
    io: fc.constantFrom('mmap', 'write'),
    segmentSize: fc.constantFrom(5120, 6000, 8192),
    ready: fc.nat({ max: 2 }),
    recycle: fc.nat({ max: 2 }),
    verify: fc.constantFrom('tail', 'full'),
  }),
  prelude: fc.constant([]),
  program: fc.array(fc.constantFrom(...STEPS), { minLength: 1, maxLength: 19, size: 'max' }),
  states: fc.constant(0.2),
  secondStates: fc.constant(0.02),
});

test('random programs', async () => {
  await fc.assert(
    fc.asyncProperty(randomRuns, (run) => exploreCrashes(run, counts)),
    { numRuns: Math.ceil(20 * effort) },
  );
});

/** States that recovery once refused, or would have, and those that short programs do not reach. */
const PROGRAMS: [string, CrashRun['program'], Partial<CrashRun>][] = [
  ['a segment that was never synced, and the next one has its name', ['append', 'rotate', 'written', 'rotate'], {}],
  ['the log begins with a segment that was never synced', ['append', 'rotate', 'purge'], {}],
  ['a truncation that was stated, not synced, begun again', ['batch', 'truncate'], { secondStates: 0.5 }],
  ['a row of syncs that are not all stated', ['row', 'append'], {}],
];

test.each(PROGRAMS)('%s', async (_what, program, change) => {
  for (const [i, schedule] of (['order', 'random', 'slow sync', 'slow names'] as const).entries()) {
    const io = i % 2 === 0 ? 'mmap' : 'write';
    const log = { io, segmentSize: 6000, ready: 2, recycle: 1, verify: 'full' } as const;
    const run = { seed: 1 + i, schedule, log, prelude: [], program, states: 1, secondStates: 0.02, ...change };
    await exploreCrashes(run, counts);
  }
});

test('all of it has really happened', () => {
  for (const [what, count] of Object.entries(counts)) {
    if (effort >= 1 && count === 0) throw new Error(`No ${what} in ${JSON.stringify(counts)}: the states prove little`);
  }
  process.stdout.write(`crash states: ${JSON.stringify(counts)}\n`);
});
