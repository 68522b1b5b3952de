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

export const FORMAT = 1;
export const KIND_EVENT = 1;
export const KIND_TRANSACTION = 2;
const HEAD_SIZE = 64;

const HAS_CORRELATION = 1;
const HAS_CAUSATION = 2;
const HAS_METADATA = 4;

const TWO_32 = 0x1_0000_0000;

/** An event as it is written: everything but where it goes, which is known only when it is committed. */
export interface EventParts {
  readonly id: Uint8Array;
  readonly type: string;
  readonly schemaVersion: number;
  /** Number of the codec of `data`. */
  readonly codec: number;
  readonly tags: readonly string[];
  readonly correlationId: string | undefined;
  readonly causationId: string | undefined;
  readonly metadata: Uint8Array | undefined;
  readonly data: Uint8Array;
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

export interface Envelope extends EnvelopeHead {
  /** Milliseconds since the epoch. */
  readonly created: number;
  readonly id: Uint8Array;
  readonly schemaVersion: number;
  /** Number of the codec of `data`. */
  readonly codec: number;
  readonly correlationId: string | undefined;
  readonly causationId: string | undefined;
  readonly metadata: Uint8Array | undefined;
  readonly data: Uint8Array;
}

/** Encodes an event of `stream`; `place` fills in the rest. */
export function encodeEnvelope(stream: string, partitions: number, event: EventParts): Buffer {
  const { id, type, schemaVersion, codec, tags, correlationId, causationId, metadata, data } = event;
  const streamSize = Buffer.byteLength(stream);
  const typeSize = Buffer.byteLength(type);
  let size = HEAD_SIZE + streamSize + typeSize + (metadata?.length ?? 0) + data.length;
  for (const tag of tags) size += 2 + Buffer.byteLength(tag);
  for (const text of [correlationId, causationId]) if (text !== undefined) size += 2 + Buffer.byteLength(text);
  const bytes = Buffer.allocUnsafe(size);
  bytes[0] = FORMAT;
  bytes[1] = KIND_EVENT;
  bytes.writeUInt16LE(partitions, 2);
  bytes.set(id, 28);
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
  bytes.writeUInt32LE(metadata?.length ?? 0, 56);
  bytes.writeUInt32LE(data.length, 60);
  let at = HEAD_SIZE;
  at += bytes.write(stream, at);
  at += bytes.write(type, at);
  for (const text of [...tags, correlationId, causationId]) {
    if (text === undefined) continue;
    const length = bytes.write(text, at + 2);
    bytes.writeUInt16LE(length, at);
    at += 2 + length;
  }
  if (metadata !== undefined) {
    bytes.set(metadata, at);
    at += metadata.length;
  }
  bytes.set(data, at);
  return bytes;
}

/** Writes where an encoded event goes. */
export function place(bytes: Buffer, position: number, revision: number, created: number): void {
  writeU64(bytes, position, 4);
  writeU64(bytes, revision, 12);
  writeU64(bytes, created, 20);
}

export const envelopeKind = (bytes: Uint8Array): number => bytes[1] as number;
export const envelopePosition = (bytes: Uint8Array): number => readU64(asBuffer(bytes), 4);
/** Milliseconds since the epoch; 0 where the record is no event. */
export const envelopeCreated = (bytes: Uint8Array): number =>
  envelopeKind(bytes) === KIND_EVENT ? readU64(asBuffer(bytes), 20) : 0;

/** The 16 bytes of an event's id, as a string of 16 characters. */
export const envelopeId = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset + 28, 16).toString('latin1');

/** Reads what an index needs. Throws `ERR_VARVE_CORRUPT`. */
export function decodeHead(payload: Uint8Array): EnvelopeHead {
  const bytes = checked(payload);
  const partitions = bytes.readUInt16LE(2);
  const kind = bytes[1] as number;
  const position = readU64(bytes, 4);
  if (kind !== KIND_EVENT) return { kind, partitions, position, revision: 0, stream: '', type: '', tags: [] };
  const streamEnd = HEAD_SIZE + bytes.readUInt16LE(48);
  const typeEnd = streamEnd + bytes.readUInt16LE(50);
  if (typeEnd > bytes.length) throw notAnEvent();
  const count = bytes.readUInt16LE(52);
  const tags: string[] = [];
  let at = typeEnd;
  for (let i = 0; i < count; i++) at = readText(bytes, at, tags);
  return {
    kind,
    partitions,
    position,
    revision: readU64(bytes, 12),
    stream: bytes.toString('utf8', HEAD_SIZE, streamEnd),
    type: bytes.toString('utf8', streamEnd, typeEnd),
    tags,
  };
}

/** Reads an event. `data`, `metadata` and `id` are views of `payload`. Throws `ERR_VARVE_CORRUPT`. */
export function decodeEnvelope(payload: Uint8Array): Envelope {
  const bytes = checked(payload);
  if (bytes[1] !== KIND_EVENT) throw notAnEvent();
  const flags = bytes[47] as number;
  const streamEnd = HEAD_SIZE + bytes.readUInt16LE(48);
  const typeEnd = streamEnd + bytes.readUInt16LE(50);
  const count = bytes.readUInt16LE(52);
  const texts: string[] = [];
  let at = typeEnd;
  for (let i = 0; i < count; i++) at = readText(bytes, at, texts);
  const tags = texts.splice(0);
  if (flags & HAS_CORRELATION) at = readText(bytes, at, texts);
  const correlationId = texts.pop();
  if (flags & HAS_CAUSATION) at = readText(bytes, at, texts);
  const causationId = texts.pop();
  const metadataEnd = at + bytes.readUInt32LE(56);
  const end = metadataEnd + bytes.readUInt32LE(60);
  if (end !== bytes.length) throw notAnEvent();
  return {
    kind: bytes[1] as number,
    partitions: bytes.readUInt16LE(2),
    position: readU64(bytes, 4),
    revision: readU64(bytes, 12),
    created: readU64(bytes, 20),
    id: payload.subarray(28, 44),
    schemaVersion: bytes.readUInt16LE(44),
    codec: bytes[46] as number,
    stream: bytes.toString('utf8', HEAD_SIZE, streamEnd),
    type: bytes.toString('utf8', streamEnd, typeEnd),
    tags,
    correlationId,
    causationId,
    metadata: flags & HAS_METADATA ? payload.subarray(at, metadataEnd) : undefined,
    data: payload.subarray(metadataEnd, end),
  };
}

/** `01234567-89ab-cdef-0123-456789abcdef` */
export function formatId(id: Uint8Array): string {
  const hex = asBuffer(id).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The 16 bytes of a UUID in its usual form; undefined if it is none. */
export function parseId(text: string): Uint8Array | undefined {
  if (!/^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i.test(text)) return undefined;
  return Buffer.from(text.replaceAll('-', ''), 'hex');
}

function checked(payload: Uint8Array): Buffer {
  const bytes = asBuffer(payload);
  const size = bytes[1] === KIND_EVENT ? HEAD_SIZE : bytes[1] === KIND_TRANSACTION ? 12 : Number.POSITIVE_INFINITY;
  if (bytes[0] !== FORMAT || bytes.length < size) throw notAnEvent();
  return bytes;
}

export function notAnEvent(): VarveError {
  return new VarveError(
    'ERR_VARVE_CORRUPT',
    'A record of the log is not an event: something other than an event store has written to it, or a newer version.',
  );
}

function readText(bytes: Buffer, at: number, out: string[]): number {
  if (at + 2 > bytes.length) throw notAnEvent();
  const end = at + 2 + bytes.readUInt16LE(at);
  if (end > bytes.length) throw notAnEvent();
  out.push(bytes.toString('utf8', at + 2, end));
  return end;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

function writeU64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value % TWO_32, at);
  bytes.writeUInt32LE(Math.floor(value / TWO_32), at + 4);
}

function readU64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + 4) * TWO_32 + bytes.readUInt32LE(at);
}
