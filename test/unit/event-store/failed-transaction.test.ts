import { expect, test } from '@jest/globals';
import { type Fault, Random, SimulatedDisk } from '../../../src/testing/index.js';
import { openStore, range, revisionsOf } from '../../support/small-stores.js';

const FAILED = { code: 'ERR_VARVE_PARTITION_FAILED' };

test.each<[string, 'sync' | 'write', string, Fault]>([
  ['the second fails', 'sync', 'part_2_*', { error: 'EIO' }],
  ['the second cannot be written', 'write', 'part_2_*', { error: 'EIO' }],
  ['the first, which decides, fails', 'sync', 'part_1_*', { error: 'EIO' }],
])('of two partitions %s: all or nothing, whatever is asked for behind it', async (_, kind, file, fault) => {
  const options = { partitions: 2, io: 'write' as const };
  const disk = new SimulatedDisk();
  const store = await openStore(disk, options);
  const streams = range(1, 8).map((n) => `s-${n}`);
  for (const stream of streams) await store.appendToStream(stream, { type: 'A' });
  const partitionOf = new Map((await store.readAll().toArray()).map((event) => [event.stream, event.partition]));
  const [one, two] = [1, 2].map((number) => streams.find((stream) => partitionOf.get(stream) === number) as string);
  const both = [one as string, two as string];
  const append = () => store.appendToStreams(both.map((stream) => ({ stream, events: [{ type: 'T' }] })));
  disk.faults.add({ kind, file, fault });
  await expect(append()).rejects.toMatchObject(FAILED);
  for (const stream of both) await expect(store.appendToStream(stream, { type: 'B' })).rejects.toMatchObject(FAILED);
  await expect(append()).rejects.toMatchObject(FAILED);
  await expect(store.setStreamMetadata(one as string, { maxCount: 1 })).rejects.toMatchObject(FAILED);
  const states = [disk.crashed(new Random(1), 'none'), disk.crashed(new Random(1), 'all'), disk.processCrash()];
  await store.close().catch((error) => expect(error).toMatchObject(FAILED));
  for (const state of states) {
    const again = await openStore(state, options);
    const found = await revisionsOf(again, one as string);
    expect(await revisionsOf(again, two as string)).toEqual(found);
    expect([[0], [0, 1]]).toContainEqual(found);
    await again.close();
  }
});
