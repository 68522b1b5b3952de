/**
 * The lock file's content, the owner's process id, and the lock that is made of nothing else.
 *
 * On Linux the content only tells whom to blame. On other platforms, where Node reaches no lock of the kernel, the file
 * itself is the lock: created exclusively, removed at release, taken over when the process that it names is gone. That
 * is weaker: a number that another process has got meanwhile keeps the lock, and two processes that take over a dead
 * one's lock in the same instant may both believe that they hold it. Called by lock.ts alone.
 */
import fs from 'node:fs';
import path from 'node:path';
import { VarveError } from '../errors.js';
import type { DiskLock } from './disk.js';
import { named, type SystemError } from './system-error.js';

/** The error for whoever comes second. */
export function locked(lockPath: string, pid: number | undefined): VarveError {
  const owner =
    pid === undefined ? 'another process' : pid === process.pid ? `this process (${pid})` : `process ${pid}`;
  const message =
    `The log in ${path.dirname(lockPath)} is open in ${owner} (${path.basename(lockPath)}): ` +
    'close it there, or open it with readOnly: true to read beside its owner';
  return new VarveError('ERR_VARVE_LOCKED', message, { path: lockPath, ...(pid !== undefined && { pid }) });
}

/** The living process that the lock file names; undefined where it names none. */
export function readOwner(lockPath: string): number | undefined {
  const pid = readPid(lockPath);
  return pid !== undefined && isAlive(pid) ? pid : undefined;
}

/** Makes this process's id the content of the open file. */
export function writePid(fd: number): void {
  const content = `${process.pid}\n`;
  // Not the other way round: a reader in between would find an empty file. As it is, it reads the first line.
  fs.writeSync(fd, content, 0);
  fs.ftruncateSync(fd, content.length);
}

/** The process id in the file; undefined where there is no file, no right to read it, or no number in it. */
function readPid(lockPath: string): number | undefined {
  let content: string;
  try {
    content = fs.readFileSync(lockPath, 'utf8');
  } catch (error) {
    if ((error as SystemError).code === 'ENOENT' || (error as SystemError).code === 'EACCES') return undefined;
    throw named(error, lockPath);
  }
  const line = /^([1-9]\d*)\n/.exec(content)?.[1];
  return line === undefined ? undefined : Number(line);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as SystemError).code === 'EPERM'; // it lives, and belongs to somebody else
  }
}

/** The weaker lock, for platforms other than Linux. Rejects with `ERR_VARVE_LOCKED`, or with the system's error. */
export async function pidFileLock(lockPath: string): Promise<DiskLock> {
  try {
    if (!create(lockPath)) {
      const pid = readPid(lockPath);
      // A file without a number is one that its owner is about to fill. One that it died over must be removed by hand.
      if (pid === undefined || isAlive(pid)) throw locked(lockPath, pid);
      fs.unlinkSync(lockPath);
      if (!create(lockPath)) throw locked(lockPath, readPid(lockPath)); // somebody else was faster
    }
  } catch (error) {
    throw named(error, lockPath);
  }
  let held = true;
  return {
    async release() {
      if (held) fs.unlinkSync(lockPath);
      held = false;
    },
  };
}

/** Creates the file with this process's id in it; false when it exists. */
function create(lockPath: string): boolean {
  let fd: number;
  try {
    fd = fs.openSync(lockPath, 'wx', 0o644);
  } catch (error) {
    if ((error as SystemError).code === 'EEXIST') return false;
    throw error;
  }
  try {
    writePid(fd);
  } finally {
    fs.closeSync(fd);
  }
  return true;
}
