/** fast-check arbitraries: payloads and batches of the sizes at which logs break, and programs made of them. */
import type fc from 'fast-check';
import type { Ack } from '../options.js';
import type { Partition } from '../partition.js';
import { FRAME_HEADER_SIZE, FRAME_TRAILER_SIZE, KIND_DATA, RECORD_HEADER_SIZE } from '../segment/frame.js';
import { maxBodySize } from '../segment/writer.js';
import { fastCheck } from './fast-check.js';
import { Random } from './random.js';

export interface PayloadOptions {
  /** That of the log, in bytes. Default 8 KiB. */
  readonly segmentSize?: number;
  /** Largest payload, in bytes. Default: the largest that a segment holds. */
  readonly maxSize?: number;
}

/** Bytes of the largest single record of a log with segments of `segmentSize` bytes. */
export function maxPayloadSize(segmentSize: number): number {
  return maxBodySize(segmentSize) - RECORD_HEADER_SIZE;
}

/** Around which frames are padded, sectors torn, pages indexed, frames closed. */
const EDGES = [0, 1, 8, 512, 4096, 64 * 1024];
const FILLS = ['chance', 'zeros', 'ones', 'frame'] as const;
type Fill = (typeof FILLS)[number];

/**
 * A payload: mostly small, often empty, of one byte, at the edge of a sector, a page, a frame or the segment, or the largest
 * that there can be. Its bytes are by chance, all 0, all 255, or look like a frame of the log. Shrinks to no bytes.
 */
export function payload(options: PayloadOptions = {}): fc.Arbitrary<Uint8Array> {
  const { constantFrom, integer, noShrink, record } = fastCheck('payload');
  return record({ size: payloadSize(options), fill: constantFrom(...FILLS), seed: noShrink(integer()) }).map(filled);
}

function payloadSize({ segmentSize = 8 * 1024, maxSize = maxPayloadSize(segmentSize) }: PayloadOptions) {
  const { constantFrom, integer, nat, oneof } = fastCheck('payload');
  const overhead = FRAME_HEADER_SIZE + FRAME_TRAILER_SIZE + RECORD_HEADER_SIZE;
  const edges = [...EDGES, ...EDGES.map((edge) => edge - overhead), maxSize, maxSize >> 1]
    .flatMap((edge) => [edge - 1, edge, edge + 1])
    .filter((size) => size >= 0 && size <= maxSize);
  return oneof(
    { weight: 4, arbitrary: nat(Math.min(64, maxSize)) },
    { weight: 4, arbitrary: constantFrom(...new Set(edges)) },
    { weight: 2, arbitrary: integer({ min: 0, max: maxSize }) },
  );
}

function filled({ size, fill, seed }: { size: number; fill: Fill; seed: number }): Uint8Array {
  if (fill === 'zeros') return new Uint8Array(size);
  if (fill === 'ones') return new Uint8Array(size).fill(0xff);
  const bytes = new Random(seed).bytes(size);
  if (fill === 'frame' && size >= FRAME_HEADER_SIZE) {
    // A length that fits, a kind that exists, and no checksum that holds.
    const view = new DataView(bytes.buffer);
    view.setUint32(0, Math.floor(size / 8) * 8, true);
    view.setUint8(28, KIND_DATA);
    bytes.fill(0, 29, 32);
  }
  return bytes;
}

/** Payloads for `appendBatch`: at least one, which together fit in a segment. */
export function batch(options: PayloadOptions = {}): fc.Arbitrary<Uint8Array[]> {
  const { array } = fastCheck('batch');
  const limit = maxBodySize(options.segmentSize ?? 8 * 1024);
  return array(payload(options), { minLength: 1, maxLength: 12 }).map((payloads) => {
    let bytes = 0;
    const excess = payloads.findIndex(({ length }) => {
      bytes += RECORD_HEADER_SIZE + length;
      return bytes > limit;
    });
    return excess < 0 ? payloads : payloads.slice(0, Math.max(1, excess));
  });
}

/** What can be asked of a partition. */
export type LogStep =
  | { readonly do: 'append'; readonly payload: Uint8Array; readonly ack: Ack }
  | { readonly do: 'batch'; readonly payloads: readonly Uint8Array[]; readonly ack: Ack }
  /** `write`, which nothing makes durable by itself. */
  | { readonly do: 'write'; readonly payload: Uint8Array }
  /** Durable appends under way together. */
  | { readonly do: 'burst'; readonly payloads: readonly Uint8Array[] }
  | { readonly do: 'sync' | 'rotate' | 'verify' }
  /** Gives up what can be of the first `share` (0 … 1) of the records. */
  | { readonly do: 'purge'; readonly share: number }
  /** Cuts off the last `count` records, or as many as there are. */
  | { readonly do: 'truncate'; readonly count: number };

/** A step: mostly appends of all kinds. */
export function logStep(options: PayloadOptions = {}): fc.Arbitrary<LogStep> {
  const { array, constant, constantFrom, double, nat, oneof, record } = fastCheck('logStep');
  const bytes = payload(options);
  const ack = constantFrom<Ack>('durable', 'written');
  const one = <K extends LogStep['do']>(kind: K) => constant(kind);
  return oneof(
    { weight: 6, arbitrary: record({ do: one('append'), payload: bytes, ack }) },
    { weight: 3, arbitrary: record({ do: one('batch'), payloads: batch(options), ack }) },
    { weight: 2, arbitrary: record({ do: one('write'), payload: bytes }) },
    { weight: 2, arbitrary: record({ do: one('burst'), payloads: array(bytes, { minLength: 2, maxLength: 6 }) }) },
    { weight: 2, arbitrary: record({ do: constantFrom('sync', 'rotate', 'rotate', 'verify') }) },
    { weight: 1, arbitrary: record({ do: one('purge'), share: double({ min: 0, max: 1, noNaN: true }) }) },
    { weight: 1, arbitrary: record({ do: one('truncate'), count: nat(4) }) },
  );
}

/** Steps, one after another. `maxSteps`: default 20. */
export function logProgram(options: PayloadOptions & { readonly maxSteps?: number } = {}): fc.Arbitrary<LogStep[]> {
  const { maxSteps = 20, ...rest } = options;
  return fastCheck('logProgram').array(logStep(rest), { maxLength: maxSteps, size: 'max' });
}

/** Does one step; resolves when it is acknowledged, and rejects as the partition does. */
export async function runStep(partition: Partition, step: LogStep): Promise<void> {
  const oldest = partition.oldestLsn;
  const records = partition.writtenLsn - oldest + 1;
  switch (step.do) {
    case 'append':
      await partition.append(step.payload, { ack: step.ack });
      return;
    case 'batch':
      await partition.appendBatch(step.payloads, { ack: step.ack });
      return;
    case 'write':
      partition.write(step.payload);
      return;
    case 'burst':
      await Promise.all(step.payloads.map((bytes) => partition.append(bytes)));
      return;
    case 'sync':
      await partition.sync();
      return;
    case 'rotate':
      return partition.rotate();
    case 'verify':
      await partition.verify();
      return;
    case 'purge':
      await partition.purgeBefore(oldest + Math.floor(step.share * records));
      return;
    case 'truncate':
      return partition.truncateAfter(Math.max(oldest - 1, partition.writtenLsn - step.count));
  }
}
