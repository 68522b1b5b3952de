import { checked, closeLogs, defaultLog, frameBytes, KIB, makePayload, makeRoom, openLogs } from '../logs.js';
import { interleave, quantile } from '../measure.js';
import { DURABILITY, makeRow, rowsAgainst } from '../rows.js';

const SIZE = 128;
/** Waiters, and appends of each in a round. */
const CROWDS = [
  { waiters: 1, appends: 300 },
  { waiters: 16, appends: 200 },
  { waiters: 64, appends: 150 },
  { waiters: 256, appends: 100 },
  { waiters: 1024, appends: 60 },
];
/** Records of other sizes are appended by so many. */
const SIZED_WAITERS = 64;
const SIZES = [
  { size: 8, appends: 150 },
  { size: KIB, appends: 100 },
  { size: 64 * KIB, appends: 3 },
];
/** Appends of all waiters in a round: peers that take long for them make fewer. */
const PEER_BUDGET = { lmdb: 20_480, 'classic-level': 250, 'sonic-boom': 1000, 'event-storage': 1000 };
/** It commits on the calling thread, one row after the other: however many wait, the rate is that of one. */
const SQLITE_COMMITS = 100;
const PERCENTILES = [0.5, 0.99, 0.999];

/**
 * So many waiters, each of which appends, awaits, and appends again. Appends per second of all.
 *
 * @param {number} waiters
 * @param {number} appends of each
 * @param {() => unknown} append
 */
async function crowd(waiters, appends, append) {
  const waiter = async () => {
    for (let i = 0; i < appends; i++) await append();
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: waiters }, waiter));
  return (waiters * appends * 1000) / (performance.now() - started);
}

/** @param {number} waiters */
const named = (waiters) => `${waiters.toLocaleString('en-US')} ${waiters === 1 ? 'waiter' : 'waiters'}`;

/** @type {import('../groups.js').Group} */
export const group = {
  title: 'Many waiters, durable',
  method:
    `So many waiters, each of which appends ${SIZE} B, awaits that it is durable, and appends again: appends per second ` +
    'of all. Against one waiter of the same log, in the same round, and against peers, which are appended to in the same ' +
    'way; SQLite commits row by row on the calling thread, so its rate is that of one waiter. Latencies are taken in ' +
    `rounds of their own, since looking at the clock costs; they are of all appends of all rounds. Other sizes: ${SIZED_WAITERS} waiters.`,
  charts: [
    {
      name: 'waiters',
      title: 'Durable appends of 128 B per second (higher is better)',
      unit: '/s',
      logarithmic: true,
      bars: [1, 64, 1024].map((waiters) => ({
        label: named(waiters),
        rows: ['sqlite', 'lmdb', 'classic-level', 'sonic-boom', 'event-storage'].map(
          (id) => `waiters-${waiters}-vs-${id}`,
        ),
      })),
    },
  ],
  async run({ quick, rounds, longRounds, workspace, progress, peers }) {
    const payload = makePayload(SIZE);
    const logs = await openLogs(workspace);
    const ours = defaultLog(logs);
    const [sqlite] = await peers.open(['sqlite'], workspace, 'durable');
    const stores = await peers.open(['lmdb', 'classic-level', 'sonic-boom', 'event-storage'], workspace, 'durable');
    const lmdb = stores.find(({ id }) => id === 'lmdb');
    const short = (/** @type {number} */ appends) => (quick ? Math.ceil(appends / 20) : appends);
    /** @param {import('../logs.js').OpenedLog} opened @param {number} waiters @param {number} appends @param {Uint8Array} bytes */
    const ourCrowd = async (opened, waiters, appends, bytes) => {
      const all = waiters * appends;
      await makeRoom(opened, all * frameBytes(bytes.length));
      return checked(opened.partition, all, () => crowd(waiters, appends, () => opened.partition.append(bytes)));
    };

    /** @type {Record<string, () => Promise<number>>} */
    const contestants = {};
    for (const { waiters, ...each } of CROWDS) {
      const appends = short(each.appends);
      for (const opened of logs)
        contestants[`${opened.io} ${waiters}`] = () => ourCrowd(opened, waiters, appends, payload);
      for (const { id, append } of stores) {
        const budget = PEER_BUDGET[/** @type {keyof typeof PEER_BUDGET} */ (id)];
        const most = Math.max(1, Math.min(appends, Math.floor(budget / waiters)));
        contestants[`${id} ${waiters}`] = () => crowd(waiters, most, () => append(payload));
      }
    }
    for (const { size, ...each } of SIZES) {
      const appends = short(each.appends);
      const bytes = makePayload(size);
      contestants[`sized ${size}`] = () => ourCrowd(ours, SIZED_WAITERS, appends, bytes);
      if (lmdb !== undefined)
        contestants[`lmdb sized ${size}`] = () => crowd(SIZED_WAITERS, appends, () => lmdb.append(bytes));
    }
    if (sqlite !== undefined) contestants.sqlite = () => crowd(1, short(SQLITE_COMMITS), () => sqlite.append(payload));
    const values = await interleave({ rounds, contestants, progress });

    const latencies = await measureLatencies();
    async function measureLatencies() {
      /** @type {Map<string, { rounds: number[][], all: number[] }>} */
      const measured = new Map();
      /** @type {Record<string, (round: number) => Promise<number>>} */
      const timed = {};
      for (const { waiters, ...each } of CROWDS) {
        const appends = short(each.appends);
        const race = (/** @type {string} */ name, /** @type {() => unknown} */ append) => {
          const result = {
            rounds: PERCENTILES.map(() => /** @type {number[]} */ ([])),
            all: /** @type {number[]} */ ([]),
          };
          measured.set(`${name} ${waiters}`, result);
          timed[`${name} ${waiters}`] = async (round) => {
            if (name === 'ours') await makeRoom(ours, waiters * appends * frameBytes(SIZE));
            /** @type {number[]} */
            const took = [];
            await crowd(waiters, appends, async () => {
              const started = performance.now();
              await append();
              took.push((performance.now() - started) * 1000);
            });
            if (round < 0) return 0;
            for (const [i, q] of PERCENTILES.entries()) result.rounds[i]?.push(quantile(took, q));
            for (const value of took) result.all.push(value);
            return 0;
          };
        };
        race('ours', () => ours.partition.append(payload));
        if (lmdb !== undefined) race('lmdb', () => lmdb.append(payload));
      }
      await interleave({ rounds: longRounds, contestants: timed, progress: (text) => progress(`latencies, ${text}`) });
      return measured;
    }
    for (const { close } of [...stores, ...(sqlite === undefined ? [] : [sqlite])]) await close();
    await closeLogs(logs);

    const of = (/** @type {string} */ name) => values[name] ?? [];
    const shape = { durability: DURABILITY.durable, unit: /** @type {const} */ ('/s') };
    const crowds = logs.flatMap(({ io }) =>
      CROWDS.map(({ waiters }) =>
        makeRow({
          ...shape,
          id: `waiters-${waiters}-${io}`,
          what: `${named(waiters)}, io ${io}`,
          values: of(`${io} ${waiters}`),
          ...(waiters === 1 ? {} : { peer: { what: 'one waiter', values: of(`${io} 1`) } }),
        }),
      ),
    );
    const against = CROWDS.flatMap(({ waiters }) =>
      rowsAgainst(
        { ...shape, id: `waiters-${waiters}`, what: named(waiters), values: of(`${ours.io} ${waiters}`) },
        [...(sqlite === undefined ? [] : [sqlite]), ...stores].map(({ id, name, durability }) => ({
          id,
          name: id === 'sqlite' ? `${name}, single rows` : name,
          durability,
          values: of(id === 'sqlite' ? id : `${id} ${waiters}`),
        })),
      ),
    );
    const sized = SIZES.map(({ size }) =>
      makeRow({
        ...shape,
        id: `waiters-${SIZED_WAITERS}-of-${size}`,
        what: `${named(SIZED_WAITERS)}, ${size < KIB ? `${size} B` : `${size / KIB} KiB`}`,
        values: of(`sized ${size}`),
        ...(lmdb === undefined
          ? {}
          : { peer: { what: lmdb.name, durability: lmdb.durability, values: of(`lmdb sized ${size}`) } }),
      }),
    );
    const waits = CROWDS.flatMap(({ waiters }) =>
      PERCENTILES.map((q, i) => {
        const summarize = (/** @type {string} */ name) => {
          const result = latencies.get(`${name} ${waiters}`);
          return result && { values: result.rounds[i] ?? [], overall: quantile(result.all, q) };
        };
        const theirs = summarize('lmdb');
        return makeRow({
          id: `latency-${waiters}-p${q * 100}`,
          what: `${named(waiters)}: latency p${q * 100}`,
          durability: DURABILITY.durable,
          statistic: 'of all appends',
          unit: 'µs',
          .../** @type {{ values: number[], overall: number }} */ (summarize('ours')),
          ...(lmdb === undefined || theirs === undefined
            ? {}
            : { peer: { what: lmdb.name, durability: lmdb.durability, ...theirs } }),
        });
      }),
    );
    return [...crowds, ...against, ...sized, ...waits];
  },
};
