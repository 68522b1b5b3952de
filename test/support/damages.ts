/** Every small damage to a file: one bit, one byte, 512 bytes or 4 KiB of zeros, at every offset. */

export interface Damage {
  readonly what: string;
  /** The bytes that are touched: [from, to). */
  readonly from: number;
  readonly to: number;
  readonly bytes: Uint8Array;
}

const SPANS = [1, 512, 4096];

/**
 * One bit of each byte that `wanted` wants is flipped, `bits` of the eight one after the other (which ones changes from
 * byte to byte); and runs of 1, 512 and 4,096 bytes are zeroed at every offset, also where they reach past the end.
 * Of runs whose result is the same, or no change, one is enough.
 */
export function* damagesOf(bytes: Uint8Array, bits: number, wanted: (at: number) => boolean): Generator<Damage> {
  for (let at = 0; at < bytes.length; at++) {
    if (!wanted(at)) continue;
    for (let i = 0; i < bits; i++) {
      const bit = (at * 5 + (at >> 3) + i) % 8;
      const flipped = bytes.slice();
      flipped[at] = (flipped[at] as number) ^ (1 << bit);
      yield { what: `bit ${bit} flipped`, from: at, to: at + 1, bytes: flipped };
    }
  }
  for (const span of SPANS) {
    const seen = new Set<string>();
    for (let from = 0; from < bytes.length; from++) {
      const to = Math.min(bytes.length, from + span);
      let first = from;
      while (first < to && bytes[first] === 0) first++;
      let last = to;
      while (last > first && bytes[last - 1] === 0) last--;
      const key = `${first}-${last}`;
      if (first === last || seen.has(key)) continue;
      seen.add(key);
      yield { what: `${span} bytes zeroed`, from: first, to: last, bytes: bytes.slice().fill(0, first, last) };
    }
  }
}
