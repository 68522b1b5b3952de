/**
 * The engine port: all that the event store knows of the log below it.
 *
 * The store appends batches to partitions in the order in which it calls, and is the only one who appends. Another
 * engine, a replicated one say, can take the local log's place by giving the same promises.
 */
import type { Log, LogStorage } from '../../log.js';
import type { ReadOptions } from '../../options.js';
import type { Partition } from '../../partition.js';

/** What is read of a partition. */
export interface EngineRecord {
  readonly lsn: number;
  readonly payload: Uint8Array;
}

export interface EngineReadOptions extends Pick<ReadOptions, 'to' | 'limit' | 'visibility' | 'signal'> {
  from?: number;
  direction?: 'forward' | 'backward';
}

export interface EngineReading {
  batches(): AsyncGenerator<readonly EngineRecord[]>;
  toArray(): Promise<readonly EngineRecord[]>;
}

/** One partition: a part of the `Partition` contract. */
export interface EnginePartition
  extends Pick<
    Partition,
    'number' | 'appendBatch' | 'waitFor' | 'purgeBefore' | 'segments' | 'durableLsn' | 'writtenLsn' | 'oldestLsn'
  > {
  read(options?: EngineReadOptions): EngineReading;
}

export interface Engine extends Pick<Log, 'directory' | 'events' | 'stats' | 'close'> {
  /** Where derived files go, the clock, and randomness. */
  readonly storage: LogStorage;
  partition(number: number): Promise<EnginePartition>;
}
