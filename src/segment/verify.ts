/** Verifies every frame of a segment that is in use, whatever was verified before. */
import type { DiskFile } from '../disk/disk.js';
import type { SegmentEntry } from './catalogue.js';
import { corruption } from './corruption.js';
import { checksumHolds, frameChecksum, frameKind, KIND_OPEN, OPEN_FRAME_SIZE, plausibleLength } from './frame.js';
import { checksumSeed, DATA_OFFSET, decodeHeaderPage, viewOf } from './header.js';
import { scanFrames } from './scanner.js';

/** Frames verified. Rejects with `ERR_VARVE_CORRUPT` at the first that is damaged. `end` and `lastLsn` bound the segment. */
export async function verifySegment(
  file: DiskFile,
  segment: SegmentEntry,
  end: number,
  lastLsn: number,
): Promise<number> {
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
