/**
 * What changes underneath an open log: the process may not make files larger (RLIMIT_FSIZE), the directory becomes
 * read-only, is removed, or is moved away.
 *
 * Every operation in turn meets it first. Errors name the kernel's reason, the child ends by itself, and what was
 * acknowledged is where the files are.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { backEnds, temporaryDirectory } from '../../support/logs.js';
import { Account, type Line } from './account.js';
import { checkErrors } from './checks.js';
import { Judge, type Outcome, runChild } from './children.js';

const ios = await backEnds();
const judge = new Judge();
afterAll(() => judge.end());

interface Disturbed extends Outcome {
  readonly place: string;
  readonly directory: string;
  readonly account: Account;
}

/** Runs `disturbed` with a command in which `$PLACE` is the directory that the log's own lies in. */
async function disturb(
  io: 'mmap' | 'write',
  first: string,
  command: string,
  reopen: boolean,
  prefix: string[] = [],
): Promise<Disturbed> {
  const place = temporaryDirectory();
  const directory = path.join(place, 'log');
  const account = new Account('other call failed');
  const options = { directory, io, segmentSize: 8192, preallocate: { segments: 0 } };
  const run = { script: 'disturbed', options, firstId: 1, command, first, reopen };
  const outcome = await runChild(run, account, prefix, { PLACE: place });
  const { status, signal, stderr, hung, lines } = outcome;
  expect({ status, signal, stderr, hung }).toEqual({ status: 0, signal: null, stderr: '', hung: false });
  expect(lines.at(-1)).toEqual({ end: true });
  return { ...outcome, place, directory, account };
}

/** The errors of a step, behind the command. */
const errorsOf = (lines: Line[], step: string) => {
  return lines.flatMap(({ error }) => (error?.step === step ? [error.code] : []));
};

const OPERATIONS = ['append', 'batch', 'purge', 'truncate'];
/** Those that create, rename or remove files. What they do not need goes on in the files that are open. */
const ON_NAMES = ['rotate', 'purge', 'truncate'];
const each = (operations: string[]) => ios.flatMap((io) => operations.map((first) => ({ io, first })));

describe('files may not grow any more (RLIMIT_FSIZE)', () => {
  test.each(each(OPERATIONS))('behind a part of a record: $first first, io: $io', async ({ io, first }) => {
    const { lines, directory, account } = await disturb(io, first, 'prlimit --pid $PPID --fsize=5900:', true);
    checkErrors(lines, 'EFBIG');
    expect(errorsOf(lines, first).length).toBeGreaterThan(0);
    await judge.judge({ directory, io, segmentSize: 8192 }, account);
  });

  test.each(each(['purge']))('at all: $first first, io: $io', async ({ io, first }) => {
    const { lines, directory, account } = await disturb(io, first, 'prlimit --pid $PPID --fsize=0:', true);
    checkErrors(lines, 'EFBIG');
    expect(errorsOf(lines, first)[0]).toBe('ERR_VARVE_IO');
    expect(errorsOf(lines, 'open')).toEqual(['ERR_VARVE_IO']); // not even the lock file can be written
    await judge.judge({ directory, io, segmentSize: 8192 }, account);
  });
});

/** The first error of an operation: `IO` where it is refused before anything has been changed. */
const firstError = (first: string, refused: string[]) => {
  return refused.includes(first) ? 'ERR_VARVE_IO' : 'ERR_VARVE_PARTITION_FAILED';
};

describe('the directory becomes read-only', () => {
  // Over the place, since a mount cannot become read-only while files in it are open for writing.
  const command = 'mount --bind "$PLACE" "$PLACE" && mount -o remount,bind,ro "$PLACE"';
  const probe = { env: { ...process.env, PLACE: temporaryDirectory() } };
  const permitted = spawnSync('unshare', ['-Urm', 'sh', '-c', command], probe).status === 0;
  if (!permitted && process.env.VARVE_KERNEL !== undefined) throw new Error('no user namespace with a bind mount');
  if (!permitted) console.warn('skipped: no user namespace in which a directory could be mounted (unshare -Urm)');

  (permitted ? test : test.skip).each(each(ON_NAMES))('$first first, io: $io', async ({ io, first }) => {
    const { lines, directory, account } = await disturb(io, first, command, true, ['unshare', '-Urm']);
    checkErrors(lines, 'EROFS');
    expect(errorsOf(lines, first)[0]).toBe(firstError(first, ['purge']));
    expect(errorsOf(lines, 'open')).toEqual(['ERR_VARVE_IO']);
    await judge.judge({ directory, io, segmentSize: 8192 }, account);
  });
});

describe('the directory goes away', () => {
  test.each(each(ON_NAMES))('moved: the log is where it was moved to; $first first, io: $io', async ({ io, first }) => {
    const command = 'mv "$PLACE/log" "$PLACE/moved"';
    const { lines, place, directory, account } = await disturb(io, first, command, false);
    checkErrors(lines, 'ENOENT');
    expect(errorsOf(lines, first)[0]).toBe(firstError(first, ['purge', 'truncate']));
    expect(existsSync(directory)).toBe(false); // nothing was begun anew in the old place
    await judge.judge({ directory: path.join(place, 'moved'), io, segmentSize: 8192 }, account);
  });

  test.each(each(ON_NAMES))('removed: $first first, io: $io', async ({ io, first }) => {
    const { lines, directory } = await disturb(io, first, 'rm -rf "$PLACE/log"', false);
    checkErrors(lines, 'ENOENT');
    expect(errorsOf(lines, first)[0]).toBe(firstError(first, ['purge', 'truncate']));
    expect(existsSync(directory)).toBe(false);
    // Who knows what was acknowledged is told; who does not begins anew.
    const options = { directory, io, segmentSize: 8192 };
    const run = { script: 'look', options: { ...options, minDurableLsn: { 1: 3 } }, firstId: 1 };
    const knowing = await runChild(run, new Account('killed'));
    expect(errorsOf(knowing.lines, 'open')).toEqual(['ERR_VARVE_CORRUPT']);
    await judge.judge(options, new Account('killed'));
  });
});
