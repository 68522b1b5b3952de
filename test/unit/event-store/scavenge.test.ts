import { describe, expect, test } from '@jest/globals';
import { type ArchivedSegment, type EventStore, type RecordedEvent, restoreBackup } from 'varve';
import { SimulatedDisk } from '../../../src/testing/index.js';
import { DIRECTORY, fill, openStore, range, revisionsOf, withStore } from '../../support/small-stores.js';

const segmentsOf = (store: EventStore) => store.stats().segments.active + store.stats().segments.sealed;
const keptFiles = async (disk: SimulatedDisk, directory = DIRECTORY) =>
  (await disk.list(directory)).filter((name) => name.includes('.kept'));
const idOf = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;

/** Long-lived events among many that die: 'keep' has 10 living ones, 'gone' is deleted, 'short' keeps 3. */
async function mixed(store: EventStore): Promise<void> {
  for (let i = 0; i < 10; i++) {
    await store.appendToStream('keep', { type: 'Kept', id: idOf(i), tags: ['t'], data: { i } });
    await fill(store, 'gone', 8);
    await fill(store, 'short', 4);
  }
  await store.deleteStream('gone');
  await store.setStreamMetadata('short', { maxCount: 3 });
}

const shown = async (store: EventStore) =>
  (await store.readAll().toArray()).filter(({ stream }) => stream === 'keep' || stream === 'short');

describe('what a scavenge does', () => {
  test('gives back what a purge cannot, and every living event stays where it was', () =>
    withStore(async (store, disk) => {
      await mixed(store);
      const before = await shown(store);
      const living = before.filter(({ stream, revision }) => stream === 'keep' || revision >= 37n);
      expect((await store.purge()).segments).toBe(0);
      const segments = segmentsOf(store);
      const report = await store.scavenge();
      expect(report.segments).toBeGreaterThan(3);
      expect(segmentsOf(store)).toBe(segments - report.segments);
      expect(report.stops).toEqual([{ partition: 1, segment: report.segments + 1, reason: 'newest' }]);
      expect(report.movedEvents).toBeLessThan(20);
      expect(report.events).toBeGreaterThan(60);
      const sizes = (await keptFiles(disk)).map(
        (name) => (disk.contentOf(`${DIRECTORY}/${name}`) as Uint8Array).length,
      );
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan((report.segments * 8192) / 3);
      expect(report.writtenBytes).toBeLessThan(report.bytes);
      const check = async (reading: EventStore) => {
        const after = await shown(reading);
        expect(after).toEqual(before.filter(({ position }) => after.some((one) => one.position === position)));
        expect(after).toEqual(expect.arrayContaining(living));
        expect(await revisionsOf(reading, 'keep')).toEqual(range(0, 9));
        expect(await revisionsOf(reading, 'short')).toEqual(range(37, 39));
        const keep = living.filter(({ stream }) => stream === 'keep');
        const backwards = { direction: 'backwards', filter: { tags: ['t'] } } as const;
        expect(await reading.readAll(backwards).toArray()).toEqual([...keep].reverse());
        expect(await reading.readAll({ filter: { types: ['Kept'] } }).toArray()).toEqual(keep);
        expect(await reading.readStream('keep', { direction: 'backwards', maxCount: 2 }).toArray()).toEqual(
          keep.slice(-2).reverse(),
        );
        expect(await reading.streamExists('gone')).toBe(false);
      };
      await check(store);
      await store.close();
      for (const name of await disk.list(`${DIRECTORY}/index`)) await disk.unlink(`${DIRECTORY}/index/${name}`);
      const again = await openStore(disk);
      await check(again);
      const next = await again.appendToStream('gone', { type: 'A' }, { expectedRevision: 'noStream' });
      expect(next.nextExpectedRevision).toBe(80n);
      await again.close();
    }));

  test('what is deleted is nowhere on the disk any more', () =>
    withStore(async (store, disk) => {
      await store.appendToStream('keep', { type: 'A' });
      for (let i = 0; i < 20; i++)
        await store.appendToStream('secret', { type: 'B', data: `hidden${'·'.repeat(300)}` });
      await store.deleteStream('secret');
      await fill(store, 'later', 40);
      await store.setStreamMetadata('later', { maxCount: 1 });
      expect((await store.scavenge()).segments).toBeGreaterThan(2);
      for (const name of await keptFiles(disk)) {
        expect(Buffer.from(disk.contentOf(`${DIRECTORY}/${name}`) as Uint8Array).includes('hidden')).toBe(false);
      }
      expect(await keptFiles(disk)).not.toEqual([]);
    }));

  test('a dry run tells the same and changes nothing', () =>
    withStore(async (store, disk) => {
      await mixed(store);
      const names = await disk.list(DIRECTORY);
      const all = await store.readAll().toArray();
      const dry = await store.scavenge({ dryRun: true, archive: () => Promise.reject(new Error('asked')) });
      expect(await disk.list(DIRECTORY)).toEqual(names);
      expect(await store.readAll().toArray()).toEqual(all);
      const report = await store.scavenge();
      const { segments, events, movedEvents, stops } = report;
      expect(dry).toMatchObject({ dryRun: true, segments, events, movedEvents, stops });
      expect(dry.bytes - dry.writtenBytes).toBeGreaterThan((report.bytes - report.writtenBytes) / 2);
      expect(report.dryRun).toBe(false);
    }));

  test('what dies later goes with the next one, and files that are small become one', () =>
    withStore(async (store, disk) => {
      for (let round = 0; round < 6; round++) {
        await store.appendToStream('keep', { type: 'Kept' });
        await fill(store, 'gone', 60);
        await store.truncateStream('gone', BigInt((round + 1) * 60));
        expect((await store.scavenge()).segments).toBeGreaterThan(0);
        expect((await keptFiles(disk)).length).toBe(1);
        expect(await revisionsOf(store, 'keep')).toEqual(range(0, round));
      }
      await store.deleteStream('keep');
      await fill(store, 'gone', 30);
      await store.deleteStream('gone');
      await store.scavenge();
      expect(await store.readAll({ filter: { categories: ['keep'] } }).toArray()).toEqual([]);
      expect(await store.readStream('keep').toArray()).toEqual([]);
      const next = await store.appendToStream('keep', { type: 'Kept' });
      expect(next.nextExpectedRevision).toBe(6n);
    }));

  test('no segment of which too much is alive', () =>
    withStore(async (store) => {
      for (let i = 0; i < 30; i++) {
        await fill(store, 'keep', 3);
        await fill(store, 'gone', 1);
      }
      await store.deleteStream('gone');
      const report = await store.scavenge();
      expect(report).toMatchObject({ segments: 0, events: 0, movedEvents: 0, writtenBytes: 0 });
      expect(report.stops).toEqual([{ partition: 1, segment: 1, reason: 'living', stream: 'keep' }]);
      expect((await store.scavenge({ threshold: 0.2 })).segments).toBeGreaterThan(2);
      expect(await revisionsOf(store, 'keep')).toEqual(range(0, 89));
    }));

  test('events that are too old, but none behind one that stays', () =>
    withStore(async (store, disk) => {
      const line = (revision: number, created: number) =>
        `${JSON.stringify({ stream: 's', revision, id: idOf(revision), type: 'A', created: new Date(created).toISOString(), data: 1 })}\n`;
      const now = disk.now();
      await store.importEvents([line(0, now - 50_000), line(1, now + 50_000), line(2, now - 50_000)]);
      await fill(store, 'filler', 100);
      await store.deleteStream('filler');
      await store.setStreamMetadata('s', { maxAge: 20_000 });
      expect((await store.scavenge()).segments).toBeGreaterThan(1);
      const left = await store.readAll({ filter: { categories: ['s'] } }).toArray();
      expect(left.map(({ revision }) => revision)).toEqual([1n, 2n]);
      disk.advance(80_000);
      await fill(store, 'filler', 100);
      await store.deleteStream('filler');
      expect((await store.scavenge()).segments).toBeGreaterThan(1);
      expect(await store.readAll({ filter: { categories: ['s'] } }).toArray()).toEqual([]);
      expect((await store.appendToStream('s', { type: 'A' })).nextExpectedRevision).toBe(3n);
    }));

  test('tombstones and the newest metadata stay, older ones go', () =>
    withStore(async (store, disk) => {
      await fill(store, 'buried', 2);
      await store.tombstoneStream('buried');
      for (let i = 1; i <= 5; i++) await store.setStreamMetadata('counted', { maxCount: i });
      await fill(store, 'gone', 60);
      await store.deleteStream('gone');
      expect((await store.scavenge()).segments).toBeGreaterThan(1);
      await store.close();
      const again = await openStore(disk);
      try {
        await expect(again.appendToStream('buried', { type: 'A' })).rejects.toMatchObject({
          code: 'ERR_VARVE_STREAM_TOMBSTONED',
        });
        expect(await again.getStreamMetadata('counted')).toEqual({ maxCount: 5 });
        expect(await revisionsOf(again, '$$counted')).toEqual([4]);
      } finally {
        await again.close();
      }
    }));
});

test('a stream that is deleted in the middle of one goes on with its next revision', () =>
  withStore(async (store, disk) => {
    await fill(store, 'late', 3);
    await fill(store, 'gone', 60);
    await store.deleteStream('gone');
    let release = () => {};
    const hold = new Promise<void>((resolve) => {
      release = resolve;
    });
    disk.faults.add({ kind: 'create', file: '*.kept.tmp', fault: { hold } });
    const scavenging = store.scavenge();
    while (disk.faults.applied.length === 0) await new Promise(setImmediate);
    await store.deleteStream('late');
    release();
    expect((await scavenging).segments).toBeGreaterThan(1);
    await store.close();
    const again = await openStore(disk);
    const next = await again.appendToStream('late', { type: 'A' }, { expectedRevision: 'noStream' });
    expect(next.nextExpectedRevision).toBe(3n);
    await again.close();
  }));

describe('what goes on', () => {
  test('a repetition of a moved append is recognized', () =>
    withStore(async (store) => {
      await mixed(store);
      await store.scavenge();
      const again = await store.appendToStream(
        'keep',
        { type: 'Kept', id: idOf(0), data: {} },
        { expectedRevision: 'noStream' },
      );
      expect(again).toMatchObject({ nextExpectedRevision: 0n, positions: [1n] });
      expect(await revisionsOf(store, 'keep')).toEqual(range(0, 9));
    }));

  test('a purge takes what was kept, when it is dead or below a floor', () =>
    withStore(async (store, disk) => {
      await mixed(store);
      await store.scavenge();
      expect((await store.purge()).stops[0]).toMatchObject({ segment: 1, reason: 'living', stream: 'keep' });
      const archived: bigint[] = [];
      const archive = async ({ events }: ArchivedSegment) => {
        for await (const { stream, revision } of events) if (stream === 'keep') archived.push(revision);
      };
      const floor = { checkpoint: store.checkpoint() };
      await store.purge({ floor, archive });
      expect(archived.length).toBeGreaterThan(5);
      expect(await keptFiles(disk)).toEqual([]);
      expect((await store.streamHead('keep'))?.revision).toBe(9n);
      await store.close();
      const again = await openStore(disk);
      expect((await again.streamHead('keep'))?.revision).toBe(9n);
      expect(await again.readAll({ filter: { categories: ['keep'] } }).toArray()).toHaveLength(10 - archived.length);
      await again.close();
    }));

  test('a checkpoint and a position in what was kept go on with the next event that is alive', () =>
    withStore(async (store) => {
      await mixed(store);
      const [, second, third] = await store.readStream('keep').toArray();
      await store.scavenge();
      const from = async (at: bigint | { checkpoint: string }) =>
        (await store.readAll({ from: at, filter: { categories: ['keep'] }, maxCount: 1 }).toArray())[0];
      expect(await from((second as RecordedEvent).position)).toEqual(second);
      expect(await from((second as RecordedEvent).position + 1n)).toEqual(third);
      expect(await from({ checkpoint: `${second?.lsn}` })).toEqual(third);
    }));

  test('a subscription that is inside of it sees each living event once', () =>
    withStore(async (store) => {
      await mixed(store);
      const stop = new AbortController();
      const seen: bigint[] = [];
      for await (const { stream, revision } of store.subscribeToAll({ signal: stop.signal })) {
        if (stream !== 'keep') continue;
        seen.push(revision);
        if (seen.length === 2) await store.scavenge();
        if (seen.length === 5) await store.appendToStream('keep', { type: 'Kept' });
        if (seen.length === 11) break;
      }
      expect(seen).toEqual(range(0, 10).map(BigInt));
    }));

  test.each(['forwards', 'backwards'] as const)('a stream that is being read %s is read to its end', (direction) =>
    withStore(async (store) => {
      for (let i = 0; i < 300; i++) {
        await store.appendToStream('keep', { type: 'Kept' });
        if (i % 3 === 0) await fill(store, 'gone', 4);
      }
      await store.deleteStream('gone');
      const seen: bigint[] = [];
      for await (const { revision } of store.readStream('keep', { direction })) {
        seen.push(revision);
        if (seen.length === 1) expect((await store.scavenge({ threshold: 0.1 })).segments).toBeGreaterThan(3);
      }
      const expected = range(0, 299).map(BigInt);
      expect(seen).toEqual(direction === 'forwards' ? expected : expected.reverse());
    }),
  );

  test('streams are listed, each once, also while it happens', () =>
    withStore(async (store) => {
      for (let i = 0; i < 20; i++) {
        await store.appendToStream(`keep-${i}`, { type: 'Kept' });
        await fill(store, 'gone', 5);
      }
      await store.deleteStream('gone');
      const listed: string[] = [];
      for await (const { stream } of store.streams({ limit: 3 })) {
        listed.push(stream);
        if (listed.length === 4) await store.scavenge();
      }
      expect(listed).toEqual(range(0, 19).map((i) => `keep-${i}`));
    }));

  test('consumers, parked events and snapshots', () =>
    withStore(async (store, disk) => {
      await mixed(store);
      await store.saveSnapshot('keep', { revision: 4n, state: { sum: 7 } });
      await store.writeCheckpoint('c', '5');
      await fill(store, 'gone', 60);
      await store.deleteStream('gone');
      expect((await store.scavenge()).segments).toBeGreaterThan(5);
      await store.close();
      const again = await openStore(disk);
      expect(await again.readSnapshot('keep')).toMatchObject({ revision: 4n, state: { sum: 7 } });
      expect(await again.readCheckpoint('c')).toMatchObject({ checkpoint: '5' });
      await again.close();
    }));

  test('appends over several partitions, and what they wrote', () =>
    withStore(
      async (store, disk) => {
        const streams = ['a', 'b', 'c', 'd'];
        for (let i = 0; i < 20; i++) {
          await store.appendToStreams(streams.map((stream) => ({ stream, events: [{ type: 'T', data: i }] })));
          for (const stream of streams) await fill(store, `gone-${stream}`, 5);
        }
        for (const stream of streams) await store.deleteStream(`gone-${stream}`);
        const positions = async (reading: EventStore) =>
          (await reading.readAll({ filter: { types: ['T'] } }).toArray()).map(({ position }) => position);
        const before = await positions(store);
        expect((await store.scavenge()).segments).toBeGreaterThan(3);
        expect(await positions(store)).toEqual(before);
        for (const position of before) {
          const [event] = await store.readAll({ from: position, maxCount: 1 }).toArray();
          expect(event?.position).toBe(position);
        }
        await store.close();
        const again = await openStore(disk, { partitions: 3 });
        expect(await positions(again)).toEqual(before);
        await again.appendToStreams(
          streams.map((stream) => ({ stream, expectedRevision: 19n, events: [{ type: 'T' }] })),
        );
        await again.close();
      },
      { partitions: 3 },
    ));

  test('a backup has it, the next one copies only what is new, and a restored one reads alike', () =>
    withStore(async (store, disk) => {
      await mixed(store);
      await store.backup('/backup');
      await store.scavenge();
      const all = await store.readAll().toArray();
      const report = await store.backup('/backup');
      expect(report.copiedFiles).toBeGreaterThan(0);
      expect(await keptFiles(disk, '/backup')).toEqual(await keptFiles(disk));
      expect((await store.backup('/backup')).copiedFiles).toBeLessThan(report.copiedFiles + 1);
      await restoreBackup({ from: '/backup', directory: '/restored', disk });
      const restored = await openStore(disk, { directory: '/restored' });
      expect(await restored.readAll().toArray()).toEqual(all);
      await restored.close();
    }));

  test('an export has what is alive, and an import takes it', () =>
    withStore(async (store) => {
      await mixed(store);
      await store.scavenge();
      const lines = await store.exportEvents().toArray();
      await withStore(async (other) => {
        await other.importEvents(lines);
        expect(await revisionsOf(other, 'keep')).toEqual(range(0, 9));
        expect(await revisionsOf(other, 'short')).toEqual(range(37, 39));
      });
    }));
});

describe('hooks, limits, ends', () => {
  test('the archive gets all of a segment before it goes; if it throws, the segment stays', () =>
    withStore(async (store, disk) => {
      await mixed(store);
      const all = (await store.readAll().toArray()).map(({ position }) => position);
      const archived: bigint[] = [];
      const { segments } = await store
        .scavenge({
          archive: async ({ events }: ArchivedSegment) => {
            if (archived.length > 30) throw new Error('full');
            for await (const { position } of events) archived.push(position);
          },
        })
        .catch((error: Error) => {
          expect(error.message).toBe('full');
          return { segments: 0 };
        });
      expect(segments).toBe(0);
      expect(archived).toEqual(all.slice(0, archived.length));
      const left = (await store.readAll().toArray()).map(({ position }) => position);
      expect(left.filter((position) => position > (archived.at(-1) as bigint))).toEqual(all.slice(archived.length));
      expect((await keptFiles(disk)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    }));

  test('progress adds up to the report', () =>
    withStore(
      async (store) => {
        for (const stream of ['a', 'b', 'c']) {
          await store.appendToStream(`keep-${stream}`, { type: 'A' });
          await fill(store, stream, 60);
          await store.deleteStream(stream);
        }
        const told: { done: number; of: number; segments: number; events: number }[] = [];
        const report = await store.scavenge({ onProgress: (progress) => told.push(progress) });
        expect(told.length).toBe(report.segments);
        const { segments, bytes, events, movedEvents, writtenBytes } = report;
        expect(told.at(-1)).toMatchObject({ segments, bytes, events, movedEvents, writtenBytes });
        for (const { done, of } of told) expect(done).toBeLessThanOrEqual(of);
      },
      { partitions: 2 },
    ));

  test('a signal ends it, also while it waits for its rate, and nothing half done is left', () =>
    withStore(async (store, disk) => {
      await mixed(store);
      const all = await store.readAll().toArray();
      const stop = new AbortController();
      const scavenging = store.scavenge({ maxBytesPerSecond: 1, signal: stop.signal });
      scavenging.catch(() => {});
      while ((await keptFiles(disk)).length === 0) await new Promise(setImmediate);
      stop.abort(new Error('enough'));
      await expect(scavenging).rejects.toThrow('enough');
      expect(await keptFiles(disk)).toEqual([]);
      expect((await store.readAll().toArray()).slice(0, all.length)).toEqual(all);
      expect((await store.scavenge()).segments).toBeGreaterThan(3);
    }));

  test('a close ends one that waits for its rate', () =>
    withStore(async (store, disk) => {
      await mixed(store);
      const scavenging = store.scavenge({ maxBytesPerSecond: 1 });
      scavenging.catch(() => {});
      while ((await keptFiles(disk)).length === 0) await new Promise(setImmediate);
      await store.close();
      await expect(scavenging).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
      expect(await keptFiles(disk)).toEqual([]);
    }));

  test('a segment that is being read stays, until it is not', () =>
    withStore(async (store, disk) => {
      await mixed(store);
      const reading = store.readAll()[Symbol.asyncIterator]();
      await reading.next();
      const report = await store.scavenge();
      expect(report).toMatchObject({ segments: 0, stops: [{ partition: 1, segment: 1, reason: 'reading' }] });
      expect(await keptFiles(disk)).toEqual([]);
      expect(await revisionsOf(store, 'keep')).toEqual(range(0, 9));
      await reading.return?.();
      expect((await store.scavenge()).segments).toBeGreaterThan(3);
    }));

  test.each([
    [{ threshold: 0 }, 'threshold'],
    [{ threshold: 1.1 }, 'threshold'],
    [{ threshold: Number.NaN }, 'threshold'],
    [{ maxBytesPerSecond: 0 }, 'maxBytesPerSecond'],
    [{ archive: 1 }, 'archive'],
    [{ dryRun: 1 }, 'dryRun'],
    [{ floor: 1n }, 'floor'],
  ])('%j is refused', (options, option) =>
    withStore(async (store) => {
      const scavenging = store.scavenge(options as never);
      await expect(scavenging).rejects.toMatchObject({ code: 'ERR_VARVE_INVALID_OPTION' });
      await expect(scavenging).rejects.toThrow(option);
    }),
  );
});

describe('damage', () => {
  const scavenged = async () => {
    const disk = new SimulatedDisk();
    const store = await openStore(disk);
    await mixed(store);
    await store.scavenge();
    await store.close();
    const [name] = await keptFiles(disk);
    return { disk, path: `${DIRECTORY}/${name}` };
  };

  test('a kept file that is lost is missed', async () => {
    const { disk, path } = await scavenged();
    await disk.unlink(path);
    await expect(openStore(disk)).rejects.toMatchObject({ code: 'ERR_VARVE_CORRUPT', path, partition: 1, segment: 1 });
  });

  test.each([0, 30, 95])('a header that is damaged at %d is seen at opening', async (at) => {
    const { disk, path } = await scavenged();
    const bytes = disk.contentOf(path) as Uint8Array;
    disk.damage(path, at, Uint8Array.of((bytes[at] as number) ^ 1));
    await expect(openStore(disk)).rejects.toMatchObject({ code: 'ERR_VARVE_CORRUPT', path });
  });

  test('a directory that is damaged is seen at opening, a record when it is read', async () => {
    const first = await scavenged();
    const { length } = first.disk.contentOf(first.path) as Uint8Array;
    first.disk.damage(first.path, length - 1, Uint8Array.of(0xaa, 0xbb).subarray(0, 1));
    await expect(openStore(first.disk)).rejects.toMatchObject({ code: 'ERR_VARVE_CORRUPT', path: first.path });
    const second = await scavenged();
    const bytes = second.disk.contentOf(second.path) as Uint8Array;
    second.disk.damage(second.path, 150, Uint8Array.of((bytes[150] as number) ^ 1));
    const store = await openStore(second.disk);
    await expect(store.readAll().toArray()).rejects.toMatchObject({ code: 'ERR_VARVE_CORRUPT', path: second.path });
    await store.close();
  });

  test('losing the manifest loses nothing', async () => {
    const { disk } = await scavenged();
    await disk.unlink(`${DIRECTORY}/MANIFEST`);
    const store = await openStore(disk);
    expect(await revisionsOf(store, 'keep')).toEqual(range(0, 9));
    await store.close();
  });
});
