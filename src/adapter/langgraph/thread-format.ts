/**
 * How a thread is written down: two types of events in its stream. What an index needs stands in the metadata of an event,
 * the values themselves, as the serializer made them, one behind the other in its data.
 *
 *     langgraph.checkpoint   metadata: CheckpointHeader   data: checkpoint │ metadata │ value of channel a │ of b │ …
 *     langgraph.writes       metadata: WritesHeader       data: value of write 0 │ of write 1 │ …
 *
 * The data are bytes, which every codec of the store takes but the application's own, perhaps. Only channels that have
 * changed are stored with a checkpoint; the others are *carried*: their values lie with an ancestor, at the same version.
 */
import { VarveError } from '../../errors.js';
import type { EventInput } from '../event-store/event-input.js';
import type { RecordedEvent } from '../event-store/recorded-event.js';

export const CHECKPOINT_EVENT = 'langgraph.checkpoint';
export const WRITES_EVENT = 'langgraph.writes';

export type Version = string | number;

/** A value as the serializer made it: what it calls the type, and the bytes. */
export type Serialized = readonly [type: string, bytes: Uint8Array];

/** Type and length of a value in the data. */
type Part = readonly [type: string, length: number];

interface Header {
  readonly ns: string;
  /** Of the checkpoint. */
  readonly id: string;
}

export interface CheckpointHeader extends Header {
  readonly parent?: string;
  /** Version of the checkpoint's format. */
  readonly v: number;
  /** `metadata.parents`: checkpoints of other namespaces, within which this one came about. */
  readonly parents?: Readonly<Record<string, string>>;
  /** Channels that are known here to be made of the writes of ancestors. */
  readonly deltas?: readonly string[];
  /** Kept for the sake of its descendants only; not listed. */
  readonly hidden?: boolean;
  readonly body: Part;
  readonly metadata: Part;
  readonly stored: readonly (readonly [channel: string, version: Version | null, ...Part])[];
  readonly carried: readonly (readonly [channel: string, version: Version])[];
}

export interface WritesHeader extends Header {
  readonly task: string;
  readonly path: string;
  readonly writes: readonly (readonly [idx: number, channel: string, ...Part])[];
}

export interface StoredValue {
  readonly channel: string;
  readonly version: Version | null;
  readonly value: Serialized;
}

/** An event, and the header without what the parts tell. */
export function checkpointEvent(
  header: Omit<CheckpointHeader, 'body' | 'metadata' | 'stored'>,
  body: Serialized,
  metadata: Serialized,
  stored: readonly StoredValue[],
): EventInput {
  const full: CheckpointHeader = {
    ...header,
    body: partOf(body),
    metadata: partOf(metadata),
    stored: stored.map(({ channel, version, value }) => [channel, version, ...partOf(value)]),
  };
  return {
    type: CHECKPOINT_EVENT,
    metadata: full,
    data: Buffer.concat([body[1], metadata[1], ...stored.map(({ value }) => value[1])]),
  };
}

export function writesEvent(
  header: Omit<WritesHeader, 'writes'>,
  writes: readonly { readonly idx: number; readonly channel: string; readonly value: Serialized }[],
): EventInput {
  const full: WritesHeader = {
    ...header,
    writes: writes.map(({ idx, channel, value }) => [idx, channel, ...partOf(value)]),
  };
  return { type: WRITES_EVENT, metadata: full, data: Buffer.concat(writes.map(({ value }) => value[1])) };
}

/** The values in the data of an event, in order: of a checkpoint first itself, then its metadata, then its channels. */
export function valuesOf(event: RecordedEvent): Serialized[] {
  const parts =
    event.type === CHECKPOINT_EVENT
      ? checkpointParts(event.metadata as CheckpointHeader)
      : (event.metadata as WritesHeader).writes.map(([, , ...part]): Part => part);
  const data = event.data as Uint8Array;
  let at = 0;
  return parts.map(([type, length]) => {
    at += length;
    return [type, data.slice(at - length, at)]; // a copy: the event may be shared
  });
}

/** Throws `ERR_VARVE_INVALID_EVENT` for an event that no saver has written. */
export function refuseForeign({ type, schemaVersion, stream, revision }: RecordedEvent): never {
  throw new VarveError(
    'ERR_VARVE_INVALID_EVENT',
    `Revision ${revision} of the stream '${stream}' is '${type}', version ${schemaVersion}, which varve/langgraph cannot ` +
      'read. Streams of threads belong to their saver: give it a prefix of its own.',
    { stream, eventType: type, schemaVersion },
  );
}

const partOf = ([type, bytes]: Serialized): Part => [type, bytes.length];

function checkpointParts({ body, metadata, stored }: CheckpointHeader): Part[] {
  return [body, metadata, ...stored.map(([, , ...part]): Part => part)];
}
