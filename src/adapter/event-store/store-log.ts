/**
 * A partition as the event store reads it: the kept files, then the log, as if nothing lay between them.
 *
 * A record is read from the log as long as the log has it, and then from a kept file, which is there before the log gives
 * its segment up. So a reader that goes on from its last LSN misses nothing and meets nothing twice.
 */
import { VarveError } from '../../errors.js';
import type { EnginePartition, EngineReading, EngineReadOptions, EngineRecord } from './engine.js';
import type { KeptFiles } from './kept-files.js';

export class StoreLog implements EnginePartition {
  readonly number: number;
  readonly kept: KeptFiles;
  readonly #log: EnginePartition;

  constructor(log: EnginePartition, kept: KeptFiles) {
    this.number = log.number;
    this.kept = kept;
    this.#log = log;
  }

  get durableLsn(): number {
    return this.#log.durableLsn;
  }

  get writtenLsn(): number {
    return this.#log.writtenLsn;
  }

  /** Nothing below it can be read. */
  get oldestLsn(): number {
    return this.kept.files[0]?.firstLsn ?? this.#log.oldestLsn;
  }

  /** What lies below this LSN is in kept files, or gone: not every LSN has a record there. */
  get keptBelow(): number {
    return this.#log.oldestLsn;
  }

  appendBatch: EnginePartition['appendBatch'] = (payloads, options) => this.#log.appendBatch(payloads, options);

  waitFor: EnginePartition['waitFor'] = (lsn, options) => this.#log.waitFor(lsn, options);

  /** Resolves when what is written now is durable. */
  async whenDurable(): Promise<void> {
    if (this.writtenLsn > this.durableLsn) await this.waitFor(this.writtenLsn);
  }

  purgeBefore: EnginePartition['purgeBefore'] = (lsn) => this.#log.purgeBefore(lsn);

  /** Of the log. */
  segments: EnginePartition['segments'] = () => this.#log.segments();

  /** As of the log; what lies in kept files is left out where it is gone. */
  read(options: EngineReadOptions = {}): EngineReading {
    const batches = () => (options.direction === 'backward' ? this.#backward(options) : this.#forward(options));
    return {
      batches,
      toArray: async () => {
        const all: EngineRecord[] = [];
        for await (const batch of batches()) all.push(...batch);
        return all;
      },
    };
  }

  async *#forward(options: EngineReadOptions): AsyncGenerator<readonly EngineRecord[]> {
    const { signal, limit = Number.MAX_SAFE_INTEGER } = options;
    let next = options.from ?? this.oldestLsn;
    const to = options.to ?? (options.visibility === 'written' ? this.writtenLsn : this.durableLsn);
    let left = limit;
    while (next <= to && left > 0) {
      signal?.throwIfAborted();
      const below = this.keptBelow;
      if (next < below && this.kept.files.length > 0) {
        const found = await this.kept.forward(next);
        const records = found.filter(({ lsn }) => lsn < below && lsn <= to).slice(0, left);
        const last = records.at(-1);
        next = last === undefined ? below : last.lsn + 1;
        left -= records.length;
        if (last !== undefined) yield records;
        continue;
      }
      try {
        const limited = left === Number.MAX_SAFE_INTEGER ? {} : { limit: left };
        for await (const batch of this.#log.read({ ...options, ...limited, from: next, to }).batches()) {
          next = (batch[batch.length - 1] as EngineRecord).lsn + 1;
          left -= batch.length;
          yield batch;
        }
        return;
      } catch (error) {
        if (!this.#wasMoved(error, next)) throw error;
      }
    }
  }

  async *#backward(options: EngineReadOptions): AsyncGenerator<readonly EngineRecord[]> {
    const { signal, to, limit = Number.MAX_SAFE_INTEGER } = options;
    let next = options.from ?? (options.visibility === 'written' ? this.writtenLsn : this.durableLsn);
    let left = limit;
    while (next >= Math.max(to ?? 1, this.oldestLsn) && left > 0) {
      signal?.throwIfAborted();
      const below = this.keptBelow;
      if (next < below) {
        const found = await this.kept.backward(next);
        const records = found.filter(({ lsn }) => lsn >= (to ?? 1)).slice(0, left);
        const last = records.at(-1);
        if (last === undefined) return;
        next = last.lsn - 1;
        left -= records.length;
        yield records;
        continue;
      }
      try {
        const { to: _, ...rest } = options;
        const limited = left === Number.MAX_SAFE_INTEGER ? {} : { limit: left };
        const range = to === undefined || to < below ? {} : { to };
        for await (const batch of this.#log.read({ ...rest, ...limited, ...range, from: next }).batches()) {
          next = (batch[batch.length - 1] as EngineRecord).lsn - 1;
          left -= batch.length;
          yield batch;
        }
        if (next >= Math.max(to ?? 1, this.keptBelow)) return; // all that the log shows
      } catch (error) {
        if (!this.#wasMoved(error, next)) throw error;
      }
    }
  }

  /** The segment that was to be read next has been given up meanwhile, and there are kept files to go on with. */
  #wasMoved(error: unknown, next: number): boolean {
    const purged = error instanceof VarveError && error.code === 'ERR_VARVE_LSN_PURGED';
    return purged && next < this.keptBelow && this.kept.files.length > 0;
  }
}

/** Records below the oldest that is kept. */
export function purgedLsn(partition: number, requested: number, oldest: number): VarveError {
  return new VarveError(
    'ERR_VARVE_LSN_PURGED',
    `LSN ${requested} of partition ${partition} was purged; the oldest that can be read is ${oldest}.`,
    { partition, requested, oldest },
  );
}
