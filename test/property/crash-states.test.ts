/**
 * Every crash state of small programs, and many of random ones: see src/testing/crash-explorer.ts. A failure prints the run
 * that replays it: `node test/crash/campaign.js --replay '<json>'`.
 */
import { test } from '@jest/globals';
import { randomRun, smallRuns } from '../../src/testing/crash-campaign.js';
import { newCounts } from '../../src/testing/crash-counts.js';
import { type CrashRun, exploreCrashes } from '../../src/testing/crash-explorer.js';
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

test('programs of one step, crashed at every operation', async () => {
  await exploreAll(smallRuns(1, 1, { states: Math.min(3, 1 * effort), secondStates: Math.min(1, 0.02 * effort) }));
});

test('programs of two steps', async () => {
  const all = smallRuns(2, 1000, { states: 0.3, secondStates: 0.02 });
  await exploreAll(some(all, Math.min(256, 96 * effort), 256));
});

test('programs of three steps', async () => {
  const all = smallRuns(3, 10_000, { states: 0.3, secondStates: 0.02 });
  await exploreAll(some(all, Math.min(2048, 48 * effort), 2048));
});

test('random programs', async () => {
  for (let seed = 1; seed <= Math.max(1, 20 * effort); seed++) {
    await exploreCrashes(randomRun(seed, { states: 0.2, secondStates: 0.02 }), counts);
  }
});

/** States that recovery once refused, or would have. */
const REGRESSIONS: [string, CrashRun['program'], Partial<CrashRun>][] = [
  ['a segment that was never synced, and the next one has its name', ['append', 'rotate', 'written', 'rotate'], {}],
  ['the log begins with a segment that was never synced', ['append', 'rotate', 'purge'], {}],
  ['a truncation that was stated, not synced, begun again', ['batch', 'truncate'], { secondStates: 0.5 }],
];

test.each(REGRESSIONS)('%s', async (_what, program, change) => {
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
