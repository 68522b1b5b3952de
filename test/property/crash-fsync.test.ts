/** A failed fsync, in both manners of the kernels, loses nothing that was acknowledged: see src/testing/fault-runs.ts. */
import { expect, test } from '@jest/globals';
import { fsyncRun } from '../../src/testing/crash-campaign.js';
import { exploreFault, newFaultCounts } from '../../src/testing/fault-runs.js';
import { runs } from '../runs.js';

test('a failed fsync, a restart, and a power loss behind it', async () => {
  const counts = newFaultCounts();
  const wanted = runs(100) * 5;
  for (let seed = 1; seed <= wanted; seed++) await exploreFault(fsyncRun(seed), counts);
  if (wanted < 100) return;
  expect(counts.faults).toBeGreaterThan(wanted / 4);
  expect(counts.told).toBeGreaterThan(wanted / 4);
  expect(counts.losses).toBeGreaterThan(wanted);
});
