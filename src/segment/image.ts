/**
 * The image of a segment's bytes that frames are encoded into, and how it reaches the operating system.
 *
 * Two back ends behind one interface. The writer asks for room, encodes in place, and hands over:
 * - mapped:  the image *is* the file; what is encoded has been handed over. Cursors are published with `Atomics`.
 * - written: the image is a buffer that holds what was not handed over yet; handing over is one positioned write.
 *
 * Only the segment's writer touches an image. Nobody outside ever sees a view of mapped memory.
 */
import type { DiskFile, DiskMapping } from '../disk/disk.js';
import { DURABLE_CURSOR_OFFSET, viewOf, WRITTEN_CURSOR_OFFSET } from './header.js';

export interface SegmentImage {
  /** The bytes from file offset `base` on. Replaced by `reserve`: read it anew after each call. */
  bytes: Uint8Array;
  /** The same bytes; replaced together with `bytes`. */
  view: DataView;
  /** File offset of `bytes[0]`. */
  base: number;

  /** Makes file offsets [from, to) addressable and keeps what was encoded from `from` on. `from` ≥ `base`. */
  reserve(from: number, to: number): void;
  /** Hands all that was encoded before file offset `to` to the operating system. Throws what the write throws. */
  handOver(to: number): void;
  /** Writes a few bytes at any file offset, at once. */
  put(bytes: Uint8Array, offset: number): void;
  /** Publishes the end of the last frame handed over. */
  publishWritten(end: number): void;
  /** Publishes the end of the last durable frame. */
  publishDurable(end: number): void;
  /** Gives the memory back. The image must not be used afterwards. Idempotent. */
  release(): void;
}

const EMPTY = new Uint8Array(0);

/** How much behind the last frame of a mapped image is prefetched at a time, once less than half of it is left. */
const PREFETCH_BYTES = 2 * 1024 * 1024;

export class MappedImage implements SegmentImage {
  bytes: Uint8Array;
  view: DataView;
  readonly base = 0;
  #cursors: Uint32Array;
  readonly #mapping: DiskMapping;
  readonly #file: DiskFile;
  /** File offset up to which pages have been prefetched. */
  #prefetched = 0;

  constructor(file: DiskFile, segmentSize: number) {
    this.#file = file;
    this.#mapping = file.map(segmentSize);
    this.bytes = this.#mapping.bytes;
    this.view = viewOf(this.bytes);
    this.#cursors = new Uint32Array(this.bytes.buffer, this.bytes.byteOffset + WRITTEN_CURSOR_OFFSET, 2);
  }

  reserve(): void {}

  handOver(to: number): void {
    if (to + PREFETCH_BYTES / 2 > this.#prefetched) this.prefetch(to);
  }

  put(bytes: Uint8Array, offset: number): void {
    this.bytes.set(bytes, offset);
  }

  publishWritten(end: number): void {
    Atomics.store(this.#cursors, 0, end);
  }

  /** Has the pages from file offset `from` on ready before they are written to: else each first store waits for its page. */
  prefetch(from: number): void {
    const begin = Math.max(from, this.#prefetched);
    const end = Math.min(from + PREFETCH_BYTES, this.bytes.length);
    this.#prefetched = from + PREFETCH_BYTES;
    if (begin < end) this.#file.prefetch?.(begin, end);
  }

  publishDurable(end: number): void {
    Atomics.store(this.#cursors, (DURABLE_CURSOR_OFFSET - WRITTEN_CURSOR_OFFSET) / 4, end);
  }

  release(): void {
    // Every view is dropped before the pages go: touching one afterwards would kill the process.
    this.bytes = EMPTY;
    this.view = viewOf(EMPTY);
    this.#cursors = new Uint32Array(2);
    this.#mapping.unmap();
  }
}

/** First size of a written image's buffer; it doubles as a frame needs more. */
const FIRST_BUFFER_BYTES = 16 * 1024;
/** A buffer that a large frame has grown beyond this is given back once that frame was handed over. */
const KEPT_BUFFER_BYTES = 1024 * 1024;

export class WrittenImage implements SegmentImage {
  bytes: Uint8Array = EMPTY;
  view: DataView = viewOf(EMPTY);
  base: number;
  readonly #file: DiskFile;

  constructor(file: DiskFile, base: number) {
    this.#file = file;
    this.base = base;
  }

  reserve(_from: number, to: number): void {
    const needed = to - this.base;
    if (needed <= this.bytes.length) return;
    let size = Math.max(this.bytes.length, FIRST_BUFFER_BYTES);
    while (size < needed) size *= 2;
    const grown = new Uint8Array(size);
    grown.set(this.bytes);
    this.#use(grown);
  }

  handOver(to: number): void {
    if (to === this.base) return;
    this.#file.writeSync(this.bytes.subarray(0, to - this.base), this.base);
    // Only now: after a failed write the bytes are still here, and the same call can be made again.
    this.base = to;
    if (this.bytes.length > KEPT_BUFFER_BYTES) this.#use(EMPTY);
  }

  put(bytes: Uint8Array, offset: number): void {
    this.#file.writeSync(bytes, offset);
  }

  // Cursors are for mapped segments; readers of a written one go by the cookie and by the frames themselves.
  publishWritten(): void {}

  publishDurable(): void {}

  release(): void {
    this.#use(EMPTY);
  }

  #use(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.view = viewOf(bytes);
  }
}
