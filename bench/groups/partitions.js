import { frameBytes, MIB, makePayload, makeRoom } from '../logs.js';
import { check, interleave } from '../measure.js';
import { DURABILITY, makeRow } from '../rows.js';
import { openLog } from '../varve.js';

const SIZE = 128;
const WAITERS = 1_024;
const APPENDS = 30;
/** Partitions, and the size of their segments, so that together they take a few hundred MiB. */
const LAYOUTS = [
  { partitions: 1, segmentSize: 64 * MIB },
  { partitions: 16, segmentSize: 8 * MIB },
  { partitions: 64, segmentSize: 2 * MIB },
  { partitions: 256, segmentSize: MIB },
];

/** @type {import('../groups.js').Group} */
export const group = {
  title: 'Many partitions, durable',
  method:
    `${WAITERS.toLocaleString('en-US')} waiters, spread evenly over so many partitions of one log; each appends ${SIZE} B, ` +
    'awaits that it is durable, and appends again: appends per second of all. Every partition syncs a file of its own, ' +
    'in the four threads of the log. Against one partition in the same round. Default io.',
  charts: [
    {
      name: 'partitions',
      title: 'Durable appends of 128 B per second, 1,024 waiters (higher is better)',
      unit: '/s',
      logarithmic: false,
      bars: LAYOUTS.map(({ partitions }) => ({
        label: `${partitions} partitions`,
        rows: [`partitions-${partitions}`],
      })),
    },
  ],
  async run({ quick, longRounds, workspace, progress }) {
    const appends = quick ? 2 : APPENDS;
    const layouts = quick ? LAYOUTS.slice(0, 2) : LAYOUTS;
    const payload = makePayload(SIZE);
    /** @type {Record<string, () => Promise<number>>} */
    const contestants = {};
    const logs = [];
    for (const { partitions: count, segmentSize } of layouts) {
      const log = await openLog({ directory: workspace.makeDirectory(), segmentSize });
      logs.push(log);
      const partitions = await Promise.all(Array.from({ length: count }, (_, i) => log.partition(i + 1)));
      for (const partition of partitions) await partition.append(payload);
      const perPartition = (WAITERS / count) * appends;
      contestants[count] = async () => {
        for (const partition of partitions) await makeRoom({ log, partition }, perPartition * frameBytes(SIZE));
        const before = log.stats().records;
        const started = performance.now();
        await Promise.all(
          Array.from({ length: WAITERS }, async (_, i) => {
            const partition = /** @type {import('varve').Partition} */ (partitions[i % count]);
            for (let n = 0; n < appends; n++) await partition.append(payload);
          }),
        );
        const took = performance.now() - started;
        check(log.stats().records === before + WAITERS * appends, 'not all records were appended');
        return (WAITERS * appends * 1000) / took;
      };
    }
    const values = await interleave({ rounds: longRounds, contestants, progress });
    for (const log of logs) await log.close();
    return layouts.map(({ partitions }) =>
      makeRow({
        id: `partitions-${partitions}`,
        what: `${partitions} ${partitions === 1 ? 'partition' : 'partitions'}`,
        durability: DURABILITY.durable,
        unit: '/s',
        values: values[partitions] ?? [],
        ...(partitions === 1 ? {} : { peer: { what: 'one partition', values: values[1] ?? [] } }),
      }),
    );
  },
};
