/** The rehearsal of a deployment on the command line: what it prints, and what it exits with. */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from '@jest/globals';
import { openEventStore } from 'varve';
import { createActorHost } from 'varve/xstate';
import { assign, createMachine } from 'xstate';
import { temporaryDirectory } from '../support/logs.js';

const SCRIPT = 'scripts/check-machines.js';
const directory = temporaryDirectory();
const at = (name: string) => join(directory, name);

/** A module that exports a counter, which adds so much. */
function moduleOf(by: number, name = 'counter'): string {
  const xstate = JSON.stringify(import.meta.resolve('xstate'));
  const file = at(`${name}-${by}.mjs`);
  writeFileSync(
    file,
    `import { assign, createMachine } from ${xstate};
    const counter = createMachine({
      context: { n: 0 },
      on: { INC: { actions: assign({ n: ({ context }) => context.n + ${by} }) } },
    });
    export const machines = { ${name}: { machine: counter, hashEvery: 1 } };`,
  );
  return file;
}

function check(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

beforeAll(async () => {
  const machine = createMachine({
    context: { n: 0 },
    on: { INC: { actions: assign({ n: ({ context }) => context.n + 1 }) } },
  });
  const store = await openEventStore({ directory: at('data'), segmentSize: 1024 * 1024 });
  const host = await createActorHost({ store, machines: { counter: { machine, hashEvery: 1 } } });
  for (const id of ['a', 'b']) await (await host.actor('counter', id)).send({ type: 'INC' });
  await host.shutdown();
  await store.close();
}, 60_000);

test('exits with 0 where all is well', () => {
  const { status, stdout, stderr } = check('--directory', at('data'), '--machines', moduleOf(1));
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '2 actors checked, 0 with problems\n', stderr: '' });
}, 60_000);

test('exits with 1 and says which actor would be another, at which event', () => {
  const { status, stdout } = check('--directory', at('data'), '--machines', moduleOf(2));
  expect(status).toBe(1);
  const lines = stdout.trimEnd().split('\n');
  expect(lines[0]).toMatch(/^counter-a: ERR_VARVE_DIVERGED: .* at revision 1 \('INC'\)/);
  expect(lines[1]).toMatch(/^counter-b: ERR_VARVE_DIVERGED: /);
  expect(lines[2]).toBe('2 actors checked, 2 with problems');
}, 60_000);

test.each<[string, () => string[], RegExp]>([
  ['no options', () => [], /^$/],
  ['an unknown option', () => ['--smaple', '1'], /smaple/],
  ['no such store', () => ['--directory', at('nope'), '--machines', moduleOf(1)], /no event store in .*nope/],
  ['no such module', () => ['--directory', at('data'), '--machines', at('nope.mjs')], /no file .*nope\.mjs/],
  ['another module', () => ['--directory', at('data'), '--machines', 'package.json'], /./],
  ['a sample of nothing', () => ['--directory', at('data'), '--machines', moduleOf(1), '--sample', 'x'], /'sample'/],
  ['no actor of its machines', () => ['--directory', at('data'), '--machines', moduleOf(1, 'other')], /other/],
])(
  'exits with 2, and no stack, for %s',
  (_, args, said) => {
    const { status, stderr } = check(...args());
    expect(status).toBe(2);
    expect(stderr).toMatch(said);
    expect(stderr).not.toMatch(/ at .*\.js:\d+/);
    expect(existsSync(at('nope'))).toBe(false);
  },
  60_000,
);

test('leaves the journals as they are', async () => {
  const events = async () => {
    const store = await openEventStore({ directory: at('data') });
    const all = await store.readAll().toArray();
    await store.close();
    return all;
  };
  const before = await events();
  check('--directory', at('data'), '--machines', moduleOf(2));
  expect(before.length).toBeGreaterThan(3);
  expect(await events()).toEqual(before);
}, 60_000);
