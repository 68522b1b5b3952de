/**
 * Random programs over one partition, against an array: whatever the order of appends, rotations, purges, truncations,
 * reads and reopenings, a partition is a dense list of records of which a prefix was given up.
 */

import assert from 'node:assert/strict';
import { test } from '@jest/globals';
import fc from 'fast-check';
import { type Log, type OpenLogOptions, openLog, type Partition, type Position, type ReadOptions } from 'varve';
import { maxBodySize } from '../../src/segment/writer.js';
import { runs } from '../runs.js';
import { backEnds, codeOf, heldIn, payloadOf, temporaryDirectory } from '../support/logs.js';

interface Stored {
  readonly lsn: number;
  readonly payload: Uint8Array;
  /** Known once an append or a read has told it. A truncation that cuts a frame in two keeps what stands before the cut. */
  position: Position | undefined;
}

type Ack = 'durable' | 'written';
type Take =
  | { readonly do: 'append'; readonly size: number; readonly ack: Ack }
  | { readonly do: 'batch'; readonly sizes: readonly number[]; readonly ack: Ack }
  | { readonly do: 'write'; readonly size: number };
/** `from` and `to` are counted from one before the oldest LSN; `position` picks a record. */
interface Read {
  readonly do: 'read';
  readonly from: number | undefined;
  readonly position: number | undefined;
  readonly to: number | undefined;
  readonly limit: number | undefined;
  readonly direction: 'forward' | 'backward' | undefined;
  readonly exclusive: boolean;
  readonly visibility: Ack;
}
interface Opening {
  readonly segmentSize: number;
  readonly mode: 'allocate' | 'keep-size' | 'zero' | 'none';
  readonly ready: number;
  readonly recycle: number;
  readonly maxUnsyncedBytes: number;
  readonly verify: 'tail' | 'full';
}
type Step =
  | Take
  | Read
  | { readonly do: 'together'; readonly takes: readonly Take[] }
  | { readonly do: 'sync' | 'rotate' | 'verify' | 'tooLarge' }
  | { readonly do: 'purge' | 'truncate'; readonly at: number }
  | { readonly do: 'reopen'; readonly as: Opening };

const ack = fc.constantFrom<Ack>('durable', 'durable', 'written');
/** Of a payload: most are small, some nearly fill the smallest segment. */
const size = fc.oneof(
  { weight: 5, arbitrary: fc.nat(60) },
  { weight: 3, arbitrary: fc.integer({ min: 100, max: 700 }) },
  { weight: 1, arbitrary: fc.integer({ min: 780, max: maxBodySize(5 * 1024) - 4 }) },
);
const take: fc.Arbitrary<Take> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('append' as const), size, ack }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('batch' as const),
      sizes: fc.array(fc.nat(150), { minLength: 1, maxLength: 5 }),
      ack,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('write' as const), size }) },
);
const opening: fc.Arbitrary<Opening> = fc.record({
  segmentSize: fc.oneof(fc.constantFrom(5 * 1024, 8 * 1024, 16 * 1024), fc.integer({ min: 5 * 1024, max: 16 * 1024 })),
  mode: fc.constantFrom('allocate', 'keep-size', 'zero', 'none'),
  ready: fc.nat(2),
  recycle: fc.nat(3),
  maxUnsyncedBytes: fc.constantFrom(1024, 4096, 64 * 1024),
  verify: fc.constantFrom('tail', 'full'),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: take },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('together' as const),
      takes: fc.array(take, { minLength: 2, maxLength: 12 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      from: fc.option(fc.nat(60), { nil: undefined }),
      position: fc.option(fc.nat(60), { nil: undefined }),
      to: fc.option(fc.nat(60), { nil: undefined }),
      limit: fc.option(fc.nat(20), { nil: undefined }),
      direction: fc.constantFrom(undefined, 'forward' as const, 'backward' as const),
      exclusive: fc.boolean(),
      visibility: fc.constantFrom<Ack>('durable', 'written'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('sync', 'rotate', 'verify', 'tooLarge') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('purge', 'truncate'), at: fc.nat(60) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const), as: opening }) },
);

/** One run: the log, and the array that it must equal. */
class Run {
  readonly #directory = temporaryDirectory();
  readonly #io: 'mmap' | 'write';
  #log!: Log;
  #partition!: Partition;
  #segmentSize = 0;
  /** What the partition must hold, oldest first. */
  #records: Stored[] = [];
  #oldest = 1;
  #next = 1;
  #counter = 0;
  /** The marks as they were last observed, and whether a truncation may have lowered them since. */
  #seen = { durable: 0, written: 0, oldest: 0 };
  #lowered = false;
  readonly #faults: string[] = [];

  constructor(io: 'mmap' | 'write') {
    this.#io = io;
  }

  async open(as: Opening): Promise<void> {
    const { segmentSize, mode, ready, recycle, maxUnsyncedBytes, verify } = as;
    const options: OpenLogOptions = {
      directory: this.#directory,
      io: this.#io,
      segmentSize,
      preallocate: { segments: ready, mode },
      recycle,
      maxUnsyncedBytes,
      verify,
    };
    this.#segmentSize = segmentSize;
    this.#log = await openLog(options);
    this.#partition = await this.#log.partition(7);
    const { durableLsn, writtenLsn, oldestLsn } = this.#partition;
    // What was handed over before a clean close is all durable.
    assert.deepEqual(
      { durableLsn, writtenLsn, oldestLsn },
      {
        durableLsn: this.#next - 1,
        writtenLsn: this.#next - 1,
        oldestLsn: this.#oldest,
      },
    );
    this.#seen = { durable: 0, written: 0, oldest: 0 };
    this.#watch('durable', this.#partition.durableLsn$);
    this.#watch('written', this.#partition.writtenLsn$);
    this.#watch('oldest', this.#partition.oldestLsn$);
  }

  #watch(mark: 'durable' | 'written' | 'oldest', changes: Partition['durableLsn$']): void {
    let first = true;
    changes.subscribe((value) => {
      if (first && value !== this.#partition[`${mark}Lsn`]) this.#faults.push(`${mark} began at ${value}`);
      first = false;
      if (value < this.#seen[mark] && !this.#lowered) this.#faults.push(`${mark} fell to ${value}`);
      this.#seen[mark] = value;
    });
  }

  async close(): Promise<void> {
    await this.#log.close();
    assert.deepEqual(heldIn(this.#directory) ?? [], []);
  }

  async step(step: Step): Promise<void> {
    switch (step.do) {
      case 'append':
      case 'batch':
      case 'write':
        await this.#take([step]);
        break;
      case 'together':
        await this.#take(step.takes);
        break;
      case 'read':
        await this.#read(step);
        break;
      case 'sync':
        assert.equal(await this.#partition.sync(), this.#next - 1);
        assert.equal(this.#partition.durableLsn, this.#next - 1);
        break;
      case 'rotate':
        await this.#rotate();
        break;
      case 'verify':
        await this.#verify();
        break;
      case 'tooLarge': {
        // The active segment may be one of a larger size, from before the log was opened with this one.
        const sizes = this.#partition.segments().map((segment) => segment.size);
        const payload = new Uint8Array(maxBodySize(Math.max(this.#segmentSize, ...sizes)) - 3);
        assert.equal(await codeOf(this.#partition.append(payload)), 'ERR_VARVE_RECORD_TOO_LARGE');
        assert.throws(() => this.#partition.write(payload), { code: 'ERR_VARVE_RECORD_TOO_LARGE' });
        break;
      }
      case 'purge':
        await this.#purge(this.#lsnAt(step.at));
        break;
      case 'truncate':
        await this.#truncate(this.#lsnAt(step.at));
        break;
      case 'reopen':
        await this.close();
        await this.open(step.as);
        await this.#readAll();
        // Appending goes on after each reopen, also where the program ends here.
        await this.#take([{ do: 'append', size: 10, ack: 'durable' }]);
        break;
    }
    this.#check();
  }

  async end(): Promise<void> {
    await this.#partition.sync();
    await this.#readAll();
    await this.#verify();
    await this.close();
  }

  /** An LSN near what there is: one before the oldest at 0. */
  #lsnAt(at: number): number {
    return Math.max(1, this.#oldest - 1 + at);
  }

  #payload(size: number): Uint8Array {
    return payloadOf(this.#counter++, size);
  }

  /** All in one turn; each must get the LSNs that come next, in the order of the calls. */
  async #take(takes: readonly Take[]): Promise<void> {
    const waiting: Promise<void>[] = [];
    const add = (payload: Uint8Array): Stored => {
      const stored = { lsn: this.#next++, payload: payload.slice(), position: undefined };
      this.#records.push(stored);
      return stored;
    };
    for (const take of takes) {
      if (take.do === 'write') {
        const payload = this.#payload(take.size);
        try {
          const lsn = this.#partition.write(payload);
          assert.equal(lsn, add(payload).lsn);
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'ERR_VARVE_BACKPRESSURE');
        }
        continue;
      }
      const { ack } = take;
      if (take.do === 'append') {
        const payload = this.#payload(take.size);
        const stored = add(payload);
        const appending = this.#partition.append(payload, { ack });
        payload.fill(0xee); // the caller may do as it likes with its bytes
        waiting.push(
          appending.then(({ lsn, position }) => {
            assert.equal(lsn, stored.lsn);
            stored.position = position;
            this.#acknowledged(lsn, ack);
          }),
        );
      } else {
        const payloads = take.sizes.map((size) => this.#payload(size));
        const stored = payloads.map(add);
        const [first, last] = [stored[0] as Stored, stored[stored.length - 1] as Stored];
        waiting.push(
          this.#partition.appendBatch(payloads, { ack }).then(({ firstLsn, lastLsn, position }) => {
            assert.deepEqual([firstLsn, lastLsn], [first.lsn, last.lsn]);
            first.position = position;
            this.#acknowledged(lastLsn, ack);
          }),
        );
      }
    }
    await Promise.all(waiting);
  }

  #acknowledged(lsn: number, ack: Ack): void {
    const reached = ack === 'durable' ? this.#partition.durableLsn : this.#partition.writtenLsn;
    assert.ok(reached >= lsn, `${lsn} was acknowledged, but only ${reached} is ${ack}`);
  }

  async #rotate(): Promise<void> {
    const { queueDepth } = this.#partition.stats();
    await this.#partition.rotate();
    if (queueDepth > 0) return; // what waits for a segment of its own is in none that could be sealed
    // What was there is durable, and the active segment is empty.
    assert.equal(this.#partition.durableLsn, this.#next - 1);
    const last = this.#partition.segments().at(-1);
    assert.ok(last === undefined || last.firstLsn === this.#next);
  }

  async #verify(): Promise<void> {
    // A `write` that is on its way into a new segment does not count yet.
    const all = this.#partition.writtenLsn === this.#next - 1;
    const { length } = this.#partition.segments();
    const { records, segments } = await this.#partition.verify();
    if (all) assert.deepEqual([records, segments], [this.#records.length, length]);
  }

  async #purge(minLsn: number): Promise<void> {
    await this.#partition.sync();
    const segments = this.#partition.segments();
    let count = 0;
    while (count < segments.length - 1 && (segments[count]?.lastLsn ?? 0) < minLsn) count++;
    const given = segments.slice(0, count);
    const oldest = segments[count]?.firstLsn ?? this.#oldest;
    const bytes = given.reduce((sum, { size }) => sum + size, 0);
    assert.deepEqual(await this.#partition.purgeBefore(minLsn), { segments: count, bytes, oldestLsn: oldest });
    assert.ok(oldest <= minLsn || count === 0);
    this.#oldest = oldest;
    this.#records = this.#records.filter(({ lsn }) => lsn >= oldest);
  }

  async #truncate(lsn: number): Promise<void> {
    const to = lsn === 1 && this.#oldest === 1 ? 0 : lsn;
    await this.#partition.sync();
    this.#lowered = true;
    const truncating = this.#partition.truncateAfter(to);
    if (to < this.#oldest - 1) {
      assert.equal(await codeOf(truncating), 'ERR_VARVE_LSN_PURGED');
      return;
    }
    await truncating;
    if (to < this.#next - 1) {
      this.#next = to + 1;
      this.#records = this.#records.filter((record) => record.lsn <= to);
    }
    assert.equal(this.#partition.durableLsn, this.#next - 1);
    await Promise.resolve(); // the marks are observed in a task of their own
    await new Promise(setImmediate);
    this.#lowered = false;
  }

  async #readAll(): Promise<void> {
    const records = await this.#partition.read().toArray();
    this.#same(records, this.#records, true);
  }

  async #read(read: Read): Promise<void> {
    const { to, limit, direction, exclusive, visibility } = read;
    const options: ReadOptions = { exclusive, visibility };
    let from: number | undefined;
    const known = this.#records.filter(({ position }) => position !== undefined);
    const picked = read.position === undefined ? undefined : known[read.position % Math.max(1, known.length)];
    if (picked?.position !== undefined && picked.lsn <= this.#partition.writtenLsn) {
      options.from = picked.position;
      from = picked.lsn;
    } else if (read.from !== undefined) {
      from = this.#lsnAt(read.from);
      options.from = from;
    }
    if (to !== undefined) options.to = this.#lsnAt(to);
    if (limit !== undefined) options.limit = limit;
    if (direction !== undefined) options.direction = direction;

    const seen = () => (visibility === 'durable' ? this.#partition.durableLsn : this.#partition.writtenLsn);
    const before = seen();
    const got = await this.#partition
      .read(options)
      .toArray()
      .catch((error: unknown) => error as { code?: string });
    // A sync that was under way may have made more visible: the reading saw some value in between.
    for (let visible = before; visible <= seen(); visible++) {
      const expected = this.#expected(options, from, visible);
      if (expected === 'purged' || !Array.isArray(got)) {
        if (!Array.isArray(got) && expected === 'purged' && got.code === 'ERR_VARVE_LSN_PURGED') return;
      } else if (got.length === expected.length && got.every(({ lsn }, i) => lsn === expected[i]?.lsn)) {
        this.#same(got, expected, false);
        return;
      }
    }
    const shown = Array.isArray(got) ? got.map(({ lsn }) => lsn) : String(got);
    assert.fail(
      `read ${JSON.stringify(options)} from ${from} gave ${shown}; oldest ${this.#oldest}, durable ${before}`,
    );
  }

  /** What a reading must give where LSNs up to `visible` are visible. */
  #expected(options: ReadOptions, from: number | undefined, visible: number): Stored[] | 'purged' {
    const backward = options.direction === 'backward';
    const stepped = from === undefined ? undefined : from + (options.exclusive === true ? (backward ? -1 : 1) : 0);
    const byLsn = typeof options.from === 'number';
    if (byLsn && stepped !== undefined && stepped >= 1 && stepped < this.#oldest) return 'purged';
    const found: Stored[] = [];
    const limit = options.limit ?? Number.POSITIVE_INFINITY;
    const at = (lsn: number) => this.#records[lsn - this.#oldest] as Stored;
    if (!backward) {
      const last = Math.min(options.to ?? visible, visible);
      for (let lsn = stepped ?? this.#oldest; lsn <= last && found.length < limit; lsn++) found.push(at(lsn));
      return found;
    }
    const last = options.to ?? this.#oldest;
    for (let lsn = Math.min(stepped ?? visible, visible); lsn >= Math.max(1, last) && found.length < limit; lsn--) {
      if (lsn < this.#oldest) return 'purged';
      found.push(at(lsn));
    }
    return found;
  }

  #same(got: readonly { lsn: number; payload: Uint8Array; position: Position }[], expected: Stored[], all: boolean) {
    if (all)
      assert.deepEqual(
        got.map(({ lsn }) => lsn),
        expected.map(({ lsn }) => lsn),
      );
    got.forEach(({ lsn, payload, position }, i) => {
      const stored = expected[i] as Stored;
      assert.ok(Buffer.compare(payload, stored.payload) === 0, `the payload of ${lsn} is another one`);
      stored.position ??= position;
      assert.deepEqual(position, stored.position);
    });
  }

  /** What holds at any time. */
  #check(): void {
    const partition = this.#partition;
    const segments = partition.segments();
    assert.deepEqual(this.#faults, []);
    assert.equal(partition.oldestLsn, this.#oldest);
    assert.ok(partition.durableLsn <= partition.writtenLsn && partition.writtenLsn <= this.#next - 1);
    segments.forEach((segment, i) => {
      const before = segments[i - 1];
      assert.equal(segment.name, `part_7_${String(segment.index).padStart(10, '0')}.wal`);
      assert.ok(segment.bytes <= segment.size);
      if (before === undefined) return;
      assert.deepEqual(
        [before.state, segment.index, segment.firstLsn],
        ['sealed', before.index + 1, before.lastLsn + 1],
      );
    });
    if (segments.length > 0) assert.equal(segments[0]?.firstLsn, this.#oldest);
  }
}

for (const io of await backEnds()) {
  test(`a partition is an array that loses a prefix, io: '${io}'`, async () => {
    await fc.assert(
      fc.asyncProperty(opening, fc.array(step, { minLength: 1, maxLength: 30 }), async (as, steps) => {
        const run = new Run(io);
        await run.open(as);
        for (const next of steps) await run.step(next);
        await run.end();
      }),
      { numRuns: runs(120) },
    );
  });
}
