/**
 * Frames: the unit of writing, of checksum and of atomicity. Pure functions over bytes.
 *
 *   offset  size
 *        0     4  length of the whole frame, trailer included; a multiple of 8; 0 = nothing was written here
 *        4     4  CRC-32C over (the segment's salt, bytes 8 … length)
 *        8     8  first LSN: of the first record, or the next LSN where the frame has no records
 *       16     8  durable LSN known when the frame was closed
 *       24     4  record count
 *       28     1  kind: 1 open, 2 data, 3 seal
 *       29     1  flags (seal: bit 0 = final)
 *       30     2  zero
 *       32     8  time the frame was closed, ms since the epoch
 *       40     n  body
 *        …        zeros, so that the frame ends on a multiple of 8
 *   length-4   4  length again, for reading backwards
 *
 *   body of a data frame:  per record  u32 length + bytes
 *
 *   body of an open frame, the first of every segment:
 *       40     8  index of the previous segment (0 = there is none)
 *       48     8  last LSN of the previous segment (= first LSN − 1)
 *       56     4  end: offset behind the previous segment's last frame
 *       60     4  checksum of the previous segment's last frame
 *
 *   body of a seal frame:
 *       40     8  last LSN of the segment
 *       48     4  number of sparse index entries
 *       52     4  zero
 *       56   8×n  sparse index: u32 frame offset · u32 (first LSN of that frame − first LSN of the segment)
 *
 * A *final* seal ends its segment. A seal without that flag marks a clean close; appending goes on behind it.
 *
 * A length is never used before it was checked against the space that is left. What makes a frame valid is the
 * checksum, which begins with the segment's salt, *and* the LSN that is expected at that place: bytes of an earlier
 * life of the file, or of another place in it, pass neither.
 */
import { crc32c } from './checksum.js';
import { align8, readU64, writeU64 } from './integers.js';

export const FRAME_HEADER_SIZE = 40;
export const FRAME_TRAILER_SIZE = 4;
export const RECORD_HEADER_SIZE = 4;
/** The smallest frame: header and trailer, aligned. */
export const MIN_FRAME_SIZE = align8(FRAME_HEADER_SIZE + FRAME_TRAILER_SIZE);

export const KIND_OPEN = 1;
export const KIND_DATA = 2;
export const KIND_SEAL = 3;
export const FLAG_FINAL = 1;

const OPEN_BODY_SIZE = 24;
export const OPEN_FRAME_SIZE = frameSize(OPEN_BODY_SIZE);
const SEAL_BODY_SIZE = 16;
const INDEX_ENTRY_SIZE = 8;

/** Bytes that a frame with a body of this size takes. */
export function frameSize(bodySize: number): number {
  return align8(FRAME_HEADER_SIZE + bodySize + FRAME_TRAILER_SIZE);
}

export function sealFrameSize(indexEntries: number): number {
  return frameSize(SEAL_BODY_SIZE + INDEX_ENTRY_SIZE * indexEntries);
}

/** One entry of a segment's sparse index. */
export interface IndexEntry {
  /** File offset of a data frame. */
  readonly offset: number;
  /** First LSN of that frame. */
  readonly lsn: number;
}

/** What an open frame says of the segment before its own. */
export interface PreviousSegment {
  /** 0: there is none. */
  readonly index: number;
  readonly lastLsn: number;
  readonly end: number;
  readonly checksum: number;
}

export interface FrameHead {
  readonly firstLsn: number;
  readonly durableLsn: number;
  readonly count: number;
  readonly kind: number;
  readonly flags: number;
  readonly time: number;
}

/**
 * Completes the frame at `offset`, whose body is in place: padding, trailer, header, and last of all checksum and
 * length, so that a reader of a half-made frame sees no length. Returns the checksum.
 */
export function closeFrame(view: DataView, offset: number, bodySize: number, head: FrameHead, seed: number): number {
  const length = frameSize(bodySize);
  const end = offset + length;
  for (let i = offset + FRAME_HEADER_SIZE + bodySize; i < end - FRAME_TRAILER_SIZE; i++) view.setUint8(i, 0);
  view.setUint32(end - FRAME_TRAILER_SIZE, length, true);
  writeU64(view, offset + 8, head.firstLsn);
  writeU64(view, offset + 16, head.durableLsn);
  view.setUint32(offset + 24, head.count, true);
  view.setUint32(offset + 28, head.kind | (head.flags << 8), true);
  writeU64(view, offset + 32, head.time);
  const checksum = crc32c(view, offset + 8, end, seed);
  view.setUint32(offset + 4, checksum, true);
  view.setUint32(offset, length, true);
  return checksum;
}

/**
 * Length of the frame at `offset` if everything but its checksum is plausible for `space` bytes; else 0.
 * Cheap: it rejects nearly every position that is not a frame before a checksum is computed.
 */
export function plausibleLength(view: DataView, offset: number, space: number): number {
  if (space < MIN_FRAME_SIZE) return 0;
  const length = view.getUint32(offset, true);
  if (length < MIN_FRAME_SIZE || length > space || length % 8 !== 0) return 0;
  const kind = view.getUint8(offset + 28);
  return kind >= KIND_OPEN && kind <= KIND_SEAL ? length : 0;
}

/** True if the frame of `length` bytes at `offset` (already plausible) carries a matching checksum and trailer. */
export function checksumHolds(view: DataView, offset: number, length: number, seed: number): boolean {
  return (
    view.getUint32(offset + length - FRAME_TRAILER_SIZE, true) === length &&
    view.getUint32(offset + 4, true) === crc32c(view, offset + 8, offset + length, seed)
  );
}

export const frameLength = (view: DataView, offset: number): number => view.getUint32(offset, true);
export const frameChecksum = (view: DataView, offset: number): number => view.getUint32(offset + 4, true);
export const frameFirstLsn = (view: DataView, offset: number): number => readU64(view, offset + 8);
export const frameDurableLsn = (view: DataView, offset: number): number => readU64(view, offset + 16);
export const frameCount = (view: DataView, offset: number): number => view.getUint32(offset + 24, true);
export const frameKind = (view: DataView, offset: number): number => view.getUint8(offset + 28);
export const frameIsFinalSeal = (view: DataView, offset: number): boolean =>
  frameKind(view, offset) === KIND_SEAL && (view.getUint8(offset + 29) & FLAG_FINAL) !== 0;

/** A whole open frame. */
export function encodeOpenFrame(previous: PreviousSegment, time: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(OPEN_FRAME_SIZE);
  const view = new DataView(bytes.buffer);
  writeU64(view, 40, previous.index);
  writeU64(view, 48, previous.lastLsn);
  view.setUint32(56, previous.end, true);
  view.setUint32(60, previous.checksum, true);
  const firstLsn = previous.lastLsn + 1;
  closeFrame(
    view,
    0,
    OPEN_BODY_SIZE,
    { firstLsn, durableLsn: previous.lastLsn, count: 0, kind: KIND_OPEN, flags: 0, time },
    seed,
  );
  return bytes;
}

export function decodeOpenFrame(view: DataView, offset: number): PreviousSegment {
  return {
    index: readU64(view, offset + 40),
    lastLsn: readU64(view, offset + 48),
    end: view.getUint32(offset + 56, true),
    checksum: view.getUint32(offset + 60, true),
  };
}

/** Writes the body of a seal frame at `offset`; returns its size. */
export function encodeSealBody(
  view: DataView,
  offset: number,
  lastLsn: number,
  baseLsn: number,
  index: readonly IndexEntry[],
): number {
  let at = offset + FRAME_HEADER_SIZE;
  writeU64(view, at, lastLsn);
  view.setUint32(at + 8, index.length, true);
  view.setUint32(at + 12, 0, true);
  at += SEAL_BODY_SIZE;
  for (const entry of index) {
    view.setUint32(at, entry.offset, true);
    view.setUint32(at + 4, entry.lsn - baseLsn, true);
    at += INDEX_ENTRY_SIZE;
  }
  return SEAL_BODY_SIZE + INDEX_ENTRY_SIZE * index.length;
}

/** The sparse index and last LSN of a valid seal frame; undefined if its counts do not fit its length. */
export function decodeSealFrame(
  view: DataView,
  offset: number,
  baseLsn: number,
): { lastLsn: number; index: IndexEntry[] } | undefined {
  const lastLsn = readU64(view, offset + 40);
  const entries = view.getUint32(offset + 48, true);
  if (sealFrameSize(entries) !== frameLength(view, offset)) return undefined;
  const index: IndexEntry[] = [];
  let at = offset + FRAME_HEADER_SIZE + SEAL_BODY_SIZE;
  for (let i = 0; i < entries; i++, at += INDEX_ENTRY_SIZE) {
    index.push({ offset: view.getUint32(at, true), lsn: baseLsn + view.getUint32(at + 4, true) });
  }
  return { lastLsn, index };
}
