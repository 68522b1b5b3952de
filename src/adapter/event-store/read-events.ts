/** Reading: one stream by its revisions, or all partitions in the order of positions. */
import { VarveError } from '../../errors.js';
import { decodeHead, envelopeKind, envelopePosition, KIND_EVENT } from './envelope.js';
import { type EventFilter, fits, keysOf, mayFit } from './event-filter.js';
import { tombstoned } from './expected-revision.js';
import type { Key } from './index-layer.js';
import type { RecordedEvent } from './recorded-event.js';
import type { StoreCore, StorePartition } from './store-core.js';
import type { StoreLog } from './store-log.js';
import { exists, oldestRevision } from './stream-state.js';

/** Events are fetched and handed on in pieces of so many. */
const CHUNK = 256;

/** Up to so many records are looked through rather than looked up. */
const FEW = 512;

export interface StreamRange {
  readonly from: number;
  readonly to: number;
  readonly backward: boolean;
  readonly maxCount: number;
  readonly ifMissing: 'empty' | 'throw';
  readonly signal: AbortSignal | undefined;
}

export function streamNotFound(stream: string): VarveError {
  return new VarveError('ERR_VARVE_STREAM_NOT_FOUND', `There is no stream '${stream}', or it was deleted.`, { stream });
}

/** The durable events of a stream in a range of revisions, in pieces. */
export async function* readStreamEvents(
  core: StoreCore,
  stream: string,
  { from, to, backward, maxCount, ifMissing, signal }: StreamRange,
): AsyncGenerator<RecordedEvent[]> {
  signal?.throwIfAborted();
  core.refuseClosed();
  const state = await core.states.of(stream);
  if (ifMissing === 'throw' && state.metadata.tombstoned) throw tombstoned(stream);
  if (!exists(state)) {
    if (ifMissing === 'throw') throw streamNotFound(stream);
    return;
  }
  const { index, log } = core.partitionOf(stream);
  const durable = log.durableLsn;
  const head = await durableHead(core, stream, state.head, durable);
  const { maxAge } = state.metadata;
  const oldestCreated = maxAge === undefined ? Number.NEGATIVE_INFINITY : core.engine.storage.disk.now() - maxAge;
  let left = maxCount;
  const lowest = Math.max(from, oldestRevision({ ...state, head }));
  for await (const range of index.lsnsOf(stream, lowest, Math.min(to, head), backward)) {
    for (let i = 0; i < range.length && left > 0; ) {
      signal?.throwIfAborted();
      core.refuseClosed();
      const lsns = range.slice(i, i + Math.min(CHUNK, left));
      i += lsns.length;
      const records = await core.records.readKept(log, lsns, signal);
      let events = records.map((record) => core.decode(log, record));
      if (maxAge !== undefined) events = events.filter(({ created }) => created.getTime() >= oldestCreated);
      left -= events.length;
      if (events.length > 0) yield events;
    }
    if (left === 0) return;
  }
  core.refuseClosed(); // closed layers find nothing: what was read may not be all
}

/** The newest durable revision of a stream, now; −1 where there is none. */
export async function durableRevision(core: StoreCore, stream: string): Promise<number> {
  const durable = core.partitionOf(stream).log.durableLsn;
  const { head } = await core.states.of(stream);
  return durableHead(core, stream, head, durable);
}

/** The newest revision up to the LSN `durable` of a stream whose newest one is `head`; −1 where there is none. */
async function durableHead(core: StoreCore, stream: string, head: number, durable: number): Promise<number> {
  const { index, log } = core.partitionOf(stream);
  if (log.writtenLsn <= durable) return head;
  let newest = head;
  for await (const range of index.lsnsOf(stream, 0, head, true)) {
    for (const lsn of range) {
      if (lsn <= durable) return newest;
      newest--;
    }
  }
  return newest;
}

/** By partition: the next LSN to read forward, or the LSN behind the next one backward. */
export type Cursors = number[];

/** Cursors before the first event with a position of at least `position`. */
export async function seekPosition(core: StoreCore, position: number): Promise<Cursors> {
  return Promise.all(core.partitions.map((partition) => seekIn(core, partition, position)));
}

async function seekIn(core: StoreCore, { log }: StorePartition, position: number): Promise<number> {
  let low = log.oldestLsn;
  let high = log.writtenLsn + 1;
  if (core.options.partitions === 1) return Math.min(Math.max(position, low), high);
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    // The first one from there on: not every LSN has a record in kept files.
    const record = await firstFrom(log, middle, high - 1);
    if (record === undefined) high = middle;
    else if (envelopePosition(record.payload) < position) low = record.lsn + 1;
    else high = middle;
  }
  return low;
}

/** The first record of a range: not every LSN has one in kept files. */
async function firstFrom(log: StoreLog, from: number, to: number): Promise<Found | undefined> {
  for (;;) {
    const oldest = log.oldestLsn;
    try {
      const range = { from: Math.max(from, oldest), to, limit: 1, visibility: 'written' as const };
      return (await log.read(range).toArray())[0];
    } catch (error) {
      const purged = error instanceof VarveError && error.code === 'ERR_VARVE_LSN_PURGED';
      if (!purged || log.oldestLsn === oldest) throw error;
    }
  }
}

export interface AllRange {
  /** Forward: moved behind what was looked at, when all of it has been handed on. */
  readonly cursors: Cursors;
  /** The last position, inclusive. */
  readonly upTo: number;
  readonly backward: boolean;
  readonly filter: EventFilter;
  readonly signal: AbortSignal | undefined;
  /** What becomes of a record that is an event. Default: what the store's codecs and upcasters make of it. */
  readonly decode?: StoreCore['decode'];
}

/** Events of all partitions that fit, in the order of positions, in pieces. */
export async function* readAllEvents(core: StoreCore, range: AllRange): AsyncGenerator<RecordedEvent[]> {
  const sources = core.partitions.map((partition, i) => readPartition(core, partition, i, range));
  if (sources.length === 1) {
    yield* sources[0] as AsyncGenerator<RecordedEvent[]>;
    return;
  }
  yield* merge(sources, range.backward);
}

async function* readPartition(
  core: StoreCore,
  partition: StorePartition,
  number: number,
  { cursors, upTo, backward, filter, signal, decode = (log, record) => core.decode(log, record) }: AllRange,
): AsyncGenerator<RecordedEvent[]> {
  const { log } = partition;
  const { upcasters } = core.options.decoding;
  const keys = keysOf(filter, upcasters);
  const wanted = mayFit(filter, upcasters);
  const from = cursors[number] as number;
  const last = core.options.partitions === 1 ? Math.min(upTo, log.durableLsn) : log.durableLsn;
  const few = !backward && last - from < FEW;
  const records =
    keys === undefined || few
      ? scan(partition, from, last, backward, signal)
      : lookUp(core, partition, keys, from, last, backward, signal);
  for await (const batch of records) {
    core.refuseClosed();
    const events: RecordedEvent[] = [];
    for (const record of batch) {
      if (envelopeKind(record.payload) !== KIND_EVENT) continue;
      if (envelopePosition(record.payload) > upTo) {
        if (backward) continue;
        if (events.length > 0) yield events;
        cursors[number] = record.lsn;
        return;
      }
      if (wanted !== undefined && !wanted(decodeHead(record.payload))) continue;
      const event = decode(log, record);
      if (fits(filter, event)) events.push(event);
    }
    if (events.length > 0) yield events;
  }
  core.refuseClosed();
  if (!backward) cursors[number] = Math.max(from, last + 1);
}

interface Found {
  readonly lsn: number;
  readonly payload: Uint8Array;
}

/** Every record from `from` to `last`; backward, every one before `from`. */
async function* scan(
  { log }: StorePartition,
  from: number,
  last: number,
  backward: boolean,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly Found[]> {
  const more = signal === undefined ? {} : { signal };
  if (backward) {
    const begin = Math.min(from - 1, last);
    if (begin >= log.oldestLsn) yield* log.read({ from: begin, direction: 'backward', ...more }).batches();
  } else {
    const begin = Math.max(from, log.oldestLsn);
    if (begin <= last) yield* log.read({ from: begin, to: last, ...more }).batches();
  }
}

/** The records under any of the keys. */
async function* lookUp(
  core: StoreCore,
  { index, log }: StorePartition,
  keys: readonly Key[],
  from: number,
  last: number,
  backward: boolean,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly Found[]> {
  const layers = backward ? [...index.layers].reverse() : [...index.layers];
  for (const layer of layers) {
    const lsns = new Set<number>();
    for (const key of keys) {
      const postings = await layer.find(key);
      for (const lsn of postings?.lsns ?? []) if (backward ? lsn < from : lsn >= from && lsn <= last) lsns.add(lsn);
    }
    const sorted = [...lsns].filter((lsn) => lsn <= last).sort((a, b) => (backward ? b - a : a - b));
    for (let i = 0; i < sorted.length; i += CHUNK) {
      signal?.throwIfAborted();
      yield await core.records.readKept(log, sorted.slice(i, i + CHUNK), signal);
    }
  }
}

/** Merges pieces that are each in the order of positions. */
async function* merge(sources: AsyncGenerator<RecordedEvent[]>[], backward: boolean): AsyncGenerator<RecordedEvent[]> {
  interface Head {
    readonly source: AsyncGenerator<RecordedEvent[]>;
    events: RecordedEvent[];
    at: number;
  }
  let heads: Head[] = [];
  try {
    for (const source of sources) {
      const { value, done } = await source.next();
      if (!done) heads.push({ source, events: value, at: 0 });
    }
    let out: RecordedEvent[] = [];
    while (heads.length > 0) {
      let best = heads[0] as Head;
      for (const head of heads) {
        const [a, b] = [head.events[head.at] as RecordedEvent, best.events[best.at] as RecordedEvent];
        if (backward ? a.position > b.position : a.position < b.position) best = head;
      }
      out.push(best.events[best.at++] as RecordedEvent);
      if (best.at === best.events.length) {
        if (out.length > 0) yield out;
        out = [];
        const { value, done } = await best.source.next();
        if (done) heads = heads.filter((head) => head !== best);
        else [best.events, best.at] = [value, 0];
      }
    }
  } finally {
    await Promise.all(sources.map((source) => source.return(undefined)));
  }
}
