/** Several users of one log at once: what they do, and what each call may come to. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { type Log, type LogRecord, type OpenLogOptions, openLog, VarveError } from 'varve';
import { turns } from './logs.js';
import { Account, dense, type Shown } from './race-account.js';
import type { Ack, Act, RaceProgram } from './race-program.js';

const CLOSED = ['ERR_VARVE_CLOSED'];
/** What a close that begins later still acknowledges. */
const TAKEN = new Set<Act['do']>(['append', 'batch', 'burst']);
/** What reading meets where it is overtaken by a purge, a truncation or a close. */
const OVERTAKEN = ['ERR_VARVE_LSN_PURGED', 'ERR_VARVE_LSN_OUT_OF_RANGE', 'ERR_VARVE_CLOSED'];

export class Race {
  readonly accounts = new Map<number, Account>();
  /** What has not come to its end yet, by a name. */
  readonly pending = new Map<Promise<unknown>, string>();
  /** First thing that was wrong. */
  problem: unknown;
  readonly #program: RaceProgram;
  readonly #options: OpenLogOptions;
  /** The next place in the order of everything. */
  readonly #tick: () => number;
  readonly #signals: AbortSignal[] = [];
  #observers = 0;
  #log!: Log;
  #ids = 0;
  #ended = 0;
  #closing: Promise<void> | undefined;

  constructor(program: RaceProgram, options: OpenLogOptions, tick: () => number) {
    const { segmentSize, ready, recycle, maxUnsyncedBytes } = program;
    this.#program = program;
    this.#options = { ...options, segmentSize, preallocate: { segments: ready }, recycle, maxUnsyncedBytes };
    this.#tick = tick;
  }

  /** Opens the log, and follows each partition from its beginning. */
  async open(): Promise<void> {
    this.#log = await openLog(this.#options);
    for (const number of new Set(this.#program.users.map(({ partition }) => partition))) {
      const account = new Account(await this.#log.partition(number));
      this.accounts.set(number, account);
      for (let i = 0; i < this.#program.before; i++) await this.#append(account, 280, 'durable');
      const follow = async () => {
        for await (const record of account.partition.follow()) account.followed.push(record);
      };
      void this.#track(`the follower of partition ${number}`, follow().catch(allow(OVERTAKEN)));
    }
  }

  /** Begins all users; `gate` is awaited before each act. Resolves when all have come to their end. */
  async start(gate: (what: string) => Promise<unknown>): Promise<void> {
    const users = this.#program.users.map(({ partition, acts }, i) =>
      this.#track(`user ${i}`, this.#runUser(this.accounts.get(partition) as Account, acts, gate)),
    );
    await Promise.all(users);
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = this.#log.close();
      void this.#track('close', this.#closing);
    }
    return this.#closing;
  }

  /** Throws if something is left over once the log is closed. */
  judgeEnd(): void {
    if (this.problem !== undefined) throw this.problem;
    assert.deepEqual([...this.pending.values()], [], 'never came to an end');
    assert.equal(this.#observers, 0, 'observers that were not told of the end');
    for (const signal of this.#signals)
      assert.equal(getEventListeners(signal, 'abort').length, 0, 'a signal is still listened to');
    for (const event of ['synced', 'rotated', 'purged', 'failed', 'closed'] as const) {
      assert.equal(this.#log.events.listenerCount(event), 0);
    }
  }

  /** Opens the log anew and holds what it shows against what is known. */
  async judgeLog(disk = this.#options.disk): Promise<void> {
    await eachShown({ ...this.#options, ...(disk && { disk }) }, this.accounts, (account, shown) => {
      account.judge(shown);
      account.judgeFollowed(shown);
    });
  }

  /** The power is cut at this moment: returns what judges the log that is opened on `disk` afterwards. */
  cutPower(): (disk: NonNullable<OpenLogOptions['disk']>) => Promise<void> {
    const judges = new Map([...this.accounts].map(([number, account]) => [number, account.cutPower()]));
    return (disk) => eachShown({ ...this.#options, disk }, judges, (judge, shown) => judge(shown));
  }

  /** Never rejects: what is wrong is kept. */
  #track(what: string, promise: Promise<unknown>): Promise<void> {
    const tracked: Promise<void> = promise.then(
      () => {
        this.pending.delete(tracked);
      },
      (error: unknown) => {
        this.pending.delete(tracked);
        this.problem ??= error;
      },
    );
    this.pending.set(tracked, what);
    return tracked;
  }

  async #runUser(account: Account, acts: readonly Act[], gate: (what: string) => Promise<unknown>): Promise<void> {
    for (const act of acts) {
      await gate(act.do);
      if (this.#ended >= this.#program.closeAfter) void this.close();
      // Nothing here waits for space, with which a close could refuse what was taken before it.
      const late = this.#closing !== undefined || !TAKEN.has(act.do);
      await this.#act(account, act).catch((error: unknown) => {
        allow(late && this.#closing !== undefined ? CLOSED : [])(error);
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
      case 'batch':
        return this.#batch(account, act.count, act.size, act.ack);
      case 'write':
        return this.#write(account, act.size);
      case 'sync': {
        const begun = this.#tick();
        account.synced(await partition.sync(), begun);
        return;
      }
      case 'rotate':
        return partition.rotate();
      case 'read':
        await partition.read().toArray().then(dense, allow(OVERTAKEN));
        return;
      case 'verify':
        await partition.verify().catch(allow(CLOSED));
        return;
      case 'rest':
        return turns(3);
      case 'purge': {
        const minLsn = Math.max(1, partition.durableLsn - act.back);
        account.askPurge(minLsn);
        const { oldestLsn } = await partition.purgeBefore(minLsn);
        assert.ok(oldestLsn <= partition.oldestLsn);
        return;
      }
      case 'truncate': {
        const lsn = Math.max(0, partition.writtenLsn - act.back);
        const ended = account.askTruncation(lsn, this.#tick());
        await partition.truncateAfter(lsn).catch(allow(['ERR_VARVE_LSN_PURGED', 'ERR_VARVE_CLOSED']));
        ended(this.#tick());
        return;
      }
      case 'chase': {
        const purging = this.#act(account, { do: 'purge', back: act.back });
        const chased =
          act.what === 'verify'
            ? partition.verify().catch(allow(CLOSED))
            : partition.read({ direction: act.what }).toArray().then(undefined, allow(OVERTAKEN));
        await Promise.all([purging, chased]);
        return;
      }
      case 'follow':
        void this.#track('a follower', this.#follow(account, act.count, this.#signal(act.abort)));
        return;
      case 'wait': {
        const lsn = Math.max(1, partition.writtenLsn + act.ahead);
        void this.#track(`waiting for LSN ${lsn}`, this.#wait(account, lsn, this.#signal(act.abort)));
        return;
      }
      case 'observe':
        this.#observe(account);
        return;
    }
  }

  async #append(account: Account, size: number, ack: Ack): Promise<void> {
    const id = this.#id(account);
    const begun = this.#tick();
    const { lsn } = await account.partition.append(payload(id, size), { ack });
    account.acknowledge(id, lsn, begun, ack === 'durable');
  }

  async #batch(account: Account, count: number, size: number, ack: Ack): Promise<void> {
    const ids = Array.from({ length: count }, () => this.#id(account));
    const payloads = ids.map((id) => payload(id, size));
    const begun = this.#tick();
    const { firstLsn, lastLsn } = await account.partition.appendBatch(payloads, { ack });
    assert.equal(lastLsn, firstLsn + ids.length - 1);
    for (const [i, id] of ids.entries()) account.acknowledge(id, firstLsn + i, begun, ack === 'durable');
  }

  async #write(account: Account, size: number): Promise<void> {
    const id = this.#id(account);
    const begun = this.#tick();
    try {
      // A close in good order makes durable what was written.
      account.acknowledge(id, account.partition.write(payload(id, size)), begun, false);
    } catch (error) {
      allow(['ERR_VARVE_BACKPRESSURE', 'ERR_VARVE_CLOSED'])(error);
    }
  }

  async #follow({ partition }: Account, count: number, signal: AbortSignal): Promise<void> {
    const got: LogRecord[] = [];
    try {
      for await (const record of partition.follow({ from: partition.oldestLsn, signal })) {
        if (got.push(record) === count) break;
      }
    } catch (error) {
      if (error !== signal.reason) allow(OVERTAKEN)(error);
    }
    dense(got);
  }

  async #wait(account: Account, lsn: number, signal: AbortSignal): Promise<void> {
    const begun = this.#tick();
    try {
      await account.partition.waitFor(lsn, { signal });
      account.synced(lsn, begun);
    } catch (error) {
      if (error !== signal.reason) allow(CLOSED)(error);
    }
  }

  #observe({ partition }: Account): void {
    this.#observers++;
    let last: number | undefined;
    partition.durableLsn$.subscribe({
      next: (lsn) => {
        if (lsn === last) this.problem ??= new Error(`durableLsn$ gives ${lsn} twice`);
        last = lsn;
      },
      complete: () => this.#observers--,
    });
  }

  /** A signal that is aborted a little later, or never. */
  #signal(abort: boolean): AbortSignal {
    const controller = new AbortController();
    this.#signals.push(controller.signal);
    if (abort)
      void this.#track(
        'an abort',
        turns(2).then(() => controller.abort()),
      );
    return controller.signal;
  }

  #id(account: Account): string {
    const id = `<${this.#ids++}>`;
    account.give(id);
    return id;
  }
}

async function eachShown<T>(
  options: OpenLogOptions,
  partitions: ReadonlyMap<number, T>,
  use: (known: T, shown: Shown) => void,
): Promise<void> {
  const log = await openLog({ ...options, verify: 'full' });
  try {
    for (const [number, known] of partitions) {
      const partition = await log.partition(number);
      use(known, { oldestLsn: partition.oldestLsn, records: await partition.read().toArray() });
    }
  } finally {
    await log.close();
  }
}

function payload(id: string, size: number): Uint8Array {
  return new TextEncoder().encode(id.padEnd(size, '.'));
}

/** Throws what is not one of these. */
function allow(codes: readonly string[]): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof VarveError) || !codes.includes(error.code)) throw error;
  };
}
