/** Directories and child processes for the tests of the real disk. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll } from '@jest/globals';

const made: string[] = [];

afterAll(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** A new, empty directory, removed after the test file. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(path.join(realpathSync(tmpdir()), 'varve-disk-'));
  made.push(directory);
  return directory;
}

const built = (module: string) => JSON.stringify(new URL(`../../../dist/disk/${module}.js`, import.meta.url).href);

/** Another process, which runs `code` as a module with `realDisk` (as compiled) at hand. */
export class Child {
  readonly process: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  /** `command` is what runs Node, with Node and its arguments appended. */
  constructor(code: string, env: NodeJS.ProcessEnv = {}, command: string[] = []) {
    const whole = `import { realDisk } from ${built('real-disk')};\n${code}`;
    const [program, ...args] = [...command, process.execPath, '--input-type=module', '-e', whole];
    this.process = spawn(program as string, args, {
      env: { ...process.env, NODE_OPTIONS: '', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (this.process.stdout === null) throw new Error('no pipe to the child');
    this.#lines = createInterface(this.process.stdout)[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.process.pid as number;
  }

  /** The next line that the child prints; undefined when it ends without one. */
  async line(): Promise<string | undefined> {
    return (await this.#lines.next()).value;
  }

  /** Exit code or signal. */
  async end(): Promise<number | string> {
    const { exitCode, signalCode } = this.process;
    if (exitCode !== null || signalCode !== null) return exitCode ?? (signalCode as string);
    const [code, signal] = await once(this.process, 'exit');
    return code ?? signal;
  }

  /** SIGKILL, and wait until it is gone. */
  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.end();
  }
}
