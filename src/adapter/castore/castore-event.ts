/**
 * Castore's events as events of the store, and back: names of streams, and the note that stands in the metadata.
 *
 *   aggregate `pikachu` of event store `POKEMONS`      stream `POKEMONS-pikachu`, category `POKEMONS`
 *   payload                                            data
 *   metadata, version, timestamp                       metadata: { castore: { version, timestamp, … }, metadata }
 */
import type { EventDetail, OptionalTimestamp } from '@castore/core';
import { VarveError } from '../../errors.js';
import { type Check, checkAll, integer, invalid } from '../../options.js';
import type { EventInput } from '../event-store/event-input.js';
import type { RecordedEvent } from '../event-store/recorded-event.js';

/** What the adapter itself keeps with each event. */
export interface Note {
  readonly version: number;
  readonly timestamp: string;
  /** The event takes the place of an earlier one of its version. */
  readonly supersedes?: true;
  /** From this event on revisions do not tell versions: some came out of order, or were superseded. */
  readonly scattered?: true;
}

const text: Check = (value, option) => {
  if (typeof value !== 'string') throw invalid(option, value, 'a string');
};
const anything = () => {};

const EVENT_CHECKS = {
  aggregateId: text,
  version: integer(1, Number.MAX_SAFE_INTEGER),
  type: text,
  timestamp: text,
  payload: anything,
  metadata: anything,
};

/** The event with a timestamp. Throws `ERR_VARVE_INVALID_OPTION` for a field that Castore's events do not have. */
export function checkEvent(event: OptionalTimestamp<EventDetail>, where: string, now: string): EventDetail {
  checkAll(event, EVENT_CHECKS, where);
  for (const field of ['aggregateId', 'version', 'type'] as const)
    EVENT_CHECKS[field](event[field], `${where}.${field}`);
  return { ...event, timestamp: event.timestamp ?? now };
}

/** Aggregates of an event store are a category: a dash in its name must not end it, and a $ not begin it. */
export function categoryFor(eventStoreId: string): string {
  text(eventStoreId, 'eventStoreId');
  return eventStoreId.replace(/[%$-]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`);
}

export function streamFor(eventStoreId: string, aggregateId: string): string {
  text(aggregateId, 'aggregateId');
  return `${categoryFor(eventStoreId)}-${aggregateId}`;
}

export function toInput({ version, timestamp, type, payload, metadata }: EventDetail, rest: Partial<Note>): EventInput {
  const castore: Note = { version, timestamp, ...rest };
  return { type, data: payload, metadata: metadata === undefined ? { castore } : { castore, metadata } };
}

export function toDetail(aggregateId: string, event: RecordedEvent): EventDetail {
  const { version, timestamp } = noteOf(event);
  const { metadata } = event.metadata as { metadata?: unknown };
  const { type, data: payload } = event;
  return {
    aggregateId,
    version,
    type,
    timestamp,
    ...(payload === undefined ? {} : { payload }),
    ...(metadata === undefined ? {} : { metadata }),
  };
}

/** Throws `ERR_VARVE_INVALID_EVENT` for what somebody else has appended. */
export function noteOf({ stream, revision, type, metadata }: RecordedEvent): Note {
  const note = (metadata as { castore?: Note } | undefined)?.castore;
  if (note !== undefined) return note;
  throw new VarveError(
    'ERR_VARVE_INVALID_EVENT',
    `Event ${revision} of stream '${stream}' was not written by Castore: it has no version. ` +
      'Append to other streams than those of its aggregates.',
    { stream, eventType: type },
  );
}
