/** What stands behind the handle that users hold: a partition that is written to, or one that is only read. */
import type { PartitionActor } from '../actors/partition-machine.js';
import type { Ack } from '../options.js';
import type { ProgressOptions, VerifyResult } from '../segment/verify.js';
import type { Stats } from '../stats.js';
import type { LsnMark } from '../streams/lsn-mark.js';
import type { RecordSource } from '../streams/record-stream.js';
import type { Appended, AppendedBatch } from './tail.js';

export interface PurgeResult {
  /** Segments that were given up. */
  readonly segments: number;
  /** Bytes of their files: returned to the file system, or kept for reuse. */
  readonly bytes: number;
  /** Oldest LSN that can still be read. */
  readonly oldestLsn: number;
}

export interface PartitionBackend extends RecordSource {
  /** Undefined where nothing is written. */
  readonly actor: PartitionActor | undefined;
  readonly written: LsnMark;
  readonly durable: LsnMark;
  readonly oldest: LsnMark;
  append(payload: Uint8Array, ack: Ack): Promise<Appended>;
  appendBatch(payloads: readonly Uint8Array[], ack: Ack): Promise<AppendedBatch>;
  write(payload: Uint8Array): number;
  sync(): Promise<number>;
  waitFor(lsn: number, signal: AbortSignal | undefined): Promise<void>;
  rotate(): Promise<void>;
  purgeBefore(minLsn: number): Promise<PurgeResult>;
  truncateAfter(lsn: number): Promise<void>;
  verify(options: ProgressOptions): Promise<VerifyResult>;
  stats(): Stats;
  close(): Promise<void>;
}
