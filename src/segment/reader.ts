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
import { makeBlock, recordIn } from './blocks.js';
import type { SegmentEntry } from './catalogue.js';
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
} from './frame.js';
import type { SegmentHandles } from './handles.js';
import { DATA_OFFSET, viewOf } from './header.js';
import { addRecords, damaged, type LogRecord, onlyRecord } from './records.js';

/** First window of a read of a few records, first and largest of a longer one; it doubles in between. */
const SMALL_WINDOW_BYTES = 32 * 1024;
const FIRST_WINDOW_BYTES = 128 * 1024;
const MAX_WINDOW_BYTES = 256 * 1024;
/** Up to so many records a small window is likely to hold them, together with what the sparse index leaves to search. */
const FEW_RECORDS = 64;

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

  /** A cursor at the frame that the sparse index knows to be at or before `lsn`, for reading about `records` more behind it. */
  async seek(segment: SegmentEntry, lsn: number, records: number): Promise<ReadCursor> {
    const entries = await this.#entries(segment);
    const behind = entriesUpTo(entries, lsn);
    const { offset, lsn: first } = entries[behind - 1] ?? {
      offset: DATA_OFFSET + OPEN_FRAME_SIZE,
      lsn: segment.baseLsn,
    };
    const next = entries[behind];
    let window = records <= FEW_RECORDS ? SMALL_WINDOW_BYTES : FIRST_WINDOW_BYTES;
    // Whole frames, of which the next block has none: blocks are kept.
    if (records === 0 && next !== undefined) window = next.offset - offset;
    return { offset, lsn: first, window };
  }

  /** The record with `lsn`, which the segment holds, where one near it was read lately; else undefined. Reads nothing. */
  inMemory(segment: SegmentEntry, lsn: number): LogRecord | undefined {
    const entries = segment.entries ?? this.#handles.cachedIndex(segment.name);
    if (entries === undefined) return undefined;
    const offset = entries[entriesUpTo(entries, lsn) - 1]?.offset ?? DATA_OFFSET + OPEN_FRAME_SIZE;
    const block = this.#handles.cachedBlock(segment.name, offset);
    return block && recordIn(segment, block, lsn);
  }

  /** LSN of the record at `localOffset`; undefined where no record begins there. `end` bounds what may be read. */
  async resolve(segment: SegmentEntry, localOffset: number, end: number): Promise<number | undefined> {
    const entries = await this.#entries(segment);
    let cursor: ReadCursor = {
      offset: DATA_OFFSET + OPEN_FRAME_SIZE,
      lsn: segment.baseLsn,
      window: SMALL_WINDOW_BYTES,
    };
    for (const entry of entries) {
      if (entry.offset > localOffset) break;
      cursor = { offset: entry.offset, lsn: entry.lsn, window: SMALL_WINDOW_BYTES };
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
    const { forgotten } = this.#handles;
    const firstLsn = cursor.lsn;
    let size = Math.min(cursor.window, end - cursor.offset);
    for (;;) {
      const start = cursor.offset;
      const window = await this.#read(segment, start, size);
      const records: LogRecord[] = [];
      const needed = this.#decode(segment, cursor, window, from, to, records);
      if (cursor.offset > start) {
        // Whoever asks for one record may ask for its neighbours next.
        if (from === to && this.#verifyOnce && forgotten === this.#handles.forgotten) {
          this.#handles.keepBlock(segment.name, makeBlock(segment, window, start, firstLsn));
        }
        cursor.window = Math.min(cursor.window * 2, MAX_WINDOW_BYTES);
        return records;
      }
      // Not even one frame fitted: read exactly that frame.
      if (needed > end - start) throw damaged(segment, start, cursor.lsn, 'A frame reaches past the end of the log');
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
          throw damaged(segment, cursor.offset - FRAME_TRAILER_SIZE, cursor.lsn - 1, 'A frame trailer is damaged');
        }
        if (length > at) {
          size = length; // the frame begins before the window
          break;
        }
        this.#check(segment, view, at - length, length, start + at - length);
        const count = frameCount(view, at - length);
        if (frameFirstLsn(view, at - length) + count !== cursor.lsn) {
          throw damaged(segment, start + at - length, cursor.lsn - 1, 'A frame does not carry the LSN expected there');
        }
        if (count > 0) {
          const frame: LogRecord[] = [];
          const firstLsn = cursor.lsn - count;
          addRecords(segment, view, at - length, length, start + at - length, firstLsn, count, from, to, frame);
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
    if (got < size) throw damaged(segment, offset + got, undefined, 'The segment file is shorter than its log');
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
    const size = window.length;
    const verified = start >= segment.verifiedFrom && start + size <= segment.verifiedTo;
    let lsn = cursor.lsn;
    let at = 0;
    while (size - at >= FRAME_HEADER_SIZE && lsn <= to) {
      const length = plausibleLength(view, at, segment.segmentSize - start - at);
      if (length === 0) throw damaged(segment, start + at, lsn, 'A frame header is damaged');
      if (length > size - at) {
        cursor.offset = start + at;
        cursor.lsn = lsn;
        return length;
      }
      if (!verified) this.#check(segment, view, at, length, start + at);
      if (frameFirstLsn(view, at) !== lsn) {
        throw damaged(segment, start + at, lsn, 'A frame does not carry the LSN expected there');
      }
      const count = frameCount(view, at);
      if (count === 1 && lsn >= from) out.push(onlyRecord(segment, view, at, length, start + at, lsn));
      else if (lsn + count > from) addRecords(segment, view, at, length, start + at, lsn, count, from, to, out);
      lsn += count;
      at += length;
    }
    cursor.offset = start + at;
    cursor.lsn = lsn;
    return FRAME_HEADER_SIZE;
  }

  #check(segment: SegmentEntry, view: DataView, at: number, length: number, offset: number): void {
    if (offset >= segment.verifiedFrom && offset + length <= segment.verifiedTo) return;
    if (!checksumHolds(view, at, length, segment.seed)) {
      throw damaged(segment, offset, frameFirstLsn(view, at), 'A frame does not match its checksum');
    }
    if (!this.#verifyOnce) return;
    if (offset === segment.verifiedTo) segment.verifiedTo = offset + length;
    else if (offset + length === segment.verifiedFrom) segment.verifiedFrom = offset;
    else if (segment.verifiedTo === 0) {
      segment.verifiedFrom = offset;
      segment.verifiedTo = offset + length;
    }
  }

  async #entries(segment: SegmentEntry): Promise<IndexEntry[]> {
    if (segment.entries !== undefined) return segment.entries;
    const cached = this.#handles.cachedIndex(segment.name);
    if (cached !== undefined) return cached;
    const { forgotten } = this.#handles;
    const entries = await this.#readSeal(segment);
    if (forgotten === this.#handles.forgotten) this.#handles.keepIndex(segment.name, entries);
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
    throw damaged(segment, offset, segment.baseLsn, 'The seal of a segment is damaged');
  }
}

/** How many of the entries are at or before `lsn`. */
function entriesUpTo(entries: readonly IndexEntry[], lsn: number): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle] as IndexEntry).lsn <= lsn) low = middle + 1;
    else high = middle;
  }
  return low;
}
