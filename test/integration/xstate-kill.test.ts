/**
 * SIGKILL of a host of many durable actors under load, round after round on one directory: every event that was
 * acknowledged is in its actor, once and in order, and nothing is there that was never sent.
 *
 * VARVE_KILL_ACTORS sets the number of actors, VARVE_KILL_ROUNDS that of rounds.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { openEventStore } from 'varve';
import { temporaryDirectory } from '../support/logs.js';

const ROUNDS = Math.min(Number(process.env.VARVE_KILL_ROUNDS ?? 3), 100);
const ACTORS = Number(process.env.VARVE_KILL_ACTORS ?? 300);
const child = fileURLToPath(new URL('xstate-kill-child.js', import.meta.url));

const tried = new Map<number, number[]>();
/** As the journals had it after the last kill. */
let found = new Map<number, number[]>();
const acknowledged = new Map<number, Set<number>>();
let next = 1;
let pending = 0;
let woken = 0;

/** Lets a child send for a while and kills it. */
async function round(directory: string, delay: number): Promise<void> {
  const running = spawn(process.execPath, [child, directory, String(ACTORS), String(next)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const exited = once(running, 'exit');
  const open = new Set<string>();
  for await (const line of createInterface(running.stdout)) {
    const [word, actor, n] = line.split(' ') as [string, string, string];
    if (word === 'ready') {
      expect(Number(actor)).toBe(ACTORS);
      setTimeout(() => running.kill('SIGKILL'), delay);
    } else if (word === 'has') {
      // The next host has each actor as its journal has it.
      if (n !== (found.get(Number(actor)) ?? []).join()) throw new Error(`actor ${actor} has ${n} after waking`);
      woken++;
    } else if (word === 'try') {
      tried.set(Number(actor), [...(tried.get(Number(actor)) ?? []), Number(n)]);
      open.add(n);
      next = Math.max(next, Number(n) + 1);
    } else if (word === 'ack') {
      open.delete(n);
      const known = acknowledged.get(Number(actor)) ?? new Set();
      acknowledged.set(Number(actor), known.add(Number(n)));
    } // the last line may have been cut off in the middle
  }
  expect(await exited).toEqual([null, 'SIGKILL']); // it did not die of anything else
  pending += open.size;
}

/** The journals, read as they are: what the actors are made of. */
async function judge(directory: string): Promise<void> {
  const store = await openEventStore({ directory });
  found = new Map();
  for await (const { stream, type, data } of store.readAll({ filter: { categories: ['counter'] } })) {
    if (type !== 'ADD') continue;
    const actor = Number(stream.slice('counter-'.length));
    found.set(actor, [...(found.get(actor) ?? []), (data as { n: number }).n]);
  }
  for (const [actor, known] of acknowledged) {
    const there = new Set(found.get(actor));
    for (const n of known)
      if (!there.has(n)) throw new Error(`actor ${actor}: event ${n} was acknowledged and is lost`);
  }
  for (const [actor, numbers] of found) {
    const sent = tried.get(actor) ?? [];
    const places = numbers.map((n) => sent.indexOf(n));
    if (places.includes(-1)) throw new Error(`actor ${actor}: an event was never sent`);
    const inOrder = places.every((place, i) => i === 0 || place > (places[i - 1] as number));
    if (!inOrder) throw new Error(`actor ${actor}: ${numbers} are not once and in order`);
  }
  await store.close();
}

test(
  `${ROUNDS} rounds of SIGKILL of ${ACTORS} actors lose nothing that was acknowledged`,
  async () => {
    const directory = path.join(temporaryDirectory(), 'store');
    for (let i = 0; i < ROUNDS; i++) {
      await round(directory, 150 + 170 * i + ACTORS / 10);
      await judge(directory);
    }
    await round(directory, 0); // looks at all once more
    expect(acknowledged.size).toBeGreaterThan(Math.min(ACTORS / 10, 100));
    expect(pending).toBeGreaterThan(0);
    expect(woken).toBe((ROUNDS + 1) * ACTORS);
  },
  ROUNDS * 60_000 + ACTORS * 20,
);
