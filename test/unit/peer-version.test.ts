import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { requirePeer } from '../../src/adapter/peer-version.js';

let directory: string;
let from: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'varve-peers-'));
  from = pathToFileURL(join(directory, 'adapter.js')).href;
  for (const [name, content] of [
    ['one', { version: '1.4.2' }],
    ['two', { version: '2.0.0-beta.1' }],
    ['twelve', { version: '12.0.0' }],
    ['nameless', {}],
    ['hidden', { version: '3.0.0', exports: { '.': './index.js' } }],
  ] as const) {
    await mkdir(join(directory, 'node_modules', name), { recursive: true });
    await writeFile(join(directory, 'node_modules', name, 'package.json'), JSON.stringify({ name, ...content }));
  }
});
afterAll(() => rm(directory, { recursive: true }));

test.each([
  ['one', [1]],
  ['two', [1, 2]],
  ['twelve', [11, 12]],
])('%s is one of %j', (name, majors) => {
  expect(() => requirePeer('varve/some', name, majors, from)).not.toThrow();
});

test.each(['nameless', 'hidden', 'missing'])('of %s nothing is known', (name) => {
  expect(() => requirePeer('varve/some', name, [1], from)).not.toThrow();
});

test('another version is refused, with what to do', () => {
  expect(() => requirePeer('varve/some', 'twelve', [1, 2], from)).toThrow(
    expect.objectContaining({
      code: 'ERR_VARVE_UNSUPPORTED',
      option: 'twelve',
      message:
        "varve/some works with twelve ^1.0.0 || ^2.0.0, and 12.0.0 is installed. Run: npm install 'twelve@^1.0.0 || ^2.0.0'",
    }),
  );
});
