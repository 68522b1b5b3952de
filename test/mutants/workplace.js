/** A copy of the project to break: its sources compiled without type checks, its tests run by Jest in a child process. */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { transformSync } from '@swc/core';

/** What a copy does without: made things, and the tests of the text of the sources, which every patch fails. */
const NOT_COPIED = [
  '.git',
  '.nodes',
  'coverage',
  'dist',
  'node_modules',
  'examples/data',
  'test/unit/actors/diagram.test.ts',
  'test/unit/architecture.test.ts',
  'test/unit/mutants.test.ts',
];

/** Of one unit test: more than Jest's own 5 s, since a machine that is busy must kill no mutant. */
const QUICK_TEST_LIMIT_MS = 20_000;

/** As in jest.config.js, so that both run the same. */
const COMPILER = /** @type {const} */ ({
  jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
  module: { type: 'es6' },
});

/**
 * @typedef {object} TestRun
 * @property {'passed' | 'failed' | 'hung' | 'broken'} outcome `broken`: no test failed, but not all could be run.
 * @property {string | undefined} [what] The first test that failed, or what was broken.
 * @property {boolean | undefined} [timedOut] That test failed by not ending.
 */

/**
 * @typedef {object} Wish
 * @property {string[]} [files] Test files; else the unit and property tests, all of them.
 * @property {number} runs VARVE_TEST_RUNS.
 * @property {number} workers
 * @property {number} limitMs Of the whole run.
 * @property {number} testLimitMs Of one slow test.
 * @property {string} seed Of fast-check.
 */

export class Workplace {
  #scratch;
  #temporary;
  /** Root of the copy. */
  root;

  /**
   * @param {string} project
   * @param {string} scratch An empty directory.
   */
  constructor(project, scratch) {
    this.#scratch = scratch;
    this.root = path.join(scratch, 'copy');
    this.#temporary = path.join(scratch, 'tmp');
    mkdirSync(this.#temporary);
    cpSync(project, this.root, {
      recursive: true,
      filter: (from) => !NOT_COPIED.includes(path.relative(project, from).split(path.sep).join('/')),
    });
    symlinkSync(path.join(project, 'node_modules'), path.join(this.root, 'node_modules'));
  }

  /** Compiles `src/` to `dist/`, for threads and child processes. Throws where a source does not parse. */
  build() {
    const { root } = this;
    rmSync(path.join(root, 'dist'), { recursive: true, force: true });
    for (const name of readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' })) {
      if (name.endsWith('.ts')) this.compile(path.join('src', name));
    }
  }

  /**
   * Compiles one file, `src/….ts`, to `dist/….js`.
   *
   * @param {string} file
   */
  compile(file) {
    const to = path.join(this.root, 'dist', path.relative('src', file).replace(/\.ts$/, '.js'));
    mkdirSync(path.dirname(to), { recursive: true });
    const { code } = transformSync(readFileSync(path.join(this.root, file), 'utf8'), { ...COMPILER, filename: file });
    writeFileSync(to, code);
  }

  /** Why what was compiled cannot be loaded; undefined where it can. */
  async loadProblem() {
    const loads = ["import('./dist/index.js')", "import('./dist/testing/index.js')"];
    const { status, output } = await this.#node(
      ['--input-type=module', '-e', `await Promise.all([${loads}])`],
      {},
      60_000,
    );
    if (status === 0) return undefined;
    return output.split('\n').find((line) => /Error\b/.test(line)) ?? `status ${status}`;
  }

  /**
   * @param {Wish} wish
   * @returns {Promise<TestRun>}
   */
  async test({ files, runs, workers, limitMs, testLimitMs, seed }) {
    const report = path.join(this.#scratch, 'report.json');
    rmSync(report, { force: true });
    const jest = ['--experimental-vm-modules', '--no-warnings', 'node_modules/jest/bin/jest.js', '--silent'];
    const how = ['--reporters=<rootDir>/test/mutants/reporter.js', `--maxWorkers=${workers}`, '--forceExit'];
    const cache = `--cacheDirectory=${path.join(this.#scratch, 'cache')}`;
    const limit = `--testTimeout=${QUICK_TEST_LIMIT_MS}`;
    const which = files === undefined ? ['--selectProjects', 'unit', 'property'] : ['--runTestsByPath', ...files];
    const environment = {
      VARVE_TEST_RUNS: String(runs),
      VARVE_TEST_LIMIT_MS: String(testLimitMs),
      VARVE_TEST_SEED: seed,
      VARVE_MUTANTS_REPORT: report,
    };
    const { status, output } = await this.#node([...jest, ...how, cache, limit, ...which], environment, limitMs);
    if (status === 'hung') return { outcome: 'hung' };
    if (existsSync(report)) return JSON.parse(readFileSync(report, 'utf8'));
    return { outcome: 'broken', what: `Jest ended without a report (${status}): ${output.trim().slice(-300)}` };
  }

  /**
   * Runs Node in the copy; past `limitMs` it is killed, with all that it has started.
   *
   * @param {string[]} args
   * @param {Record<string, string>} environment
   * @param {number} limitMs
   * @returns {Promise<{ status: number | string | null, output: string }>}
   */
  #node(args, environment, limitMs) {
    return new Promise((resolve, reject) => {
      // What a test that is killed leaves behind goes with the rest of the copy.
      const env = { ...process.env, TMPDIR: this.#temporary, ...environment };
      const child = spawn(process.execPath, args, { cwd: this.root, env, detached: true, stdio: 'pipe' });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text) => {
          output = (output + text).slice(-10_000);
        });
      }
      let hung = false;
      const endGroup = () => {
        if (child.pid !== undefined) killGroup(child.pid);
      };
      const timer = setTimeout(() => {
        hung = true;
        endGroup();
      }, limitMs);
      process.once('exit', endGroup);
      child.once('error', reject);
      child.once('close', (code, signal) => {
        clearTimeout(timer);
        endGroup();
        process.removeListener('exit', endGroup);
        resolve({ status: hung ? 'hung' : (code ?? signal), output });
      });
    });
  }
}

/**
 * Kills the process group `pid`; it may have ended by itself just now.
 *
 * @param {number} pid
 */
function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ESRCH') throw error;
  }
}
