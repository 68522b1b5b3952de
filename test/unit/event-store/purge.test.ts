import { describe, expect, test } from '@jest/globals';
import type { ArchivedSegment, EventStore, RecordedEvent } from 'varve';
import type { SimulatedDisk } from '../../../src/testing/index.js';
import { fill, openStore, range, revisionsOf, withStore } from '../../support/small-stores.js';

const segmentsOf = (store: EventStore) => store.stats().segments.active + store.stats().segments.sealed;

describe('what goes', () => {
  test('nothing while the oldest event is alive', () =>
    withStore(async (store) => {
      await store.appendToStream('keep', { type: 'A' });
      await fill(store, 'big', 100);
      await store.deleteStream('big');
      const report = await store.purge();
      expect(report).toMatchObject({ segments: 0, bytes: 0, events: 0 });
      expect(report.stops).toEqual([{ partition: 1, segment: 1, reason: 'living', stream: 'keep' }]);
      expect(await revisionsOf(store, 'keep')).toEqual([0]);
    }));

  test.each<[string, (store: EventStore, disk: SimulatedDisk) => Promise<unknown>]>([
    ['truncated events', (store) => store.truncateStream('s', 95n)],
    ['events beyond maxCount', (store) => store.setStreamMetadata('s', { maxCount: 5 })],
    ["the same by KurrentDB's word", (store) => store.setStreamMetadata('s', { $maxCount: 5 })],
  ])('%s', (_, change) =>
    withStore(async (store, disk) => {
      await fill(store, 's', 100);
      await change(store, disk);
      const before = segmentsOf(store);
      const report = await store.purge();
      expect(report.segments).toBeGreaterThan(2);
      expect(segmentsOf(store)).toBe(before - report.segments);
      expect(report.emptiedStreams).toBe(0);
      expect(await revisionsOf(store, 's')).toEqual(range(95, 99));
    }),
  );

  test('events older than maxAge, by the clock of the disk', () =>
    withStore(async (store, disk) => {
      await fill(store, 's', 60);
      disk.advance(10_000);
      await fill(store, 's', 40);
      await store.setStreamMetadata('s', { $maxAge: 5 });
      expect((await store.purge()).segments).toBeGreaterThan(1);
      expect(await revisionsOf(store, 's')).toEqual(range(60, 99));
    }));

  test('an event exactly as old as maxAge is kept', () =>
    withStore(async (store, disk) => {
      const begin = disk.now();
      let now = begin;
      disk.now = () => now;
      await fill(store, 's', 60);
      now += 5_000;
      await fill(store, 's', 1);
      await store.setStreamMetadata('s', { maxAge: 5_000 });
      expect((await store.purge()).segments).toBe(0);
      now++;
      expect((await store.purge()).segments).toBeGreaterThan(1);
      expect(await revisionsOf(store, 's')).toEqual([60]);
    }));

  test('an imported event with a younger time counts, though it stands before older ones', () =>
    withStore(async (store, disk) => {
      const line = (revision: number, created: number) => {
        const id = `00000000-0000-4000-8000-00000000000${revision}`;
        return `${JSON.stringify({ stream: 's', revision, id, type: 'A', created: new Date(created).toISOString(), data: 1 })}\n`;
      };
      const now = disk.now();
      await store.importEvents([line(0, now - 50_000), line(1, now + 50_000), line(2, now - 50_000)]);
      await fill(store, 'filler', 100);
      await store.deleteStream('filler');
      await store.setStreamMetadata('s', { maxAge: 20_000 });
      expect((await store.purge()).stops[0]).toMatchObject({ reason: 'living', stream: 's' });
      disk.advance(80_000);
      expect((await store.purge()).segments).toBeGreaterThan(1);
    }));

  test('superseded metadata; the newest move to the end', () =>
    withStore(async (store) => {
      for (let i = 1; i <= 60; i++) {
        await store.setStreamMetadata('s', { maxCount: i, custom: 'x'.repeat(200) });
      }
      await store.setStreamMetadata('idle', { custom: 'kept' });
      await fill(store, 's', 1);
      for (let i = 1; i <= 60; i++) {
        await store.setStreamMetadata('s', { maxCount: i, custom: 'x'.repeat(200) });
      }
      expect((await store.purge()).segments).toBeGreaterThan(0);
      expect(await store.getStreamMetadata('idle')).toEqual({ custom: 'kept' });
      expect((await store.getStreamMetadata('s')).maxCount).toBe(60);
    }));

  test('all below a floor: a position, and a checkpoint', () =>
    withStore(async (store) => {
      await fill(store, 'a', 40);
      const checkpoint = store.checkpoint();
      await fill(store, 'b', 40);
      await store.purge({ floor: { checkpoint } });
      const a = await revisionsOf(store, 'a');
      expect(a.length).toBeLessThan(40);
      expect(a).toEqual(range(40 - a.length, 39));
      expect(await revisionsOf(store, 'b')).toHaveLength(40);
      await store.purge({ floor: 60n });
      expect(await revisionsOf(store, 'a')).toEqual([]);
      const [oldest] = await store.readAll({ maxCount: 1 }).toArray();
      expect(oldest?.stream).toBe('b');
      expect(oldest?.position).toBeLessThanOrEqual(60n);
    }));

  test('a floor spares the streams of the store itself, unless told otherwise', () =>
    withStore(async (store, disk) => {
      await store.close();
      const other = await openStore(disk);
      try {
        // The store's own parts write such streams; here an import does.
        const line = {
          stream: '$snapshot-s',
          revision: 0,
          id: '00000000-0000-4000-8000-000000000001',
          type: 'Snapshot',
          created: new Date(disk.now()).toISOString(),
          data: { balance: 5 },
        };
        await other.importEvents([`${JSON.stringify(line)}\n`]);
        await fill(other, 's', 100);
        const floor = { checkpoint: other.checkpoint() };
        const report = await other.purge({ floor });
        expect(report.segments).toBe(0);
        expect(report.stops).toEqual([{ partition: 1, segment: 1, reason: 'living', stream: '$snapshot-s' }]);
        expect((await other.purge({ floor, system: true })).segments).toBeGreaterThan(0);
        expect(await other.readStream('$snapshot-s').toArray()).toEqual([]);
      } finally {
        await other.close();
      }
    }));

  test('not what would have to be written again, mostly', () =>
    withStore(async (store) => {
      for (let i = 0; i < 60; i++) await store.setStreamMetadata(`s-${i}`, { custom: 'x'.repeat(200) });
      await fill(store, 's', 1);
      expect(segmentsOf(store)).toBeGreaterThan(2);
      const report = await store.purge();
      expect(report.segments).toBe(0);
      expect(report.stops[0]).toMatchObject({ segment: 1, reason: 'carried' });
    }));
});

describe('what stays', () => {
  const emptied = async (store: EventStore) => {
    await fill(store, 'expired', 30);
    await fill(store, 'deleted', 20);
    await fill(store, 'buried', 10);
    await store.deleteStream('deleted');
    await store.tombstoneStream('buried');
    await fill(store, 'rest', 30);
    const floor = { checkpoint: store.checkpoint() };
    await fill(store, 'rest', 30);
    const report = await store.purge({ floor });
    expect(report.emptiedStreams).toBe(3);
  };
  const check = async (store: EventStore) => {
    expect(await revisionsOf(store, 'expired')).toEqual([]);
    expect((await store.streamHead('expired'))?.revision).toBe(29n);
    expect(await store.streamExists('deleted')).toBe(false);
    await expect(store.readStream('buried', { ifMissing: 'throw' }).toArray()).rejects.toMatchObject({
      code: 'ERR_VARVE_STREAM_TOMBSTONED',
    });
    await expect(store.appendToStream('buried', { type: 'A' })).rejects.toMatchObject({
      code: 'ERR_VARVE_STREAM_TOMBSTONED',
    });
    await expect(store.appendToStream('expired', { type: 'A' }, { expectedRevision: 28n })).rejects.toMatchObject({
      code: 'ERR_VARVE_WRONG_REVISION',
      actual: 29n,
    });
    await store.appendToStream('expired', { type: 'A' }, { expectedRevision: 29n });
    await store.appendToStream('deleted', { type: 'A' }, { expectedRevision: 'noStream' });
    expect(await revisionsOf(store, 'expired')).toEqual([30]);
    expect(await revisionsOf(store, 'deleted')).toEqual([20]);
  };

  test('revisions, deletions and tombstones', () =>
    withStore(async (store) => {
      await emptied(store);
      await check(store);
    }));

  test('the same after a reopen', () =>
    withStore(async (store, disk) => {
      await emptied(store);
      await store.close();
      const again = await openStore(disk);
      await check(again);
      await again.close();
    }));

  test('the same when all that is left of it has been purged once more', () =>
    withStore(async (store, disk) => {
      await emptied(store);
      const floor = { checkpoint: store.checkpoint() };
      await fill(store, 'rest', 60);
      expect((await store.purge({ floor })).segments).toBeGreaterThan(0);
      await store.close();
      const again = await openStore(disk);
      await check(again);
      await again.close();
    }));

  test('a revision, when metadata are set anew', () =>
    withStore(async (store, disk) => {
      await emptied(store);
      await store.setStreamMetadata('expired', { maxCount: 3 });
      await store.close();
      const again = await openStore(disk);
      expect(await again.getStreamMetadata('expired')).toEqual({ maxCount: 3, head: 29 });
      await check(again);
      await again.close();
    }));

  test('a tombstone, when metadata are set anew', () =>
    withStore(async (store) => {
      await emptied(store);
      await expect(store.setStreamMetadata('buried', { maxCount: 3 })).rejects.toMatchObject({
        code: 'ERR_VARVE_STREAM_TOMBSTONED',
      });
    }));

  test('a reader that began before; the segment waits for it', () =>
    withStore(async (store) => {
      await fill(store, 's', 100);
      await store.deleteStream('s');
      const reading = store.readAll().batches();
      const first = await reading.next();
      expect((await store.purge()).stops[0]).toMatchObject({ reason: 'reading' });
      let count = (first.value as RecordedEvent[]).length;
      for await (const batch of reading) count += batch.length;
      expect(count).toBe(100);
      expect((await store.purge()).segments).toBeGreaterThan(2);
    }));

  test('a subscription from the start, which begins at the oldest', () =>
    withStore(async (store) => {
      await fill(store, 'a', 40);
      const floor = { checkpoint: store.checkpoint() };
      await fill(store, 'b', 40);
      await store.purge({ floor });
      for await (const event of store.subscribeToAll()) {
        expect(event.stream).toBe('a');
        expect(event.revision).toBeGreaterThan(0n);
        break;
      }
      for await (const event of store.subscribeToStream('a')) {
        expect(event.revision).toBeGreaterThan(0n);
        break;
      }
    }));

  test('reads by index while a purge takes segments from under them', () =>
    withStore(async (store) => {
      await fill(store, 's', 120);
      const floor = { checkpoint: store.checkpoint() };
      await fill(store, 'rest', 40);
      const reading = store.readStream('s', { fromRevision: 3n }).batches();
      await reading.next();
      const other = store.readAll({ filter: { types: ['Filled'] } }).batches();
      await other.next();
      const purging = store.purge({ floor });
      const revisions: bigint[] = [];
      for await (const batch of reading) for (const { revision } of batch) revisions.push(revision);
      for await (const batch of other) for (const { position } of batch) expect(position).toBeGreaterThan(0n);
      await purging;
      expect(revisions).toEqual([...revisions].sort((a, b) => Number(a - b)));
      expect(await store.readAll({ from: 1n, maxCount: 1 }).toArray()).toHaveLength(1);
    }));
});

describe('the hooks', () => {
  const prepare = async (store: EventStore) => {
    await fill(store, 's', 100);
    await store.truncateStream('s', 100n);
  };

  test('a dry run tells the same and changes nothing', () =>
    withStore(async (store) => {
      await prepare(store);
      const before = segmentsOf(store);
      const events = (await store.readAll({ filter: { system: true } }).toArray()).length;
      const { dryRun, ...told } = await store.purge({
        dryRun: true,
        archive: () => {
          throw new Error('must not be asked');
        },
      });
      expect(dryRun).toBe(true);
      expect(segmentsOf(store)).toBe(before);
      expect(await store.readAll({ filter: { system: true } }).toArray()).toHaveLength(events);
      expect(await store.purge()).toEqual({ ...told, dryRun: false });
      expect(told.segments).toBeGreaterThan(2);
    }));

  test('the archive gets every event before it goes', () =>
    withStore(async (store) => {
      await prepare(store);
      const all = await store.readAll().toArray();
      const archived: RecordedEvent[] = [];
      const segments: number[] = [];
      const progress: number[] = [];
      const report = await store.purge({
        archive: async ({ events, firstLsn, lastLsn, segment, partition }: ArchivedSegment) => {
          expect(partition).toBe(1);
          segments.push(segment);
          const before = archived.length;
          for await (const event of events) archived.push(event);
          expect(archived.length - before).toBe(lastLsn - firstLsn + 1);
        },
        onProgress: ({ segments: count }) => progress.push(count),
      });
      expect(segments).toEqual(range(1, report.segments));
      expect(progress).toEqual(segments);
      expect(archived).toEqual(all.slice(0, archived.length));
      expect(archived).toHaveLength(report.events);
    }));

  test('an archive that looks at the first event only does not hold its segment', () =>
    withStore(async (store) => {
      await prepare(store);
      const archive = async ({ events }: ArchivedSegment) => {
        expect((await events[Symbol.asyncIterator]().next()).done).toBe(false);
      };
      expect((await store.purge({ archive })).segments).toBeGreaterThan(2);
    }));

  test('an archive that fails keeps its segment, and is told', () =>
    withStore(async (store) => {
      await prepare(store);
      const before = segmentsOf(store);
      let segments = 0;
      const archive = async ({ events }: ArchivedSegment) => {
        for await (const event of events) {
          expect(event.stream).toBe('s');
          if (segments === 2) throw new Error('no room in the archive');
          break;
        }
        segments++;
      };
      await expect(store.purge({ archive })).rejects.toThrow('no room in the archive');
      expect(segmentsOf(store)).toBe(before - 2);
      expect((await store.purge()).segments).toBeGreaterThan(1);
    }));

  test('a signal ends it between two segments', () =>
    withStore(async (store) => {
      await prepare(store);
      const before = segmentsOf(store);
      const ending = new AbortController();
      const reason = new Error('enough');
      const onProgress = () => ending.abort(reason);
      await expect(store.purge({ signal: ending.signal, onProgress })).rejects.toBe(reason);
      expect(segmentsOf(store)).toBe(before - 1);
    }));

  test('closing the store ends it between two segments, and waits for it', () =>
    withStore(async (store, disk) => {
      await prepare(store);
      const order: string[] = [];
      let closing: Promise<unknown> = Promise.resolve();
      const onProgress = ({ segments }: { segments: number }) => {
        order.push(`purged ${segments}`);
        closing = store.close().then(() => order.push('closed'));
      };
      await expect(store.purge({ onProgress })).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
      order.push('told');
      await closing;
      expect(order).toEqual(['purged 1', 'told', 'closed']);
      const again = await openStore(disk);
      expect((await again.purge()).segments).toBeGreaterThan(1);
      await again.close();
    }));

  test('bad options, and a closed store', () =>
    withStore(async (store) => {
      const refused = { code: 'ERR_VARVE_INVALID_OPTION' };
      await expect(store.purge({ floor: 'start' as never })).rejects.toMatchObject(refused);
      await expect(store.purge({ floor: -1n })).rejects.toMatchObject(refused);
      await expect(store.purge({ archive: true as never })).rejects.toMatchObject(refused);
      await expect(store.purge({ dryrun: true } as never)).rejects.toMatchObject(refused);
      await store.close();
      await expect(store.purge()).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
    }));
});

describe('transactions', () => {
  test('segments with transactions go, and what they did stays', () =>
    withStore(
      async (store, disk) => {
        for (let i = 0; i < 60; i++) {
          const data = 'x'.repeat(100);
          await store.appendToStreams(range(1, 6).map((n) => ({ stream: `s-${n}`, events: [{ type: 'T', data }] })));
        }
        await store.purge({ floor: { checkpoint: store.checkpoint() } });
        await store.close();
        const again = await openStore(disk, { partitions: 3 });
        for (const n of range(1, 6)) expect((await again.streamHead(`s-${n}`))?.revision).toBe(59n);
        await again.close();
      },
      { partitions: 3 },
    ));
});
