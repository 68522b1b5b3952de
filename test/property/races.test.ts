/**
 * Several users of one or two partitions at once, over a disk whose operations take their time in a random order.
 *
 * Whatever the interleaving: everything settles, nothing is rejected that nobody hears of, no file or mapping stays
 * open, nothing touches the disk after the log is closed, and a new log holds every acknowledged record once, in order.
 */
import assert from 'node:assert/strict';
import { afterAll, beforeAll, test } from '@jest/globals';
import fc from 'fast-check';
import { type Log, type LogRecord, openLog, type Partition, VarveError } from 'varve';
import { runs } from '../runs.js';
import type { FaultyDisk } from '../support/faulty-disk.js';
import { backEnds, faultyDisk, heldIn, temporaryDirectory, text, turns, within } from '../support/logs.js';

type Ack = 'durable' | 'written';
type Act =
  | { readonly do: 'append'; readonly size: number; readonly ack: Ack }
  | { readonly do: 'burst'; readonly count: number; readonly size: number; readonly ack: Ack }
  | { readonly do: 'batch'; readonly count: number; readonly size: number; readonly ack: Ack }
  | { readonly do: 'write'; readonly size: number }
  | { readonly do: 'sync' | 'rotate' | 'read' | 'verify' | 'rest' }
  | { readonly do: 'purge' | 'truncate'; readonly back: number };

const size = fc.oneof(fc.nat(80), fc.integer({ min: 200, max: 800 }));
const ack = fc.constantFrom<Ack>('durable', 'written');
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('append' as const), size, ack }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('burst' as const), count: fc.integer({ min: 2, max: 8 }), size, ack }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('batch' as const),
      count: fc.integer({ min: 1, max: 4 }),
      size: fc.nat(150),
      ack,
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('write' as const), size }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constantFrom('sync', 'rotate', 'rotate', 'read', 'verify', 'rest') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('purge' as const), back: fc.nat(10) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('truncate' as const), back: fc.nat(6) }) },
);

interface Program {
  /** Each of these runs its acts one after another, beside the others. */
  readonly users: readonly { readonly partition: 1 | 2; readonly acts: readonly Act[] }[];
  /** How long the operations of the disk are held back, in turns of the event loop; used round and round. */
  readonly delays: readonly number[];
  readonly segmentSize: number;
  readonly ready: number;
  readonly recycle: number;
  readonly maxUnsyncedBytes: number;
  /** The log is closed before this many acts have come to their end. */
  readonly closeAfter: number;
}

const program: fc.Arbitrary<Program> = fc.record({
  users: fc.array(
    fc.record({
      partition: fc.constantFrom(1 as const, 1 as const, 2 as const),
      acts: fc.array(act, { minLength: 1, maxLength: 8 }),
    }),
    { minLength: 2, maxLength: 6 },
  ),
  delays: fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(12)), { minLength: 1, maxLength: 24 }),
  segmentSize: fc.constantFrom(5 * 1024, 8 * 1024),
  ready: fc.nat(2),
  recycle: fc.nat(2),
  maxUnsyncedBytes: fc.constantFrom(1024, 64 * 1024),
  closeAfter: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.nat(20)),
});

interface Acknowledged {
  readonly id: string;
  readonly lsn: number;
  /** Place in the order of everything. */
  readonly begun: number;
}

/** What is known of one partition from outside. */
interface Account {
  readonly partition: Partition;
  readonly acknowledged: Acknowledged[];
  /** Ids of all that was ever given to it, in order of their LSNs or not. */
  readonly given: Set<string>;
  /** Truncations, with the place in the order at which they ended (or the log was closed). */
  readonly truncations: { readonly lsn: number; ended: number }[];
  highestPurge: number;
  readonly followed: LogRecord[];
  following: Promise<void>;
}

/** Runs a program; throws at the first thing that is wrong. */
class Race {
  readonly #directory = temporaryDirectory();
  readonly #disk: FaultyDisk = faultyDisk();
  readonly #accounts = new Map<number, Account>();
  readonly #program: Program;
  #log!: Log;
  #ids = 0;
  #ended = 0;
  #closing: Promise<void> | undefined;

  constructor(program: Program) {
    this.#program = program;
  }

  async run(io: 'mmap' | 'write'): Promise<void> {
    const { users, delays, segmentSize, ready, recycle, maxUnsyncedBytes } = this.#program;
    const options = { directory: this.#directory, io, segmentSize, disk: this.#disk };
    this.#log = await openLog({ ...options, preallocate: { segments: ready }, recycle, maxUnsyncedBytes });
    for (const number of new Set(users.map(({ partition }) => partition))) await this.#openAccount(number);
    let operation = 0;
    this.#disk.pause = async () => {
      const delay = delays[operation++ % delays.length] as number;
      for (let i = 0; i < delay; i++) await new Promise(setImmediate);
    };

    const running = users.map(({ partition, acts }) => this.#runUser(this.#accounts.get(partition) as Account, acts));
    await within(Promise.all(running), 'a user');
    await within(this.#close(), 'close');
    for (const account of this.#accounts.values()) await within(account.following, 'a follower');

    const operations = this.#disk.operations.length;
    await turns(5);
    assert.deepEqual(this.#disk.operations.slice(operations), [], 'the disk is used after the log was closed');
    assert.deepEqual(heldIn(this.#directory) ?? [], []);

    this.#disk.pause = undefined;
    const again = await openLog({ ...options, verify: 'full' });
    for (const [number, account] of this.#accounts)
      this.#judge(account, await again.partition(number), await records(again, number));
    await again.close();
  }

  async #openAccount(number: number): Promise<void> {
    const partition = await this.#log.partition(number);
    const followed: LogRecord[] = [];
    const follow = async () => {
      for await (const record of partition.follow()) followed.push(record);
    };
    this.#accounts.set(number, {
      partition,
      acknowledged: [],
      given: new Set(),
      truncations: [],
      highestPurge: 0,
      followed,
      // A purge may overtake it, and a truncation may take away what it is about to read.
      following: follow().catch(allow(['ERR_VARVE_LSN_PURGED', 'ERR_VARVE_LSN_OUT_OF_RANGE', 'ERR_VARVE_CLOSED'])),
    });
  }

  #close(): Promise<void> {
    this.#closing ??= this.#log.close();
    return this.#closing;
  }

  async #runUser(account: Account, acts: readonly Act[]): Promise<void> {
    for (const act of acts) {
      const { closeAfter } = this.#program;
      if (this.#ended >= closeAfter) void this.#close();
      await this.#act(account, act).catch((error: unknown) => {
        allow(this.#closing === undefined ? [] : ['ERR_VARVE_CLOSED'])(error);
      });
      this.#ended++;
    }
  }

  async #act(account: Account, act: Act): Promise<void> {
    const { partition } = account;
    switch (act.do) {
      case 'append':
        return this.#append(account, act.size, act.ack);
      case 'burst': {
        const all = Array.from({ length: act.count }, () => this.#append(account, act.size, act.ack));
        const failed = (await Promise.allSettled(all)).find((result) => result.status === 'rejected');
        if (failed !== undefined) throw failed.reason;
        return;
      }
      case 'batch': {
        const ids = Array.from({ length: act.count }, () => this.#id(account));
        const begun = this.#disk.tick();
        const { firstLsn, lastLsn } = await partition.appendBatch(
          ids.map((id) => payload(id, act.size)),
          { ack: act.ack },
        );
        assert.equal(lastLsn, firstLsn + ids.length - 1);
        for (const [i, id] of ids.entries()) account.acknowledged.push({ id, lsn: firstLsn + i, begun });
        return;
      }
      case 'write': {
        const id = this.#id(account);
        const begun = this.#disk.tick();
        try {
          const lsn = partition.write(payload(id, act.size));
          // A close in good order makes durable what was written.
          account.acknowledged.push({ id, lsn, begun });
        } catch (error) {
          allow(['ERR_VARVE_BACKPRESSURE', 'ERR_VARVE_CLOSED'])(error);
        }
        return;
      }
      case 'sync':
        await partition.sync();
        return;
      case 'rotate':
        return partition.rotate();
      case 'read':
        // What is purged or rewound while it is read is refused, and nothing else is.
        await partition
          .read()
          .toArray()
          .then(dense, allow(['ERR_VARVE_LSN_PURGED', 'ERR_VARVE_LSN_OUT_OF_RANGE', 'ERR_VARVE_CLOSED']));
        return;
      case 'verify':
        await partition.verify().catch(allow(['ERR_VARVE_CLOSED']));
        return;
      case 'rest':
        return turns(3);
      case 'purge': {
        const minLsn = Math.max(1, partition.durableLsn - act.back);
        account.highestPurge = Math.max(account.highestPurge, minLsn);
        await partition.purgeBefore(minLsn);
        return;
      }
      case 'truncate': {
        const lsn = Math.max(0, partition.writtenLsn - act.back);
        const truncation = { lsn, ended: Number.POSITIVE_INFINITY };
        account.truncations.push(truncation);
        await partition.truncateAfter(lsn).catch(allow(['ERR_VARVE_LSN_PURGED', 'ERR_VARVE_CLOSED']));
        truncation.ended = this.#disk.tick();
        return;
      }
    }
  }

  async #append(account: Account, size: number, ack: Ack): Promise<void> {
    const id = this.#id(account);
    const begun = this.#disk.tick();
    const { lsn } = await account.partition.append(payload(id, size), { ack });
    account.acknowledged.push({ id, lsn, begun });
  }

  #id(account: Account): string {
    const id = `<${this.#ids++}>`;
    account.given.add(id);
    return id;
  }

  #judge(account: Account, partition: Partition, found: LogRecord[]): void {
    dense(found);
    const at = new Map<string, number>();
    for (const { lsn, payload } of found) {
      const id = /^<\d+>/.exec(text(payload))?.[0] ?? '';
      assert.ok(account.given.has(id), `LSN ${lsn} holds what nobody has appended`);
      assert.ok(!at.has(id), `${id} is there twice`);
      at.set(id, lsn);
    }
    assert.ok(partition.oldestLsn <= Math.max(1, account.highestPurge), 'more was purged than was asked for');
    for (const { id, lsn, begun } of account.acknowledged) {
      const cut = account.truncations.some((truncation) => truncation.lsn < lsn && truncation.ended > begun);
      const gone = lsn < partition.oldestLsn || cut;
      const there = at.get(id);
      assert.ok(there === lsn || (there === undefined && gone), `${id} was acknowledged at ${lsn}, and is at ${there}`);
    }
    if (account.truncations.length > 0) return;
    dense(account.followed);
    for (const { lsn, payload } of account.followed) {
      const same = found.find((record) => record.lsn === lsn);
      if (lsn >= partition.oldestLsn) assert.equal(same && text(same.payload), text(payload));
    }
  }
}

async function records(log: Log, number: number): Promise<LogRecord[]> {
  return (await log.partition(number)).read().toArray();
}

function payload(id: string, size: number): Uint8Array {
  return new TextEncoder().encode(id.padEnd(size, '.'));
}

function dense(found: readonly LogRecord[]): void {
  found.forEach(({ lsn }, i) => {
    assert.equal(lsn, (found[0] as LogRecord).lsn + i);
  });
}

/** Throws what is not one of these. */
function allow(codes: readonly string[]): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof VarveError) || !codes.includes(error.code)) throw error;
  };
}

const unheard: unknown[] = [];
const note = (error: unknown) => unheard.push(error);
beforeAll(() => {
  process.on('unhandledRejection', note);
});
afterAll(() => {
  process.off('unhandledRejection', note);
});

/** Only against hanging for ever: `VARVE_TEST_RUNS` may ask for a night, and what hangs is found by `within`. */
const LIMIT_MS = 24 * 3600 * 1000;

for (const io of await backEnds()) {
  test(
    `users at the same time, io: '${io}'`,
    async () => {
      await fc.assert(
        fc.asyncProperty(program, async (program) => {
          await new Race(program).run(io);
          await turns(2);
          assert.deepEqual(unheard.splice(0), []);
        }),
        { numRuns: runs(120) },
      );
    },
    LIMIT_MS,
  );
}
