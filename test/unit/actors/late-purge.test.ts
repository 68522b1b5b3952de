import { expect, test } from '@jest/globals';
import { codeOf, faultyDisk, openTestLog, settles, temporaryDirectory, turns } from '../../support/logs.js';

test('a close waits for every purge that was asked for, also for those behind the one under way', async () => {
  const disk = faultyDisk();
  const directory = temporaryDirectory();
  const log = await openTestLog({ directory, disk, segmentSize: 5120, io: 'write', recycle: 0 });
  const partition = await log.partition(1);
  for (let i = 0; i < 60; i++) await partition.append(new Uint8Array(40));
  const first = disk.hold('unlink', /part_1/);
  const outcomes: string[] = [];
  const purges = [20, 60].map(async (minLsn) => {
    outcomes.push((await codeOf(partition.purgeBefore(minLsn))) ?? 'error');
  });
  await first.reached;
  const second = disk.hold('rename', /MANIFEST/);
  const closing = log.close();
  await turns();
  first.release();
  await second.reached;
  expect(await settles(closing)).toBe(false);
  second.release();
  await closing;
  expect(outcomes).toEqual(['resolved', 'resolved']);
  await Promise.all(purges);
});
