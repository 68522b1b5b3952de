/** Emmett's events and expectations in the store's terms, and the store's events in Emmett's. */
import type {
  AnyEvent,
  EventStoreAppendSchemaOptions,
  ExpectedStreamVersion,
  ReadEvent,
} from '@event-driven-io/emmett';
import { VarveError } from '../../errors.js';
import { invalid } from '../../options.js';
import type { EventInput } from '../event-store/event-input.js';
import type { ExpectedRevision } from '../event-store/expected-revision.js';
import type { RecordedEvent } from '../event-store/recorded-event.js';
import {
  downcastRecordedMessage,
  ExpectedVersionConflictError,
  NO_CONCURRENCY_CHECK,
  STREAM_DOES_NOT_EXIST,
  STREAM_EXISTS,
} from './peer.js';
import type { PositionStyle } from './positions.js';

export type AnyReadEvent = ReadEvent<AnyEvent>;

/** The version of a stream that is not there. */
export const NO_STREAM = 0n;

/** Emmett stores commands in streams too, told apart by their kind. The store has no kinds, but tags. */
const COMMAND_TAG = 'emmett:command';

const KNOWN = ['type', 'data', 'metadata', 'kind'];

/** What is told of a message's place, beside the metadata that it was given. */
export interface Place {
  readonly messageId: string;
  readonly streamName: string;
  readonly streamPosition: bigint;
  /** Undefined where the message is not committed yet. */
  readonly position: bigint | undefined;
}

/** A recorded message: what the store says of it stands over what was given under the same names. */
export function recorded(
  given: { readonly type: string; readonly data: unknown; readonly metadata: unknown; readonly kind: string },
  { messageId, streamName, streamPosition, position }: Place,
  style: PositionStyle,
): AnyReadEvent {
  // Whoever appends without Emmett may have given metadata of another form.
  const more = typeof given.metadata === 'object' && !Array.isArray(given.metadata) ? given.metadata : {};
  // A checkpoint that was copied from another store would pass for a position in this one.
  const { checkpoint: _, ...metadata } = { ...more } as { checkpoint?: unknown };
  const globalPosition = position === undefined ? undefined : style.of(position);
  return {
    type: given.type,
    data: given.data,
    kind: given.kind,
    metadata: {
      ...metadata,
      messageId,
      streamName,
      streamPosition,
      ...(globalPosition === undefined ? {} : { globalPosition }),
      ...(globalPosition === undefined || style.api === '0.42' ? {} : { checkpoint: globalPosition }),
    },
  } as AnyReadEvent;
}

export function toReadEvent(event: RecordedEvent, style: PositionStyle): AnyReadEvent {
  const { id, stream, revision, position, type, data, metadata, tags } = event;
  const kind = tags.includes(COMMAND_TAG) ? 'Command' : 'Event';
  const place = { messageId: id, streamName: stream, streamPosition: revision + 1n, position };
  return recorded({ type, data, metadata, kind }, place, style);
}

/** Throws `ERR_VARVE_INVALID_EVENT` for what would be lost. */
export function checkEvents(stream: string, events: unknown): asserts events is AnyEvent[] {
  if (!Array.isArray(events) || events.length === 0) throw invalid('events', events, 'an array of at least one event');
  for (const [i, event] of events.entries()) {
    const refuse = (option: string, why: string) =>
      new VarveError('ERR_VARVE_INVALID_EVENT', `events[${i}]${option} is refused: ${why}.`, {
        stream,
        option: `events[${i}]${option}`,
      });
    if (typeof event !== 'object' || event === null) throw refuse('', 'it must be an object with a type and data');
    for (const key of Object.keys(event)) {
      if (!KNOWN.includes(key)) throw refuse(`.${key}`, `an event has ${KNOWN.join(', ')}; this would be lost`);
    }
    const { metadata, kind } = event as { metadata?: unknown; kind?: unknown };
    if (metadata !== undefined && metadata !== null && (typeof metadata !== 'object' || Array.isArray(metadata))) {
      throw refuse('.metadata', 'it must be an object');
    }
    if (kind !== undefined && kind !== 'Event' && kind !== 'Command') {
      throw refuse('.kind', "it must be 'Event' or 'Command'");
    }
  }
}

/** The type of an event does not say so, but Emmett's workflows store commands as well. */
const isCommand = ({ kind }: { readonly kind?: string }) => kind === 'Command';

/** What is stored of an event, behind its downcast. */
export function toInput(
  event: AnyEvent,
  versioning: EventStoreAppendSchemaOptions<AnyEvent, AnyEvent>['versioning'],
  id: string | undefined,
): EventInput {
  const { type, data, metadata } = downcastRecordedMessage(event, versioning ?? {}) as AnyReadEvent;
  return {
    type,
    data,
    ...(metadata === undefined || metadata === null ? {} : { metadata }),
    ...(isCommand(event) ? { tags: [COMMAND_TAG] } : {}),
    ...(id === undefined ? {} : { id }),
  };
}

/**
 * What the store is to expect; 'never' for a version that no stream can have. Throws `ERR_VARVE_INVALID_OPTION` for what is
 * no expectation.
 */
export function toExpectedRevision(expected: ExpectedStreamVersion | undefined): ExpectedRevision | 'never' {
  if (expected === undefined || expected === NO_CONCURRENCY_CHECK) return 'any';
  if (expected === STREAM_EXISTS) return 'streamExists';
  if (expected === STREAM_DOES_NOT_EXIST || expected === NO_STREAM) return 'noStream';
  if (typeof expected !== 'bigint') {
    const names = `'${STREAM_EXISTS}', '${STREAM_DOES_NOT_EXIST}', '${NO_CONCURRENCY_CHECK}'`;
    throw invalid('expectedStreamVersion', expected, `a bigint, ${names}`);
  }
  return expected < 0n || expected > BigInt(Number.MAX_SAFE_INTEGER) ? 'never' : expected - 1n;
}

/** Emmett's error for the store's, which becomes its cause; any other error as it is. */
export function asConflict(error: unknown, expected: ExpectedStreamVersion): unknown {
  if (!(error instanceof VarveError) || error.code !== 'ERR_VARVE_WRONG_REVISION') return error;
  const { actual } = error;
  // Of a deleted stream the store tells the revision that it had.
  const current = typeof actual === 'bigint' && expected !== STREAM_EXISTS ? actual + 1n : NO_STREAM;
  return Object.assign(new ExpectedVersionConflictError(current, expected), { cause: error });
}
