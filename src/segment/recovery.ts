/**
 * How the files of one partition become a log again, and what a damaged or unfinished byte means. Only here and in the
 * parts that this is put together from is that decided; none of it mixes with how a log runs.
 *
 * Let X be the first position of the last segment that holds no valid frame, and L the LSN expected there.
 *
 *   A  nothing but zeros, or another life's bytes, behind X             → clean end
 *   B  a later frame, valid under this salt, states an LSN ≥ L durable   → refuse: acknowledged data are damaged
 *   C  the segment's cookie states an LSN ≥ L durable                    → refuse: the end is missing
 *   D  the caller knows an LSN ≥ L to be durable (minDurableLsn)         → refuse: the end is missing
 *   E  anything else behind X                                           → torn tail: copy it, cut at X, zero, sync
 *   F  the last file has a header but no valid open frame, and neither
 *      its frames nor its cookie state its base LSN durable              → it was never opened: give it up, the
 *                                                                          segment before it is the last one
 *   G  as F, but something states its base LSN durable                   → refuse
 *   H  a header; an index; a link to the segment before; or an open
 *      frame or a seal of any segment but the last does not hold         → refuse
 *   I  segments below the purge mark                                     → an interrupted purge: finish it
 *   J  a rewind file                                                     → an interrupted rewind: finish it first;
 *                                                                          drop a file that is not whole; refuse one
 *                                                                          that does not fit the segments
 *
 * Nothing is believed before it was synced: a crash of the process may have left bytes in the page cache that a crash
 * of the machine would still take away. And what no later frame or cookie proves to be durable is *written again*
 * before that sync, since after an fsync that failed in an earlier process the cache may hold, as clean, bytes that
 * never reached the disk. Every step can be repeated: recovery that crashes is recovered from by recovery.
 */
import { join } from 'node:path';
import type { DiskFile } from '../disk/disk.js';
import { VarveError } from '../errors.js';
import type { SegmentEntry } from './catalogue.js';
import type { PreviousSegment } from './frame.js';
import { DATA_OFFSET } from './header.js';
import { type RecoveredTail, recoverEnd, refuseIfOpened, refuseIfShort, type TornTail } from './log-end.js';
import { rewindName, segmentName } from './names.js';
import { damaged, type RecoveryRequest } from './recovery-request.js';
import { performRewind } from './rewind.js';
import { checkAllSealed } from './seals.js';
import { readHeads, type SegmentHead } from './segment-heads.js';

/** What recovery found and did. All numbers are exact. */
export interface RecoveryReport {
  readonly partition: number;
  readonly segments: number;
  readonly oldestLsn: number;
  /** Last LSN that was kept; `oldestLsn − 1` where the log is empty. */
  readonly lastLsn: number;
  /** Frames whose checksums were verified. */
  readonly framesVerified: number;
  /** The torn tail that was cut off, if there was one. */
  readonly torn: TornTail | undefined;
  /** The log ended with the mark of a clean close. */
  readonly clean: boolean;
  /** Milliseconds. */
  readonly duration: number;
}

export interface Recovered {
  /** Oldest first; the last one is the tail where there is one to go on in. */
  readonly segments: SegmentEntry[];
  /** The segment to go on in; undefined for an empty partition and behind a final seal. */
  readonly tail: RecoveredTail | undefined;
  /** What the open frame of the next new segment links to. */
  readonly previous: PreviousSegment;
  readonly nextLsn: number;
  /** Last LSN that is durable: all that was kept or, read-only, all that is proven. */
  readonly durableLsn: number;
  /** File names that no longer belong to the log, to be recycled or removed, oldest first. */
  readonly released: string[];
  readonly report: RecoveryReport;
}

/**
 * Recovers one partition. Rejects with `ERR_VARVE_CORRUPT`, `ERR_VARVE_FOREIGN`, `ERR_VARVE_UNSUPPORTED_VERSION`, or
 * with what the disk rejects with; then nothing has been changed that could not be done again.
 */
export async function recoverPartition(request: RecoveryRequest): Promise<Recovered> {
  const { disk, directory, partition, mark, readOnly } = request;
  const started = performance.now();
  let indexes = [...request.indexes];
  if (readOnly) await refuseUnfinishedRewind(request);
  else indexes = (await performRewind(disk, directory, partition, indexes)) ?? indexes; // J

  const firstKept = mark?.firstSegment ?? indexes[0] ?? 1;
  const released = indexes.filter((index) => index < firstKept).map((index) => segmentName(partition, index)); // I
  indexes = indexes.filter((index) => index >= firstKept);
  checkContiguous(request, indexes, firstKept);

  const opened = await readHeads(request, indexes);
  let last = opened.pop();
  let unopened: SegmentHead | undefined;
  if (last !== undefined && last.open === undefined) {
    unopened = last; // F or G, which depends on where the segment before it ends
    last = opened.pop();
  }
  const missing = [...opened, ...(last === undefined ? [] : [last])].find((segment) => segment.open === undefined);
  if (missing !== undefined)
    throw damaged(request, missing.index, DATA_OFFSET, 'The open frame of a segment is damaged');
  if (last === undefined && unopened !== undefined && unopened.index !== 1) {
    throw damaged(request, unopened.index, DATA_OFFSET, 'The segments before the newest one are missing');
  }

  const sealed = await checkAllSealed(request, opened, last);
  const segments = sealed.map(({ entry }) => entry);
  let framesVerified = sealed.reduce((sum, { frames }) => sum + frames, 0);

  const tail = last === undefined ? undefined : await recoverEnd(request, last, unopened);
  if (tail === undefined) {
    if (unopened !== undefined) await refuseIfOpened(request, unopened, 1, false);
    refuseIfShort(request, 0, 1, DATA_OFFSET);
  }
  if (unopened !== undefined) released.push(segmentName(partition, unopened.index));

  const nextLsn = tail?.scan.nextLsn ?? 1;
  if (tail !== undefined) {
    segments.push(tail.entry);
    framesVerified += tail.scan.frames + 1;
  }
  const oldestLsn = segments[0]?.baseLsn ?? 1;
  return {
    segments,
    tail: tail === undefined || tail.scan.ends === 'sealed' ? await closed(tail?.file) : tail,
    previous:
      tail === undefined
        ? { index: 0, lastLsn: 0, end: 0, checksum: 0 }
        : { index: tail.entry.index, lastLsn: nextLsn - 1, end: tail.scan.end, checksum: tail.scan.lastChecksum },
    nextLsn,
    durableLsn: readOnly ? Math.min(nextLsn - 1, tail?.scan.durableLsn ?? 0) : nextLsn - 1,
    released,
    report: {
      partition,
      segments: segments.length,
      oldestLsn,
      lastLsn: nextLsn - 1,
      framesVerified,
      torn: tail?.torn,
      clean: tail === undefined || tail.scan.ends !== 'open',
      duration: performance.now() - started,
    },
  };
}

async function closed(file: DiskFile | undefined): Promise<undefined> {
  await file?.close();
  return undefined;
}

/** Half a rewind looks like damage, and finishing it is a writer's part. */
async function refuseUnfinishedRewind({ disk, directory, partition }: RecoveryRequest): Promise<void> {
  const name = rewindName(partition);
  if (!(await disk.list(directory)).includes(name)) return;
  throw new VarveError(
    'ERR_VARVE_RECOVERY_REQUIRED',
    `A truncation of partition ${partition} was interrupted (${name}). Open the log once for writing: that finishes it.`,
    { partition, path: join(directory, name) },
  );
}

function checkContiguous(request: RecoveryRequest, indexes: readonly number[], first: number): void {
  if (indexes.length === 0 && request.mark !== undefined) {
    throw damaged(request, first, 0, 'The manifest knows of segments, but there is none');
  }
  indexes.forEach((index, i) => {
    if (index !== first + i) throw damaged(request, first + i, 0, 'A segment file is missing');
  });
}
