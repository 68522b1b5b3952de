import { describe, expect, test } from '@jest/globals';
import { lastValueFrom, take, toArray } from 'rxjs';
import type { LogRecord, ReadOptions } from '../../../src/index.js';
import { segmentName } from '../../../src/segment/names.js';
import { codeOf, faultyDisk, turns, until, within } from '../../support/logs.js';
import { fill, payload, range, smallLog } from './small-logs.js';

const lsns = (records: readonly LogRecord[]) => records.map((record) => record.lsn);

const expectIntact = (records: readonly LogRecord[]) => {
  for (const record of records)
    expect([record.lsn, [...record.payload]]).toEqual([record.lsn, [...payload(record.lsn)]]);
};

describe('reading over many segments', () => {
  test('every combination of direction, from, to, limit and exclusive gives exactly what it says', async () => {
    const { partition } = await smallLog(60);
    expect(partition.segments().length).toBeGreaterThan(4);
    const edges = partition.segments().flatMap((segment) => [segment.firstLsn, segment.lastLsn]);
    const starts = [undefined, 1, 2, ...edges.slice(1, 6), 59, 60];
    for (const direction of ['forward', 'backward'] as const) {
      const forward = direction === 'forward';
      for (const from of starts) {
        for (const to of [undefined, 1, edges[1] as number, 30, 60, 1000]) {
          for (const limit of [undefined, 0, 1, 13, 1000]) {
            for (const exclusive of [false, true]) {
              const options: ReadOptions = { direction, exclusive };
              if (from !== undefined) options.from = from;
              if (to !== undefined) options.to = to;
              if (limit !== undefined) options.limit = limit;
              const all = forward ? range(1, 60) : range(60, 1);
              // Exclusive leaves out the record at `from`; without a `from` there is nothing to leave out.
              const first = from ?? (forward ? 1 : 60);
              const isExcluded = (lsn: number) => exclusive && from !== undefined && lsn === first;
              const wanted = all
                .filter((lsn) => (forward ? lsn >= first : lsn <= first) && !isExcluded(lsn))
                .filter((lsn) => to === undefined || (forward ? lsn <= to : lsn >= to))
                .slice(0, limit);
              expect([options, lsns(await partition.read(options).toArray())]).toEqual([options, wanted]);
            }
          }
        }
      }
    }
  });

  test.each(['forward', 'backward'] as const)('%s: every payload and position is the right one', async (direction) => {
    const { partition } = await smallLog(50);
    const records = await partition.read({ direction }).toArray();
    expect(records.length).toBe(50);
    expectIntact(records);
    const segments = partition.segments();
    for (const { lsn, position } of records) {
      const segment = segments.find((s) => s.firstLsn <= lsn && lsn <= s.lastLsn);
      expect(position.segmentIndex).toBe(segment?.index);
      const [found] = await partition.read({ from: position, limit: 1, direction }).toArray();
      expect(found?.lsn).toBe(lsn);
    }
  });

  test.each(['forward', 'backward'] as const)('%s from a position, exclusive or not', async (direction) => {
    const { partition } = await smallLog(40);
    const step = direction === 'forward' ? 1 : -1;
    for (const { lsn, position } of await partition.read({ from: 11, to: 14 }).toArray()) {
      const read = (exclusive: boolean) => partition.read({ from: position, exclusive, limit: 3, direction }).toArray();
      expect(lsns(await read(false))).toEqual([lsn, lsn + step, lsn + 2 * step]);
      expect(lsns(await read(true))).toEqual([lsn + step, lsn + 2 * step, lsn + 3 * step]);
    }
  });

  test('records of one frame have positions of their own', async () => {
    const { partition } = await smallLog(3);
    const { position } = await partition.appendBatch([4, 5, 6, 7].map(payload));
    const records = await partition.read({ from: 4 }).toArray();
    expect(records[0]?.position).toEqual(position);
    for (const record of records) {
      const from = record.position;
      expect(lsns(await partition.read({ from }).toArray())).toEqual(range(record.lsn, 7));
      expect(lsns(await partition.read({ from, direction: 'backward' }).toArray())).toEqual(range(record.lsn, 1));
    }
  });

  test('a position at which no record begins is refused, in every segment and beside all of them', async () => {
    const { partition } = await smallLog(30);
    const { position } = (await partition.read({ from: 15, limit: 1 }).toArray())[0] as LogRecord;
    for (const from of [
      { ...position, localOffset: position.localOffset + 1 },
      { ...position, localOffset: position.localOffset - 8 },
      { ...position, localOffset: 0 },
      { ...position, localOffset: 1_000_000 },
      { ...position, segmentIndex: 99 },
    ]) {
      for (const direction of ['forward', 'backward'] as const) {
        const reading = partition.read({ from, direction }).toArray();
        await expect(reading).rejects.toMatchObject({ code: 'ERR_VARVE_LSN_OUT_OF_RANGE', segment: from.segmentIndex });
      }
    }
  });

  test('an empty log gives nothing, in any way', async () => {
    const { partition } = await smallLog(0);
    for (const options of [{}, { direction: 'backward' }, { from: 1 }, { from: 9, limit: 3 }, { to: 5 }] as const) {
      expect(await partition.read(options).toArray()).toEqual([]);
      expect((await partition.read(options).batches().next()).done).toBe(true);
      expect(await lastValueFrom(partition.read(options).toObservable().pipe(toArray()))).toEqual([]);
    }
  });

  test.each(['forward', 'backward'] as const)(
    '%s: batches are never empty, and are all there is',
    async (direction) => {
      const { partition } = await smallLog(50);
      const batches: LogRecord[][] = [];
      for await (const batch of partition.read({ direction }).batches()) batches.push(batch);
      expect(batches.every((batch) => batch.length > 0)).toBe(true);
      expect(batches.length).toBeGreaterThanOrEqual(partition.segments().length);
      expect(lsns(batches.flat())).toEqual(direction === 'forward' ? range(1, 50) : range(50, 1));
    },
  );

  test('every way of reading is a reading of its own', async () => {
    const { partition } = await smallLog(20);
    const stream = partition.read({ from: 5, limit: 9 });
    const iterated: LogRecord[] = [];
    for await (const record of stream) iterated.push(record);
    const observed = await lastValueFrom(stream.toObservable().pipe(toArray()));
    for (const records of [iterated, observed, await stream.toArray()]) {
      expect(lsns(records)).toEqual(range(5, 13));
      expectIntact(records);
    }
  });

  test('ends at what was visible when it began, however much comes meanwhile', async () => {
    const { partition } = await smallLog(20);
    const seen: number[] = [];
    for await (const { lsn } of partition.read()) {
      seen.push(lsn);
      if (lsn % 5 === 0) await fill(partition, 3);
    }
    expect(seen).toEqual(range(1, 20));
  });

  test('shows what is not durable only to who asks for it', async () => {
    const disk = faultyDisk();
    const { partition } = await smallLog(5, { disk });
    const gate = disk.hold('sync', /part_1/);
    await partition.append(payload(6), { ack: 'written' });
    const syncing = partition.sync();
    await gate.reached;
    expect(lsns(await partition.read({ from: 5 }).toArray())).toEqual([5]);
    expect(lsns(await partition.read({ from: 5, visibility: 'written' }).toArray())).toEqual([5, 6]);
    expect(lsns(await partition.read({ direction: 'backward', limit: 1 }).toArray())).toEqual([5]);
    expect(lsns(await partition.read({ direction: 'backward', limit: 1, visibility: 'written' }).toArray())).toEqual([
      6,
    ]);
    gate.release();
    await syncing;
  });
});

describe('a signal', () => {
  test.each(['forward', 'backward'] as const)(
    '%s: that has aborted ends the reading before it begins',
    async (direction) => {
      const { partition } = await smallLog(5);
      const reason = new Error('no more');
      const reading = partition.read({ direction, signal: AbortSignal.abort(reason) });
      await expect(reading.toArray()).rejects.toBe(reason);
    },
  );

  test.each(['forward', 'backward'] as const)(
    '%s: that aborts in between ends it with its reason',
    async (direction) => {
      const { partition, pins } = await smallLog(50);
      const ending = new AbortController();
      const reason = new Error('no more');
      const read = async () => {
        for await (const _ of partition.read({ direction, signal: ending.signal }).batches()) ending.abort(reason);
      };
      await expect(read()).rejects.toBe(reason);
      expect(pins()).toBe(0);
    },
  );
});

describe('pins', () => {
  test.each(['forward', 'backward'] as const)(
    '%s: one segment is pinned while a reader is inside, and none behind it',
    async (direction) => {
      const { partition, pins } = await smallLog(50);
      for await (const _ of partition.read({ direction })) expect(pins()).toBe(1);
      expect(pins()).toBe(0);
      for await (const _ of partition.read({ direction })) break;
      expect(pins()).toBe(0);
      await partition.read({ direction, limit: 3 }).toArray();
      expect(pins()).toBe(0);
    },
  );

  test('unsubscribing ends the reading and gives the segment back', async () => {
    const disk = faultyDisk();
    const { partition, pins } = await smallLog(50, { disk });
    const before = disk.of('readSync', /part_1/).length;
    const heard: number[] = [];
    await lastValueFrom(partition.read().toObservable().pipe(take(3))).then(({ lsn }) => heard.push(lsn));
    await turns();
    expect(heard).toEqual([3]);
    expect(pins()).toBe(0);
    // It has not read on behind the segment that it was in: the index and the window of one.
    const read = disk.of('readSync', /part_1/).slice(before);
    expect(new Set(read.map((operation) => operation.file))).toEqual(new Set([segmentName(1, 1)]));
  });

  test('an observer hears of damage as an error, and the pin is gone', async () => {
    const disk = faultyDisk();
    const { partition, pins } = await smallLog(30, { disk });
    disk.fail('readSync', /part_1_0000000002/, 'EIO');
    const failing = lastValueFrom(partition.read().toObservable().pipe(toArray()));
    await expect(failing).rejects.toMatchObject({ code: 'ERR_VARVE_IO' });
    expect(pins()).toBe(0);
  });
});

describe('beside a purge', () => {
  test('a reader inside a segment keeps it, and those behind it; then it ends or goes on', async () => {
    const { partition } = await smallLog(60);
    const [first, second, third] = partition.segments();
    const reading = partition.read({ from: second?.firstLsn as number }).batches();
    const { value } = await reading.next();
    const seen = lsns(value as LogRecord[]);
    expect(await partition.purgeBefore(60)).toMatchObject({ segments: 1, oldestLsn: (first?.lastLsn as number) + 1 });
    // Inside the second: the purge of before has left the rest of the log alone.
    for await (const batch of reading) {
      seen.push(...lsns(batch));
      expectIntact(batch);
    }
    expect(seen).toEqual(range(second?.firstLsn as number, 60));
    expect((await partition.purgeBefore(60)).segments).toBeGreaterThan(1);
    expect(await codeOf(partition.read({ from: third?.firstLsn as number }).toArray())).toBe('ERR_VARVE_LSN_PURGED');
  });

  test('below the purge point there is a typed error, forward, backward and by position', async () => {
    const { partition } = await smallLog(60);
    const [{ position } = { position: undefined }] = await partition.read({ limit: 1 }).toArray();
    const { oldestLsn } = await partition.purgeBefore(40);
    expect(oldestLsn).toBeGreaterThan(10);
    const purged = { code: 'ERR_VARVE_LSN_PURGED', oldest: oldestLsn };
    const requested = oldestLsn - 1;
    for (const options of [{ from: requested }, { from: requested, direction: 'backward' }] as const) {
      await expect(partition.read(options).toArray()).rejects.toMatchObject({ ...purged, requested });
    }
    await expect(partition.read({ from: position as never }).toArray()).rejects.toMatchObject(purged);
    // What was named exactly is missed; what was not is what is left.
    await expect(partition.read({ to: 1, direction: 'backward' }).toArray()).rejects.toMatchObject(purged);
    expect(lsns(await partition.read().toArray())).toEqual(range(oldestLsn, 60));
    expect(lsns(await partition.read({ direction: 'backward' }).toArray())).toEqual(range(60, oldestLsn));
    expect(lsns(await partition.read({ from: requested, exclusive: true, limit: 1 }).toArray())).toEqual([oldestLsn]);
  });

  test('a backward reader that is overtaken by a purge ends at what is left', async () => {
    const { partition } = await smallLog(60);
    const seen: number[] = [];
    let oldest = 0;
    for await (const batch of partition.read({ direction: 'backward' }).batches()) {
      seen.push(...lsns(batch));
      if (oldest === 0) oldest = (await partition.purgeBefore(40)).oldestLsn;
    }
    expect(oldest).toBeGreaterThan(1);
    expect(seen).toEqual(range(60, oldest));
  });

  test('a payload stays what it was when its segment was purged, prepared again and written over', async () => {
    const { partition, log } = await smallLog(60, { recycle: 8, preallocate: { segments: 0 } });
    const records = await partition.read().toArray();
    const { segments } = await partition.purgeBefore(60);
    expect(segments).toBeGreaterThan(3);
    await fill(partition, 120, () => new Uint8Array(40).fill(0xee));
    expect(partition.stats().reused).toBe(segments);
    expectIntact(records);
    await log.close();
    expectIntact(records);
  });
});

describe('beside a truncation', () => {
  const other = (lsn: number) => payload(lsn + 1000);

  test('the reading goes on to the new end, where nothing that it gave was cut off', async () => {
    const { partition } = await smallLog(60);
    const reading = partition.read().batches();
    const seen = [...((await reading.next()).value as LogRecord[])];
    await partition.truncateAfter(40);
    for await (const batch of reading) seen.push(...batch);
    expect(lsns(seen)).toEqual(range(1, 40));
    expectIntact(seen);
  });

  test('backward, it goes on from the new end', async () => {
    const { partition } = await smallLog(60);
    const reading = partition.read({ direction: 'backward' }).batches();
    const first = lsns((await reading.next()).value as LogRecord[]);
    await partition.truncateAfter(20);
    const rest: LogRecord[] = [];
    for await (const batch of reading) rest.push(...batch);
    expect(first[0]).toBe(60);
    expect(lsns(rest)).toEqual(range(20, 1));
    expectIntact(rest);
  });

  test('while the tail is being cut, readers wait for it', async () => {
    const disk = faultyDisk();
    const { partition } = await smallLog(60, { disk });
    const gate = disk.hold('sync', /rewind_1/);
    const truncating = partition.truncateAfter(15);
    await gate.reached;
    let records: LogRecord[] | undefined;
    const reading = partition
      .read()
      .toArray()
      .then((all) => {
        records = all;
      });
    await turns();
    expect(records).toBe(undefined);
    gate.release();
    await Promise.all([truncating, reading]);
    expect(lsns(records as unknown as LogRecord[])).toEqual(range(1, 15));
  });

  // A record with LSN 20 of before and one with LSN 21 of after the cut are not one log.
  test.each([
    ['forward', 20],
    ['backward', 45],
  ] as const)('%s, records of before and after the cut are never mixed', async (direction, cut) => {
    const { partition } = await smallLog(60);
    const reading = partition.read({ direction }).batches();
    const seen: LogRecord[] = [];
    let last = 0;
    // Read on until what was given reaches behind the cut; then that part gets other records.
    while (direction === 'forward' ? last <= cut + 5 : seen.length < 3) {
      const batch = (await reading.next()).value as LogRecord[];
      seen.push(...batch);
      last = (batch[batch.length - 1] as LogRecord).lsn;
    }
    await partition.truncateAfter(cut);
    await fill(partition, 60 - cut, other);
    try {
      for await (const batch of reading) seen.push(...batch);
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_VARVE_LSN_OUT_OF_RANGE' });
    }
    const changed = seen.filter((record) => record.lsn > cut);
    const isOld = (record: LogRecord) => Buffer.compare(record.payload, payload(record.lsn)) === 0;
    expect(changed.length).toBeGreaterThan(0);
    expect(changed.filter((record) => !isOld(record)).map((record) => record.lsn)).toEqual([]);
  });
});

describe('verifying', () => {
  test('counts what it has verified, and tells how far it is after each segment', async () => {
    const { partition, pins } = await smallLog(60);
    const steps: [number, number][] = [];
    const result = await partition.verify({ onProgress: (done, all) => steps.push([done, all]) });
    const segments = partition.segments();
    const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
    expect(result).toMatchObject({ segments: segments.length, records: 60, bytes });
    expect(result.frames).toBeGreaterThanOrEqual(60 + 2 * segments.length - 1); // each has an open frame, most a seal
    expect(steps.length).toBe(segments.length);
    expect(steps.map(([, all]) => all)).toEqual(steps.map(() => bytes));
    expect(steps[steps.length - 1]).toEqual([bytes, bytes]);
    expect(steps.map(([done]) => done)).toEqual(steps.map(([done]) => done).sort((a, b) => a - b));
    expect(pins()).toBe(0);
  });

  test('is ended by its signal, with its reason, and keeps nothing pinned', async () => {
    const { partition, pins } = await smallLog(60);
    const ending = new AbortController();
    const reason = new Error('enough');
    let steps = 0;
    const onProgress = () => {
      if (++steps === 2) ending.abort(reason);
    };
    await expect(partition.verify({ signal: ending.signal, onProgress })).rejects.toBe(reason);
    expect([steps, pins()]).toEqual([2, 0]);
    await expect(partition.verify({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test('keeps what it has not verified yet from a purge, and gives back what it has', async () => {
    const { partition, pins } = await smallLog(60);
    let purged: Promise<{ segments: number }> | undefined;
    const { segments } = await partition.verify({
      onProgress: () => {
        purged ??= partition.purgeBefore(60);
      },
    });
    expect(segments).toBeGreaterThan(3);
    expect((await purged)?.segments).toBe(1);
    expect(pins()).toBe(0);
  });

  test('a progress callback that throws ends it, and keeps nothing pinned', async () => {
    const { partition, pins } = await smallLog(60);
    const error = new Error('mine');
    const verifying = partition.verify({
      onProgress: () => {
        throw error;
      },
    });
    await expect(verifying).rejects.toBe(error);
    expect(pins()).toBe(0);
  });

  test('an empty log has nothing to verify', async () => {
    const { partition } = await smallLog(0);
    expect(await partition.verify()).toEqual({ segments: 0, frames: 0, records: 0, bytes: 0 });
  });
});

describe('behind the end of the log', () => {
  test('reading rejects, and a reader that was under way ends with an error', async () => {
    const { partition, log } = await smallLog(60);
    const reading = partition.read().batches();
    await reading.next();
    await within(log.close(), 'the close');
    expect(await codeOf(reading.next().then(() => reading.next()))).toBe('ERR_VARVE_CLOSED');
    expect(await codeOf(partition.read().toArray())).toBe('ERR_VARVE_CLOSED');
    expect(await codeOf(partition.verify())).toBe('ERR_VARVE_CLOSED');
  });

  test('what is durable can be read after a failure', async () => {
    const disk = faultyDisk();
    const { partition } = await smallLog(30, { disk });
    disk.fail('sync', /part_1/, 'EIO');
    expect(await codeOf(partition.append(payload(31)))).toBe('ERR_VARVE_PARTITION_FAILED');
    await until(() => partition.state?.log === 'failed');
    expect(lsns(await partition.read().toArray())).toEqual(range(1, 30));
    expect(lsns(await partition.read({ direction: 'backward' }).toArray())).toEqual(range(30, 1));
  });
});
