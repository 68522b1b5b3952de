/** Appends beside a truncation, begun at every step of it: what is acknowledged behind it is there. */
import { describe, expect, test } from '@jest/globals';
import { openLog, type Partition } from '../../src/index.js';
import { SimulatedDisk } from '../../src/testing/simulated-disk.js';
import { bytesOf, text } from '../support/logs.js';

const STEPS = 80;

async function microtasks(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await undefined;
}

/** A log of three records that is cut behind the first, and `beside` that many microtasks later. */
async function truncated<T>(
  after: number,
  beside: (partition: Partition) => T,
): Promise<{ result: Awaited<T>; cutFirst: boolean; records: string[]; next: number }> {
  const disk = new SimulatedDisk();
  const log = await openLog({ directory: '/data', disk, io: 'write', segmentSize: 8192, preallocate: { segments: 0 } });
  try {
    const partition = await log.partition(1);
    await partition.appendBatch([bytesOf('a'), bytesOf('b'), bytesOf('c')]);
    let cut = false;
    const cutting = partition.truncateAfter(1).then(() => {
      cut = true;
    });
    await microtasks(after);
    const result = await beside(partition);
    const cutFirst = cut;
    await cutting;
    const { lsn: next } = await partition.append(bytesOf('next'));
    const records = await partition.read().toArray();
    return { result, cutFirst, records: records.map(({ payload }) => text(payload)), next };
  } finally {
    await log.close();
  }
}

describe('beside a truncation', () => {
  test('an append that is acknowledged behind it has the LSN behind the cut, and stays', async () => {
    let behind = 0;
    for (let after = 0; after < STEPS; after++) {
      const { result, cutFirst, records, next } = await truncated(after, (partition) => partition.append(bytesOf('x')));
      if (!cutFirst) {
        // It went before, and was cut off with the rest.
        expect({ after, lsn: result.lsn, records, next }).toEqual({ after, lsn: 4, records: ['a', 'next'], next: 2 });
        continue;
      }
      behind++;
      expect({ after, lsn: result.lsn, records }).toEqual({ after, lsn: 2, records: ['a', 'x', 'next'] });
    }
    expect(behind).toBeGreaterThan(0);
    expect(behind).toBeLessThan(STEPS);
  });

  test('a write is refused as soon as nothing may go in any more, or has the LSN of its record', async () => {
    const codes = new Set<unknown>();
    for (let after = 0; after < STEPS; after++) {
      const { result, records } = await truncated(after, (partition) => {
        try {
          return partition.write(bytesOf('x'));
        } catch (error) {
          return (error as { code: unknown }).code;
        }
      });
      codes.add(result);
      const expected = result === 2 ? ['a', 'x', 'next'] : ['a', 'next'];
      expect({ after, result, records }).toEqual({ after, result, records: expected });
    }
    expect(codes).toContain('ERR_VARVE_BACKPRESSURE');
  });
});
