/**
 * The supply of one partition with new segments: takes a prepared file ahead of need, dresses it for the partition,
 * opens an image over it, and gives it its name when the partition goes on in it.
 */
import { setTimeout } from 'node:timers/promises';
import type { Allocator, SpareNeed } from '../actors/allocator.js';
import type { Disk, DiskFile } from '../disk/disk.js';
import { isNoSpace } from '../errors.js';
import type { LogEmitter } from '../events.js';
import { OPEN_FRAME_SIZE } from '../segment/frame.js';
import { checksumSeed, DATA_OFFSET } from '../segment/header.js';
import { MappedImage, type SegmentImage, WrittenImage } from '../segment/image.js';
import { dressSpare, nameSegment, type SpareFile } from '../segment/spare.js';

/** First and last delay before a header that found no space is written again. */
const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 5_000;

/** What all partitions of a log share. */
export interface SupplyConfig {
  readonly disk: Disk;
  readonly directory: string;
  readonly segmentSize: number;
  readonly storeId: Uint8Array;
  /** The back end in use. */
  readonly io: 'mmap' | 'write';
  readonly allocator: Allocator;
  readonly events: LogEmitter;
}

/** A file that is ready to become the next segment. */
export interface NextSegment {
  readonly spare: SpareFile;
  readonly index: number;
  readonly segmentSize: number;
  readonly seed: number;
  readonly image: SegmentImage;
}

export class SegmentSupply {
  readonly #config: SupplyConfig;
  readonly #partition: number;
  readonly #need: SpareNeed;
  #next: NextSegment | undefined;
  #preparing: { readonly done: Promise<void>; readonly cancel: AbortController } | undefined;

  constructor(config: SupplyConfig, partition: number, need: SpareNeed) {
    this.#config = config;
    this.#partition = partition;
    this.#need = need;
  }

  /** The next segment, if it is ready. */
  get next(): NextSegment | undefined {
    return this.#next;
  }

  /**
   * Makes the segment `index` ready; resolves when it is, which may take until there is space. Rejects with what the
   * disk rejects with, or when it was dropped.
   */
  prepare(index: number): Promise<void> {
    if (this.#next !== undefined) return Promise.resolve();
    if (this.#preparing === undefined) {
      const cancel = new AbortController();
      const done = this.#prepare(index, cancel.signal).finally(() => {
        this.#preparing = undefined;
      });
      this.#preparing = { done, cancel };
    }
    return this.#preparing.done;
  }

  /** Hands out the next segment, which must be ready; the caller names it with `name`. */
  use(): NextSegment {
    const next = this.#next;
    if (next === undefined) throw new Error('no segment is ready');
    this.#next = undefined;
    return next;
  }

  async name(segment: NextSegment): Promise<void> {
    const { disk, directory } = this.#config;
    await nameSegment(disk, directory, segment.spare, this.#adoption(segment.index));
  }

  /** An image over the recovered segment in `file`, for appending behind `end`. */
  async reopen(file: DiskFile, segmentSize: number, end: number): Promise<SegmentImage> {
    if (this.#config.io === 'mmap') {
      try {
        // The file may have been made with less than all its space, or copied with holes. A store into a mapped hole
        // kills the process when the disk is full, so it is mapped only once all of it is reserved.
        await file.allocate('allocate', segmentSize);
      } catch (cause) {
        return this.#unmapped(file, end, cause);
      }
      // Recovery has looked at what is going to be written through the mapping. This syncs, and a failed sync is final.
      await file.dropCache?.(end);
      try {
        return new MappedImage(file, segmentSize);
      } catch (cause) {
        return this.#unmapped(file, end, cause);
      }
    }
    return new WrittenImage(file, end);
  }

  #unmapped(file: DiskFile, end: number, cause: unknown): SegmentImage {
    const reason = cause instanceof Error ? cause.message : String(cause);
    this.#config.events.emit('degraded', { option: 'io', wanted: 'mmap', used: 'write', reason });
    return new WrittenImage(file, end);
  }

  /** Gives back the next segment, or stops making it ready; another can be prepared afterwards. */
  async drop(): Promise<void> {
    this.#preparing?.cancel.abort();
    await this.#preparing?.done.catch(() => {}); // whoever asked for it has been told
    const next = this.#next;
    this.#next = undefined;
    if (next === undefined) return;
    next.image.release();
    this.#config.allocator.giveBack(next.spare);
  }

  async #prepare(index: number, signal: AbortSignal): Promise<void> {
    const { allocator, segmentSize, io } = this.#config;
    const spare = await allocator.take(this.#need, signal);
    try {
      const salt = await this.#dress(spare, index, signal);
      const image =
        io === 'mmap'
          ? new MappedImage(spare.file, segmentSize)
          : new WrittenImage(spare.file, DATA_OFFSET + OPEN_FRAME_SIZE);
      if (image instanceof MappedImage) image.prefetch(DATA_OFFSET);
      this.#next = { spare, index, segmentSize, seed: checksumSeed(salt), image };
    } catch (error) {
      await spare.file.close();
      throw error;
    }
  }

  /** The header's page is reserved, but a file system that writes elsewhere may still find no space for it. */
  async #dress(spare: SpareFile, index: number, signal: AbortSignal): Promise<Uint8Array> {
    const { disk, allocator } = this.#config;
    for (let delay = FIRST_RETRY_MS; ; delay = Math.min(delay * 2, LAST_RETRY_MS)) {
      try {
        const salt = await dressSpare(disk, spare, this.#adoption(index));
        allocator.reportRestored();
        return salt;
      } catch (error) {
        if (!isNoSpace(error)) throw error;
        allocator.reportLacking(error);
        if (this.#need.urgent()) this.#need.noSpace();
        await setTimeout(delay, undefined, { signal });
      }
    }
  }

  #adoption(index: number) {
    const { segmentSize, storeId } = this.#config;
    return { partition: this.#partition, index, segmentSize, storeId };
  }
}
