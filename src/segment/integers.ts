/**
 * 64-bit unsigned integers as JavaScript numbers: LSNs, sizes and times on disk are u64, in the API they are safe
 * integers. Two 32-bit halves rather than BigInt, which would allocate on every frame.
 */
const TWO_32 = 0x1_0000_0000;

/** Writes a safe integer ≥ 0 at `offset`, little-endian. */
export function writeU64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true);
  view.setUint32(offset + 4, (value / TWO_32) >>> 0, true);
}

/** Reads a u64; one past 2⁵³ − 1 comes back as Infinity, which fails every range check. */
export function readU64(view: DataView, offset: number): number {
  const high = view.getUint32(offset + 4, true);
  if (high === 0) return view.getUint32(offset, true);
  const value = high * TWO_32 + view.getUint32(offset, true);
  return Number.isSafeInteger(value) ? value : Number.POSITIVE_INFINITY;
}

/** The next multiple of 8 that is ≥ `n`, for 0 ≤ n < 2⁵³ − 8. */
export function align8(n: number): number {
  const rest = n % 8;
  return rest === 0 ? n : n + 8 - rest;
}
