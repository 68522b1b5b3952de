import { CROWDS, crowd, namedCrowd } from '../crowds.js';
import { checked, closeLogs, defaultLog, frameBytes, KIB, makePayload, makeRoom, openLogs } from '../logs.js';
import { interleave } from '../measure.js';
import { DURABILITY, makeRow, rowsAgainst } from '../rows.js';

const SIZE = 128;
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

/** @type {import('../groups.js').Group} */
export const group = {
  title: 'Many waiters, durable',
  method:
    `So many waiters, each of which appends ${SIZE} B, awaits that it is durable, and appends again: appends per second ` +
    'of all. Against one waiter of the same log, in the same round, and against peers, which are appended to in the same ' +
    'way; SQLite commits row by row on the calling thread, so its rate is that of one waiter. Other sizes: ' +
    `${SIZED_WAITERS} waiters.`,
  charts: [
    {
      name: 'waiters',
      title: 'Durable appends of 128 B per second (higher is better)',
      unit: '/s',
      logarithmic: true,
      bars: [1, 64, 1024].map((waiters) => ({
        label: namedCrowd(waiters),
        rows: ['sqlite', 'lmdb', 'classic-level', 'sonic-boom', 'event-storage'].map(
          (id) => `waiters-${waiters}-vs-${id}`,
        ),
      })),
    },
  ],
  async run({ quick, rounds, workspace, progress, peers }) {
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

    for (const { close } of [...stores, ...(sqlite === undefined ? [] : [sqlite])]) await close();
    await closeLogs(logs);

    const of = (/** @type {string} */ name) => values[name] ?? [];
    const shape = { durability: DURABILITY.durable, unit: /** @type {const} */ ('/s') };
    const crowds = logs.flatMap(({ io }) =>
      CROWDS.map(({ waiters }) =>
        makeRow({
          ...shape,
          id: `waiters-${waiters}-${io}`,
          what: `${namedCrowd(waiters)}, io ${io}`,
          values: of(`${io} ${waiters}`),
          ...(waiters === 1 ? {} : { peer: { what: 'one waiter', values: of(`${io} 1`) } }),
        }),
      ),
    );
    const against = CROWDS.flatMap(({ waiters }) =>
      rowsAgainst(
        { ...shape, id: `waiters-${waiters}`, what: namedCrowd(waiters), values: of(`${ours.io} ${waiters}`) },
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
        what: `${namedCrowd(SIZED_WAITERS)}, ${size < KIB ? `${size} B` : `${size / KIB} KiB`}`,
        values: of(`sized ${size}`),
        ...(lmdb === undefined
          ? {}
          : { peer: { what: lmdb.name, durability: lmdb.durability, values: of(`lmdb sized ${size}`) } }),
      }),
    );
    return [...crowds, ...against, ...sized];
  },
};
