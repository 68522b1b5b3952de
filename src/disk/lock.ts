/**
 * The lock on a log's directory: exclusive, taken without waiting, and released by the kernel when its owner dies.
 *
 * On Linux it is made of two, since neither reaches everywhere:
 *
 * - An abstract Unix socket, bound to a name made of the directory's device and inode. Needs no native part. It is seen
 *   by all processes of one network namespace, so not by another container that shares the directory.
 * - flock(2) on the lock file, where the native part loads. It is seen wherever the file is, but lasts only as long as
 *   nobody removes the file.
 *
 * Elsewhere a file with the owner's process id must do (pid-lock.ts). Called by the real disk alone.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { createServer, type Server } from 'node:net';
import path from 'node:path';
import type { DiskLock } from './disk.js';
import { locked, pidFileLock, readOwner, writePid } from './pid-lock.js';
import type { NativeSyscalls } from './syscalls.js';
import { named, type SystemError } from './system-error.js';

/**
 * Takes the lock that the file `lockPath` stands for; the file is created where there is none, and stays for ever,
 * since removing it would open a gap. Rejects with `ERR_VARVE_LOCKED`, or with the system's error.
 */
export function acquireLock(lockPath: string, native: NativeSyscalls | undefined): Promise<DiskLock> {
  return process.platform === 'linux' ? kernelLock(lockPath, native) : pidFileLock(lockPath);
}

async function kernelLock(lockPath: string, native: NativeSyscalls | undefined): Promise<DiskLock> {
  /** How to give back what was taken, the latest last. */
  const held: (() => void | Promise<void>)[] = [];
  const giveBack = async () => {
    for (let last = held.pop(); last !== undefined; last = held.pop()) await last();
  };
  try {
    // Held open, so that the inode's number cannot pass to another directory while the socket's name stands for it.
    const directory = fs.openSync(path.dirname(lockPath), fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
    held.push(() => fs.closeSync(directory));
    const file = fs.openSync(lockPath, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o644);
    held.push(() => fs.closeSync(file));

    const { dev, ino } = fs.fstatSync(directory, { bigint: true });
    const socket = await bindSocket(socketName(`${dev}:${ino}:${path.basename(lockPath)}`), lockPath, native);
    if (socket !== undefined) held.push(() => closeServer(socket));

    lockFile(file, lockPath, native);
    writePid(file);
  } catch (error) {
    await giveBack();
    throw named(error, lockPath);
  }
  return { release: giveBack };
}

/**
 * A name in the abstract namespace (its first byte is zero). It fills the address to its last byte, 108, because Node
 * versions differ in how they hand over a shorter one: with and without zeros up to that length, which are two names.
 */
function socketName(of: string): string {
  return `\0varve-lock-${createHash('sha256').update(of).digest('hex')}`.padEnd(108, '-');
}

/** The bound socket; undefined where a sandbox forbids such sockets and flock(2) is there to do without. */
function bindSocket(name: string, lockPath: string, native: NativeSyscalls | undefined): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((caller) => caller.destroy()); // nobody has business here
    server.once('error', (error: SystemError) => {
      if (error.code === 'EADDRINUSE') reject(locked(lockPath, readOwner(lockPath)));
      else if (native !== undefined) resolve(undefined);
      else reject(error);
    });
    // Exclusive: in a cluster's worker process the primary would otherwise share one socket among all.
    server.listen({ path: name, exclusive: true }, () => resolve(server));
    server.unref();
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)));
  });
}

function lockFile(fd: number, lockPath: string, native: NativeSyscalls | undefined): void {
  try {
    native?.lockExclusive(fd);
  } catch (error) {
    throw (error as SystemError).code === 'EAGAIN' ? locked(lockPath, readOwner(lockPath)) : error;
  }
}
