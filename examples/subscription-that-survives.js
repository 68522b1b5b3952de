/**
 * A durable consumer is killed with SIGKILL again and again, and goes on where it was: it misses nothing, keeps the order,
 * and repeats only what came behind its last stored checkpoint.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openEventStore } from 'varve';

const READINGS = 300;
const CHECKPOINT_EVERY = 10;
const KILL_AT = [40, 130, 131, 260];

const [directoryOfChild, killAt] = process.argv.slice(2);
if (directoryOfChild === undefined) await main();
else await work(directoryOfChild, Number(killAt));

/** @param {string} directory @param {number} killAt */
async function work(directory, killAt) {
  const store = await openEventStore({ directory, partitions: 2, segmentSize: 64 * 1024 });
  const consumer = store.consume({
    name: 'reports',
    category: 'sensor',
    checkpointEvery: { events: CHECKPOINT_EVERY },
    handler: async (event) => {
      // What the handler does is out in the world when it has resolved: only then may the event count.
      await new Promise((resolve) => process.send?.(event.data, undefined, {}, resolve));
      if (event.data === killAt) process.kill(process.pid, 'SIGKILL');
    },
  });

  // The same process writes. How far it was the last time it learns from the store.
  let written = 0;
  for await (const { data } of store.readAll({ direction: 'backwards', maxCount: 1 })) written = Number(data);
  let position = 0n;
  while (written < READINGS) {
    const reading = { type: 'Measured', data: ++written };
    ({
      positions: [position = 0n],
    } = await store.appendToStream(`sensor-${written % 5}`, reading));
  }
  await consumer.whenProcessed(position);
  await consumer.whenCaughtUp();
  await consumer.stop();
  await store.close();
  process.disconnect();
}

async function main() {
  const directory = await mkdtemp(join(tmpdir(), 'varve-survives-'));
  /** @type {number[][]} */
  const lives = [];
  for (const killAt of [...KILL_AT, READINGS + 1]) {
    /** @type {number[]} */
    const life = [];
    lives.push(life);
    const child = fork(fileURLToPath(import.meta.url), [directory, String(killAt)]);
    child.on('message', (reading) => life.push(Number(reading)));
    const [, signal] = await once(child, 'close'); // and all that it has told has arrived
    console.log(`from ${life[0]} to ${life.at(-1)}${signal === null ? '' : ', then killed'}`);
  }
  await rm(directory, { recursive: true });

  let seen = 0;
  let sound = true;
  for (const life of lives) {
    const [first = 0] = life;
    sound &&= first <= seen + 1 && first > seen - CHECKPOINT_EVERY; // without a gap, and not from too far back
    sound &&= life.every((reading, i) => reading === first + i);
    seen = life.at(-1) ?? seen;
  }
  sound &&= seen === READINGS;
  console.log(sound ? 'nothing was missed, and the order was kept' : 'the subscription has failed');
  process.exitCode = sound ? 0 : 1;
}
