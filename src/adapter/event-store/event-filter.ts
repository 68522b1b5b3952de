/** Which events a reader wants. */
import { invalid } from '../../options.js';
import { categoryOf, type Key } from './index-layer.js';
import type { RecordedEvent } from './recorded-event.js';

/** Every field that is given must fit; of the values in one field, one. */
export interface EventFilter {
  /** Exact stream ids. */
  readonly streams?: readonly string[];
  readonly streamPrefixes?: readonly string[];
  /** The part of the stream id before its first dash. */
  readonly categories?: readonly string[];
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

export function fits(filter: EventFilter, event: RecordedEvent): boolean {
  const { streams, streamPrefixes, categories, types, tags, system, where } = filter;
  if (event.stream.startsWith('$') && system !== true) return false;
  if (streams !== undefined && !streams.includes(event.stream)) return false;
  if (streamPrefixes !== undefined && !streamPrefixes.some((prefix) => event.stream.startsWith(prefix))) return false;
  if (categories !== undefined && !categories.includes(categoryOf(event.stream))) return false;
  if (types !== undefined && !types.includes(event.type)) return false;
  if (tags !== undefined && !tags.some((tag) => event.tags.includes(tag))) return false;
  return where === undefined || where(event);
}

/** Keys under which every event that fits is indexed; undefined where the index cannot help. */
export function keysOf({ streams, categories, types, tags }: EventFilter): Key[] | undefined {
  if (streams !== undefined) return streams.map((name) => ({ kind: 'stream', name }));
  if (tags !== undefined) return tags.map((name) => ({ kind: 'tag', name }));
  if (types !== undefined) return types.map((name) => ({ kind: 'type', name }));
  if (categories !== undefined) return categories.map((name) => ({ kind: 'category', name }));
  return undefined;
}
