/**
 * The engine port: all that the event store knows of the log below it.
 *
 * The store appends batches to partitions in the order in which it calls, and is the only one who appends. Another
 * engine, a replicated one say, can take the local log's place by giving the same promises.
 */
import type { Log, LogStorage } from '../../log.js';
import type { Partition } from '../../partition.js';

/** One partition: a part of the `Partition` contract. */
export type EnginePartition = Pick<
  Partition,
  | 'number'
  | 'appendBatch'
  | 'waitFor'
  | 'read'
  | 'purgeBefore'
  | 'segments'
  | 'durableLsn'
  | 'writtenLsn'
  | 'oldestLsn'
  | 'durableLsn$'
>;

/** One segment, as the partition describes it. */
export type EngineSegment = ReturnType<EnginePartition['segments']>[number];

export interface Engine extends Pick<Log, 'directory' | 'events' | 'stats' | 'close'> {
  /** Where derived files go, the clock, and randomness. */
  readonly storage: LogStorage;
  partition(number: number): Promise<EnginePartition>;
}
