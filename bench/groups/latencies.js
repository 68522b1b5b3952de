import { CROWDS, crowd, namedCrowd } from '../crowds.js';
import { closeLogs, defaultLog, frameBytes, makePayload, makeRoom, openLogs } from '../logs.js';
import { interleave, quantile } from '../measure.js';
import { DURABILITY, makeRow } from '../rows.js';

const SIZE = 128;
const PERCENTILES = [0.5, 0.99, 0.999];

/** Latencies in µs. */
class Latencies {
  /** @type {number[]} */
  all = [];
  /** By percentile, round by round. */
  rounds = PERCENTILES.map(() => /** @type {number[]} */ ([]));

  /** @param {number[]} took in one round */
  add(took) {
    for (const [i, q] of PERCENTILES.entries()) this.rounds[i]?.push(quantile(took, q));
    for (const value of took) this.all.push(value);
  }

  /** @param {number} i of PERCENTILES */
  summarize(i) {
    return { values: this.rounds[i] ?? [], overall: quantile(this.all, PERCENTILES[i] ?? 0) };
  }
}

/** @type {import('../groups.js').Group} */
export const group = {
  title: 'Latency with many waiters, durable',
  method:
    `So many waiters, each of which appends ${SIZE} B, awaits that it is durable, and appends again; each append is timed, ` +
    'which takes a part of the rate. Percentiles of all appends of all rounds. Default io, against lmdb.',
  async run({ quick, longRounds, workspace, progress, peers }) {
    const payload = makePayload(SIZE);
    const logs = await openLogs(workspace);
    const ours = defaultLog(logs);
    const [lmdb] = await peers.open(['lmdb'], workspace, 'durable');
    /** @type {Record<string, Latencies>} */
    const measured = {};
    /** @type {Record<string, (round: number) => Promise<number>>} */
    const contestants = {};
    for (const { waiters, ...each } of CROWDS) {
      const appends = quick ? Math.ceil(each.appends / 20) : each.appends;
      const race = (/** @type {string} */ name, /** @type {() => unknown} */ append) => {
        const latencies = new Latencies();
        measured[name] = latencies;
        contestants[name] = async (round) => {
          await makeRoom(ours, waiters * appends * frameBytes(SIZE));
          /** @type {number[]} */
          const took = [];
          const rate = await crowd(waiters, appends, async () => {
            const started = performance.now();
            await append();
            took.push((performance.now() - started) * 1000);
          });
          if (round >= 0) latencies.add(took);
          return rate;
        };
      };
      race(`varve ${waiters}`, () => ours.partition.append(payload));
      if (lmdb !== undefined) race(`lmdb ${waiters}`, () => lmdb.append(payload));
    }
    await interleave({ rounds: longRounds, contestants, progress });
    await lmdb?.close();
    await closeLogs(logs);

    return CROWDS.flatMap(({ waiters }) =>
      PERCENTILES.map((q, i) => {
        const mine = /** @type {Latencies} */ (measured[`varve ${waiters}`]);
        const theirs = measured[`lmdb ${waiters}`];
        return makeRow({
          id: `latency-${waiters}-p${q * 100}`,
          what: `${namedCrowd(waiters)}: p${q * 100}`,
          durability: DURABILITY.durable,
          statistic: 'of all appends',
          unit: 'µs',
          ...mine.summarize(i),
          ...(lmdb === undefined || theirs === undefined
            ? {}
            : { peer: { what: lmdb.name, durability: lmdb.durability, ...theirs.summarize(i) } }),
        });
      }),
    );
  },
};
