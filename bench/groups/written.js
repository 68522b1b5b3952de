import {
  checked,
  closeLogs,
  defaultLog,
  frameBytes,
  KIB,
  MIB,
  makePayload,
  makeRoom,
  openLogs,
  SEGMENT_SIZE,
} from '../logs.js';
import { interleave } from '../measure.js';
import { DURABILITY, makeRow, rowsAgainst } from '../rows.js';
import { RawFile } from '../workspace.js';

/** The first is the record of 3 + 5 bytes. */
const SIZES = [
  { size: 8, count: 20_000, peerCount: 400 },
  { size: 128, count: 20_000, peerCount: 400 },
  { size: KIB, count: 10_000, peerCount: 400 },
  { size: 64 * KIB, count: 200, peerCount: 50 },
];
const COPIED = 32 * MIB;

/** @param {number} size */
const named = (size) => (size < KIB ? `${size} B` : `${size / KIB} KiB`);

/** @type {import('../groups.js').Group} */
export const group = {
  title: 'One record, not synced',
  method:
    'A round: so many operations, one after the other; per operation. Against fs.writeSync of the same bytes, at ascending ' +
    'positions of a file that is preallocated in the same way, and against copying the bytes in memory, with nothing ' +
    'around them. All sync after the timed part. No timed part meets the end of a segment (64 MiB). Peers are compared ' +
    'with the io that is the default here.',
  charts: [
    {
      name: 'written',
      title: 'One record of 128 B, written, not synced (lower is better)',
      unit: 'µs',
      logarithmic: true,
      bars: [
        {
          label: '',
          rows: [
            'append-128-mmap',
            ...['sqlite', 'lmdb', 'classic-level', 'rocksdb', 'sonic-boom', 'event-storage'].map(
              (id) => `append-128-vs-${id}`,
            ),
          ],
        },
      ],
    },
  ],
  async run({ quick, rounds, workspace, progress, peers }) {
    const logs = await openLogs(workspace);
    const raw = new RawFile(workspace, SEGMENT_SIZE);
    const copied = new Uint8Array(COPIED);
    const stores = await peers.open(
      ['sqlite', 'lmdb', 'classic-level', 'rocksdb', 'sonic-boom', 'event-storage'],
      workspace,
      'written',
    );
    const rows = [];
    for (const { size, ...counts } of SIZES) {
      const count = quick ? counts.count / 20 : counts.count;
      const peerCount = quick ? 10 : counts.peerCount;
      const payload = makePayload(size);
      const perOperation = (/** @type {number} */ started, /** @type {number} */ operations) =>
        ((performance.now() - started) * 1000) / operations;
      /** @type {Record<string, () => Promise<number>>} */
      const contestants = {
        async raw() {
          await raw.makeRoom(count * size);
          const started = performance.now();
          for (let i = 0; i < count; i++) raw.write(payload);
          const took = perOperation(started, count);
          raw.sync();
          return took;
        },
        async copy() {
          const started = performance.now();
          for (let i = 0, at = 0; i < count; i++, at += size) copied.set(payload, at);
          return perOperation(started, count);
        },
      };
      for (const opened of logs) {
        const { io, partition } = opened;
        contestants[`append ${io}`] = async () => {
          await makeRoom(opened, count * frameBytes(size));
          return checked(partition, count, async () => {
            const started = performance.now();
            for (let i = 0; i < count; i++) await partition.append(payload, { ack: 'written' });
            return perOperation(started, count);
          });
        };
        contestants[`write ${io}`] = async () => {
          await makeRoom(opened, count * frameBytes(size));
          return checked(partition, count, async () => {
            const started = performance.now();
            for (let i = 0; i < count; i++) partition.write(payload);
            await undefined; // the last frame is handed over when the turn ends
            return perOperation(started, count);
          });
        };
      }
      for (const { id, append } of stores) {
        contestants[id] = async () => {
          const started = performance.now();
          for (let i = 0; i < peerCount; i++) await append(payload);
          return perOperation(started, peerCount);
        };
      }
      const tell = (/** @type {string} */ text) => progress(`${named(size)}: ${text}`);
      const values = await interleave({ rounds, contestants, progress: tell });
      const of = (/** @type {string} */ name) => values[name] ?? [];

      for (const { io } of logs) {
        const append = {
          id: `append-${size}-${io}`,
          what: `await append, written, ${named(size)}, io ${io}`,
          durability: DURABILITY.written,
          unit: /** @type {const} */ ('µs'),
          values: of(`append ${io}`),
        };
        const peer = { what: 'fs.writeSync', values: of('raw') };
        rows.push(makeRow({ ...append, peer }));
        if (io === defaultLog(logs).io) {
          const copy = { id: 'copy', name: 'memory copy', durability: 'none', values: of('copy') };
          const opponents = stores.map(({ id, name, durability }) => ({ id, name, durability, values: of(id) }));
          rows.push(...rowsAgainst({ ...append, id: `append-${size}` }, [copy, ...opponents]));
        }
        rows.push(
          makeRow({
            ...append,
            id: `write-${size}-${io}`,
            what: `write, ${named(size)}, io ${io}`,
            durability: DURABILITY.handedOver,
            values: of(`write ${io}`),
            peer,
          }),
        );
      }
    }
    for (const { close } of stores) await close();
    await closeLogs(logs);
    raw.close();
    return rows;
  },
};
