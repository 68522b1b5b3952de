/**
 * What a failing, full or slow disk does to a log, and in which order the log asks things of it.
 *
 * The recorder of FaultyDisk gives every beginning and end of an operation a place in one order, and the test's own
 * observations too, so that "before" is a comparison of two numbers.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import type { Log, LogEvents, Partition, SpacePressure } from 'varve';
import type { Operation } from '../support/faulty-disk.js';
import {
  backEnds,
  bytesOf,
  codeOf,
  faultyDisk,
  heldIn,
  openTestLog,
  payloadOf,
  settles,
  temporaryDirectory,
  text,
  turns,
  until,
  within,
} from '../support/logs.js';

const FIRST_SEGMENT = /^part_1_0000000001\.wal$/;
const SECOND_SEGMENT = /^part_1_0000000002\.wal$/;
const SEGMENTS = /^part_/;
/** Where a segment's open frame lies. */
const OPEN_FRAME = 4096;
const KIB = 1024;
const ios = await backEnds();

/** 900-byte records until the active segment of 8 KiB holds no other one: four. */
async function fill(partition: Partition): Promise<void> {
  for (let i = 0; i < 4; i++) await partition.append(payloadOf(i, 900));
}

async function payloads(partition: Partition): Promise<string[]> {
  return (await partition.read().toArray()).map(({ payload }) => text(payload));
}

function events<K extends keyof LogEvents>(log: Log, name: K): LogEvents[K][0][] {
  const seen: LogEvents[K][0][] = [];
  log.events.on(name, ((event: LogEvents[K][0]) => seen.push(event)) as never);
  return seen;
}

function only(operations: Operation[]): Operation {
  expect(operations).toHaveLength(1);
  return operations[0] as Operation;
}

/** The end of an operation that has ended well. */
function end(operation: Operation | undefined): number {
  expect(operation?.failed).toBeUndefined();
  return operation?.ended ?? Number.NaN;
}

describe.each(ios)("a failed sync is final, io: '%s'", (io) => {
  test('everything rejects with the cause, the durable LSN stands still, reads and other partitions go on', async () => {
    const disk = faultyDisk();
    const directory = temporaryDirectory();
    const log = await openTestLog({ directory, disk, io, segmentSize: 8 * KIB });
    const [partition, other] = [await log.partition(1), await log.partition(2)];
    const failed = events(log, 'failed');
    await partition.append(bytesOf('kept 1'));
    await partition.append(bytesOf('kept 2'));
    await other.append(bytesOf('other'));
    const marks: unknown[] = [];
    await turns();
    partition.durableLsn$.subscribe({
      next: (lsn) => marks.push(lsn),
      error: (error) => marks.push(error),
      complete: () => marks.push('end'),
    });

    disk.fail('sync', FIRST_SEGMENT, 'EIO', { times: 1 });
    const pending = [partition.append(bytesOf('lost')), partition.append(bytesOf('lost too'))];
    const waiting = codeOf(partition.waitFor(4));
    for (const append of pending) {
      await expect(append).rejects.toMatchObject({
        code: 'ERR_VARVE_PARTITION_FAILED',
        partition: 1,
        cause: { code: 'EIO' },
      });
    }
    expect(await waiting).toBe('ERR_VARVE_PARTITION_FAILED');
    expect(partition.state).toMatchObject({ log: 'failed' });
    expect(failed).toMatchObject([{ partition: 1, cause: { code: 'EIO' } }]);

    // From here on the file would sync: it must not be asked to, since the cache may have dropped what did not reach it.
    const after = disk.operations.length;
    expect(await codeOf(partition.append(bytesOf('later')))).toBe('ERR_VARVE_PARTITION_FAILED');
    expect(await codeOf(partition.append(bytesOf('later'), { ack: 'written' }))).toBe('ERR_VARVE_PARTITION_FAILED');
    expect(await codeOf(partition.sync())).toBe('ERR_VARVE_PARTITION_FAILED');
    expect(await codeOf(partition.rotate())).toBe('ERR_VARVE_PARTITION_FAILED');
    expect(await codeOf(partition.truncateAfter(1))).toBe('ERR_VARVE_PARTITION_FAILED');
    expect(() => partition.write(bytesOf('later'))).toThrow(
      expect.objectContaining({ code: 'ERR_VARVE_PARTITION_FAILED' }),
    );
    expect(await payloads(partition)).toEqual(['kept 1', 'kept 2']);
    expect(partition.durableLsn).toBe(2);
    expect(marks).toEqual([2, 'end']);

    await other.append(bytesOf('other goes on'));
    await within(log.close(), 'close');
    const touched = disk.operations.slice(after).filter(({ file }) => FIRST_SEGMENT.test(file));
    expect(touched.filter(({ kind }) => kind === 'sync' || kind === 'write')).toEqual([]);
    expect(heldIn(directory) ?? []).toEqual([]);

    const again = await openTestLog({ directory, io, segmentSize: 8 * KIB });
    const recovered = await again.partition(1);
    expect((await payloads(recovered)).slice(0, 2)).toEqual(['kept 1', 'kept 2']);
    const { lsn } = await recovered.append(bytesOf('new'));
    expect(lsn).toBe(recovered.durableLsn);
    expect(await payloads(await again.partition(2))).toEqual(['other', 'other goes on']);
  });

  test('also the sync of a segment that is being left', async () => {
    const disk = faultyDisk();
    const directory = temporaryDirectory();
    const log = await openTestLog({ directory, disk, io, segmentSize: 8 * KIB });
    const partition = await log.partition(1);
    await fill(partition);
    const sealing = disk.hold('sync', FIRST_SEGMENT);
    const next = [
      codeOf(partition.append(payloadOf('next', 900))),
      codeOf(partition.append(bytesOf('n'), { ack: 'written' })),
    ];
    await sealing.reached;
    disk.fail('sync', FIRST_SEGMENT, 'EIO');
    // What is in the new segment is not acknowledged, not as written either: its open frame is not there.
    expect(await settles(Promise.race(next), 10)).toBe(false);
    sealing.release();
    for (const append of next) expect(await append).toBe('ERR_VARVE_PARTITION_FAILED');
    expect(partition.durableLsn).toBe(4);
    expect(await partition.read().toArray()).toHaveLength(4);
    await within(log.close(), 'close');
    const again = await (await openTestLog({ directory })).partition(1);
    expect(again.durableLsn).toBe(4);
  });

  test('also the one that comes before recovery drops the cache', async () => {
    const disk = faultyDisk();
    const directory = temporaryDirectory();
    const log = await openTestLog({ directory, io, segmentSize: 8 * KIB });
    await (await log.partition(1)).append(bytesOf('kept'));
    await log.close();
    disk.fail('dropCache', FIRST_SEGMENT, 'EIO', { times: 1 });
    const again = await openTestLog({ directory, disk, io, segmentSize: 8 * KIB });
    const degraded = events(again, 'degraded');
    if (io === 'mmap') expect(await codeOf(again.partition(1))).toBe('ERR_VARVE_IO');
    expect(await payloads(await again.partition(1))).toEqual(['kept']);
    await turns();
    expect(degraded).toEqual([]);
    await within(again.close(), 'close');
    expect(heldIn(directory) ?? []).toEqual([]);
  });

  test('a failed close: told, and everything is given back', async () => {
    const disk = faultyDisk();
    const directory = temporaryDirectory();
    const log = await openTestLog({ directory, disk, io, segmentSize: 8 * KIB });
    const partition = await log.partition(1);
    await partition.append(bytesOf('kept'));
    partition.write(bytesOf('not synced'));
    disk.fail('sync', FIRST_SEGMENT, 'EIO');
    await expect(within(log.close(), 'close')).rejects.toMatchObject({
      code: 'ERR_VARVE_PARTITION_FAILED',
      cause: { code: 'EIO' },
    });
    expect(heldIn(directory) ?? []).toEqual([]);
    const again = await (await openTestLog({ directory })).partition(1); // the lock is free, too
    expect((await payloads(again))[0]).toBe('kept');
  });

  test('a write that fails while a sync is in flight: close waits for that one before it closes the file', async () => {
    const disk = faultyDisk();
    const directory = temporaryDirectory();
    const log = await openTestLog({ directory, disk, io: 'write', segmentSize: 8 * KIB });
    const partition = await log.partition(1);
    await partition.append(bytesOf('a'));
    const sync = disk.hold('sync', FIRST_SEGMENT);
    const inFlight = codeOf(partition.append(bytesOf('b')));
    await sync.reached;
    disk.fail('write', FIRST_SEGMENT, 'EIO');
    expect(await codeOf(partition.append(bytesOf('c')))).toBe('ERR_VARVE_PARTITION_FAILED');
    const closing = codeOf(log.close());
    await turns();
    sync.release();
    expect(await inFlight).toBe('ERR_VARVE_PARTITION_FAILED');
    await within(closing, 'close');
    expect(heldIn(directory) ?? []).toEqual([]);
  });
});

describe('the order of operations', () => {
  test.each(ios)("no durable acknowledgement before a sync that began after the hand-over, io: '%s'", async (io) => {
    const disk = faultyDisk();
    const log = await openTestLog({ directory: temporaryDirectory(), disk, io, segmentSize: 8 * KIB });
    const partition = await log.partition(1);
    await partition.append(bytesOf('first'));
    const sync = disk.hold('sync', FIRST_SEGMENT);
    const early = partition.append(bytesOf('early'));
    await sync.reached;
    // Handed over while a sync is under way: that one may have passed the bytes by.
    const late = partition.append(bytesOf('late'));
    await turns();
    const handedOver = disk.tick();
    sync.release();
    await early;
    let acknowledged = 0;
    await late.then(() => {
      acknowledged = disk.tick();
    });
    const covering = disk.of('sync', FIRST_SEGMENT).filter(({ begun }) => begun > handedOver);
    expect(covering.some((operation) => end(operation) < acknowledged)).toBe(true);
    expect(partition.durableLsn).toBe(3);
  });

  test('appends that arrive during a sync share the next one', async () => {
    const disk = faultyDisk();
    const log = await openTestLog({ directory: temporaryDirectory(), disk });
    const partition = await log.partition(1);
    await partition.append(bytesOf('first'));
    const sync = disk.hold('sync', FIRST_SEGMENT);
    const early = partition.append(bytesOf('early'));
    await sync.reached;
    const before = disk.of('sync', FIRST_SEGMENT).length;
    const late = Array.from({ length: 50 }, (_, i) => partition.append(bytesOf(`late ${i}`)));
    sync.release();
    await Promise.all([early, ...late]);
    expect(disk.of('sync', FIRST_SEGMENT).length - before).toBe(1);
  });

  test('a written acknowledgement comes behind the write, and needs no sync', async () => {
    const disk = faultyDisk();
    const log = await openTestLog({ directory: temporaryDirectory(), disk, io: 'write' });
    const partition = await log.partition(1);
    await partition.append(bytesOf('first'));
    const sync = disk.hold('sync', FIRST_SEGMENT);
    const writes = disk.of('write', FIRST_SEGMENT).length;
    await within(partition.append(bytesOf('written'), { ack: 'written' }), 'a written append');
    expect(disk.of('write', FIRST_SEGMENT).length).toBe(writes + 1);
    expect(partition.durableLsn).toBe(1);
    sync.release();
  });

  test.each(ios)("nothing in a segment counts before its name is durable, io: '%s'", async (io) => {
    const disk = faultyDisk();
    const log = await openTestLog({ directory: temporaryDirectory(), disk, io, segmentSize: 8 * KIB });
    const partition = await log.partition(1);
    const naming = disk.hold('syncDirectory', /./);
    const appends = [partition.append(bytesOf('a')), partition.append(bytesOf('b'), { ack: 'written' })];
    await naming.reached;
    expect(disk.of('rename', /^ready/).map(({ to }) => to)).toEqual(['part_1_0000000001.wal']);
    expect(await settles(Promise.race(appends), 20)).toBe(false);
    naming.release();
    let acknowledged = 0;
    await Promise.race(appends).then(() => {
      acknowledged = disk.tick();
    });
    const rename = only(disk.of('rename', /^ready/));
    const directorySync = disk.of('syncDirectory', /./).find(({ begun }) => begun > end(rename));
    expect(end(directorySync)).toBeLessThan(acknowledged);
    await Promise.all(appends);
  });

  test.each(ios)("a header is durable before its file bears a segment's name, io: '%s'", async (io) => {
    const disk = faultyDisk();
    const log = await openTestLog({ directory: temporaryDirectory(), disk, io, segmentSize: 8 * KIB });
    const partition = await log.partition(1);
    await partition.append(bytesOf('a'));
    await partition.rotate();
    const renames = disk.of('rename', /^ready/);
    expect(renames).toHaveLength(2);
    for (const rename of renames) {
      // Behind the zeros that preparing the file has written there.
      const writes = disk.of('write', /^ready/).filter(({ file, offset }) => file === rename.file && offset === 0);
      const header = writes.at(-1);
      const sync = disk.of('sync', /^ready/).find(({ file, begun }) => file === rename.file && begun > end(header));
      expect(end(sync)).toBeLessThan(rename.begun);
    }
  });

  test('the last sync of the old segment has ended before the open frame of the new one is written', async () => {
    const disk = faultyDisk();
    const log = await openTestLog({ directory: temporaryDirectory(), disk, io: 'write', segmentSize: 8 * KIB });
    const partition = await log.partition(1);
    await fill(partition);
    const sealing = disk.hold('sync', FIRST_SEGMENT);
    const next = partition.append(payloadOf('next', 900));
    await sealing.reached;
    await until(() => disk.of('syncDirectory', /./).length > 0);
    await turns();
    const open = () => disk.of('write', SECOND_SEGMENT).filter(({ offset }) => offset === OPEN_FRAME);
    expect(open()).toEqual([]);
    sealing.release();
    await next;
    const seal = disk
      .of('write', FIRST_SEGMENT)
      .filter(({ offset }) => offset >= OPEN_FRAME)
      .at(-1);
    const lastSync = disk.of('sync', FIRST_SEGMENT).at(-1);
    expect(lastSync?.begun).toBeGreaterThan(end(seal));
    expect(end(lastSync)).toBeLessThan(only(open()).begun);
  });

  test.each([
    ['the name is late', 'rename', /^ready/],
    ['the directory sync is late', 'syncDirectory', /./],
  ] as const)('rotating twice while appending, where %s: no segment is left unsynced', async (_name, kind, file) => {
    const disk = faultyDisk();
    const directory = temporaryDirectory();
    const log = await openTestLog({ directory, disk, io: 'write', segmentSize: 8 * KIB, preallocate: { segments: 2 } });
    const partition = await log.partition(1);
    await partition.append(bytesOf('a'));
    const naming = disk.hold(kind, file);
    const first = partition.rotate();
    await naming.reached;
    await turns();
    // A sync is wanted for what is in the segment that has no name yet; none may be taken for the seal's.
    const seal = disk.hold('sync', FIRST_SEGMENT);
    const b = partition.append(bytesOf('b'));
    await settles(seal.reached, 20);
    naming.release();
    await settles(first, 20);
    const second = partition.rotate();
    await settles(second, 20);
    seal.release();
    await within(Promise.all([first, b, second, partition.append(bytesOf('c'))]), 'rotating');
    for (const index of [1, 2]) {
      const name = new RegExp(`^part_1_000000000${index}`);
      const next = new RegExp(`^part_1_000000000${index + 1}`);
      const sealed = disk
        .of('write', name)
        .filter(({ offset }) => offset >= OPEN_FRAME)
        .at(-1);
      const sync = disk.of('sync', name).find(({ begun }) => begun > end(sealed));
      const open = disk.of('write', next).find(({ offset }) => offset === OPEN_FRAME);
      expect(end(sync)).toBeLessThan(open?.begun ?? Number.NaN);
    }
    await within(log.close(), 'close');
    expect(heldIn(directory) ?? []).toEqual([]);
  });

  test.each([0, 8])('purging: mark, then files oldest first, then the directory (recycle: %d)', async (recycle) => {
    const disk = faultyDisk();
    const directory = temporaryDirectory();
    const log = await openTestLog({ directory, disk, segmentSize: 8 * KIB, recycle });
    const partition = await log.partition(1);
    for (let i = 0; i < 4; i++) {
      await partition.append(bytesOf(`${i}`));
      await partition.rotate();
    }
    await turns();
    const before = disk.tick();
    await partition.purgeBefore(4);
    const done = disk.tick();
    const during = disk.operations.filter(({ begun }) => begun > before && begun < done);
    const mark = only(during.filter(({ kind, to }) => kind === 'rename' && to === 'MANIFEST'));
    const temporary = only(during.filter(({ kind, file }) => kind === 'sync' && file === 'MANIFEST.tmp'));
    const gone = during.filter(
      ({ kind, file }) => kind === (recycle === 0 ? 'unlink' : 'rename') && SEGMENTS.test(file),
    );
    expect(gone.map(({ file }) => file)).toEqual([1, 2, 3].map((index) => `part_1_000000000${index}.wal`));
    const directorySyncs = during.filter(({ kind }) => kind === 'syncDirectory');
    expect(end(temporary)).toBeLessThan(mark.begun);
    const marked = directorySyncs.find(({ begun }) => begun > end(mark));
    expect(end(marked)).toBeLessThan((gone[0] as Operation).begun);
    for (let i = 1; i < gone.length; i++) expect(end(gone[i - 1])).toBeLessThan((gone[i] as Operation).begun);
    const last = directorySyncs.find(({ begun }) => begun > end(gone.at(-1)));
    expect(end(last)).toBeLessThan(done);
  });

  test('a purge whose mark cannot be written gives nothing up', async () => {
    const disk = faultyDisk();
    const log = await openTestLog({ directory: temporaryDirectory(), disk, segmentSize: 8 * KIB });
    const partition = await log.partition(1);
    await partition.append(bytesOf('a'));
    await partition.rotate();
    await partition.append(bytesOf('b'));
    disk.fail('write', /MANIFEST/, 'EIO', { times: 1 });
    await expect(partition.purgeBefore(2)).rejects.toMatchObject({ cause: { code: 'EIO' } });
    expect(partition.oldestLsn).toBe(1);
    expect(await payloads(partition)).toEqual(['a', 'b']);
    expect(await partition.purgeBefore(2)).toMatchObject({ segments: 1, oldestLsn: 2 });
  });

  test('nothing touches the disk after close, and close waits for every purge that was asked for', async () => {
    const disk = faultyDisk();
    const log = await openTestLog({ directory: temporaryDirectory(), disk, segmentSize: 8 * KIB });
    const partition = await log.partition(1);
    for (let i = 0; i < 5; i++) {
      await partition.append(bytesOf(`${i}`));
      await partition.rotate();
    }
    const mark = disk.hold('rename', /MANIFEST/);
    const purges = [codeOf(partition.purgeBefore(2))];
    await mark.reached;
    purges.push(codeOf(partition.purgeBefore(5)));
    const closing = log.close();
    await turns();
    mark.release();
    await within(closing, 'close');
    const after = disk.operations.length;
    await Promise.all(purges);
    await turns(50);
    expect(disk.operations.slice(after)).toEqual([]);
  });
});

describe('a full disk', () => {
  interface Episode {
    readonly pressures: SpacePressure[];
    readonly restored: LogEvents['spaceRestored'][0][];
  }
  const watch = (log: Log): Episode => ({
    pressures: events(log, 'spacePressure'),
    restored: events(log, 'spaceRestored'),
  });

  describe.each(ios)("io: '%s'", (io) => {
    test.each(['ENOSPC', 'EDQUOT'])('%s: appends wait, reads go on, and appending resumes by itself', async (code) => {
      const disk = faultyDisk();
      const log = await openTestLog({ directory: temporaryDirectory(), disk, io, segmentSize: 8 * KIB, recycle: 0 });
      const episode = watch(log);
      const partition = await log.partition(1);
      await partition.append(bytesOf('first'));
      await turns();
      const lift = disk.fail('allocate', /^ready/, code);
      const before = disk.of('allocate', /^ready/).length;
      // More than there is room for in the active segment and in those that are ready.
      let acknowledged = 1;
      const waiting = Array.from({ length: 20 }, (_, i) => partition.append(payloadOf(i, 900)));
      for (const append of waiting) void append.then(() => acknowledged++);
      await until(() => log.stats().space === 'blocked' && log.stats().bytes.unsynced > 0);
      await until(() => (partition.state as { log: string }).log === 'blocked');
      const readable = partition.durableLsn;
      // What still fits needs no segment, but must not overtake.
      const small = partition.append(bytesOf('small'));
      expect(await settles(small, 20)).toBe(false);
      expect(acknowledged).toBeLessThan(20);
      expect(await partition.read().toArray()).toHaveLength(partition.durableLsn);
      expect(readable).toBeGreaterThan(0);
      await until(() => disk.of('allocate', /^ready/).length > before + 2); // tried again, more than once
      expect(episode.pressures).toHaveLength(1);
      expect(episode.pressures[0]).toMatchObject({ freeBytes: expect.any(Number), cause: { code } });
      lift();
      const results = await within(Promise.all([...waiting, small]), 'appends that waited for space');
      expect(results.map(({ lsn }) => lsn)).toEqual(Array.from({ length: 21 }, (_, i) => i + 2));
      await until(() => episode.restored.length > 0);
      expect(episode.restored).toHaveLength(1);
      expect(log.stats().space).toBe('ok');
      expect(await partition.read().toArray()).toHaveLength(22);

      // A second episode is announced again.
      disk.fail('allocate', /^ready/, code);
      void Promise.allSettled(Array.from({ length: 20 }, (_, i) => partition.append(payloadOf(i, 900))));
      await until(() => episode.pressures.length === 2);
    });
  });

  /** A partition whose active segment is full, and no space for another one. */
  async function blocked(options: Partial<Parameters<typeof openTestLog>[0]> = {}) {
    const disk = faultyDisk();
    const directory = temporaryDirectory();
    const log = await openTestLog({
      directory,
      disk,
      segmentSize: 8 * KIB,
      preallocate: { segments: 0 },
      ...options,
    });
    const episode = watch(log);
    const partition = await log.partition(1);
    await partition.append(payloadOf('0', 900));
    await partition.rotate();
    // A file that is used again has its space already.
    const used = ({ file }: Operation) => disk.of('rename', /^recycle/).some(({ to }) => to === file);
    const lift = disk.fail('allocate', /^ready/, 'ENOSPC', { when: (operation) => !used(operation) });
    return { disk, directory, log, episode, partition, lift };
  }

  test("the hook purges: appends go on without another hand's turn", async () => {
    let partition: Partition | undefined;
    let calls = 0;
    const hooks: SpacePressure[] = [];
    const setup = await blocked({
      onSpacePressure: async (pressure) => {
        hooks.push(pressure);
        calls++;
        if (calls === 1) await partition?.purgeBefore(partition.durableLsn + 1);
      },
    });
    partition = setup.partition;
    const appends = Array.from({ length: 6 }, (_, i) => setup.partition.append(payloadOf(i, 900)));
    // The files of the purged segments are used again: no allocation succeeds meanwhile.
    await within(Promise.all(appends), 'appends');
    expect(calls).toBeGreaterThan(0); // making another one ahead of need may be the next episode
    expect(hooks[0]).toMatchObject({ cause: { code: 'ENOSPC' } });
    expect(setup.partition.oldestLsn).toBeGreaterThan(1);
    expect(setup.log.stats().reused).toBe(1);
    await until(() => setup.episode.restored.length > 0);
  });

  test("whenFull 'refuse': ERR_VARVE_NO_SPACE for what needs a segment, and for nothing else", async () => {
    const { partition, lift, log } = await blocked({ whenFull: 'refuse' });
    await partition.append(payloadOf('half', 2000));
    await expect(partition.append(payloadOf('x', 2000))).rejects.toMatchObject({
      code: 'ERR_VARVE_NO_SPACE',
      partition: 1,
    });
    expect(await codeOf(partition.append(payloadOf('x', 2000)))).toBe('ERR_VARVE_NO_SPACE');
    expect(() => partition.write(payloadOf('x', 2000))).toThrow(
      expect.objectContaining({ code: 'ERR_VARVE_NO_SPACE' }),
    );
    expect((await partition.append(bytesOf('fits'))).lsn).toBe(3);
    lift();
    await until(() => log.stats().space === 'ok' && (partition.state as { log: string }).log === 'writing');
    await within(partition.append(payloadOf('y', 2000)), 'an append after space has returned');
    expect(await partition.read().toArray()).toHaveLength(4);
  });

  test('the queue of those that wait is bounded', async () => {
    const { partition, lift } = await blocked({ maxQueuedAppends: 2 });
    await fill(partition);
    const waiting = [partition.append(payloadOf('a', 900)), partition.append(payloadOf('b', 900))];
    await until(() => (partition.state as { log: string }).log === 'blocked');
    expect(await codeOf(partition.append(payloadOf('c', 900)))).toBe('ERR_VARVE_NO_SPACE');
    lift();
    await within(Promise.all(waiting), 'appends');
  });

  test('closing while appends wait for space: they are refused, and close comes to its end', async () => {
    const { partition, log, directory } = await blocked();
    await fill(partition);
    const waiting = codeOf(partition.append(payloadOf('a', 900)));
    await until(() => (partition.state as { log: string }).log === 'blocked');
    await within(log.close(), 'close');
    expect(await waiting).toBe('ERR_VARVE_CLOSED');
    const again = await (await openTestLog({ directory })).partition(1);
    expect(again.durableLsn).toBe(5);
  });

  test('closing while a write waits for space: it had its LSN, so its loss is told', async () => {
    const { partition, log, directory } = await blocked();
    await fill(partition);
    expect(partition.write(payloadOf('a', 900))).toBe(6);
    await until(() => (partition.state as { log: string }).log === 'blocked');
    expect(await codeOf(within(log.close(), 'close'))).not.toBe('resolved');
    expect(heldIn(directory) ?? []).toEqual([]);
  });

  test.each(['ENOSPC', 'EIO'])('closing while a segment is being made, which then fails with %s', async (code) => {
    const { partition, log, disk, directory, lift } = await blocked();
    lift();
    await turns();
    await partition.append(payloadOf('a', 100));
    const allocating = disk.hold('allocate', /^ready/);
    disk.fail('allocate', /^ready/, code);
    const appends = Array.from({ length: 6 }, (_, i) => codeOf(partition.append(payloadOf(i, 900))));
    await allocating.reached;
    const closing = codeOf(log.close());
    await turns();
    allocating.release();
    await within(closing, 'close');
    for (const append of appends) expect(await settles(append)).toBe(true);
    expect(heldIn(directory) ?? []).toEqual([]);
  });

  test('an EIO from fallocate is no lack of space: who needs the segment fails', async () => {
    const { partition, disk, episode, lift } = await blocked();
    lift();
    disk.fail('allocate', /^ready/, 'EIO');
    await expect(
      Promise.all(Array.from({ length: 6 }, (_, i) => partition.append(payloadOf(i, 900)))),
    ).rejects.toMatchObject({ code: 'ERR_VARVE_PARTITION_FAILED', cause: { code: 'EIO' } });
    expect(episode.pressures).toEqual([]);
  });

  describe("a hand-over that meets it, where nothing is reserved (mode 'none')", () => {
    const open = async (whenFull: 'wait' | 'refuse' = 'wait') => {
      const disk = faultyDisk();
      const directory = temporaryDirectory();
      const log = await openTestLog({
        directory,
        disk,
        io: 'write',
        segmentSize: 8 * KIB,
        preallocate: { segments: 1, mode: 'none' },
        whenFull,
      });
      return { disk, directory, log, partition: await log.partition(1), episode: watch(log) };
    };
    /** What a new process finds. */
    const found = async (directory: string) => {
      const copy = path.join(temporaryDirectory(), 'copy');
      cpSync(directory, copy, { recursive: true });
      return (await openTestLog({ directory: copy, io: 'write' })).partition(1);
    };

    test('the frame is kept, and written when there is space', async () => {
      const { disk, directory, partition, episode, log } = await open();
      await partition.append(bytesOf('a'));
      const lift = disk.fail('write', FIRST_SEGMENT, 'ENOSPC');
      const appends = [partition.append(bytesOf('b')), partition.append(bytesOf('c'), { ack: 'written' })];
      await until(() => episode.pressures.length === 1);
      expect(await settles(Promise.race(appends), 100)).toBe(false);
      const more = partition.append(bytesOf('d'));
      expect(await payloads(partition)).toEqual(['a']);
      lift();
      await within(Promise.all([...appends, more]), 'appends');
      expect(await payloads(partition)).toEqual(['a', 'b', 'c', 'd']);
      await until(() => episode.restored.length === 1);
      expect(log.stats().space).toBe('ok');
      expect(await payloads(await found(directory))).toEqual(['a', 'b', 'c', 'd']);
    });

    test.each(['wait', 'refuse'] as const)("the seal meets it, whenFull: '%s'", async (whenFull) => {
      const { disk, directory, partition } = await open(whenFull);
      await fill(partition);
      const sealAt = partition.segments()[0]?.bytes;
      disk.fail('write', FIRST_SEGMENT, 'ENOSPC', { times: 1, when: ({ offset }) => offset === sealAt });
      const next = codeOf(partition.append(payloadOf('next', 900)));
      await within(next, 'the append that rotates');
      await until(() => (partition.state as { log: string }).log === 'writing');
      // Nothing may go in behind a final seal, however well it would fit.
      const { lsn } = await within(partition.append(bytesOf('small')), 'an append');
      const copy = await found(directory);
      expect(copy.durableLsn).toBe(lsn);
      expect(text((await copy.read({ from: lsn }).toArray())[0]?.payload ?? bytesOf(''))).toBe('small');
    });

    test('the open frame meets it', async () => {
      const { disk, directory, partition } = await open();
      await partition.append(bytesOf('a'));
      disk.fail('write', SECOND_SEGMENT, 'ENOSPC', { times: 2, when: ({ offset }) => offset === OPEN_FRAME });
      const rotated = partition.rotate();
      const append = partition.append(bytesOf('b'));
      await within(Promise.all([rotated, append]), 'rotation and append');
      expect(await payloads(await found(directory))).toEqual(['a', 'b']);
    });

    test('the header of the next segment meets it', async () => {
      const { disk, directory, partition } = await open();
      await partition.append(bytesOf('a'));
      await turns();
      disk.fail('write', /^ready/, 'ENOSPC', { times: 1 });
      const appends = Array.from({ length: 6 }, (_, i) => partition.append(payloadOf(i, 900)));
      await within(Promise.all(appends), 'appends');
      expect((await found(directory)).durableLsn).toBe(7);
    });

    test('what cannot be written at close makes the close fail', async () => {
      const { disk, partition, log } = await open();
      await partition.append(bytesOf('a'));
      partition.write(bytesOf('b'));
      disk.fail('write', FIRST_SEGMENT, 'ENOSPC');
      expect(await codeOf(within(log.close(), 'close'))).toBe('ERR_VARVE_PARTITION_FAILED');
    });

    test('an EIO is no lack of space', async () => {
      const { disk, partition } = await open();
      await partition.append(bytesOf('a'));
      disk.fail('write', FIRST_SEGMENT, 'EIO', { times: 1 });
      expect(await codeOf(partition.append(bytesOf('b')))).toBe('ERR_VARVE_PARTITION_FAILED');
    });
  });
});

describe('a disk that is really full', () => {
  const mounted = (size: string) => ['-Urm', 'sh', '-c', `mount -t tmpfs -o size=${size} tmpfs "$0" && exec "$@"`];
  const permitted =
    spawnSync('unshare', [...mounted('64k'), temporaryDirectory(), 'true'], { stdio: 'ignore' }).status === 0;
  if (!permitted) console.warn('skipped: no user namespace in which a tmpfs could be mounted (unshare -Urm)');
  const testMounted = permitted ? test : test.skip;
  const child = fileURLToPath(new URL('full-disk-child.js', import.meta.url));

  testMounted.each(
    ios.flatMap((io) =>
      (io === 'mmap' ? ['allocate', 'zero'] : ['allocate', 'zero', 'keep-size', 'none']).map((mode) => [io, mode]),
    ),
  )("no signal, no loss, and on again when space is freed: io '%s', mode '%s'", (io, mode) => {
    const place = path.join(temporaryDirectory(), 'mount');
    mkdirSync(place);
    const args = [...mounted('420k'), place, process.execPath, child, place, io as string, mode as string];
    const { status, signal, stdout, stderr } = spawnSync('unshare', args, {
      encoding: 'utf8',
      timeout: 30_000,
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
    const seen = JSON.parse(stdout);
    // Once an episode, of which there may be more than one: what is removed on the way gives a little space back.
    expect(seen.pressures).toBeGreaterThan(0);
    expect(seen.pressures).toBeLessThan(5);
    expect(seen.restored).toBeGreaterThan(0);
    expect(seen).toMatchObject({
      io,
      blocked: true,
      readWhileFull: true,
      resumed: true,
      complete: true,
      verified: true,
    });
    expect(readdirSync(place)).toEqual([]); // it was mounted in the child's namespace only
  });
});
