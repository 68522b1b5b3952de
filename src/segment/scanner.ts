/**
 * Scans a segment file from a known frame boundary to the first position that holds no valid frame (X), and tells what
 * lies behind it. Knows bytes, not policy: what the findings mean is decided in recovery.ts.
 */
import type { DiskFile } from '../disk/disk.js';
import {
  checksumHolds,
  FRAME_HEADER_SIZE,
  frameChecksum,
  frameCount,
  frameDurableLsn,
  frameFirstLsn,
  frameIsFinalSeal,
  frameKind,
  type IndexEntry,
  KIND_DATA,
  KIND_OPEN,
  KIND_SEAL,
  MIN_FRAME_SIZE,
  plausibleLength,
} from './frame.js';
import { viewOf } from './header.js';
import { indexInterval } from './writer.js';

/** Window of a scan: large enough that a read costs little beside its checksums, small enough to yield often. */
const WINDOW_BYTES = 1024 * 1024;
const ZEROS = new Uint8Array(WINDOW_BYTES);

export interface ScanStart {
  readonly offset: number;
  /** LSN expected at `offset`. */
  readonly lsn: number;
  /** Checksum of the frame before `offset`. */
  readonly checksum: number;
}

export interface Scan {
  /** X: offset behind the last valid frame. */
  end: number;
  /** LSN expected at X. */
  nextLsn: number;
  /** Checksum of the last valid frame. */
  lastChecksum: number;
  frames: number;
  entries: IndexEntry[];
  /** The highest durable LSN that any valid frame states. */
  durableLsn: number;
  /** Offset of the first frame that no other states to be durable, seals included; = `end` where there is none. */
  unprovenFrom: number;
  /** What the last valid frame is: a final seal, the mark of a clean close, or anything else. */
  ends: 'sealed' | 'marked' | 'open';
}

/**
 * Scans `file` from `start` up to `limit` bytes; records up to `provenLsn` are known to be durable. Resolves where the first invalid frame, a final seal, or the end of
 * the file is met. Rejects only with what reading rejects with.
 */
export async function scanFrames(
  file: DiskFile,
  start: ScanStart,
  limit: number,
  seed: number,
  segmentSize: number,
  provenLsn: number,
): Promise<Scan> {
  const interval = indexInterval(segmentSize);
  const scan: Scan = {
    end: start.offset,
    nextLsn: start.lsn,
    lastChecksum: start.checksum,
    frames: 0,
    entries: [],
    durableLsn: provenLsn,
    unprovenFrom: start.offset,
    ends: 'open',
  };
  // Frames that no other has proven yet, oldest first, as (offset, LSN that proves them).
  const unproven: { offset: number; lastLsn: number }[] = [];
  let proven = 0; // so many of them have been proven since
  let lastEntry = start.offset;
  let window = new Uint8Array(Math.min(WINDOW_BYTES, Math.max(0, limit - start.offset)));
  let view = viewOf(window);
  let windowStart = start.offset;
  let filled = 0;

  for (;;) {
    const at = scan.end - windowStart;
    const have = filled - at;
    const length = have < FRAME_HEADER_SIZE ? 0 : plausibleLength(view, at, limit - scan.end);
    const reachedEnd = windowStart + filled >= limit;
    if ((have < FRAME_HEADER_SIZE || length > have) && !reachedEnd) {
      // The frame reaches past the window: begin a new window at the frame, large enough to hold it.
      const size = Math.min(Math.max(WINDOW_BYTES, length), limit - scan.end);
      if (size > window.length) {
        window = new Uint8Array(size);
        view = viewOf(window);
      }
      windowStart = scan.end;
      filled = await file.read(window.subarray(0, size), windowStart);
      if (filled < size) limit = Math.min(limit, windowStart + filled);
      continue;
    }
    if (length > have || length === 0) break;
    if (scan.ends === 'sealed' || !isNext(view, at, length, scan.nextLsn, seed)) break;

    const kind = frameKind(view, at);
    const count = frameCount(view, at);
    if (kind === KIND_DATA) {
      if (scan.end - lastEntry >= interval) {
        scan.entries.push({ offset: scan.end, lsn: scan.nextLsn });
        lastEntry = scan.end;
      }
    }
    // A seal has no record of its own: it is proven with the record behind it.
    const lastLsn = kind === KIND_DATA ? scan.nextLsn + count - 1 : scan.nextLsn;
    if (lastLsn > scan.durableLsn) unproven.push({ offset: scan.end, lastLsn });
    const durable = frameDurableLsn(view, at);
    if (durable > scan.durableLsn) {
      scan.durableLsn = durable;
      while (proven < unproven.length && (unproven[proven] as { lastLsn: number }).lastLsn <= durable) proven++;
    }
    scan.ends = kind !== KIND_SEAL ? 'open' : frameIsFinalSeal(view, at) ? 'sealed' : 'marked';
    scan.lastChecksum = frameChecksum(view, at);
    scan.nextLsn += count;
    scan.frames++;
    scan.end += length;
  }
  scan.unprovenFrom = unproven[proven]?.offset ?? scan.end;
  return scan;
}

/** True if the frame at `at` is whole, of this segment's life, and carries the LSN expected there. */
function isNext(view: DataView, at: number, length: number, lsn: number, seed: number): boolean {
  return (
    frameFirstLsn(view, at) === lsn &&
    frameKind(view, at) !== KIND_OPEN &&
    (frameKind(view, at) === KIND_DATA) === frameCount(view, at) > 0 &&
    lsn + frameCount(view, at) <= Number.MAX_SAFE_INTEGER &&
    checksumHolds(view, at, length, seed)
  );
}

/** What lies behind X. */
export interface Behind {
  /** A later frame, valid under this salt, that states an LSN ≥ the one expected at X to be durable. */
  proof: { offset: number; firstLsn: number; durableLsn: number } | undefined;
  /** Offset behind the last later frame that is valid under this salt; = X where there is none. */
  laterEnd: number;
  /** Offset behind the last byte that is not zero; = X where all is zero. */
  dataEnd: number;
}

/**
 * Looks through [from, limit) for frames of this segment's life, at every multiple of 8, whatever lies in between.
 * `lsn` is the LSN expected at `from`. Stops at the first proof.
 */
export async function lookBehind(
  file: DiskFile,
  from: number,
  limit: number,
  lsn: number,
  seed: number,
): Promise<Behind> {
  const behind: Behind = { proof: undefined, laterEnd: from, dataEnd: from };
  const buffer = new Uint8Array(Math.min(WINDOW_BYTES, Math.max(0, limit - from)));
  for (let at = from; at < limit && behind.proof === undefined; ) {
    const window = buffer.subarray(0, Math.min(WINDOW_BYTES, limit - at));
    const got = await file.read(window, at);
    if (Buffer.compare(window.subarray(0, got), ZEROS.subarray(0, got)) !== 0) {
      behind.dataEnd = at + lastNonZero(window, got) + 1;
      const view = viewOf(window);
      for (let i = 0; i + 8 <= got && behind.proof === undefined; i += 8) {
        const length = view.getUint32(i, true);
        if (length < MIN_FRAME_SIZE || length % 8 !== 0 || length > limit - at - i) continue;
        const inside = i + length <= got;
        // Most bytes that are not a frame fail here, before anything is read or summed up.
        if (i + FRAME_HEADER_SIZE <= got && (plausibleLength(view, i, length) === 0 || frameFirstLsn(view, i) < lsn)) {
          continue;
        }
        const frame = inside ? view : viewOf(await readWhole(file, at + i, length));
        noteFrame(frame, inside ? i : 0, length, at + i, lsn, seed, behind);
      }
    }
    if (got < window.length) break;
    at += got;
  }
  return behind;
}

async function readWhole(file: DiskFile, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await file.read(bytes, offset); // past the end of the file there are zeros, which no checksum matches
  return bytes;
}

function noteFrame(
  view: DataView,
  at: number,
  length: number,
  offset: number,
  lsn: number,
  seed: number,
  behind: Behind,
): void {
  const firstLsn = frameFirstLsn(view, at);
  if (plausibleLength(view, at, length) === 0 || firstLsn < lsn || !checksumHolds(view, at, length, seed)) return;
  behind.laterEnd = offset + length;
  const durableLsn = frameDurableLsn(view, at);
  if (durableLsn >= lsn) behind.proof = { offset, firstLsn, durableLsn };
}

/** Offset of the last byte that is not zero among the first `length`. */
function lastNonZero(bytes: Uint8Array, length: number): number {
  let i = length - 1;
  while (i >= 0 && bytes[i] === 0) i--;
  return i;
}
