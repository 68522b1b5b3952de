import { checked, closeLogs, defaultLog, frameBytes, makePayload, makeRoom, openLogs, SEGMENT_SIZE } from '../logs.js';
import { interleave } from '../measure.js';
import { DURABILITY, makeRow, rowsAgainst } from '../rows.js';
import { RawFile } from '../workspace.js';

const COUNT = 1_000;
/** A key of 9 bytes and a value of 56. */
const SIZE = 65;
/** A thousand take less than a millisecond: a round is the mean of some. */
const REPEATS = 10;
/** Single records that are synced in a round. */
const SYNCED = 50;

/** @type {import('../groups.js').Group} */
export const group = {
  title: `${COUNT.toLocaleString('en-US')} records of ${SIZE} B, appended one by one`,
  method:
    `Records of 9 + 56 B, one frame each. Not synced: a round is ${REPEATS} times ${COUNT} appends, each awaited before ` +
    `the next; the time of ${COUNT}; all sync after the timed part. One sync: ${COUNT} such appends and then one sync ` +
    'within the timed part. One record and a sync: append, written, and sync, awaited before the next. Against ' +
    'fs.writeSync (and fs.fdatasyncSync where there is a sync) of the same bytes into a file that is preallocated in the ' +
    'same way. For orientation: a log in Rust has published 6.79 ms for the first, on another machine.',
  async run({ quick, rounds, workspace, progress, peers }) {
    const payload = makePayload(SIZE);
    const all = COUNT * REPEATS;
    const synced = quick ? 5 : SYNCED;
    const logs = await openLogs(workspace);
    const raw = new RawFile(workspace, SEGMENT_SIZE);
    const stores = await peers.open(
      ['sqlite', 'lmdb', 'classic-level', 'rocksdb', 'sonic-boom', 'event-storage'],
      workspace,
      'written',
    );
    const writeRaw = (/** @type {number} */ count) => {
      for (let i = 0; i < count; i++) raw.write(payload);
    };
    /** @type {Record<string, () => Promise<number>>} */
    const contestants = {
      async raw() {
        await raw.makeRoom(all * SIZE);
        const started = performance.now();
        writeRaw(all);
        const took = performance.now() - started;
        raw.sync();
        return took / REPEATS;
      },
      async 'raw one sync'() {
        await raw.makeRoom(COUNT * SIZE);
        const started = performance.now();
        writeRaw(COUNT);
        raw.sync();
        return performance.now() - started;
      },
      async 'raw each sync'() {
        await raw.makeRoom(synced * SIZE);
        const started = performance.now();
        for (let i = 0; i < synced; i++) {
          raw.write(payload);
          raw.sync();
        }
        return (performance.now() - started) / synced;
      },
    };
    for (const opened of logs) {
      const { io, partition } = opened;
      const append = async (/** @type {number} */ count) => {
        for (let i = 0; i < count; i++) await partition.append(payload, { ack: 'written' });
      };
      const timed = async (/** @type {number} */ records, /** @type {() => Promise<void>} */ work) => {
        await makeRoom(opened, records * frameBytes(SIZE));
        return checked(partition, records, async () => {
          const started = performance.now();
          await work();
          return performance.now() - started;
        });
      };
      contestants[io] = async () => (await timed(all, () => append(all))) / REPEATS;
      contestants[`${io} one sync`] = () =>
        timed(COUNT, async () => {
          await append(COUNT);
          await partition.sync();
        });
      contestants[`${io} each sync`] = async () =>
        (await timed(synced, async () => {
          for (let i = 0; i < synced; i++) {
            await append(1);
            await partition.sync();
          }
        })) / synced;
    }
    for (const { id, append } of stores) {
      contestants[id] = async () => {
        const started = performance.now();
        for (let i = 0; i < COUNT; i++) await append(payload);
        return performance.now() - started;
      };
    }
    const values = await interleave({ rounds, contestants, progress });
    for (const { close } of stores) await close();
    await closeLogs(logs);
    raw.close();

    const of = (/** @type {string} */ name) => values[name] ?? [];
    const rows = logs.flatMap(({ io }) => {
      const shape = { durability: DURABILITY.durable, unit: /** @type {const} */ ('ms') };
      return [
        makeRow({
          ...shape,
          id: `thousand-${io}`,
          what: `${COUNT} × await append, written, io ${io}`,
          durability: DURABILITY.written,
          values: of(io),
          peer: { what: `${COUNT} × fs.writeSync`, values: of('raw') },
        }),
        makeRow({
          ...shape,
          id: `thousand-one-sync-${io}`,
          what: `${COUNT} × await append, one sync, io ${io}`,
          values: of(`${io} one sync`),
          peer: { what: `${COUNT} × fs.writeSync, one fs.fdatasyncSync`, values: of('raw one sync') },
        }),
        makeRow({
          ...shape,
          id: `one-and-sync-${io}`,
          what: `one append and a sync, io ${io}`,
          values: of(`${io} each sync`),
          peer: { what: 'fs.writeSync + fs.fdatasyncSync', values: of('raw each sync') },
        }),
      ];
    });
    return [
      ...rows,
      ...rowsAgainst(
        {
          id: 'thousand',
          what: `${COUNT} × await append, written`,
          durability: DURABILITY.written,
          unit: 'ms',
          values: of(defaultLog(logs).io),
        },
        stores.map(({ id, name, durability }) => ({ id, name, durability, values: of(id) })),
      ),
    ];
  },
};
