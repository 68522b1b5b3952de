/**
 * Purging: the oldest segments go, as a whole, when nothing in them is to be kept any more; and before them the files in
 * which a scavenge has kept what was alive of older ones.
 *
 * The failure to avoid: a stream's newest event goes with its segment, and after a reopen the stream begins again at
 * revision 0; or its newest metadata go, and a deleted stream comes back. So before a segment goes, the metadata of each
 * such stream are appended again, with its newest revision in them, and made durable. A crash in between leaves both, and
 * the next purge finds nothing to append. No transaction is cut off: one that was not brought to its end is the last
 * record of its partition, and the segment of that one never goes.
 */
import { carryOver, type NewestHere } from './carry-over.js';
import { type Floor, isNewestEvent, isNewestMetadata, judge, type SegmentVerdict } from './retention.js';
import { removeKept } from './scavenge-unit.js';
import type { StoreCore, StorePartition } from './store-core.js';
import type { StreamMetadata } from './stream-state.js';
import { type ArchiveHook, archive, segmentBehind, type Unit, unitsOf } from './units.js';

/** Where a partition's purge ended. */
export interface PurgeStop {
  readonly partition: number;
  /** The oldest segment that was left, or the first that is in the oldest kept file. */
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
  /** Segments and kept files. */
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
  readonly archive: ArchiveHook | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: PurgeProgress) => void) | undefined;
}

interface Candidate extends SegmentVerdict {
  readonly unit: Unit;
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
        stop = { partition: number, segment: candidate.unit.firstSegment, reason: 'reading' };
        break;
      }
      segments++;
      bytes += candidate.unit.bytes;
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
  const { number } = partition.log;
  const candidates: Candidate[] = [];
  /** As many of them as are worth it. */
  let worth = 0;
  let [events, carried] = [0, 0];
  const stopAt = (segment: number, reason: PurgeStop['reason'], stream?: string) => {
    const next = candidates[worth];
    const stop: PurgeStop =
      next === undefined
        ? { partition: number, segment, reason, ...(stream === undefined ? {} : { stream }) }
        : { partition: number, segment: next.unit.firstSegment, reason: 'carried' };
    return { candidates: candidates.slice(0, worth), stop };
  };
  const units = unitsOf(partition);
  for (const unit of units) {
    signal?.throwIfAborted();
    core.refuseClosed();
    const verdict = await judge(core, partition, unit.layer, floor);
    if (verdict.living !== undefined) return stopAt(unit.firstSegment, 'living', verdict.living);
    candidates.push({ ...verdict, unit });
    events += verdict.events;
    carried += verdict.carried;
    if (carried * 2 <= events) worth = candidates.length;
  }
  return stopAt(segmentBehind(partition, units), 'newest');
}

/** Gives one segment or kept file up; false if a reader is inside of it. */
async function giveUp(
  core: StoreCore,
  partition: StorePartition,
  { unit }: Candidate,
  { archive: hook, signal }: PurgeRequest,
): Promise<boolean> {
  const { log, keeper } = partition;
  if (hook !== undefined) await archive(core, partition, unit, hook);
  await carryOver(core, partition, unit.layer, { carried: knownFromHere, signal });
  if (unit.kept !== undefined) {
    await removeKept(partition, unit.kept);
    return true;
  }
  const { segments } = await log.purgeBefore(unit.lastLsn + 1);
  if (segments > 0) await keeper.moved();
  return segments > 0;
}

/** What a stream's metadata must say once this is gone. */
function knownFromHere({ ofMetadata, revision, state }: NewestHere): StreamMetadata | undefined {
  if (ofMetadata) return isNewestMetadata(revision, state) ? state.metadata : undefined;
  return isNewestEvent(revision, state) ? { ...state.metadata, head: state.head } : undefined;
}
