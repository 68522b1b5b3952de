/** Disks that fail, fill up, are slow, lie or are damaged: see src/testing/fault-runs.ts. */
import { expect, test } from '@jest/globals';
import { FAULT_KINDS, faultRun } from '../../src/testing/crash-campaign.js';
import { type FaultCounts, newFaultCounts } from '../../src/testing/fault-counts.js';
import { exploreFault, type FaultRun } from '../../src/testing/fault-runs.js';
import { runs } from '../runs.js';

/** What must have happened in the runs of each kind. */
const EXPECTED: Record<(typeof FAULT_KINDS)[number], (keyof FaultCounts)[]> = {
  fsync: ['failedSyncs', 'told', 'losses'],
  failure: ['otherFailures', 'told', 'losses'],
  space: ['lacks', 'blocked'],
  quota: ['otherFailures', 'lacks', 'blocked'],
  slow: ['slowSyncs'],
  misread: ['flippedReads', 'refused', 'unharmed'],
  misdirect: ['misdirectedWrites', 'refused', 'unharmed'],
  flip: ['flips', 'refused', 'unharmed'],
  sector: ['badSectors', 'refused'],
};

test.each(FAULT_KINDS)('%s', async (kind) => {
  const counts = newFaultCounts();
  const cheap = ['fsync', 'flip', 'sector', 'misread', 'misdirect'].includes(kind);
  const wanted = cheap ? runs(100) : Math.ceil(runs(100) * 0.4);
  for (let seed = 1; seed <= wanted; seed++) await exploreFault(faultRun(seed, kind), counts);
  if (runs(100) < 100) return;
  for (const what of EXPECTED[kind]) expect({ [what]: counts[what] > 0 }).toEqual({ [what]: true });
});

/** Runs that once broke a promise. */
const REGRESSIONS: [string, FaultRun][] = [
  [
    'the sync of a seal that is due while a hand-over waits for space is made up for',
    {
      seed: 1092,
      schedule: 'slow sync',
      log: { io: 'write', segmentSize: 5120, ready: 2, recycle: 2, verify: 'tail', mode: 'none' },
      program: ['append', 'fill'],
      restart: 'dropped',
      capacity: 13840,
    },
  ],
];

test.each(REGRESSIONS)('%s', async (_what, run) => {
  await exploreFault(run, newFaultCounts());
});
