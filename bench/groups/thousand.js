import { checked, closeLogs, frameBytes, makePayload, makeRoom, openLogs, SEGMENT_SIZE } from '../logs.js';
import { interleave } from '../measure.js';
import { DURABILITY, makeRow } from '../rows.js';
import { RawFile } from '../workspace.js';

const COUNT = 1_000;
const SIZE = 65;
/** A thousand take less than a millisecond: a round is the mean of some. */
const REPEATS = 10;

/** @type {import('../groups.js').Group} */
export const thousand = {
  name: 'thousand',
  title: `${COUNT.toLocaleString('en-US')} records of ${SIZE} B, appended one by one, not synced`,
  method:
    `A round: ${REPEATS} times ${COUNT} appends, each awaited before the next; the time of ${COUNT}. Against ${COUNT} ` +
    'times fs.writeSync of the same bytes into a file that is preallocated in the same way. Both sync after the timed part.',
  async run({ rounds, workspace, progress }) {
    const payload = makePayload(SIZE);
    const all = COUNT * REPEATS;
    const logs = await openLogs(workspace);
    const raw = new RawFile(workspace, SEGMENT_SIZE);
    /** @type {Record<string, () => Promise<number>>} */
    const contestants = {
      async raw() {
        await raw.makeRoom(all * SIZE);
        const started = performance.now();
        for (let i = 0; i < all; i++) raw.write(payload);
        const took = performance.now() - started;
        raw.sync();
        return took / REPEATS;
      },
    };
    for (const opened of logs) {
      const { io, partition } = opened;
      contestants[io] = async () => {
        await makeRoom(opened, all * frameBytes(SIZE));
        return checked(partition, all, async () => {
          const started = performance.now();
          for (let i = 0; i < all; i++) await partition.append(payload, { ack: 'written' });
          return (performance.now() - started) / REPEATS;
        });
      };
    }
    const values = await interleave({ rounds, contestants, progress });
    await closeLogs(logs);
    raw.close();
    return logs.map(({ io }) =>
      makeRow({
        id: `thousand-${SIZE}-${io}`,
        what: `${COUNT} × await append, written, io ${io}`,
        durability: DURABILITY.written,
        unit: 'ms',
        values: values[io] ?? [],
        peer: { what: `${COUNT} × fs.writeSync, ${SIZE} B`, values: values.raw ?? [] },
        ...(io === 'mmap' ? { target: { of: 'value', is: '<', than: 1 } } : {}),
      }),
    );
  },
};
