/** Planning a truncation: where the log must be cut, and what must be kept of the frame that is cut in two. */
import type { Disk } from '../disk/disk.js';
import type { Catalogue, SegmentEntry } from '../segment/catalogue.js';
import { corruption } from '../segment/corruption.js';
import {
  closeFrame,
  FRAME_HEADER_SIZE,
  frameCount,
  frameFirstLsn,
  frameSize,
  KIND_DATA,
  plausibleLength,
  RECORD_HEADER_SIZE,
} from '../segment/frame.js';
import type { SegmentHandles } from '../segment/handles.js';
import { viewOf } from '../segment/header.js';
import type { SegmentReader } from '../segment/reader.js';
import type { LogRecord } from '../segment/records.js';
import type { Rewind } from '../segment/rewind.js';

interface Files {
  readonly disk: Disk;
  readonly directory: string;
  readonly handles: SegmentHandles;
}

/** Where the log must be cut so that `lsn` is its last record, and what is kept of the frame that is cut in two. */
export async function planRewind(
  files: Files,
  reader: SegmentReader,
  catalogue: Catalogue,
  lsn: number,
): Promise<Rewind> {
  const segment = catalogue.findLsn(lsn + 1) as SegmentEntry;
  const frame = await findFrame(files, reader, segment, lsn + 1);
  const rewind = { segment: segment.index, offset: frame.offset, lastLsn: lsn };
  if (frame.firstLsn > lsn) return { ...rewind, replacement: new Uint8Array(0) };
  const cursor = { offset: frame.offset, lsn: frame.firstLsn, window: frame.length };
  const kept = await reader.forward(segment, cursor, frame.offset + frame.length, frame.firstLsn, lsn);
  return { ...rewind, replacement: encodeDataFrame(kept, files.disk.now(), segment.seed) };
}

async function findFrame(
  files: Files,
  reader: SegmentReader,
  segment: SegmentEntry,
  lsn: number,
): Promise<{ offset: number; firstLsn: number; length: number }> {
  const cursor = await reader.seek(segment, lsn, 1);
  return files.handles.with(segment.name, async (file) => {
    const head = new Uint8Array(FRAME_HEADER_SIZE);
    const view = viewOf(head);
    for (let offset = cursor.offset; ; ) {
      await file.read(head, offset);
      const length = plausibleLength(view, 0, segment.end - offset);
      const firstLsn = frameFirstLsn(view, 0);
      if (length === 0 || firstLsn > lsn) {
        throw corruption('A frame header is damaged', { partition: segment.partition, segment: segment.index, offset });
      }
      if (lsn < firstLsn + frameCount(view, 0)) return { offset, firstLsn, length };
      offset += length;
    }
  });
}

function encodeDataFrame(records: readonly LogRecord[], time: number, seed: number): Uint8Array {
  const bodySize = records.reduce((sum, { payload }) => sum + RECORD_HEADER_SIZE + payload.length, 0);
  const bytes = new Uint8Array(frameSize(bodySize));
  const view = viewOf(bytes);
  let at = FRAME_HEADER_SIZE;
  for (const { payload } of records) {
    view.setUint32(at, payload.length, true);
    bytes.set(payload, at + RECORD_HEADER_SIZE);
    at += RECORD_HEADER_SIZE + payload.length;
  }
  const firstLsn = (records[0] as LogRecord).lsn;
  const durableLsn = firstLsn + records.length - 1;
  closeFrame(view, 0, bodySize, { firstLsn, durableLsn, count: records.length, kind: KIND_DATA, flags: 0, time }, seed);
  return bytes;
}
