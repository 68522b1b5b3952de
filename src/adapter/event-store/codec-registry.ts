/**
 * Which codec an event was written with: a number that is stored beside the event, so that events of several codecs
 * live in one store and each is read by its own.
 */
import { VarveError } from '../../errors.js';
import { invalid } from '../../options.js';
import { type EventCodec, guardCodec, rawCodec } from './codec.js';
import { jsonCodec } from './json-codec.js';

/** The codecs that come with the event store, by name. */
export type CodecName = 'json' | 'raw';

/** Stored in every event: a number is never given to another codec. 3 … 254 are free. */
const BUILT_IN: readonly { readonly id: number; readonly codec: EventCodec }[] = [
  { id: 1, codec: jsonCodec },
  { id: 2, codec: rawCodec },
];
/** Of the one codec that the application may bring along. */
export const CUSTOM_CODEC_ID = 255;

export interface CodecRegistry {
  /** Number of the codec that events are written with: 1 … 255. */
  readonly id: number;
  /** The codec that events are written with. */
  readonly codec: EventCodec;
  /** The codec with a stored number; `ERR_VARVE_INVALID_EVENT` where this store has none. */
  byId(id: number): EventCodec;
}

/** The codecs of a store whose option `codec` is `choice`; `ERR_VARVE_INVALID_OPTION` for what is no codec. */
export function makeCodecRegistry(choice: CodecName | EventCodec = 'json'): CodecRegistry {
  const builtIn = BUILT_IN.find(({ codec }) => choice === codec.name || choice === codec);
  const written = builtIn ?? { id: CUSTOM_CODEC_ID, codec: guardCodec(checked(choice)) };
  const known = new Map([...BUILT_IN, written].map(({ id, codec }) => [id, codec]));
  return {
    ...written,
    byId(id) {
      const codec = known.get(id);
      if (codec !== undefined) return codec;
      const what =
        id === CUSTOM_CODEC_ID
          ? `a codec of the application's own: open the store with it (option 'codec')`
          : `the codec number ${id}, which this version does not know`;
      throw new VarveError('ERR_VARVE_INVALID_EVENT', `The event was written with ${what}.`);
    },
  };
}

function checked(choice: unknown): EventCodec {
  const codec = choice as Partial<EventCodec> | null | undefined;
  if (typeof codec?.encode !== 'function' || typeof codec.decode !== 'function') {
    throw invalid('codec', choice, `'json', 'raw' or a codec: { name, encode, decode }`);
  }
  const { name } = codec;
  if (typeof name !== 'string' || name === '' || name.length > 64) {
    throw invalid('codec.name', name, 'a string of 1 to 64 characters');
  }
  if (BUILT_IN.some((builtIn) => builtIn.codec.name === name)) {
    throw invalid('codec.name', name, 'another name than those of the built-in codecs');
  }
  return codec as EventCodec;
}
