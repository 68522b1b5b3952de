/**
 * SIGKILL in the middle of node-eventstore's commits: those that were acknowledged are there as a whole, the others as a
 * whole or not at all, and revisions have no gaps.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { VarveStore } from 'varve/node-eventstore';
import { killed, said } from '../support/killed.js';
import { temporaryDirectory } from '../support/logs.js';
import { call, eventstore, type StoredEvent, type StoredSnapshot } from '../support/node-eventstore.js';

test('commits survive SIGKILL, again and again', async () => {
  const directory = path.join(temporaryDirectory(), 'store');
  const lines: string[] = [];
  for (const count of [25, 74, 111]) {
    const firstId = String(1000 * (lines.length + 1));
    lines.push(...(await killed('node-eventstore-kill-child.js', [directory, firstId], count)));

    const es = eventstore({ type: VarveStore, directory, storeOptions: { segmentSize: 64 * 1024 } });
    await call(es, 'init');
    const tried = new Map(
      said(lines, 'try')
        .map((line) => line.split(' '))
        .map(([stream, id, n]) => [`${stream} ${id}`, Number(n)]),
    );
    const found = new Map<string, number>();
    const revisions = new Map<string, number>();
    for (const stream of ['a', 'b', 'c']) {
      const events = await call<StoredEvent[]>(es, 'getEvents', stream);
      expect(events.map(({ streamRevision }) => streamRevision)).toEqual(events.map((_, i) => i));
      for (const { payload, streamRevision } of events) {
        const { id, i } = payload as { id: number; i: number };
        const key = `${stream} ${id}`;
        expect(i).toBe(found.get(key) ?? 0);
        found.set(key, i + 1);
        revisions.set(key, streamRevision);
      }
    }
    for (const [key, count] of found) expect([key, count]).toEqual([key, tried.get(key)]);
    for (const line of said(lines, 'ack')) {
      const [stream, revision, id] = line.split(' ');
      expect([line, revisions.get(`${stream} ${id}`)]).toEqual([line, Number(revision)]);
    }
    const undispatched = await call<StoredEvent[]>(es, 'getUndispatchedEvents');
    const dispatched = new Set(said(lines, 'dispatched'));
    expect(undispatched.filter(({ id }) => dispatched.has(id))).toEqual([]);
    const newest = new Map(said(lines, 'snapshot').map((line) => line.split(' ') as [string, string]));
    for (const [stream, revision] of newest) {
      const snapshot = await call<StoredSnapshot>(es.store, 'getSnapshot', { aggregateId: stream }, -1);
      expect(snapshot.revision).toBeGreaterThanOrEqual(Number(revision));
    }
    await call(es.store, 'disconnect');
  }
  expect(said(lines, 'ack').length).toBeGreaterThan(5);
  expect(said(lines, 'snapshot').length).toBeGreaterThan(0);
}, 180_000);

test('what a callback throws is not handed to it a second time: it is uncaught', () => {
  const program = `
    import { VarveStore } from '../../dist/adapter/node-eventstore/index.js';
    const store = new VarveStore({ directory: ${JSON.stringify(path.join(temporaryDirectory(), 'store'))} });
    process.on('uncaughtException', ({ message }) => {
      console.log(message);
      store.disconnect();
    });
    store.connect((error) => {
      throw new Error(error === null ? 'of the program' : 'a second time');
    });`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: path.dirname(new URL(import.meta.url).pathname),
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'of the program\n', stderr: '' });
});
