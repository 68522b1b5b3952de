import { EVENT, streamName } from '../event-stores.js';
import { check, interleave } from '../measure.js';
import { DURABILITY, makeRow, rowsAgainst } from '../rows.js';
import { openEventStore } from '../varve.js';

const STREAMS = 10_000;
/** Writers, and appends of all of them in a round. */
const CROWDS = [
  { writers: 1, appends: 200 },
  { writers: 64, appends: 6_400 },
  { writers: 1024, appends: 30_720 },
];
const PEER_APPENDS = { 'sqlite-events': 100, 'emmett-sqlite': 20 };

/** @type {import('../groups.js').Group} */
export const group = {
  title: 'Event store: appending',
  method:
    `appendToStream of one event of 150 B of JSON, over ${STREAMS.toLocaleString('en-US')} streams: each writer appends, ` +
    'awaits that it is durable, and appends again, to the next stream; events per second of all. Against a table of ' +
    'SQLite with a unique (stream, revision), one event in a transaction, on the calling thread, and against ' +
    'emmett-sqlite, which takes one append at a time: their rates are those of one writer, however many there are.',
  charts: [
    {
      name: 'events',
      title: 'Durable events per second (higher is better)',
      unit: '/s',
      logarithmic: true,
      bars: CROWDS.map(({ writers }) => ({
        label: `${writers.toLocaleString('en-US')} ${writers === 1 ? 'writer' : 'writers'}`,
        rows: Object.keys(PEER_APPENDS).map((id) => `events-${writers}-vs-${id}`),
      })),
    },
  ],
  async run({ quick, rounds, workspace, progress, peers }) {
    const store = await openEventStore({ directory: workspace.makeDirectory() });
    let appended = 0;
    const append = () => store.appendToStream(streamName(appended++ % STREAMS), EVENT);
    /** @type {Record<string, () => Promise<number>>} */
    const contestants = {};
    for (const { writers, ...given } of CROWDS) {
      const each = Math.ceil((quick ? given.appends / 20 : given.appends) / writers);
      contestants[writers] = async () => {
        const before = appended;
        const started = performance.now();
        await Promise.all(
          Array.from({ length: writers }, async () => {
            for (let i = 0; i < each; i++) await append();
          }),
        );
        const took = performance.now() - started;
        check(appended === before + writers * each, 'not all events were appended');
        return (writers * each * 1000) / took;
      };
    }
    const opponents = [];
    for (const [id, given] of Object.entries(PEER_APPENDS)) {
      const peer = await peers.load(/** @type {keyof typeof PEER_APPENDS} */ (id));
      if (peer === undefined) continue;
      const events = await peer.openEvents(workspace.makeDirectory());
      const appends = quick ? 5 : given;
      let count = 0;
      opponents.push({ id, name: events.name, durability: events.durability, close: events.close });
      contestants[id] = async () => {
        const started = performance.now();
        for (let i = 0; i < appends; i++) await events.append(streamName(count++ % STREAMS), EVENT);
        return (appends * 1000) / (performance.now() - started);
      };
    }
    const values = await interleave({ rounds, contestants, progress });
    for (const { close } of opponents) close();
    await store.close();

    return CROWDS.flatMap(({ writers }) => {
      const row = {
        id: `events-${writers}`,
        what: `${writers.toLocaleString('en-US')} ${writers === 1 ? 'writer' : 'writers'}`,
        durability: DURABILITY.durable,
        unit: /** @type {const} */ ('/s'),
        values: values[writers] ?? [],
      };
      const against = opponents.map(({ id, name, durability }) => ({ id, name, durability, values: values[id] ?? [] }));
      return [makeRow(row), ...rowsAgainst(row, against)];
    });
  },
};
