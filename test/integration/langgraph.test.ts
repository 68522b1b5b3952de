/**
 * A graph of LangGraph that is killed with SIGKILL again and again, and goes on where it was: no step that was known to be
 * durable is done again, and the state at the end is that of a run that nobody has disturbed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { VarveSaver } from 'varve/langgraph';
import { temporaryDirectory } from '../support/logs.js';
import { listed } from '../support/threads.js';

const child = fileURLToPath(new URL('langgraph-child.js', import.meta.url));
const TURNS = 24;
const KEEP = 4;

/** Lets a child run until it has told of `steps` steps, and kills it. Resolves with the steps, and whether it was done. */
async function round(directory: string, steps: number): Promise<{ told: number[]; done: boolean }> {
  const running = spawn(process.execPath, [child, directory, 'thread-1', String(TURNS), String(KEEP)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '', LANGSMITH_TRACING: 'false' },
  });
  const exited = once(running, 'exit');
  const told: number[] = [];
  let done = false;
  for await (const line of createInterface(running.stdout)) {
    const [word, number] = line.split(' ');
    if (word === 'done') done = Number(number) === TURNS;
    else told.push(Number(number));
    if (told.length === steps) running.kill('SIGKILL');
  }
  const [code, signal] = await exited;
  expect(done ? code : signal).toBe(done ? 0 : 'SIGKILL');
  return { told, done };
}

test('a killed graph goes on behind its last durable step', async () => {
  const directory = temporaryDirectory();
  let durable = -1;
  let kills = 0;
  for (;;) {
    const { told, done } = await round(directory, 4 + (kills % 3));
    // The step under way when the child was killed may be done again. Those before it are not.
    if (told.length > 0) expect(told[0]).toBeGreaterThanOrEqual(durable);
    expect(told).toEqual(told.map((_, i) => (told[0] as number) + i));
    durable = Math.max(durable, told.at(-1) ?? durable);
    if (done) break;
    kills++;
  }
  expect(kills).toBeGreaterThan(2);
  const saver = await VarveSaver.open({ directory, segmentSize: 64 * 1024 });
  const tuple = await saver.getTuple({ configurable: { thread_id: 'thread-1' } });
  expect(tuple?.checkpoint.channel_values).toMatchObject({
    sum: TURNS,
    trail: Array.from({ length: 8 }, (_, i) => TURNS - 7 + i),
    once: 'from the beginning',
  });
  const { length } = await listed(saver, { configurable: { thread_id: 'thread-1' } });
  expect(length).toBeGreaterThanOrEqual(KEEP);
  expect(length).toBeLessThanOrEqual(2 * KEEP);
  await saver.close();
});
