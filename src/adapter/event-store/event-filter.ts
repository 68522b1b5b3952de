/** Which events a reader wants. */
import { invalid } from '../../options.js';
import type { EnvelopeHead } from './envelope.js';
import { categoryOf, type Key } from './index-layer.js';
import type { RecordedEvent } from './recorded-event.js';
import type { Upcasters } from './upcasters.js';

/** Every field that is given must fit; of the values in one field, one. */
export interface EventFilter {
  /** Exact stream ids. */
  readonly streams?: readonly string[];
  readonly streamPrefixes?: readonly string[];
  /** The part of the stream id before its first dash. */
  readonly categories?: readonly string[];
  /** Types as they are read: after upcasting. */
  readonly types?: readonly string[];
  readonly tags?: readonly string[];
  /** Events of the store itself, in streams that begin with `$`. Default false. */
  readonly system?: boolean;
  /** Asked last, of events that fit all else. */
  readonly where?: (event: RecordedEvent) => boolean;
}

const LISTS = ['streams', 'streamPrefixes', 'categories', 'types', 'tags'] as const;

/** Throws `ERR_VARVE_INVALID_OPTION`. */
export function checkFilter(filter: EventFilter | undefined): EventFilter {
  if (filter === undefined) return {};
  if (typeof filter !== 'object' || filter === null) throw invalid('filter', filter, 'an object');
  for (const [name, value] of Object.entries(filter)) {
    const option = `filter.${name}`;
    if (name === 'system') {
      if (typeof value !== 'boolean') throw invalid(option, value, 'true or false');
    } else if (name === 'where') {
      if (typeof value !== 'function') throw invalid(option, value, 'a function');
    } else if (!(LISTS as readonly string[]).includes(name)) {
      throw invalid(option, value, `absent: known are ${LISTS.join(', ')}, system, where`);
    } else if (!Array.isArray(value) || value.some((text) => typeof text !== 'string')) {
      throw invalid(option, value, 'an array of strings');
    }
  }
  return filter;
}

/** False if the event does not fit, whatever its data: what nobody wants need not be decoded. */
export function mayFit(filter: EventFilter, upcasters: Upcasters): ((event: EnvelopeHead) => boolean) | undefined {
  const { streams, streamPrefixes, categories, types, tags } = filter;
  if ([streams, streamPrefixes, categories, types, tags].every((list) => list === undefined)) return undefined;
  const written = types && new Set(types.flatMap((type) => upcasters.writtenAs(type)));
  return ({ stream, type, tags: ofEvent }) => {
    if (streams !== undefined && !streams.includes(stream)) return false;
    if (streamPrefixes !== undefined && !streamPrefixes.some((prefix) => stream.startsWith(prefix))) return false;
    if (categories !== undefined && !categories.includes(categoryOf(stream))) return false;
    if (written !== undefined && !written.has(type)) return false;
    return tags === undefined || tags.some((tag) => ofEvent.includes(tag));
  };
}

/** Of an event that `mayFit`. */
export function fits({ types, system, where }: EventFilter, event: RecordedEvent): boolean {
  if (event.stream.startsWith('$') && system !== true) return false;
  if (types !== undefined && !types.includes(event.type)) return false;
  return where === undefined || where(event);
}

/** Keys under which every event that fits is indexed; undefined where the index cannot help. */
export function keysOf(filter: EventFilter, upcasters: Upcasters): Key[] | undefined {
  const { streams, categories, tags } = filter;
  const types = filter.types && [...new Set(filter.types.flatMap((type) => upcasters.writtenAs(type)))];
  if (streams !== undefined) return streams.map((name) => ({ kind: 'stream', name }));
  if (tags !== undefined) return tags.map((name) => ({ kind: 'tag', name }));
  if (types !== undefined) return types.map((name) => ({ kind: 'type', name }));
  if (categories !== undefined) return categories.map((name) => ({ kind: 'category', name }));
  return undefined;
}
