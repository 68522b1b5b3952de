/**
 * The end of the log, as recovery meets it: where the last segment's valid frames end, what the bytes behind them mean
 * (A to G of the table in recovery.ts), and making durable what is kept.
 */
import type { DiskFile } from '../disk/disk.js';
import { makeEntry, type SegmentEntry } from './catalogue.js';
import type { IndexEntry, PreviousSegment } from './frame.js';
import { DATA_OFFSET, viewOf } from './header.js';
import { damaged, pathOf, type RecoveryRequest } from './recovery-request.js';
import { lookBehind, type Scan, scanFrames } from './scanner.js';
import { FIRST_FRAME, type SegmentHead } from './segment-heads.js';
import { cutTornTail, eachChunk } from './torn-tail.js';

export interface RecoveredTail {
  /** Open for writing, unless `readOnly`. */
  readonly file: DiskFile;
  readonly entry: SegmentEntry;
  readonly lastChecksum: number;
  readonly entries: IndexEntry[];
  readonly cookieSequence: number;
}

/** The torn tail that was cut off; `copy` names the file that keeps its bytes (none is made where the log is only read). */
export interface TornTail {
  readonly segment: number;
  readonly offset: number;
  readonly bytes: number;
  readonly copy: string | undefined;
}

export interface LogEnd extends RecoveredTail {
  readonly scan: Scan;
  /** Undefined where there was none. */
  readonly torn: TornTail | undefined;
}

/** Recovers the end of the log in `segment`, the last one but for a file that may never have been opened. */
export async function recoverEnd(
  request: RecoveryRequest,
  segment: SegmentHead,
  unopened: SegmentHead | undefined,
): Promise<LogEnd> {
  const { disk, directory, partition, readOnly } = request;
  const { index, seed, cookie } = segment;
  const path = pathOf(request, index);
  const baseLsn = (segment.open as PreviousSegment).lastLsn + 1;
  const file = await disk.open(path, readOnly ? 'read' : 'write');
  try {
    if (!readOnly) await file.sync();
    const limit = Math.min(await file.size(), Math.floor(segment.header.segmentSize / 8) * 8);
    const start = { offset: FIRST_FRAME, lsn: baseLsn, checksum: segment.openChecksum };
    const proven = Math.max(baseLsn - 1, cookie?.durableLsn ?? 0);
    const scan = await scanFrames(file, start, limit, seed, segment.header.segmentSize, proven);
    const cut = await judgeEnd(request, segment, file, scan, limit);
    if (unopened !== undefined) await refuseIfOpened(request, unopened, scan.nextLsn, scan.ends === 'sealed');
    let copy: string | undefined;
    if (!readOnly) {
      if (cut.zeroTo > scan.end) {
        copy = await cutTornTail(disk, directory, file, { partition, index, from: scan.end, ...cut });
      }
      await writeAgain(file, scan);
      await file.sync();
    }
    const lastLsn = scan.nextLsn - 1;
    const sealed = scan.ends === 'sealed';
    const { segmentSize } = segment.header;
    const entries = sealed ? undefined : scan.entries;
    const fields = { partition, index, baseLsn, lastLsn, end: scan.end, segmentSize, seed, sealed, entries };
    return {
      file,
      entry: makeEntry({ ...fields, warm: true }),
      lastChecksum: scan.lastChecksum,
      entries: scan.entries,
      cookieSequence: cookie?.sequence ?? 0,
      scan,
      torn:
        cut.copyTo > scan.end ? { segment: index, offset: scan.end, bytes: cut.copyTo - scan.end, copy } : undefined,
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** How much behind X is to be kept in a copy, and how much is to be zeroed; both = X for nothing. */
interface Cut {
  readonly copyTo: number;
  readonly zeroTo: number;
}

/** Decides A, B, C, D or E for the end of the last segment. */
async function judgeEnd(
  request: RecoveryRequest,
  segment: SegmentHead,
  file: DiskFile,
  scan: Scan,
  limit: number,
): Promise<Cut> {
  const { index, cookie, header, seed } = segment;
  const lsn = scan.nextLsn;
  const behind =
    scan.ends === 'sealed'
      ? { proof: undefined, laterEnd: scan.end, dataEnd: scan.end }
      : await lookBehind(file, scan.end, limit, lsn, seed);
  if (behind.proof !== undefined) {
    throw damaged(request, index, scan.end, 'Acknowledged records are damaged', lsn, behind.proof.durableLsn); // B
  }
  if (cookie !== undefined && cookie.durableLsn >= lsn) {
    throw damaged(request, index, scan.end, 'The end of the log is missing', lsn, cookie.durableLsn); // C
  }
  refuseIfShort(request, index, lsn, scan.end); // D

  if (header.recycled) {
    // Old bytes are everywhere, so only what is surely of this life counts: later frames, which must not come back.
    return { copyTo: behind.laterEnd, zeroTo: behind.laterEnd };
  }
  const head = new Uint8Array(4);
  await file.read(head, scan.end);
  const begun = scan.end < limit && viewOf(head).getUint32(0, true) !== 0;
  // Bytes without a length are a frame that was never closed, or whose first sector never came: nobody was told of it.
  return { copyTo: begun || behind.laterEnd > scan.end ? behind.dataEnd : scan.end, zeroTo: behind.dataEnd };
}

/** D: `minDurableLsn`. `lsn` is the one expected at the end of the log. */
export function refuseIfShort(request: RecoveryRequest, segment: number, lsn: number, offset: number): void {
  if (request.minDurableLsn >= lsn) {
    throw damaged(request, segment, offset, 'The log ends before minDurableLsn', lsn, request.minDurableLsn);
  }
}

/** F or G: is the file without a valid open frame one that was never opened? `lsn` would be its base LSN. */
export async function refuseIfOpened(
  request: RecoveryRequest,
  segment: SegmentHead,
  lsn: number,
  sealed: boolean,
): Promise<void> {
  const { disk } = request;
  const file = await disk.open(pathOf(request, segment.index), 'read');
  try {
    const limit = Math.min(await file.size(), Math.floor(segment.header.segmentSize / 8) * 8);
    const behind = await lookBehind(file, DATA_OFFSET, limit, lsn, segment.seed);
    const durableLsn = Math.max(behind.proof?.durableLsn ?? 0, segment.cookie?.durableLsn ?? 0);
    if (durableLsn >= lsn) {
      const what = sealed ? 'The open frame of a segment is damaged' : 'The end of a segment is damaged';
      throw damaged(request, segment.index, DATA_OFFSET, what, lsn, durableLsn);
    }
  } finally {
    await file.close();
  }
}

/** Writes the records that nothing proves to be durable once more, with the same bytes. */
async function writeAgain(file: DiskFile, scan: Scan): Promise<void> {
  await eachChunk(file, scan.unprovenFrom, scan.end, (bytes, at) => file.writeSync(bytes, at));
}
