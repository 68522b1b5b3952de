import { checked, closeLogs, frameBytes, makePayload, makeRoom, openLogs, SEGMENT_SIZE } from '../logs.js';
import { interleave } from '../measure.js';
import { DURABILITY, makeRow } from '../rows.js';
import { RawFile } from '../workspace.js';

const SIZE = 128;
const BATCHES = [10, 100, 1000];

/** @type {import('../groups.js').Group} */
export const batches = {
  name: 'batches',
  title: 'Batches, durable',
  method:
    `appendBatch of records of ${SIZE} B, each batch awaited before the next: batches per second. Against one ` +
    'fs.writeSync of as many bytes and fs.fdatasyncSync for each batch, in a file that is preallocated in the same way.',
  async run({ quick, rounds, workspace, progress }) {
    const ops = quick ? 5 : 50;
    const payload = makePayload(SIZE);
    const logs = await openLogs(workspace);
    const raw = new RawFile(workspace, SEGMENT_SIZE);
    /** @type {Record<string, () => Promise<number>>} */
    const contestants = {};
    for (const records of BATCHES) {
      const payloads = Array.from({ length: records }, () => payload);
      const bytes = makePayload(records * SIZE);
      contestants[`raw ${records}`] = async () => {
        await raw.makeRoom(ops * bytes.length);
        const started = performance.now();
        for (let i = 0; i < ops; i++) {
          raw.write(bytes);
          raw.sync();
        }
        return (ops * 1000) / (performance.now() - started);
      };
      for (const opened of logs) {
        const { io, partition } = opened;
        contestants[`${io} ${records}`] = async () => {
          await makeRoom(opened, ops * records * frameBytes(SIZE));
          return checked(partition, ops * records, async () => {
            const started = performance.now();
            for (let i = 0; i < ops; i++) await partition.appendBatch(payloads);
            return (ops * 1000) / (performance.now() - started);
          });
        };
      }
    }
    const values = await interleave({ rounds, contestants, progress });
    await closeLogs(logs);
    raw.close();
    return logs.flatMap(({ io }) =>
      BATCHES.map((records) =>
        makeRow({
          id: `batch-${records}-${io}`,
          what: `appendBatch of ${records}, io ${io}`,
          durability: DURABILITY.durable,
          unit: '/s',
          values: values[`${io} ${records}`] ?? [],
          peer: { what: 'fs.writeSync + fs.fdatasyncSync', values: values[`raw ${records}`] ?? [] },
        }),
      ),
    );
  },
};
