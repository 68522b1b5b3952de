import { checked, closeLogs, frameBytes, makePayload, makeRoom, openLogs, SEGMENT_SIZE } from '../logs.js';
import { interleave } from '../measure.js';
import { DURABILITY, makeRow } from '../rows.js';
import { RawFile } from '../workspace.js';

const SIZE = 8;
const PEER = `fs.writeSync, ${SIZE} B`;

/** @type {import('../groups.js').Group} */
export const written = {
  name: 'written',
  title: 'One small record, not synced',
  method:
    `A round: so many operations on ${SIZE} bytes, one after the other; per operation. Against fs.writeSync of the same ` +
    'bytes, at ascending positions of a file that is preallocated in the same way. Both sync after the timed part. No ' +
    'timed part meets the end of a segment (64 MiB).',
  async run({ quick, rounds, workspace, progress }) {
    const count = quick ? 2_000 : 20_000;
    const payload = makePayload(SIZE);
    const logs = await openLogs(workspace);
    const raw = new RawFile(workspace, SEGMENT_SIZE);
    /** @type {Record<string, () => Promise<number>>} */
    const contestants = {
      async raw() {
        await raw.makeRoom(count * SIZE);
        const started = performance.now();
        for (let i = 0; i < count; i++) raw.write(payload);
        const took = performance.now() - started;
        raw.sync();
        return (took * 1000) / count;
      },
    };
    for (const opened of logs) {
      const { io, partition } = opened;
      contestants[`append ${io}`] = async () => {
        await makeRoom(opened, count * frameBytes(SIZE));
        return checked(partition, count, async () => {
          const started = performance.now();
          for (let i = 0; i < count; i++) await partition.append(payload, { ack: 'written' });
          return ((performance.now() - started) * 1000) / count;
        });
      };
      contestants[`write ${io}`] = async () => {
        await makeRoom(opened, count * frameBytes(SIZE));
        return checked(partition, count, async () => {
          const started = performance.now();
          for (let i = 0; i < count; i++) partition.write(payload);
          await undefined; // the last frame is handed over when the turn ends
          return ((performance.now() - started) * 1000) / count;
        });
      };
    }
    const values = await interleave({ rounds, contestants, progress });
    await closeLogs(logs);
    raw.close();

    return logs.flatMap(({ io }) => {
      const peer = { what: PEER, values: values.raw ?? [] };
      const row = (/** @type {string} */ call, /** @type {string} */ durability, /** @type {number} */ than) =>
        makeRow({
          id: `${call}-8-${io}`,
          what: call === 'append' ? `await append, written, io ${io}` : `write, io ${io}`,
          durability,
          unit: 'µs',
          values: values[`${call} ${io}`] ?? [],
          peer,
          ...(io === 'mmap' ? { target: { of: 'ratio', is: '≤', than } } : {}),
        });
      return [row('append', DURABILITY.written, 0.5), row('write', DURABILITY.handedOver, 0.2)];
    });
  },
};
