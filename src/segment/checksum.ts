/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82F63B78; RFC 3720 appendix B.4), the only checksum in the log.
 *
 * Two implementations that must agree: slicing-by-16 over 32-bit words in JavaScript, and the optional native package
 * `@node-rs/crc32`. A native call costs about 120 ns before it has looked at a byte, so short ranges stay in JavaScript.
 */
import { createRequire } from 'node:module';

/** Ranges of at least this many bytes go to the native implementation: where the two cross on the machines measured. */
const NATIVE_FROM_BYTES = 512;

const POLYNOMIAL = 0x82f63b78;

// TABLES[k * 256 + b] is the checksum of byte b followed by k zero bytes; one flat table, so that one bounds check
// and one base register serve all sixteen look-ups.
const TABLES = new Int32Array(16 * 256);
for (let b = 0; b < 256; b++) {
  let crc = b;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  TABLES[b] = crc;
}
for (let i = 256; i < TABLES.length; i++) {
  const shorter = TABLES[i - 256] as number;
  TABLES[i] = (shorter >>> 8) ^ (TABLES[shorter & 0xff] as number);
}

type NativeCrc32c = (bytes: Uint8Array, crc?: number) => number;

function loadNative(): NativeCrc32c | undefined {
  if (process.env.VARVE_NATIVE === '0') return undefined;
  try {
    return (createRequire(import.meta.url)('@node-rs/crc32') as { crc32c: NativeCrc32c }).crc32c;
  } catch {
    return undefined; // optional: without it the JavaScript implementation serves every length
  }
}

const native = loadNative();

/**
 * CRC-32C of `view[start, end)`, continued from `crc` (0 to begin). All of `start`, `end` and the length may be any
 * number. Returns an unsigned 32-bit number.
 */
export function crc32c(view: DataView, start: number, end: number, crc = 0): number {
  if (native !== undefined && end - start >= NATIVE_FROM_BYTES) {
    return native(new Uint8Array(view.buffer, view.byteOffset + start, end - start), crc);
  }
  return crc32cPortable(view, start, end, crc);
}

/** The JavaScript implementation: exported so that tests can hold the two against each other. */
export function crc32cPortable(view: DataView, start: number, end: number, crc = 0): number {
  const t = TABLES;
  let c = ~crc;
  let i = start;
  for (const last = end - 15; i < last; i += 16) {
    const p = c ^ view.getInt32(i, true);
    const q = view.getInt32(i + 4, true);
    const r = view.getInt32(i + 8, true);
    const s = view.getInt32(i + 12, true);
    // What depends on the step before comes last, so that the rest need not wait for it.
    c =
      (t[768 + (s & 255)] as number) ^
      (t[512 + ((s >>> 8) & 255)] as number) ^
      (t[256 + ((s >>> 16) & 255)] as number) ^
      (t[s >>> 24] as number) ^
      (t[1792 + (r & 255)] as number) ^
      (t[1536 + ((r >>> 8) & 255)] as number) ^
      (t[1280 + ((r >>> 16) & 255)] as number) ^
      (t[1024 + (r >>> 24)] as number) ^
      (t[2816 + (q & 255)] as number) ^
      (t[2560 + ((q >>> 8) & 255)] as number) ^
      (t[2304 + ((q >>> 16) & 255)] as number) ^
      (t[2048 + (q >>> 24)] as number) ^
      (t[3840 + (p & 255)] as number) ^
      (t[3584 + ((p >>> 8) & 255)] as number) ^
      (t[3328 + ((p >>> 16) & 255)] as number) ^
      (t[3072 + (p >>> 24)] as number);
  }
  // The length of a frame is a multiple of 8: half of them end like this, none goes on byte by byte.
  if (end - i >= 8) {
    const p = c ^ view.getInt32(i, true);
    const q = view.getInt32(i + 4, true);
    c =
      (t[768 + (q & 255)] as number) ^
      (t[512 + ((q >>> 8) & 255)] as number) ^
      (t[256 + ((q >>> 16) & 255)] as number) ^
      (t[q >>> 24] as number) ^
      (t[1792 + (p & 255)] as number) ^
      (t[1536 + ((p >>> 8) & 255)] as number) ^
      (t[1280 + ((p >>> 16) & 255)] as number) ^
      (t[1024 + (p >>> 24)] as number);
    i += 8;
  }
  for (; i < end; i++) c = (c >>> 8) ^ (t[(c ^ view.getUint8(i)) & 255] as number);
  return ~c >>> 0;
}
