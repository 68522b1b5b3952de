/**
 * A Bloom filter (Bloom 1970) over the hashes of keys: "not here" is always true, "perhaps here" is wrong for about one
 * absent key in a hundred. Its bytes are part of the index file.
 *
 * Ten bits and seven probes a key give 0.8 %. The probes come from one 32-bit hash by enhanced double hashing
 * (Dillinger and Manolios 2004): the step grows, so that a step which divides the number of bits does no harm.
 */

const BITS_PER_KEY = 10;
const PROBES = 7;
/** In smaller filters chance has too much to say: some would be wrong far more often than others. */
const MIN_BYTES = 64;

export class KeyFilter {
  readonly bytes: Uint8Array;

  /** A filter of these bytes, which it keeps. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** An empty filter with room for `keyCount` keys. */
  static forKeys(keyCount: number): KeyFilter {
    return new KeyFilter(new Uint8Array(Math.max(MIN_BYTES, Math.ceil((keyCount * BITS_PER_KEY) / 8))));
  }

  add(hash: number): void {
    const bits = this.bytes.length * 8;
    let bit = mixed(hash);
    let step = mixed(hash ^ 0x9e37_79b9);
    for (let probe = 0; probe < PROBES; probe++) {
      const at = bit % bits;
      this.bytes[at >>> 3] = (this.bytes[at >>> 3] as number) | (1 << (at & 7));
      bit = (bit + step) >>> 0;
      step = (step + probe) >>> 0;
    }
  }

  /** False only if no key with this hash was added. */
  mayContain(hash: number): boolean {
    const bits = this.bytes.length * 8;
    let bit = mixed(hash);
    let step = mixed(hash ^ 0x9e37_79b9);
    for (let probe = 0; probe < PROBES; probe++) {
      const at = bit % bits;
      if (((this.bytes[at >>> 3] as number) & (1 << (at & 7))) === 0) return false;
      bit = (bit + step) >>> 0;
      step = (step + probe) >>> 0;
    }
    return true;
  }
}

/** Every bit of the result hangs on every bit of `hash`, unsigned (the finalizer of MurmurHash3). */
function mixed(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85eb_ca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
