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
import { constants } from 'node:os';
import { posix } from 'node:path';
import type { Disk, DiskFeatures, DiskFile, DiskLock, OpenMode } from '../disk/disk.js';
import { systemError } from '../disk/system-error.js';
import { VarveError } from '../errors.js';
import {
  applyChange,
  type CrashChoice,
  chooseCrash,
  crashedContent,
  crashedNames,
  type Extreme,
  type NameChange,
} from './crash.js';
import { type Fault, Faults } from './faults.js';
import { Inode } from './inode.js';
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

const { EEXIST, EINVAL, ENOENT } = constants.errno;
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

interface Directory {
  readonly cached: Map<string, Inode>;
  synced: ReadonlyMap<string, Inode>;
  pending: readonly NameChange[];
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
  readonly #directories = new Map<string, Directory>();
  readonly #locks = new Set<string>();
  readonly #held = new Map<object, string>();
  readonly #inodes = new Set<Inode>();
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
    this.#directories.set('/', { cached: new Map(), synced: new Map(), pending: [] });
  }

  /** What a power loss at this moment may leave, as a disk of its own: by chance, or by an extreme or a choice. */
  crashed(random: Chance, choice: CrashChoice | Extreme = chooseCrash(random)): SimulatedDisk {
    const chosen = typeof choice === 'string' ? { data: choice, names: choice, sizes: choice } : choice;
    const disk = this.#successor();
    const copies = new Map<Inode, Inode>();
    const copyOf = (inode: Inode) => {
      let copy = copies.get(inode);
      if (copy === undefined) {
        copy = Inode.durable(crashedContent(inode, chosen, random), inode.extents.clone());
        copy.inheritUnreadable(inode);
        copies.set(inode, copy);
      }
      return copy;
    };
    for (const [path, { synced, pending }] of this.#directories) {
      const names = crashedNames(synced, pending, chosen, random);
      const entries = new Map([...names].map(([name, inode]) => [name, copyOf(inode)]));
      disk.#adopt(path, { cached: entries, synced: new Map(entries), pending: [] });
    }
    return disk;
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
    if (cache === 'dropped') for (const inode of disk.#inodes) inode.dropCache();
    return disk;
  }

  /** A disk in the same state, without handles, fault rules and hook. */
  clone(): SimulatedDisk {
    const disk = this.#successor();
    for (const lock of this.#locks) disk.#locks.add(lock);
    const copies = new Map<Inode, Inode>();
    const copyOf = (inode: Inode) => {
      const copy = copies.get(inode) ?? inode.clone();
      copies.set(inode, copy);
      return copy;
    };
    const copyAll = (names: ReadonlyMap<string, Inode>) =>
      new Map([...names].map(([name, inode]) => [name, copyOf(inode)]));
    for (const [path, { cached, synced, pending }] of this.#directories) {
      const changes = pending.map((change) =>
        change.kind === 'create' ? { ...change, inode: copyOf(change.inode) } : change,
      );
      disk.#adopt(path, { cached: copyAll(cached), synced: copyAll(synced), pending: changes });
    }
    return disk;
  }

  /** Bytes that files take up. */
  get used(): number {
    let used = 0;
    for (const inode of this.#inodes) {
      if (inode.references > 0) used += inode.extents.bytes;
      else this.#inodes.delete(inode);
    }
    return used;
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
    return this.#directories.get(posix.dirname(path))?.cached.get(posix.basename(path))?.cached.slice();
  }

  /** Changes bytes of a file behind everyone's back, in the cache and on the disk: damage. */
  damage(path: string, offset: number, bytes: Uint8Array): void {
    const inode = this.#entry(path, 'damage');
    inode.write(offset, bytes);
    inode.finishSync(inode.beginSync());
  }

  /**
   * The same for disks that hold the same names, bytes and reserved space, whatever became of them before; only of a disk
   * on which everything is durable, as a power loss leaves it.
   */
  fingerprint(): string {
    let all = '';
    for (const [path, { cached }] of this.#directories) {
      const names = [...cached].sort(([a], [b]) => (a < b ? -1 : 1));
      all += `${path}:${names.map(([name, inode]) => `${name}=${inode.fingerprint()}`).join()};`;
    }
    return all;
  }

  /**
   * A latent sector error: whatever reads from the 512 bytes around `offset` fails with EIO, after a crash too, until they
   * have been written again.
   */
  spoil(path: string, offset: number): void {
    this.#entry(path, 'spoil').spoil(offset);
  }

  /** All of the file can be read again. */
  mend(path: string): void {
    this.#entry(path, 'mend').mend();
  }

  // The Disk port

  now(): number {
    return this.#now;
  }

  randomBytes(length: number): Uint8Array {
    return this.#random.bytes(length);
  }

  async features(directory: string): Promise<DiskFeatures> {
    this.#directory(directory, 'statfs');
    const { map, fallocate } = this.options;
    const limits = map && fallocate ? '' : 'the simulated disk was told not to map or not to allocate';
    return { map, fallocate, fileSystem: 'simulated', limits };
  }

  makeDirectory(directory: string): Promise<void> {
    return this.run('makeDirectory', directory, this, () => () => {
      for (let path = posix.resolve(directory); !this.#directories.has(path); path = posix.dirname(path)) {
        this.#directories.set(path, { cached: new Map(), synced: new Map(), pending: [] });
      }
    });
  }

  list(directory: string): Promise<string[]> {
    return this.run('list', directory, this, () => () => {
      const names = [...this.#directory(directory, 'scandir').cached.keys()];
      for (const path of this.#directories.keys()) {
        if (path !== '/' && posix.dirname(path) === directory) names.push(posix.basename(path));
      }
      return names.sort();
    });
  }

  open(path: string, mode: OpenMode): Promise<DiskFile> {
    return this.run(mode === 'create' ? 'create' : 'open', path, this, () => () => {
      const directory = this.#directory(posix.dirname(path), 'open');
      const name = posix.basename(path);
      let inode = directory.cached.get(name);
      if (mode === 'create') {
        if (inode !== undefined) throw systemError(EEXIST, 'open', path);
        inode = this.#create(directory, name);
      }
      if (inode === undefined) throw systemError(ENOENT, 'open', path);
      return new SimulatedFile(path, inode, this, mode !== 'read');
    });
  }

  rename(from: string, to: string): Promise<void> {
    const path = posix.dirname(from);
    const change = { kind: 'rename', name: posix.basename(from), to: posix.basename(to) } as const;
    const work = () => () => {
      if (posix.dirname(to) !== path) throw systemError(EINVAL, 'rename', from, 'the new name is in another directory');
      this.#entry(from, 'rename');
      this.#change(this.#directory(path, 'rename'), change);
    };
    return this.run('rename', from, this.#directories.get(path) ?? this, work, 0, 0, to);
  }

  unlink(path: string): Promise<void> {
    return this.run('unlink', path, this.#directories.get(posix.dirname(path)) ?? this, () => () => {
      this.#entry(path, 'unlink');
      this.#change(this.#directory(posix.dirname(path), 'unlink'), { kind: 'unlink', name: posix.basename(path) });
    });
  }

  syncDirectory(directory: string): Promise<void> {
    return this.run('syncDirectory', directory, this.#directories.get(directory) ?? this, () => {
      const begun = this.#directories.get(directory)?.pending ?? [];
      return () => {
        const entries = this.#directory(directory, 'fsync');
        const covered = entries.pending.filter((change) => begun.includes(change));
        const synced = new Map(entries.synced);
        for (const change of covered) applyChange(synced, change);
        entries.synced = synced;
        entries.pending = entries.pending.filter((change) => !covered.includes(change));
      };
    });
  }

  lock(path: string): Promise<DiskLock> {
    return this.run('lock', path, this, () => () => {
      const directory = this.#directory(posix.dirname(path), 'open');
      if (!directory.cached.has(posix.basename(path))) this.#create(directory, posix.basename(path));
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
    this.#directory(directory, 'statfs');
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

  #directory(path: string, syscall: string): Directory {
    const directory = this.#directories.get(path);
    if (directory === undefined) throw systemError(ENOENT, syscall, path);
    return directory;
  }

  #entry(path: string, syscall: string): Inode {
    const inode = this.#directory(posix.dirname(path), syscall).cached.get(posix.basename(path));
    if (inode === undefined) throw systemError(ENOENT, syscall, path);
    return inode;
  }

  #create(directory: Directory, name: string): Inode {
    const inode = new Inode();
    this.#inodes.add(inode);
    this.#change(directory, { kind: 'create', name, inode });
    return inode;
  }

  #change(directory: Directory, change: NameChange): void {
    const gone =
      change.kind === 'create' ? undefined : directory.cached.get(change.kind === 'rename' ? change.to : change.name);
    if (gone !== undefined) gone.references--;
    if (change.kind === 'create') {
      change.inode.references++;
      change.inode.name = change.name;
    } else if (change.kind === 'rename') {
      const moved = directory.cached.get(change.name);
      if (moved !== undefined) moved.name = change.to;
    }
    applyChange(directory.cached, change);
    directory.pending = [...directory.pending, change];
  }

  /** An empty disk with the same options, clock and chance. */
  #successor(): SimulatedDisk {
    const disk = new SimulatedDisk(this.options);
    disk.#random = this.#random.clone();
    disk.#now = this.#now;
    disk.capacity = this.capacity;
    return disk;
  }

  #adopt(path: string, directory: Directory): void {
    this.#directories.set(path, directory);
    for (const [name, inode] of directory.cached) {
      this.#inodes.add(inode);
      inode.name = name;
      inode.references++;
    }
  }
}
