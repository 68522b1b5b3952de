/**
 * The default codec: JSON, and what JSON loses.
 *
 *     {"sku":"a","count":2}              plain: exactly what JSON.stringify writes, read by JSON.parse
 *     ~{"at":{"$date":1700000000000}}    tagged: a `~`, with which no JSON begins, then JSON with tags (json-tags.ts)
 *
 * Nearly all events are plain. A walk over the value finds that out before it is encoded, the first byte before it is
 * decoded, so that a plain event costs little more than JSON itself.
 */
import { asInvalidEvent, guardCodec } from './codec.js';
import { reviveTags, writeTagged } from './json-tags.js';

const TAGGED = '~';

/** A value nested deeper is written in the tagged form, whose writer looks for cycles; so the walk need not. */
const PLAIN_DEPTH = 64;

// Bytes that are not UTF-8 are refused rather than replaced, and a byte order mark is left to JSON.parse, which refuses it.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Keeps, at any depth and at the top: plain objects, arrays, strings (with NUL and lone surrogates), numbers (with NaN,
 * infinities and -0), bigints, booleans, null, undefined, Date, Map, Set, RegExp (without `lastIndex`), ArrayBuffer,
 * DataView and all typed arrays.
 *
 * Comes back as its base kind: `Buffer` as Uint8Array, a Date of a subclass as Date, an object without a prototype as a
 * plain object, a hole in an array as undefined, shared memory as memory of its own. An object referred to twice comes
 * back as two. Typed arrays keep the bytes of the machine that wrote them: little-endian wherever Node is common.
 *
 * Not part of the value, as for JSON: keys that are symbols or not enumerable, further properties of arrays, dates and
 * the like. A getter's value counts.
 *
 * Refused with `ERR_VARVE_INVALID_EVENT`, naming the place: functions, symbols, cycles, more than 1,000 levels, and
 * instances of classes (URL, Error, your own), because they would come back as something else; `toJSON` is not called.
 * Bytes that are not this codec's are refused with the same code.
 */
export const jsonCodec = guardCodec({
  name: 'json',
  encode: (value, where = 'data') => Buffer.from(textOf(value, where)),
  decode: (bytes) => parse(utf8.decode(bytes)),
});

/** What `jsonCodec` decodes `memory[start, end)` to: whoever reads many values from one memory need not cut it up. */
export function jsonValue(memory: Buffer, start: number, end: number): unknown {
  try {
    const text = memory.toString('utf8', start, end);
    // Stands for bytes that are no UTF-8, or for itself: the careful way tells.
    if (!text.includes('\ufffd')) return parse(text);
  } catch {
    // Told by the careful way, too.
  }
  return jsonCodec.decode(memory.subarray(start, end));
}

function parse(text: string): unknown {
  return text.startsWith(TAGGED) ? reviveTags(JSON.parse(text.slice(TAGGED.length))) : JSON.parse(text);
}

/** The text whose UTF-8 `jsonCodec` encodes a value to: whoever puts it elsewhere anyway need not make bytes of it first. */
export function jsonText(value: unknown, where: string): string {
  try {
    return textOf(value, where);
  } catch (error) {
    throw asInvalidEvent(error, `The codec 'json' cannot encode ${where}`, where);
  }
}

function textOf(value: unknown, where: string): string {
  return isPlain(value, PLAIN_DEPTH) ? JSON.stringify(value) : TAGGED + writeTagged(value, where);
}

/** Throws what encoding would throw, without encoding what is plain. */
export function checkEncodable(value: unknown, where: string): void {
  if (!isPlain(value, PLAIN_DEPTH)) writeTagged(value, where);
}

/** True when JSON.parse gives back all of what JSON.stringify writes of `value`. False may also mean "not sure". */
function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value) && (value !== 0 || 1 / value > 0);
    case 'object':
      return value === null || (depth > 0 && isPlainObject(value as Record<string, unknown>, depth));
    default:
      return false;
  }
}

function isPlainObject(value: Record<string, unknown>, depth: number): boolean {
  const prototype = Object.getPrototypeOf(value);
  if (Array.isArray(value)) {
    if (prototype !== Array.prototype) return false;
    for (let i = 0; i < value.length; i++) if (!isPlain(value[i], depth - 1)) return false;
    return true;
  }
  if (prototype !== Object.prototype && prototype !== null) return false;
  // Faster than Object.keys; what it meets beyond own keys can only make the answer "not sure".
  for (const key in value) if (!isPlain(value[key], depth - 1)) return false;
  return true;
}
