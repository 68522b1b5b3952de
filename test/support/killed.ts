/** Child processes that work until they are killed, and tell their parent what they do. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from '@jest/globals';

/**
 * Runs a script of test/integration, and kills it (SIGKILL) when it has written so many lines, and one that begins with
 * `word` if that is given. All lines that it wrote; what is in the pipe survives it.
 */
export async function killed(script: string, args: readonly string[], count: number, word = ''): Promise<string[]> {
  const path = fileURLToPath(new URL(`../integration/${script}`, import.meta.url));
  const running = spawn(process.execPath, [path, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const exited = once(running, 'exit');
  const lines: string[] = [];
  let seen = false;
  for await (const line of createInterface(running.stdout)) {
    seen ||= line.startsWith(word);
    if (lines.push(line) >= count && seen) running.kill('SIGKILL');
  }
  expect(await exited).toEqual([null, 'SIGKILL']); // it did not die of anything else
  return lines;
}

/** What stands behind `word` in the lines that begin with it. */
export function said(lines: readonly string[], word: string): string[] {
  return lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
}
