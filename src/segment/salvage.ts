/**
 * Salvage: reading what is left of a partition that recovery refuses to open. Changes nothing and hides nothing: every
 * stretch of bytes that should hold records and does not, and every LSN that is missing, is reported as a gap, at the
 * place where it was met.
 *
 * It believes a frame if its checksum holds under the salt of its own segment's header, and resumes behind damage at
 * the next multiple of 8 where such a frame begins.
 */
import { join } from 'node:path';
import type { Disk, DiskFile } from '../disk/disk.js';
import {
  checksumHolds,
  FRAME_HEADER_SIZE,
  FRAME_TRAILER_SIZE,
  frameCount,
  frameFirstLsn,
  frameKind,
  KIND_DATA,
  MIN_FRAME_SIZE,
  plausibleLength,
  RECORD_HEADER_SIZE,
} from './frame.js';
import { checksumSeed, DATA_OFFSET, decodeHeaderPage, HEADER_PAGE_SIZE, viewOf } from './header.js';
import { parseSegmentName, segmentName } from './names.js';
import type { LogRecord } from './records.js';

/** A stretch of the log that could not be read. */
export interface SalvageGap {
  /** 'bytes': a damaged stretch of a segment. 'header': a whole segment. 'lsn': records that no segment holds. */
  readonly kind: 'bytes' | 'header' | 'lsn';
  readonly segment: number;
  /** Byte offset in the segment where the gap begins. */
  readonly offset: number;
  /** Bytes skipped; 0 where only LSNs are missing. */
  readonly bytes: number;
  /** First and last LSN that are missing, where that is known. */
  readonly firstLsn?: number;
  readonly lastLsn?: number;
}

export type Salvaged = { readonly record: LogRecord } | { readonly gap: SalvageGap };

export async function* salvageSegments(
  disk: Disk,
  directory: string,
  partition: number,
): AsyncGenerator<Salvaged, void, undefined> {
  const indexes: number[] = [];
  for (const name of await disk.list(directory)) {
    const id = parseSegmentName(name);
    if (id?.partition === partition) indexes.push(id.index);
  }
  let nextLsn: number | undefined;
  for (const index of indexes.sort((a, b) => a - b)) {
    const file = await disk.open(join(directory, segmentName(partition, index)), 'read');
    try {
      for await (const found of salvageSegment(file, index, await file.size())) {
        if ('gap' in found) {
          yield found;
          continue;
        }
        const { lsn, position } = found.record;
        // An LSN that was seen before is an older copy of a record that a truncation has replaced.
        if (nextLsn !== undefined && lsn < nextLsn) continue;
        if (nextLsn !== undefined && lsn > nextLsn) {
          const gap = { segment: index, offset: position.localOffset, bytes: 0, firstLsn: nextLsn, lastLsn: lsn - 1 };
          yield { gap: { kind: 'lsn', ...gap } };
        }
        nextLsn = lsn + 1;
        yield found;
      }
    } finally {
      await file.close();
    }
  }
}

async function* salvageSegment(file: DiskFile, index: number, size: number): AsyncGenerator<Salvaged, void, undefined> {
  const bytes = new Uint8Array(size);
  const got = await file.read(bytes, 0);
  const header = decodeHeaderPage(bytes.subarray(0, Math.min(got, HEADER_PAGE_SIZE)));
  if (typeof header === 'string') {
    yield { gap: { kind: 'header', segment: index, offset: 0, bytes: size } };
    return;
  }
  const view = viewOf(bytes);
  const seed = checksumSeed(header.salt);
  let damagedFrom: number | undefined;
  for (let at = DATA_OFFSET; at + MIN_FRAME_SIZE <= got; ) {
    const length = plausibleLength(view, at, got - at);
    const believed =
      length > 0 &&
      Number.isSafeInteger(frameFirstLsn(view, at) + frameCount(view, at)) &&
      checksumHolds(view, at, length, seed);
    if (!believed) {
      damagedFrom ??= at;
      at += 8;
      continue;
    }
    if (damagedFrom !== undefined) {
      yield { gap: { kind: 'bytes', segment: index, offset: damagedFrom, bytes: at - damagedFrom } };
      damagedFrom = undefined;
    }
    if (frameKind(view, at) === KIND_DATA) yield* recordsOf(bytes, view, at, length, index);
    at += length;
  }
  // What lies behind the last frame is a gap only if it is more than space that was never used.
  if (damagedFrom !== undefined && !header.recycled) {
    let end = got;
    while (end > damagedFrom && bytes[end - 1] === 0) end--;
    if (end > damagedFrom) {
      yield { gap: { kind: 'bytes', segment: index, offset: damagedFrom, bytes: end - damagedFrom } };
    }
  }
}

function* recordsOf(bytes: Uint8Array, view: DataView, at: number, length: number, segmentIndex: number) {
  let lsn = frameFirstLsn(view, at);
  let i = at + FRAME_HEADER_SIZE;
  const end = at + length - FRAME_TRAILER_SIZE;
  for (let left = frameCount(view, at); left > 0 && i + RECORD_HEADER_SIZE <= end; left--) {
    const next = i + RECORD_HEADER_SIZE + view.getUint32(i, true);
    if (next > end) return;
    const localOffset = i === at + FRAME_HEADER_SIZE ? at : i;
    yield {
      record: {
        lsn: lsn++,
        payload: bytes.slice(i + RECORD_HEADER_SIZE, next),
        position: { segmentIndex, localOffset },
      },
    };
    i = next;
  }
}
