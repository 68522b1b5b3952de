import { checked, closeLogs, frameBytes, makePayload, makeRoom, openLogs, SEGMENT_SIZE } from '../logs.js';
import { mean, quantile } from '../measure.js';
import { DURABILITY, makeRow } from '../rows.js';
import { RawFile } from '../workspace.js';

const SIZE = 128;
const PEER = `fs.writeSync + fs.fdatasyncSync, ${SIZE} B`;
/** Until the code is compiled, which takes it some thousand turns of the event loop. */
const WARM_UP_ROUNDS = 40;

/** Milliseconds of each operation, round by round. */
class Latencies {
  /** @type {Float64Array[]} */
  rounds = [];

  /** @param {number} ops */
  begin(ops) {
    const round = new Float64Array(ops);
    this.rounds.push(round);
    return round;
  }

  /** The statistic of each round, in µs, and of all operations. @param {(values: Float64Array) => number} statistic */
  summarize(statistic) {
    const values = this.rounds.map((round) => statistic(round) * 1000);
    const all = new Float64Array(this.rounds.reduce((sum, round) => sum + round.length, 0));
    let at = 0;
    for (const round of this.rounds) {
      all.set(round, at);
      at += round.length;
    }
    return { values, overall: statistic(all) * 1000 };
  }
}

/** @type {import('../groups.js').Group} */
export const durable = {
  name: 'durable',
  title: 'One waiter, one record, durable',
  method:
    `${SIZE} B, each operation awaited before the next. Against fs.writeSync and fs.fdatasyncSync, on the calling ` +
    'thread, of the same bytes in a file that is preallocated in the same way. A round: 200 of the one in a row, then 200 ' +
    'of the other, and which of them begins changes with each round.',
  async run({ quick, rounds, workspace, progress }) {
    const ops = quick ? 20 : 200;
    const payload = makePayload(SIZE);
    const logs = await openLogs(workspace);
    const raw = new RawFile(workspace, SEGMENT_SIZE);
    const series = logs.map((opened) => ({ opened, ours: new Latencies(), theirs: new Latencies() }));

    // One back end after the other: a process uses one of them, and code that serves both is slower.
    for (const { opened, ours, theirs } of series) {
      for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
        progress(`io ${opened.io}, ${round < 0 ? 'warm-up' : `round ${round + 1} of ${rounds}`}`);
        if (round === 0) [ours.rounds, theirs.rounds] = [[], []];
        const { partition } = opened;
        await makeRoom(opened, ops * frameBytes(SIZE));
        await raw.makeRoom(ops * SIZE);
        const mine = ours.begin(ops);
        const peers = theirs.begin(ops);
        const timeOurs = async () => {
          for (let i = 0; i < ops; i++) {
            const started = performance.now();
            await partition.append(payload);
            mine[i] = performance.now() - started;
          }
        };
        const timeTheirs = () => {
          for (let i = 0; i < ops; i++) {
            const started = performance.now();
            raw.write(payload);
            raw.sync();
            peers[i] = performance.now() - started;
          }
        };
        await checked(partition, ops, async () => {
          if (round % 2 === 0) await timeOurs();
          timeTheirs();
          if (round % 2 !== 0) await timeOurs();
          return 0;
        });
      }
    }
    await closeLogs(logs);
    raw.close();

    return series.flatMap(({ opened: { io }, ours, theirs }) => {
      /** @param {string} name @param {(values: Float64Array) => number} statistic */
      const row = (name, statistic) =>
        makeRow({
          id: `durable-${name}-${io}`,
          what: `await append, durable, io ${io}: ${name}`,
          durability: DURABILITY.durable,
          statistic: `${name} of all operations`,
          unit: 'µs',
          ...ours.summarize(statistic),
          peer: { what: PEER, ...theirs.summarize(statistic) },
          ...(name === 'mean' ? { target: { of: 'ratio', is: '≤', than: 1.6 } } : {}),
        });
      return [
        row('mean', mean),
        row('p50', (values) => quantile(values, 0.5)),
        row('p99', (values) => quantile(values, 0.99)),
      ];
    });
  },
};
