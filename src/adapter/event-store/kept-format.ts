/**
 * Kept files: what is still alive of segments that a scavenge has given up. Their names and their bytes; pure functions.
 *
 *   part_{partition}_{first segment, 10 digits}-{last segment}.{generation}.kept   beside the segments
 *
 * A file is written once, whole, and never changed; one that takes its place has a higher generation. It holds records
 * of a range of segments under the LSNs that they have always had, ascending, with gaps where others have been. Every
 * byte is checked before it is used: the header has a checksum and that of the directory, which has those of the blocks.
 *
 *        0  ┌──────────────────────────────────────────────┐
 *           │ header, 96 bytes                             │
 *       96  ├──────────────────────────────────────────────┤
 *           │ blocks, of 16 KiB or of one larger record:   │
 *           │ u64 LSN · u32 length · bytes, for each       │
 *           ├──────────────────────────────────────────────┤
 *           │ directory: for each block, u64 first LSN ·   │
 *           │ u64 offset · u32 length · u32 CRC-32C        │
 *           └──────────────────────────────────────────────┘
 *
 *   offset size
 *        0    4  magic "WKPT"
 *        4    4  format version (1)
 *        8   16  store id
 *       24    8  first segment
 *       32    8  last segment
 *       40    8  first LSN of these segments
 *       48    8  last LSN of these segments
 *       56    8  number of records
 *       64    8  offset of the directory
 *       72    4  partition
 *       76    4  number of blocks
 *       80    4  CRC-32C of the directory
 *       84    8  zero
 *       92    4  CRC-32C over bytes 0–91
 *
 * All numbers are little-endian.
 */
import { readU64, writeU64 } from '../../segment/integers.js';
import type { EngineRecord } from './engine.js';
import { crcOf } from './index-key.js';

export const KEPT_HEADER_BYTES = 96;
export const KEPT_BLOCK_BYTES = 16 * 1024;
export const DIRECTORY_ENTRY_BYTES = 24;
const RECORD_HEAD_BYTES = 12;
const FORMAT_VERSION = 1;
const MAGIC = 0x5450_4b57; // "WKPT" read as a little-endian u32
const CRC_OFFSET = KEPT_HEADER_BYTES - 4;

/** What a kept file stands for. */
export interface KeptRange {
  readonly partition: number;
  readonly firstSegment: number;
  readonly lastSegment: number;
  readonly generation: number;
}

export interface KeptHeader {
  readonly storeId: string;
  readonly firstLsn: number;
  readonly lastLsn: number;
  readonly records: number;
  readonly directoryOffset: number;
  readonly blocks: number;
  readonly directoryCrc: number;
}

const digits10 = (n: number): string => String(n).padStart(10, '0');

export function keptName({ partition, firstSegment, lastSegment, generation }: KeptRange): string {
  return `part_${partition}_${digits10(firstSegment)}-${digits10(lastSegment)}.${generation}.kept`;
}

/** What a name stands for; undefined for every other name. */
export function parseKeptName(name: string): KeptRange | undefined {
  const match = /^part_([1-9]\d{0,9})_(\d{10})-(\d{10})\.([1-9]\d{0,14})\.kept$/.exec(name);
  if (match === null) return undefined;
  const [partition, firstSegment, lastSegment, generation] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
  ];
  return { partition, firstSegment, lastSegment, generation };
}

export function encodeKeptHeader(range: KeptRange, header: KeptHeader): Buffer {
  const bytes = Buffer.alloc(KEPT_HEADER_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, FORMAT_VERSION, true);
  bytes.write(header.storeId, 8, 16, 'hex');
  writeU64(view, 24, range.firstSegment);
  writeU64(view, 32, range.lastSegment);
  writeU64(view, 40, header.firstLsn);
  writeU64(view, 48, header.lastLsn);
  writeU64(view, 56, header.records);
  writeU64(view, 64, header.directoryOffset);
  view.setUint32(72, range.partition, true);
  view.setUint32(76, header.blocks, true);
  view.setUint32(80, header.directoryCrc, true);
  view.setUint32(CRC_OFFSET, crcOf(bytes.subarray(0, CRC_OFFSET)), true);
  return bytes;
}

/** Undefined where the bytes are damaged, or of another file than `range` of the store. */
export function decodeKeptHeader(bytes: Buffer, range: KeptRange, storeId: string): KeptHeader | undefined {
  if (bytes.length < KEPT_HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const header: KeptHeader = {
    storeId,
    firstLsn: readU64(view, 40),
    lastLsn: readU64(view, 48),
    records: readU64(view, 56),
    directoryOffset: readU64(view, 64),
    blocks: view.getUint32(76, true),
    directoryCrc: view.getUint32(80, true),
  };
  // A header is what the same facts are encoded to, byte for byte.
  return Number.isFinite(header.firstLsn + header.lastLsn + header.records + header.directoryOffset) &&
    encodeKeptHeader(range, header).equals(bytes.subarray(0, KEPT_HEADER_BYTES))
    ? header
    : undefined;
}

export function encodeKeptRecord({ lsn, payload }: EngineRecord): Buffer {
  const bytes = Buffer.allocUnsafe(RECORD_HEAD_BYTES + payload.length);
  bytes.writeBigUInt64LE(BigInt(lsn), 0);
  bytes.writeUInt32LE(payload.length, 8);
  bytes.set(payload, RECORD_HEAD_BYTES);
  return bytes;
}

/** The records of a block, whose checksum has been found right. Payloads are views of `block`. */
export function decodeKeptBlock(block: Buffer): EngineRecord[] {
  const records: EngineRecord[] = [];
  for (let at = 0; at < block.length; ) {
    const end = at + RECORD_HEAD_BYTES + block.readUInt32LE(at + 8);
    records.push({ lsn: Number(block.readBigUInt64LE(at)), payload: block.subarray(at + RECORD_HEAD_BYTES, end) });
    at = end;
  }
  return records;
}

export interface KeptBlock {
  readonly firstLsn: number;
  readonly offset: number;
  readonly length: number;
  readonly crc: number;
}

export function encodeKeptDirectory(blocks: readonly KeptBlock[]): Buffer {
  const bytes = Buffer.alloc(blocks.length * DIRECTORY_ENTRY_BYTES);
  for (const [i, { firstLsn, offset, length, crc }] of blocks.entries()) {
    const at = i * DIRECTORY_ENTRY_BYTES;
    bytes.writeBigUInt64LE(BigInt(firstLsn), at);
    bytes.writeBigUInt64LE(BigInt(offset), at + 8);
    bytes.writeUInt32LE(length, at + 16);
    bytes.writeUInt32LE(crc, at + 20);
  }
  return bytes;
}

/** One entry of a directory. */
export function keptBlockAt(directory: Buffer, index: number): KeptBlock {
  const at = index * DIRECTORY_ENTRY_BYTES;
  return {
    firstLsn: Number(directory.readBigUInt64LE(at)),
    offset: Number(directory.readBigUInt64LE(at + 8)),
    length: directory.readUInt32LE(at + 16),
    crc: directory.readUInt32LE(at + 20),
  };
}
