import { checked, closeLogs, defaultLog, frameBytes, makePayload, makeRoom, openLogs, SEGMENT_SIZE } from '../logs.js';
import { mean, quantile } from '../measure.js';
import { DURABILITY, makeRow, rowsAgainst } from '../rows.js';
import { RawFile } from '../workspace.js';

const SIZE = 128;
const RAW = 'fs.writeSync + fs.fdatasyncSync';
/** Until the code is compiled, which takes it some thousand turns of the event loop. */
const WARM_UP_ROUNDS = 40;
const PEER_WARM_UP_ROUNDS = 3;
/** Of a peer that takes milliseconds, fewer. */
const SLOW_PEER_OPS = 20;

/** Milliseconds of each operation, round by round. */
class Latencies {
  /** @type {Float64Array[]} */
  rounds = [];

  /** @param {number} ops */
  begin(ops) {
    const round = new Float64Array(ops);
    this.rounds.push(round);
    return round;
  }

  /** The statistic of each round, in µs, and of all operations. @param {(values: Float64Array) => number} statistic */
  summarize(statistic) {
    const values = this.rounds.map((round) => statistic(round) * 1000);
    const all = new Float64Array(this.rounds.reduce((sum, round) => sum + round.length, 0));
    let at = 0;
    for (const round of this.rounds) {
      all.set(round, at);
      at += round.length;
    }
    return { values, overall: statistic(all) * 1000 };
  }
}

/** @type {import('../groups.js').Group} */
export const group = {
  title: 'One waiter, one record, durable',
  method:
    `${SIZE} B, each operation awaited before the next. Against fs.writeSync and fs.fdatasyncSync, on the calling ` +
    'thread, of the same bytes in a file that is preallocated in the same way, and against the durable append of each ' +
    'peer. A round: 200 of the one in a row, then 200 of the other, and which of them begins changes with each round.',
  charts: [
    {
      name: 'durable',
      title: 'One waiter, one record of 128 B, durable: mean (lower is better)',
      unit: 'µs',
      logarithmic: true,
      bars: [
        {
          label: '',
          rows: [
            'durable-mean-mmap',
            ...['sqlite', 'lmdb', 'classic-level', 'rocksdb', 'sonic-boom', 'event-storage'].map(
              (id) => `durable-mean-vs-${id}`,
            ),
          ],
        },
      ],
    },
  ],
  async run({ quick, rounds, workspace, progress, peers }) {
    const ops = quick ? 20 : 200;
    const payload = makePayload(SIZE);
    const logs = await openLogs(workspace);
    const raw = new RawFile(workspace, SEGMENT_SIZE);
    const stores = await peers.open(
      ['sqlite', 'lmdb', 'classic-level', 'sonic-boom', 'event-storage', 'rocksdb'],
      workspace,
      'durable',
    );
    const syncRaw = () => {
      raw.write(payload);
      raw.sync();
    };
    // One back end after the other: a process uses one of them, and code that serves both is slower.
    const races = [
      ...logs.map((opened) => ({ opened, store: undefined, warmUp: quick ? 2 : WARM_UP_ROUNDS, peerOps: ops })),
      ...stores.map((store) => ({
        opened: defaultLog(logs),
        store,
        warmUp: PEER_WARM_UP_ROUNDS,
        peerOps: store.id === 'rocksdb' ? Math.min(ops, SLOW_PEER_OPS) : ops,
      })),
    ].map((race) => ({ ...race, ours: new Latencies(), theirs: new Latencies() }));

    for (const { opened, store, warmUp, peerOps, ours, theirs } of races) {
      for (let round = -warmUp; round < rounds; round++) {
        progress(
          `io ${opened.io}, ${store?.name ?? RAW}, ${round < 0 ? 'warm-up' : `round ${round + 1} of ${rounds}`}`,
        );
        if (round === 0) [ours.rounds, theirs.rounds] = [[], []];
        const { partition } = opened;
        await makeRoom(opened, ops * frameBytes(SIZE));
        await raw.makeRoom(ops * SIZE);
        const mine = ours.begin(ops);
        const peers = theirs.begin(peerOps);
        const timeOurs = async () => {
          for (let i = 0; i < ops; i++) {
            const started = performance.now();
            await partition.append(payload);
            mine[i] = performance.now() - started;
          }
        };
        const timeTheirs = async () => {
          for (let i = 0; i < peerOps; i++) {
            const started = performance.now();
            if (store === undefined) syncRaw();
            else await store.append(payload);
            peers[i] = performance.now() - started;
          }
        };
        await checked(partition, ops, async () => {
          if (round % 2 === 0) await timeOurs();
          await timeTheirs();
          if (round % 2 !== 0) await timeOurs();
          return 0;
        });
      }
    }
    for (const { close } of stores) await close();
    await closeLogs(logs);
    raw.close();

    const statistics = {
      mean,
      p50: (/** @type {Float64Array} */ values) => quantile(values, 0.5),
      p99: (/** @type {Float64Array} */ values) => quantile(values, 0.99),
    };
    return races.flatMap(({ opened: { io }, store, ours, theirs }) => {
      const shape = { durability: DURABILITY.durable, unit: /** @type {const} */ ('µs') };
      if (store !== undefined) {
        const { id, name, durability } = store;
        return rowsAgainst(
          {
            ...shape,
            id: 'durable-mean',
            what: 'await append, durable: mean',
            statistic: 'mean of all operations',
            ...ours.summarize(mean),
          },
          [{ id, name, durability, ...theirs.summarize(mean) }],
        );
      }
      return Object.entries(statistics).map(([name, statistic]) =>
        makeRow({
          ...shape,
          id: `durable-${name}-${io}`,
          what: `await append, durable, io ${io}: ${name}`,
          statistic: `${name} of all operations`,
          ...ours.summarize(statistic),
          peer: { what: RAW, ...theirs.summarize(statistic) },
        }),
      );
    });
  },
};
