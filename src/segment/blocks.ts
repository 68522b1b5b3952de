/**
 * Blocks: parts of segments that were read for single records, with the places of their frames, verified. A record near
 * one that was read lately costs neither a system call nor a checksum.
 */
import type { SegmentEntry } from './catalogue.js';
import { checksumHolds, FRAME_HEADER_SIZE, frameCount, frameFirstLsn, plausibleLength } from './frame.js';
import { viewOf } from './header.js';
import { addRecords, type LogRecord } from './records.js';

export interface Block {
  readonly view: DataView;
  /** Offset of the block in its segment file: a frame begins there. */
  readonly start: number;
  /** Of each frame: its offset in the block, and the LSN of its first record. */
  readonly offsets: readonly number[];
  readonly firstLsns: readonly number[];
}

/** The whole frames of `window`, which begins at offset `start` and LSN `firstLsn`, up to one that is not as it should be. */
export function makeBlock(segment: SegmentEntry, window: Uint8Array, start: number, firstLsn: number): Block {
  const view = viewOf(window);
  const offsets: number[] = [];
  const firstLsns: number[] = [];
  let lsn = firstLsn;
  let at = 0;
  while (window.length - at >= FRAME_HEADER_SIZE) {
    const length = plausibleLength(view, at, window.length - at);
    if (length === 0 || frameFirstLsn(view, at) !== lsn || !checksumHolds(view, at, length, segment.seed)) break;
    offsets.push(at);
    firstLsns.push(lsn);
    lsn += frameCount(view, at);
    at += length;
  }
  return { view, start, offsets, firstLsns };
}

/** The record with `lsn`; undefined where it is not in the block. Throws `ERR_VARVE_CORRUPT`. */
export function recordIn(segment: SegmentEntry, block: Block, lsn: number): LogRecord | undefined {
  const { view, start, offsets, firstLsns } = block;
  let low = 0;
  let high = firstLsns.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((firstLsns[middle] as number) <= lsn) low = middle + 1;
    else high = middle;
  }
  const at = offsets[low - 1];
  if (at === undefined) return undefined;
  const length = view.getUint32(at, true);
  const found: LogRecord[] = [];
  const count = frameCount(view, at);
  addRecords(segment, view, at, length, start + at, firstLsns[low - 1] as number, count, lsn, lsn, found);
  return found[0];
}
