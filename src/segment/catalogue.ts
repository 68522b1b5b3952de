/**
 * The catalogue of one partition's segments, oldest first, contiguous by index and by LSN. In memory only: it is made
 * by recovery from the files and kept up to date by the partition. Readers find their segment here and pin it, so that
 * no purge takes it away under them.
 */
import type { IndexEntry } from './frame.js';
import { segmentName } from './names.js';

export interface SegmentEntry {
  readonly partition: number;
  readonly index: number;
  /** File name in the log's directory. */
  readonly name: string;
  readonly baseLsn: number;
  /** Last LSN in the segment; of the active one, the last that was closed into a frame. */
  lastLsn: number;
  /** File offset behind the last frame. */
  end: number;
  readonly segmentSize: number;
  /** Checksum state after the salt. */
  readonly seed: number;
  sealed: boolean;
  /** Sparse index of the active segment; a sealed one's is read from its seal when it is needed. */
  entries: IndexEntry[] | undefined;
  /** This process has written the segment: its bytes are expected to be in the page cache. */
  warm: boolean;
  /** Frames in [verifiedFrom, verifiedTo) have had their checksums verified in this process. */
  verifiedFrom: number;
  verifiedTo: number;
  /** Readers that are inside this segment. */
  pins: number;
}

export type SegmentState = 'sealed' | 'active';

/** What `partition.segments()` tells of one segment. */
export interface SegmentDescription {
  readonly index: number;
  readonly name: string;
  readonly state: SegmentState;
  /** First LSN; the next LSN to come where the segment has no record yet. */
  readonly firstLsn: number;
  /** Last LSN; `firstLsn − 1` where the segment has no record yet. */
  readonly lastLsn: number;
  /** Bytes in use, header page included. */
  readonly bytes: number;
  /** Size of the file in bytes. */
  readonly size: number;
}

export function makeEntry(
  fields: Pick<
    SegmentEntry,
    'partition' | 'index' | 'baseLsn' | 'lastLsn' | 'end' | 'segmentSize' | 'seed' | 'sealed' | 'entries' | 'warm'
  >,
): SegmentEntry {
  const { partition, index } = fields;
  // Field by field: what is spread gets shapes of several kinds, and the code that reads records is compiled for one.
  return {
    partition,
    index,
    name: segmentName(partition, index),
    baseLsn: fields.baseLsn,
    lastLsn: fields.lastLsn,
    end: fields.end,
    segmentSize: fields.segmentSize,
    seed: fields.seed,
    sealed: fields.sealed,
    entries: fields.entries,
    warm: fields.warm,
    verifiedFrom: 0,
    verifiedTo: 0,
    pins: 0,
  };
}

export class Catalogue {
  readonly partition: number;
  #segments: SegmentEntry[];

  constructor(partition: number, segments: SegmentEntry[]) {
    this.partition = partition;
    this.#segments = segments;
  }

  get length(): number {
    return this.#segments.length;
  }

  get oldest(): SegmentEntry | undefined {
    return this.#segments[0];
  }

  get newest(): SegmentEntry | undefined {
    return this.#segments[this.#segments.length - 1];
  }

  all(): readonly SegmentEntry[] {
    return this.#segments;
  }

  add(entry: SegmentEntry): void {
    this.#segments.push(entry);
  }

  /** Gives up the `count` oldest and returns them. */
  dropOldest(count: number): SegmentEntry[] {
    return this.#segments.splice(0, count);
  }

  /** Takes back what `dropOldest` gave up. */
  restoreOldest(segments: readonly SegmentEntry[]): void {
    this.#segments.unshift(...segments);
  }

  /** Replaces all, after a rewind or a fresh look at the directory. */
  reset(segments: SegmentEntry[]): void {
    this.#segments = segments;
  }

  /** The segment that holds `lsn`, or would hold it next; undefined below the oldest. */
  findLsn(lsn: number): SegmentEntry | undefined {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#segments[middle] as SegmentEntry).baseLsn <= lsn) low = middle + 1;
      else high = middle;
    }
    return this.#segments[low - 1];
  }

  findIndex(index: number): SegmentEntry | undefined {
    const first = this.#segments[0];
    return first === undefined ? undefined : this.#segments[index - first.index];
  }

  /**
   * How many of the oldest segments a purge below `minLsn` gives up: a contiguous prefix of sealed, durable, unpinned
   * segments whose last LSN is below it; never the last `keep` segments.
   */
  purgeable(minLsn: number, durableLsn: number, keep: number): number {
    let count = 0;
    for (const segment of this.#segments) {
      if (!segment.sealed || segment.pins > 0 || segment.lastLsn >= minLsn || segment.lastLsn > durableLsn) break;
      count++;
    }
    return Math.max(0, Math.min(count, this.#segments.length - keep));
  }

  /** Numbers of segments, bytes in use, and sizes of their files. */
  totals(): { active: number; sealed: number; used: number; allocated: number } {
    const totals = { active: 0, sealed: 0, used: 0, allocated: 0 };
    for (const segment of this.#segments) {
      if (segment.sealed) totals.sealed++;
      else totals.active++;
      totals.used += segment.end;
      totals.allocated += segment.segmentSize;
    }
    return totals;
  }

  describe(): SegmentDescription[] {
    return this.#segments.map((s) => ({
      index: s.index,
      name: s.name,
      state: s.sealed ? 'sealed' : 'active',
      firstLsn: s.baseLsn,
      lastLsn: s.lastLsn,
      bytes: s.end,
      size: s.segmentSize,
    }));
  }
}
