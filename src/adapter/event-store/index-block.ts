/**
 * Blocks of an index file: pages of 4 KiB with entries in the order of their keys, searched without being decoded.
 *
 *   block:  0 entry count u16 · 2 entries · zeros · the offset of each entry, u16, the first entry's at the very end
 *   entry:  key length · key, UTF-8 · value · 2 × number of postings (+ 1 if they are in a list of their own) · …
 *             … postings, up to 512 bytes of them                         (see postings.ts)
 *             … or: offset among the lists · bytes · CRC-32C of the list, u32
 *
 * Numbers are varints but where a size is given, and little-endian there. A block's checksum is in the directory.
 */
import { compareBytes, MAX_KEY_BYTES } from './index-key.js';
import { MAX_VARINT_BYTES, VarintReader, writeVarint } from './postings.js';

export const BLOCK_BYTES = 4096;
/** Longer postings get a list of their own, so that a block holds many keys and one read answers most look-ups. */
export const MAX_INLINE_BYTES = 512;

const COUNT_BYTES = 2;
const OFFSET_BYTES = 2;
const ENTRY_BYTES_MAX = 4 * MAX_VARINT_BYTES + MAX_KEY_BYTES + MAX_INLINE_BYTES;
if (COUNT_BYTES + ENTRY_BYTES_MAX + OFFSET_BYTES > BLOCK_BYTES) throw new Error('the largest entry must fit a block');

/** Where the postings are that have a list of their own. */
export interface ListPlace {
  /** From the first list's first byte. */
  readonly offset: number;
  readonly bytes: number;
  readonly crc: number;
}

/** Fills one block. */
export class BlockBuilder {
  readonly bytes = Buffer.alloc(BLOCK_BYTES);
  #count = 0;
  #end = COUNT_BYTES;

  /** Adds an entry behind all others; false if the block has no room for it. `place` goes instead of the postings. */
  add(key: Uint8Array, value: number, count: number, postings: Uint8Array | ListPlace): boolean {
    const entry = scratch;
    let end = writeVarint(entry, 0, key.length);
    entry.set(key, end);
    end = writeVarint(entry, end + key.length, value);
    if (postings instanceof Uint8Array) {
      end = writeVarint(entry, end, 2 * count);
      entry.set(postings, end);
      end += postings.length;
    } else {
      end = writeVarint(entry, end, 2 * count + 1);
      end = writeVarint(entry, end, postings.offset);
      end = writeVarint(entry, end, postings.bytes);
      end = entry.writeUInt32LE(postings.crc, end);
    }
    if (this.#end + end > BLOCK_BYTES - OFFSET_BYTES * (this.#count + 1)) return false;
    this.bytes.set(entry.subarray(0, end), this.#end);
    this.bytes.writeUInt16LE(++this.#count, 0);
    this.bytes.writeUInt16LE(this.#end, BLOCK_BYTES - OFFSET_BYTES * this.#count);
    this.#end += end;
    return true;
  }
}

/** Where an entry is put together before it is known whether it fits. */
const scratch = Buffer.alloc(ENTRY_BYTES_MAX);

export function entryCount(block: Buffer): number {
  return block.readUInt16LE(0);
}

/** The entry at `index`, its postings still bytes. */
export class BlockEntry {
  readonly #block: Buffer;
  readonly keyStart: number;
  readonly keyEnd: number;

  constructor(block: Buffer, index: number) {
    this.#block = block;
    const reader = new VarintReader(block, block.readUInt16LE(BLOCK_BYTES - OFFSET_BYTES * (index + 1)));
    const keyBytes = reader.next();
    this.keyStart = reader.at;
    this.keyEnd = reader.at + keyBytes;
  }

  get key(): string {
    return this.#block.toString('utf8', this.keyStart, this.keyEnd);
  }

  /** Value and postings, or the place of the list that they are in. */
  content(): { value: number; count: number; postings: Uint32Array | ListPlace } {
    const reader = new VarintReader(this.#block, this.keyEnd);
    const value = reader.next();
    const kind = reader.next();
    const count = Math.floor(kind / 2);
    if (kind % 2 === 0) return { value, count, postings: reader.postings(count) };
    const offset = reader.next();
    const bytes = reader.next();
    return { value, count, postings: { offset, bytes, crc: this.#block.readUInt32LE(reader.at) } };
  }
}

/** Index of the block's first entry whose key is ≥ `key`; the number of entries if there is none. */
export function lowerBound(block: Buffer, key: Uint8Array): number {
  let low = 0;
  let high = entryCount(block);
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { keyStart, keyEnd } = new BlockEntry(block, middle);
    if (compareBytes(key, block, keyStart, keyEnd) > 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
