/**
 * A Nest application that is killed with SIGKILL while it handles commands: every order that it has told of is in the
 * store, its handler has dealt with each of them, and only what came behind the checkpoint is dealt with again.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { openEventStore } from 'varve';
import { temporaryDirectory } from '../support/logs.js';

const child = fileURLToPath(new URL('nestjs-child.js', import.meta.url));

test('a killed application has lost nothing, and delivers what was not dealt with', async () => {
  const directory = temporaryDirectory();
  const placed = new Set<number>();
  /** In the order in which they were handled, round by round. */
  const handled: number[][] = [];
  let next = 1;
  for (const lines of [15, 31, 22, Number.POSITIVE_INFINITY]) {
    const running = spawn(process.execPath, [child, directory, String(next), String(next + 59)], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    const exited = once(running, 'exit');
    const round: number[] = [];
    handled.push(round);
    let heard = 0;
    for await (const line of createInterface(running.stdout)) {
      const [word, number] = line.split(' ');
      if (word === 'placed') placed.add(Number(number));
      if (word === 'handled') round.push(Number(number));
      if (++heard === lines) running.kill('SIGKILL');
    }
    const [code, signal] = await exited;
    expect([code, signal]).toEqual(lines === Number.POSITIVE_INFINITY ? [0, null] : [null, 'SIGKILL']);
    next += 1000;
  }
  const store = await openEventStore({ directory, segmentSize: 64 * 1024 });
  const stored = (await store.readStream('nest').toArray()).map(({ data }) => (data as { number: number }).number);
  await store.close();

  expect([...placed].filter((number) => !stored.includes(number))).toEqual([]);
  expect(new Set(stored).size).toBe(stored.length);
  // Each round goes through the store in order, begins at most one checkpoint and the event under way back, and skips none.
  let level = 0;
  for (const round of handled) {
    if (round.length === 0) continue;
    const from = stored.indexOf(round[0] as number);
    expect(from).toBeLessThanOrEqual(level);
    expect(from).toBeGreaterThanOrEqual(level - 8);
    expect(round).toEqual(stored.slice(from, from + round.length));
    level = Math.max(level, from + round.length);
  }
  expect(level).toBe(stored.length);
});
