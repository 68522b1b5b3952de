/** What users see who have another version of a framework than an adapter was made for: one error that says so. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { temporaryDirectory } from '../support/logs.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const DEPENDENCIES = ['eventemitter3', 'lru-cache', 'piscina', 'xstate', 'rxjs'];

/** An application with the built package, and with a framework that has nothing but a version. */
function application(framework: string, version: string): string {
  const directory = temporaryDirectory();
  const modules = path.join(directory, 'node_modules');
  cpSync(path.join(ROOT, 'dist'), path.join(modules, 'varve', 'dist'), { recursive: true });
  cpSync(path.join(ROOT, 'package.json'), path.join(modules, 'varve', 'package.json'));
  for (const name of DEPENDENCIES) symlinkSync(path.join(ROOT, 'node_modules', name), path.join(modules, name));
  const folder = path.join(modules, framework);
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ name: framework, version, main: 'index.js' }));
  writeFileSync(path.join(folder, 'index.js'), 'module.exports = {};');
  return directory;
}

test.each([
  ['@castore/core', '1.9.0', '2.4', "new (await import('varve/castore')).VarveEventStorageAdapter({ store: {} })"],
  ['eventstore', '2.0.0', '1.15', "await import('varve/node-eventstore')"],
  [
    '@automerge/automerge-repo',
    '2.4.0',
    '2.5',
    "new (await import('varve/automerge-repo')).VarveStorageAdapter({ directory: './x' })",
  ],
])('%s %s is refused', (framework, version, made, program) => {
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: application(framework, version),
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  expect(stderr).toContain(`${framework} ${version} is installed; this adapter was made for ^${made}.0.`);
  expect(stderr).toContain("code: 'ERR_VARVE_UNSUPPORTED'");
  expect(status).toBe(1);
});
