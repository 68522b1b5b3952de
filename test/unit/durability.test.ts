/** What opening and closing make durable, on a simulated disk whose power fails. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { type Log, openLog } from '../../src/index.js';
import {
  checksumSeed,
  DURABLE_CURSOR_OFFSET,
  decodeCookie,
  decodeHeaderPage,
  HEADER_PAGE_SIZE,
  type SegmentHeader,
  viewOf,
  WRITTEN_CURSOR_OFFSET,
} from '../../src/segment/header.js';
import type { RecoveryReport } from '../../src/segment/recovery.js';
import { Random } from '../../src/testing/random.js';
import { SimulatedDisk } from '../../src/testing/simulated-disk.js';
import { backEnds, bytesOf, codeOf, openTestLog, temporaryDirectory, turns } from '../support/logs.js';

const DIRECTORY = '/data';
const REWIND = /rewind_1\.wal$/;

const open = (disk: SimulatedDisk): Promise<Log> =>
  openLog({ directory: DIRECTORY, disk, io: 'write', segmentSize: 8192, preallocate: { segments: 0 } });

/** What nothing but synced bytes and names leaves. */
const afterPowerLoss = (disk: SimulatedDisk): SimulatedDisk => disk.crashed(new Random(1), 'none');

describe('closing', () => {
  test('the mark of a clean close is durable', async () => {
    const disk = new SimulatedDisk();
    const log = await open(disk);
    const partition = await log.partition(1);
    await partition.append(bytesOf('a'));
    await log.close();
    const again = await open(afterPowerLoss(disk));
    const reports: RecoveryReport[] = [];
    again.events.on('recovered', (report) => reports.push(report));
    await again.partition(1);
    await again.close();
    expect(reports).toMatchObject([{ clean: true, lastLsn: 1 }]);
  });
});

test('what goes into the next segment before that one counts is synced when it does', async () => {
  const disk = new SimulatedDisk({ schedule: 'slow names' });
  const log = await open(disk);
  const partition = await log.partition(1);
  await Promise.all(Array.from({ length: 4 }, () => partition.append(new Uint8Array(1500))));
  expect(partition.segments()).toHaveLength(2);
  expect(partition.durableLsn).toBe(4);
  await log.close();
});

describe('a lone writer, whose next append follows each sync', () => {
  /** The durable LSN that the header page states, to whoever reads the file now. */
  function stated(disk: SimulatedDisk): Promise<number | undefined> {
    return disk.open(`${DIRECTORY}/part_1_0000000001.wal`, 'read').then(async (file) => {
      const page = new Uint8Array(HEADER_PAGE_SIZE);
      await file.read(page, 0);
      await file.close();
      const { salt } = decodeHeaderPage(page) as SegmentHeader;
      return decodeCookie(page, checksumSeed(salt))?.durableLsn;
    });
  }

  async function afterMany(disk: SimulatedDisk) {
    const log = await open(disk);
    const partition = await log.partition(1);
    for (let i = 0; i < 22; i++) await partition.append(bytesOf('a'));
    return { log, partition };
  }

  test('has stored what is durable a turn after the last', async () => {
    const disk = new SimulatedDisk();
    const { log, partition } = await afterMany(disk);
    await turns(1);
    expect(partition.state?.durability).toBe('idle');
    expect(await stated(disk)).toBe(22);
    await log.close();
  });

  test('hears of it when that cannot be stored, with the next append', async () => {
    const disk = new SimulatedDisk();
    const { log, partition } = await afterMany(disk);
    disk.faults.add({ kind: 'write', file: 'part_1_*', fault: { error: 'EIO' } });
    await turns(1);
    expect(partition.durableLsn).toBe(22);
    expect(await codeOf(partition.append(bytesOf('b')))).toBe('ERR_VARVE_PARTITION_FAILED');
    await log.close().catch(() => {});
  });
});

const mapped = (await backEnds()).includes('mmap') ? test : test.skip;

mapped('the cursors of a mapped segment follow what is written at once, and what is durable', async () => {
  const directory = temporaryDirectory();
  const log = await openTestLog({ directory, io: 'mmap', segmentSize: 64 * 1024 });
  const partition = await log.partition(1);
  const cursors = () => {
    const page = viewOf(readFileSync(path.join(directory, 'part_1_0000000001.wal')));
    return [page.getUint32(WRITTEN_CURSOR_OFFSET, true), page.getUint32(DURABLE_CURSOR_OFFSET, true)];
  };
  const end = () => partition.segments()[0]?.bytes;
  for (let i = 0; i < 22; i++) await partition.append(bytesOf('a'));
  await turns(1);
  const durable = end();
  expect(cursors()).toEqual([durable, durable]);
  await partition.append(bytesOf('b'), { ack: 'written' });
  expect(end()).toBeGreaterThan(durable as number);
  expect(cursors()).toEqual([end(), durable]);
});

test('what comes during a sync is made durable by the next one, unasked', async () => {
  const disk = new SimulatedDisk();
  const log = await open(disk);
  const partition = await log.partition(1);
  await partition.append(bytesOf('a'));
  let release = () => {};
  const hold = new Promise<void>((resolve) => {
    release = resolve;
  });
  disk.faults.add({ kind: 'sync', file: 'part_1_*', fault: { hold } });
  const waiting = [partition.append(bytesOf('b'))];
  await turns();
  waiting.push(partition.append(bytesOf('c')));
  await turns();
  expect(partition.state?.durability).toBe('syncing');
  expect(partition.durableLsn).toBe(1);
  release();
  await turns();
  expect(partition.durableLsn).toBe(3);
  expect(partition.state?.durability).toBe('idle');
  await Promise.all(waiting);
  await log.close();
});

describe('a partition that has failed', () => {
  test('takes no more notice of a sync that ends behind the failure', async () => {
    const disk = new SimulatedDisk();
    const log = await open(disk);
    const partition = await log.partition(1);
    let release = () => {};
    const hold = new Promise<void>((resolve) => {
      release = resolve;
    });
    await partition.append(bytesOf('a'));
    disk.faults.add({ kind: 'sync', file: 'part_1_*', fault: { hold } });
    const waiting = partition.append(bytesOf('b'));
    await turns();
    disk.faults.add({ kind: 'write', file: 'part_1_*', fault: { error: 'EIO' } });
    expect(await codeOf(partition.append(bytesOf('c')))).toBe('ERR_VARVE_PARTITION_FAILED');
    release();
    expect(await codeOf(waiting)).toBe('ERR_VARVE_PARTITION_FAILED');
    await turns();
    expect(partition.durableLsn).toBe(1);
    expect(await codeOf(log.close())).toBe('resolved');
  });
});

describe('opening', () => {
  test('that fails gives the lock back', async () => {
    const disk = new SimulatedDisk();
    await disk.makeDirectory(DIRECTORY);
    disk.faults.add({ kind: 'syncDirectory', file: 'data', fault: { error: 'EIO' } });
    expect(await codeOf(open(disk))).toBe('ERR_VARVE_IO');
    const log = await open(disk);
    await log.close();
  });

  test('maps the segment that is gone on with only when all its space is reserved', async () => {
    const disk = new SimulatedDisk({ record: true });
    const options = { directory: DIRECTORY, disk, io: 'mmap', segmentSize: 8192 } as const;
    const log = await openLog(options);
    await (await log.partition(1)).append(bytesOf('a'));
    await log.close();
    disk.operations.length = 0;
    const again = await openLog(options);
    await again.partition(1);
    await again.close();
    const steps = disk.operations.filter(({ path }) => path.includes('part_1_')).map(({ kind }) => kind);
    expect(steps).toContain('map');
    expect(steps.slice(0, steps.indexOf('map'))).toContain('allocate');
  });

  test('a directory that somebody has made is made durable in its parent, before anything is in it', async () => {
    const disk = new SimulatedDisk({ record: true });
    await disk.makeDirectory(DIRECTORY);
    const log = await open(disk);
    await (await log.partition(1)).append(bytesOf('a'));
    await log.close();
    const steps = disk.operations.map(({ kind, path }) => `${kind} ${path}`);
    expect(steps).toContain('syncDirectory /');
    expect(steps.indexOf('syncDirectory /')).toBeLessThan(steps.findIndex((step) => step.startsWith('create ')));
  });

  test('makes the names durable that it finds: a truncation that was done is not done again behind new records', async () => {
    const disk = new SimulatedDisk();
    const log = await open(disk);
    const partition = await log.partition(1);
    await partition.append(bytesOf('kept'));
    await partition.append(bytesOf('cut off'));
    let killed: SimulatedDisk | undefined;
    disk.onOperation = ({ kind, path }, when) => {
      // Its statement is gone, and that is not durable yet.
      if (kind === 'unlink' && REWIND.test(path) && when === 'after') killed = disk.processCrash();
    };
    await partition.truncateAfter(1);
    await log.close();

    const second = killed as SimulatedDisk;
    expect(await second.list(DIRECTORY)).not.toContain('rewind_1.wal');
    const reopened = await open(second);
    await (await reopened.partition(1)).append(bytesOf('new'));
    const third = await open(afterPowerLoss(second));
    const records = await (await third.partition(1)).read().toArray();
    expect(records.map(({ payload }) => Buffer.from(payload).toString())).toEqual(['kept', 'new']);
    await third.close();
    await reopened.close();
  });
});
