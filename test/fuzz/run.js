/**
 * Runs the fuzzers for a while, over the sources, and tells how they get on:
 *
 *   node test/fuzz/run.js [--minutes 10] [--seed 1]
 *
 * A failure prints the seed and path that replay it.
 */
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string', default: '1' } },
});
for (const [name, value] of Object.entries(values)) {
  if (!(Number(value) > 0)) throw new Error(`--${name} must be a number above 0, not '${value}'`);
}
const jest = ['node_modules/jest/bin/jest.js', '--selectProjects', 'property', '--testPathPatterns', 'property/fuzz'];
const env = { ...process.env, VARVE_FUZZ_MINUTES: values.minutes, VARVE_FUZZ_SEED: values.seed };
const child = spawn(process.execPath, ['--experimental-vm-modules', '--no-warnings', ...jest], {
  stdio: 'inherit',
  env,
});
child.on('exit', (code) => {
  process.exitCode = code ?? 1;
});
