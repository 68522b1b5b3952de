/**
 * The built package over a kernel whose calls fail: strace makes the nth fdatasync, write, rename, … of a child return
 * EIO or ENOSPC, once or from then on, for each n in turn.
 *
 * Whatever fails: the child ends by itself, every error is a VarveError that says what the kernel said, nothing is
 * acknowledged behind a failed sync, and a fresh process finds everything that was acknowledged.
 *
 * VARVE_KERNEL=full injects at every n, both errors; otherwise some of each. VARVE_KERNEL set at all makes it a
 * failure, instead of a reason to skip, that strace does not work.
 */
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { backEnds, temporaryDirectory } from '../../support/logs.js';
import { Account, type Line } from './account.js';
import { checkErrors } from './checks.js';
import { Judge } from './children.js';
import { type Injection, runTraced, straceProblem, type TracedCall } from './strace.js';

const FULL = process.env.VARVE_KERNEL === 'full';
const problem = straceProblem();
if (problem !== undefined && process.env.VARVE_KERNEL !== undefined) throw new Error(problem);
if (problem !== undefined) console.warn(`skipped: ${problem}`);

/** Each call by all its names. Those that begin with `?` are unknown to some machines. */
const CALLS = {
  fdatasync: 'fdatasync',
  fsync: 'fsync',
  fallocate: 'fallocate',
  pwrite: 'pwrite64,pwritev',
  ftruncate: 'ftruncate',
  rename: '?rename,?renameat,?renameat2',
  unlink: '?unlink,?unlinkat',
  open: '?open,?openat',
  pread: 'pread64',
  mmap: 'mmap',
};
type Call = keyof typeof CALLS;
const TRACED = Object.values(CALLS).join(',');

interface Setting {
  readonly name: string;
  readonly calls: Call[];
  readonly io: 'mmap' | 'write';
  readonly env: NodeJS.ProcessEnv;
}
const ALL = Object.keys(CALLS) as Call[];
const ios = await backEnds();
const withoutMapping = ALL.filter((call) => call !== 'mmap' && (call !== 'fallocate' || ios.includes('mmap')));
const settings: Setting[] = ios.map((io) => {
  return { name: `io: '${io}'`, io, env: {}, calls: io === 'mmap' ? ALL : withoutMapping };
});
// What is done in another way without native parts: space is reserved by writing zeros.
const otherwise: Call[] = ['fdatasync', 'pwrite', 'ftruncate', 'rename'];
settings.push({ name: 'no native parts', io: 'write', env: { VARVE_NATIVE: '0' }, calls: otherwise });

const judge = new Judge();
afterAll(() => judge.end());

/** Runs the program once, holds it to what every run promises, and returns the calls that strace saw. */
async function run({ io, env }: Setting, injection: Injection | undefined): Promise<TracedCall[]> {
  const directory = path.join(temporaryDirectory(), 'log');
  const account = new Account(injection?.calls.startsWith('f') ? 'sync failed' : 'other call failed');
  const options = { directory, io, segmentSize: 8192, recycle: 1, threads: 1 };
  // Where space never comes back, closing is what ends the waiting; where it does, that is long before.
  const traced = { script: 'lives', options, firstId: 1, patience: 700 };
  const { calls, lines, ...ended } = await runTraced(traced, account, TRACED, injection, env);
  expect(ended).toEqual({ status: 0, signal: null, stderr: '', hung: false });
  expect(lines.at(-1)).toEqual({ end: true });
  const failed = calls.filter(({ injected }) => injected);
  checkErrors(lines, failed.length > 0 ? injection?.error : undefined);
  checkSyncs(calls, lines);
  await judge.judge({ directory, segmentSize: 8192 }, account);
  return calls;
}

/** A failed sync of a segment is told, and the file is not synced or written again before it is opened again. */
function checkSyncs(calls: TracedCall[], lines: Line[]): void {
  calls.forEach(({ name, files: [file = ''], injected }, i) => {
    if (name !== 'fdatasync' || !injected || !file.startsWith('part_')) return;
    const refused = lines.some(({ failed, error }) => failed !== undefined || error?.step === 'open');
    expect(refused).toBe(true);
    const later = calls.slice(i + 1).filter(({ files }) => files.includes(file));
    const until = later.findIndex((call) => call.name.startsWith('open') && !call.injected);
    const same = until === -1 ? later : later.slice(0, until);
    expect(same.filter((call) => /^(fdatasync|pwrite)/.test(call.name))).toEqual([]);
  });
}

const occurs = (calls: TracedCall[], call: Call): number => {
  const names = CALLS[call].replaceAll('?', '').split(',');
  const perThread = new Map<string, number>();
  for (const { name, thread } of calls) {
    if (names.includes(name)) perThread.set(thread, (perThread.get(thread) ?? 0) + 1);
  }
  return Math.max(0, ...perThread.values());
};

/** Numbers from 1 to `count`: all, or `some`, evenly spread. */
function chosen(count: number, some: number): number[] {
  if (count <= some) return Array.from({ length: count }, (_, i) => i + 1);
  return Array.from({ length: some }, (_, i) => 1 + Math.floor(((i + 0.5) * count) / some));
}

/** What is injected into a program that makes `count` such calls. */
function injections(call: Call, count: number): Injection[] {
  const calls = CALLS[call];
  const some = call === 'fdatasync' || call === 'pwrite' ? 3 : 2;
  const found: Injection[] = [];
  const add = (nth: number, onwards: boolean, i: number) => {
    // Neither reading nor mapping can find the disk full.
    const errors = call === 'pread' || call === 'mmap' ? (['EIO'] as const) : (['EIO', 'ENOSPC'] as const);
    if (FULL) for (const error of errors) found.push({ calls, error, nth, onwards });
    else found.push({ calls, error: errors[i % errors.length] as 'EIO', nth, onwards });
  };
  for (const [i, nth] of chosen(count, FULL ? count : some).entries()) add(nth, false, i);
  for (const [i, nth] of chosen(count, FULL ? Math.ceil(count / 3) : 1).entries()) add(nth, true, i + 1);
  return found;
}

/** Two at a time. */
async function eachOf<T>(items: readonly T[], use: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const lane = async () => {
    for (const item of rest) await use(item);
  };
  await Promise.all([lane(), lane()]);
}

(problem === undefined ? describe : describe.skip).each(settings)('calls that fail, $name', (setting) => {
  const baseline = problem === undefined ? run(setting, undefined) : Promise.resolve([]);
  baseline.catch(() => {}); // the tests below await it

  test.each(setting.calls)(
    '%s',
    async (call) => {
      const count = occurs(await baseline, call);
      let hit = 0;
      await eachOf(injections(call, count), async (injection) => {
        try {
          const calls = await run(setting, injection);
          if (calls.some(({ injected }) => injected)) hit++;
        } catch (error) {
          (error as Error).message = `${JSON.stringify(injection)}: ${(error as Error).message}`;
          throw error;
        }
      });
      expect(hit).toBeGreaterThan(0);
    },
    FULL ? 1_800_000 : 120_000,
  );
});
