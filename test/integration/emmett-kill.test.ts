/**
 * SIGKILL in the middle of Emmett's command handlers, round after round on one directory. The list of what was acknowledged
 * is kept by the parent, outside of the process that dies.
 *
 * VARVE_KILL_ROUNDS sets the number of rounds, VARVE_KILL_SEED repeats their delays.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type AnyEvent, projections } from '@event-driven-io/emmett';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { getVarveEventStore, type VarveEventStore } from 'varve/emmett';
import { temporaryDirectory } from '../support/logs.js';
import { evolve, initialState, PRODUCTS, stock } from './emmett-stock.js';

const ROUNDS = Number(process.env.VARVE_KILL_ROUNDS ?? 8);
const SEED = Number(process.env.VARVE_KILL_SEED ?? Date.now() % 1_000_000);
const child = fileURLToPath(new URL('emmett-kill-child.js', import.meta.url));
const OPTIONS = { segmentSize: 16 * 1024 };

/** What the world outside knows. */
const world = {
  tried: new Set<number>(),
  /** `product version` → `id type` */
  acknowledged: new Map<string, string>(),
  /** Ids in the order in which the reactor has noted them, one list for each life. */
  lives: [] as { position: number; id: number }[][],
  killedInTheMiddle: 0,
};

async function round(directory: string, firstId: number, partitions: number, delay: number): Promise<number> {
  const args = [child, directory, String(firstId), JSON.stringify({ ...OPTIONS, partitions })];
  const running = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const exited = once(running, 'exit');
  const life: { position: number; id: number }[] = [];
  world.lives.push(life);
  const pending = new Set<string>();
  // However busy the machine is, something is acknowledged in the first round.
  const begin = firstId === 1 ? 'ack' : 'ready';
  let nextId = firstId;
  for await (const line of createInterface(running.stdout)) {
    const [word, a = '', b = '', c = '', d = ''] = line.split(' ');
    if (word === begin) setTimeout(() => running.kill('SIGKILL'), delay);
    if (word === 'try') {
      world.tried.add(Number(b));
      pending.add(b);
      nextId = Math.max(nextId, Number(b) + 1);
    } else if (word === 'ack') {
      pending.delete(c);
      expect(world.acknowledged.has(`${a} ${b}`)).toBe(false);
      world.acknowledged.set(`${a} ${b}`, `${c} ${d}`);
    } else if (word === 'seen') life.push({ position: Number(a), id: Number(b) });
    else if (word !== 'ready') throw new Error(`the child said: ${line}`);
  }
  expect(await exited).toEqual([null, 'SIGKILL']); // it did not die of anything else
  if (pending.size > 0) world.killedInTheMiddle++;
  return nextId;
}

interface Stored {
  readonly position: number;
  readonly id: number;
}

/** Holds the streams against what is known. Gives all events in the order of the log. */
async function judge(eventStore: VarveEventStore): Promise<Stored[]> {
  await eventStore.open();
  const all: Stored[] = [];
  const ids = new Set<string>();
  for (const product of PRODUCTS) {
    const { events, currentStreamVersion } = await eventStore.readStream<AnyEvent>(`stock-${product}`);
    expect(events.map(({ metadata }) => metadata.streamPosition)).toEqual(events.map((_, i) => BigInt(i + 1)));
    expect(currentStreamVersion).toBe(BigInt(events.length));
    let state = initialState();
    for (const [i, { type, data, metadata }] of events.entries()) {
      const one = `${data.id} ${type}`;
      const known = world.acknowledged.get(`${product} ${i + 1}`);
      if (known !== undefined && known !== one) throw new Error(`${product} ${i + 1}: ${one} where ${known} was`);
      if (!world.tried.has(data.id) || ids.has(one)) throw new Error(`${product} ${i + 1}: ${one} is a stranger`);
      ids.add(one);
      all.push({ position: Number(metadata.globalPosition), id: data.id });
      state = evolve(state, { type, data });
      if (state.left < 0) throw new Error(`${product} ${i + 1}: more was sold than there was`);
      // All or nothing: what was checked stands behind what was brought, of the same command.
      if (type === 'Restocked') expect(events[i + 1]).toMatchObject({ type: 'Checked', data: { id: data.id } });
    }
    const documents = eventStore.database.collection<{ _id: string; left: number }>('stock');
    expect((await documents.findOne(({ _id }) => _id === `stock-${product}`))?.left ?? 0).toBe(state.left);
    for (const key of world.acknowledged.keys()) {
      const [of, version] = key.split(' ');
      if (of === product && Number(version) > events.length) throw new Error(`${key} was acknowledged, and is gone`);
    }
  }
  return all.sort((a, b) => a.position - b.position);
}

const open = (directory: string) =>
  getVarveEventStore({ directory, ...OPTIONS, verify: 'full', projections: projections.inline([stock]) as never });

test(
  `${ROUNDS} rounds of SIGKILL lose nothing that was acknowledged (VARVE_KILL_SEED=${SEED})`,
  async () => {
    const [partitions = 1] = fc.sample(fc.constantFrom(1, 2), { numRuns: 1, seed: SEED });
    const delays = fc.sample(fc.integer({ min: 0, max: 250 }), { numRuns: ROUNDS, seed: SEED });
    const directory = path.join(temporaryDirectory(), 'store');
    let nextId = 1;
    for (const [i, delay] of delays.entries()) {
      nextId = await round(directory, nextId, partitions, delay);
      const copied = i % 2 === 0;
      const place = copied ? path.join(temporaryDirectory(), 'copy') : directory;
      if (copied) cpSync(directory, place, { recursive: true });
      const eventStore = open(place);
      await judge(eventStore);
      await eventStore.close();
    }

    const eventStore = open(directory);
    const all = await judge(eventStore);
    // The reactor once more, so that all of its lives together have seen everything.
    const last: Stored[] = [];
    const consumer = eventStore.consumer();
    consumer.reactor({
      processorId: 'outbox',
      eachMessage: ({ data, metadata }) => void last.push({ position: Number(metadata.globalPosition), id: data.id }),
    });
    const done = consumer.start();
    await consumer.whenCaughtUp();
    await consumer.stop();
    await done;
    await eventStore.close();
    const order = new Map(all.map(({ position }, i) => [position, i]));
    let reached = 0;
    for (const life of [...world.lives, last]) {
      const places = life.map(({ position, id }) => {
        const at = order.get(position) ?? -1;
        expect(all[at]?.id).toBe(id); // it has seen nothing that came to nothing
        return at;
      });
      if (places.length === 0) continue;
      const [first = 0] = places;
      expect(first).toBeLessThanOrEqual(reached); // nothing between two lives was left out
      expect(reached - first).toBeLessThanOrEqual(16); // no more than a batch is seen again
      expect(places).toEqual(places.map((_, i) => first + i)); // nor within one, and the order was kept
      reached = Math.max(reached, first + places.length);
    }
    expect(reached).toBe(all.length);
    expect(world.acknowledged.size).toBeGreaterThan(0);
    expect(world.killedInTheMiddle).toBeGreaterThan(0);
  },
  60_000 + ROUNDS * 20_000,
);
