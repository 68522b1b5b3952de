/** A hundred thousand small actors on one host: started, sent to, and gone from memory, all of them durable. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openEventStore } from 'varve';
import { createActorHost } from 'varve/xstate';
import { assign, createMachine } from 'xstate';

const { values } = parseArgs({ options: { count: { type: 'string', default: '100000' } } });
const count = Number(values.count);
/** So many wait for the disk at the same time; they share its syncs. */
const AT_ONCE = 1024;

const counterMachine = createMachine({
  types: /** @type {{ context: { n: number }, events: { type: 'INC' } }} */ ({}),
  context: { n: 0 },
  on: { INC: { actions: assign({ n: ({ context }) => context.n + 1 }) } },
});

const directory = await mkdtemp(join(tmpdir(), 'varve-xstate-many-'));
const store = await openEventStore({ directory });
// No more than a thousand are kept in memory; the others are in their journals.
const host = await createActorHost({ store, machines: { counter: counterMachine }, maxActive: AT_ONCE });

/** Does something for each actor, many side by side. */
async function forEach(/** @type {(id: string) => Promise<unknown>} */ work) {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(String(next++));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

await forEach(async (id) => (await host.actor('counter', id)).send({ type: 'INC' }));
await host.settled();
const { events, active } = host.stats();
console.log(`${events} events are durable, ${active <= AT_ONCE ? 'most actors have' : 'no actor has'} left memory`);

let sum = 0;
for (let id = 0; id < count; id += Math.ceil(count / 100)) {
  const counter = await host.actor('counter', String(id)); // woken from its journal
  sum += (await counter.send({ type: 'INC' })).context.n;
}
console.log(`a hundred of ${count} actors have counted to ${sum}`);
await host.shutdown();
await store.close();
await rm(directory, { recursive: true });
