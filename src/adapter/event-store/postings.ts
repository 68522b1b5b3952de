/**
 * Postings as bytes: ascending numbers below 2³², as the first one and then the differences, each a LEB128 varint
 * (7 bits a byte, low bits first, the top bit set in all bytes but the last). Pure functions over bytes.
 */

/** A varint of a safe integer takes at most 8 bytes, one of a number below 2³² at most 5. */
export const MAX_VARINT_BYTES = 8;
const MAX_POSTING_BYTES = 5;

/** Writes a safe integer ≥ 0 and returns the offset behind it. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  let end = at;
  let rest = value;
  while (rest >= 0x80) {
    bytes[end++] = (rest % 0x80) + 0x80;
    rest = Math.floor(rest / 0x80);
  }
  bytes[end++] = rest;
  return end;
}

/** Reads varints one after another. The bytes have passed their checksum: they are not checked again. */
export class VarintReader {
  readonly #bytes: Uint8Array;
  /** Offset of what is read next. */
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  next(): number {
    let byte = this.#bytes[this.at++] as number;
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    let unit = 0x80;
    do {
      byte = this.#bytes[this.at++] as number;
      value += (byte & 0x7f) * unit; // not shifts: the value may have 53 bits
      unit *= 0x80;
    } while (byte >= 0x80);
    return value;
  }

  postings(count: number): Uint32Array {
    const postings = new Uint32Array(count);
    let posting = 0;
    for (let i = 0; i < count; i++) {
      posting += this.next();
      postings[i] = posting;
    }
    return postings;
  }
}

/** Few postings are encoded here; many, which are kept as a list of their own, into an array of their own. */
const scratch = new Uint8Array(64 * MAX_POSTING_BYTES);

/** The bytes of `postings`, valid until the next call; undefined unless they are integers from 0 to `limit` of which each is greater than the last. */
export function encodePostings(postings: ArrayLike<number>, limit: number): Uint8Array | undefined {
  const most = postings.length * MAX_POSTING_BYTES;
  const bytes = most <= scratch.length ? scratch : new Uint8Array(most);
  let end = 0;
  let last = -1;
  for (let i = 0; i < postings.length; i++) {
    const posting = postings[i] as number;
    if (!Number.isInteger(posting) || posting <= last || posting > limit) return undefined;
    end = writeVarint(bytes, end, i === 0 ? posting : posting - last);
    last = posting;
  }
  return bytes.subarray(0, end);
}
