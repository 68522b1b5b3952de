/**
 * Tagged JSON: JSON in which an object with one key that begins with a single `$` stands for what JSON lacks.
 *
 *     {"$undefined":null}                      {"$date":1700000000000}   (null: an invalid date)
 *     {"$number":"NaN"}    (±Infinity, -0)     {"$map":[key, value, key, value, …]}
 *     {"$bigint":"-12"}                        {"$set":[element, …]}
 *     {"$regexp":["source","flags"]}           {"$bytes":["Float32Array","base64"]}   (or ArrayBuffer, DataView)
 *
 * A key of the user's that begins with `$` gets one `$` more: `{"$date":1}` is written `{"$$date":1}`.
 * Kinds are told by what they are, not by `instanceof`: values may come from another realm.
 */
import { types } from 'node:util';
import { bytesOf, unencodable } from './codec.js';

/** Levels of nesting: far more than events have, far less than the stack holds. */
const MAX_DEPTH = 1000;

/** What is made of an ArrayBuffer, by name; `Float16Array` where the runtime has it. */
const VIEWS = new Map<string, new (buffer: ArrayBuffer) => ArrayBufferView>(
  [
    'DataView',
    'Int8Array',
    'Uint8Array',
    'Uint8ClampedArray',
    'Int16Array',
    'Uint16Array',
    'Int32Array',
    'Uint32Array',
    'BigInt64Array',
    'BigUint64Array',
    'Float16Array',
    'Float32Array',
    'Float64Array',
  ].flatMap((name) => {
    const view = Reflect.get(globalThis, name);
    return view === undefined ? [] : [[name, view]];
  }),
);

/** The tagged JSON of `value`; `ERR_VARVE_INVALID_EVENT` names what cannot be kept, by its path from `where`. */
export function writeTagged(value: unknown, where: string): string {
  return new TaggedWriter(where).write(value);
}

class TaggedWriter {
  /** The objects that are being written, outermost first: what the value at hand must not be. */
  readonly #open = new Set<object>();
  /** The way to the value at hand. */
  readonly #path: (string | number)[] = [];
  readonly #where: string;

  constructor(where: string) {
    this.#where = where;
  }

  write(value: unknown): string {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return JSON.stringify(value);
      case 'number':
        if (Object.is(value, -0)) return '{"$number":"-0"}';
        return Number.isFinite(value) ? String(value) : `{"$number":"${value}"}`;
      case 'bigint':
        return `{"$bigint":"${value}"}`;
      case 'undefined':
        return '{"$undefined":null}';
      case 'object':
        return value === null ? 'null' : this.#nested(value);
      default:
        throw this.#refusal(`is a ${typeof value}, which cannot be stored`);
    }
  }

  #nested(value: object): string {
    if (this.#open.has(value))
      throw this.#refusal('refers back to an object that contains it: a cycle cannot be stored');
    if (this.#open.size === MAX_DEPTH) throw this.#refusal(`is nested deeper than ${MAX_DEPTH} levels`);
    this.#open.add(value);
    const text = this.#object(value);
    this.#open.delete(value);
    return text;
  }

  #object(value: object): string {
    if (isPlainObject(value)) return this.#fields(value);
    if (types.isDate(value)) return `{"$date":${JSON.stringify(value.getTime())}}`;
    if (types.isDataView(value)) return this.#bytes('DataView', value);
    if (types.isTypedArray(value)) return this.#bytes(value[Symbol.toStringTag], value);
    if (types.isArrayBuffer(value)) return this.#bytes('ArrayBuffer', value);
    // An instance of a subclass would lose its class.
    if (prototypesOf(value) === 2) {
      if (Array.isArray(value)) return this.#elements(value);
      if (types.isSet(value)) return `{"$set":${this.#elements([...value])}}`;
      if (types.isMap(value)) return `{"$map":${this.#entries(value)}}`;
      if (types.isRegExp(value)) return `{"$regexp":${JSON.stringify([value.source, value.flags])}}`;
    }
    throw this.#refusal(`is an instance of ${value.constructor?.name}; store plain data, or use a codec of your own`);
  }

  #at(step: string | number, value: unknown): string {
    this.#path.push(step);
    const text = this.write(value);
    this.#path.pop();
    return text;
  }

  #fields(value: Record<string, unknown>): string {
    const fields = Object.keys(value).map(
      (key) => `${JSON.stringify(key.startsWith('$') ? `$${key}` : key)}:${this.#at(key, value[key])}`,
    );
    return `{${fields.join()}}`;
  }

  #elements(elements: readonly unknown[]): string {
    // Not map(), which skips holes.
    return `[${Array.from(elements, (element, i) => this.#at(i, element)).join()}]`;
  }

  #entries(map: ReadonlyMap<unknown, unknown>): string {
    const entries = Array.from(map, ([key, value], i) => {
      this.#path.push(i);
      const text = `${this.#at('key', key)},${this.#at('value', value)}`;
      this.#path.pop();
      return text;
    });
    return `[${entries.join()}]`;
  }

  #bytes(kind: string, value: ArrayBufferView | ArrayBuffer): string {
    const { buffer, byteOffset, byteLength } = bytesOf(value);
    return `{"$bytes":["${kind}","${Buffer.from(buffer, byteOffset, byteLength).toString('base64')}"]}`;
  }

  #refusal(why: string): Error {
    const steps = this.#path.map((step) => {
      if (typeof step === 'number') return `[${step}]`;
      return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
    });
    return unencodable(this.#where + steps.join(''), why);
  }
}

function prototypesOf(value: object): number {
  let count = 0;
  for (let at = Object.getPrototypeOf(value); at !== null; at = Object.getPrototypeOf(at)) count++;
  return count;
}

/** Made by `{}` in any realm, or without a prototype. */
function isPlainObject(value: object): value is Record<string, unknown> {
  const prototype = Object.getPrototypeOf(value);
  if (prototype === null) return true;
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf');
}

/** The value whose tagged JSON was parsed to `parsed`, which is changed. Throws on a tag that `writeTagged` never writes. */
export function reviveTags(parsed: unknown): unknown {
  if (typeof parsed !== 'object' || parsed === null) return parsed;
  if (Array.isArray(parsed)) {
    for (let i = 0; i < parsed.length; i++) parsed[i] = reviveTags(parsed[i]);
    return parsed;
  }
  const fields = parsed as Record<string, unknown>;
  const keys = Object.keys(fields);
  const first = keys[0];
  if (keys.length === 1 && first?.startsWith('$') && !first.startsWith('$$')) return readTag(first, fields[first]);
  if (keys.some((key) => key.startsWith('$'))) {
    return Object.fromEntries(keys.map((key) => [withoutEscape(key), reviveTags(fields[key])]));
  }
  // Assigning to a `__proto__` that JSON.parse has made an own key changes that key, not the prototype.
  for (const key of keys) fields[key] = reviveTags(fields[key]);
  return fields;
}

function withoutEscape(key: string): string {
  if (!key.startsWith('$')) return key;
  if (key.startsWith('$$')) return key.slice(1);
  throw new Error(`a tag beside other keys: ${JSON.stringify(key)}`);
}

function readTag(tag: string, body: unknown): unknown {
  switch (tag) {
    case '$undefined':
      return undefined;
    case '$number':
      if (body === 'NaN' || body === 'Infinity' || body === '-Infinity' || body === '-0') return Number(body);
      break;
    case '$bigint':
      if (typeof body === 'string' && /^-?\d+$/.test(body)) return BigInt(body);
      break;
    case '$date':
      if (body === null || typeof body === 'number') return new Date(body ?? Number.NaN);
      break;
    case '$regexp':
      if (isTextPair(body)) return new RegExp(body[0], body[1]);
      break;
    case '$set':
      if (Array.isArray(body)) return new Set(body.map(reviveTags));
      break;
    case '$map':
      if (Array.isArray(body) && body.length % 2 === 0) return mapOf(body.map(reviveTags));
      break;
    case '$bytes':
      if (isTextPair(body)) return readBytes(body[0], body[1]);
      break;
  }
  throw new Error(`the tag ${JSON.stringify(tag)} is unknown, or what it holds`);
}

function isTextPair(body: unknown): body is [string, string] {
  return Array.isArray(body) && body.length === 2 && body.every((part) => typeof part === 'string');
}

function mapOf(keysAndValues: readonly unknown[]): Map<unknown, unknown> {
  const map = new Map<unknown, unknown>();
  for (let i = 0; i < keysAndValues.length; i += 2) map.set(keysAndValues[i], keysAndValues[i + 1]);
  return map;
}

function readBytes(kind: string, base64: string): ArrayBuffer | ArrayBufferView {
  const decoded = Buffer.from(base64, 'base64');
  if (decoded.toString('base64') !== base64) throw new Error('not base64');
  // A copy of its own, aligned for any kind: small Buffers share a pool.
  const { buffer } = new Uint8Array(decoded);
  if (kind === 'ArrayBuffer') return buffer;
  const View = VIEWS.get(kind);
  if (View === undefined) throw new Error(`an unknown kind of bytes: ${JSON.stringify(kind)}`);
  return new View(buffer);
}
