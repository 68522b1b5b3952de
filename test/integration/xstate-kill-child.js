/**
 * Sends events to many durable actors until it is killed, and tells its parent of each before and after: the list of what
 * was acknowledged is kept outside of the process that dies. What is in the pipe survives it.
 *
 * Lines:  has {actor} {numbers} for each that was woken · ready {actors in memory} · try {actor} {n} · ack {actor} {n}
 * Arguments: directory, number of actors, first number.
 */
import { writeSync } from 'node:fs';
import { assign, createMachine } from 'xstate';
import { createActorHost } from '../../dist/adapter/xstate/index.js';
import { openEventStore } from '../../dist/index.js';

const [directory = '', actors = '100', first = '1'] = process.argv.slice(2);
const count = Number(actors);
let n = Number(first);
/**
 * Many lines are one write, which is done before anything else is.
 *
 * @param {string[]} lines
 */
const tell = (lines) => writeSync(1, `${lines.join('\n')}\n`);

const counter = createMachine({
  context: { seen: /** @type {number[]} */ ([]), effects: 0 },
  initial: 'even',
  states: {
    even: { on: { ADD: { target: 'odd', actions: 'add' } }, after: { 50: { actions: 'beat' } } },
    odd: { on: { ADD: { target: 'even', actions: 'add' } } },
  },
}).provide({
  actions: {
    add: assign({ seen: ({ context, event }) => [...context.seen, event.n] }),
    beat: assign({ effects: ({ context }) => context.effects + 1 }),
  },
});

const store = await openEventStore({ directory });
const host = await createActorHost({
  store,
  machines: { counter: { machine: counter, snapshotEvery: 7, hashEvery: 3 } },
});
const live = await Promise.all(Array.from({ length: count }, (_, i) => host.actor('counter', String(i))));
tell(live.map((actor, i) => `has ${i} ${actor.getSnapshot().context.seen.join()}`));
tell([`ready ${host.stats().active}`]);

/** @param {number} from @param {number} step */
async function user(from, step) {
  for (let i = from; ; i = (i + step) % count) {
    // One or several to one actor, on top of each other.
    const numbers = Array.from({ length: 1 + (n % 3) }, () => n++);
    tell(numbers.map((one) => `try ${i} ${one}`));
    await Promise.all(
      numbers.map((one) => live[i]?.send({ type: 'ADD', n: one }).then(() => tell([`ack ${i} ${one}`]))),
    );
  }
}
await Promise.all(Array.from({ length: 64 }, (_, k) => user((k * 37) % count, 2 * k + 1)));
