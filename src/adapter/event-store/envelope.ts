/**
 * The bytes of one event in the log. Little-endian; u64 are safe integers.
 *
 *   offset  size
 *        0     1  format: 1
 *        1     1  kind: 1 event, 2 transaction (see transaction.ts)
 *        2     2  number of partitions of the store: what streams are spread by, known from any record
 *        4     8  position in the order of all events of the store
 *       12     8  revision in its stream, from 0
 *       20     8  time of the append, ms since the epoch
 *       28    16  event id, a UUID
 *       44     2  schema version, from 1
 *       46     1  number of the codec of the data (codec-registry.ts); metadata are JSON
 *       47     1  flags: bit 0 correlation id, bit 1 causation id, bit 2 metadata
 *       48     2  bytes of the stream id
 *       50     2  bytes of the type
 *       52     2  number of tags
 *       54     2  zero
 *       56     4  bytes of the metadata
 *       60     4  bytes of the data
 *       64        stream id · type · tags (u16 length + bytes each) · correlation id · causation id (u16 + bytes each)
 *                 · metadata · data
 *
 * Strings are UTF-8. What comes from the log has passed its checksum, so a record that does not fit this drawing was
 * not written by an event store: `ERR_VARVE_CORRUPT`.
 */
import { VarveError } from '../../errors.js';
import type { EventCodec } from './codec.js';
import { jsonCodec, jsonValue } from './json-codec.js';
import { readText } from './short-texts.js';

export const FORMAT = 1;
export const KIND_EVENT = 1;
export const KIND_TRANSACTION = 2;
const HEAD_SIZE = 64;

const HAS_CORRELATION = 1;
const HAS_CAUSATION = 2;
const HAS_METADATA = 4;

const TWO_32 = 0x1_0000_0000;

/** Writes the 16 bytes of a new id. */
export type IdMaker = (bytes: Uint8Array, at: number) => void;

/** An event as it is written: everything but where it goes, which is known only when it is committed. */
export interface EventParts {
  readonly id: Uint8Array | IdMaker;
  readonly type: string;
  readonly schemaVersion: number;
  /** Number of the codec of `data`. */
  readonly codec: number;
  readonly tags: readonly string[];
  readonly correlationId: string | undefined;
  readonly causationId: string | undefined;
  readonly metadata: Uint8Array | undefined;
  /** Bytes, or a text whose UTF-8 they are. */
  readonly data: Uint8Array | string;
}

/** What of an event is needed to index it. */
export interface EnvelopeHead {
  readonly kind: number;
  readonly partitions: number;
  readonly position: number;
  readonly revision: number;
  readonly stream: string;
  readonly type: string;
  readonly tags: readonly string[];
}

/** Encodes an event of `stream`; `place` fills in the rest. */
export function encodeEnvelope(stream: string, partitions: number, event: EventParts): Buffer {
  const { id, type, schemaVersion, codec, tags, correlationId, causationId, metadata, data } = event;
  const streamSize = Buffer.byteLength(stream);
  const typeSize = Buffer.byteLength(type);
  const metadataSize = metadata === undefined ? 0 : metadata.length;
  const dataSize = typeof data === 'string' ? Buffer.byteLength(data) : data.length;
  let size = HEAD_SIZE + streamSize + typeSize + metadataSize + dataSize;
  for (const tag of tags) size += textSize(tag);
  if (correlationId !== undefined) size += textSize(correlationId);
  if (causationId !== undefined) size += textSize(causationId);
  const bytes = Buffer.allocUnsafe(size);
  bytes[0] = FORMAT;
  bytes[1] = KIND_EVENT;
  bytes.writeUInt16LE(partitions, 2);
  if (typeof id === 'function') id(bytes, 28);
  else bytes.set(id, 28);
  bytes.writeUInt16LE(schemaVersion, 44);
  bytes[46] = codec;
  bytes[47] =
    (correlationId === undefined ? 0 : HAS_CORRELATION) |
    (causationId === undefined ? 0 : HAS_CAUSATION) |
    (metadata === undefined ? 0 : HAS_METADATA);
  bytes.writeUInt16LE(streamSize, 48);
  bytes.writeUInt16LE(typeSize, 50);
  bytes.writeUInt16LE(tags.length, 52);
  bytes.writeUInt16LE(0, 54);
  bytes.writeUInt32LE(metadataSize, 56);
  bytes.writeUInt32LE(dataSize, 60);
  let at = HEAD_SIZE;
  at += bytes.write(stream, at);
  at += bytes.write(type, at);
  for (const tag of tags) at = writeText(bytes, tag, at);
  if (correlationId !== undefined) at = writeText(bytes, correlationId, at);
  if (causationId !== undefined) at = writeText(bytes, causationId, at);
  if (metadata !== undefined) {
    bytes.set(metadata, at);
    at += metadata.length;
  }
  if (typeof data === 'string') bytes.write(data, at);
  else bytes.set(data, at);
  return bytes;
}

/** Bytes that `writeText` needs. */
const textSize = (text: string): number => 2 + Buffer.byteLength(text);

/** Writes a text behind its length, and returns the offset behind it. */
function writeText(bytes: Buffer, text: string, at: number): number {
  const length = bytes.write(text, at + 2);
  bytes.writeUInt16LE(length, at);
  return at + 2 + length;
}

/** Writes where an encoded event goes. */
export function place(bytes: Buffer, position: number, revision: number, created: number): void {
  writeU64(bytes, position, 4);
  writeU64(bytes, revision, 12);
  writeU64(bytes, created, 20);
}

export const envelopeKind = (bytes: Uint8Array): number => bytes[1] as number;
export const envelopePosition = (bytes: Uint8Array): number => readU64(bytes, 4);
/** Milliseconds since the epoch; 0 where the record is no event. */
export const envelopeCreated = (bytes: Uint8Array): number =>
  envelopeKind(bytes) === KIND_EVENT ? readU64(bytes, 20) : 0;

/** The 16 bytes of an event's id, as a string of 16 characters. */
export const envelopeId = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset + 28, 16).toString('latin1');

/** Reads what an index needs. Throws `ERR_VARVE_CORRUPT`. */
export function decodeHead(payload: Uint8Array): EnvelopeHead {
  const kind = kindOf(payload);
  const partitions = readU16(payload, 2);
  const position = readU64(payload, 4);
  if (kind !== KIND_EVENT) return { kind, partitions, position, revision: 0, stream: '', type: '', tags: [] };
  const { revision, stream, type, tags } = new Envelope(payload);
  return { kind, partitions, position, revision, stream, type, tags };
}

/** The memory that was read from last, as one Buffer: records that are read one after the other lie in one window. */
let lastMemory: Buffer = Buffer.alloc(0);

/** An event, read part by part as it is asked for. Throws `ERR_VARVE_CORRUPT` for what is none, or does not fit exactly. */
export class Envelope implements EnvelopeHead {
  readonly kind = KIND_EVENT;
  readonly #payload: Uint8Array;
  /** Where the payload lies in, and offsets in it: each part reaches up to where the next one begins. */
  readonly #memory: Buffer;
  readonly #typeAt: number;
  readonly #tagsAt: number;
  readonly #correlationAt: number;
  readonly #causationAt: number;
  readonly #metadataAt: number;
  readonly #dataAt: number;
  readonly #end: number;

  constructor(payload: Uint8Array) {
    if (kindOf(payload) !== KIND_EVENT) throw notAnEvent();
    if (lastMemory.buffer !== payload.buffer) lastMemory = Buffer.from(payload.buffer);
    const start = payload.byteOffset;
    const end = start + payload.length;
    const flags = payload[47] as number;
    this.#payload = payload;
    this.#memory = lastMemory;
    this.#typeAt = start + HEAD_SIZE + readU16(payload, 48);
    this.#tagsAt = this.#typeAt + readU16(payload, 50);
    let at = this.#tagsAt;
    for (let i = readU16(payload, 52); i > 0; i--) at = this.#behindText(at, end);
    this.#correlationAt = at;
    if (flags & HAS_CORRELATION) at = this.#behindText(at, end);
    this.#causationAt = at;
    if (flags & HAS_CAUSATION) at = this.#behindText(at, end);
    this.#metadataAt = at;
    this.#dataAt = at + readU32(payload, 56);
    this.#end = this.#dataAt + readU32(payload, 60);
    if (this.#end !== end) throw notAnEvent();
  }

  get partitions(): number {
    return readU16(this.#payload, 2);
  }

  get position(): number {
    return readU64(this.#payload, 4);
  }

  get revision(): number {
    return readU64(this.#payload, 12);
  }

  /** Milliseconds since the epoch. */
  get created(): number {
    return readU64(this.#payload, 20);
  }

  /** As a UUID is usually written. */
  get id(): string {
    return formatId(this.#payload, 28);
  }

  get schemaVersion(): number {
    return readU16(this.#payload, 44);
  }

  /** Number of the codec of `data`. */
  get codec(): number {
    return this.#payload[46] as number;
  }

  get stream(): string {
    return readText(this.#memory, this.#payload.byteOffset + HEAD_SIZE, this.#typeAt);
  }

  get type(): string {
    return readText(this.#memory, this.#typeAt, this.#tagsAt);
  }

  get tags(): string[] {
    const tags = new Array<string>(readU16(this.#payload, 52));
    let at = this.#tagsAt;
    for (let i = 0; i < tags.length; i++) {
      const end = at + 2 + readU16(this.#memory, at);
      tags[i] = readText(this.#memory, at + 2, end);
      at = end;
    }
    return tags;
  }

  get correlationId(): string | undefined {
    if (this.#correlationAt === this.#causationAt) return undefined;
    return this.#memory.toString('utf8', this.#correlationAt + 2, this.#causationAt);
  }

  get causationId(): string | undefined {
    if (this.#causationAt === this.#metadataAt) return undefined;
    return this.#memory.toString('utf8', this.#causationAt + 2, this.#metadataAt);
  }

  /** A view of the payload. */
  get metadata(): Uint8Array | undefined {
    if (((this.#payload[47] as number) & HAS_METADATA) === 0) return undefined;
    return this.#part(this.#metadataAt, this.#dataAt);
  }

  /** A view of the payload. */
  get data(): Uint8Array {
    return this.#part(this.#dataAt, this.#end);
  }

  /** What `codec` makes of the data. */
  decodeData(codec: EventCodec): unknown {
    return codec === jsonCodec ? jsonValue(this.#memory, this.#dataAt, this.#end) : codec.decode(this.data);
  }

  #part(from: number, to: number): Uint8Array {
    const { byteOffset } = this.#payload;
    return this.#payload.subarray(from - byteOffset, to - byteOffset);
  }

  /** The offset behind a text that begins with its length. */
  #behindText(at: number, end: number): number {
    if (at + 2 > end) throw notAnEvent();
    const behind = at + 2 + readU16(this.#memory, at);
    if (behind > end) throw notAnEvent();
    return behind;
  }
}

/** `01234567-89ab-cdef-0123-456789abcdef`, of the 16 bytes at `start`. */
export function formatId(bytes: Uint8Array, start = 0): string {
  let at = 0;
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) at++; // a dash
    const byte = bytes[start + i] as number;
    idText[at++] = HEX[byte >> 4] as number;
    idText[at++] = HEX[byte & 15] as number;
  }
  return idText.toString('latin1');
}

const HEX = Buffer.from('0123456789abcdef');
/** Where an id is written before it becomes a string; the dashes stay. */
const idText = Buffer.from('-'.repeat(36));

/** The 16 bytes of a UUID in its usual form; undefined if it is none. */
export function parseId(text: string): Uint8Array | undefined {
  if (!/^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i.test(text)) return undefined;
  return Buffer.from(text.replaceAll('-', ''), 'hex');
}

/** What kind of record it is. Throws `ERR_VARVE_CORRUPT` where it is none of an event store. */
function kindOf(payload: Uint8Array): number {
  const kind = payload[1] as number;
  const size = kind === KIND_EVENT ? HEAD_SIZE : kind === KIND_TRANSACTION ? 12 : Number.POSITIVE_INFINITY;
  if (payload[0] !== FORMAT || payload.length < size) throw notAnEvent();
  return kind;
}

export function notAnEvent(): VarveError {
  return new VarveError(
    'ERR_VARVE_CORRUPT',
    'A record of the log is not an event: something other than an event store has written to it, or a newer version.',
  );
}

function writeU64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value % TWO_32, at);
  bytes.writeUInt32LE(Math.floor(value / TWO_32), at + 4);
}

function readU16(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}

function readU32(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at) + readU16(bytes, at + 2) * 0x1_0000;
}

function readU64(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + 4) * TWO_32 + readU32(bytes, at);
}
