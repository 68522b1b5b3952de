import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { closeLogs, MIB, makePayload, openLogs } from '../logs.js';
import { check, interleave } from '../measure.js';
import { DURABILITY, makeRow } from '../rows.js';

const SIZE = 128;
const WRITERS = 1_024;
const WARM_UP_ROUNDS = 1;
const ROUNDS = 4;
const LASTS_MS = 1_000;
const SEGMENT = 256 * MIB;

/** @type {import('../groups.js').Group} */
export const group = {
  title: 'Delay of the event loop',
  method:
    `${WRITERS.toLocaleString('en-US')} writers append ${SIZE} B each, await that it is durable, and append again, for a ` +
    'second; segments end meanwhile. perf_hooks.monitorEventLoopDelay with a resolution of 1 ms, whose values begin at ' +
    'that millisecond: p99. Against the same of a process that does nothing.',
  async run({ quick, rounds, workspace, progress, peers }) {
    const lasts = quick ? 100 : LASTS_MS;
    const payload = makePayload(SIZE);
    const logs = await openLogs(workspace, { segmentSize: quick ? 8 * MIB : SEGMENT });
    const [lmdb] = await peers.open(['lmdb'], workspace, 'durable');
    const measure = async (/** @type {() => Promise<unknown>} */ work) => {
      const histogram = monitorEventLoopDelay({ resolution: 1 });
      histogram.enable();
      await work();
      histogram.disable();
      check(histogram.count > 0, 'the event loop has never come round');
      return histogram.percentile(99) / 1e6;
    };
    const writing = (/** @type {() => unknown} */ append) => () =>
      measure(async () => {
        const until = performance.now() + lasts;
        await Promise.all(
          Array.from({ length: WRITERS }, async () => {
            while (performance.now() < until) await append();
          }),
        );
      });
    /** @type {Record<string, () => Promise<number>>} */
    const contestants = { idle: () => measure(() => sleep(lasts)) };
    for (const { io, partition } of logs) contestants[io] = writing(() => partition.append(payload));
    if (lmdb !== undefined) contestants.lmdb = writing(() => lmdb.append(payload));
    const values = await interleave({
      rounds: Math.min(rounds, ROUNDS),
      warmUp: WARM_UP_ROUNDS,
      contestants,
      progress,
    });
    await lmdb?.close();
    await closeLogs(logs);

    const shape = { durability: DURABILITY.durable, unit: /** @type {const} */ ('ms') };
    return logs.flatMap(({ io }) => {
      const row = { ...shape, id: `event-loop-${io}`, what: `${WRITERS} writers, io ${io}`, values: values[io] ?? [] };
      const idle = { what: 'idle', durability: shape.durability, values: values.idle ?? [] };
      if (lmdb === undefined) return [makeRow({ ...row, peer: idle })];
      const { name, durability } = lmdb;
      return [
        makeRow({ ...row, peer: idle }),
        makeRow({ ...row, id: `${row.id}-vs-lmdb`, peer: { what: name, durability, values: values.lmdb ?? [] } }),
      ];
    });
  },
};
