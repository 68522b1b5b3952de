/** Events as writers give them: checked and encoded before anything is changed. */
import { VarveError } from '../../errors.js';
import type { CodecRegistry } from './codec-registry.js';
import { encodeEnvelope, type IdMaker, parseId } from './envelope.js';
import { jsonCodec, jsonText } from './json-codec.js';
import type { PreparedEvent } from './stream-write.js';

export interface EventInput<Data = unknown> {
  /** UUID; made where it is not given. Appending the same ids again changes nothing and has the first result. */
  readonly id?: string;
  /** 1 to 512 bytes of UTF-8. */
  readonly type: string;
  /** What the codec can encode; by default everything that has a place in an event. */
  readonly data?: Data;
  readonly metadata?: unknown;
  /** Up to 1,024 bytes of UTF-8. */
  readonly correlationId?: string;
  readonly causationId?: string;
  /** Up to 64, of 1 to 256 bytes each. */
  readonly tags?: readonly string[];
  /** Version of the shape of `data`: 1 … 65,535. Default 1. */
  readonly schemaVersion?: number;
}

export const MAX_STREAM_BYTES = 1024;
const MAX_TYPE_BYTES = 512;
const MAX_ID_BYTES = 1024;
const MAX_TAG_BYTES = 256;
const MAX_TAGS = 64;
const MAX_SCHEMA_VERSION = 65_535;
const NO_TAGS: readonly string[] = [];

const KNOWN = new Set(['id', 'type', 'data', 'metadata', 'correlationId', 'causationId', 'tags', 'schemaVersion']);

/** Throws `ERR_VARVE_INVALID_OPTION`. `system`: ids that begin with `$` are allowed, too. */
export function checkStream(stream: unknown, system = false): string {
  const problem = problemOf(stream, MAX_STREAM_BYTES);
  if (problem !== undefined) throw invalidStream(stream, problem);
  if (!system && (stream as string).startsWith('$')) {
    throw invalidStream(stream, 'ids that begin with $ belong to the store itself');
  }
  return stream as string;
}

function invalidStream(stream: unknown, problem: string): VarveError {
  return new VarveError('ERR_VARVE_INVALID_OPTION', `The stream id ${shown(stream)} is refused: ${problem}.`, {
    option: 'stream',
  });
}

/** What is wrong with a text that is going to be stored; undefined if nothing. */
function problemOf(text: unknown, maxBytes: number): string | undefined {
  if (typeof text !== 'string') return 'it must be a string';
  if (text === '') return 'it must not be empty';
  if (text.length > maxBytes || Buffer.byteLength(text) > maxBytes) return `it may have ${maxBytes} bytes at most`;
  if (!text.isWellFormed()) return 'it holds half of a surrogate pair, which UTF-8 cannot express';
  return undefined;
}

/** Encodes `event`, number `at` of an append to `stream`. Throws `ERR_VARVE_INVALID_EVENT`. */
export function prepareEvent(
  stream: string,
  event: EventInput,
  at: number,
  codec: Pick<CodecRegistry, 'id' | 'codec'>,
  partitions: number,
  makeId: IdMaker,
): PreparedEvent {
  const where = at === 0 ? 'events[0]' : `events[${at}]`;
  if (typeof event !== 'object' || event === null || Array.isArray(event)) {
    throw refusal(stream, where, 'it must be an object with a type', event);
  }
  for (const key in event) {
    if (!KNOWN.has(key)) throw refusal(stream, `${where}.${key}`, `it is unknown; known are ${[...KNOWN].join(', ')}`);
  }
  const { type, tags = NO_TAGS, correlationId, causationId, schemaVersion = 1, metadata } = event;
  const typeProblem = problemOf(type, MAX_TYPE_BYTES);
  if (typeProblem !== undefined) throw refusal(stream, `${where}.type`, typeProblem, type);
  if (correlationId !== undefined) checkText(stream, `${where}.correlationId`, correlationId, MAX_ID_BYTES);
  if (causationId !== undefined) checkText(stream, `${where}.causationId`, causationId, MAX_ID_BYTES);
  if (tags !== NO_TAGS) checkTags(stream, `${where}.tags`, tags);
  if (!Number.isInteger(schemaVersion) || schemaVersion < 1 || schemaVersion > MAX_SCHEMA_VERSION) {
    const problem = `it must be an integer from 1 to ${MAX_SCHEMA_VERSION}`;
    throw refusal(stream, `${where}.schemaVersion`, problem, schemaVersion);
  }
  const id = event.id === undefined ? makeId : typeof event.id === 'string' ? parseId(event.id) : undefined;
  if (id === undefined) throw refusal(stream, `${where}.id`, 'it must be a UUID', event.id);
  const whereData = at === 0 ? 'events[0].data' : `${where}.data`;
  const bytes = encodeEnvelope(stream, partitions, {
    id,
    type,
    schemaVersion,
    codec: codec.id,
    tags,
    correlationId,
    causationId,
    metadata: metadata === undefined ? undefined : jsonCodec.encode(metadata, `${where}.metadata`),
    data: codec.codec === jsonCodec ? jsonText(event.data, whereData) : codec.codec.encode(event.data, whereData),
  });
  return { bytes, type, tags };
}

function checkText(stream: string, option: string, text: unknown, maxBytes: number): void {
  const problem = problemOf(text, maxBytes);
  if (problem !== undefined) throw refusal(stream, option, problem, text);
}

function checkTags(stream: string, option: string, tags: readonly string[]): void {
  if (!Array.isArray(tags) || tags.length > MAX_TAGS) {
    throw refusal(stream, option, `they must be an array of at most ${MAX_TAGS} strings`);
  }
  for (const [i, tag] of tags.entries()) checkText(stream, `${option}[${i}]`, tag, MAX_TAG_BYTES);
}

function refusal(stream: string, option: string, problem: string, value?: unknown): VarveError {
  const what = value === undefined ? 'is refused' : shown(value);
  return new VarveError('ERR_VARVE_INVALID_EVENT', `${option} ${what}: ${problem}.`, { stream, option });
}

/** Makes UUIDs of version 4, from random bytes that are fetched for many at a time. */
export function idMaker(randomBytes: (length: number) => Uint8Array): IdMaker {
  const ID_BYTES = 16;
  let pool: Uint8Array = new Uint8Array(0);
  let next = 0;
  return (bytes, at) => {
    if (next === pool.length) {
      pool = randomBytes(ID_BYTES * 256);
      next = 0;
    }
    for (let i = 0; i < ID_BYTES; i++) bytes[at + i] = pool[next++] as number;
    bytes[at + 6] = ((bytes[at + 6] as number) & 0x0f) | 0x40;
    bytes[at + 8] = ((bytes[at + 8] as number) & 0x3f) | 0x80;
  };
}

function shown(value: unknown): string {
  if (typeof value !== 'string') return `of type ${value === null ? 'null' : typeof value}`;
  return `'${value.length > 80 ? `${value.slice(0, 80)}…` : value}'`;
}
