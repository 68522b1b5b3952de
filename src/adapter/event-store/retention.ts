/**
 * Which events are given up: what makes a segment one that a purge may take.
 *
 * Decided from the index, stream by stream. Events are read only where their age counts.
 */
import { envelopeCreated } from './envelope.js';
import type { IndexLayer, Postings } from './index-layer.js';
import type { StoreCore, StorePartition } from './store-core.js';
import type { StoreLog } from './store-log.js';
import { isMetadataStream, oldestRevision, type StreamState, streamOfMetadata } from './stream-state.js';

/** Events whose age counts are read in pieces of so many, newest first. */
const CHUNK = 256;

export interface Floor {
  /** Last LSN that is given up, whatever else holds; 0 for none. */
  readonly lsn: number;
  /** The floor also counts for the store's own streams. */
  readonly system: boolean;
}

/** What is to know of a segment before it is given up. */
export interface SegmentVerdict {
  /** A stream that has an event here which is to be kept; undefined if there is none. */
  readonly living: string | undefined;
  readonly events: number;
  /** Of these, newest metadata: they would have to be written again. */
  readonly carried: number;
  /** Streams whose newest event is here: they would live on as a revision only. */
  readonly emptied: number;
}

/** Looks through a segment; stops at the first event that is to be kept. */
export async function judge(
  core: StoreCore,
  partition: StorePartition,
  layer: IndexLayer,
  floor: Floor,
): Promise<SegmentVerdict> {
  let [events, carried, emptied] = [0, 0, 0];
  for await (const [stream, postings] of layer.streams('')) {
    const { length } = postings.lsns;
    const newest = postings.firstRevision + length - 1;
    events += length;
    if (isMetadataStream(stream)) {
      // Superseded, or carried over: the newest metadata of a stream never hold a segment back.
      if (isNewestMetadata(newest, await core.states.of(streamOfMetadata(stream)))) carried++;
      continue;
    }
    const state = await core.states.of(stream);
    if (isNewestEvent(newest, state)) emptied++;
    if (!(await isDead(core, partition, stream, postings, state, floor)))
      return { living: stream, events, carried, emptied };
  }
  return { living: undefined, events, carried, emptied };
}

/** How many events there are in a layer, and how many of them a scavenge would leave out at `now`. */
export async function countDead(
  core: StoreCore,
  { log }: StorePartition,
  layer: IndexLayer,
  now: number,
): Promise<{ events: number; dead: number; living: string | undefined }> {
  let [events, dead] = [0, 0];
  let living: string | undefined;
  for await (const [stream, { firstRevision, lsns }] of layer.streams('')) {
    const { length } = lsns;
    events += length;
    let lost: number;
    if (isMetadataStream(stream)) {
      lost = isNewestMetadata(firstRevision + length - 1, await core.states.of(streamOfMetadata(stream)))
        ? length - 1
        : length;
    } else {
      const state = await core.states.of(stream);
      const { tombstoned, maxAge } = state.metadata;
      lost = Math.min(length, Math.max(0, oldestRevision(state) - firstRevision));
      if (tombstoned === true) lost = length;
      else if (maxAge !== undefined) lost += await countOlder(core, log, lsns.slice(lost), now - maxAge);
    }
    dead += lost;
    if (lost < length) living ??= stream;
  }
  return { events, dead, living };
}

/** How many of a stream's events, oldest first, are older than `created` before the first one that is not. */
async function countOlder(core: StoreCore, log: StoreLog, lsns: readonly number[], created: number): Promise<number> {
  for (let at = 0; at < lsns.length; at += CHUNK) {
    const records = await core.records.readKept(log, lsns.slice(at, at + CHUNK));
    const younger = records.findIndex(({ payload }) => envelopeCreated(payload) >= created);
    if (younger >= 0) return at + younger;
  }
  return lsns.length;
}

/** An event that a scavenge may leave out at `now`. */
export function isDeadEvent(revision: number, created: number, state: StreamState, now: number): boolean {
  const { tombstoned, maxAge } = state.metadata;
  return tombstoned === true || revision < oldestRevision(state) || (maxAge !== undefined && created < now - maxAge);
}

/** A stream's newest revision is known from this event alone. */
export function isNewestEvent(revision: number, { head, metadata }: StreamState): boolean {
  return revision === head && metadata.head !== head;
}

export function isNewestMetadata(revision: number, { metadataRevision }: StreamState): boolean {
  return revision === metadataRevision;
}

/** True if none of a stream's events in one segment is to be kept. */
async function isDead(
  core: StoreCore,
  { log }: StorePartition,
  stream: string,
  { firstRevision, lsns }: Postings,
  state: StreamState,
  floor: Floor,
): Promise<boolean> {
  const { tombstoned, maxAge } = state.metadata;
  if (tombstoned === true) return true;
  const below = floor.system || !stream.startsWith('$') ? floor.lsn : 0;
  const kept = lsns.slice(Math.max(0, oldestRevision(state) - firstRevision)).filter((lsn) => lsn > below);
  if (kept.length === 0) return true;
  if (maxAge === undefined) return false;
  const oldestCreated = core.engine.storage.disk.now() - maxAge;
  for (let end = kept.length; end > 0; end -= CHUNK) {
    const records = await core.records.readKept(log, kept.slice(Math.max(0, end - CHUNK), end));
    if (records.some(({ payload }) => envelopeCreated(payload) >= oldestCreated)) return false;
  }
  return true;
}
