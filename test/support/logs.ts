/** Directories, logs and payloads for tests on the real disk. */
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach } from '@jest/globals';
import { realDisk } from '../../src/disk/real-disk.js';
import { type Log, type OpenLogOptions, openLog, type VarveErrorCode } from '../../src/index.js';
import { FaultyDisk } from './faulty-disk.js';

const made: string[] = [];
const opened: Log[] = [];
const disks: FaultyDisk[] = [];

afterEach(async () => {
  // What a test has not closed itself, it does not care about.
  await Promise.allSettled(opened.splice(0).map((log) => log.close()));
  for (const disk of disks.splice(0)) await disk.close();
});

afterAll(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** A new, empty directory, removed after the test file. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(path.join(realpathSync(tmpdir()), 'varve-log-'));
  made.push(directory);
  return directory;
}

/** Opens a log that is closed after the test. */
export async function openTestLog(options: OpenLogOptions): Promise<Log> {
  const log = await openLog(options);
  opened.push(log);
  return log;
}

/** A faulty disk over the real one, given back after the test. */
export function faultyDisk(): FaultyDisk {
  const disk = new FaultyDisk(realDisk());
  disks.push(disk);
  return disk;
}

/** The back ends that work in the temporary directory. */
export async function backEnds(): Promise<('mmap' | 'write')[]> {
  const disk = realDisk();
  const { map } = await disk.features(tmpdir());
  await disk.close();
  return map ? ['mmap', 'write'] : ['write'];
}

/** `size` bytes that only `id` gives: its own text first, as far as it fits. */
export function payloadOf(id: string | number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const text = Buffer.from(`${id};`);
  for (let i = 0; i < size; i++) bytes[i] = ((text[i % text.length] as number) + Math.floor(i / text.length)) & 0xff;
  return bytes;
}

export const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
export const bytesOf = (value: string): Uint8Array => new TextEncoder().encode(value);

/** Lets everything run that is ready to: promises, immediates, and what they make ready. */
export async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
}

/** Waits for what must come. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** The code of the error that `promise` rejects with; 'resolved' if it does not. */
export async function codeOf(promise: Promise<unknown>): Promise<VarveErrorCode | 'resolved' | undefined> {
  try {
    await promise;
    return 'resolved';
  } catch (error) {
    return (error as { code?: VarveErrorCode }).code;
  }
}

/** Whether `promise` settles while everything runs that can. */
export async function settles(promise: Promise<unknown>, count = 50): Promise<boolean> {
  let settled = false;
  const note = () => {
    settled = true;
  };
  promise.then(note, note);
  for (let i = 0; i < count && !settled; i++) await new Promise((resolve) => setTimeout(resolve, 1));
  return settled;
}

/** Rejects if `promise` has not settled after `seconds`: a lost wake-up then fails with a name instead of hanging. */
export async function within<T>(promise: Promise<T>, what: string, seconds = 20): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} has not settled after ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Files and mappings of this process that lie in `directory`; undefined where the system does not say. */
export function heldIn(directory: string): string[] | undefined {
  if (process.platform !== 'linux') return undefined;
  const held: string[] = [];
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      if (target.startsWith(directory)) held.push(target);
    } catch {
      // The descriptor that read the directory itself.
    }
  }
  for (const line of readFileSync('/proc/self/maps', 'utf8').split('\n')) {
    const at = line.indexOf(directory);
    if (at >= 0) held.push(`mapped ${line.slice(at)}`);
  }
  return held;
}
