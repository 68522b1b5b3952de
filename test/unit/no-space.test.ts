/** A hand-over that finds no space, where none was reserved: announced, tried again, and restored. */
import { expect, test } from '@jest/globals';
import { openLog } from '../../src/index.js';
import { SimulatedDisk } from '../../src/testing/simulated-disk.js';
import { bytesOf, codeOf, text, turns } from '../support/logs.js';

async function openUnreserved(disk: SimulatedDisk) {
  const heard: string[] = [];
  const log = await openLog({
    directory: '/data',
    disk,
    io: 'write',
    segmentSize: 8192,
    preallocate: { mode: 'none', segments: 0 },
    onSpacePressure: ({ state }) => {
      heard.push(`hook ${state}`);
    },
  });
  log.events.on('spacePressure', ({ state }) => heard.push(`pressure ${state}`));
  log.events.on('spaceRestored', () => heard.push('restored'));
  return { log, heard };
}

test.each(['ENOSPC', 'EDQUOT'])(
  '%s is waited for, told once, and the frame is written when there is space',
  async (error) => {
    const disk = new SimulatedDisk();
    const { log, heard } = await openUnreserved(disk);
    const partition = await log.partition(1);
    await partition.append(bytesOf('a'));
    disk.faults.add({ kind: 'write', file: 'part_1_*', times: 2, fault: { error } });
    const { lsn } = await partition.append(bytesOf('b'));
    expect(lsn).toBe(2);
    await turns(2);
    expect(heard).toEqual(['pressure blocked', 'hook blocked', 'restored']);
    const records = await partition.read().toArray();
    expect(records.map(({ payload }) => text(payload))).toEqual(['a', 'b']);
    await log.close();
  },
);

test('an I/O error is not: the partition fails, and nobody is told of space', async () => {
  const disk = new SimulatedDisk();
  const { log, heard } = await openUnreserved(disk);
  const partition = await log.partition(1);
  await partition.append(bytesOf('a'));
  disk.faults.add({ kind: 'write', file: 'part_1_*', fault: { error: 'EIO' } });
  expect(await codeOf(partition.append(bytesOf('b')))).toBe('ERR_VARVE_PARTITION_FAILED');
  await turns(2);
  expect(heard).toEqual([]);
  await log.close();
});
