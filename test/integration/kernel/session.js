/**
 * A child's end of a run: does what a script says to a log, and tells its parent of each step before and after, one
 * line of JSON at a time. The list of what was acknowledged is so kept outside of the process that fails or dies.
 *
 * Lines, in the order in which things happen:
 *   { step }                            what is done from here on
 *   { opened: { oldest, durableLsn } }  the partition was opened, and states this
 *   { found: [[lsn, id], …] }           all its records; id = −1 where the bytes are wrong
 *   { try: [id, …] }                    these are about to be appended
 *   { ack: [[lsn, id], …], durable }    they were acknowledged, as durable or as written
 *   { purging: lsn } { purged: oldest } { truncating: lsn } { truncated: lsn }
 *   { failed: cause }                   the partition has failed
 *   { error: { step, code, cause } }    a step was refused; `code` is undefined where it was no VarveError
 *   { pressure: cause }                 space is lacking
 *   { untold }                          an unhandled rejection or exception: nothing may ever cause one
 *   { end: true }                       the script has come to its end
 */
import { spawnSync } from 'node:child_process';
import { statfsSync, writeFileSync, writeSync } from 'node:fs';
import { openLog, VarveError } from '../../../dist/index.js';

const PARTITION = 1;

/** @param {object} line */
export const tell = (line) => writeSync(1, `${JSON.stringify(line)}\n`);

for (const event of ['unhandledRejection', 'uncaughtException']) {
  process.on(event, (/** @type {any} */ error) => {
    tell({ untold: String(error?.stack ?? error) });
    process.exit(70);
  });
}

/**
 * The payload that goes with an id: its digits, then bytes that follow from it; 800 bytes, so that four fill a segment
 * of 8 KiB.
 *
 * @param {number} id
 */
export function payloadOf(id) {
  const bytes = new Uint8Array(800).fill(id & 0xff);
  bytes.set(new TextEncoder().encode(String(id).padStart(8, '0')));
  return bytes;
}

/** The id of a payload; −1 where it is not exactly the payload of any. */
function idOf(payload) {
  const id = Number(Buffer.from(payload.subarray(0, 8)).toString());
  return Number.isInteger(id) && Buffer.compare(payload, payloadOf(id)) === 0 ? id : -1;
}

function systemCause(/** @type {any} */ error) {
  for (let e = error; e; e = e.cause) if (e.code && !String(e.code).startsWith('ERR_VARVE_')) return e.code;
  return undefined;
}

export class Session {
  #options;
  #nextId;
  #patience;
  #log;
  #partition;
  step = 'begin';

  /**
   * @param {import('varve').OpenLogOptions} options
   * @param {number} firstId ids below were given out by others
   * @param {number} [patience] ms after which the log is closed when space is lacking; default: never
   */
  constructor(options, firstId, patience) {
    this.#options = options;
    this.#nextId = firstId;
    this.#patience = patience;
  }

  get log() {
    return this.#log;
  }

  get partition() {
    return this.#partition;
  }

  /** Does one step; what it rejects with is told, and the script goes on. */
  async do(step, work) {
    this.step = step;
    tell({ step });
    try {
      await work();
    } catch (caught) {
      const error = /** @type {Error} */ (caught);
      const code = error instanceof VarveError ? error.code : undefined;
      tell({ error: { step, code, cause: systemCause(error), message: error.message } });
    }
  }

  /** Opens the log and the partition, reads and verifies everything, and tells what is there. */
  open() {
    return this.do('open', async () => {
      this.#log = await openLog(this.#options);
      const log = this.#log;
      log.events.on('failed', ({ cause }) => tell({ failed: systemCause(cause) ?? String(cause) }));
      log.events.on('degraded', ({ option, reason }) => tell({ degraded: option, reason }));
      log.events.on('spacePressure', ({ cause }) => {
        tell({ pressure: systemCause(cause) });
        if (this.#patience !== undefined) setTimeout(() => log.close().catch(() => {}), this.#patience).unref();
      });
      this.#partition = await log.partition(PARTITION);
      const { oldestLsn, durableLsn } = this.#partition;
      tell({ opened: { oldest: oldestLsn, durableLsn } });
      const records = await this.#partition.read().toArray();
      await this.#partition.verify();
      tell({ found: records.map(({ lsn, payload }) => [lsn, idOf(payload)]) });
    });
  }

  #take(count) {
    const ids = Array.from({ length: count }, () => this.#nextId++);
    tell({ try: ids });
    return ids;
  }

  #takeOne() {
    return /** @type {number} */ (this.#take(1)[0]);
  }

  /** @param {'durable' | 'written'} ack */
  append(ack = 'durable') {
    return this.do('append', async () => {
      const id = this.#takeOne();
      const { lsn } = await this.#partition.append(payloadOf(id), { ack });
      tell({ ack: [[lsn, id]], durable: ack === 'durable' });
    });
  }

  batch(count) {
    return this.do('batch', async () => {
      const ids = this.#take(count);
      const { firstLsn } = await this.#partition.appendBatch(ids.map(payloadOf));
      tell({ ack: ids.map((id, i) => [firstLsn + i, id]), durable: true });
    });
  }

  /** Writes without waiting, and makes it durable with a sync unless `unsynced`. */
  write(unsynced = false) {
    return this.do(unsynced ? 'write' : 'sync', async () => {
      const id = this.#takeOne();
      const lsn = this.#partition.write(payloadOf(id));
      if (unsynced) return;
      await this.#partition.sync();
      tell({ ack: [[lsn, id]], durable: true });
    });
  }

  rotate(step = 'rotate') {
    return this.do(step, () => this.#partition.rotate());
  }

  /** Gives up all but the last `keep` records, as far as segments allow. */
  purge(keep) {
    return this.do('purge', async () => {
      const lsn = Math.max(1, this.#partition.durableLsn - keep + 1);
      tell({ purging: lsn });
      const { oldestLsn } = await this.#partition.purgeBefore(lsn);
      tell({ purged: oldestLsn });
    });
  }

  /** Takes back the last `count` records. */
  truncate(count) {
    return this.do('truncate', async () => {
      const lsn = Math.max(0, this.#partition.durableLsn - count);
      tell({ truncating: lsn });
      await this.#partition.truncateAfter(lsn);
      tell({ truncated: lsn });
    });
  }

  /** Runs a command of the shell, whose parent process ($PPID) is this one. */
  run(command, step = 'run') {
    return this.do(step, async () => {
      const { status, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
      if (status !== 0) throw new Error(`${command}: ${stderr}`);
    });
  }

  /** Fills the file system that `ballast` lies in until exactly `free` bytes are left: whole pages. */
  fill(ballast, free) {
    return this.do('fill', async () => {
      const left = () => {
        const { bavail, bsize } = statfsSync(this.#options.directory);
        return bavail * bsize;
      };
      writeFileSync(ballast, new Uint8Array(left() - free));
      if (left() !== free) throw new Error(`${left()} bytes are free, not ${free}`);
    });
  }

  close() {
    return this.do('close', async () => {
      await this.#log.close();
      tell({ closed: true });
    });
  }
}
