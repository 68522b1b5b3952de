import fs from 'node:fs';
import path from 'node:path';
import { assign, createActor, createMachine } from 'xstate';
import { check, interleave } from '../measure.js';
import { DURABILITY, makeRow } from '../rows.js';
import { createActorHost, openEventStore } from '../varve.js';

const SENDERS = 1_024;
/** Events of an actor that is woken: those behind its snapshot, and all. */
const TAIL = 100;
const SNAPSHOT_EVERY = 101;

const machine = createMachine({
  types: /** @type {{ context: { n: number }, events: { type: 'INC' } }} */ ({}),
  context: { n: 0 },
  on: { INC: { actions: assign({ n: ({ context }) => context.n + 1 }) } },
});

/** @param {() => unknown} work @returns {Promise<number>} bytes of heap that it has left in use */
async function heapOf(work) {
  const collect = /** @type {() => void} */ (globalThis.gc);
  collect();
  const before = process.memoryUsage().heapUsed;
  const kept = await work();
  collect();
  const used = process.memoryUsage().heapUsed - before;
  check(kept !== undefined, 'nothing was kept');
  return used;
}

/** @type {import('../groups.js').Group} */
export const group = {
  title: 'Durable XState actors',
  method:
    `A counter as a statechart. Events: ${SENDERS.toLocaleString('en-US')} senders send to 10,000 actors, in turn, each ` +
    'awaiting that its event is durable before the next; events per second of all. Against plain XState actors whose ' +
    'getPersistedSnapshot() is written as JSON into a file of their own and synced after each event, one after the other. ' +
    `Waking: an actor that is not in memory, from its snapshot and ${TAIL} events behind it; its events are in the page ` +
    'cache. Heap: of actors that are in memory, after garbage collection, by their number; against plain XState actors.',
  async run({ quick, rounds, workspace, progress }) {
    const actors = quick ? 200 : 10_000;
    const sends = quick ? 1_024 : 40_960;
    const saved = quick ? 5 : 100;
    const woken = quick ? 2 : 20;

    const store = await openEventStore({ directory: workspace.makeDirectory() });
    const machines = { counter: { machine, snapshotEvery: SNAPSHOT_EVERY } };
    const host = await createActorHost({ store, machines });
    const handles = await Promise.all(Array.from({ length: actors }, (_, i) => host.actor('counter', `a-${i}`)));
    let sent = 0;
    const files = workspace.makeDirectory();
    const plain = Array.from({ length: 100 }, () => createActor(machine).start());
    let saves = 0;
    const values = await interleave({
      rounds,
      progress,
      contestants: {
        durable: async () => {
          const each = sends / SENDERS;
          const started = performance.now();
          await Promise.all(
            Array.from({ length: SENDERS }, async () => {
              for (let i = 0; i < each; i++) await handles[sent++ % actors]?.send({ type: 'INC' });
            }),
          );
          return (sends * 1000) / (performance.now() - started);
        },
        file: async () => {
          const started = performance.now();
          for (let i = 0; i < saved; i++) {
            const at = saves++ % plain.length;
            const actor = plain[at];
            actor?.send({ type: 'INC' });
            const fd = fs.openSync(path.join(files, `${at}.json`), 'w');
            fs.writeSync(fd, JSON.stringify(actor?.getPersistedSnapshot()));
            fs.fsyncSync(fd);
            fs.closeSync(fd);
          }
          return (saved * 1000) / (performance.now() - started);
        },
      },
    });
    check(host.stats().events >= sent, 'not all events were journalled');
    await host.shutdown();

    const wakings = [];
    for (let round = 0; round < rounds; round++) {
      progress(`waking, round ${round + 1} of ${rounds}`);
      const ids = Array.from({ length: woken }, (_, i) => `w-${round}-${i}`);
      const before = await createActorHost({ store, machines });
      await Promise.all(
        ids.map(async (id) => {
          const actor = await before.actor('counter', id);
          await Promise.all(Array.from({ length: SNAPSHOT_EVERY + TAIL }, () => actor.send({ type: 'INC' })));
        }),
      );
      await before.shutdown({ snapshots: false });
      const after = await createActorHost({ store, machines });
      const started = performance.now();
      for (const id of ids) {
        const actor = await after.actor('counter', id);
        check(actor.getSnapshot().context.n === SNAPSHOT_EVERY + TAIL, 'an actor woke up in another state');
      }
      wakings.push(((performance.now() - started) * 1000) / woken);
      await after.shutdown({ snapshots: false });
    }

    const heaps = [];
    const plainHeaps = [];
    for (let round = 0; round < (quick ? 1 : 3); round++) {
      progress(`heap, round ${round + 1}`);
      const living = await createActorHost({ store, machines });
      const used = await heapOf(() =>
        Promise.all(Array.from({ length: actors }, (_, i) => living.actor('counter', `a-${i}`))),
      );
      heaps.push(used / actors / 1024);
      await living.shutdown({ snapshots: false });
      const plainUsed = await heapOf(() => Array.from({ length: actors }, () => createActor(machine).start()));
      plainHeaps.push(plainUsed / actors / 1024);
    }
    await store.close();

    return [
      makeRow({
        id: 'actors-events',
        what: `events of ${SENDERS.toLocaleString('en-US')} senders`,
        durability: DURABILITY.durable,
        unit: '/s',
        values: values.durable ?? [],
        peer: { what: 'getPersistedSnapshot() into a file, fsync', values: values.file ?? [] },
      }),
      makeRow({ id: 'actors-waking', what: 'waking', durability: DURABILITY.read, unit: 'µs', values: wakings }),
      makeRow({
        id: 'actors-heap',
        what: 'heap of an actor in memory',
        durability: DURABILITY.none,
        unit: 'KiB',
        values: heaps,
        peer: { what: 'plain XState', values: plainHeaps },
      }),
    ];
  },
};
