/**
 * The summary of an index file: what is kept in memory to answer "not here" at once and to read one block otherwise.
 *
 *   directory:  of each block: CRC-32C u32 · length of its first key u16 · its first key
 *   filter:     see key-filter.ts
 */
import type { IndexLayout } from './index-header.js';
import { compareBytes } from './index-key.js';
import { KeyFilter } from './key-filter.js';

const CRC_BYTES = 4;
const ENTRY_HEAD_BYTES = 6;

export function encodeDirectoryEntry(crc: number, firstKey: Uint8Array): Buffer {
  const entry = Buffer.alloc(ENTRY_HEAD_BYTES + firstKey.length);
  entry.writeUInt32LE(crc, 0);
  entry.writeUInt16LE(firstKey.length, CRC_BYTES);
  entry.set(firstKey, ENTRY_HEAD_BYTES);
  return entry;
}

export class IndexSummary {
  readonly filter: KeyFilter;
  readonly #bytes: Buffer;
  /** Where each block's entry begins, and where the last one ends. */
  readonly #offsets: Uint32Array;

  /** `bytes`, which it keeps, have passed their checksum. */
  constructor(bytes: Buffer, layout: IndexLayout) {
    this.#bytes = bytes;
    this.filter = new KeyFilter(bytes.subarray(layout.directoryBytes));
    this.#offsets = new Uint32Array(layout.blockCount + 1);
    for (let block = 0, at = 0; block < layout.blockCount; block++) {
      at += ENTRY_HEAD_BYTES + bytes.readUInt16LE(at + CRC_BYTES);
      this.#offsets[block + 1] = at;
    }
  }

  get byteLength(): number {
    return this.#bytes.length + this.#offsets.byteLength;
  }

  crcOfBlock(block: number): number {
    return this.#bytes.readUInt32LE(this.#offsets[block] as number);
  }

  /** The block that holds `key` if any does: the last one whose first key is not behind it; −1 if there is none. */
  blockOf(key: Uint8Array): number {
    let low = 0;
    let high = this.#offsets.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const start = (this.#offsets[middle] as number) + ENTRY_HEAD_BYTES;
      if (compareBytes(key, this.#bytes, start, this.#offsets[middle + 1] as number) >= 0) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
