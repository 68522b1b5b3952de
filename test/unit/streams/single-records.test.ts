/** Single records, near one that was read lately: handed out from memory, as long as that is the same as reading them. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { type Log, openLog, type Partition, type ReadOptions } from '../../../src/index.js';
import { SimulatedDisk } from '../../../src/testing/index.js';
import { fill, payload, SEGMENT_SIZE } from './small-logs.js';

let disk: SimulatedDisk;
let log: Log;
let partition: Partition;

beforeEach(async () => {
  disk = new SimulatedDisk({ record: true });
  log = await openLog({ directory: '/data', disk, segmentSize: SEGMENT_SIZE });
  partition = await log.partition(1);
  await fill(partition, 60);
});

const reads = () => disk.operations.filter(({ kind }) => kind === 'read' || kind === 'readSync').length;
const one = (options: ReadOptions) => partition.read({ limit: 1, ...options }).toArray();

/** Reads one record, which must come from memory, or must not. */
async function expectOne(lsn: number, from: 'memory' | 'disk', content = payload(lsn)): Promise<void> {
  const before = reads();
  const [record, ...more] = await one({ from: lsn });
  expect([record?.lsn, [...(record?.payload ?? [])], more.length]).toEqual([lsn, [...content], 0]);
  expect(reads() > before ? 'disk' : 'memory').toBe(from);
}

describe('a record near one that was read', () => {
  test('comes from memory, at the same place', async () => {
    const all = await partition.read().toArray();
    await expectOne(20, 'disk');
    for (const { lsn } of all.filter(({ position }) => position.segmentIndex === all[19]?.position.segmentIndex)) {
      await expectOne(lsn, 'memory');
      expect(await one({ from: lsn })).toEqual([all[lsn - 1]]);
    }
    await expectOne(60, 'disk');
  });

  test('comes from memory however it is asked for, and only where it is asked for alone', async () => {
    await one({ from: 20 });
    const before = reads();
    const asked: ReadOptions[] = [
      { from: 20, to: 20 },
      { from: 20, limit: 1, direction: 'backward' },
      { from: 19, limit: 1, exclusive: true },
      { from: 21, limit: 1, exclusive: true, direction: 'backwards' },
      { from: 20, limit: 1, to: 25 },
      { from: 20, limit: 1, visibility: 'written' },
    ];
    for (const options of asked) expect(await partition.read(options).toArray()).toMatchObject([{ lsn: 20 }]);
    expect(reads()).toBe(before);
    expect(await partition.read({ from: 20, limit: 1, to: 19 }).toArray()).toEqual([]);
    expect(await partition.read({ from: 20, to: 20, exclusive: true }).toArray()).toEqual([]);
    expect(await partition.read({ from: 20, limit: 0 }).toArray()).toEqual([]);
    expect(await partition.read({ from: 20, limit: 2 }).toArray()).toMatchObject([{ lsn: 20 }, { lsn: 21 }]);
    expect(await partition.read({ from: 20, to: 21 }).toArray()).toMatchObject([{ lsn: 20 }, { lsn: 21 }]);
  });

  test('is read if it has come since', async () => {
    await expectOne(60, 'disk');
    await fill(partition, 1);
    await expectOne(61, 'disk');
    await expectOne(61, 'memory');
  });

  test('is another one after the tail was cut and has grown again', async () => {
    await expectOne(58, 'disk');
    await partition.truncateAfter(57);
    expect(await one({ from: 58 })).toEqual([]);
    const other = (lsn: number) => Uint8Array.of(lsn);
    await fill(partition, 3, other);
    await expectOne(58, 'disk', other(58));
    await expectOne(58, 'memory', other(58));
  });

  test('is gone when it was purged', async () => {
    await expectOne(3, 'disk');
    await partition.purgeBefore(30);
    await expect(one({ from: 3 })).rejects.toMatchObject({ code: 'ERR_VARVE_LSN_PURGED' });
  });

  test('is not seen before it is durable, unless that is asked for', async () => {
    let release = () => {};
    const hold = new Promise<void>((resolve) => {
      release = resolve;
    });
    await fill(partition, 3); // a new segment: the next record needs none
    disk.faults.add({ kind: 'sync', file: '*', fault: { hold } });
    await partition.append(payload(64), { ack: 'written' });
    const syncing = partition.sync();
    expect(await one({ from: 64, visibility: 'written' })).toMatchObject([{ lsn: 64 }]);
    const before = reads();
    expect(await one({ from: 64, visibility: 'written' })).toMatchObject([{ lsn: 64 }]);
    expect(reads()).toBe(before);
    expect(await one({ from: 64 })).toEqual([]);
    release();
    await syncing;
    await expectOne(64, 'memory');
  });

  test('is not handed out when the signal is aborted, or the log is closed', async () => {
    await expectOne(20, 'disk');
    await expect(one({ from: 20, signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
    await log.close();
    await expect(one({ from: 20 })).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
  });
});
