import { checked, closeLogs, frameBytes, makePayload, makeRoom, openLogs } from '../logs.js';
import { interleave } from '../measure.js';
import { DURABILITY, makeRow } from '../rows.js';

const SIZE = 128;
/** Waiters, appends of each in a round, and the rate against that of one waiter which is aimed at. */
const CROWDS = [
  { waiters: 1, appends: 300, target: undefined },
  { waiters: 16, appends: 200, target: undefined },
  { waiters: 64, appends: 150, target: 20 },
  { waiters: 256, appends: 100, target: undefined },
  { waiters: 1024, appends: 60, target: 100 },
];

/** @type {import('../groups.js').Group} */
export const waiters = {
  name: 'waiters',
  title: 'Many waiters, durable',
  method:
    `So many waiters, each of which appends ${SIZE} B, awaits that it is durable, and appends again: appends per second ` +
    'of all. Against one waiter of the same log, in the same round.',
  async run({ quick, rounds, workspace, progress }) {
    const payload = makePayload(SIZE);
    const logs = await openLogs(workspace);
    /** @type {Record<string, () => Promise<number>>} */
    const contestants = {};
    for (const opened of logs) {
      const { io, partition } = opened;
      for (const crowd of CROWDS) {
        const appends = quick ? Math.ceil(crowd.appends / 20) : crowd.appends;
        const all = crowd.waiters * appends;
        const waiter = async () => {
          for (let i = 0; i < appends; i++) await partition.append(payload);
        };
        contestants[`${io} ${crowd.waiters}`] = async () => {
          await makeRoom(opened, all * frameBytes(SIZE));
          return checked(partition, all, async () => {
            const started = performance.now();
            await Promise.all(Array.from({ length: crowd.waiters }, waiter));
            return (all * 1000) / (performance.now() - started);
          });
        };
      }
    }
    const values = await interleave({ rounds, contestants, progress });
    await closeLogs(logs);
    return logs.flatMap(({ io }) =>
      CROWDS.map((crowd) =>
        makeRow({
          id: `waiters-${crowd.waiters}-${io}`,
          what: `${crowd.waiters} ${crowd.waiters === 1 ? 'waiter' : 'waiters'}, io ${io}`,
          durability: DURABILITY.durable,
          unit: '/s',
          values: values[`${io} ${crowd.waiters}`] ?? [],
          ...(crowd.waiters === 1 ? {} : { peer: { what: 'one waiter', values: values[`${io} 1`] ?? [] } }),
          ...(crowd.target === undefined ? {} : { target: { of: 'ratio', is: '≥', than: crowd.target } }),
        }),
      ),
    );
  },
};
