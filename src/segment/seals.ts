/**
 * The segments before the last one, as recovery meets them: each against the link that the next one's open frame keeps
 * to it (H).
 */
import type { FilePiece } from '../disk/disk.js';
import { makeEntry, type SegmentEntry } from './catalogue.js';
import {
  checksumHolds,
  decodeSealFrame,
  FRAME_TRAILER_SIZE,
  frameChecksum,
  frameFirstLsn,
  frameIsFinalSeal,
  MIN_FRAME_SIZE,
  type PreviousSegment,
  plausibleLength,
  sealFrameSize,
} from './frame.js';
import { type SegmentHeader, viewOf } from './header.js';
import { mapPieces, readPiece } from './pieces.js';
import { damaged, pathOf, type RecoveryRequest } from './recovery-request.js';
import { scanFrames } from './scanner.js';
import { FIRST_FRAME, type SegmentHead } from './segment-heads.js';
import { indexInterval } from './writer.js';

/** A sealed segment, and the link that the next one's open frame keeps to it. */
interface Sealed {
  readonly segment: SegmentHead;
  readonly link: PreviousSegment;
  readonly baseLsn: number;
}

/** Checks all segments before `last`; `frames` is the number of those that were verified. */
export function checkAllSealed(
  request: RecoveryRequest,
  opened: readonly SegmentHead[],
  last: SegmentHead | undefined,
): Promise<{ entry: SegmentEntry; frames: number }[]> {
  const all = opened.map((segment, i) => checkLink(request, segment, (opened[i + 1] ?? last) as SegmentHead));
  const pieces = all.map((sealed) => endPiece(request, sealed, largestSeal(sealed.segment.header)));
  return mapPieces(request.disk, pieces, (bytes, i) => {
    const whole = bytes.length === pieces[i]?.length; // else the file ends in it
    return checkSealed(request, all[i] as Sealed, whole ? bytes : new Uint8Array(0));
  });
}

function checkLink(request: RecoveryRequest, segment: SegmentHead, next: SegmentHead): Sealed {
  const link = next.open as PreviousSegment;
  const baseLsn = (segment.open as PreviousSegment).lastLsn + 1;
  const fits = link.end >= FIRST_FRAME + MIN_FRAME_SIZE && link.end <= segment.header.segmentSize;
  if (link.index !== segment.index || link.lastLsn < baseLsn - 1 || !fits) {
    const what = 'The next segment does not link to this one';
    throw damaged(request, segment.index, link.end, what, baseLsn, link.lastLsn);
  }
  return { segment, link, baseLsn };
}

/** The last `length` bytes of a sealed segment's frames. */
function endPiece(request: RecoveryRequest, { segment, link }: Sealed, length: number): FilePiece {
  const position = Math.max(FIRST_FRAME, link.end - length);
  return { path: pathOf(request, segment.index), position, length: link.end - position };
}

/** As this version writes it. */
function largestSeal({ segmentSize }: SegmentHeader): number {
  return sealFrameSize(Math.ceil(segmentSize / indexInterval(segmentSize)));
}

/** A sealed segment against its link; `bytes` are the last ones of its frames. */
async function checkSealed(
  request: RecoveryRequest,
  sealed: Sealed,
  bytes: Uint8Array,
): Promise<{ entry: SegmentEntry; frames: number }> {
  const { segment, link, baseLsn } = sealed;
  const { index, seed, header } = segment;
  const fault = (offset: number, what: string) => damaged(request, index, offset, what, baseLsn, link.lastLsn);
  // Its length stands at the end.
  const trailer = bytes.length - FRAME_TRAILER_SIZE;
  const length = trailer < 0 ? 0 : viewOf(bytes).getUint32(trailer, true);
  const sealAt = link.end - length;
  if (length < MIN_FRAME_SIZE || sealAt < FIRST_FRAME) {
    throw fault(link.end - FRAME_TRAILER_SIZE, 'The seal is damaged');
  }
  const seal =
    length <= bytes.length
      ? bytes.subarray(bytes.length - length)
      : await readPiece(request.disk, endPiece(request, sealed, length));
  const view = viewOf(seal);
  if (
    seal.length !== length ||
    plausibleLength(view, 0, length) !== length ||
    !checksumHolds(view, 0, length, seed) ||
    !frameIsFinalSeal(view, 0) ||
    frameFirstLsn(view, 0) !== link.lastLsn + 1 ||
    decodeSealFrame(view, 0, baseLsn)?.lastLsn !== link.lastLsn
  ) {
    throw fault(sealAt, 'The seal is damaged');
  }
  if (frameChecksum(view, 0) !== link.checksum) throw fault(sealAt, 'The next segment links to another seal');
  const frames = request.verify === 'full' ? await verifyFrames(request, segment, link, baseLsn) : 2;
  const { partition } = request;
  const { segmentSize } = header;
  const fields = { partition, index, baseLsn, lastLsn: link.lastLsn, end: link.end, segmentSize, seed };
  return { entry: makeEntry({ ...fields, sealed: true, entries: undefined, warm: false }), frames };
}

/** Every frame of a sealed segment; returns how many there are. */
async function verifyFrames(
  request: RecoveryRequest,
  { index, header, seed, openChecksum }: SegmentHead,
  link: PreviousSegment,
  baseLsn: number,
): Promise<number> {
  const file = await request.disk.open(pathOf(request, index), 'read');
  try {
    const start = { offset: FIRST_FRAME, lsn: baseLsn, checksum: openChecksum };
    const scan = await scanFrames(file, start, link.end, seed, header.segmentSize, baseLsn - 1);
    if (scan.end !== link.end || scan.nextLsn !== link.lastLsn + 1) {
      throw damaged(request, index, scan.end, 'A frame of a sealed segment is damaged', scan.nextLsn, link.lastLsn);
    }
    return scan.frames + 1;
  } finally {
    await file.close();
  }
}
