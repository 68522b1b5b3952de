/** The stream that an order recorder keeps: what was asked of a disk, what ended, and what the log said meanwhile. */
import {
  checksumHolds,
  decodeOpenFrame,
  frameCount,
  frameFirstLsn,
  frameIsFinalSeal,
  frameKind,
  KIND_OPEN,
  OPEN_FRAME_SIZE,
  plausibleLength,
} from '../segment/frame.js';
import { checksumSeed, DATA_OFFSET, decodeHeaderPage, viewOf } from '../segment/header.js';
import type { OperationKind } from './operations.js';

/** What a segment file holds for whoever reads it at this moment. */
export interface SegmentContent {
  readonly partition: number;
  readonly segment: number;
  /** The open frame is there: the segment counts. */
  readonly opened: boolean;
  /** LSN of its first record. */
  readonly baseLsn: number;
  /** LSN of its last record; one less than `baseLsn` where it has none. */
  readonly lastLsn: number;
  /** The final seal is there. */
  readonly sealed: boolean;
}

export type OrderEvent =
  /** An operation begins. `id` is that of its end. */
  | {
      readonly what: 'begin';
      readonly id: number;
      readonly kind: OperationKind;
      /** Name of the file at the time, without its directory; of an operation on a directory, its path. */
      readonly file: string;
      /** Of a read or write. */
      readonly offset?: number;
      /** New name, of a rename. */
      readonly to?: string;
      /** Of a sync: what was handed over by now, and what the sync therefore covers. */
      readonly holds?: SegmentContent;
      /** Of a rename to MANIFEST: by partition, the index of the oldest segment that is kept. */
      readonly marks?: Readonly<Record<number, number>>;
    }
  /** It has ended; with `failed`, it may have done anything or nothing. */
  | { readonly what: 'end'; readonly id: number; readonly failed: boolean }
  /** The open frame of a segment was handed over since the event before. */
  | { readonly what: 'opened'; readonly partition: number; readonly segment: number }
  /** The log says that everything up to `lsn` is durable. */
  | { readonly what: 'acknowledged'; readonly partition: number; readonly lsn: number }
  /** A recovery shows records up to `lsn`. */
  | { readonly what: 'shown'; readonly partition: number; readonly lsn: number };

/** What the bytes of a segment file say; undefined where they have no whole header. */
export function segmentContent(bytes: Uint8Array): (SegmentContent & { readonly salt: string }) | undefined {
  const header = decodeHeaderPage(bytes.subarray(0, DATA_OFFSET));
  if (typeof header === 'string') return undefined;
  const { partition, index: segment } = header;
  const salt = Buffer.from(header.salt).toString('hex');
  const view = viewOf(bytes);
  const seed = checksumSeed(header.salt);
  const frameAt = (at: number) => {
    const length = at + OPEN_FRAME_SIZE / 2 > bytes.length ? 0 : plausibleLength(view, at, bytes.length - at);
    return length > 0 && checksumHolds(view, at, length, seed) ? length : 0;
  };
  if (frameAt(DATA_OFFSET) === 0 || frameKind(view, DATA_OFFSET) !== KIND_OPEN) {
    return { partition, segment, opened: false, baseLsn: 0, lastLsn: 0, sealed: false, salt };
  }
  const baseLsn = decodeOpenFrame(view, DATA_OFFSET).lastLsn + 1;
  let lastLsn = baseLsn - 1;
  let sealed = false;
  let at = DATA_OFFSET + OPEN_FRAME_SIZE;
  for (let length = frameAt(at); length > 0 && !sealed; length = frameAt(at)) {
    if (frameFirstLsn(view, at) !== lastLsn + 1) break;
    lastLsn += frameCount(view, at);
    sealed = frameIsFinalSeal(view, at);
    at += length;
  }
  return { partition, segment, opened: true, baseLsn, lastLsn, sealed, salt };
}
