/** What a recovery is asked for, and how what it refuses is told. Shared by the parts of recovery.ts. */
import { join } from 'node:path';
import type { Disk } from '../disk/disk.js';
import type { VarveError } from '../errors.js';
import { corruption } from './corruption.js';
import type { PurgeMark } from './manifest.js';
import { segmentName } from './names.js';

export interface RecoveryRequest {
  readonly disk: Disk;
  readonly directory: string;
  readonly partition: number;
  /** Indexes of the partition's segment files, ascending. */
  readonly indexes: readonly number[];
  readonly storeId: Uint8Array;
  readonly mark: PurgeMark | undefined;
  /** LSN that the caller knows to be durable; 0 = none. */
  readonly minDurableLsn: number;
  /** 'full' verifies every frame of every segment; 'tail' those of the last, and links and seals of the others. */
  readonly verify: 'tail' | 'full';
  /** Change nothing: report what a recovery would keep. */
  readonly readOnly: boolean;
}

/** The path of the segment with this index. */
export function pathOf({ directory, partition }: RecoveryRequest, index: number): string {
  return join(directory, segmentName(partition, index));
}

/** `ERR_VARVE_CORRUPT`: `what` was found at `offset` of a segment; the LSNs are those that it concerns, where known. */
export function damaged(
  request: RecoveryRequest,
  segment: number,
  offset: number,
  what: string,
  firstLsn?: number,
  lastLsn?: number,
): VarveError {
  const { partition } = request;
  return corruption(what, {
    partition,
    segment,
    offset,
    path: pathOf(request, segment),
    ...(firstLsn === undefined ? {} : { firstLsn }),
    ...(lastLsn === undefined ? {} : { lastLsn }),
  });
}
