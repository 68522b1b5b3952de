/**
 * The tests under other versions of Node.js, which come from the npm registry:
 *
 *   npm run test:nodes -- [--versions 22,24,26] [-- Jest's options]
 *
 * A version is what npm takes for one, `22.19.0` as well as `22`. Ends with 1 where a test fails under any of them.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';

const PACKAGE = `node-${process.platform}-${process.arch}`;
const JEST = ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js'];

const { values, positionals } = parseArgs({
  options: { versions: { type: 'string', default: '22,24,26' } },
  allowPositionals: true, // what stands behind `--`
});

/** Runs a command on this terminal. Returns whether it ended well. @param {string} command @param {string[]} args */
function run(command, args, env = process.env) {
  return spawnSync(command, args, { stdio: 'inherit', env }).status === 0;
}

const failed = values.versions.split(',').filter((version) => {
  const directory = mkdtempSync(join(tmpdir(), 'varve-node-'));
  try {
    if (!run('npm', ['install', '--silent', '--prefix', directory, `${PACKAGE}@${version}`])) {
      console.log(`${PACKAGE}@${version} cannot be installed`);
      return true;
    }
    const node = join(directory, 'node_modules', PACKAGE, 'bin', 'node');
    run(node, ['--version']);
    // Child processes of tests take the same one, whether by its path or by its name.
    const PATH = dirname(node) + delimiter + process.env.PATH;
    return !run(node, [...JEST, ...positionals], { ...process.env, PATH });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
console.log(failed.length === 0 ? 'All versions pass' : `Failed: ${failed.join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
