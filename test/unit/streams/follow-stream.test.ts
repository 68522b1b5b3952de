import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { FollowOptions, LogRecord, Partition } from '../../../src/index.js';
import { runs } from '../../runs.js';
import { faultyDisk, settles, turns, until, within } from '../../support/logs.js';
import { fill, payload, range, smallLog } from './small-logs.js';

const lsns = (records: readonly LogRecord[]) => records.map((record) => record.lsn);

/** Follows in the background: what it got, and how it ended. */
function follower(partition: Partition, options: FollowOptions = {}) {
  const stream = partition.follow(options);
  const got: LogRecord[] = [];
  const statuses: string[] = [];
  stream.status$.subscribe((status) => statuses.push(status));
  const ended = (async () => {
    for await (const record of stream) got.push(record);
  })();
  ended.catch(() => {}); // whoever is interested looks at it
  return { stream, got, statuses, ended };
}

describe('following', () => {
  test('gives what is there, then what comes, without a gap and without a repetition', async () => {
    const { partition } = await smallLog(40);
    const { got } = follower(partition);
    for (let i = 0; i < 10; i++) {
      await fill(partition, 1 + (i % 4));
      if (i % 3 === 0) await turns(2);
    }
    const last = partition.durableLsn;
    await until(() => got.length >= last);
    await turns();
    expect(lsns(got)).toEqual(range(1, last));
    for (const { lsn, payload: bytes } of got) expect([...bytes]).toEqual([...payload(lsn)]);
  });

  test('from an LSN, a position, behind one, and from one that is still to come', async () => {
    const { partition } = await smallLog(20);
    const [{ position } = { position: undefined as never }] = await partition.read({ from: 15, limit: 1 }).toArray();
    const followers = [
      follower(partition, { from: 15 }),
      follower(partition, { from: position }),
      follower(partition, { from: position, exclusive: true }),
      follower(partition, { from: 23 }),
      follower(partition, { from: 23, exclusive: true }),
    ];
    await fill(partition, 10);
    await until(() => followers.every(({ got }) => got[got.length - 1]?.lsn === 30));
    expect(followers.map(({ got }) => lsns(got))).toEqual([15, 15, 16, 23, 24].map((first) => range(first, 30)));
  });

  test('shows what is written, but not durable, only to who asks for it', async () => {
    const disk = faultyDisk();
    const { partition } = await smallLog(3, { disk });
    const [durable, written] = [follower(partition), follower(partition, { visibility: 'written' })];
    await until(() => durable.got.length === 3 && written.got.length === 3);
    const gate = disk.hold('sync', /part_1/);
    void partition.append(payload(4));
    await gate.reached;
    await until(() => written.got.length === 4);
    expect(durable.got.length).toBe(3);
    gate.release();
    await until(() => durable.got.length === 4);
  });

  test('is refused what was purged, before and in between', async () => {
    const { partition } = await smallLog(60);
    const slow = partition.follow({ from: 1 }).batches();
    const { oldestLsn } = await partition.purgeBefore(50);
    await expect(slow.next()).rejects.toMatchObject({ code: 'ERR_VARVE_LSN_PURGED', requested: 1, oldest: oldestLsn });
  });

  test('a consumer that appends inside its loop gets that, too', async () => {
    const { partition } = await smallLog(1);
    const seen: number[] = [];
    for await (const { lsn } of partition.follow()) {
      seen.push(lsn);
      if (lsn === 30) break;
      await partition.append(payload(lsn + 1));
    }
    expect(seen).toEqual(range(1, 30));
  });

  test('any appends beside any pace of reading: every record once, in order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 30 }), fc.boolean()), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1, max: 40 }),
        async (bursts, from) => {
          const { partition, log } = await smallLog(0);
          const { got, ended } = follower(partition, { from });
          for (const [count, pause] of bursts) {
            await fill(partition, count);
            if (pause) await turns(3);
          }
          const last = partition.durableLsn;
          await until(() => last < from || got[got.length - 1]?.lsn === last);
          await log.close();
          await ended;
          expect(lsns(got)).toEqual(last < from ? [] : range(from, last));
        },
      ),
      { numRuns: runs(8) },
    );
  });
});

describe('its status', () => {
  test('is catching up, then caught up, and stays so while it keeps pace', async () => {
    const { partition } = await smallLog(20);
    const { stream, statuses, got } = follower(partition);
    expect([stream.status, stream.caughtUp]).toEqual(['catchingUp', false]);
    await until(() => stream.caughtUp);
    expect(got.length).toBe(20);
    await fill(partition, 5);
    await until(() => got.length === 25);
    await turns();
    expect(statuses).toEqual(['catchingUp', 'caughtUp']);
  });

  test('is caught up at once in an empty log', async () => {
    const { partition } = await smallLog(0);
    const { statuses, got } = follower(partition);
    await turns();
    expect([statuses, got]).toEqual([['catchingUp', 'caughtUp'], []]);
  });

  test('has fallen behind when more than a thousand records wait, and catches up again', async () => {
    const { partition } = await smallLog(3, { segmentSize: 8192 });
    const stream = partition.follow();
    const statuses: string[] = [];
    stream.status$.subscribe((status) => statuses.push(status));
    const batches = stream.batches();
    let seen = ((await batches.next()).value as LogRecord[]).length;
    const waiting = batches.next(); // has caught up, and waits
    await until(() => stream.caughtUp);
    await fill(partition, 1);
    seen += ((await waiting).value as LogRecord[]).length;
    await fill(partition, 1023);
    seen += ((await batches.next()).value as LogRecord[]).length;
    expect(statuses).toEqual(['catchingUp', 'caughtUp']); // 1023 are not many
    while (seen < 1027) seen += ((await batches.next()).value as LogRecord[]).length;
    await fill(partition, 1025);
    seen += ((await batches.next()).value as LogRecord[]).length;
    expect(statuses).toEqual(['catchingUp', 'caughtUp', 'fellBehind']);
    while (seen < 2052) seen += ((await batches.next()).value as LogRecord[]).length;
    const more = batches.next();
    await until(() => stream.caughtUp);
    await fill(partition, 1);
    await more;
    await batches.return();
    expect(statuses).toEqual(['catchingUp', 'caughtUp', 'fellBehind', 'caughtUp']);
  });
});

describe('the end', () => {
  test('of the log is the end of the stream, behind all that is durable', async () => {
    const { partition, log } = await smallLog(30);
    const { stream, got, ended } = follower(partition);
    await until(() => stream.caughtUp);
    partition.write(payload(31));
    await log.close();
    await within(ended, 'the follower');
    expect(lsns(got)).toEqual(range(1, got.length));
    expect(got.length).toBeGreaterThanOrEqual(30);
  });

  test('by a signal is its reason, while it reads and while it waits', async () => {
    const { partition, pins } = await smallLog(30);
    const [ending, reason] = [new AbortController(), new Error('enough')];
    const waiting = follower(partition, { signal: ending.signal });
    await until(() => waiting.stream.caughtUp);
    const reading = partition.follow({ signal: ending.signal }).batches();
    await reading.next();
    ending.abort(reason);
    await expect(waiting.ended).rejects.toBe(reason);
    await expect(reading.next()).rejects.toBe(reason);
    await expect(partition.follow({ signal: ending.signal }).batches().next()).rejects.toBe(reason);
    expect(pins()).toBe(0);
  });

  test('of a partition that fails is its error', async () => {
    const disk = faultyDisk();
    const { partition } = await smallLog(5, { disk });
    const { stream, got, ended } = follower(partition);
    await until(() => stream.caughtUp);
    disk.fail('sync', /part_1/, 'EIO');
    partition.append(payload(6)).catch(() => {});
    await expect(ended).rejects.toMatchObject({ code: 'ERR_VARVE_PARTITION_FAILED' });
    expect(lsns(got)).toEqual(range(1, 5));
  });

  test('by unsubscribing leaves nothing waiting and nothing pinned', async () => {
    const { partition, pins } = await smallLog(30);
    const heard: number[] = [];
    const errors: unknown[] = [];
    const subscription = partition
      .follow()
      .toObservable()
      .subscribe({ next: ({ lsn }) => heard.push(lsn), error: (error) => errors.push(error) });
    await until(() => heard.length === 30);
    subscription.unsubscribe();
    await fill(partition, 3);
    await turns();
    expect([heard.length, errors, pins()]).toEqual([30, [], 0]);
  });
});

describe('beside a truncation', () => {
  test('who has seen less than is left goes on, and gets the new records', async () => {
    const { partition } = await smallLog(60);
    const stream = partition.follow().batches();
    const got = [...((await stream.next()).value as LogRecord[])];
    const cut = (got[got.length - 1] as LogRecord).lsn + 5;
    await partition.truncateAfter(cut);
    await fill(partition, 3, (lsn) => payload(lsn + 1000));
    while (got.length < cut + 3) got.push(...((await stream.next()).value as LogRecord[]));
    expect(lsns(got)).toEqual(range(1, cut + 3));
    for (const { lsn, payload: bytes } of got) expect([...bytes]).toEqual([...payload(lsn > cut ? lsn + 1000 : lsn)]);
    await stream.return(undefined);
  });

  test('who has seen more is told', async () => {
    const { partition } = await smallLog(60);
    const stream = partition.follow({ from: 50 }).batches();
    let last = 0;
    while (last < 60) last = ((await stream.next()).value as LogRecord[]).reduce((_, { lsn }) => lsn, 0);
    await partition.truncateAfter(55);
    await expect(stream.next()).rejects.toMatchObject({
      code: 'ERR_VARVE_LSN_OUT_OF_RANGE',
      requested: 61,
      newest: 55,
    });
  });

  test('who waits for more is told, not left behind with records that are gone', async () => {
    const { partition } = await smallLog(60);
    const { stream, ended } = follower(partition);
    await until(() => stream.caughtUp);
    await partition.truncateAfter(55);
    await fill(partition, 20, (lsn) => payload(lsn + 1000));
    expect(await settles(ended)).toBe(true);
    await expect(ended).rejects.toMatchObject({ code: 'ERR_VARVE_LSN_OUT_OF_RANGE' });
  });

  test('who has seen more is told also when the log has grown past it again', async () => {
    const { partition } = await smallLog(60);
    const stream = partition.follow({ from: 50 }).batches();
    let last = 0;
    while (last < 60) last = ((await stream.next()).value as LogRecord[]).reduce((_, { lsn }) => lsn, 0);
    await partition.truncateAfter(55);
    await fill(partition, 20, (lsn) => payload(lsn + 1000));
    await expect(stream.next()).rejects.toMatchObject({ code: 'ERR_VARVE_LSN_OUT_OF_RANGE', requested: 61 });
  });
});
