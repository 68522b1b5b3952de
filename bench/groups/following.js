import { closeLogs, frameBytes, makePayload, makeRoom, openLogs } from '../logs.js';
import { check, quantile } from '../measure.js';
import { DURABILITY, makeRow } from '../rows.js';

const SIZE = 128;
const WARM_UP_ROUNDS = 5;
const KINDS = [
  { name: 'written', ops: 1_000, durability: DURABILITY.written },
  { name: 'durable', ops: 100, durability: DURABILITY.durable },
];
const PERCENTILES = [0.5, 0.99];

/** @type {import('../groups.js').Group} */
export const group = {
  title: 'From an append to a follower',
  method:
    `One record of ${SIZE} B at a time is appended while partition.follow() waits for it in the same process: from the ` +
    'call of append until the follower has it. Written: the follower sees what is written (visibility: written). ' +
    'Durable: it sees what is durable, the default. Default io.',
  async run({ quick, rounds, workspace, progress }) {
    const logs = await openLogs(workspace);
    const [opened] = logs;
    check(opened !== undefined, 'no log was opened');
    const { partition } = opened;
    const payload = makePayload(SIZE);
    const rows = [];
    for (const { name, durability, ...given } of KINDS) {
      const ops = quick ? 20 : given.ops;
      const visibility = /** @type {'written' | 'durable'} */ (name);
      const records = partition.follow({ from: partition.writtenLsn + 1, visibility })[Symbol.asyncIterator]();
      /** @type {Float64Array[]} */
      const all = [];
      for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
        progress(`${name}, ${round < 0 ? 'warm-up' : `round ${round + 1} of ${rounds}`}`);
        await makeRoom(opened, ops * frameBytes(SIZE));
        const took = new Float64Array(ops);
        for (let i = 0; i < ops; i++) {
          const arrives = records.next();
          await new Promise((resolve) => setImmediate(resolve)); // the follower has come to wait
          const started = performance.now();
          const appended = partition.append(payload, { ack: visibility });
          const { value } = await arrives;
          took[i] = (performance.now() - started) * 1000;
          const { lsn } = await appended;
          check(value?.lsn === lsn, `the follower got LSN ${value?.lsn}, not ${lsn}`);
        }
        if (round >= 0) all.push(took);
      }
      await records.return?.();
      const together = all.flatMap((took) => [...took]);
      for (const q of PERCENTILES) {
        rows.push(
          makeRow({
            id: `follow-${name}-p${q * 100}`,
            what: `${name}: p${q * 100}`,
            durability,
            statistic: 'of all records',
            unit: 'µs',
            values: all.map((took) => quantile(took, q)),
            overall: quantile(together, q),
          }),
        );
      }
    }
    await closeLogs(logs);
    return rows;
  },
};
