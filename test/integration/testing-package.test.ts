/** `varve/testing` as it is installed, in a place from which fast-check cannot be found. */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
let place: string;

beforeAll(() => {
  place = mkdtempSync(path.join(realpathSync(tmpdir()), 'varve-testing-'));
  const modules = path.join(place, 'node_modules');
  mkdirSync(modules);
  cpSync(path.join(ROOT, 'dist'), path.join(modules, 'varve', 'dist'), { recursive: true });
  cpSync(path.join(ROOT, 'package.json'), path.join(modules, 'varve', 'package.json'));
  const { dependencies } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  for (const name of [...Object.keys(dependencies), 'rxjs']) {
    symlinkSync(path.join(ROOT, 'node_modules', name), path.join(modules, name));
  }
});

afterAll(() => rmSync(place, { recursive: true, force: true }));

function run(program: string) {
  writeFileSync(path.join(place, 'program.mjs'), program);
  const { status, stdout, stderr } = spawnSync(process.execPath, ['program.mjs'], {
    cwd: place,
    env: { ...process.env, NODE_OPTIONS: '' },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

test('works without fast-check, as long as no property is made', () => {
  const { status, stdout, stderr } = run(`
    import { openLog } from 'varve';
    import { journalConformance, SimulatedDisk } from 'varve/testing';
    const log = await openLog({ directory: '/data', disk: new SimulatedDisk(), segmentSize: 8192 });
    console.log((await (await log.partition(1)).append(new Uint8Array(1))).lsn, journalConformance(() => {}).length > 40);
    await log.close();
  `);
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '1 true\n', stderr: '' });
});

test('says what is missing when a property is made', () => {
  const { status, stderr } = run(`
    import { crashRecovery } from 'varve/testing';
    crashRecovery({ setup() {}, commands: [], invariant() {} });
  `);
  expect(status).toBe(1);
  expect(stderr).toContain('crashRecovery of varve/testing needs the package fast-check: npm install --save-dev');
});
