import { checked, closeLogs, defaultLog, frameBytes, makePayload, makeRoom, openLogs, SEGMENT_SIZE } from '../logs.js';
import { interleave } from '../measure.js';
import { DURABILITY, makeRow, rowsAgainst } from '../rows.js';
import { RawFile } from '../workspace.js';

const SIZE = 128;
const BATCHES = [10, 100, 1000];
/** Some peers take long for large batches: of a round. */
const PEER_RECORDS = 5_000;

/** @type {import('../groups.js').Group} */
export const group = {
  title: 'Batches, durable',
  method:
    `appendBatch of records of ${SIZE} B, each batch awaited before the next: batches per second. Against one ` +
    'fs.writeSync of as many bytes and fs.fdatasyncSync for each batch, in a file that is preallocated in the same way, ' +
    'and against a transaction or batch of the peers.',
  charts: [
    {
      name: 'batches',
      title: 'Durable batches of 100 records of 128 B per second (higher is better)',
      unit: '/s',
      logarithmic: false,
      bars: [
        { label: '', rows: ['sqlite', 'lmdb', 'classic-level', 'event-storage'].map((id) => `batch-100-vs-${id}`) },
      ],
    },
  ],
  async run({ quick, rounds, workspace, progress, peers }) {
    const ops = quick ? 5 : 50;
    const payload = makePayload(SIZE);
    const logs = await openLogs(workspace);
    const raw = new RawFile(workspace, SEGMENT_SIZE);
    const stores = await peers.open(['sqlite', 'lmdb', 'classic-level', 'event-storage'], workspace, 'durable');
    /** @type {Record<string, () => Promise<number>>} */
    const contestants = {};
    for (const records of BATCHES) {
      const payloads = Array.from({ length: records }, () => payload);
      const bytes = makePayload(records * SIZE);
      const peerOps = quick ? 2 : Math.min(20, PEER_RECORDS / records);
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
      for (const { id, appendBatch } of stores) {
        contestants[`${id} ${records}`] = async () => {
          const started = performance.now();
          for (let i = 0; i < peerOps; i++) await appendBatch?.(payloads);
          return (peerOps * 1000) / (performance.now() - started);
        };
      }
    }
    const values = await interleave({ rounds, contestants, progress });
    for (const { close } of stores) await close();
    await closeLogs(logs);
    raw.close();
    const of = (/** @type {string} */ name) => values[name] ?? [];
    const shape = { durability: DURABILITY.durable, unit: /** @type {const} */ ('/s') };
    return [
      ...logs.flatMap(({ io }) =>
        BATCHES.map((records) =>
          makeRow({
            ...shape,
            id: `batch-${records}-${io}`,
            what: `appendBatch of ${records}, io ${io}`,
            values: of(`${io} ${records}`),
            peer: { what: 'fs.writeSync + fs.fdatasyncSync', values: of(`raw ${records}`) },
          }),
        ),
      ),
      ...BATCHES.flatMap((records) =>
        rowsAgainst(
          {
            ...shape,
            id: `batch-${records}`,
            what: `appendBatch of ${records}`,
            values: of(`${defaultLog(logs).io} ${records}`),
          },
          stores.map(({ id, name, durability }) => ({ id, name, durability, values: of(`${id} ${records}`) })),
        ),
      ),
    ];
  },
};
