/** Who awaits one written append after the other leaves the event loop its turns; what is written is told all the same. */
import { describe, expect, test } from '@jest/globals';
import { openEventStore, openLog, type Partition } from '../../src/index.js';
import { SimulatedDisk } from '../../src/testing/simulated-disk.js';

/** Far more than is taken between two turns, and less than has to be synced before more is taken. */
const RECORDS = 4_000;
const RECORD = new Uint8Array(1024);
const WRITTEN = { ack: 'written' } as const;

/** Fewer bytes than a segment has are appended: nothing else gives the event loop a turn. */
const OPTIONS = { io: 'write', segmentSize: 16 * 1024 * 1024, preallocate: { segments: 0 } } as const;

async function openPartition(): Promise<{ partition: Partition; close(): Promise<void> }> {
  const log = await openLog({ directory: '/data', disk: new SimulatedDisk(), ...OPTIONS });
  return { partition: await log.partition(1), close: () => log.close() };
}

/** Calls `append` again and again until the event loop has had a turn. Resolves with how often that was. */
async function untilTurn(append: () => Promise<unknown>): Promise<number> {
  let turned = false;
  setImmediate(() => {
    turned = true;
  });
  let count = 0;
  while (!turned && count < RECORDS) {
    await append();
    count++;
  }
  return count;
}

describe('the event loop has its turn', () => {
  test('between appends that are awaited one after the other, and not after each of them', async () => {
    const { partition, close } = await openPartition();
    await partition.append(RECORD);
    const count = await untilTurn(() => partition.append(RECORD, WRITTEN));
    expect(count).toBeLessThan(RECORDS);
    expect(count).toBeGreaterThan(50);
    expect(await untilTurn(() => partition.append(RECORD, WRITTEN))).toBeLessThan(RECORDS);
    await close();
  });

  test('between those of many at once, whose frames are full before they hear of it', async () => {
    const { partition, close } = await openPartition();
    await partition.append(RECORD);
    const crowd = () => Promise.all(Array.from({ length: 80 }, () => partition.append(RECORD, WRITTEN)));
    expect(await untilTurn(crowd)).toBeLessThan(RECORDS / 80);
    await close();
  });

  test('between batches, and between the events of a store', async () => {
    const { partition, close } = await openPartition();
    await partition.append(RECORD);
    expect(await untilTurn(() => partition.appendBatch([RECORD, RECORD], WRITTEN))).toBeLessThan(RECORDS);
    await close();
    const store = await openEventStore({ directory: '/store', disk: new SimulatedDisk(), ...OPTIONS });
    const event = { type: 'T', data: 'x'.repeat(1000) };
    await store.appendToStream('s', event);
    expect(await untilTurn(() => store.appendToStream('s', event, WRITTEN))).toBeLessThan(RECORDS);
    await store.close();
  });
});

test('index files are made while events are appended as fast as can be', async () => {
  const disk = new SimulatedDisk();
  const store = await openEventStore({ ...OPTIONS, directory: '/store', disk, segmentSize: 512 * 1024 });
  const append = (i: number) => store.appendToStream(`s-${i}`, { type: 'T' }, WRITTEN);
  for (let i = 0; store.stats().segments.sealed < 4; i += 500) {
    await Promise.all(Array.from({ length: 500 }, (_, at) => append(i + at)));
  }
  const files = await disk.list('/store/index');
  await store.close();
  expect(files.filter((name) => name.endsWith('.idx')).length).toBeGreaterThanOrEqual(2);
}, 60_000);

describe('what waits for its turn', () => {
  /** An append that is written, and is told so in the next turn of the event loop. */
  async function untold(partition: Partition): Promise<{ told: Promise<unknown>; heard(): boolean }> {
    await partition.append(RECORD);
    for (let i = 0; i < RECORDS; i++) {
      const { writtenLsn } = partition;
      let heard = false;
      const told = partition.append(RECORD, WRITTEN).then((result) => {
        heard = true;
        return result;
      });
      for (let turn = 0; turn < 50; turn++) await undefined;
      if (!heard && partition.writtenLsn > writtenLsn) return { told, heard: () => heard };
      await told;
    }
    throw new Error('Every append was told at once');
  }

  test('is told by it', async () => {
    const { partition, close } = await openPartition();
    const { told } = await untold(partition);
    expect(await told).toMatchObject({ lsn: partition.writtenLsn });
    await close();
  });

  test('is told by a truncation that takes it back: its LSN is given again', async () => {
    const { partition, close } = await openPartition();
    const { told, heard } = await untold(partition);
    const lsn = partition.writtenLsn;
    await partition.truncateAfter(1);
    expect(heard()).toBe(true);
    expect(await told).toMatchObject({ lsn });
    expect(await partition.append(RECORD)).toMatchObject({ lsn: 2 });
    await close();
  });

  test('is told, not refused, by a close', async () => {
    const { partition, close } = await openPartition();
    const { told } = await untold(partition);
    const lsn = partition.writtenLsn;
    await close();
    expect(await told).toMatchObject({ lsn });
  });
});
