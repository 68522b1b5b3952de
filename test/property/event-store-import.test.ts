/** An import that a power cut interrupts is made again. */
import { expect, test } from '@jest/globals';
import type { EventStore, RecordedEvent } from 'varve';
import { changesDisk, Random, SimulatedDisk } from '../../src/testing/index.js';
import { fill, openStore, range } from '../support/small-stores.js';

async function contentOf(store: EventStore): Promise<unknown[]> {
  const events = await store.readAll({ filter: { system: true } }).toArray();
  return events.map(({ position: _position, partition: _partition, lsn: _lsn, ...rest }: RecordedEvent) => rest);
}

test('an import goes on after a crash anywhere', async () => {
  const source = await openStore(new SimulatedDisk(), { partitions: 2 });
  for (const n of range(1, 40)) await fill(source, `s-${n % 5}`, 1);
  await source.deleteStream('s-3');
  const lines = await source.exportEvents().toArray();
  const content = await contentOf(source);
  await source.close();
  const disk = new SimulatedDisk({ seed: 3 });
  const store = await openStore(disk, { partitions: 2 });
  const states: SimulatedDisk[] = [];
  const random = new Random(5);
  disk.onOperation = (operation) => {
    if (changesDisk(operation) && random.chance(0.3)) states.push(disk.crashed(random));
  };
  await store.importEvents(lines, { batch: 10 });
  disk.onOperation = undefined;
  await store.close();
  expect(states.length).toBeGreaterThan(10);
  const byStream = (events: unknown[]) =>
    (events as RecordedEvent[]).sort((a, b) => a.stream.localeCompare(b.stream) || Number(a.revision - b.revision));
  for (const state of states) {
    const again = await openStore(state, { partitions: 2 });
    await again.importEvents(lines);
    expect(byStream(await contentOf(again))).toEqual(byStream(content));
    await again.close();
  }
});
