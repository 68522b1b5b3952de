/** A traffic light that keeps time across restarts: its delayed transitions are in the journal, with their moments. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEventStore } from 'varve';
import { createActorHost } from 'varve/xstate';
import { createMachine, SimulatedClock } from 'xstate';

const SECOND = 1000;
const lightMachine = createMachine({
  initial: 'green',
  states: {
    green: { after: { [30 * SECOND]: 'yellow' } },
    yellow: { after: { [5 * SECOND]: 'red' } },
    red: { after: { [25 * SECOND]: 'green' } },
  },
});

const directory = await mkdtemp(join(tmpdir(), 'varve-xstate-light-'));
const clock = new SimulatedClock();

/** The light is on for so many seconds in one process; then the power fails for some. */
async function life(/** @type {number} */ on, /** @type {number} */ off) {
  const store = await openEventStore({ directory, segmentSize: 1024 * 1024 });
  const host = await createActorHost({ store, clock, machines: { light: lightMachine } });
  const light = await host.actor('light', 'crossing');
  clock.increment(0); // what was due while it was off
  for (let second = 0; second < on; second++) {
    clock.increment(SECOND);
    await host.settled();
  }
  console.log(`after ${clock.now() / SECOND} s it is ${light.getSnapshot().value}`);
  await host.shutdown();
  await store.close();
  clock.increment(off * SECOND);
}

await life(20, 5); // green, off while it is green
await life(3, 4); // green until 30 s, which is while it is off; yellow is late by 2 s, and counts from then
await life(4, 0);
await life(26, 0);

const store = await openEventStore({ directory, segmentSize: 1024 * 1024 });
const host = await createActorHost({ store, clock, machines: { light: lightMachine } });
const light = await host.actor('light', 'crossing');
const changes = [];
for await (const { time, kind } of light.history()) if (kind === 'timer') changes.push(time.getTime() / SECOND);
console.log(`it has changed at ${changes.join(', ')} s`);
await host.shutdown();
await store.close();
await rm(directory, { recursive: true });
