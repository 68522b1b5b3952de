/**
 * Orders in which operations can come that are legal, rare, or wrong; and the rules that every user of a log relies on,
 * one by one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, test } from '@jest/globals';
import { config, firstValueFrom, take, toArray } from 'rxjs';
import { type LogRecord, type OpenLogOptions, openLog, type Partition } from 'varve';
import { maxBodySize } from '../../src/segment/writer.js';
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

const KIB = 1024;
const ios = await backEnds();

async function open(options: Partial<OpenLogOptions> = {}) {
  const disk = faultyDisk();
  const directory = temporaryDirectory();
  const log = await openTestLog({ directory, disk, segmentSize: 8 * KIB, ...options });
  return { disk, directory, log, partition: await log.partition(1) };
}

/** Appends the texts, each group in a segment of its own; the last group's segment stays active. */
async function layOut(partition: Partition, ...groups: string[][]): Promise<void> {
  for (const [i, group] of groups.entries()) {
    for (const one of group) await partition.append(bytesOf(one));
    if (i < groups.length - 1) await partition.rotate();
  }
}

const texts = (records: readonly LogRecord[]) => records.map(({ payload }) => text(payload));
const all = async (partition: Partition) => texts(await partition.read().toArray());
const lsns = (records: readonly LogRecord[]) => records.map(({ lsn }) => lsn);
const files = (directory: string) => readdirSync(directory).filter((name) => name.startsWith('part_'));
const reopened = async (directory: string) => (await openTestLog({ directory })).partition(1);

/** Another process, with the built package: `openLog`, and `directory` as process.argv[1]. */
class Child {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(code: string, directory: string) {
    const built = JSON.stringify(new URL('../../dist/index.js', import.meta.url).href);
    const whole = `import { openLog } from ${built};\n${code}`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', whole, directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    this.#process = child;
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  async line(): Promise<string | undefined> {
    return (await this.#lines.next()).value;
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }
}

describe('closing', () => {
  test.each(ios)("what was taken before the close is kept, what comes after it is refused, io: '%s'", async (io) => {
    const { log, partition, directory } = await open({ io });
    const before = [partition.append(bytesOf('a')), partition.append(bytesOf('b'), { ack: 'written' })];
    partition.write(bytesOf('c'));
    const closing = log.close();
    const after = [
      partition.append(bytesOf('x')),
      partition.appendBatch([bytesOf('x')]),
      partition.sync(),
      partition.rotate(),
      partition.purgeBefore(1),
      partition.truncateAfter(0),
    ].map(codeOf);
    expect(() => partition.write(bytesOf('x'))).toThrow(expect.objectContaining({ code: 'ERR_VARVE_CLOSED' }));
    expect(new Set(await Promise.all(after))).toEqual(new Set(['ERR_VARVE_CLOSED']));
    expect((await Promise.all(before)).map(({ lsn }) => lsn)).toEqual([1, 2]);
    await closing;
    expect(await codeOf(partition.read().toArray())).toBe('ERR_VARVE_CLOSED');
    expect(await codeOf(log.partition(1))).toBe('ERR_VARVE_CLOSED');
    expect(await codeOf(log.partition(2))).toBe('ERR_VARVE_CLOSED');
    expect(await all(await reopened(directory))).toEqual(['a', 'b', 'c']);
  });

  test('writes that wait for the next segment are kept: they have their LSNs', async () => {
    const { log, partition, directory, disk } = await open();
    await partition.append(payloadOf(0, 900));
    const allocating = disk.hold('allocate', /^ready/);
    const given = Array.from({ length: 12 }, (_, i) => partition.write(payloadOf(i + 1, 900)));
    expect(given).toEqual(Array.from({ length: 12 }, (_, i) => i + 2));
    const closing = log.close();
    await settles(allocating.reached, 20);
    allocating.release();
    await within(closing, 'close');
    const records = await (await reopened(directory)).read().toArray();
    expect(lsns(records)).toEqual(Array.from({ length: 13 }, (_, i) => i + 1));
    records.forEach(({ payload }, i) => {
      expect(Buffer.compare(payload, payloadOf(i, 900))).toBe(0);
    });
  });

  test('during a sync: it is waited for', async () => {
    const { log, partition, disk, directory } = await open();
    await partition.append(bytesOf('a'));
    const sync = disk.hold('sync', /^part_1/);
    const append = partition.append(bytesOf('b'));
    await sync.reached;
    const closing = log.close();
    expect(await settles(closing, 20)).toBe(false);
    sync.release();
    await within(Promise.all([append, closing]), 'append and close');
    expect(await all(await reopened(directory))).toEqual(['a', 'b']);
  });

  test('twice: both come to the same end, and again later', async () => {
    const { log, directory } = await open();
    await Promise.all([log.close(), log.close()]);
    await log.close();
    await log[Symbol.asyncDispose]();
    expect(heldIn(directory) ?? []).toEqual([]);
  });

  test.each(['rename', 'syncDirectory'] as const)('during a rotation that waits for its %s', async (kind) => {
    const { log, partition, disk, directory } = await open();
    await partition.append(bytesOf('a'));
    const gate = disk.hold(kind, kind === 'rename' ? /^ready/ : /./);
    const rotating = codeOf(partition.rotate());
    await gate.reached;
    const append = partition.append(bytesOf('b'));
    const closing = log.close();
    await turns();
    gate.release();
    await within(Promise.all([append, closing]), 'append and close');
    expect(['resolved', 'ERR_VARVE_CLOSED']).toContain(await rotating);
    expect(heldIn(directory) ?? []).toEqual([]);
    expect(await all(await reopened(directory))).toEqual(['a', 'b']);
  });

  test.each(['list', 'read', 'write', 'sync', 'unlink'] as const)(
    'during a truncation that waits for its %s',
    async (kind) => {
      const { log, partition, disk, directory } = await open();
      await layOut(partition, ['a', 'b', 'c'], ['d']);
      await turns();
      const gate = disk.hold(kind, kind === 'list' ? /./ : /^part_1|^rewind/);
      const truncating = codeOf(partition.truncateAfter(2));
      await settles(gate.reached, 20);
      const append = codeOf(partition.append(bytesOf('x')));
      const closing = log.close();
      await turns();
      gate.release();
      await within(closing, 'close');
      const outcome = await truncating;
      expect(['resolved', 'ERR_VARVE_CLOSED']).toContain(outcome);
      const kept = outcome === 'resolved' ? ['a', 'b'] : ['a', 'b', 'c', 'd'];
      const expected = (await append) === 'resolved' ? [...kept, 'x'] : kept;
      expect(heldIn(directory) ?? []).toEqual([]);
      expect(await all(await reopened(directory))).toEqual(expected);
    },
  );

  test('with open iterators and followers: reading ends, nothing is left open', async () => {
    const directory = temporaryDirectory();
    const log = await openTestLog({ directory, segmentSize: 1024 * KIB });
    const partition = await log.partition(1);
    for (let i = 0; i < 300; i++) partition.write(payloadOf(i, 2000)); // more than one window
    await partition.sync();
    const batches = partition.read().batches();
    await batches.next();
    const backward = partition.read({ direction: 'backward' }).batches();
    await backward.next();
    const following = partition.follow({ from: 300 });
    const ended = (async () => {
      for await (const _record of following);
      return 'ended';
    })();
    await until(() => following.caughtUp);
    const verifying = codeOf(partition.verify());
    await within(log.close(), 'close');
    expect(await within(ended, 'the follower')).toBe('ended');
    expect(await codeOf(batches.next())).toBe('ERR_VARVE_CLOSED');
    expect(await codeOf(backward.next())).toBe('ERR_VARVE_CLOSED');
    await verifying;
    await turns();
    expect(heldIn(directory) ?? []).toEqual([]);
  });

  test('while a partition is being opened: it is closed too', async () => {
    const directory = temporaryDirectory();
    const first = await openLog({ directory });
    await (await first.partition(1)).append(bytesOf('a'));
    await first.close();
    const disk = faultyDisk();
    const log = await openTestLog({ directory, disk });
    const reading = disk.hold('open', /^part_1/);
    const opening = log.partition(1);
    await reading.reached;
    const closing = log.close();
    await turns();
    reading.release();
    await within(closing, 'close');
    await opening;
    expect(heldIn(directory) ?? []).toEqual([]);
  });
});

describe('purging', () => {
  test('only whole sealed segments below minLsn, a prefix; never the active one; LSNs are not used again', async () => {
    const { log, partition, directory } = await open({ recycle: 0 });
    await layOut(partition, ['a', 'b'], ['c', 'd'], ['e', 'f']);
    expect(await partition.purgeBefore(2)).toMatchObject({ segments: 0, bytes: 0, oldestLsn: 1 });
    expect(await partition.purgeBefore(4)).toEqual({ segments: 1, bytes: 8 * KIB, oldestLsn: 3 });
    expect(files(directory)).toEqual(['part_1_0000000002.wal', 'part_1_0000000003.wal']);
    expect(await partition.purgeBefore(1000)).toMatchObject({ segments: 1, oldestLsn: 5 });
    expect(await partition.purgeBefore(1000)).toMatchObject({ segments: 0, oldestLsn: 5 });
    await expect(partition.read({ from: 4 }).toArray()).rejects.toMatchObject({
      code: 'ERR_VARVE_LSN_PURGED',
      requested: 4,
      oldest: 5,
    });
    await expect(partition.read({ from: { segmentIndex: 1, localOffset: 4168 } }).toArray()).rejects.toMatchObject({
      code: 'ERR_VARVE_LSN_PURGED',
      oldest: 5,
    });
    await expect(partition.truncateAfter(2)).rejects.toMatchObject({ code: 'ERR_VARVE_LSN_PURGED' });
    await partition.truncateAfter(4); // everything that is left
    await log.close();
    const again = await reopened(directory);
    expect([again.oldestLsn, again.durableLsn]).toEqual([5, 4]);
    expect((await again.append(bytesOf('E'))).lsn).toBe(5);
  });

  test.each([
    ['rename', /^ready/],
    ['syncDirectory', /./],
    ['sync', /^part_1_0000000001/],
  ] as const)('during a rotation that waits for its %s: what a crash leaves can be opened', async (kind, file) => {
    const { partition, disk, directory } = await open();
    await partition.append(bytesOf('a'));
    const gate = disk.hold(kind, file);
    const rotated = partition.rotate();
    await gate.reached;
    await turns();
    const purging = partition.purgeBefore(1000);
    await settles(purging, 20);
    // The process dies here: what it has handed over is what the next one finds.
    const copy = path.join(temporaryDirectory(), 'copy');
    cpSync(directory, copy, { recursive: true });
    gate.release();
    await within(Promise.all([rotated, purging]), 'rotation and purge');
    const dead = await reopened(copy);
    expect(dead.durableLsn).toBe(1);
    expect((await dead.append(bytesOf('b'))).lsn).toBe(2);
    expect((await partition.append(bytesOf('b'))).lsn).toBe(2);
    expect(await all(partition)).toContain('b');
  });

  test('a segment that a reader is inside of stays, and so does what is behind it', async () => {
    const { partition } = await open();
    await layOut(partition, ['a', 'b'], ['c', 'd'], ['e']);
    const reading = partition.read({ from: 3 })[Symbol.asyncIterator]();
    expect((await reading.next()).value).toMatchObject({ lsn: 3 });
    expect(await partition.purgeBefore(1000)).toMatchObject({ segments: 1, oldestLsn: 3 });
    const { value } = await reading.next();
    expect(text((value as LogRecord).payload)).toBe('d');
    await reading.return(undefined);
    expect(await partition.purgeBefore(1000)).toMatchObject({ segments: 1, oldestLsn: 5 });
  });

  test('a payload stays as it was read, whatever becomes of its segment', async () => {
    const { partition, log } = await open({ recycle: 4 });
    await layOut(partition, ['keep me'], ['x'], ['y']);
    const [record] = await partition.read({ limit: 1 }).toArray();
    await partition.purgeBefore(3);
    for (let i = 0; i < 4; i++) {
      await partition.append(payloadOf(i, 3000));
      await partition.rotate();
    }
    expect(log.stats().reused).toBeGreaterThan(0);
    await log.close();
    expect(text((record as LogRecord).payload)).toBe('keep me');
  });

  test('an abandoned iterator holds back its segment, and nothing else', async () => {
    const { partition, log, directory } = await open();
    await layOut(partition, ['a', 'b'], ['c'], ['d']);
    const abandoned = partition.read()[Symbol.asyncIterator]();
    await abandoned.next();
    expect(await partition.purgeBefore(1000)).toMatchObject({ segments: 0 });
    await partition.append(bytesOf('e'));
    await partition.truncateAfter(2);
    await partition.append(bytesOf('C'));
    await within(log.close(), 'close');
    expect(heldIn(directory) ?? []).toEqual([]);
    expect(await all(await reopened(directory))).toEqual(['a', 'b', 'C']);
  });

  test('purged files are used again, and counted', async () => {
    const { partition, log, directory } = await open({ recycle: 2, preallocate: { segments: 0 } });
    await layOut(partition, ['a'], ['b'], ['c'], ['d']);
    await partition.purgeBefore(4);
    expect(log.stats().segments).toMatchObject({ recycled: 2 }); // and the third is gone
    expect(readdirSync(directory).filter((name) => name.startsWith('recycle_'))).toHaveLength(2);
    await partition.rotate();
    await until(() => log.stats().reused === 1); // at once, or for the segment after this one
    expect(log.stats()).toMatchObject({ reused: 1, segments: { recycled: 1 } });
    expect(partition.stats()).toMatchObject({ reused: 1, purged: 3, rotations: 5 });
    await partition.append(bytesOf('e'));
    await log.close();
    const again = await openTestLog({ directory, preallocate: { segments: 0 }, segmentSize: 8 * KIB });
    expect(again.stats().segments.recycled).toBeGreaterThan(0);
    expect(await all(await again.partition(1))).toEqual(['d', 'e']);
  });
});

describe('truncating', () => {
  test.each(ios)("appends that come meanwhile wait, and get the LSNs behind the cut, io: '%s'", async (io) => {
    const { partition, log, directory } = await open({ io });
    await layOut(partition, ['a', 'b', 'c'], ['d', 'e']);
    const truncating = partition.truncateAfter(2);
    await turns(1);
    const appends = [partition.append(bytesOf('x')), partition.append(bytesOf('y'), { ack: 'written' })];
    await truncating;
    expect((await Promise.all(appends)).map(({ lsn }) => lsn)).toEqual([3, 4]);
    expect(await all(partition)).toEqual(['a', 'b', 'x', 'y']);
    await partition.verify();
    await log.close();
    expect(await all(await reopened(directory))).toEqual(['a', 'b', 'x', 'y']);
  });

  test('a frame that is cut in two keeps the records before the cut', async () => {
    const { partition } = await open();
    await partition.appendBatch(['a', 'b', 'c', 'd'].map(bytesOf));
    await partition.truncateAfter(2);
    expect(await all(partition)).toEqual(['a', 'b']);
    await partition.truncateAfter(0);
    expect(await all(partition)).toEqual([]);
    expect((await partition.append(bytesOf('A'))).lsn).toBe(1);
  });

  test.each(['read', 'list', 'unlink', 'sync'] as const)(
    'beside a rotation, a purge and a sync (its %s is slow)',
    async (kind) => {
      const { partition, disk, log, directory } = await open();
      await layOut(partition, ['a', 'b', 'c'], ['d'], ['e']);
      await turns();
      const gate = disk.hold(kind, kind === 'list' ? /./ : /^part_1|^rewind/);
      const truncating = codeOf(partition.truncateAfter(2));
      await settles(gate.reached, 20);
      const others = [codeOf(partition.rotate()), codeOf(partition.sync())];
      const purging = partition.purgeBefore(2);
      await turns();
      gate.release();
      expect(await within(truncating, 'truncation')).toBe('resolved');
      for (const other of others) expect(await within(other, 'rotation or sync')).toBe('resolved');
      await within(purging, 'purge');
      expect(partition.durableLsn).toBe(2);
      expect((await partition.append(bytesOf('x'))).lsn).toBe(3);
      expect(await all(partition)).toEqual(['a', 'b', 'x']);
      await log.close();
      expect(await all(await reopened(directory))).toEqual(['a', 'b', 'x']);
    },
  );

  test('a purge of what a truncation is about to cut: either comes first, neither breaks the partition', async () => {
    const { partition, disk, log, directory } = await open();
    await layOut(partition, ['a', 'b', 'c'], ['d'], ['e']);
    await turns();
    const reading = disk.hold('read', /^part_1/);
    const truncating = codeOf(partition.truncateAfter(2));
    await settles(reading.reached, 20);
    const purging = partition.purgeBefore(5);
    await settles(purging, 20);
    reading.release();
    const outcome = await within(truncating, 'truncation');
    expect(['resolved', 'ERR_VARVE_LSN_PURGED']).toContain(outcome);
    await within(purging, 'purge');
    const expected = outcome === 'resolved' ? ['a', 'b', 'x'] : ['e', 'x'];
    await partition.append(bytesOf('x'));
    expect(await all(partition)).toEqual(expected);
    await log.close();
    expect(await all(await reopened(directory))).toEqual(expected);
  });

  test('a write that waits for a segment has its LSN: it goes first', async () => {
    const { partition, disk } = await open();
    await layOut(partition, ['a', 'b']);
    const allocating = disk.hold('allocate', /^ready/);
    const given = Array.from({ length: 8 }, (_, i) => partition.write(payloadOf(i, 900)));
    const truncating = partition.truncateAfter(4);
    await settles(allocating.reached, 20);
    allocating.release();
    await within(truncating, 'truncation');
    expect(given.at(-1)).toBe(10);
    const records = await partition.read().toArray();
    expect(lsns(records)).toEqual([1, 2, 3, 4]);
    expect(Buffer.compare((records[3] as LogRecord).payload, payloadOf(1, 900))).toBe(0);
  });

  test('a file that a reader was opening is not taken for the one that bears its name later', async () => {
    const { partition, disk } = await open({ recycle: 0 });
    await layOut(partition, ['a'], ['b'], ['c']);
    const opening = disk.hold('open', /^part_1_0000000003/);
    const reading = codeOf(partition.read({ from: 3 }).toArray());
    await opening.reached;
    const removing = disk.hold('unlink', /^part_1/);
    const truncating = partition.truncateAfter(1);
    await settles(removing.reached, 20);
    opening.release();
    await turns();
    removing.release();
    await within(truncating, 'truncation');
    expect(['resolved', 'ERR_VARVE_LSN_OUT_OF_RANGE']).toContain(await within(reading, 'the reader'));
    await layOut(partition, ['B'], ['C'], ['D']);
    expect(await all(partition)).toEqual(['a', 'B', 'C', 'D']);
    await partition.verify();
  });

  test('a verification that it overtakes sees what is left, and no damage', async () => {
    const { partition, disk } = await open({ recycle: 0 });
    await layOut(partition, ['a', 'b'], ['c'], ['d']);
    await turns();
    const opening = disk.hold('open', /^part_1_0000000002/);
    const verifying = partition.verify();
    await opening.reached;
    const removing = disk.hold('unlink', /^rewind/); // the segments behind the cut are gone by then
    const truncating = partition.truncateAfter(1);
    await settles(removing.reached, 50);
    opening.release();
    await turns(50);
    removing.release();
    await within(truncating, 'truncation');
    await within(verifying, 'verification');
    expect(await partition.verify()).toMatchObject({ segments: 1, records: 1 });
  });

  test('a reader that is inside the tail sees the old records or the new ones, and no damage', async () => {
    const { partition } = await open();
    await layOut(partition, ['a', 'b', 'c', 'd']);
    const reading = partition.read()[Symbol.asyncIterator]();
    expect((await reading.next()).value).toMatchObject({ lsn: 1 });
    await partition.truncateAfter(1);
    await partition.append(bytesOf('B'));
    const rest: string[] = [];
    const outcome = await codeOf(
      (async () => {
        for (let next = await reading.next(); !next.done; next = await reading.next())
          rest.push(text(next.value.payload));
      })(),
    );
    expect(['resolved', 'ERR_VARVE_LSN_OUT_OF_RANGE']).toContain(outcome);
    expect(await all(partition)).toEqual(['a', 'B']);
  });
});

describe('rotating', () => {
  test('by size, under the names part_{partition}_{index}, with LSNs that go on', async () => {
    const { partition, directory } = await open();
    const results = [];
    for (let i = 0; i < 10; i++) results.push(await partition.append(payloadOf(i, 900)));
    expect(results.map(({ lsn }) => lsn)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(results.map(({ position }) => position.segmentIndex)).toEqual([1, 1, 1, 1, 2, 2, 2, 2, 3, 3]);
    expect(files(directory)).toEqual(['part_1_0000000001.wal', 'part_1_0000000002.wal', 'part_1_0000000003.wal']);
    for (const name of files(directory)) {
      const bytes = readFileSync(path.join(directory, name));
      expect(bytes.length).toBe(8 * KIB);
      expect(bytes.subarray(0, 4).toString()).toBe('WLOG');
    }
    expect(partition.segments().map(({ state, firstLsn, lastLsn }) => [state, firstLsn, lastLsn])).toEqual([
      ['sealed', 1, 4],
      ['sealed', 5, 8],
      ['active', 9, 10],
    ]);
  });

  test('going on at the highest index, with the right LSN', async () => {
    const { partition, log, directory } = await open();
    await layOut(partition, ['a'], ['b'], ['c']);
    await log.close();
    const again = await reopened(directory);
    expect(await again.append(bytesOf('d'))).toMatchObject({ lsn: 4, position: { segmentIndex: 3 } });
  });

  test('while a rotation is under way: what is in the new segment is sealed and durable, too', async () => {
    const { partition, disk } = await open();
    await partition.append(bytesOf('a'));
    const naming = disk.hold('rename', /^ready/);
    const first = partition.rotate();
    await naming.reached;
    expect(partition.write(bytesOf('b'))).toBe(2);
    const second = partition.rotate();
    naming.release();
    await within(Promise.all([first, second]), 'rotations');
    expect(partition.durableLsn).toBe(2);
    expect(partition.segments().at(-1)).toMatchObject({ state: 'active', firstLsn: 3 });
  });

  test('an empty segment is not rotated', async () => {
    const { partition } = await open();
    await partition.rotate();
    await partition.append(bytesOf('a'));
    await partition.rotate();
    await partition.rotate();
    expect(partition.segments()).toHaveLength(2);
  });

  test('the largest record fits a fresh segment; one byte more is refused before anything is touched', async () => {
    const { partition } = await open();
    const largest = maxBodySize(8 * KIB) - 4;
    expect(await partition.append(new Uint8Array(largest).fill(1))).toMatchObject({ lsn: 1 });
    expect(await partition.append(new Uint8Array(largest).fill(2))).toMatchObject({ lsn: 2 });
    await expect(partition.append(new Uint8Array(largest + 1))).rejects.toMatchObject({
      code: 'ERR_VARVE_RECORD_TOO_LARGE',
      size: largest + 5,
      limit: largest + 4,
    });
    expect((await partition.read().toArray()).map(({ payload }) => payload[0])).toEqual([1, 2]);
  });

  test('segments keep their size when the log is opened with another one', async () => {
    const { partition, log, directory } = await open();
    await partition.append(bytesOf('a'));
    await log.close();
    const again = await openTestLog({ directory, segmentSize: 16 * KIB });
    const larger = await again.partition(1);
    await larger.append(payloadOf(1, 10_000));
    expect(larger.segments().map(({ size }) => size)).toEqual([8 * KIB, 16 * KIB]);
    await larger.truncateAfter(1);
    await larger.truncateAfter(0);
    // Even the empty one is left for a record that does not fit it.
    await larger.append(payloadOf(1, 10_000));
    expect(lsns(await larger.read({ direction: 'backward' }).toArray())).toEqual([1]);
    await again.close();
    expect(lsns(await (await reopened(directory)).read().toArray())).toEqual([1]);
  });

  test("mode 'keep-size': blocks are reserved, the size is not set", async () => {
    const { partition, directory, log } = await open({
      io: 'write',
      preallocate: { segments: 1, mode: 'keep-size' },
      segmentSize: 64 * KIB,
    });
    const degraded: unknown[] = [];
    log.events.on('degraded', (event) => degraded.push(event));
    await partition.append(bytesOf('a'));
    await until(() => log.stats().segments.ready === 1);
    if (degraded.length > 0) return; // the file system does not know how
    const ready = readdirSync(directory).filter((name) => name.startsWith('ready_'));
    expect(ready).toHaveLength(1);
    const { size, blocks } = statSync(path.join(directory, ready[0] as string));
    expect(size).toBeLessThan(64 * KIB);
    expect(blocks * 512).toBeGreaterThanOrEqual(64 * KIB);
  });
});

describe('reading', () => {
  test('chained over segments, from the middle, by LSN and by position, both ways', async () => {
    const { partition } = await open();
    await layOut(partition, ['a', 'b', 'c'], ['d', 'e'], ['f', 'g']);
    const [b, e] = (await partition.read().toArray()).filter(({ lsn }) => lsn === 2 || lsn === 5) as [
      LogRecord,
      LogRecord,
    ];
    const read = async (options: Parameters<Partition['read']>[0]) =>
      (await partition.read(options).toArray()).map(({ payload }) => text(payload)).join('');
    expect(await read({ from: 2 })).toBe('bcdefg');
    expect(await read({ from: b.position })).toBe('bcdefg');
    expect(await read({ from: e.position, exclusive: true })).toBe('fg');
    expect(await read({ from: 2, to: 5 })).toBe('bcde');
    expect(await read({ from: e.position, direction: 'backward' })).toBe('edcba');
    expect(await read({ from: 5, direction: 'backward', exclusive: true, limit: 3 })).toBe('dcb');
    expect(await read({ direction: 'backward', to: 6 })).toBe('gf');
    expect(await read({ limit: 0 })).toBe('');
    const nowhere = { segmentIndex: e.position.segmentIndex, localOffset: e.position.localOffset + 1 };
    expect(await codeOf(read({ from: nowhere }))).toBe('ERR_VARVE_LSN_OUT_OF_RANGE');
    expect(await codeOf(read({ from: { segmentIndex: 9, localOffset: 4168 } }))).toBe('ERR_VARVE_LSN_OUT_OF_RANGE');
  });

  test('a signal ends reading, following and waiting with its reason', async () => {
    const { partition } = await open();
    await layOut(partition, ['a', 'b'], ['c']);
    const reason = new Error('enough');
    const aborted = AbortSignal.abort(reason);
    await expect(partition.read({ signal: aborted }).toArray()).rejects.toBe(reason);
    await expect(partition.follow({ signal: aborted }).toArray()).rejects.toBe(reason);
    await expect(partition.waitFor(9, { signal: aborted })).rejects.toBe(reason);
    await expect(partition.verify({ signal: aborted })).rejects.toBe(reason);

    const ending = new AbortController();
    const followed: string[] = [];
    const following = (async () => {
      for await (const { payload } of partition.follow({ signal: ending.signal })) followed.push(text(payload));
    })();
    const waiting = partition.waitFor(9, { signal: ending.signal });
    const iterator = partition.read({ signal: ending.signal })[Symbol.asyncIterator]();
    await iterator.next();
    await until(() => followed.length === 3);
    ending.abort(reason);
    await expect(following).rejects.toBe(reason);
    await expect(waiting).rejects.toBe(reason);
    await iterator.next(); // in hand already
    await expect(iterator.next()).rejects.toBe(reason);
    expect(await partition.purgeBefore(3)).toMatchObject({ segments: 1 }); // nobody holds the segment any more
  });

  test('following: what was there, then what comes, in order; caughtUp and fellBehind', async () => {
    const { partition } = await open({ segmentSize: 64 * KIB });
    await partition.append(bytesOf('0'));
    const following = partition.follow();
    const states: string[] = [];
    following.status$.subscribe((status) => states.push(status));
    const got: number[] = [];
    let pause: Promise<void> | undefined;
    const ending = (async () => {
      for await (const { lsn } of following) {
        got.push(lsn);
        await pause;
      }
    })();
    await until(() => following.caughtUp);
    let goOn: () => void = () => {};
    pause = new Promise((resolve) => {
      goOn = resolve;
    });
    await partition.append(bytesOf('1'));
    await until(() => got.length === 2);
    for (let i = 0; i < 3000; i++) partition.write(bytesOf('x'));
    await partition.sync();
    goOn();
    await until(() => got.length === 3002 && following.caughtUp);
    expect(got).toEqual(Array.from({ length: 3002 }, (_, i) => i + 1));
    expect(states).toEqual(['catchingUp', 'caughtUp', 'fellBehind', 'caughtUp']);
    expect(ending).toBeInstanceOf(Promise);
  });

  test('a follower from a position, exclusive, over a rotation', async () => {
    const { partition } = await open();
    const { position } = await partition.append(bytesOf('a'));
    const seen = firstValueFrom(
      partition.follow({ from: position, exclusive: true }).toObservable().pipe(take(2), toArray()),
    );
    await partition.append(bytesOf('b'));
    await partition.rotate();
    await partition.append(bytesOf('c'));
    expect(texts(await within(seen, 'the follower'))).toEqual(['b', 'c']);
  });
});

describe('watching', () => {
  test('marks begin at the current value, tell each advance once, and end with the log', async () => {
    const { partition, log } = await open();
    await layOut(partition, ['a', 'b'], ['c']);
    await turns();
    const seen: Record<string, unknown[]> = { durable: [], written: [], oldest: [] };
    partition.durableLsn$.subscribe({
      next: (lsn) => seen.durable?.push(lsn),
      complete: () => seen.durable?.push('end'),
    });
    partition.writtenLsn$.subscribe({
      next: (lsn) => seen.written?.push(lsn),
      complete: () => seen.written?.push('end'),
    });
    partition.oldestLsn$.subscribe({ next: (lsn) => seen.oldest?.push(lsn), complete: () => seen.oldest?.push('end') });
    expect(seen).toEqual({ durable: [3], written: [3], oldest: [1] });
    await Promise.all([partition.append(bytesOf('d')), partition.append(bytesOf('e'))]);
    await partition.purgeBefore(3);
    await turns();
    await log.close();
    expect(seen).toEqual({ durable: [3, 5, 'end'], written: [3, 5, 'end'], oldest: [1, 3, 'end'] });
    expect(await firstValueFrom(partition.durableLsn$)).toBe(5);
  });

  test('a subscriber that throws, or appends from inside its callback, harms nothing', async () => {
    const { partition, log } = await open();
    const reported: unknown[] = [];
    const before = config.onUnhandledError;
    config.onUnhandledError = (error) => reported.push(error);
    try {
      partition.durableLsn$.subscribe(() => {
        throw new Error('of the subscriber');
      });
      const inner: Promise<unknown>[] = [];
      const other: number[] = [];
      partition.durableLsn$.subscribe((lsn) => {
        if (lsn > 0 && lsn < 5) inner.push(partition.append(bytesOf(`inner ${lsn}`)));
      });
      partition.durableLsn$.subscribe((lsn) => other.push(lsn));
      await partition.append(bytesOf('outer'));
      await until(() => partition.durableLsn >= 5);
      await Promise.all(inner);
      expect(other.at(-1)).toBe(partition.durableLsn);
      await until(() => reported.length > 0);
      expect(reported[0]).toMatchObject({ message: 'of the subscriber' });
      await log.close();
    } finally {
      config.onUnhandledError = before;
    }
  });

  test('a listener that throws is heard of, and the others and the log go on', async () => {
    const directory = temporaryDirectory();
    // In a process of its own, since Jest takes every uncaught exception for a failed test.
    const child = new Child(
      `const log = await openLog({ directory: process.argv[1], segmentSize: 8192 });
      const uncaught = [];
      process.on('uncaughtException', ({ message }) => uncaught.push(message));
      for (const name of ['synced', 'rotated']) log.events.on(name, () => { throw new Error(name); });
      const partition = await log.partition(1);
      await partition.append(Buffer.from('a'));
      await partition.rotate();
      await partition.append(Buffer.from('b'));
      await log.close();
      console.log(JSON.stringify([...new Set(uncaught)].sort()));`,
      directory,
    );
    expect(JSON.parse((await child.line()) ?? '')).toEqual(['rotated', 'synced']);
    expect(await all(await reopened(directory))).toEqual(['a', 'b']);
  });

  test('waitFor asks for the sync that it needs', async () => {
    const { partition } = await open();
    const lsn = partition.write(bytesOf('a'));
    await within(partition.waitFor(lsn), 'waitFor');
    expect(partition.durableLsn).toBe(lsn);
  });
});

describe('directories', () => {
  test('opened twice: refused, with the owner’s pid; here, and in another process', async () => {
    const { directory, log } = await open();
    await expect(openLog({ directory })).rejects.toMatchObject({ code: 'ERR_VARVE_LOCKED', pid: process.pid });
    await log.close();
    const child = new Child(
      `await openLog({ directory: process.argv[1] });
      console.log('open');
      setInterval(() => {}, 1000);`,
      directory,
    );
    expect(await child.line()).toBe('open');
    await expect(openLog({ directory })).rejects.toMatchObject({ code: 'ERR_VARVE_LOCKED', pid: child.pid });
    await child.kill();
    await openTestLog({ directory }); // a dead owner keeps nothing
  });

  test('a log of another kind is refused, and untouched', async () => {
    for (const name of ['part_1.wal', 'part_1_0000000001.wal']) {
      const directory = temporaryDirectory();
      const file = path.join(directory, name);
      const bytes = payloadOf('an older log', 9000);
      writeFileSync(file, bytes);
      const { mtimeMs } = statSync(file);
      await expect(openLog({ directory })).rejects.toMatchObject({ code: 'ERR_VARVE_LEGACY_WAL', path: file });
      expect(readdirSync(directory)).toEqual([name]);
      expect(Buffer.compare(readFileSync(file), bytes)).toBe(0);
      expect(statSync(file).mtimeMs).toBe(mtimeMs);
    }
  });

  test('of two partitions the damaged one is refused, with its place; the other one works', async () => {
    const { log, directory, partition } = await open();
    await layOut(partition, ['a', 'b'], ['c']);
    await (await log.partition(2)).append(bytesOf('whole'));
    await log.close();
    const file = path.join(directory, 'part_1_0000000002.wal');
    const bytes = readFileSync(file);
    bytes[4096 + 72 + 41] = (bytes[4096 + 72 + 41] as number) ^ 1;
    writeFileSync(file, bytes);
    const again = await openTestLog({ directory });
    await expect(again.partition(1)).rejects.toMatchObject({
      code: 'ERR_VARVE_CORRUPT',
      partition: 1,
      segment: 2,
      offset: 4168,
      firstLsn: 3,
    });
    expect(Buffer.compare(readFileSync(file), bytes)).toBe(0);
    expect(again.partitions()).toEqual([1, 2]);
    expect(await all(await again.partition(2))).toEqual(['whole']);
    await (await again.partition(2)).append(bytesOf('goes on'));
    // Once it is whole again, asking again works.
    bytes[4096 + 72 + 41] = (bytes[4096 + 72 + 41] as number) ^ 1;
    writeFileSync(file, bytes);
    expect(await all(await again.partition(1))).toEqual(['a', 'b', 'c']);
  });

  test('a missing segment is not taken for an end', async () => {
    for (const missing of [2, 3]) {
      const { log, directory, partition } = await open();
      await layOut(partition, ['a'], ['b'], ['c']);
      await partition.purgeBefore(2);
      await log.close();
      unlinkSync(path.join(directory, `part_1_000000000${missing}.wal`));
      const again = await openTestLog({ directory, minDurableLsn: { 1: 3 } });
      await expect(again.partition(1)).rejects.toMatchObject({ code: 'ERR_VARVE_CORRUPT', partition: 1 });
    }
  });

  test('a partition that was never used is empty, costs no file, and begins at LSN 1', async () => {
    const { log, directory } = await open();
    const partition = await log.partition(4_294_967_295);
    expect([partition.oldestLsn, partition.durableLsn, partition.writtenLsn]).toEqual([1, 0, 0]);
    expect(await partition.read().toArray()).toEqual([]);
    expect(await partition.read({ direction: 'backward' }).toArray()).toEqual([]);
    expect(await partition.purgeBefore(10)).toEqual({ segments: 0, bytes: 0, oldestLsn: 1 });
    expect(await partition.sync()).toBe(0);
    await partition.verify();
    await partition.truncateAfter(0);
    expect(files(directory)).toEqual([]);
    await expect(log.partition(4_294_967_296)).rejects.toMatchObject({ code: 'ERR_VARVE_INVALID_OPTION' });
    expect((await partition.append(bytesOf('a'))).lsn).toBe(1);
  });

  test('a thousand partitions, each with a record, share one directory and its spare files', async () => {
    const count = 1000;
    const directory = temporaryDirectory();
    const log = await openTestLog({
      directory,
      segmentSize: 64 * KIB,
      io: 'write',
      preallocate: { segments: 1, mode: 'none' },
    });
    const heap = () => {
      globalThis.gc?.();
      return process.memoryUsage().heapUsed;
    };
    const before = heap();
    const partitions = await Promise.all(Array.from({ length: count }, (_, i) => log.partition(i)));
    const idle = (heap() - before) / count;
    console.info(`idle heap per partition: ${Math.round(idle)} bytes${globalThis.gc ? '' : ' (not collected)'}`);
    expect(readdirSync(directory).filter((name) => name.startsWith('part_'))).toEqual([]);
    await Promise.all(partitions.map((partition, i) => partition.append(bytesOf(`of ${i}`))));
    expect(log.stats()).toMatchObject({ records: count, segments: { active: count } });
    expect(readdirSync(directory).filter((name) => name.startsWith('ready_')).length).toBeLessThanOrEqual(2);
    await within(log.close(), 'close', 50);
    const again = await openTestLog({ directory });
    expect(again.partitions()).toHaveLength(count);
    for (const i of [0, 500, 999]) expect(await all(await again.partition(i))).toEqual([`of ${i}`]);
    expect(await again.partition(7)).toBe(await again.partition(7));
  });
});
