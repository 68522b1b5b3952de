/**
 * The Disk port in memory, deterministic from one seed: for tests of what a crash, a failing or a full disk does.
 *
 * ```ts
 * const disk = new SimulatedDisk({ seed: 1 });
 * const log = await openLog({ directory: '/data', disk });
 * …
 * const after = disk.crashed(new Random(2));      // another disk: what a power loss at this moment may leave
 * await openLog({ directory: '/data', disk: after });
 * ```
 *
 * It keeps what the port promises (one contract suite runs against it and against the real disk), and is as unkind as the
 * port allows: nothing is durable before it was synced, names apart from data. What a power loss may leave is told in
 * crash.ts. Every disk made by `crashed`, `processCrash` or `clone` goes on by itself; so does the one it came from.
 */
import { posix } from 'node:path';
import type { Disk, DiskFeatures, DiskFile, DiskLock, OpenMode } from '../disk/disk.js';
import { VarveError } from '../errors.js';
import { type CrashChoice, chooseCrash, type Extreme } from './crash.js';
import { Directories } from './directories.js';
import { type Fault, Faults } from './faults.js';
import type { Inode } from './inode.js';
import {
  type Operation,
  type OperationHook,
  type OperationKind,
  type Schedule,
  Scheduler,
  type Turn,
} from './operations.js';
import { type Chance, Odometer, Random } from './random.js';
import { type FileHost, faultError, SimulatedFile } from './simulated-file.js';

const EPOCH_MS = Date.UTC(2026, 0, 1);

export interface SimulatedDiskOptions {
  /** Of everything left to chance: random bytes, order of operations. Default 1. */
  readonly seed?: number;
  /** When operations that wait come to an end. Default 'order': at once. */
  readonly schedule?: Schedule | Turn;
  /** Bytes that files can take up. Default: no limit. */
  readonly capacity?: number;
  /** Default true. */
  readonly map?: boolean;
  /** Default true. */
  readonly fallocate?: boolean;
  /** Keep a list of all operations. Default false. */
  readonly record?: boolean;
}

export class SimulatedDisk implements Disk, FileHost {
  readonly faults = new Faults();
  /** All operations so far, if they are recorded. */
  readonly operations: Operation[] = [];
  /** Called right before each operation takes effect, and right after. */
  onOperation: OperationHook | undefined;
  readonly options: Required<SimulatedDiskOptions>;
  /** Bytes that files can take up. May be changed at any time. */
  capacity: number;
  #directories = new Directories();
  readonly #locks = new Set<string>();
  readonly #held = new Map<object, string>();
  #random: Random;
  readonly #scheduler: Scheduler;
  #now = EPOCH_MS;
  #operations = 0;

  constructor(options: SimulatedDiskOptions = {}) {
    const { seed = 1, schedule = 'order', capacity = Number.POSITIVE_INFINITY } = options;
    const { map = true, fallocate = true, record = false } = options;
    this.options = { seed, schedule, capacity, map, fallocate, record };
    this.capacity = capacity;
    this.#random = new Random(seed);
    this.#scheduler = new Scheduler(schedule, this.#random.fork());
  }

  /** What a power loss at this moment may leave, as a disk of its own: by chance, or by an extreme or a choice. */
  crashed(random: Chance, choice: CrashChoice | Extreme = chooseCrash(random)): SimulatedDisk {
    const chosen = typeof choice === 'string' ? { data: choice, names: choice, sizes: choice } : choice;
    return this.#successor(this.#directories.crashed(chosen, random));
  }

  /**
   * Every disk that a power loss at this moment may leave, if there are at most `limit`; else undefined. Of each write
   * every whole sector may have survived or not; torn sectors are left to `crashed`.
   */
  allCrashed(limit: number): SimulatedDisk[] | undefined {
    const found = new Map<string, SimulatedDisk>();
    const decisions = new Odometer();
    for (let count = 1; ; count++) {
      if (count > 4 * limit || found.size > limit) return undefined; // decisions may come to the same
      const disk = this.crashed(decisions, { data: 'sectors', names: 'some', sizes: 'some' });
      found.set(disk.fingerprint(), disk);
      if (!decisions.advance()) break;
    }
    return found.size > limit ? undefined : [...found.values()];
  }

  /**
   * What a SIGKILL at this moment leaves, as a disk of its own: all that was written, no locks. `cache: 'dropped'`: clean
   * pages left the page cache meanwhile, so that what a failed fsync has lost is gone.
   */
  processCrash({ cache = 'kept' }: { readonly cache?: 'kept' | 'dropped' } = {}): SimulatedDisk {
    const disk = this.clone();
    disk.#locks.clear();
    if (cache === 'dropped') disk.#directories.dropCache();
    return disk;
  }

  /** A disk in the same state, without handles, fault rules and hook. */
  clone(): SimulatedDisk {
    const disk = this.#successor(this.#directories.clone());
    for (const lock of this.#locks) disk.#locks.add(lock);
    return disk;
  }

  /** Bytes that files take up. */
  get used(): number {
    return this.#directories.used;
  }

  get free(): number {
    return this.capacity === Number.POSITIVE_INFINITY ? this.capacity : this.capacity - this.used;
  }

  /** What is open (`file …`), mapped (`mapping …`) and locked (`lock …`), sorted: nothing, once a log was closed. */
  get held(): string[] {
    return [...this.#held.values(), ...[...this.#locks].map((path) => `lock ${path}`)].sort();
  }

  hold(what: object, name: string): void {
    this.#held.set(what, name);
  }

  letGo(what: object): void {
    this.#held.delete(what);
  }

  get canMap(): boolean {
    return this.options.map;
  }

  get canAllocate(): boolean {
    return this.options.fallocate;
  }

  /** Lets virtual time pass. */
  advance(milliseconds: number): void {
    this.#now += milliseconds;
  }

  /** Content of a file, as a read would see it; undefined where there is none. */
  contentOf(path: string): Uint8Array | undefined {
    return this.#directories.find(path)?.cached.slice();
  }

  /** Changes bytes of a file behind everyone's back, in the cache and on the disk: damage. */
  damage(path: string, offset: number, bytes: Uint8Array): void {
    const inode = this.#directories.get(path, 'damage');
    inode.write(offset, bytes);
    inode.finishSync(inode.beginSync());
  }

  /**
   * The same for disks that hold the same names, bytes and reserved space, whatever became of them before; only of a disk
   * on which everything is durable, as a power loss leaves it.
   */
  fingerprint(): string {
    return this.#directories.fingerprint();
  }

  /**
   * A latent sector error: whatever reads from the 512 bytes around `offset` fails with EIO, after a crash too, until they
   * have been written again.
   */
  spoil(path: string, offset: number): void {
    this.#directories.get(path, 'spoil').spoil(offset);
  }

  /** All of the file can be read again. */
  mend(path: string): void {
    this.#directories.get(path, 'mend').mend();
  }

  // The Disk port

  now(): number {
    return this.#now;
  }

  randomBytes(length: number): Uint8Array {
    return this.#random.bytes(length);
  }

  async features(directory: string): Promise<DiskFeatures> {
    this.#directories.refuseMissing(directory, 'statfs');
    const { map, fallocate } = this.options;
    const limits = map && fallocate ? '' : 'the simulated disk was told not to map or not to allocate';
    return { map, fallocate, fileSystem: 'simulated', limits };
  }

  makeDirectory(directory: string): Promise<void> {
    return this.run('makeDirectory', directory, this, () => () => this.#directories.make(directory));
  }

  list(directory: string): Promise<string[]> {
    return this.run('list', directory, this, () => () => this.#directories.list(directory));
  }

  open(path: string, mode: OpenMode): Promise<DiskFile> {
    return this.run(mode === 'create' ? 'create' : 'open', path, this, () => () => {
      const inode = mode === 'create' ? this.#directories.create(path) : this.#directories.get(path, 'open');
      return new SimulatedFile(path, inode, this, mode !== 'read');
    });
  }

  rename(from: string, to: string): Promise<void> {
    const work = () => () => this.#directories.rename(from, to);
    return this.run('rename', from, this.#target(posix.dirname(from)), work, 0, 0, to);
  }

  unlink(path: string): Promise<void> {
    return this.run('unlink', path, this.#target(posix.dirname(path)), () => () => this.#directories.unlink(path));
  }

  syncDirectory(directory: string): Promise<void> {
    const work = () => this.#directories.beginSync(directory);
    return this.run('syncDirectory', directory, this.#target(directory), work);
  }

  lock(path: string): Promise<DiskLock> {
    return this.run('lock', path, this, () => () => {
      if (this.#directories.find(path) === undefined) this.#directories.create(path);
      if (this.#locks.has(path)) {
        throw new VarveError('ERR_VARVE_LOCKED', `${path} is locked by this process.`, { path, pid: process.pid });
      }
      this.#locks.add(path);
      return {
        release: async () => {
          this.#locks.delete(path);
        },
      };
    });
  }

  async freeBytes(directory: string): Promise<number> {
    this.#directories.refuseMissing(directory, 'statfs');
    return Math.min(this.free, Number.MAX_SAFE_INTEGER);
  }

  async close(): Promise<void> {}

  // What its files ask of it

  pathOf(inode: Inode, opened: string): string {
    if (inode.name === undefined || opened.endsWith(`/${inode.name}`)) return opened;
    return posix.join(posix.dirname(opened), inode.name);
  }

  /**
   * Runs an operation that waits: `work` begins it and returns what ends it, which is when it takes effect. Nothing else
   * happens between the end and the hooks around it.
   */
  async run<T>(
    kind: OperationKind,
    path: string,
    target: object,
    work: (fault: Fault | undefined, operation: Operation) => () => T,
    offset = 0,
    length = 0,
    to?: string,
  ): Promise<T> {
    const operation = this.#begin(kind, path, offset, length, to);
    const fault = this.faults.match(operation);
    const end = work(fault, operation);
    await this.#scheduler.turn(operation, target);
    if (fault !== undefined && 'hold' in fault) await fault.hold;
    return this.#take(operation, fault, kind === 'allocate', end);
  }

  runNow<T>(kind: OperationKind, path: string, work: (fault: Fault | undefined) => T, offset = 0, length = 0): T {
    const operation = this.#begin(kind, path, offset, length, undefined);
    const fault = this.faults.match(operation);
    return this.#take(operation, fault, kind === 'write', () => work(fault));
  }

  #take<T>(operation: Operation, fault: Fault | undefined, failsItself: boolean, work: () => T): T {
    this.onOperation?.(operation, 'before');
    if (fault !== undefined && 'delay' in fault) this.advance(fault.delay);
    this.#now++;
    try {
      if (fault !== undefined && 'error' in fault && !failsItself) {
        throw faultError(fault.error, operation.kind, operation.path);
      }
      return work();
    } finally {
      this.onOperation?.(operation, 'after');
    }
  }

  #begin(kind: OperationKind, path: string, offset: number, length: number, to: string | undefined): Operation {
    const operation = { index: this.#operations++, kind, path, to, offset, length };
    if (this.options.record) this.operations.push(operation);
    return operation;
  }

  /** What operations on a directory have in common: the scheduler keeps their order. */
  #target(directory: string): object {
    return this.#directories.at(directory) ?? this;
  }

  /** Another disk with these files, and the same options, clock and chance. */
  #successor(directories: Directories): SimulatedDisk {
    const disk = new SimulatedDisk(this.options);
    disk.#directories = directories;
    disk.#random = this.#random.clone();
    disk.#now = this.#now;
    disk.capacity = this.capacity;
    return disk;
  }
}
