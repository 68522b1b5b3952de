import { setImmediate as nextTurn } from 'node:timers/promises';
import { closeLogs, frameBytes, MIB, makePayload, openLogs, whenReady } from '../logs.js';
import { check, quantile } from '../measure.js';
import { DURABILITY, makeRow } from '../rows.js';

const SIZE = 128;
const SEGMENT = 4 * MIB;
const WARM_UP_ROUNDS = 1;

/** Appends between two turns of the event loop; what prepares the next segment runs in turns. */
const PACES = [
  { name: 'in turns', appendsPerTurn: 16 },
  { name: 'non-stop', appendsPerTurn: Number.MAX_SAFE_INTEGER },
];

/**
 * Appends through `rotations` ends of segments; resolves with the latencies in ms, of all appends and of those that met
 * the end.
 *
 * @param {import('varve').Partition} partition
 * @param {number} rotations
 * @param {number} appendsPerTurn
 */
async function appendThrough(partition, rotations, appendsPerTurn) {
  const payload = makePayload(SIZE);
  const all = new Float64Array(Math.ceil(((rotations + 1) * SEGMENT) / frameBytes(SIZE)));
  const atEnd = [];
  let segment = partition.segments().at(-1)?.index;
  let count = 0;
  for (let met = 0; met < rotations; count++) {
    const started = performance.now();
    const { position } = await partition.append(payload, { ack: 'written' });
    const took = performance.now() - started;
    all[count] = took;
    if (position.segmentIndex !== segment) {
      segment = position.segmentIndex;
      met++;
      atEnd.push(took);
    }
    if (count % appendsPerTurn === appendsPerTurn - 1) await nextTurn();
  }
  return { all: all.subarray(0, count), atEnd };
}

/** @type {import('../groups.js').Group} */
export const rotation = {
  name: 'rotation',
  title: 'Latency of appends through the ends of segments',
  method:
    `Appends of ${SIZE} B, each awaited until it is written, in segments of ${SEGMENT / MIB} MiB, so that they go through ` +
    'many ends of segments; each is timed by itself. In turns: the event loop gets its turn after every 16 appends. ' +
    'Non-stop: only when an append has to wait, so that the next segment is never ready in time. The first record of a segment is acknowledged when the segment ' +
    'before it is sealed and durable. Between rounds everything is purged, so that segments are used again.',
  async run({ quick, rounds, workspace, progress }) {
    const rotations = quick ? 2 : 5;
    const logs = await openLogs(workspace, { segmentSize: SEGMENT });
    const series = logs.flatMap((opened) =>
      PACES.map((pace) => ({ ...opened, pace, all: [new Float64Array(0)], atEnd: [/** @type {number[]} */ ([])] })),
    );
    for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
      progress(round < 0 ? 'warm-up' : `round ${round + 1} of ${rounds}`);
      for (const one of round % 2 === 0 ? series : [...series].reverse()) {
        const { log, partition, pace } = one;
        const before = partition.stats();
        const { all, atEnd } = await appendThrough(partition, rotations, pace.appendsPerTurn);
        await partition.sync();
        const after = partition.stats();
        check(after.rotations === before.rotations + rotations, `${after.rotations} rotations`);
        check(after.records === before.records + all.length, 'not all records were appended');
        if (round <= 0) [one.all, one.atEnd] = [[], []]; // the warm-up does not count
        one.all.push(all);
        one.atEnd.push(atEnd);
        await partition.purgeBefore(partition.durableLsn + 1);
        await whenReady(log);
      }
    }
    await closeLogs(logs);

    return series.flatMap(({ io, pace, all, atEnd }) => {
      const ends = atEnd.flat();
      /**
       * @param {string} id
       * @param {ArrayLike<number>[]} each
       * @param {ArrayLike<number>} together
       * @param {number} q
       * @param {string} statistic
       */
      const row = (id, each, together, q, statistic) =>
        makeRow({
          id: `rotation-${id}-${pace.name.replace(' ', '-')}-${io}`,
          what: `io ${io}, ${pace.name}: ${statistic}`,
          durability: DURABILITY.written,
          statistic: `over all rounds, ${ends.length} ends of segments`,
          unit: 'µs',
          values: each.map((values) => quantile(values, q) * 1000),
          overall: quantile(together, q) * 1000,
        });
      const together = all.flatMap((values) => [...values]);
      return [
        row('p50', all, together, 0.5, 'p50 of all'),
        row('p999', all, together, 0.999, 'p99.9 of all'),
        row('end', atEnd, ends, 0.5, 'p50 of the appends that met an end'),
        row('worst', all, together, 1, 'worst of all'),
      ];
    });
  },
};
