/**
 * The first page of a segment file. Pure functions over bytes.
 *
 *   offset size
 *        0    4  magic "WLOG"
 *        4    2  format version (1)
 *        6    2  minimum reader version: a reader of an older version must refuse the file
 *        8    4  header size in use (128)
 *       12    4  data offset: where the first frame begins (4096)
 *       16    4  partition
 *       20    4  flags: bits 0–7 checksum algorithm (1 = CRC-32C); bit 8: the file had an earlier life
 *       24    8  segment index within the partition
 *       32    8  segment size in bytes
 *       40   16  store id
 *       56    8  salt: random, new each time the file is prepared; seeds every frame's checksum
 *       64    8  created at, ms since the epoch
 *       72   52  zero
 *      124    4  CRC-32C over bytes 0–123
 *                                                  ── never written again; what follows is
 *      512    4  written cursor: end of the last frame handed over   ┐ Atomics on a mapped file: the published write
 *      516    4  durable cursor: end of the last durable frame       ┘ pointers, for readers in other processes
 *     1024   32  durable cookie, slot 0                              ┐ alternate, each in a 512-byte sector of its own
 *     1536   32  durable cookie, slot 1                              ┘
 *
 *   cookie:  0 sequence u64 · 8 durable LSN u64 · 16 durable end u64 · 24 zero u32 · 28 CRC-32C over (salt, bytes 0–27)
 *
 * All numbers are little-endian. Recovery never needs cursors or cookies; the cookie is a lower bound: a log that ends
 * before its own cookie has been damaged. Who stores them when: partition/tail.ts.
 */
import { MAX_SEGMENT_SIZE, MIN_SEGMENT_SIZE } from '../options.js';
import { crc32c } from './checksum.js';
import { readU64, writeU64 } from './integers.js';

export const HEADER_PAGE_SIZE = 4096;
/** Where the first frame begins: behind the header page. */
export const DATA_OFFSET = 4096;
export const FORMAT_VERSION = 1;

const HEADER_SIZE = 128;
const HEADER_CRC_OFFSET = 124;
const MAGIC = 0x474f4c57; // "WLOG" read as a little-endian u32
const CHECKSUM_CRC32C = 1;
const FLAG_RECYCLED = 0x100;

export const STORE_ID_SIZE = 16;
export const SALT_SIZE = 8;
const STORE_ID_OFFSET = 40;
const SALT_OFFSET = 56;

export const WRITTEN_CURSOR_OFFSET = 512;
export const DURABLE_CURSOR_OFFSET = 516;
export const COOKIE_SIZE = 32;

export interface SegmentHeader {
  readonly partition: number;
  readonly index: number;
  /** Size of the segment file in bytes, header page included. */
  readonly segmentSize: number;
  readonly storeId: Uint8Array;
  readonly salt: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** The file had an earlier life: bytes behind the end of the log may be old frames rather than zeros. */
  readonly recycled: boolean;
}

/** Why a page is not a header that this reader can use. */
export type HeaderFault = 'short' | 'magic' | 'version' | 'checksum' | 'fields';

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A whole first page: the header, cursors at 0, no cookies. */
export function encodeHeaderPage(header: SegmentHeader): Uint8Array {
  const page = new Uint8Array(HEADER_PAGE_SIZE);
  const view = viewOf(page);
  view.setUint32(0, MAGIC, true);
  view.setUint16(4, FORMAT_VERSION, true);
  view.setUint16(6, FORMAT_VERSION, true);
  view.setUint32(8, HEADER_SIZE, true);
  view.setUint32(12, DATA_OFFSET, true);
  view.setUint32(16, header.partition, true);
  view.setUint32(20, CHECKSUM_CRC32C | (header.recycled ? FLAG_RECYCLED : 0), true);
  writeU64(view, 24, header.index);
  writeU64(view, 32, header.segmentSize);
  page.set(header.storeId, STORE_ID_OFFSET);
  page.set(header.salt, SALT_OFFSET);
  writeU64(view, 64, header.createdAt);
  view.setUint32(HEADER_CRC_OFFSET, crc32c(view, 0, HEADER_CRC_OFFSET), true);
  return page;
}

/** Reads a first page. Never trusts a field before the checksum has been verified, except magic and version. */
export function decodeHeaderPage(page: Uint8Array): SegmentHeader | HeaderFault {
  if (page.length < HEADER_SIZE) return 'short';
  const view = viewOf(page);
  if (view.getUint32(0, true) !== MAGIC) return 'magic';
  if (view.getUint32(HEADER_CRC_OFFSET, true) !== crc32c(view, 0, HEADER_CRC_OFFSET)) return 'checksum';
  if (view.getUint16(6, true) > FORMAT_VERSION) return 'version';
  const flags = view.getUint32(20, true);
  if ((flags & 0xff) !== CHECKSUM_CRC32C || view.getUint32(12, true) !== DATA_OFFSET) return 'fields';
  const segmentSize = readU64(view, 32);
  if (segmentSize < MIN_SEGMENT_SIZE || segmentSize > MAX_SEGMENT_SIZE) return 'fields';
  return {
    partition: view.getUint32(16, true),
    index: readU64(view, 24),
    segmentSize,
    storeId: page.slice(STORE_ID_OFFSET, STORE_ID_OFFSET + STORE_ID_SIZE),
    salt: page.slice(SALT_OFFSET, SALT_OFFSET + SALT_SIZE),
    createdAt: readU64(view, 64),
    recycled: (flags & FLAG_RECYCLED) !== 0,
  };
}

/** The checksum state after the salt: what every frame's and cookie's checksum of this segment starts from. */
export function checksumSeed(salt: Uint8Array): number {
  return crc32c(viewOf(salt), 0, salt.length);
}

export interface Cookie {
  /** Grows by one with each store; the higher of two valid slots is the newer. */
  readonly sequence: number;
  readonly durableLsn: number;
  /** File offset behind the last durable frame. */
  readonly durableEnd: number;
}

/** Offset of the slot that a cookie with this sequence belongs in. */
export function cookieOffset(sequence: number): number {
  return sequence % 2 === 0 ? 1024 : 1536;
}

/** Writes a cookie at `offset` of `view`. */
export function encodeCookie(view: DataView, offset: number, cookie: Cookie, seed: number): void {
  writeU64(view, offset, cookie.sequence);
  writeU64(view, offset + 8, cookie.durableLsn);
  writeU64(view, offset + 16, cookie.durableEnd);
  view.setUint32(offset + 24, 0, true);
  view.setUint32(offset + 28, crc32c(view, offset, offset + 28, seed), true);
}

/** The newer valid cookie of a first page; undefined where neither slot is valid. */
export function decodeCookie(page: Uint8Array, seed: number): Cookie | undefined {
  const view = viewOf(page);
  let newest: Cookie | undefined;
  for (const offset of [cookieOffset(0), cookieOffset(1)]) {
    if (offset + COOKIE_SIZE > page.length) continue;
    if (view.getUint32(offset + 28, true) !== crc32c(view, offset, offset + 28, seed)) continue;
    const cookie = {
      sequence: readU64(view, offset),
      durableLsn: readU64(view, offset + 8),
      durableEnd: readU64(view, offset + 16),
    };
    if (newest === undefined || cookie.sequence > newest.sequence) newest = cookie;
  }
  return newest;
}
