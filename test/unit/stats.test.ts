import { describe, expect, test } from '@jest/globals';
import { addStats, LatencyRecorder, newHistogram, type Stats, summarize } from '../../src/stats.js';

const NOTHING = { count: 0, min: 0, mean: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 };

/** Two significant figures are kept. */
const near = (value: number) => ({ from: value * 0.98, to: value * 1.02 });
const expectNear = (got: number, value: number) => {
  expect(got).toBeGreaterThanOrEqual(near(value).from);
  expect(got).toBeLessThanOrEqual(near(value).to);
};

describe('latencies', () => {
  test('are all 0 while there are none', () => {
    expect(new LatencyRecorder().summary()).toEqual(NOTHING);
    expect(summarize(undefined)).toEqual(NOTHING);
    expect(summarize(newHistogram())).toEqual(NOTHING);
  });

  test('are told in microseconds', () => {
    const latency = new LatencyRecorder();
    for (let ms = 1; ms <= 1000; ms++) latency.record(ms / 10);
    const summary = latency.summary();
    expect(summary.count).toBe(1000);
    expectNear(summary.min, 100);
    expectNear(summary.mean, 50_050);
    expectNear(summary.p50, 50_000);
    expectNear(summary.p90, 90_000);
    expectNear(summary.p99, 99_000);
    expectNear(summary.p999, 99_900);
    expectNear(summary.max, 100_000);
  });

  test('below a microsecond count as one, above ten seconds as ten', () => {
    const latency = new LatencyRecorder();
    latency.record(0);
    latency.record(60_000);
    const { min, max, count } = latency.summary();
    expect([count, min]).toEqual([2, 1]);
    expectNear(max, 10_000_000);
  });

  test('of several partitions are put together', () => {
    const all = newHistogram();
    const [first, second, idle] = [new LatencyRecorder(), new LatencyRecorder(), new LatencyRecorder()];
    first.record(1);
    second.record(3);
    for (const latency of [first, second, idle]) latency.addTo(all);
    const { count, min, max } = summarize(all);
    expect(count).toBe(2);
    expectNear(min, 1000);
    expectNear(max, 3000);
  });
});

describe('the stats of a log', () => {
  /** Stats in which every number is another multiple of `unit`. */
  const stats = (unit: number): Stats => ({
    segments: { active: unit, sealed: unit * 2, ready: unit * 1000, recycled: unit * 1000 },
    reused: unit * 1000,
    bytes: { used: unit * 3, allocated: unit * 4, appended: unit * 5, unsynced: unit * 6 },
    records: unit * 7,
    frames: unit * 8,
    syncs: unit * 9,
    recordsPerSync: unit * 10,
    syncLatency: NOTHING,
    rotations: unit * 11,
    purged: unit * 12,
    queueDepth: unit * 13,
    space: 'ok',
  });

  test('are those of its partitions added up, with the queues that they share counted once', () => {
    const latencies = newHistogram();
    latencies.record(100);
    const spares = { ready: 1, recycled: 2, reused: 3, space: 'low' as const };
    const { syncLatency, recordsPerSync, ...rest } = addStats([stats(1), stats(3)], latencies, spares);
    expect(rest).toEqual({
      segments: { active: 4, sealed: 8, ready: 1, recycled: 2 },
      reused: 3,
      bytes: { used: 12, allocated: 16, appended: 20, unsynced: 24 },
      records: 28,
      frames: 32,
      syncs: 36,
      rotations: 44,
      purged: 48,
      queueDepth: 52,
      space: 'low',
    });
    expect(syncLatency.count).toBe(1);
    // By sync, not by partition: (9 × 10 + 27 × 30) / 36.
    expect(recordsPerSync).toBe(25);
  });

  test('are all 0 while nothing was opened', () => {
    const spares = { ready: 0, recycled: 0, reused: 0, space: 'ok' as const };
    const all = addStats([], newHistogram(), spares);
    expect(all.recordsPerSync).toBe(0);
    expect(all.syncLatency).toEqual(NOTHING);
    expect(all.bytes).toEqual({ used: 0, allocated: 0, appended: 0, unsynced: 0 });
  });
});
