/**
 * The names of the files in a log's directory, and nothing else about them.
 *
 *   part_{partition}_{index, 10 digits}.wal   a segment
 *   ready_{number, 10 digits}.wal             prepared space, of no partition yet
 *   recycle_{number, 10 digits}.wal           a purged segment, to be prepared again
 *   rewind_{partition}.wal                    a truncation that is under way (see rewind.ts)
 *   part_….wal.torn-{offset}[.{n}]            what recovery cut off a torn tail, the nth time there
 *   LOCK, MANIFEST, MANIFEST.tmp
 */

export const LOCK_NAME = 'LOCK';
export const MANIFEST_NAME = 'MANIFEST';
export const MANIFEST_TEMPORARY_NAME = 'MANIFEST.tmp';

export const MAX_PARTITION = 0xffff_ffff;
/** Ten digits. At 64 MiB a segment this is 596 PiB a partition. */
export const MAX_SEGMENT_INDEX = 9_999_999_999;

export interface SegmentId {
  readonly partition: number;
  readonly index: number;
}

const digits10 = (n: number): string => String(n).padStart(10, '0');

export function segmentName(partition: number, index: number): string {
  return `part_${partition}_${digits10(index)}.wal`;
}

/** The id that a segment's name stands for; undefined for every other name. */
export function parseSegmentName(name: string): SegmentId | undefined {
  const match = /^part_(0|[1-9]\d{0,9})_(\d{10})\.wal$/.exec(name);
  if (match === null) return undefined;
  const partition = Number(match[1]);
  const index = Number(match[2]);
  return partition <= MAX_PARTITION && index >= 1 ? { partition, index } : undefined;
}

/** True for the name of a single-file log, as older logs wrote it: `part_1.wal`. */
export function isSingleFileLogName(name: string): boolean {
  return /^part_\d+\.wal$/.test(name);
}

export function readyName(number: number): string {
  return `ready_${digits10(number)}.wal`;
}

export function recycleName(number: number): string {
  return `recycle_${digits10(number)}.wal`;
}

/** Which queue a spare file belongs to, and its number; undefined for every other name. */
export function parseSpareName(name: string): { queue: 'ready' | 'recycle'; number: number } | undefined {
  const match = /^(ready|recycle)_(\d{10})\.wal$/.exec(name);
  return match === null ? undefined : { queue: match[1] as 'ready' | 'recycle', number: Number(match[2]) };
}

export function rewindName(partition: number): string {
  return `rewind_${partition}.wal`;
}

/** The copy that is kept of a torn tail cut off at `offset`; the `number`th one of that place. */
export function tornCopyName(partition: number, index: number, offset: number, number = 1): string {
  return `${segmentName(partition, index)}.torn-${offset}${number === 1 ? '' : `.${number}`}`;
}
