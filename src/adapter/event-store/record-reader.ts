/**
 * Reads records by their LSNs: what lies close together is read together, what was read lately comes from memory.
 */
import { LRUCache } from 'lru-cache';
import { VarveError } from '../../errors.js';
import { purgedLsn, type StoreLog } from './store-log.js';

/** LSNs no further apart than this are read in one go. */
const NEAR = 32;
/** Rough cost of an entry of the cache beside its bytes. */
const ENTRY_BYTES = 96;

export interface FoundRecord {
  readonly lsn: number;
  readonly payload: Uint8Array;
}

export class RecordReader {
  readonly #cache: LRUCache<number, Uint8Array>;
  readonly #partitions: number;

  constructor(partitions: number, cacheBytes: number) {
    this.#partitions = partitions;
    this.#cache = new LRUCache({ maxSize: cacheBytes, sizeCalculation: (payload) => payload.length + ENTRY_BYTES });
  }

  /** The records at `lsns`, in that order, which must ascend or descend. Throws as `Partition.read` does. */
  async read(partition: StoreLog, lsns: readonly number[], signal?: AbortSignal): Promise<FoundRecord[]> {
    const found = await this.readKept(partition, lsns, signal);
    const lost = lsns.find((lsn, i) => found[i]?.lsn !== lsn);
    if (lost !== undefined) throw purgedLsn(partition.number, lost, partition.oldestLsn);
    return found;
  }

  /** The same, without the records that were purged, were it only now. */
  async readKept(partition: StoreLog, lsns: readonly number[], signal?: AbortSignal): Promise<FoundRecord[]> {
    for (;;) {
      const below = partition.keptBelow;
      try {
        const oldest = partition.oldestLsn;
        return await this.#read(
          partition,
          lsns.filter((lsn) => lsn >= oldest),
          signal,
        );
      } catch (error) {
        const purged = error instanceof VarveError && error.code === 'ERR_VARVE_LSN_PURGED';
        if (!purged || partition.keptBelow === below) throw error;
      }
    }
  }

  async #read(partition: StoreLog, lsns: readonly number[], signal?: AbortSignal): Promise<FoundRecord[]> {
    const found: (FoundRecord | undefined)[] = [];
    const missing: number[] = [];
    for (const lsn of lsns) {
      const payload = this.#cache.get(this.#keyOf(partition, lsn));
      if (payload === undefined) missing.push(lsn);
      found.push(payload && { lsn, payload });
    }
    if (missing.length > 0) {
      const read = await this.#readAll(partition, missing, signal);
      for (let i = 0; i < lsns.length; i++) found[i] ??= read.get(lsns[i] as number);
    }
    return found.filter((record) => record !== undefined);
  }

  async #readAll(
    partition: StoreLog,
    lsns: readonly number[],
    signal: AbortSignal | undefined,
  ): Promise<Map<number, FoundRecord>> {
    const read = new Map<number, FoundRecord>();
    const ascending = [...lsns].sort((a, b) => a - b);
    for (let i = 0; i < ascending.length; ) {
      const from = ascending[i] as number;
      let to = from;
      const wanted = new Set<number>();
      for (; i < ascending.length && (ascending[i] as number) <= to + NEAR; i++) {
        to = ascending[i] as number;
        wanted.add(to);
      }
      const waiting = signal === undefined ? {} : { signal };
      const options = { from, to, visibility: 'written' as const, ...waiting };
      try {
        for await (const batch of partition.read(options).batches()) {
          for (const { lsn, payload } of batch) {
            if (!wanted.delete(lsn)) continue;
            // A copy, also for who reads: a view would keep its whole window in memory, and where many streams are read at
            // once each of their records may have a window of its own.
            const copy = Buffer.from(payload);
            read.set(lsn, { lsn, payload: copy });
            this.#cache.set(this.#keyOf(partition, lsn), copy);
          }
        }
      } catch (error) {
        // What was only written, and lost by a sync that failed, is no damage: the partition has failed, and says so.
        const corrupt = error instanceof VarveError && error.code === 'ERR_VARVE_CORRUPT';
        if (corrupt && to > partition.durableLsn) await partition.waitFor(to, waiting);
        throw error;
      }
      const lost = [...wanted].find((lsn) => lsn >= partition.keptBelow); // below that it may have been given up
      if (lost !== undefined) {
        throw new VarveError(
          'ERR_VARVE_LSN_OUT_OF_RANGE',
          `Record ${lost} of partition ${partition.number} could not be read, though it is indexed.`,
          { partition: partition.number, requested: lost },
        );
      }
    }
    return read;
  }

  #keyOf(partition: StoreLog, lsn: number): number {
    return lsn * this.#partitions + partition.number - 1;
  }
}
