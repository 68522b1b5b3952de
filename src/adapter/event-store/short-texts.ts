/**
 * Texts that are read again and again: types, stream ids. Making a string of bytes costs more than seeing that it is one
 * that was made lately.
 */

/** Longer ones are not worth looking at byte by byte. */
const MAX_BYTES = 48;
/** Texts that are much alike differ at their end: in a number, or an id. */
const HASHED_BYTES = 5;
const SLOTS = 16_384;

/** By a hash of their last bytes, the latest text with each. ASCII only: a byte is a character. */
const lately: string[] = new Array(SLOTS).fill('');

/** `bytes[start, end)` as UTF-8. */
export function readText(bytes: Buffer, start: number, end: number): string {
  const size = end - start;
  if (size > MAX_BYTES) return bytes.toString('utf8', start, end);
  let hash = size;
  for (let i = Math.max(start, end - HASHED_BYTES); i < end; i++)
    hash = (Math.imul(hash, 31) + (bytes[i] as number)) | 0;
  const slot = (hash ^ (hash >>> 10)) & (SLOTS - 1);
  const known = lately[slot] as string;
  if (known.length === size && holds(bytes, start, known)) return known;
  const text = bytes.toString('utf8', start, end);
  if (text.length === size && !text.includes('\ufffd')) lately[slot] = text;
  return text;
}

function holds(bytes: Buffer, start: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[start + i]) return false;
  return true;
}
