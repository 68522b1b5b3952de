/** Stream metadata as users give them, and as they are written and read. */
import { checkAll, integer, invalid } from '../../options.js';
import { makeCodecRegistry } from './codec-registry.js';
import { Envelope } from './envelope.js';
import { prepareEvent } from './event-input.js';
import type { ExpectedRevision } from './expected-revision.js';
import { jsonCodec } from './json-codec.js';
import type { StoreCore } from './store-core.js';
import { metadataStreamOf, NO_METADATA, type StreamMetadata } from './stream-state.js';
import type { StreamWrite } from './stream-write.js';

/** What `setStreamMetadata` takes: our words, or KurrentDB's. */
export interface StreamMetadataInput extends Omit<StreamMetadata, 'tombstoned' | 'head' | 'deletedBefore'> {
  /** KurrentDB's `truncateBefore`. */
  readonly $tb?: number;
  /** KurrentDB's `maxCount`. */
  readonly $maxCount?: number;
  /** KurrentDB's `maxAge`, in seconds. */
  readonly $maxAge?: number;
}

const MS_PER_SECOND = 1000;
const revision = integer(0, Number.MAX_SAFE_INTEGER);
const positive = integer(1, Number.MAX_SAFE_INTEGER);

const CHECKS = {
  truncateBefore: revision,
  maxCount: positive,
  maxAge: positive,
  custom: () => {},
  $tb: revision,
  $maxCount: positive,
  $maxAge: integer(1, Math.floor(Number.MAX_SAFE_INTEGER / MS_PER_SECOND)),
};

const WORDS = [
  ['$tb', 'truncateBefore', 1],
  ['$maxCount', 'maxCount', 1],
  ['$maxAge', 'maxAge', MS_PER_SECOND],
] as const;

/** Checks metadata and puts them into our words. Throws `ERR_VARVE_INVALID_OPTION`. */
export function checkMetadata(given: StreamMetadataInput): StreamMetadata {
  checkAll(given, CHECKS, 'metadata');
  const { $tb: _tb, $maxCount: _maxCount, $maxAge: _maxAge, ...own } = given;
  const metadata: Record<string, unknown> = own;
  for (const [theirs, ours, factor] of WORDS) {
    const value = given[theirs];
    if (value === undefined) continue;
    if (given[ours] !== undefined)
      throw invalid(`metadata.${theirs}`, value, `absent beside '${ours}', which it means`);
    metadata[ours] = value * factor;
  }
  return metadata;
}

/** Metadata are JSON, whatever codec the store's events have. */
const system = makeCodecRegistry();

/** The append of `metadata`, whole, in place of what `stream` had before. */
export function metadataWrite(
  core: StoreCore,
  stream: string,
  metadata: StreamMetadata,
  expected: ExpectedRevision = 'any',
): StreamWrite {
  const name = metadataStreamOf(stream);
  const event = { type: '$metadata', data: metadata };
  const prepared = prepareEvent(name, event, 0, system, core.options.partitions, core.makeId);
  return { stream: name, expected, events: [prepared], idsGiven: false };
}

/** What an event of a metadata stream says. */
export function metadataIn(payload: Uint8Array): StreamMetadata {
  return (jsonCodec.decode(new Envelope(payload).data) ?? NO_METADATA) as StreamMetadata;
}
