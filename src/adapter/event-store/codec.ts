/**
 * Codecs: how an event's data and metadata become bytes, and come back.
 *
 * Before a codec sees bytes they have passed the log's checksums: they are what was written. So bytes that a codec
 * cannot read are not damage but, as a rule, another codec's, and the error is `ERR_VARVE_INVALID_EVENT`, not
 * `ERR_VARVE_CORRUPT`.
 */
import { types } from 'node:util';
import { VarveError } from '../../errors.js';

/** How an event's data (and metadata) become bytes, and come back. Both methods are synchronous and pure. */
export interface EventCodec {
  /** 1 … 64 characters. */
  readonly name: string;
  /** `where` names the value in error messages: 'data' or 'metadata'. */
  encode(value: unknown, where?: string): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

/** A codec that throws nothing but `ERR_VARVE_INVALID_EVENT`, with what `codec` threw as the cause, and encodes to bytes only. */
export function guardCodec(codec: EventCodec): EventCodec {
  return {
    name: codec.name,
    encode(value, where = 'data') {
      let bytes: unknown;
      try {
        bytes = codec.encode(value, where);
      } catch (error) {
        throw asInvalidEvent(error, `The codec '${codec.name}' cannot encode ${where}`, where);
      }
      if (types.isUint8Array(bytes)) return bytes;
      throw unencodable(where, `was encoded by the codec '${codec.name}' to something else than a Uint8Array`);
    },
    decode(bytes) {
      try {
        return codec.decode(bytes);
      } catch (error) {
        throw asInvalidEvent(error, `The codec '${codec.name}' cannot read ${bytes.length} bytes`);
      }
    },
  };
}

/** Bytes as they are: a `Uint8Array` (a `Buffer` is one) in, a `Uint8Array` over the same memory out. Refuses all else. */
export const rawCodec: EventCodec = guardCodec({
  name: 'raw',
  encode(value, where = 'data') {
    if (!types.isUint8Array(value)) throw unencodable(where, `must be a Uint8Array for the codec 'raw'`);
    return bytesOf(value);
  },
  decode: bytesOf, // a Buffer or not: that depends on what happens to be in memory
});

/** The memory behind a view or buffer, not copied; throws where it was transferred away, and would look empty. */
export function bytesOf(value: ArrayBufferView | ArrayBuffer): Uint8Array {
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : new Uint8Array(value);
}

/** `ERR_VARVE_INVALID_EVENT` for the part of an event's value that stands at `valuePath`. */
export function unencodable(valuePath: string, why: string): VarveError {
  return new VarveError('ERR_VARVE_INVALID_EVENT', `${valuePath} ${why}.`, { valuePath });
}

/** What a codec threw, as `ERR_VARVE_INVALID_EVENT`. */
export function asInvalidEvent(error: unknown, what: string, valuePath?: string): VarveError {
  if (error instanceof VarveError) return error;
  const why = error instanceof Error ? error.message : String(error);
  const fields = valuePath === undefined ? {} : { valuePath };
  return new VarveError('ERR_VARVE_INVALID_EVENT', `${what}: ${why}`, fields, error);
}
