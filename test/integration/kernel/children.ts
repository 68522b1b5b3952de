/** Child processes that run the scripts on the built package, and what is made of their lines. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { text as textOf } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { OpenLogOptions } from 'varve';
import type { Account, Line } from './account.js';

const child = fileURLToPath(new URL('child.js', import.meta.url));
/** A child that has not ended by then hangs. Far more than any run takes, also on a busy machine. */
const HANG_MS = 40_000;

export interface Run {
  readonly script: string;
  readonly options: Partial<OpenLogOptions> & { directory: string };
  readonly firstId: number;
  /** Name of the crash point at which the child kills itself, or how many changes of the disk it makes before. */
  readonly kill?: string | number;
  /** Milliseconds after which the child closes its log when space is lacking. Default: never. */
  readonly patience?: number;
  /** What else the script wants to know. */
  readonly [argument: string]: unknown;
}

export interface Outcome {
  readonly lines: Line[];
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
  readonly hung: boolean;
}

/** Runs a script in a process of its own, started by `prefix` (`strace …`, say), and lets `account` hear its lines. */
export async function runChild(
  run: Run,
  account: Account,
  prefix: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<Outcome> {
  const [command = '', ...args] = [...prefix, process.execPath, child, JSON.stringify(run)];
  const running = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a process group, with what the prefix starts
    env: { ...process.env, NODE_OPTIONS: '', ...env },
  });
  let hung = false;
  const watchdog = setTimeout(() => {
    hung = true;
    process.kill(-(running.pid as number), 'SIGKILL');
  }, HANG_MS);
  const exited = once(running, 'exit');
  const [lines, stderr, [status, signal]] = await Promise.all([
    linesOf(running),
    textOf(running.stderr as NonNullable<typeof running.stderr>),
    exited,
  ]);
  clearTimeout(watchdog);
  for (const line of lines) account.hear(line);
  return { lines, status, signal, stderr, hung };
}

async function linesOf(running: ChildProcess): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const line of createInterface({ input: running.stdout as NonNullable<typeof running.stdout> })) {
    lines.push(JSON.parse(line)); // each is one write to a pipe, so none is cut in two
  }
  return lines;
}

/** A fresh process that opens one directory after another, judges what is in it, appends, and closes it. */
export class Judge {
  readonly #process = spawn(process.execPath, [child], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  readonly #lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  #last: Promise<unknown> = Promise.resolve();
  #nextId = 1_000_000;

  /** Rejects where the account does not hold, or the log cannot be opened, appended to and closed. */
  judge(options: Run['options'], account: Account): Promise<void> {
    const judged = this.#last.then(() => this.#judge(options, account));
    this.#last = judged.catch(() => {}); // its own caller hears of it
    return judged;
  }

  async #judge(options: Run['options'], account: Account): Promise<void> {
    const before = account.found;
    const run: Run = { script: 'judge', options: { ...options, verify: 'full' }, firstId: this.#nextId };
    this.#nextId += 1000;
    this.#process.stdin.write(`${JSON.stringify(run)}\n`);
    const lines: Line[] = [];
    while (!lines.at(-1)?.end) {
      const { value, done } = await this.#lines.next();
      if (done) throw new Error('the judging process has ended');
      lines.push(JSON.parse(value));
    }
    for (const line of lines) {
      if (line.error !== undefined) throw new Error(`${line.error.step}: ${line.error.message}`);
      account.hear(line);
    }
    if (account.found < before + 2) throw new Error('not opened twice');
  }

  async end(): Promise<void> {
    const exited = once(this.#process, 'exit');
    this.#process.stdin.end();
    await exited;
  }
}
