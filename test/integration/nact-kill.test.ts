/**
 * SIGKILL in the middle of nact's own actors, round after round on one directory: whatever was acknowledged is there
 * afterwards, once and in order, and so is what snapshots, a plain journal and durable states have acknowledged.
 *
 * The parent keeps the list of acknowledgements, so it cannot be lost with what it is compared to. Every other round the
 * dead store is judged in a copy, so that the next child recovers what the killed one has left.
 * VARVE_KILL_ROUNDS sets the number of rounds, VARVE_KILL_SEED repeats their delays.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { openPersistence } from 'varve/journal';
import { temporaryDirectory } from '../support/logs.js';

const ROUNDS = Number(process.env.VARVE_KILL_ROUNDS ?? 6);
const SEED = Number(process.env.VARVE_KILL_SEED ?? Date.now() % 1_000_000);
const SEGMENT = 8 * 1024;
const COUNTERS = ['counter-1', 'counter-2', 'counter-3'];
const child = fileURLToPath(new URL('nact-kill-child.js', import.meta.url));

/** What the outside knows of one persistence id. */
interface Account {
  tried: number;
  acknowledged: number;
  /** Deleted up to this, at most. */
  deleting: number;
}

const accounts = new Map<string, Account>(
  [...COUNTERS, 'journal'].map((id) => [id, { tried: 0, acknowledged: 0, deleting: 0 }]),
);
const state = { tried: 0, acknowledged: 0 };
const seen = { acknowledged: 0, killedMidWay: 0, recoveredCounts: 0 };

/** Lets a child work for a while and kills it. */
async function round(directory: string, delay: number): Promise<void> {
  const running = spawn(process.execPath, [child, directory, String(SEGMENT)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const exited = once(running, 'exit');
  const pending = new Set<string>();
  for await (const line of createInterface(running.stdout)) {
    const [word, ...rest] = line.split(' ');
    if (word === 'ready') setTimeout(() => running.kill('SIGKILL'), delay);
    else if (word === 'upsert') state.tried = Number(rest[0]);
    else if (word === 'upserted') state.acknowledged = Number(rest[0]);
    else {
      const account = accounts.get(rest[0] as string);
      const number = Number(rest[1]);
      if (account === undefined || !Number.isInteger(number)) continue; // a last line that was cut off
      if (word === 'try') {
        // Nothing is done again, and nothing left out: the actor was where its acknowledgements are.
        expect(number).toBeGreaterThan(account.acknowledged);
        account.tried = number;
        pending.add(rest.join());
      } else if (word === 'ack') {
        account.acknowledged = number;
        pending.delete(rest.join());
        seen.acknowledged++;
      } else if (word === 'deleting') account.deleting = number;
      else if (word === 'recovered') {
        expect(number).toBe(account.acknowledged);
        seen.recoveredCounts += number;
      }
    }
  }
  expect(await exited).toEqual([null, 'SIGKILL']); // it did not die of anything else
  if (pending.size > 0) seen.killedMidWay++;
}

/** Recovers the store in `directory` and compares it with what is known. */
async function judge(directory: string): Promise<void> {
  const { journal, snapshots, states, close } = await openPersistence({ directory, segmentSize: SEGMENT });
  for (const [id, account] of accounts) {
    const highest = await journal.highestSeq(id);
    expect(highest).toBeGreaterThanOrEqual(account.acknowledged);
    expect(highest).toBeLessThanOrEqual(account.tried);
    if (id === 'journal') expect(highest % 3).toBe(0); // three at a time, or none
    const seqs: number[] = [];
    for await (const { seq, event } of journal.read(id)) {
      expect((event as { n: number }).n).toBe(seq);
      seqs.push(seq);
    }
    const oldest = seqs[0] ?? highest + 1;
    expect(oldest - 1).toBeLessThanOrEqual(account.deleting);
    expect(seqs).toEqual(Array.from({ length: highest - oldest + 1 }, (_, i) => oldest + i));
    const latest = await snapshots.latest(id);
    if (COUNTERS.includes(id)) expect(latest?.seq ?? 0).toBeGreaterThanOrEqual(oldest - 1);
    if (latest !== undefined) {
      expect(latest.seq).toBeLessThanOrEqual(highest);
      expect(latest.state).toEqual({ count: latest.seq, sum: (latest.seq * (latest.seq + 1)) / 2 });
    }
    // It has been believed once: from now on it may not change or go.
    account.acknowledged = highest;
  }
  const { revision } = (await states.load('state')) ?? { revision: 0 };
  expect(revision).toBeGreaterThanOrEqual(state.acknowledged);
  expect(revision).toBeLessThanOrEqual(state.tried);
  state.acknowledged = revision;
  await close();
}

test(
  `${ROUNDS} rounds of SIGKILL lose nothing that nact's actors were told (VARVE_KILL_SEED=${SEED})`,
  async () => {
    const directory = path.join(temporaryDirectory(), 'store');
    const delays = fc.sample(fc.integer({ min: 20, max: 500 }), { numRuns: ROUNDS, seed: SEED });
    for (const [i, delay] of delays.entries()) {
      await round(directory, delay);
      const place = i % 2 === 0 ? path.join(temporaryDirectory(), 'copy') : directory;
      if (place !== directory) cpSync(directory, place, { recursive: true });
      await judge(place);
    }
    // A run in which none of this happened has shown nothing.
    expect(seen.acknowledged).toBeGreaterThan(ROUNDS);
    expect(seen.killedMidWay).toBeGreaterThan(0);
    expect(seen.recoveredCounts).toBeGreaterThan(0);
  },
  ROUNDS * 20_000 + 60_000,
);
