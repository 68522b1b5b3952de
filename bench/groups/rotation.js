import { setImmediate as nextTurn } from 'node:timers/promises';
import { closeLogs, defaultLog, frameBytes, KIB, MIB, makePayload, openLogs, whenReady } from '../logs.js';
import { check, quantile } from '../measure.js';
import { DURABILITY, makeRow } from '../rows.js';

const WARM_UP_ROUNDS = 1;
const ROUNDS = 20;

/**
 * @typedef {object} Pace
 * @property {string} id
 * @property {string} name
 * @property {'written' | 'durable'} ack
 * @property {number} size
 * @property {number} segmentSize
 * @property {number} rotations in a round
 * @property {number} appendsPerTurn between two turns of the event loop; what prepares the next segment runs in turns
 * @property {boolean} everyIo or the default one
 */

/** @type {readonly Pace[]} */
const PACES = [
  {
    id: 'turns',
    name: 'in turns',
    ack: 'written',
    size: 128,
    segmentSize: MIB,
    rotations: 25,
    appendsPerTurn: 16,
    everyIo: true,
  },
  {
    id: 'non-stop',
    name: 'non-stop',
    ack: 'written',
    size: 128,
    segmentSize: MIB,
    rotations: 10,
    appendsPerTurn: Number.MAX_SAFE_INTEGER,
    everyIo: false,
  },
  {
    id: 'durable',
    name: 'durable',
    ack: 'durable',
    size: KIB,
    segmentSize: 64 * KIB,
    rotations: 50,
    appendsPerTurn: 1,
    everyIo: false,
  },
];

/**
 * Appends through `rotations` ends of segments; resolves with the latencies in µs, of all appends and of those that met
 * the end.
 *
 * @param {import('varve').Partition} partition
 * @param {number} rotations
 * @param {Pace} pace
 */
async function appendThrough(partition, rotations, { ack, size, segmentSize, appendsPerTurn }) {
  const payload = makePayload(size);
  const all = new Float64Array(Math.ceil(((rotations + 1) * segmentSize) / frameBytes(size)));
  const atEnd = [];
  let segment = partition.segments().at(-1)?.index;
  let count = 0;
  for (let met = 0; met < rotations; count++) {
    const started = performance.now();
    const { position } = await partition.append(payload, { ack });
    const took = (performance.now() - started) * 1000;
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
export const group = {
  title: 'Latency of appends through the ends of segments',
  method:
    'Appends of one waiter through many ends of segments; each is timed by itself. In turns: 128 B, awaited until it is ' +
    'written, segments of 1 MiB; the event loop gets its turn after every 16 appends. Non-stop: the same, but the event ' +
    'loop gets its turn only when an append has to wait, so that the next segment is never ready in time. Durable: 1 KiB, ' +
    'awaited until it is durable, segments of 64 KiB. The first record of a segment is acknowledged when the segment ' +
    'before it is sealed and durable. Between rounds everything is purged, so that segments are used again.',
  async run({ quick, rounds: wanted, workspace, progress }) {
    const rounds = Math.min(wanted, ROUNDS);
    const series = [];
    for (const pace of PACES) {
      const logs = await openLogs(workspace, { segmentSize: pace.segmentSize });
      for (const opened of logs) {
        if (!pace.everyIo && opened !== defaultLog(logs)) await closeLogs([opened]);
        else series.push({ ...opened, pace, all: [new Float64Array(0)], atEnd: [/** @type {number[]} */ ([])] });
      }
    }
    for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
      progress(round < 0 ? 'warm-up' : `round ${round + 1} of ${rounds}`);
      for (const one of round % 2 === 0 ? series : [...series].reverse()) {
        const { log, partition, pace } = one;
        const rotations = quick ? 2 : pace.rotations;
        const before = partition.stats();
        const { all, atEnd } = await appendThrough(partition, rotations, pace);
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
    await closeLogs(series);

    return series.flatMap(({ io, pace, all, atEnd }) => {
      const ends = atEnd.flat();
      const together = Float64Array.from(all.flatMap((values) => [...values]));
      const shape = { durability: DURABILITY[pace.ack], statistic: `over all rounds, ${ends.length} ends of segments` };
      const name = `io ${io}, ${pace.name}`;
      /** @param {string} id @param {string} what @param {ArrayLike<number>[]} each @param {ArrayLike<number>} together @param {number} q */
      const row = (id, what, each, together, q) =>
        makeRow({
          ...shape,
          id: `rotation-${pace.id}-${id}-${io}`,
          what: `${name}: ${what}`,
          unit: 'µs',
          values: each.map((values) => quantile(values, q)),
          overall: quantile(together, q),
        });
      const rows = [
        row('p50', 'p50 of all', all, together, 0.5),
        row('p999', 'p99.9 of all', all, together, 0.999),
        row('end', 'p50 of the appends that met an end', atEnd, ends, 0.5),
        row('worst', 'worst of all', all, together, 1),
      ];
      if (pace.ack !== 'durable') return rows;
      // An append that is awaited until it is durable is a sync, and little else.
      const bySync = makeRow({
        ...shape,
        id: 'rotation-durable-worst-by-sync',
        what: `${name}: worst of all, by the median sync`,
        unit: '×',
        values: all.map((values) => quantile(values, 1) / quantile(values, 0.5)),
        overall: quantile(together, 1) / quantile(together, 0.5),
      });
      return [...rows, bySync];
    });
  },
};
