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

/** Stored in every event: a number is never given to another codec. */
const BUILT_IN: readonly { readonly id: number; readonly codec: EventCodec }[] = [
  { id: 1, codec: jsonCodec },
  { id: 2, codec: rawCodec },
];
/** Of the first codec that an application has brought along; the next ones follow. */
const FIRST_CUSTOM_ID = 3;
const LAST_CUSTOM_ID = 255;

export interface CodecRegistry {
  /** Number of the codec that events are written with: 1 … 255. */
  readonly id: number;
  /** The codec that events are written with. */
  readonly codec: EventCodec;
  /** Names of the applications' own codecs that the store has been opened with, in the order of their numbers. */
  readonly customNames: readonly string[];
  /** The codec with a stored number; `ERR_VARVE_INVALID_EVENT` where it is not at hand. */
  byId(id: number): EventCodec;
  /** The number of a codec that is at hand, by its name; `ERR_VARVE_INVALID_EVENT` for others. */
  idOf(name: string): number;
  /** Under which name `idOf` finds a number again; `ERR_VARVE_INVALID_EVENT` where it is not known. */
  nameOf(id: number): string;
}

/**
 * The codecs of a store whose option `codec` is `choice`. `names` are those of own codecs that it has been opened with
 * before: another one gets the next number. `ERR_VARVE_INVALID_OPTION` for what is no codec.
 */
export function makeCodecRegistry(
  choice: CodecName | EventCodec = 'json',
  names: readonly string[] = [],
): CodecRegistry {
  const builtIn = BUILT_IN.find(({ codec }) => choice === codec.name || choice === codec);
  const own = builtIn === undefined ? guardCodec(checked(choice)) : undefined;
  const customNames = own === undefined || names.includes(own.name) ? names : [...names, own.name];
  const written = builtIn ?? {
    id: FIRST_CUSTOM_ID + customNames.indexOf(choiceName(choice)),
    codec: own as EventCodec,
  };
  if (written.id > LAST_CUSTOM_ID) {
    const most = LAST_CUSTOM_ID - FIRST_CUSTOM_ID + 1;
    throw invalid('codec.name', written.codec.name, `one of the ${most} that the store has been opened with already`);
  }
  const known = new Map([...BUILT_IN, written].map(({ id, codec }) => [id, codec]));
  const nameOf = (id: number): string => {
    const name = BUILT_IN.find((one) => one.id === id)?.codec.name ?? customNames[id - FIRST_CUSTOM_ID];
    if (name === undefined) throw unknown(`the codec number ${id}, whose name is not known here`);
    return name;
  };
  return {
    ...written,
    customNames,
    nameOf,
    byId(id) {
      const codec = known.get(id);
      if (codec !== undefined) return codec;
      const name = nameOf(id);
      throw unknown(
        `the codec '${name}', and the store is open with '${written.codec.name}': ` +
          `open it with '${name}' (option 'codec') to read it`,
      );
    },
    idOf(name) {
      for (const [id, codec] of known) if (codec.name === name) return id;
      throw unknown(`the codec '${name}', and the store is open with '${written.codec.name}' (option 'codec')`);
    },
  };
}

const choiceName = (choice: CodecName | EventCodec): string => (typeof choice === 'string' ? choice : choice.name);

function unknown(what: string): VarveError {
  return new VarveError('ERR_VARVE_INVALID_EVENT', `The event was written with ${what}.`);
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
