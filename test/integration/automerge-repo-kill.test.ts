/**
 * SIGKILL in the middle of a Repo's saves: changes that were flushed are there, documents can be loaded, and space is
 * given back all the while.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { openEventStore } from 'varve';
import { killed, said } from '../support/killed.js';
import { temporaryDirectory } from '../support/logs.js';

const CHILD = 'automerge-repo-kill-child.js';

/** The documents, as a fresh process finds them. */
function read(directory: string, urls: readonly string[]): Map<string, number[]> {
  const script = fileURLToPath(new URL(CHILD, import.meta.url));
  const { stdout, stderr, status } = spawnSync(process.execPath, [script, directory, 'read', ...urls], {
    encoding: 'utf8',
    // From Node 24 on automerge-repo's own timers are warned of.
    env: { ...process.env, NODE_OPTIONS: '--disable-warning=TimeoutNegativeWarning' },
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return new Map(
    said(stdout.split('\n'), 'content').map((line) => {
      const [url = '', numbers = ''] = line.split(' ');
      return [url, JSON.parse(numbers) as number[]];
    }),
  );
}

test('documents survive SIGKILL, again and again', async () => {
  const directory = path.join(temporaryDirectory(), 'store');
  const lines: string[] = [];
  for (const count of [40, 121, 200]) {
    const urls = said(lines, 'doc');
    lines.push(...(await killed(CHILD, [directory, 'write', ...urls], count, 'compacted')));
    const found = read(directory, said(lines, 'doc'));
    expect(found.size).toBe(3);
    for (const [url, numbers] of found) {
      const last = (word: string) =>
        Math.max(
          -1,
          ...said(lines, word).flatMap((line) => (line.startsWith(url) ? [Number(line.split(' ')[1])] : [])),
        );
      expect(numbers).toEqual(numbers.map((_, i) => i));
      expect(numbers.length - 1).toBeGreaterThanOrEqual(last('ack'));
      expect(numbers.length - 1).toBeLessThanOrEqual(last('try'));
    }
  }
  expect(said(lines, 'ack').length).toBeGreaterThan(50);
  const store = await openEventStore({ directory, segmentSize: 16 * 1024 });
  expect(await store.streamExists('automerge.compacted')).toBe(true);
  expect((await store.streamHead('automerge.compacted'))?.revision).toBeGreaterThan(0n);
  await store.close();
}, 180_000);
