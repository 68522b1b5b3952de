/**
 * The writer of one active segment: encodes records into the frame in progress, closes frames, seals.
 *
 * It is told what to do and decides nothing: when a frame is closed, when a segment is left, what an acknowledgement
 * needs is the partition's business. Synchronous throughout; the only things that can throw are the image's writes.
 *
 * A new segment's open frame is held back (`publish`): until it is there, nothing in the segment counts, and recovery
 * takes the segment for one that was never opened. The partition publishes it when the segment before is durable.
 */
import type { DiskFile } from '../disk/disk.js';
import {
  closeFrame,
  encodeOpenFrame,
  encodeSealBody,
  FLAG_FINAL,
  FRAME_HEADER_SIZE,
  FRAME_TRAILER_SIZE,
  frameSize,
  type IndexEntry,
  KIND_DATA,
  KIND_SEAL,
  OPEN_FRAME_SIZE,
  type PreviousSegment,
  RECORD_HEADER_SIZE,
  sealFrameSize,
} from './frame.js';
import { COOKIE_SIZE, cookieOffset, DATA_OFFSET, encodeCookie, viewOf } from './header.js';
import type { SegmentImage } from './image.js';
import { align8 } from './integers.js';

/** Below this many bytes a loop beats the call of `TypedArray.set`. */
const LOOP_COPY_BYTES = 24;

/** Where a writer begins: behind the open frame of a new segment, or behind the last frame of a recovered one. */
export interface WriterStart {
  readonly file: DiskFile;
  readonly image: SegmentImage;
  readonly index: number;
  readonly segmentSize: number;
  readonly seed: number;
  readonly baseLsn: number;
  /** Set for a new segment: its open frame is made from this and held back. */
  readonly previous?: PreviousSegment;
  /** Set for a recovered segment. */
  readonly resume?: {
    readonly end: number;
    readonly nextLsn: number;
    readonly lastChecksum: number;
    readonly entries: IndexEntry[];
    readonly cookieSequence: number;
  };
  /** Milliseconds since the epoch, for the open frame. */
  readonly time: number;
}

/** Distance in bytes between entries of the sparse index: at most 4,096 entries a segment, at least a page apart. */
export function indexInterval(segmentSize: number): number {
  return Math.max(4096, Math.ceil(segmentSize / 4096));
}

/** The largest body (records with their headers) that one frame of a fresh segment can hold. */
export function maxBodySize(segmentSize: number): number {
  const room = Math.floor(segmentSize / 8) * 8 - DATA_OFFSET - OPEN_FRAME_SIZE - sealFrameSize(1);
  return room - FRAME_HEADER_SIZE - FRAME_TRAILER_SIZE;
}

export class SegmentWriter {
  readonly file: DiskFile;
  readonly index: number;
  readonly baseLsn: number;
  readonly segmentSize: number;
  readonly seed: number;
  /** Sparse index of the closed frames, in order. Shared with readers, which only read it. */
  readonly entries: IndexEntry[];
  /** File offset behind the last closed frame; the frame in progress begins here. */
  end: number;
  /** LSN of the next record to be added. */
  nextLsn: number;
  /** Checksum of the last closed frame: what the next segment's open frame links to. */
  lastChecksum: number;

  readonly #image: SegmentImage;
  readonly #limit: number;
  readonly #interval: number;
  /** File offset of the next record header in the frame in progress; 0 while there is no such frame. */
  #cursor = 0;
  #frameFirstLsn = 0;
  #sealed = false;
  #heldBack: Uint8Array | undefined;
  #cookieSequence: number;
  readonly #cookie = new Uint8Array(COOKIE_SIZE);

  constructor(start: WriterStart) {
    this.file = start.file;
    this.index = start.index;
    this.baseLsn = start.baseLsn;
    this.segmentSize = start.segmentSize;
    this.seed = start.seed;
    this.#image = start.image;
    this.#limit = Math.floor(start.segmentSize / 8) * 8;
    this.#interval = indexInterval(start.segmentSize);
    if (start.resume !== undefined) {
      this.end = start.resume.end;
      this.nextLsn = start.resume.nextLsn;
      this.lastChecksum = start.resume.lastChecksum;
      this.entries = start.resume.entries;
      this.#cookieSequence = start.resume.cookieSequence;
    } else {
      const previous = start.previous ?? { index: 0, lastLsn: 0, end: 0, checksum: 0 };
      this.#heldBack = encodeOpenFrame(previous, start.time, start.seed);
      this.end = DATA_OFFSET + OPEN_FRAME_SIZE;
      this.nextLsn = start.baseLsn;
      this.lastChecksum = viewOf(this.#heldBack).getUint32(4, true);
      this.entries = [];
      this.#cookieSequence = 0;
    }
  }

  /** True once the open frame has been handed over: only then do the segment's frames count. */
  get published(): boolean {
    return this.#heldBack === undefined;
  }

  /** Last LSN in a closed frame; `baseLsn − 1` while there is none. */
  get closedLsn(): number {
    return this.#cursor === 0 ? this.nextLsn - 1 : this.#frameFirstLsn - 1;
  }

  /** Bytes of the frame in progress; 0 while there is none. */
  get frameBytes(): number {
    return this.#cursor === 0 ? 0 : this.#cursor - this.end;
  }

  /** True if a body of `bytes` (records with their headers) fits, now, together with the seal to come. None behind it. */
  fits(bytes: number): boolean {
    if (this.#sealed) return false;
    const bodyEnd = (this.#cursor === 0 ? this.end + FRAME_HEADER_SIZE : this.#cursor) + bytes;
    return align8(bodyEnd + FRAME_TRAILER_SIZE) + sealFrameSize(this.entries.length + 1) <= this.#limit;
  }

  /**
   * Adds a record, which must fit, to the frame in progress or to a new one. Returns the record's offset: the frame's
   * for the first record of a frame, the record header's for the others.
   */
  add(payload: Uint8Array): number {
    const length = payload.length;
    let at = this.#cursor;
    let position = at;
    if (at === 0) {
      position = this.end;
      at = position + FRAME_HEADER_SIZE;
      this.#frameFirstLsn = this.nextLsn;
    }
    const image = this.#image;
    const next = at + RECORD_HEADER_SIZE + length;
    if (next + 8 - image.base > image.bytes.length) image.reserve(this.end, align8(next + FRAME_TRAILER_SIZE));
    let i = at - image.base;
    image.view.setUint32(i, length, true);
    i += RECORD_HEADER_SIZE;
    const bytes = image.bytes;
    if (length < LOOP_COPY_BYTES) for (let k = 0; k < length; k++) bytes[i + k] = payload[k] as number;
    else bytes.set(payload, i);
    this.#cursor = next;
    this.nextLsn++;
    return position;
  }

  /**
   * Closes the frame in progress, if there is one, and hands over all that is closed. After a throw the frame is
   * closed but not handed over; `handOver` tries again.
   */
  closeFrame(durableLsn: number, time: number): void {
    if (this.#cursor !== 0) {
      const start = this.end;
      const bodySize = this.#cursor - start - FRAME_HEADER_SIZE;
      const firstLsn = this.#frameFirstLsn;
      const count = this.nextLsn - firstLsn;
      const lastEntry = this.entries[this.entries.length - 1];
      if (start - (lastEntry === undefined ? DATA_OFFSET : lastEntry.offset) >= this.#interval) {
        this.entries.push({ offset: start, lsn: firstLsn });
      }
      this.#close(bodySize, { firstLsn, durableLsn, count, kind: KIND_DATA, flags: 0, time });
      this.#cursor = 0;
    }
    this.handOver();
  }

  /** Hands over the closed frames that have not been. */
  handOver(): void {
    this.#image.handOver(this.end);
  }

  /** Publishes how far the segment was handed over, for readers in other processes. */
  publishWritten(): void {
    if (this.published) this.#image.publishWritten(this.end);
  }

  /** Hands over the open frame that was held back. */
  publish(): void {
    if (this.#heldBack === undefined) return;
    this.#image.put(this.#heldBack, DATA_OFFSET);
    this.#heldBack = undefined;
    this.publishWritten();
  }

  /**
   * Seals. `final` ends the segment; otherwise it marks a clean close, and appending may go on behind the mark.
   * A mark needs room of its own beside the final seal: see `canMark`.
   */
  seal(final: boolean, durableLsn: number, time: number): void {
    this.closeFrame(durableLsn, time);
    if (this.#sealed) return; // sealed before, but not handed over until now
    const entries = final ? this.entries : [];
    this.#image.reserve(this.end, this.end + sealFrameSize(entries.length));
    const lastLsn = this.nextLsn - 1;
    const at = this.end - this.#image.base;
    const bodySize = encodeSealBody(this.#image.view, at, lastLsn, this.baseLsn, entries);
    const flags = final ? FLAG_FINAL : 0;
    this.#close(bodySize, { firstLsn: this.nextLsn, durableLsn, count: 0, kind: KIND_SEAL, flags, time });
    this.#sealed = final;
    this.handOver();
    this.publishWritten();
  }

  /** True if a mark of a clean close fits beside the final seal to come. */
  get canMark(): boolean {
    return this.#cursor === 0 && this.end + sealFrameSize(0) + sealFrameSize(this.entries.length + 1) <= this.#limit;
  }

  /** States in the header page what is known to be durable; it reaches the disk with some later sync, or never. */
  noteDurable(durableLsn: number, durableEnd: number): void {
    const cookie = { sequence: ++this.#cookieSequence, durableLsn, durableEnd };
    encodeCookie(viewOf(this.#cookie), 0, cookie, this.seed);
    this.#image.put(this.#cookie, cookieOffset(cookie.sequence));
    this.#image.publishDurable(durableEnd);
  }

  /** Gives back the image's memory; the file stays open. */
  release(): void {
    this.#image.release();
  }

  #close(bodySize: number, head: Parameters<typeof closeFrame>[3]): void {
    const image = this.#image;
    this.lastChecksum = closeFrame(image.view, this.end - image.base, bodySize, head, this.seed);
    this.end += frameSize(bodySize);
  }
}
