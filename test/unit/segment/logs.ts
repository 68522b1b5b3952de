/** Small logs to mutilate: how they are made, copied, read and compared. Partition 1 throughout. */
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Log, type OpenLogOptions, openLog, type Partition } from '../../../src/index.js';
import {
  FRAME_HEADER_SIZE,
  frameDurableLsn,
  frameFirstLsn,
  frameKind,
  frameLength,
} from '../../../src/segment/frame.js';
import { DATA_OFFSET, viewOf } from '../../../src/segment/header.js';
import { segmentName } from '../../../src/segment/names.js';
import { temporaryDirectory } from '../disk/places.js';

export { temporaryDirectory };

/** A header page and ten frames. */
export const SEGMENT_SIZE = 5 * 1024;

/** The directory that a MemoryDisk goes by. */
export const NOWHERE = '/nowhere';

export const payloadOf = (lsn: number): Uint8Array => new TextEncoder().encode(`record ${lsn}`.padEnd(40, '.'));

export function small(options: Partial<OpenLogOptions> & { directory: string }): OpenLogOptions {
  return { segmentSize: SEGMENT_SIZE, io: 'write', preallocate: { segments: 0 }, threads: 1, ...options };
}

/** Appends the next `count` records, one frame each. */
export async function fill(partition: Partition, count: number, ack: 'durable' | 'written' = 'durable'): Promise<void> {
  const next = Math.max(partition.writtenLsn, partition.durableLsn) + 1;
  for (let lsn = next; lsn < next + count; lsn++) {
    const appended = await partition.append(payloadOf(lsn), { ack });
    if (appended.lsn !== lsn) throw new Error(`LSN ${appended.lsn} instead of ${lsn}`);
  }
}

export async function withLog<T>(
  options: OpenLogOptions,
  use: (partition: Partition, log: Log) => Promise<T>,
): Promise<T> {
  const log = await openLog(options);
  try {
    return await use(await log.partition(1), log);
  } finally {
    await log.close();
  }
}

/** A directory as a crash of its process would leave it: a copy taken after `write` while the log is still open. */
export async function crashedLog(
  write: (partition: Partition, log: Log) => Promise<void>,
  options: Partial<OpenLogOptions> = {},
): Promise<string> {
  const directory = temporaryDirectory();
  const copy = path.join(temporaryDirectory(), 'log');
  await withLog(small({ directory, ...options }), async (partition, log) => {
    await write(partition, log);
    cpSync(directory, copy, { recursive: true });
  });
  return copy;
}

/** A log that was closed in good order. */
export async function closedLog(
  write: (partition: Partition, log: Log) => Promise<void>,
  options: Partial<OpenLogOptions> = {},
): Promise<string> {
  const directory = temporaryDirectory();
  await withLog(small({ directory, ...options }), write);
  return directory;
}

export const segmentPath = (directory: string, index: number): string => path.join(directory, segmentName(1, index));

/** Changes the bytes of a file in place, or replaces them by what `change` returns. */
export function mutilate(file: string, change: (bytes: Uint8Array) => Uint8Array | undefined): void {
  const bytes = new Uint8Array(readFileSync(file));
  writeFileSync(file, change(bytes) ?? bytes);
}

/** All files but the lock, in which every open notes its process id. */
export function filesOf(directory: string): Record<string, string> {
  const names = readdirSync(directory).filter((name) => name !== 'LOCK');
  return Object.fromEntries(names.sort().map((name) => [name, readFileSync(path.join(directory, name), 'hex')]));
}

export interface FrameAt {
  readonly offset: number;
  readonly length: number;
  readonly kind: number;
  readonly firstLsn: number;
  readonly durableLsn: number;
}

/** The frames of a segment file, as far as their lengths lead. */
export function framesOf(bytes: Uint8Array): FrameAt[] {
  const view = viewOf(bytes);
  const frames: FrameAt[] = [];
  for (let offset = DATA_OFFSET; offset + FRAME_HEADER_SIZE <= bytes.length; ) {
    const length = frameLength(view, offset);
    if (length === 0 || offset + length > bytes.length) break;
    const firstLsn = frameFirstLsn(view, offset);
    frames.push({ offset, length, kind: frameKind(view, offset), firstLsn, durableLsn: frameDurableLsn(view, offset) });
    offset += length;
  }
  return frames;
}

export const frameOf = (file: string, lsn: number): FrameAt => {
  const frame = framesOf(readFileSync(file)).find(({ kind, firstLsn }) => kind === 2 && firstLsn === lsn);
  if (frame === undefined) throw new Error(`no frame with LSN ${lsn}`);
  return frame;
};

/** Every record, checked to be what `fill` wrote; resolves with the LSNs. */
export async function readAll(partition: Partition, visibility: 'durable' | 'written' = 'durable'): Promise<number[]> {
  const records = await partition.read({ visibility }).toArray();
  for (const { lsn, payload } of records) {
    if (Buffer.compare(payload, payloadOf(lsn)) !== 0) throw new Error(`wrong data at LSN ${lsn}`);
  }
  return records.map(({ lsn }) => lsn);
}

export const upTo = (last: number, first = 1): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i);

export async function reopen<T>(
  directory: string,
  use: (partition: Partition, log: Log) => Promise<T>,
  options: Partial<OpenLogOptions> = {},
): Promise<T> {
  return withLog(small({ directory, ...options }), use);
}

/** The LSNs of a log that must open. */
export function lsnsOf(directory: string, options: Partial<OpenLogOptions> = {}): Promise<number[]> {
  return reopen(directory, (partition) => readAll(partition), options);
}
