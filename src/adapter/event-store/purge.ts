/**
 * Purging: the oldest segments go, as a whole, when nothing in them is to be kept any more.
 *
 * The failure to avoid: a stream's newest event goes with its segment, and after a reopen the stream begins again at
 * revision 0; or its newest metadata go, and a deleted stream comes back. So before a segment goes, the metadata of each
 * such stream are appended again, with its newest revision in them, and made durable. A crash in between leaves both, and
 * the next purge finds nothing to append. No transaction is cut off: one that was not brought to its end is the last
 * record of its partition, and the segment of that one never goes.
 */
import type { StreamWrite } from './commit-lane.js';
import type { EnginePartition, EngineSegment } from './engine.js';
import { envelopeKind, KIND_EVENT } from './envelope.js';
import type { IndexLayer } from './index-layer.js';
import type { RecordedEvent } from './recorded-event.js';
import { type Floor, isNewestEvent, isNewestMetadata, judge, type SegmentVerdict } from './retention.js';
import type { StoreCore, StorePartition } from './store-core.js';
import { isMetadataStream, type StreamMetadata, streamOfMetadata } from './stream-state.js';

/** Streams whose metadata are appended again are collected up to so many. */
const CARRIED_AT_ONCE = 256;

/** A segment that is about to go. */
export interface ArchivedSegment {
  readonly partition: number;
  /** Index in its partition. */
  readonly segment: number;
  readonly firstLsn: number;
  readonly lastLsn: number;
  /** Everything in it, in order. Can be iterated until the hook has resolved. */
  readonly events: AsyncIterable<RecordedEvent>;
}

/** Where a partition's purge ended. */
export interface PurgeStop {
  readonly partition: number;
  /** The oldest segment that was left. */
  readonly segment: number;
  /**
   * 'newest': there is no older one. 'living': an event of `stream` is to be kept. 'carried': more than half of what would
   * go is metadata that would have to be written again. 'reading': a reader is inside of it; purge again later.
   */
  readonly reason: 'newest' | 'living' | 'carried' | 'reading';
  readonly stream?: string;
}

export interface PurgeReport {
  readonly dryRun: boolean;
  readonly segments: number;
  /** Of their files that were in use. */
  readonly bytes: number;
  readonly events: number;
  /** Streams that have lost their last event, and live on as a revision. */
  readonly emptiedStreams: number;
  /** One for each partition. */
  readonly stops: readonly PurgeStop[];
}

export interface PurgeProgress {
  readonly partition: number;
  /** Given up so far, over all partitions. */
  readonly segments: number;
  readonly bytes: number;
  readonly events: number;
}

export interface PurgeRequest {
  readonly dryRun: boolean;
  /** By partition. */
  readonly floors: readonly Floor[];
  readonly archive: ((segment: ArchivedSegment) => unknown) | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: PurgeProgress) => void) | undefined;
  readonly metadataWrite: (stream: string, metadata: StreamMetadata) => StreamWrite;
}

interface Candidate extends SegmentVerdict {
  readonly segment: EngineSegment;
  readonly layer: IndexLayer;
}

/** Rejects with what `archive` or `onProgress` throws, the signal's reason, and as appending and reading do. */
export async function purge(core: StoreCore, request: PurgeRequest): Promise<PurgeReport> {
  const { dryRun, floors, signal, onProgress } = request;
  let [segments, bytes, events, emptiedStreams] = [0, 0, 0, 0];
  const stops: PurgeStop[] = [];
  for (const [i, partition] of core.partitions.entries()) {
    const { number } = partition.log;
    const plan = await planPurge(core, partition, floors[i] as Floor, signal);
    let { stop } = plan;
    for (const candidate of plan.candidates) {
      signal?.throwIfAborted();
      core.refuseClosed();
      if (!dryRun && !(await giveUp(core, partition, candidate, request))) {
        stop = { partition: number, segment: candidate.segment.index, reason: 'reading' };
        break;
      }
      segments++;
      bytes += candidate.segment.bytes;
      events += candidate.events;
      emptiedStreams += candidate.emptied;
      onProgress?.({ partition: number, segments, bytes, events });
    }
    stops.push(stop);
  }
  return { dryRun, segments, bytes, events, emptiedStreams, stops };
}

async function planPurge(
  core: StoreCore,
  partition: StorePartition,
  floor: Floor,
  signal: AbortSignal | undefined,
): Promise<{ candidates: Candidate[]; stop: PurgeStop }> {
  const { log, index } = partition;
  const { number } = log;
  const candidates: Candidate[] = [];
  /** As many of them as are worth it. */
  let worth = 0;
  let [events, carried] = [0, 0];
  const stopAt = (segment: number, reason: PurgeStop['reason'], stream?: string) => {
    const next = candidates[worth];
    const stop: PurgeStop =
      next === undefined
        ? { partition: number, segment, reason, ...(stream === undefined ? {} : { stream }) }
        : { partition: number, segment: next.segment.index, reason: 'carried' };
    return { candidates: candidates.slice(0, worth), stop };
  };
  const segments = log.segments();
  for (const segment of segments.slice(0, -1)) {
    signal?.throwIfAborted();
    core.refuseClosed();
    const layer = index.layers.find((one) => one.segment === segment.index);
    // What is not indexed to its end yet, or ends with what may be an unfinished transaction, counts as the newest.
    if (layer === undefined || layer === index.newest || segment.lastLsn >= log.writtenLsn)
      return stopAt(segment.index, 'newest');
    const verdict = await judge(core, partition, layer, floor);
    if (verdict.living !== undefined) return stopAt(segment.index, 'living', verdict.living);
    candidates.push({ ...verdict, segment, layer });
    events += verdict.events;
    carried += verdict.carried;
    if (carried * 2 <= events) worth = candidates.length;
  }
  return stopAt(segments.at(-1)?.index ?? 0, 'newest');
}

/** Gives one segment up; false if a reader is inside of it. */
async function giveUp(
  core: StoreCore,
  partition: StorePartition,
  { segment, layer }: Candidate,
  request: PurgeRequest,
): Promise<boolean> {
  const { log, keeper } = partition;
  if (request.archive !== undefined) await archive(core, partition, segment, request.archive);
  await carryOver(core, partition, layer, request);
  const { segments } = await log.purgeBefore(segment.lastLsn + 1);
  if (segments > 0) await keeper.purged();
  return segments > 0;
}

async function archive(
  core: StoreCore,
  { log }: StorePartition,
  { index: segment, firstLsn, lastLsn }: EngineSegment,
  hook: (segment: ArchivedSegment) => unknown,
): Promise<void> {
  const events = eventsOf(core, log, firstLsn, lastLsn);
  try {
    await hook({ partition: log.number, segment, firstLsn, lastLsn, events });
  } finally {
    await events.return(undefined); // a reading that was left half-way would hold the segment
  }
}

async function* eventsOf(
  core: StoreCore,
  log: EnginePartition,
  from: number,
  to: number,
): AsyncGenerator<RecordedEvent> {
  for await (const batch of log.read({ from, to }).batches()) {
    for (const record of batch) if (envelopeKind(record.payload) === KIND_EVENT) yield core.decode(log, record);
  }
}

/** Appends again what is known from this segment alone. When it resolves, all that was decided by is durable. */
async function carryOver(
  core: StoreCore,
  { lane }: StorePartition,
  layer: IndexLayer,
  { metadataWrite, signal }: PurgeRequest,
): Promise<void> {
  const { batchBytes } = core.options;
  const known = async (name: string, revision: number): Promise<StreamMetadata | undefined> => {
    const metadataStream = isMetadataStream(name);
    const state = await core.state(metadataStream ? streamOfMetadata(name) : name);
    if (metadataStream) return isNewestMetadata(revision, state) ? state.metadata : undefined;
    return isNewestEvent(revision, state) ? { ...state.metadata, head: state.head } : undefined;
  };
  const waiting: { name: string; revision: number }[] = [];
  const append = async () => {
    while (waiting.length > 0) {
      await lane.insert(async () => {
        const writes = new Map<string, StreamWrite>();
        let bytes = 0;
        for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
          // Asked again: in this turn the answer stays true.
          const metadata = await known(next.name, next.revision);
          const stream = isMetadataStream(next.name) ? streamOfMetadata(next.name) : next.name;
          if (metadata !== undefined) {
            const write = metadataWrite(stream, metadata);
            bytes += write.events.reduce((sum, event) => sum + event.bytes.length, 0);
            if (writes.has(stream) || (writes.size > 0 && bytes > batchBytes)) break;
            writes.set(stream, write);
          }
          waiting.shift();
        }
        return [...writes.values()];
      });
    }
  };
  for await (const [name, { firstRevision, lsns }] of layer.streams('')) {
    const revision = firstRevision + lsns.length - 1;
    if ((await known(name, revision)) === undefined) continue;
    signal?.throwIfAborted();
    waiting.push({ name, revision });
    if (waiting.length >= CARRIED_AT_ONCE) await append();
  }
  await append();
  await lane.insert(async () => []);
}
