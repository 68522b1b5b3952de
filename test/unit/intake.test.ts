import { beforeEach, describe, expect, test } from '@jest/globals';
import type { DiskFile } from '../../src/disk/disk.js';
import { Intake, type IntakeHost, type IntakeLimits } from '../../src/partition/intake.js';
import { type Appended, type AppendedBatch, type SyncRun, Tail } from '../../src/partition/tail.js';
import { makeEntry } from '../../src/segment/catalogue.js';
import { OPEN_FRAME_SIZE } from '../../src/segment/frame.js';
import { DATA_OFFSET } from '../../src/segment/header.js';
import { WrittenImage } from '../../src/segment/image.js';
import { maxBodySize } from '../../src/segment/writer.js';
import { turns } from '../support/logs.js';

const SEGMENT_SIZE = 8192;

/** A partition that does nothing by itself: what its intake asks for is noted, and done when the test says so. */
class Bench implements IntakeHost {
  readonly partition = 7;
  readonly tail = new Tail(0, 0, () => 0);
  readonly asked: string[] = [];
  readonly outcomes: string[] = [];
  readonly intake: Intake;
  stopped = false;
  closed: Error | undefined;
  closes = 0;
  readonly #segmentSize: number;
  #index = 0;

  constructor(limits: Partial<IntakeLimits> = {}) {
    const defaults = { maxUnsyncedBytes: 1_000_000, maxQueuedAppends: 100, whenFull: 'wait' as const };
    this.intake = new Intake(this, { directory: '/d', segmentSize: SEGMENT_SIZE, ...defaults, ...limits });
    this.#segmentSize = limits.segmentSize ?? SEGMENT_SIZE;
    this.nextSegment();
    this.intake.phase = 'writing';
  }

  refuseClosed(): void {
    if (this.closed !== undefined) throw this.closed;
  }

  closeFrame(): boolean {
    this.closes++;
    this.tail.closeFrame();
    return true;
  }

  frameClosed(): void {}

  askSync(): void {
    this.asked.push('sync');
  }

  full(): void {
    this.asked.push('segment');
  }

  nextSegment(): void {
    const index = ++this.#index;
    const file = { writeSync: () => {} } as unknown as DiskFile;
    const segmentSize = this.#segmentSize;
    const image = new WrittenImage(file, DATA_OFFSET + OPEN_FRAME_SIZE);
    const baseLsn = this.tail.nextLsn;
    const entry = makeEntry({
      partition: 7,
      index,
      baseLsn,
      lastLsn: baseLsn - 1,
      end: 0,
      segmentSize,
      seed: 0,
      sealed: false,
      entries: undefined,
      warm: true,
    });
    this.tail.closeFrame();
    this.tail.begin({ file, image, index, segmentSize, seed: 0, baseLsn, time: 0 }, entry);
    this.tail.publish();
  }

  /** A sync of all that is closed succeeds. */
  synced(): void {
    this.tail.finishSync(this.tail.startSync() as SyncRun);
    this.intake.drain();
  }

  /** What was asked for since the last call. */
  get asks(): string[] {
    return this.asked.splice(0);
  }

  /** Notes how `appending` ends under `name`. */
  note(name: string, appending: Promise<Appended | AppendedBatch>): void {
    appending.then(
      (result) =>
        this.outcomes.push(`${name} ${'lsn' in result ? result.lsn : `${result.firstLsn}-${result.lastLsn}`}`),
      (error) => this.outcomes.push(`${name} ${(error as { code: string }).code}`),
    );
  }

  append(name: string, size = 100): void {
    this.note(name, this.intake.append(new Uint8Array(size), 'durable'));
  }
}

const BIG = 3000; // one fits into a segment, two do not

let bench: Bench;

beforeEach(() => {
  bench = new Bench();
});

const code = (work: () => unknown): string => {
  try {
    work();
    return 'none';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe('a turn', () => {
  test('is one frame, closed once, and one sync is asked for', async () => {
    for (const name of ['a', 'b', 'c']) bench.append(name);
    expect([bench.closes, bench.tail.frames, bench.asks]).toEqual([0, 0, []]);
    await turns();
    expect([bench.closes, bench.tail.frames, bench.asks]).toEqual([1, 1, ['sync']]);
    expect(bench.outcomes).toEqual([]);
    bench.synced();
    await turns();
    expect(bench.outcomes).toEqual(['a 1', 'b 2', 'c 3']);
  });

  test('of records that nobody waits for asks for no sync, and acknowledges what is written', async () => {
    bench.intake.write(new Uint8Array(1));
    bench.note('written', bench.intake.append(new Uint8Array(1), 'written'));
    await turns();
    expect([bench.outcomes, bench.asks]).toEqual([['written 2'], []]);
  });

  test('ends early where its frame grows large', () => {
    bench = new Bench({ segmentSize: 1024 * 1024 });
    for (let i = 0; i < 32; i++) bench.intake.write(new Uint8Array(1024));
    expect(bench.closes).toBe(0);
    for (let i = 0; i < 32; i++) bench.intake.write(new Uint8Array(1024));
    expect([bench.closes, bench.tail.frames]).toEqual([1, 1]);
  });

  test('past half of what may be unsynced asks for a sync', async () => {
    bench = new Bench({ maxUnsyncedBytes: 2000 });
    bench.intake.write(new Uint8Array(900));
    await turns();
    expect(bench.asks).toEqual([]);
    bench.intake.write(new Uint8Array(200));
    await turns();
    expect(bench.asks).toEqual(['sync']);
  });

  test('behind a wish for a sync asks for it, once it is not durable already', async () => {
    bench.intake.write(new Uint8Array(1));
    bench.intake.wantSynced(9);
    expect(bench.intake.wantsSync).toBe(true);
    await turns();
    expect(bench.asks).toEqual(['sync']);
    bench.synced();
    expect(bench.intake.wantsSync).toBe(false);
    bench.intake.wantSynced(1);
    await turns();
    expect(bench.asks).toEqual([]);
  });
});

describe('what does not fit', () => {
  test('waits for a segment, and nothing that comes later overtakes it', async () => {
    bench.append('a', BIG);
    bench.append('b', BIG);
    bench.append('small', 1);
    bench.note('batch', bench.intake.appendBatch([new Uint8Array(1), new Uint8Array(1)], 'durable'));
    expect(bench.intake.write(new Uint8Array(1))).toBe(6);
    expect(bench.intake.needsSegment).toBe(true);
    expect(new Set(bench.asks)).toEqual(new Set(['segment']));
    expect(bench.tail.nextLsn).toBe(2);
    bench.nextSegment();
    bench.intake.drain();
    expect([bench.intake.queue.length, bench.tail.nextLsn]).toEqual([0, 7]);
    await turns();
    bench.synced();
    await turns();
    expect(bench.outcomes).toEqual(['a 1', 'b 2', 'small 3', 'batch 4-5']);
  });

  test.each([
    ['Uint8Array', (size: number) => new Uint8Array(size)],
    ['Buffer', (size: number) => Buffer.alloc(size)],
  ])('is copied while it waits: the owner of a %s may use the bytes again', (_, make) => {
    bench.append('a', BIG);
    const payload = make(BIG).fill(1);
    bench.note('b', bench.intake.append(payload, 'durable'));
    const written = make(8).fill(1);
    bench.intake.write(written);
    const batch = [make(8).fill(1)];
    bench.note('batch', bench.intake.appendBatch(batch, 'durable'));
    for (const bytes of [payload, written, ...batch]) bytes.fill(2);
    for (; bench.intake.queue.length > 0; bench.intake.queue.shift()) {
      expect(new Set(bench.intake.queue.first?.payloads[0])).toEqual(new Set([1]));
    }
  });

  test('a write that waits has its LSN: behind all that stands before it, also when it was taken', () => {
    bench.append('a', BIG);
    bench.append('b', BIG);
    expect(bench.intake.write(new Uint8Array(1))).toBe(3);
    expect(bench.intake.write(new Uint8Array(1))).toBe(4);
    expect(bench.intake.lastLsn).toBe(4);
    bench.append('c', 1);
    expect(bench.intake.lastLsn).toBe(4); // an append that waits has none that anybody knows
    bench.nextSegment();
    bench.intake.drain();
    expect(bench.intake.write(new Uint8Array(1))).toBe(6);
  });

  test('a record that no segment can hold is refused, one byte less is not', () => {
    const limit = maxBodySize(SEGMENT_SIZE) - 4;
    expect(code(() => bench.intake.append(new Uint8Array(limit + 1), 'durable'))).toBe('ERR_VARVE_RECORD_TOO_LARGE');
    expect(code(() => bench.intake.write(new Uint8Array(limit + 1)))).toBe('ERR_VARVE_RECORD_TOO_LARGE');
    const halves = [new Uint8Array(limit / 2), new Uint8Array(limit / 2)];
    expect(code(() => bench.intake.appendBatch(halves, 'durable'))).toBe('ERR_VARVE_RECORD_TOO_LARGE');
    expect(bench.tail.nextLsn).toBe(1);
    expect(bench.intake.queue.length).toBe(0);
    bench.append('largest', limit);
    expect(bench.tail.nextLsn).toBe(2);
  });
});

describe('too much that is not synced', () => {
  beforeEach(() => {
    bench = new Bench({ maxUnsyncedBytes: 1024, maxQueuedAppends: 2 });
    bench.append('first', 800);
  });

  test('makes appends wait, in order, until a sync has made room', async () => {
    bench.append('second', 800);
    bench.append('third', 1);
    expect(bench.asks).toContain('sync');
    expect(bench.tail.nextLsn).toBe(2);
    await turns();
    bench.synced();
    expect(bench.tail.nextLsn).toBe(4);
    await turns();
    bench.synced();
    await turns();
    expect(bench.outcomes).toEqual(['first 1', 'second 2', 'third 3']);
  });

  test('makes writes throw, and gives them no LSN', () => {
    expect(code(() => bench.intake.write(new Uint8Array(800)))).toBe('ERR_VARVE_BACKPRESSURE');
    expect(bench.intake.write(new Uint8Array(1))).toBe(2);
  });

  test('counts what waits, too', () => {
    bench.append('waiting', 400);
    expect(code(() => bench.intake.write(new Uint8Array(1)))).toBe('ERR_VARVE_BACKPRESSURE');
  });

  test('refuses more appends than may wait', () => {
    bench.append('second', 800);
    bench.append('third', 800);
    expect(code(() => bench.intake.append(new Uint8Array(1), 'durable'))).toBe('ERR_VARVE_BACKPRESSURE');
    bench.intake.phase = 'blocked';
    expect(code(() => bench.intake.append(new Uint8Array(1), 'durable'))).toBe('ERR_VARVE_NO_SPACE');
    expect(bench.intake.queue.length).toBe(2);
  });

  test('a single record larger than the limit goes in where nothing else is unsynced', () => {
    const small = new Bench({ maxUnsyncedBytes: 1024 });
    expect(small.intake.write(new Uint8Array(2000))).toBe(1);
    expect(code(() => small.intake.write(new Uint8Array(1)))).toBe('ERR_VARVE_BACKPRESSURE');
  });
});

describe('no space', () => {
  const fillUp = (whenFull: 'wait' | 'refuse') => {
    bench = new Bench({ whenFull });
    bench.append('a', BIG);
    bench.append('b', BIG);
    expect(bench.intake.write(new Uint8Array(1))).toBe(3);
    bench.append('c', BIG);
    bench.append('d', 1);
    bench.intake.phase = 'blocked';
    bench.intake.blocked();
  };

  test('refuses the appends behind the last write, where the option says so; the others keep their LSNs', async () => {
    fillUp('refuse');
    await turns();
    expect(bench.outcomes.sort()).toEqual(['c ERR_VARVE_NO_SPACE', 'd ERR_VARVE_NO_SPACE']);
    expect(code(() => bench.intake.append(new Uint8Array(1), 'durable'))).toBe('ERR_VARVE_NO_SPACE');
    expect(code(() => bench.intake.write(new Uint8Array(1)))).toBe('ERR_VARVE_NO_SPACE');
    expect(bench.intake.lastLsn).toBe(3);
    bench.intake.phase = 'writing';
    bench.nextSegment();
    bench.intake.drain();
    bench.append('e', 1);
    await turns();
    bench.synced();
    await turns();
    expect(bench.outcomes.slice(2)).toEqual(['a 1', 'b 2', 'e 4']);
  });

  test('makes them wait by default, and all go on in order', async () => {
    fillUp('wait');
    await turns();
    expect(bench.outcomes).toEqual([]);
    expect(bench.intake.write(new Uint8Array(1))).toBe(6);
    bench.intake.phase = 'writing';
    bench.nextSegment();
    bench.intake.drain();
    bench.nextSegment();
    bench.intake.drain();
    await turns();
    bench.synced();
    await turns();
    expect(bench.outcomes).toEqual(['a 1', 'b 2', 'c 4', 'd 5']);
  });

  test('does not stop what still fits into the segment that is there', () => {
    bench.append('a', BIG);
    bench.intake.phase = 'blocked';
    bench.append('b', 1);
    expect(bench.tail.nextLsn).toBe(3);
  });
});

describe('phases', () => {
  test.each(['opening', 'rewinding', 'failed', 'closing', 'closed'] as const)('when %s, nothing goes in', (phase) => {
    bench.intake.phase = phase;
    bench.append('a', 1);
    expect([bench.tail.nextLsn, bench.intake.queue.length]).toEqual([1, 1]);
    bench.intake.phase = 'writing';
    bench.intake.drain();
    expect(bench.tail.nextLsn).toBe(2);
  });

  test.each(['writing', 'rotating', 'blocked'] as const)('when %s, what fits goes in', (phase) => {
    bench.intake.phase = phase;
    bench.append('a', 1);
    expect(bench.tail.nextLsn).toBe(2);
  });

  test('during a truncation appends wait and writes throw; nobody is asked for room', () => {
    bench.intake.write(new Uint8Array(1));
    bench.intake.held = true;
    bench.append('a', BIG);
    expect(code(() => bench.intake.write(new Uint8Array(1)))).toBe('ERR_VARVE_BACKPRESSURE');
    expect([bench.tail.nextLsn, bench.asks]).toEqual([2, []]);
    bench.intake.held = false;
    bench.intake.drain();
    expect(bench.tail.nextLsn).toBe(3);
  });

  test('when something is stuck, appends wait, and a rotation is asked for, however much would fit', () => {
    bench.stopped = true;
    bench.append('a', 1);
    expect([bench.tail.nextLsn, bench.asks]).toEqual([1, ['segment']]);
  });

  test('a closed or failed partition refuses what would have to wait', () => {
    bench.closed = Object.assign(new Error('closed'), { code: 'ERR_VARVE_CLOSED' });
    bench.intake.phase = 'closed';
    expect(code(() => bench.intake.append(new Uint8Array(1), 'durable'))).toBe('ERR_VARVE_CLOSED');
    expect(code(() => bench.intake.appendBatch([new Uint8Array(1)], 'durable'))).toBe('ERR_VARVE_CLOSED');
    expect(code(() => bench.intake.write(new Uint8Array(1)))).toBe('ERR_VARVE_CLOSED');
    expect(bench.intake.queue.length).toBe(0);
  });
});

describe('waiting for the queue', () => {
  test('ends at once where it is empty or cannot go on, and else when it is', async () => {
    await bench.intake.whenEmpty();
    bench.append('a', BIG);
    bench.append('b', BIG);
    let empty = false;
    const waiting = bench.intake.whenEmpty().then(() => {
      empty = true;
    });
    await turns();
    expect(empty).toBe(false);
    bench.nextSegment();
    bench.intake.drain();
    await waiting;
    bench.append('c', BIG);
    const blocked = bench.intake.whenEmpty();
    bench.intake.phase = 'blocked';
    bench.intake.blocked();
    await blocked;
    await bench.intake.whenEmpty();
  });

  test('ends when all that waits is rejected', async () => {
    bench.append('a', BIG);
    bench.append('b', BIG);
    const waiting = bench.intake.whenEmpty();
    bench.intake.rejectAll(Object.assign(new Error('closed'), { code: 'ERR_VARVE_CLOSED' }));
    await waiting;
    await turns();
    expect(bench.outcomes).toEqual(['b ERR_VARVE_CLOSED']);
    expect(bench.intake.lastLsn).toBe(1);
  });
});
