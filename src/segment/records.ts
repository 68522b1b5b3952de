/** Records, and how they are taken out of a frame that lies in memory. Pure functions over bytes. */
import type { VarveError } from '../errors.js';
import type { SegmentEntry } from './catalogue.js';
import { corruption } from './corruption.js';
import { FRAME_HEADER_SIZE, FRAME_TRAILER_SIZE, RECORD_HEADER_SIZE } from './frame.js';

/** Where a record lies. */
export interface Position {
  /** Index of the segment within the partition, from 1. */
  readonly segmentIndex: number;
  /** Byte offset in the segment file: the frame's for the first record of a frame, the record's own for the others. */
  readonly localOffset: number;
}

export interface LogRecord {
  /** Log sequence number: from 1, dense per partition. */
  readonly lsn: number;
  /** The bytes as they were appended. They stay valid and unchanged for ever. */
  readonly payload: Uint8Array;
  readonly position: Position;
}

/**
 * Adds the records of the frame at `at` that have an LSN in [from, to]. `offset` is the frame's in the file; it holds
 * `count` records from `firstLsn` on.
 */
export function addRecords(
  segment: SegmentEntry,
  view: DataView,
  at: number,
  length: number,
  offset: number,
  firstLsn: number,
  count: number,
  from: number,
  to: number,
  out: LogRecord[],
): void {
  const buffer = view.buffer as ArrayBuffer;
  const bytesAt = view.byteOffset + RECORD_HEADER_SIZE;
  const segmentIndex = segment.index;
  const end = at + length - FRAME_TRAILER_SIZE;
  let i = at + FRAME_HEADER_SIZE;
  let localOffset = offset;
  const behind = Math.min(firstLsn + count, to + 1);
  for (let lsn = firstLsn; lsn < behind; lsn++) {
    const size = i + RECORD_HEADER_SIZE <= end ? view.getUint32(i, true) : end;
    const next = i + RECORD_HEADER_SIZE + size;
    if (next > end) throw reachesPast(segment, offset, lsn);
    if (lsn >= from) {
      const payload = new Uint8Array(buffer, bytesAt + i, size);
      out.push({ lsn, payload, position: { segmentIndex, localOffset } });
    }
    i = next;
    localOffset = offset + i - at;
  }
}

/** The same for a frame of one record, as a lone waiter leaves them: small enough to be compiled into its caller. */
export function onlyRecord(
  segment: SegmentEntry,
  view: DataView,
  at: number,
  length: number,
  offset: number,
  lsn: number,
): LogRecord {
  const start = at + FRAME_HEADER_SIZE + RECORD_HEADER_SIZE;
  const size = view.getUint32(start - RECORD_HEADER_SIZE, true);
  if (start + size > at + length - FRAME_TRAILER_SIZE) throw reachesPast(segment, offset, lsn);
  const payload = new Uint8Array(view.buffer, view.byteOffset + start, size);
  return { lsn, payload, position: { segmentIndex: segment.index, localOffset: offset } };
}

const reachesPast = (segment: SegmentEntry, offset: number, lsn: number): VarveError =>
  damaged(segment, offset, lsn, 'A record reaches past its frame');

/** `ERR_VARVE_CORRUPT` at `offset` of a segment, from `firstLsn` on. */
export function damaged(segment: SegmentEntry, offset: number, firstLsn: number | undefined, what: string): VarveError {
  return corruption(what, {
    partition: segment.partition,
    segment: segment.index,
    offset,
    ...(firstLsn === undefined ? {} : { firstLsn, lastLsn: Math.max(firstLsn, segment.lastLsn) }),
  });
}
