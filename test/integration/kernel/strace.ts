/** Running a child under strace, which makes chosen system calls on a log's files fail. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Account } from './account.js';
import { type Outcome, type Run, runChild } from './children.js';

/** What is made to fail: `calls` are spellings of the same call, of which a machine has one or two. */
export interface Injection {
  readonly calls: string;
  readonly error: 'EIO' | 'ENOSPC';
  /** The nth such call of a thread fails. */
  readonly nth: number;
  /** And all that follow. */
  readonly onwards: boolean;
}

/** A call on one of the log's files, as strace saw it. */
export interface TracedCall {
  readonly name: string;
  /** File names in it: of a descriptor the one that the file bears at the time. */
  readonly files: string[];
  readonly thread: string;
  readonly injected: boolean;
}

/** Every file name that a short run can use: with `-P`, strace heeds calls on these alone. */
function logFiles(directory: string): string[] {
  const names = ['LOCK', 'MANIFEST', 'MANIFEST.tmp', 'rewind_1.wal'];
  for (let i = 1; i <= 20; i++) {
    const number = String(i).padStart(10, '0');
    names.push(`part_1_${number}.wal`, `ready_${number}.wal`, `recycle_${number}.wal`);
  }
  return [directory, ...names.map((name) => path.join(directory, name))];
}

/** Why children cannot be run under strace here, in words for a person; undefined where they can. */
export function straceProblem(): string | undefined {
  const args = ['-f', '--seccomp-bpf', '-o', '/dev/null', '-e', 'inject=fsync:error=EIO:when=1', 'true'];
  const { error, status, stderr } = spawnSync('strace', args, { encoding: 'utf8' });
  if (error !== undefined) return `strace cannot be started (${error.message})`;
  return status === 0 ? undefined : `strace may not trace here (${stderr.trim().split('\n')[0]})`;
}

/** Runs a child whose calls on the log's files are traced, with `injection` where it is given. */
export async function runTraced(
  run: Run,
  account: Account,
  traced: string,
  injection: Injection | undefined,
  env: NodeJS.ProcessEnv,
): Promise<Outcome & { calls: TracedCall[] }> {
  const place = mkdtempSync(path.join(tmpdir(), 'varve-strace-'));
  const output = path.join(place, 'trace');
  const args = ['-f', '--seccomp-bpf', '-y', '-s', '0', '-e', 'signal=none', '-o', output, '-e', `trace=${traced}`];
  if (injection !== undefined) {
    const { calls, error, nth, onwards } = injection;
    args.push('-e', `inject=${calls}:error=${error}:when=${nth}${onwards ? '+' : ''}`);
  }
  for (const file of logFiles(run.options.directory)) args.push('-P', file);
  try {
    // One thread of each kind, and no io_uring, which strace cannot see into: so the nth call is the same in each run.
    const threads = { UV_THREADPOOL_SIZE: '1', UV_USE_IO_URING: '0' };
    const outcome = await runChild(run, account, ['strace', ...args], { ...threads, ...env });
    return { ...outcome, calls: parse(readFileSync(output, 'utf8')) };
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/** Lines as `4711  fdatasync(23</tmp/x/part_1_0000000001.wal>) = -1 EIO (Input/output error) (INJECTED)`, by begin. */
function parse(trace: string): TracedCall[] {
  const calls: TracedCall[] = [];
  const begun = new Map<string, number>();
  for (const line of trace.split('\n')) {
    const [, thread = '', resumed, name = '', rest = ''] = /^(\d+)\s+(<\.\.\. )?(\w+)[( ](.*)/.exec(line) ?? [];
    if (name === '') continue; // the end of a thread
    const injected = rest.includes('(INJECTED)');
    const at = begun.get(thread);
    if (resumed !== undefined && at !== undefined) {
      calls[at] = { ...(calls[at] as TracedCall), injected };
      continue;
    }
    const files = [...rest.matchAll(/[<"]([^<>"]*)[>"]/g)].map(([, file = '']) => path.basename(file));
    begun.set(thread, calls.push({ name, files, thread, injected }) - 1);
  }
  return calls;
}
