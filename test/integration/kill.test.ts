/**
 * SIGKILL at random moments, round after round on one directory: whatever was acknowledged, durable or only written,
 * is there afterwards, equal, once and in order.
 *
 * The parent keeps the list of acknowledgements, so it cannot be lost with what it is compared to. Every other round
 * the dead log is judged in a copy, so that the next child process recovers what the killed one has left.
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
import { type OpenLogOptions, openLog } from 'varve';
import { backEnds, temporaryDirectory, text } from '../support/logs.js';
import { killPayload } from './kill-payload.js';

const ROUNDS = Number(process.env.VARVE_KILL_ROUNDS ?? 24);
const SEED = Number(process.env.VARVE_KILL_SEED ?? Date.now() % 1_000_000);
const PARTITIONS = [1, 2, 3];
const child = fileURLToPath(new URL('kill-child.js', import.meta.url));
const ios = await backEnds();

/** What the outside knows of one partition. */
interface Account {
  /** Ids by LSN, as acknowledged. */
  readonly acknowledged: Map<number, number>;
  readonly tried: Set<number>;
  /** Purged up to at least this, by acknowledgement; and at most up to what was asked for. */
  oldest: number;
  purgeAsked: number;
}

const seen = { rotations: 0, reused: 0, killedMidAppend: 0, purges: 0, acknowledged: 0 };
const sawAll = () => seen.acknowledged > ROUNDS && Object.values(seen).every((count) => count > 0);
const accounts = new Map<number, Account>(
  PARTITIONS.map((partition) => [partition, { acknowledged: new Map(), tried: new Set(), oldest: 1, purgeAsked: 1 }]),
);

/** Lets a child append for a while and kills it. Resolves with the next free id. */
async function round(directory: string, firstId: number, options: Partial<OpenLogOptions>, delay: number) {
  const args = [child, directory, String(firstId), JSON.stringify(options)];
  const running = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const exited = once(running, 'exit');
  let nextId = firstId;
  let reused = 0;
  const pending = new Set<string>();
  for await (const line of createInterface(running.stdout)) {
    const [word, ...rest] = line.split(' ');
    const [number, a, b] = rest.map(Number) as [number, number, number];
    const account = accounts.get(number) as Account;
    switch (word) {
      case 'ready':
        setTimeout(() => running.kill('SIGKILL'), delay);
        break;
      case 'try':
        account.tried.add(a);
        pending.add(line.slice(4));
        nextId = Math.max(nextId, a + 1);
        break;
      case 'ack':
        pending.delete(`${number} ${b}`);
        // An LSN that was acknowledged once is never given to another record.
        expect(account.acknowledged.has(a)).toBe(false);
        account.acknowledged.set(a, b);
        seen.acknowledged++;
        break;
      case 'purging':
        account.purgeAsked = Math.max(account.purgeAsked, a);
        break;
      case 'purged':
        account.oldest = Math.max(account.oldest, a);
        seen.purges++;
        break;
      case 'rotated':
        seen.rotations++;
        break;
      case 'reused':
        reused = number;
        break;
      default:
        // The last line may have been cut off in the middle; it is the last.
        break;
    }
  }
  expect(await exited).toEqual([null, 'SIGKILL']); // it did not die of anything else
  seen.reused += reused;
  if (pending.size > 0) seen.killedMidAppend++;
  return nextId;
}

/** Recovers the log in `directory` and compares it with what is known. */
async function judge(directory: string, io: 'mmap' | 'write'): Promise<void> {
  const log = await openLog({ directory, io, segmentSize: 8 * 1024, verify: 'full' });
  for (const [number, account] of accounts) {
    const partition = await log.partition(number);
    const records = await partition.read().toArray();
    await partition.verify();
    const { oldestLsn, durableLsn } = partition;
    expect(oldestLsn).toBeGreaterThanOrEqual(account.oldest);
    expect(oldestLsn).toBeLessThanOrEqual(account.purgeAsked);
    expect(records.length).toBe(durableLsn - oldestLsn + 1);
    const ids = new Set<number>();
    records.forEach(({ lsn, payload }, i) => {
      if (lsn !== oldestLsn + i) throw new Error(`partition ${number}: LSN ${lsn} where ${oldestLsn + i} should be`);
      const id = Number(text(payload.subarray(0, 8)));
      const known = account.acknowledged.get(lsn);
      if (known !== undefined && known !== id)
        throw new Error(`partition ${number}: ${id} at ${lsn}, where ${known} was`);
      if (!account.tried.has(id) || ids.has(id)) throw new Error(`partition ${number}: ${id} at ${lsn} is a stranger`);
      if (Buffer.compare(payload, killPayload(id)) !== 0) throw new Error(`partition ${number}: ${id} is damaged`);
      ids.add(id);
      // It has been believed once: from now on it may not change or go.
      account.acknowledged.set(lsn, id);
    });
    for (const lsn of account.acknowledged.keys()) {
      if (lsn > durableLsn)
        throw new Error(`partition ${number}: LSN ${lsn} was acknowledged; the log ends at ${durableLsn}`);
    }
  }
  await log.close();
}

test(
  `${ROUNDS} rounds of SIGKILL lose nothing that was acknowledged (VARVE_KILL_SEED=${SEED})`,
  async () => {
    const directory = path.join(temporaryDirectory(), 'log');
    const random = fc.sample(
      fc.record({ delay: fc.integer({ min: 0, max: 220 }), size: fc.integer({ min: 5120, max: 12_000 }) }),
      {
        numRuns: 2 * ROUNDS,
        seed: SEED,
      },
    );
    let nextId = 1;
    for (const [i, { delay, size }] of random.entries()) {
      // On a busy machine the children may not have got far: then there are more rounds, and longer ones.
      const more = i >= ROUNDS;
      if (more && sawAll()) break;
      const io = ios[i % ios.length] as 'mmap' | 'write';
      const mode = io === 'mmap' ? 'allocate' : (['allocate', 'keep-size', 'none'] as const)[i % 3];
      const options = { io, segmentSize: size, recycle: 3, preallocate: { segments: i % 3, ...(mode && { mode }) } };
      nextId = await round(directory, nextId, options, more ? 10 * delay : delay);
      const copied = i % 2 === 0;
      const place = copied ? path.join(temporaryDirectory(), 'copy') : directory;
      if (copied) cpSync(directory, place, { recursive: true });
      await judge(place, ios[(i >> 1) % ios.length] as 'mmap' | 'write');
    }
    // A run in which none of this happened has shown nothing.
    if (!sawAll()) throw new Error(`not everything has happened: ${JSON.stringify(seen)}`);
  },
  ROUNDS * 10_000 + 60_000,
);
