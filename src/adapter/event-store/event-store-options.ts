/**
 * The options of an event store's methods: their types, and what they are held to before anything is touched. What checks
 * throws `ERR_VARVE_INVALID_OPTION`, with the option's name.
 */
import {
  type Ack,
  boolean,
  callback,
  checkSignal,
  integer,
  invalid,
  type OpenLogOptions,
  oneOf,
  resolveOptions,
} from '../../options.js';
import type { BackupProgress } from './backup.js';
import type { EventCodec } from './codec.js';
import { type CodecName, makeCodecRegistry } from './codec-registry.js';
import type { EventFilter } from './event-filter.js';
import { checkStream, type EventInput } from './event-input.js';
import type { ExpectedRevision } from './expected-revision.js';
import type { PurgeProgress } from './purge.js';
import type { ScavengeProgress } from './scavenge.js';
import type { ExportProgress } from './transfer-export.js';
import type { ImportProgress } from './transfer-import.js';
import type { ArchivedSegment } from './units.js';
import { makeUpcasters, type Upcaster } from './upcasters.js';

export interface EventStoreOptions extends Omit<OpenLogOptions, 'readOnly'> {
  /** Partitions that streams are spread over: 1 … 1,024. Default: what the store was made with, or 1. Never changes. */
  partitions?: number;
  /** How data become bytes. Default 'json', which keeps what JSON loses; 'raw' takes bytes only. */
  codec?: CodecName | EventCodec;
  /** What makes events of an old shape ones of the present shape, at reading. */
  upcasters?: readonly Upcaster[];
  /** Bytes of stream heads kept in memory. Default 16 MiB. */
  headCacheBytes?: number;
  /** Bytes of events that were read kept in memory. Default 16 MiB. */
  eventCacheBytes?: number;
  /** Bytes of index files kept in memory. Default 32 MiB. */
  streamIndexCacheBytes?: number;
}

export interface AppendToStreamOptions {
  /** What the stream must be like for the append to happen. Default 'any'. */
  expectedRevision?: ExpectedRevision;
  /** Default 'durable'. */
  ack?: Ack;
}

export interface AppendToStreamResult {
  /** Revision of the last event: what the next append can expect. */
  readonly nextExpectedRevision: bigint;
  /** Positions of the events, in order. */
  readonly positions: readonly bigint[];
  /** There was no stream to read before. */
  readonly createdNewStream: boolean;
  /** When the events were appended, as readers see it; undefined where there were none. */
  readonly created: Date | undefined;
}

/** One stream's part in an append over several. Without events the stream is only checked. */
export interface StreamAppend {
  readonly stream: string;
  readonly events?: readonly EventInput[];
  readonly expectedRevision?: ExpectedRevision;
}

export interface StreamAppendResult extends AppendToStreamResult {
  readonly stream: string;
}

export interface ReadStreamOptions {
  /** First revision, inclusive. Default: the oldest, or the newest when reading backwards. */
  fromRevision?: bigint;
  /** Last revision, inclusive. */
  toRevision?: bigint;
  direction?: 'forwards' | 'backwards';
  /** Most events to read, exactly. */
  maxCount?: number;
  /** A stream that does not exist is empty, or throws `ERR_VARVE_STREAM_NOT_FOUND`. Default 'empty'. */
  ifMissing?: 'empty' | 'throw';
  signal?: AbortSignal;
}

/** Where to begin: a position, as a bigint or as `formatPosition` renders it, inclusive; or a checkpoint, exclusive. */
export type AllFrom = 'start' | 'end' | bigint | string | { readonly checkpoint: string };

export interface ReadAllOptions {
  from?: AllFrom;
  direction?: 'forwards' | 'backwards';
  maxCount?: number;
  filter?: EventFilter;
  signal?: AbortSignal;
}

export interface SubscribeOptions {
  /** Default 'start'. */
  from?: AllFrom;
  filter?: EventFilter;
  signal?: AbortSignal;
}

export interface SubscribeToStreamOptions {
  /** First revision to deliver; 'end': only what becomes durable from now on. Default 'start'. */
  from?: 'start' | 'end' | bigint;
  signal?: AbortSignal;
}

export interface PurgeOptions {
  /** Only tell what would go. Default false. */
  dryRun?: boolean;
  /** Everything before this position (exclusive), or up to this checkpoint, is given up, whatever else holds. */
  floor?: bigint | string | { readonly checkpoint: string };
  /** The floor also counts for the store's own streams ($…): snapshots and checkpoints. Default false. */
  system?: boolean;
  /** Awaited before a segment goes. If it throws, the segment stays, and `purge` rejects with what it threw. */
  archive?: (segment: ArchivedSegment) => unknown;
  signal?: AbortSignal;
  onProgress?: (progress: PurgeProgress) => void;
}

export interface ScavengeOptions {
  /** Only tell what would be done; bytes are estimated. Default false. */
  dryRun?: boolean;
  /** So much of what is written anew must be dead for it to be worth it: above 0, up to 1. Default 0.5. */
  threshold?: number;
  /** Bytes read and written in a second, from 1. Default: no limit. */
  maxBytesPerSecond?: number;
  /** Awaited before a segment goes, with all events of it. If it throws, the segment stays, and `scavenge` rejects with that. */
  archive?: (segment: ArchivedSegment) => unknown;
  signal?: AbortSignal;
  onProgress?: (progress: ScavengeProgress) => void;
}

export interface ListStreamsOptions {
  /** Only streams whose id begins with it. */
  prefix?: string;
  /** `next` of the page before. */
  after?: string;
  /** Most streams of a page: 1 … 10,000. Default 1,000. */
  limit?: number;
  /** Streams of the store itself, which begin with `$`, too. Default false. */
  system?: boolean;
  /** The only order there is. */
  order?: 'firstEvent';
}

export interface ExportOptions {
  /** Default 'start'. */
  from?: AllFrom;
  /** Default: all users' events and their streams' metadata. With a filter metadata come along where they fit, too. */
  filter?: EventFilter;
  signal?: AbortSignal;
  onProgress?: (progress: ExportProgress) => void;
}

export interface ImportOptions {
  /** Events that are made durable together: 1 … 65,536. Default 512. */
  batch?: number;
  signal?: AbortSignal;
  onProgress?: (progress: ImportProgress) => void;
}

export interface BackupOptions {
  signal?: AbortSignal;
  onProgress?: (progress: BackupProgress) => void;
}

export const cacheBytes = integer(1024, 1024 ** 4);
export const count = integer(0, Number.MAX_SAFE_INTEGER);
export const schemaVersion = integer(1, 65_535);
export const direction = oneOf('forwards', 'backwards');
export const anything = () => {};

export const LIST_CHECKS = {
  prefix: (value: unknown) => checkStream(value, true),
  after: anything,
  limit: integer(1, 10_000),
  system: boolean,
  order: oneOf('firstEvent'),
};
export const EXPORT_CHECKS = { from: anything, filter: anything, signal: checkSignal, onProgress: callback };
export const IMPORT_CHECKS = { batch: integer(1, 65_536), signal: checkSignal, onProgress: callback };
export const BACKUP_CHECKS = { signal: checkSignal, onProgress: callback };
export const SCAVENGE_CHECKS = {
  dryRun: boolean,
  threshold: share,
  maxBytesPerSecond: integer(1, Number.MAX_SAFE_INTEGER),
  archive: callback,
  signal: checkSignal,
  onProgress: callback,
};
export const PURGE_CHECKS = {
  dryRun: boolean,
  floor: anything,
  system: boolean,
  archive: callback,
  signal: checkSignal,
  onProgress: callback,
};

export const APPENDS_CHECKS = { stream: anything, events: anything, expectedRevision: anything };
export const READ_STREAM_CHECKS = {
  fromRevision: revision,
  toRevision: revision,
  direction,
  maxCount: count,
  ifMissing: oneOf('empty', 'throw'),
  signal: checkSignal,
};
export const READ_ALL_CHECKS = { from: anything, direction, maxCount: count, filter: anything, signal: checkSignal };
export const SUBSCRIBE_CHECKS = { from: anything, filter: anything, signal: checkSignal };
export const SUBSCRIBE_TO_STREAM_CHECKS = { from: anything, signal: checkSignal };

function share(value: unknown, option: string): void {
  if (typeof value !== 'number' || !(value > 0 && value <= 1))
    throw invalid(option, value, 'a number above 0, up to 1');
}

export function revision(value: unknown, option: string): void {
  if (typeof value !== 'bigint' || value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw invalid(option, typeof value === 'bigint' ? `${value}n` : value, 'a bigint from 0n');
  }
}

const MAX_PARTITIONS = 1024;

/** Throws what `openEventStore` rejects with before it touches anything: for whoever opens a store later. */
export function checkEventStoreOptions(options: EventStoreOptions) {
  const { partitions, codec, upcasters, headCacheBytes, eventCacheBytes, streamIndexCacheBytes, ...logOptions } =
    options;
  if (partitions !== undefined) integer(1, MAX_PARTITIONS)(partitions, 'partitions');
  if (headCacheBytes !== undefined) cacheBytes(headCacheBytes, 'headCacheBytes');
  if (eventCacheBytes !== undefined) cacheBytes(eventCacheBytes, 'eventCacheBytes');
  if (streamIndexCacheBytes !== undefined) cacheBytes(streamIndexCacheBytes, 'streamIndexCacheBytes');
  if ('readOnly' in logOptions) throw invalid('readOnly', logOptions.readOnly, 'absent: an event store owns its log');
  const decoding = { codecs: makeCodecRegistry(codec), upcasters: makeUpcasters(upcasters ?? []) };
  resolveOptions(logOptions);
  return { logOptions, decoding };
}
