/** Verifies every frame of a segment that is in use, whatever was verified before. */
import type { DiskFile } from '../disk/disk.js';
import type { SegmentEntry } from './catalogue.js';
import { corruption } from './corruption.js';
import { checksumHolds, frameChecksum, frameKind, KIND_OPEN, OPEN_FRAME_SIZE, plausibleLength } from './frame.js';
import type { SegmentHandles } from './handles.js';
import { checksumSeed, DATA_OFFSET, decodeHeaderPage, viewOf } from './header.js';
import { scanFrames } from './scanner.js';

/** Frames verified. Rejects with `ERR_VARVE_CORRUPT` at the first that is damaged. `end` and `lastLsn` bound the segment. */
async function verifySegment(file: DiskFile, segment: SegmentEntry, end: number, lastLsn: number): Promise<number> {
  const damaged = (what: string, offset: number, firstLsn: number) =>
    corruption(what, {
      partition: segment.partition,
      segment: segment.index,
      offset,
      firstLsn,
      lastLsn,
      path: file.path,
    });
  const head = new Uint8Array(DATA_OFFSET + OPEN_FRAME_SIZE);
  await file.read(head, 0);
  const view = viewOf(head);
  const header = decodeHeaderPage(head.subarray(0, DATA_OFFSET));
  if (typeof header === 'string' || checksumSeed(header.salt) !== segment.seed) {
    throw damaged('The header of a segment is damaged', 0, segment.baseLsn);
  }
  const openHolds =
    plausibleLength(view, DATA_OFFSET, OPEN_FRAME_SIZE) === OPEN_FRAME_SIZE &&
    frameKind(view, DATA_OFFSET) === KIND_OPEN &&
    checksumHolds(view, DATA_OFFSET, OPEN_FRAME_SIZE, segment.seed);
  if (!openHolds) throw damaged('The open frame of a segment is damaged', DATA_OFFSET, segment.baseLsn);
  const start = {
    offset: DATA_OFFSET + OPEN_FRAME_SIZE,
    lsn: segment.baseLsn,
    checksum: frameChecksum(view, DATA_OFFSET),
  };
  const scan = await scanFrames(file, start, end, segment.seed, segment.segmentSize, lastLsn);
  if (scan.end !== end || scan.nextLsn !== lastLsn + 1) throw damaged('A frame is damaged', scan.end, scan.nextLsn);
  return scan.frames + 1;
}

export interface ProgressOptions {
  /** Ends the work: it rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Called with the bytes that are done and all bytes, after each segment. */
  onProgress?: ((done: number, all: number) => void) | undefined;
}

export interface VerifyResult {
  readonly segments: number;
  /** Frames whose checksums hold. */
  readonly frames: number;
  readonly records: number;
  readonly bytes: number;
}

/** Verifies `segments` as they are now, one after the other. A purge leaves those that are not done yet alone. */
export async function verifySegments(
  handles: SegmentHandles,
  segments: readonly SegmentEntry[],
  { signal, onProgress }: ProgressOptions,
): Promise<VerifyResult> {
  const bounds = segments.map((segment) => ({ segment, end: segment.end, lastLsn: segment.lastLsn }));
  const all = bounds.reduce((sum, { end }) => sum + end, 0);
  const result = { segments: 0, frames: 0, records: 0, bytes: 0 };
  // Pinned from the beginning: what is purged meanwhile could not be opened any more.
  for (const { segment } of bounds) segment.pins++;
  let verified = 0;
  try {
    for (const { segment, end, lastLsn } of bounds) {
      signal?.throwIfAborted();
      result.frames += await handles.with(segment.name, (file) => verifySegment(file, segment, end, lastLsn));
      result.segments++;
      result.records += lastLsn - segment.baseLsn + 1;
      result.bytes += end;
      segment.pins--;
      verified++;
      onProgress?.(result.bytes, all);
    }
  } finally {
    for (const { segment } of bounds.slice(verified)) segment.pins--;
  }
  return result;
}
