/** What `stats()` tells of a partition and of a log. */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import type { SpaceState } from './actors/allocator.js';

/** Latencies in microseconds. All 0 while nothing was recorded. */
export interface LatencySummary {
  readonly count: number;
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface Stats {
  readonly segments: {
    /** Segments that are appended to: 0 or 1 of a partition. */
    readonly active: number;
    readonly sealed: number;
    /** Prepared files of the log, which all its partitions share. */
    readonly ready: number;
    /** Purged files of the log that wait to be prepared again. */
    readonly recycled: number;
  };
  /** Segments of the log that were prepared out of recycled files, since it was opened. */
  readonly reused: number;
  readonly bytes: {
    /** Bytes of frames and header pages in the segments. */
    readonly used: number;
    /** Sizes of the segment files. */
    readonly allocated: number;
    /** Bytes of payload appended since the log was opened. */
    readonly appended: number;
    /** Bytes appended that are not durable yet. */
    readonly unsynced: number;
  };
  /** Records appended since the log was opened. */
  readonly records: number;
  /** Frames closed since the log was opened. */
  readonly frames: number;
  /** fdatasyncs of segments since the log was opened. */
  readonly syncs: number;
  /** Records made durable per sync, on average. */
  readonly recordsPerSync: number;
  readonly syncLatency: LatencySummary;
  /** Segments entered and segments purged since the log was opened. */
  readonly rotations: number;
  readonly purged: number;
  /** Appends that wait for room, space, or a segment. */
  readonly queueDepth: number;
  readonly space: SpaceState;
}

/** Ten seconds: a slower sync counts as one that took ten. */
const MAX_LATENCY_US = 10_000_000;

/** Sync latencies of one partition. The histogram is made at the first sync: an idle partition needs none. */
export class LatencyRecorder {
  #histogram: RecordableHistogram | undefined;

  record(milliseconds: number): void {
    this.#histogram ??= newHistogram();
    this.#histogram.record(Math.min(MAX_LATENCY_US, Math.max(1, Math.round(milliseconds * 1000))));
  }

  addTo(all: RecordableHistogram): void {
    if (this.#histogram !== undefined) all.add(this.#histogram);
  }

  summary(): LatencySummary {
    return summarize(this.#histogram);
  }
}

export function newHistogram(): RecordableHistogram {
  return createHistogram({ lowest: 1, highest: MAX_LATENCY_US, figures: 2 });
}

export function summarize(histogram: RecordableHistogram | undefined): LatencySummary {
  if (histogram === undefined || histogram.count === 0) {
    return { count: 0, min: 0, mean: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 };
  }
  return {
    count: histogram.count,
    min: histogram.min,
    mean: histogram.mean,
    p50: histogram.percentile(50),
    p90: histogram.percentile(90),
    p99: histogram.percentile(99),
    p999: histogram.percentile(99.9),
    max: histogram.max,
  };
}

/** The stats of a log: those of its open partitions, added up; the queues of spare files are the log's own. */
export function addStats(
  all: readonly Stats[],
  latencies: RecordableHistogram,
  spares: Pick<Stats, 'reused' | 'space'> & Pick<Stats['segments'], 'ready' | 'recycled'>,
): Stats {
  const sum = (of: (stats: Stats) => number) => all.reduce((total, stats) => total + of(stats), 0);
  const syncs = sum((s) => s.syncs);
  return {
    segments: {
      active: sum((s) => s.segments.active),
      sealed: sum((s) => s.segments.sealed),
      ready: spares.ready,
      recycled: spares.recycled,
    },
    reused: spares.reused,
    bytes: {
      used: sum((s) => s.bytes.used),
      allocated: sum((s) => s.bytes.allocated),
      appended: sum((s) => s.bytes.appended),
      unsynced: sum((s) => s.bytes.unsynced),
    },
    records: sum((s) => s.records),
    frames: sum((s) => s.frames),
    syncs,
    recordsPerSync: syncs === 0 ? 0 : sum((s) => s.recordsPerSync * s.syncs) / syncs,
    syncLatency: summarize(latencies),
    rotations: sum((s) => s.rotations),
    purged: sum((s) => s.purged),
    queueDepth: sum((s) => s.queueDepth),
    space: spares.space,
  };
}
