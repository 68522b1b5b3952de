/** A persistent actor of nact: it counts, its system ends, and in the next life it goes on where it was. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configurePersistence, dispatch, query, spawnPersistent, start, stop } from 'nact';
import { VarvePersistenceEngine } from 'varve/nact';

/** @typedef {{ kind: 'add', amount: number } | { kind: 'ask', sender: import('nact').Ref<number> }} Message */

const directory = await mkdtemp(join(tmpdir(), 'varve-nact-counter-'));
let replayed = 0;

/** @param {import('nact').ActorSystemRef} system */
const spawnCounter = (system) =>
  spawnPersistent(
    system,
    async (/** @type {number} */ total, /** @type {Message} */ message, /** @type {any} */ ctx) => {
      if (message.kind === 'ask') {
        dispatch(message.sender, total);
        return total;
      }
      if (ctx.recovering) replayed++;
      else await ctx.persist(message); // resolves when it is durable
      return total + message.amount;
    },
    'counter', // what its events are found by in the next life
    'counter',
    { initialState: 0, snapshotEvery: 20 },
  );

/**
 * One life of the actor system: adds 1 so many times.
 *
 * @param {number} times
 * @returns {Promise<number>} What the counter is at then.
 */
async function live(times) {
  const engine = new VarvePersistenceEngine({ directory });
  const system = start(configurePersistence(engine)); // the line that makes it persist to Varve
  const counter = spawnCounter(system);
  for (let i = 0; i < times; i++) dispatch(counter, { kind: 'add', amount: 1 });
  const asking = query(counter, (/** @type {any} */ sender) => ({ kind: 'ask', sender }), 60_000);
  const total = /** @type {number} */ (await asking);
  stop(system);
  await engine.close();
  return total;
}

console.log(`after the first life: ${await live(25)}`);
const total = await live(5);
if (total !== 30 || replayed !== 5) throw new Error(`at ${total}, ${replayed} replayed`);
console.log(`the counter is at ${total}, and was replayed from ${25 - replayed} on`);

await rm(directory, { recursive: true });
