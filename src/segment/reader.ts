/**
 * Reads records out of one segment, forwards or backwards, in windows: each window is a buffer of its own, which the
 * payloads of its records share and which nobody writes to again. So a payload stays valid and unchanged for ever.
 *
 * The caller says up to which offset the segment may be read (nothing behind it is looked at) and keeps the segment
 * pinned meanwhile. Every frame's checksum and LSN are verified before a record of it is handed out; a region that was
 * verified once in this process is not verified again.
 */
import type { DiskFile } from '../disk/disk.js';
import { asVarveError } from '../errors.js';
import type { SegmentEntry } from './catalogue.js';
import { corruption } from './corruption.js';
import {
  checksumHolds,
  decodeSealFrame,
  FRAME_HEADER_SIZE,
  FRAME_TRAILER_SIZE,
  frameCount,
  frameFirstLsn,
  frameKind,
  frameLength,
  type IndexEntry,
  KIND_SEAL,
  MIN_FRAME_SIZE,
  OPEN_FRAME_SIZE,
  plausibleLength,
  RECORD_HEADER_SIZE,
} from './frame.js';
import type { SegmentHandles } from './handles.js';
import { DATA_OFFSET, viewOf } from './header.js';

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

/** First and largest window of a sequential read; it doubles in between. */
const FIRST_WINDOW_BYTES = 32 * 1024;
const MAX_WINDOW_BYTES = 256 * 1024;

/** A place in a segment that reading goes on from. `offset` is a frame boundary. */
export interface ReadCursor {
  offset: number;
  /** Forwards: LSN of the next frame's first record. Backwards: LSN behind the last record of the frame before. */
  lsn: number;
  window: number;
}

export class SegmentReader {
  readonly #handles: SegmentHandles;
  readonly #verifyOnce: boolean;

  /**
   * `verifyOnce`: a region that was verified need not be verified again. Only for the owner of the log: beside another
   * process a file may be recycled between two reads.
   */
  constructor(handles: SegmentHandles, verifyOnce: boolean) {
    this.#handles = handles;
    this.#verifyOnce = verifyOnce;
  }

  /** A cursor at the frame that the sparse index knows to be at or before `lsn`. */
  async seek(segment: SegmentEntry, lsn: number): Promise<ReadCursor> {
    const entries = await this.#entries(segment);
    let low = 0;
    let high = entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((entries[middle] as IndexEntry).lsn <= lsn) low = middle + 1;
      else high = middle;
    }
    const entry = entries[low - 1];
    return entry === undefined
      ? { offset: DATA_OFFSET + OPEN_FRAME_SIZE, lsn: segment.baseLsn, window: FIRST_WINDOW_BYTES }
      : { offset: entry.offset, lsn: entry.lsn, window: FIRST_WINDOW_BYTES };
  }

  /** LSN of the record at `localOffset`; undefined where no record begins there. `end` bounds what may be read. */
  async resolve(segment: SegmentEntry, localOffset: number, end: number): Promise<number | undefined> {
    const entries = await this.#entries(segment);
    let cursor: ReadCursor = {
      offset: DATA_OFFSET + OPEN_FRAME_SIZE,
      lsn: segment.baseLsn,
      window: FIRST_WINDOW_BYTES,
    };
    for (const entry of entries) {
      if (entry.offset > localOffset) break;
      cursor = { offset: entry.offset, lsn: entry.lsn, window: FIRST_WINDOW_BYTES };
    }
    while (cursor.offset <= localOffset && cursor.offset < end) {
      const records = await this.forward(segment, cursor, end, 1, Number.MAX_SAFE_INTEGER);
      const found = records.find((r) => r.position.localOffset === localOffset);
      if (found !== undefined) return found.lsn;
    }
    return undefined;
  }

  /**
   * The next records at `cursor`, which moves on; those with an LSN in [from, to] are returned. An empty result with
   * `cursor.offset` < `end` only means that the window held none of them.
   */
  async forward(
    segment: SegmentEntry,
    cursor: ReadCursor,
    end: number,
    from: number,
    to: number,
  ): Promise<LogRecord[]> {
    if (cursor.offset >= end) return [];
    let size = Math.min(cursor.window, end - cursor.offset);
    for (;;) {
      const start = cursor.offset;
      const window = await this.#read(segment, start, size);
      const records: LogRecord[] = [];
      const needed = this.#decode(segment, cursor, window, from, to, records);
      if (cursor.offset > start) {
        cursor.window = Math.min(cursor.window * 2, MAX_WINDOW_BYTES);
        return records;
      }
      // Not even one frame fitted: read exactly that frame.
      if (needed > end - start)
        throw this.#damaged(segment, start, cursor.lsn, 'A frame reaches past the end of the log');
      size = needed;
    }
  }

  /**
   * The records before `cursor`, newest first; the cursor moves towards the beginning of the segment. Those with an
   * LSN in [from, to] are returned.
   */
  async backward(segment: SegmentEntry, cursor: ReadCursor, from: number, to: number): Promise<LogRecord[]> {
    const first = DATA_OFFSET + OPEN_FRAME_SIZE;
    if (cursor.offset <= first) return [];
    let size = Math.min(cursor.window, cursor.offset - first);
    for (;;) {
      const end = cursor.offset;
      const start = end - size;
      const window = await this.#read(segment, start, size);
      const view = viewOf(window);
      const records: LogRecord[] = [];
      while (cursor.offset - start >= MIN_FRAME_SIZE) {
        const at = cursor.offset - start;
        const length = view.getUint32(at - FRAME_TRAILER_SIZE, true);
        if (length < MIN_FRAME_SIZE || length % 8 !== 0 || length > cursor.offset - first) {
          throw this.#damaged(
            segment,
            cursor.offset - FRAME_TRAILER_SIZE,
            cursor.lsn - 1,
            'A frame trailer is damaged',
          );
        }
        if (length > at) {
          size = length; // the frame begins before the window
          break;
        }
        this.#check(segment, view, at - length, length, start + at - length);
        const count = frameCount(view, at - length);
        if (frameFirstLsn(view, at - length) + count !== cursor.lsn) {
          throw this.#damaged(
            segment,
            start + at - length,
            cursor.lsn - 1,
            'A frame does not carry the LSN expected there',
          );
        }
        if (count > 0) {
          const frame: LogRecord[] = [];
          this.#records(segment, window, view, at - length, length, start + at - length, from, to, frame);
          for (let i = frame.length - 1; i >= 0; i--) records.push(frame[i] as LogRecord);
        }
        cursor.offset -= length;
        cursor.lsn -= count;
      }
      if (cursor.offset < end) {
        cursor.window = Math.min(cursor.window * 2, MAX_WINDOW_BYTES);
        return records;
      }
    }
  }

  /** Reads [offset, offset + size), which lies before the segment's end. */
  async #read(segment: SegmentEntry, offset: number, size: number): Promise<Uint8Array> {
    // Not from Buffer's shared pool, since the window lives as long as any payload in it; and not zeroed first, since
    // it is filled as a whole or not used.
    const window = Buffer.allocUnsafeSlow(size);
    const got = await this.#fill(segment, offset, window).catch((error: unknown) => {
      throw asVarveError(error, `Reading partition ${segment.partition}`, segment.name);
    });
    if (got < size) throw this.#damaged(segment, offset + got, undefined, 'The segment file is shorter than its log');
    return window;
  }

  async #fill(segment: SegmentEntry, offset: number, window: Uint8Array): Promise<number> {
    const open = segment.warm ? this.#handles.peek(segment.name) : undefined;
    if (open !== undefined) return open.readSync(window, offset);
    return this.#handles.with(segment.name, (file: DiskFile) =>
      segment.warm ? file.readSync(window, offset) : file.read(window, offset),
    );
  }

  /** Decodes whole frames; returns the bytes that the frame at the new cursor needs, as far as is known. */
  #decode(
    segment: SegmentEntry,
    cursor: ReadCursor,
    window: Uint8Array,
    from: number,
    to: number,
    out: LogRecord[],
  ): number {
    const view = viewOf(window);
    const start = cursor.offset;
    let at = 0;
    while (window.length - at >= FRAME_HEADER_SIZE) {
      const length = view.getUint32(at, true);
      if (length > window.length - at) {
        const limit = segment.segmentSize - (start + at);
        if (plausibleLength(view, at, limit) === 0) break;
        return length;
      }
      if (plausibleLength(view, at, window.length - at) === 0) break;
      this.#check(segment, view, at, length, start + at);
      const firstLsn = frameFirstLsn(view, at);
      if (firstLsn !== cursor.lsn) {
        throw this.#damaged(segment, start + at, cursor.lsn, 'A frame does not carry the LSN expected there');
      }
      const count = frameCount(view, at);
      if (count > 0) {
        if (firstLsn <= to && firstLsn + count > from) {
          this.#records(segment, window, view, at, length, start + at, from, to, out);
        }
        cursor.lsn += count;
      }
      at += length;
      cursor.offset = start + at;
      if (cursor.lsn > to) return 0;
    }
    if (at < window.length && window.length - at >= FRAME_HEADER_SIZE) {
      throw this.#damaged(segment, start + at, cursor.lsn, 'A frame header is damaged');
    }
    return FRAME_HEADER_SIZE;
  }

  #check(segment: SegmentEntry, view: DataView, at: number, length: number, offset: number): void {
    if (offset >= segment.verifiedFrom && offset + length <= segment.verifiedTo) return;
    if (!checksumHolds(view, at, length, segment.seed)) {
      throw this.#damaged(segment, offset, frameFirstLsn(view, at), 'A frame does not match its checksum');
    }
    if (!this.#verifyOnce) return;
    if (offset === segment.verifiedTo) segment.verifiedTo = offset + length;
    else if (offset + length === segment.verifiedFrom) segment.verifiedFrom = offset;
    else if (segment.verifiedTo === 0) {
      segment.verifiedFrom = offset;
      segment.verifiedTo = offset + length;
    }
  }

  #records(
    segment: SegmentEntry,
    window: Uint8Array,
    view: DataView,
    at: number,
    length: number,
    offset: number,
    from: number,
    to: number,
    out: LogRecord[],
  ): void {
    const buffer = window.buffer as ArrayBuffer;
    const bytesAt = window.byteOffset;
    const segmentIndex = segment.index;
    const end = at + length - FRAME_TRAILER_SIZE;
    let lsn = frameFirstLsn(view, at);
    let i = at + FRAME_HEADER_SIZE;
    let localOffset = offset;
    for (let left = frameCount(view, at); left > 0; left--) {
      const size = i + RECORD_HEADER_SIZE <= end ? view.getUint32(i, true) : end;
      const next = i + RECORD_HEADER_SIZE + size;
      if (next > end) throw this.#damaged(segment, offset, lsn, 'A record reaches past its frame');
      if (lsn >= from && lsn <= to) {
        const payload = new Uint8Array(buffer, bytesAt + i + RECORD_HEADER_SIZE, size);
        out.push({ lsn, payload, position: { segmentIndex, localOffset } });
      }
      lsn++;
      i = next;
      localOffset = offset + i - at;
    }
  }

  async #entries(segment: SegmentEntry): Promise<IndexEntry[]> {
    if (segment.entries !== undefined) return segment.entries;
    const cached = this.#handles.cachedIndex(segment.name);
    if (cached !== undefined) return cached;
    const entries = await this.#readSeal(segment);
    this.#handles.keepIndex(segment.name, entries);
    return entries;
  }

  /** The sparse index kept in a sealed segment's last frame. */
  async #readSeal(segment: SegmentEntry): Promise<IndexEntry[]> {
    const trailer = viewOf(await this.#read(segment, segment.end - FRAME_TRAILER_SIZE, FRAME_TRAILER_SIZE));
    const length = trailer.getUint32(0, true);
    const offset = segment.end - length;
    if (length >= MIN_FRAME_SIZE && offset >= DATA_OFFSET + OPEN_FRAME_SIZE) {
      const view = viewOf(await this.#read(segment, offset, length));
      if (
        frameLength(view, 0) === length &&
        frameKind(view, 0) === KIND_SEAL &&
        checksumHolds(view, 0, length, segment.seed)
      ) {
        const seal = decodeSealFrame(view, 0, segment.baseLsn);
        if (seal !== undefined && seal.lastLsn === segment.lastLsn) return seal.index;
      }
    }
    throw this.#damaged(segment, offset, segment.baseLsn, 'The seal of a segment is damaged');
  }

  #damaged(segment: SegmentEntry, offset: number, firstLsn: number | undefined, what: string) {
    return corruption(what, {
      partition: segment.partition,
      segment: segment.index,
      offset,
      ...(firstLsn === undefined ? {} : { firstLsn, lastLsn: Math.max(firstLsn, segment.lastLsn) }),
    });
  }
}
