/** Reading all partitions, in the order of positions. */
import { checkAll } from '../../options.js';
import { eitherSignal, PullStream } from '../../streams/pull-stream.js';
import { type Cursors, checkFrom, cursorsOf } from './cursors.js';
import type { EngineRecord } from './engine.js';
import { decodeHead, envelopeKind, envelopePosition, KIND_EVENT } from './envelope.js';
import { checkFilter, type EventFilter, fits, keysOf, mayFit } from './event-filter.js';
import { READ_ALL_CHECKS, type ReadAllOptions } from './event-store-options.js';
import type { Key } from './index-layer.js';
import type { RecordedEvent } from './recorded-event.js';
import type { StoreCore, StorePartition } from './store-core.js';

/** Events are fetched and handed on in pieces of so many. */
const CHUNK = 256;

/** Up to so many records are looked through rather than looked up. */
const FEW = 512;

/** Of `readAll`. */
export function readAll(core: StoreCore, options: ReadAllOptions): PullStream<RecordedEvent> {
  checkAll(options, READ_ALL_CHECKS, 'options');
  const filter = checkFilter(options.filter);
  const backward = options.direction === 'backwards';
  const from = checkFrom(core, options.from ?? (backward ? 'end' : 'start'));
  const { maxCount = Number.MAX_SAFE_INTEGER } = options;
  return new PullStream(async function* (ending) {
    const signal = eitherSignal(options.signal, ending);
    signal?.throwIfAborted();
    core.refuseClosed();
    const upTo = core.visiblePosition;
    const cursors = await cursorsOf(core, from, backward);
    let left = maxCount;
    if (left === 0) return;
    for await (const batch of readAllEvents(core, { cursors, upTo, backward, filter, signal })) {
      yield batch.length > left ? batch.slice(0, left) : batch;
      left -= batch.length;
      if (left <= 0) return;
    }
  });
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

/** Every record from `from` to `last`; backward, every one before `from`. */
async function* scan(
  { log }: StorePartition,
  from: number,
  last: number,
  backward: boolean,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly EngineRecord[]> {
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
): AsyncGenerator<readonly EngineRecord[]> {
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
