/**
 * What a journal holds: the events of one stream, and what stands in their metadata.
 *
 *     revision  type                       data                        metadata
 *     0         xstate.init                { type, input }             { kind: 'start', at, version }
 *     1         PAY                        { type: 'PAY', … }          { kind: 'event', at, version, … }
 *     2         RECEIPT                    { type: 'RECEIPT', … }      { kind: 'emitted', … }     in one append with 1
 *     3         CHARGE                     { type: 'CHARGE', … }       { kind: 'message', to, … }  likewise
 *     4         xstate.after.1000.order    null                        { kind: 'timer', timer, … }
 *
 * An entry that makes the machine compute is an *input*; emitted events and messages are what came of it.
 */
import type { AnyEventObject } from 'xstate';
import { VarveError } from '../../errors.js';
import type { EventInput } from '../event-store/event-input.js';
import { checkEncodable } from '../event-store/json-codec.js';
import type { RecordedEvent } from '../event-store/recorded-event.js';
import { type DurableAddress, type DurableParent, ROOT } from './address.js';
import { packErrors, unpackErrors } from './error-data.js';
import type { Input, UserEffect } from './turn.js';

export type EntryKind =
  /** The actor was started: its input. */
  | 'start'
  /** Sent to it, or to an actor in its tree. */
  | 'event'
  /** A delayed event. */
  | 'timer'
  /** From a promise, a callback or an observable that it runs: a result, an error, a message. */
  | 'child'
  /** It went on in a new life of the host, and its timers were set anew. */
  | 'resumed'
  /** It was ended: stopped, or given up by its supervision. */
  | 'ended'
  /** What came before has been carried out. */
  | 'mark'
  | 'emitted'
  | 'message'
  /** A message to another durable actor was given up for now; it was handed over again, or given up for good. */
  | 'parked'
  | 'unparked';

/** Of every entry. Times are milliseconds of the host's clock. */
export interface EntryMetadata {
  readonly kind: EntryKind;
  readonly at: number;
  /** Version of the machine. */
  readonly version: string;
  /** Address of the receiver in the tree, where that is not the root. */
  readonly target?: string;
  /** Address of the child that it comes from, or of the actor whose timer it is. */
  readonly source?: string;
  /** Id of the delayed event. */
  readonly timer?: string;
  /** A message from another durable actor: its id, `<stream>@<revision>`. */
  readonly from?: string;
  /** 'parked' and 'unparked': revision of the message. */
  readonly message?: number;
  /** How many messages of the actor are parked behind this entry, where there are any. */
  readonly parked?: number;
  /** Of a message: its receiver. */
  readonly to?: DurableAddress;
  /** Of a message to the parent of a durable child: the child's address there. */
  readonly child?: string;
  /** Of the first entry: the durable actor that has invoked or spawned this one. */
  readonly parent?: DurableParent;
  /** All effects of the entries up to this revision have been carried out. */
  readonly done?: number;
  /** When the actor has something to do though nothing is sent to it; 0: at once. */
  readonly wake?: number;
  /** Checksum of the state behind this entry. */
  readonly hash?: number;
  /** 'resumed': milliseconds by which timers were put off, or 'restart'. */
  readonly shift?: number | 'restart';
}

/** An input as an event of the journal. Throws `ERR_VARVE_INVALID_EVENT`. */
export function inputData(input: Input): { readonly type: string; readonly data: unknown } {
  if (input.kind === 'timer') return { type: input.id, data: null };
  const { event } = input;
  return { type: event.type, data: input.kind === 'child' ? packErrors(event) : event };
}

export const NO_FIELDS: Partial<EntryMetadata> = {};

export function inputFields(input: Input): Partial<EntryMetadata> {
  if (input.kind === 'timer') return { source: input.source, timer: input.id };
  if (input.kind === 'child') {
    const { source, target } = input;
    return target === ROOT ? { source } : { source, target };
  }
  return input.target === ROOT ? NO_FIELDS : { target: input.target };
}

/** The input that an entry stands for. */
export function entryInput(data: unknown, metadata: EntryMetadata): Input | undefined {
  const { kind, target = ROOT, source = ROOT, timer } = metadata;
  if (kind === 'event') return { kind, target, event: data as AnyEventObject };
  if (kind === 'child') return { kind, source, target, event: unpackErrors(data) as AnyEventObject };
  if (kind === 'timer') return { kind, source, id: timer as string };
  return undefined;
}

/** What is told of an event of a journal. Throws `ERR_VARVE_CORRUPT` for what no host has written. */
export function metadataOf({ stream, revision, metadata, type }: RecordedEvent): EntryMetadata {
  const found = metadata as Partial<EntryMetadata> | undefined;
  if (typeof found?.kind === 'string' && typeof found.at === 'number' && typeof found.version === 'string') {
    return found as EntryMetadata;
  }
  throw new VarveError(
    'ERR_VARVE_CORRUPT',
    `Event ${revision} ('${type}') of the stream ${stream} was not written by an actor host, so this is no journal of an ` +
      'actor. Keep other events in streams of other categories than the names of machines.',
    { stream, eventType: type },
  );
}

/** Throws `ERR_VARVE_INVALID_EVENT` for what could not be read back as it is. */
export function checkEvent(event: unknown, stream: string): void {
  const given = event as Partial<AnyEventObject> | null;
  if (typeof given !== 'object' || given === null || typeof given.type !== 'string' || given.type === '') {
    throw new VarveError('ERR_VARVE_INVALID_EVENT', `An event for ${stream} must be an object with a type.`, {
      stream,
      option: 'event',
    });
  }
  checkEncodable(event, 'event');
}

/**
 * What is emitted and sent stands behind the entry that it came of, in the same append. Messages in `effects` are told where.
 */
export function addMessages(events: NewEntry[], effects: UserEffect[], revision: number): void {
  const { at, version } = (events[0] as NewEntry).metadata;
  effects.forEach((effect, i) => {
    if (effect.kind === 'action') return;
    const { event } = effect;
    if (effect.kind === 'emit') {
      const source = effect.address === ROOT ? {} : { source: effect.address };
      events.push({ type: event.type, data: event, metadata: { kind: 'emitted', at, version, ...source } });
      return;
    }
    effects[i] = { ...effect, revision: revision + events.length };
    const child = effect.child === undefined ? {} : { child: effect.child };
    const metadata: EntryMetadata = { kind: 'message', at, version, to: effect.to, ...child };
    events.push({ type: event.type, data: packErrors(event), metadata });
  });
}

export type NewEntry = EventInput & { readonly metadata: EntryMetadata };
