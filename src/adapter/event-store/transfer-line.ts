/**
 * The lines of an export: one event each, as JSON.
 *
 *   {"stream":"cart-42","revision":0,"position":7,"id":"…","type":"ItemAdded","created":"2026-01-01T00:00:00.000Z",
 *    "data":{"sku":"a"}}
 *
 * Where they differ from their defaults: tags, correlationId, causationId, schemaVersion (1), codec (its name; 'json'),
 * metadata. Data that are not plain JSON stand as `dataBase64`, metadata likewise: the
 * bytes that the codec has made. `position` is told and not taken over: another store gives positions of its own.
 */
import { VarveError, type VarveErrorFields } from '../../errors.js';
import { bytesOf, type EventCodec } from './codec.js';
import type { CodecRegistry } from './codec-registry.js';
import type { Envelope } from './envelope.js';
import { checkStream, prepareEvent } from './event-input.js';
import { jsonCodec } from './json-codec.js';
import type { PreparedEvent } from './stream-write.js';

/** Number of the JSON codec: the default. */
const JSON_CODEC = 1;

const KNOWN = new Set(
  'stream revision position id type created tags correlationId causationId schemaVersion codec metadata metadataBase64 data dataBase64'.split(
    ' ',
  ),
);

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** An event of an export, ready to be appended. */
export interface TransferredEvent {
  readonly line: number;
  readonly stream: string;
  readonly revision: number;
  readonly event: PreparedEvent;
}

/** Throws `ERR_VARVE_INVALID_EVENT` for a codec whose name is not known. */
export function formatLine(event: Envelope, codecs: CodecRegistry): string {
  const { stream, revision, position, type, tags, correlationId, causationId, schemaVersion, codec } = event;
  const fields = {
    stream,
    revision,
    position,
    id: event.id,
    type,
    created: new Date(event.created).toISOString(),
    ...(tags.length === 0 ? {} : { tags }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(causationId === undefined ? {} : { causationId }),
    ...(schemaVersion === 1 ? {} : { schemaVersion }),
    ...(codec === JSON_CODEC ? {} : { codec: codecs.nameOf(codec) }),
  };
  const head = JSON.stringify(fields).slice(0, -1);
  const metadata = event.metadata === undefined ? '' : `,${formatBytes('metadata', event.metadata, true)}`;
  return `${head}${metadata},${formatBytes('data', event.data, codec === JSON_CODEC)}}\n`;
}

/** `"data":…` where the bytes are JSON that comes back exactly, else `"dataBase64":"…"`. */
function formatBytes(name: string, bytes: Uint8Array, json: boolean): string {
  const text = json ? plainJson(bytes) : undefined;
  return text === undefined ? `"${name}Base64":"${Buffer.from(bytes).toString('base64')}"` : `"${name}":${text}`;
}

function plainJson(bytes: Uint8Array): string | undefined {
  try {
    const text = utf8.decode(bytes);
    return JSON.stringify(JSON.parse(text)) === text ? text : undefined;
  } catch {
    return undefined; // the tagged form, or another codec's
  }
}

/** `ERR_VARVE_INVALID_EVENT` for a line of an import, by its number from 1. */
export function badLine(line: number, problem: string, fields: VarveErrorFields = {}, cause?: unknown): VarveError {
  return new VarveError('ERR_VARVE_INVALID_EVENT', `Line ${line}: ${problem}`, { line, ...fields }, cause);
}

/** Reads and checks a line. Throws `ERR_VARVE_INVALID_EVENT` with `line`. */
export function parseLine(line: number, text: string, codecs: CodecRegistry, partitions: number): TransferredEvent {
  try {
    const fields = JSON.parse(text) as Record<string, unknown>;
    if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) throw new Error('it is not an object');
    for (const key in fields) if (!KNOWN.has(key)) throw new Error(`'${key}' is unknown`);
    const { revision, created, codec: name = jsonCodec.name } = fields;
    const stream = checkStream(fields.stream, true);
    if (!Number.isSafeInteger(revision) || (revision as number) < 0)
      throw new Error('revision is not an integer from 0');
    const time = typeof created === 'string' ? new Date(created) : new Date(Number.NaN);
    if (!(time.getTime() >= 0) || time.toISOString() !== created) throw new Error('created is not a time in UTC');
    if (typeof fields.id !== 'string') throw new Error('id is missing');
    const number = codecs.idOf(name as string);
    const codec = codecs.byId(number);
    const data = dataOf(fields, codec);
    const { id, type, tags, correlationId, causationId, schemaVersion } = fields;
    const input = { id, type, tags, correlationId, causationId, schemaVersion, metadata: metadataOf(fields) };
    const given = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined));
    const asItIs = { id: number, codec: { ...codec, encode: () => data } };
    const prepared = prepareEvent(stream, given as never, 0, asItIs, partitions, () => new Uint8Array());
    return { line, stream, revision: revision as number, event: { ...prepared, created: time.getTime() } };
  } catch (error) {
    throw badLine(line, error instanceof Error ? error.message : String(error), {}, error);
  }
}

function dataOf(fields: Record<string, unknown>, codec: EventCodec): Uint8Array {
  if (fields.dataBase64 === undefined) {
    if (!('data' in fields)) throw new Error('data are missing');
    if (codec !== jsonCodec) throw new Error('data of another codec than JSON must be dataBase64');
    return jsonBytes(fields.data);
  }
  const bytes = fromBase64(fields, 'data');
  codec.decode(bytes); // what cannot be read must not get in
  return bytes;
}

function metadataOf(fields: Record<string, unknown>): unknown {
  return fields.metadataBase64 === undefined ? fields.metadata : jsonCodec.decode(fromBase64(fields, 'metadata'));
}

const jsonBytes = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

function fromBase64(fields: Record<string, unknown>, name: string): Uint8Array {
  const text = fields[`${name}Base64`];
  if (name in fields) throw new Error(`${name} and ${name}Base64 are both there`);
  const bytes = Buffer.from(typeof text === 'string' ? text : '', 'base64');
  if (bytes.toString('base64') !== text) throw new Error(`${name}Base64 is not base64`);
  return bytesOf(bytes);
}
