/** Events as readers get them. */
import type { CodecRegistry } from './codec-registry.js';
import { Envelope } from './envelope.js';
import { jsonCodec } from './json-codec.js';
import type { Upcasters } from './upcasters.js';

export interface RecordedEvent<Data = unknown> {
  /** UUID. */
  readonly id: string;
  readonly stream: string;
  /** Place in its stream, from 0n, without gaps. */
  readonly revision: bigint;
  readonly type: string;
  readonly data: Data;
  readonly metadata: unknown;
  readonly correlationId: string | undefined;
  readonly causationId: string | undefined;
  readonly tags: readonly string[];
  /** Version of the shape of `data`, from 1: what upcasters go by. */
  readonly schemaVersion: number;
  /** When it was appended. */
  readonly created: Date;
  /** Place in the order of all events of the store; it grows, over all partitions. See `formatPosition`. */
  readonly position: bigint;
  /** Partition, and LSN in it. */
  readonly partition: number;
  readonly lsn: number;
}

/** What is made of bytes at reading. */
export interface Decoding {
  readonly codecs: CodecRegistry;
  readonly upcasters: Upcasters;
}

/** Throws `ERR_VARVE_CORRUPT` for what is not an event, and what the codec or an upcaster throws. */
export function decodeEvent(payload: Uint8Array, partition: number, lsn: number, decoding: Decoding): RecordedEvent {
  const envelope = new Envelope(payload);
  const { metadata } = envelope;
  const event = decoding.upcasters.apply({
    type: envelope.type,
    schemaVersion: envelope.schemaVersion,
    data: envelope.decodeData(decoding.codecs.byId(envelope.codec)),
    metadata: metadata === undefined ? undefined : jsonCodec.decode(metadata),
  });
  return {
    id: envelope.id,
    stream: envelope.stream,
    revision: BigInt(envelope.revision),
    type: event.type,
    data: event.data,
    metadata: event.metadata,
    correlationId: envelope.correlationId,
    causationId: envelope.causationId,
    tags: envelope.tags,
    schemaVersion: event.schemaVersion,
    created: new Date(envelope.created),
    position: BigInt(envelope.position),
    partition,
    lsn,
  };
}
