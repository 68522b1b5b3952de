/**
 * Keys of index files: their bytes, their order, their hash.
 *
 * A key is a well-formed string of at most 2,048 bytes of UTF-8. The order is that of these bytes, which is the order of
 * code points. JavaScript's own order is another one: it compares UTF-16 units, in which a character beyond U+FFFF
 * (0xD800…0xDFFF, twice) stands before U+E000…U+FFFF.
 */
import { crc32c } from '../../segment/checksum.js';

/** A stream id of 1,024 bytes with room for what stands before it; small enough that two entries fit into one block. */
export const MAX_KEY_BYTES = 2048;

/** A key as index files look for it: made once, used for many files. */
export interface IndexKey {
  readonly bytes: Uint8Array;
  /** What the filter is asked with: CRC-32C of the bytes. */
  readonly hash: number;
}

/** The UTF-8 of a string; undefined if it has a lone surrogate, for which there is no UTF-8. */
export function utf8Of(text: string): Buffer | undefined {
  const bytes = Buffer.from(text);
  // One byte a unit: ASCII. Else a lone surrogate has become U+FFFD, which would pass for another key.
  return bytes.length === text.length || !/\p{Cs}/u.test(text) ? bytes : undefined;
}

/** CRC-32C of all of `bytes`: what checks an index file, and a key's hash. */
export function crcOf(bytes: Uint8Array): number {
  return crc32c(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.length);
}

/** Undefined for a string that cannot be a key, so that no index holds it. */
export function indexKey(text: string): IndexKey | undefined {
  const bytes = utf8Of(text);
  return bytes === undefined || bytes.length > MAX_KEY_BYTES ? undefined : { bytes, hash: crcOf(bytes) };
}

/** Negative, 0 or positive: the order of `a` and `b` by the bytes of their UTF-8. Both are well-formed. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const unitOfA = a.charCodeAt(i);
    const unitOfB = b.charCodeAt(i);
    if (unitOfA !== unitOfB) return rank(unitOfA) - rank(unitOfB);
  }
  return a.length - b.length;
}

/** A UTF-16 unit's place when surrogates are put behind all other units. */
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

/** The order of `key` and `bytes[start, end)`. A loop: the native comparison costs more than it saves on short keys. */
export function compareBytes(key: Uint8Array, bytes: Uint8Array, start: number, end: number): number {
  const length = Math.min(key.length, end - start);
  for (let i = 0; i < length; i++) {
    const difference = (key[i] as number) - (bytes[start + i] as number);
    if (difference !== 0) return difference;
  }
  return key.length - (end - start);
}

/** True if `bytes[start, end)` begins with `prefix`. */
export function beginsWith(prefix: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  const prefixEnd = start + prefix.length;
  return prefixEnd <= end && compareBytes(prefix, bytes, start, prefixEnd) === 0;
}
