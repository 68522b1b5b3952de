/**
 * Scavenging: what is alive of the oldest segments is written into kept files, and the segments are given up.
 *
 * A log gives up space from its oldest end only, so which of it is worth the writing is decided for a prefix: the longest
 * one of which at least `threshold` is dead, and whose last part is so by itself. What was kept before is a part of it,
 * so that what dies there goes as well. For each segment that is given up, at most the size of one is written.
 */
import { Pace } from './pace.js';
import { countDead } from './retention.js';
import { scavengeUnit } from './scavenge-unit.js';
import type { StoreCore, StorePartition } from './store-core.js';
import { type ArchiveHook, segmentBehind, type Unit, unitsOf } from './units.js';

/** LSNs of an index file are 32-bit distances from its first one. */
const MAX_LSN_RANGE = 0xffff_ffff;

/** Where a partition's scavenge ended. */
export interface ScavengeStop {
  readonly partition: number;
  /** The oldest segment that was left as it was, or the first that is in the oldest kept file left so. */
  readonly segment: number;
  /**
   * 'newest': there is no older one. 'living': too little of it is dead, and an event of `stream` is alive. 'reading': a
   * reader is inside of it; scavenge again later.
   */
  readonly reason: 'newest' | 'living' | 'reading';
  readonly stream?: string;
}

interface Sums {
  /** Segments that were given up. */
  segments: number;
  /** Of the files that were given up, those in use: segments, and kept files that were written anew. */
  bytes: number;
  /** That were left out. */
  events: number;
  /** That were alive in the segments. */
  movedEvents: number;
  /** Of the kept files that were written. What is freed is the difference. */
  writtenBytes: number;
}

export interface ScavengeReport extends Readonly<Sums> {
  readonly dryRun: boolean;
  /** One for each partition. */
  readonly stops: readonly ScavengeStop[];
}

/** Sums are those so far, over all partitions. */
export interface ScavengeProgress extends Readonly<Sums> {
  readonly partition: number;
  /** Segments and kept files of this partition that are done, of those that are to be. */
  readonly done: number;
  readonly of: number;
}

export interface ScavengeRequest {
  readonly dryRun: boolean;
  readonly threshold: number;
  /** Infinity: no limit. */
  readonly maxBytesPerSecond: number;
  readonly archive: ArchiveHook | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: ScavengeProgress) => void) | undefined;
}

interface Measured {
  readonly unit: Unit;
  readonly events: number;
  readonly dead: number;
  /** A stream that has an event here that is alive. */
  readonly living: string | undefined;
}

/** Rejects with what `archive` or `onProgress` throws, the signal's reason, and as appending and reading do. */
export async function scavenge(core: StoreCore, request: ScavengeRequest): Promise<ScavengeReport> {
  const { dryRun, signal, onProgress } = request;
  const now = core.engine.storage.disk.now();
  const pace = new Pace(core, request.maxBytesPerSecond, signal);
  const sums: Sums = { segments: 0, bytes: 0, events: 0, movedEvents: 0, writtenBytes: 0 };
  const stops: ScavengeStop[] = [];
  for (const partition of core.partitions) {
    const { number } = partition.log;
    const plan = await planScavenge(core, partition, request, now);
    let { stop } = plan;
    for (const [i, measured] of plan.units.entries()) {
      signal?.throwIfAborted();
      core.refuseClosed();
      const { unit } = measured;
      const before = toJoin(partition, measured);
      const done = dryRun
        ? expectedOf(measured)
        : await scavengeUnit(core, partition, unit, before, { ...request, now, pace });
      if (done === undefined) {
        stop = { partition: number, segment: unit.firstSegment, reason: 'reading' };
        break;
      }
      if (unit.kept === undefined) sums.segments++;
      sums.bytes += unit.bytes + (dryRun ? 0 : (before?.bytes ?? 0));
      sums.events += done.events;
      sums.movedEvents += done.movedEvents;
      sums.writtenBytes += done.writtenBytes;
      onProgress?.({ partition: number, done: i + 1, of: plan.units.length, ...sums });
    }
    stops.push(stop);
  }
  return { dryRun, ...sums, stops };
}

async function planScavenge(
  core: StoreCore,
  partition: StorePartition,
  { threshold, signal }: ScavengeRequest,
  now: number,
): Promise<{ units: Measured[]; stop: ScavengeStop }> {
  const { number } = partition.log;
  const units = unitsOf(partition);
  const measured: Measured[] = [];
  let [bytes, deadBytes, worth] = [0, 0, 0];
  for (const unit of units) {
    signal?.throwIfAborted();
    core.refuseClosed();
    const one = { unit, ...(await countDead(core, partition, unit.layer, now)) };
    measured.push(one);
    if (isUntouched(one)) continue;
    const share = one.events === 0 ? 1 : one.dead / one.events;
    bytes += unit.bytes;
    deadBytes += unit.bytes * share;
    if (share > 0 && share >= threshold && deadBytes >= bytes * threshold) worth = measured.length;
  }
  const left = measured[worth];
  const { living } = [...measured.slice(worth), ...measured].find((one) => one.living !== undefined) ?? {};
  const stop: ScavengeStop =
    left === undefined
      ? { partition: number, segment: segmentBehind(partition, units), reason: 'newest' }
      : { partition: number, segment: left.unit.firstSegment, reason: 'living', ...(living && { stream: living }) };
  return { units: measured.slice(0, worth).filter((one) => !isUntouched(one)), stop };
}

/** A kept file of which nothing has died stays as it is. */
const isUntouched = ({ unit, dead }: Measured): boolean => unit.kept !== undefined && dead === 0;

const livingBytes = ({ unit, events, dead }: Measured): number =>
  events === 0 ? 0 : Math.ceil(unit.bytes * (1 - dead / events));

/** The kept file before a unit, where both together are small enough to become one. */
function toJoin(partition: StorePartition, measured: Measured): Unit | undefined {
  const { unit } = measured;
  const before = unitsOf(partition)
    .filter(({ kept, lastLsn }) => kept !== undefined && lastLsn < unit.firstLsn)
    .at(-1);
  const living = livingBytes(measured);
  const limit = partition.log.segments()[0]?.size ?? 0;
  if (before === undefined || living === 0 || before.bytes + living > limit) return undefined;
  return unit.lastLsn - before.firstLsn > MAX_LSN_RANGE ? undefined : before;
}

/** What a dry run tells: bytes are estimated. */
function expectedOf(measured: Measured) {
  const { unit, events, dead } = measured;
  return {
    events: dead,
    movedEvents: unit.kept === undefined ? events - dead : 0,
    writtenBytes: livingBytes(measured),
  };
}
