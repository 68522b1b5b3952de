/** A log of many small segments, for streams: one record a frame, a dozen records a segment. */
import type { Log, OpenLogOptions, Partition } from '../../../src/index.js';
import { LivePartition } from '../../../src/partition/live-partition.js';
import type { SegmentEntry } from '../../../src/segment/catalogue.js';
import { openTestLog, payloadOf, temporaryDirectory } from '../../support/logs.js';

export const SEGMENT_SIZE = 5120;

export const payload = (lsn: number): Uint8Array => payloadOf(`record ${lsn}`, 20 + (lsn % 30));

export interface SmallLog {
  readonly log: Log;
  readonly partition: Partition;
  readonly directory: string;
  /** The segments' own entries, to see their pins. */
  readonly pins: () => number;
}

export async function smallLog(records: number, options: Partial<OpenLogOptions> = {}): Promise<SmallLog> {
  const directory = temporaryDirectory();
  const log = await openTestLog({ directory, segmentSize: SEGMENT_SIZE, io: 'write', threads: 1, ...options });
  // The catalogue is nobody's business outside; what is pinned in it can be seen in no other way.
  const open = LivePartition.open;
  let segments: () => readonly SegmentEntry[] = () => [];
  LivePartition.open = async (...args) => {
    const live = await open.apply(LivePartition, args);
    segments = () => live.catalogue.all();
    return live;
  };
  try {
    const partition = await log.partition(1);
    const pins = () => segments().reduce((sum, segment) => sum + segment.pins, 0);
    await fill(partition, records);
    return { log, partition, directory, pins };
  } finally {
    LivePartition.open = open;
  }
}

/** Appends the next `count` records, durably, one frame each. */
export async function fill(partition: Partition, count: number, content = payload): Promise<void> {
  const next = partition.writtenLsn + 1;
  for (let lsn = next; lsn < next + count; lsn++) await partition.append(content(lsn), { ack: 'written' });
  await partition.sync();
}

/** LSNs from `first` to `last`, up or down. */
export function range(first: number, last: number): number[] {
  const step = first <= last ? 1 : -1;
  return Array.from({ length: Math.abs(last - first) + 1 }, (_, i) => first + i * step);
}
