/**
 * Index files: what an index file is of, its layout, its first page. Pure functions over bytes.
 *
 * An index file is derived from one sealed segment of the log, and never changed: a damaged or missing one is built
 * again, and costs time only. Every byte of it is checked before it is used, in a chain: the header holds the checksum
 * of the summary, the summary the checksums of the blocks, an entry the checksum of its list.
 *
 *        0  ┌────────────────────────────────────────────┐
 *           │ header, 4 KiB                              │
 *     4096  ├────────────────────────────────────────────┤
 *           │ blocks of 4 KiB: entries, sorted           │  index-block.ts
 *           ├────────────────────────────────────────────┤
 *           │ lists: postings too long for a block       │  postings.ts
 *           ├────────────────────────────────────────────┤
 *           │ summary: directory of the blocks, filter   │  index-summary.ts
 *           └────────────────────────────────────────────┘
 *
 *   offset size
 *        0    4  magic "WIDX"
 *        4    4  format version (1)
 *        8   16  store id
 *       24    8  segment
 *       32    8  base LSN
 *       40    8  last LSN
 *       48    4  partition
 *       52    4  number of keys
 *       56    4  number of blocks
 *       60    4  bytes of the directory
 *       64    8  bytes of all lists
 *       72    4  bytes of the filter
 *       76    4  CRC-32C of the summary
 *       80 4012  zero
 *     4092    4  CRC-32C over bytes 0–4091
 *
 * All numbers are little-endian.
 */
import { crc32c } from '../../segment/checksum.js';
import { readU64, writeU64 } from '../../segment/integers.js';
import { BLOCK_BYTES } from './index-block.js';

export const INDEX_HEADER_BYTES = 4096;
const FORMAT_VERSION = 1;
const MAGIC = 0x5844_4957; // "WIDX" read as a little-endian u32
const CRC_OFFSET = INDEX_HEADER_BYTES - 4;

/** What an index file is of: it is used only if all of this matches. */
export interface IndexIdentity {
  /** 32 hexadecimal digits, in lower case. */
  readonly storeId: string;
  readonly partition: number;
  readonly segment: number;
  readonly baseLsn: number;
  readonly lastLsn: number;
}

export interface IndexLayout {
  readonly keyCount: number;
  readonly blockCount: number;
  readonly listBytes: number;
  readonly directoryBytes: number;
  readonly filterBytes: number;
  readonly summaryCrc: number;
}

/** An index file is damaged or is not the file it was: build it again. */
export class IndexDamaged extends Error {
  readonly path: string;

  constructor(path: string, what: string) {
    super(`The index file ${path} cannot be used: ${what}.`);
    this.name = 'IndexDamaged';
    this.path = path;
  }
}

/** Offset of a block; with the number of blocks, of the first list. */
export function blockOffset(block: number): number {
  return INDEX_HEADER_BYTES + block * BLOCK_BYTES;
}

export function summaryOffset(layout: IndexLayout): number {
  return blockOffset(layout.blockCount) + layout.listBytes;
}

export function fileBytes(layout: IndexLayout): number {
  return summaryOffset(layout) + layout.directoryBytes + layout.filterBytes;
}

/** A whole first page. */
export function encodeIndexHeader(identity: IndexIdentity, layout: IndexLayout): Buffer {
  const page = Buffer.alloc(INDEX_HEADER_BYTES);
  const view = new DataView(page.buffer, page.byteOffset, page.length);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, FORMAT_VERSION, true);
  page.write(identity.storeId, 8, 16, 'hex');
  writeU64(view, 24, identity.segment);
  writeU64(view, 32, identity.baseLsn);
  writeU64(view, 40, identity.lastLsn);
  view.setUint32(48, identity.partition, true);
  view.setUint32(52, layout.keyCount, true);
  view.setUint32(56, layout.blockCount, true);
  view.setUint32(60, layout.directoryBytes, true);
  writeU64(view, 64, layout.listBytes);
  view.setUint32(72, layout.filterBytes, true);
  view.setUint32(76, layout.summaryCrc, true);
  view.setUint32(CRC_OFFSET, crc32c(view, 0, CRC_OFFSET), true);
  return page;
}

/** The layout that a first page tells; undefined if it is damaged, of another version or of anything but `identity`. */
export function decodeIndexHeader(page: Buffer, identity: IndexIdentity): IndexLayout | undefined {
  if (page.length < INDEX_HEADER_BYTES) return undefined;
  const view = new DataView(page.buffer, page.byteOffset, page.length);
  const layout: IndexLayout = {
    keyCount: view.getUint32(52, true),
    blockCount: view.getUint32(56, true),
    listBytes: readU64(view, 64),
    directoryBytes: view.getUint32(60, true),
    filterBytes: view.getUint32(72, true),
    summaryCrc: view.getUint32(76, true),
  };
  // A header is what the same facts are encoded to, byte for byte; so nothing else has to be compared.
  return Number.isFinite(layout.listBytes) && encodeIndexHeader(identity, layout).equals(page) ? layout : undefined;
}
