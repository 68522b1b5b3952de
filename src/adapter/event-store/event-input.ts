/** Events as writers give them: checked and encoded before anything is changed. */
import { VarveError } from '../../errors.js';
import type { CodecRegistry } from './codec-registry.js';
import type { PreparedEvent } from './commit-lane.js';
import { encodeEnvelope, parseId } from './envelope.js';
import { jsonCodec } from './json-codec.js';

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
  if (/\p{Surrogate}/u.test(text)) return 'it holds half of a surrogate pair, which UTF-8 cannot express';
  return undefined;
}

/** Encodes `event`, number `at` of an append to `stream`. Throws `ERR_VARVE_INVALID_EVENT`. */
export function prepareEvent(
  stream: string,
  event: EventInput,
  at: number,
  codec: Pick<CodecRegistry, 'id' | 'codec'>,
  partitions: number,
  makeId: () => Uint8Array,
): PreparedEvent {
  const where = `events[${at}]`;
  const refuse = (option: string, problem: string, value?: unknown): VarveError =>
    new VarveError(
      'ERR_VARVE_INVALID_EVENT',
      `${where}${option} ${value === undefined ? 'is refused' : shown(value)}: ${problem}.`,
      {
        stream,
        option: `${where}${option}`,
      },
    );
  const checkText = (option: string, text: unknown, maxBytes: number) => {
    const problem = problemOf(text, maxBytes);
    if (problem !== undefined) throw refuse(option, problem, text);
  };
  if (typeof event !== 'object' || event === null || Array.isArray(event)) {
    throw refuse('', 'it must be an object with a type', event);
  }
  for (const key in event)
    if (!KNOWN.has(key)) throw refuse(`.${key}`, `it is unknown; known are ${[...KNOWN].join(', ')}`);
  const { type, tags = [], correlationId, causationId, schemaVersion = 1, metadata } = event;
  checkText('.type', type, MAX_TYPE_BYTES);
  if (correlationId !== undefined) checkText('.correlationId', correlationId, MAX_ID_BYTES);
  if (causationId !== undefined) checkText('.causationId', causationId, MAX_ID_BYTES);
  if (!Array.isArray(tags) || tags.length > MAX_TAGS)
    throw refuse('.tags', `they must be an array of at most ${MAX_TAGS} strings`);
  for (const [i, tag] of tags.entries()) checkText(`.tags[${i}]`, tag, MAX_TAG_BYTES);
  if (!Number.isInteger(schemaVersion) || schemaVersion < 1 || schemaVersion > MAX_SCHEMA_VERSION) {
    throw refuse('.schemaVersion', `it must be an integer from 1 to ${MAX_SCHEMA_VERSION}`, schemaVersion);
  }
  const id = event.id === undefined ? makeId() : typeof event.id === 'string' ? parseId(event.id) : undefined;
  if (id === undefined) throw refuse('.id', 'it must be a UUID', event.id);
  const bytes = encodeEnvelope(stream, partitions, {
    id,
    type,
    schemaVersion,
    codec: codec.id,
    tags,
    correlationId,
    causationId,
    metadata: metadata === undefined ? undefined : jsonCodec.encode(metadata, `${where}.metadata`),
    data: codec.codec.encode(event.data, `${where}.data`),
  });
  return { bytes, type, tags };
}

/** Makes UUIDs of version 4, from random bytes that are fetched for many at a time. */
export function idMaker(randomBytes: (length: number) => Uint8Array): () => Uint8Array {
  const ID_BYTES = 16;
  let pool: Uint8Array = new Uint8Array(0);
  let at = 0;
  return () => {
    if (at === pool.length) {
      pool = randomBytes(ID_BYTES * 256);
      at = 0;
    }
    const id = pool.subarray(at, at + ID_BYTES);
    at += ID_BYTES;
    id[6] = ((id[6] as number) & 0x0f) | 0x40;
    id[8] = ((id[8] as number) & 0x3f) | 0x80;
    return id;
  };
}

function shown(value: unknown): string {
  if (typeof value !== 'string') return `of type ${value === null ? 'null' : typeof value}`;
  return `'${value.length > 80 ? `${value.slice(0, 80)}…` : value}'`;
}
