/**
 * A disk around another one that keeps a list of every operation, in order, and lets a test fail it or hold it back.
 *
 * `fail` and `hold` name the operation by kind and file name; `pause` is asked before every operation that can wait.
 * A file goes by the name that it bears at the moment: a rename takes its open files along.
 */
import { constants } from 'node:os';
import { basename } from 'node:path';
import type {
  AllocateMode,
  Disk,
  DiskFeatures,
  DiskFile,
  DiskLock,
  DiskMapping,
  OpenMode,
} from '../../src/disk/disk.js';
import { systemError } from '../../src/disk/system-error.js';

export type OperationKind =
  | 'makeDirectory'
  | 'list'
  | 'open'
  | 'rename'
  | 'unlink'
  | 'syncDirectory'
  | 'size'
  | 'read'
  | 'readSync'
  | 'write'
  | 'sync'
  | 'allocate'
  | 'dropCache'
  | 'truncate'
  | 'map'
  | 'close';

export interface Operation {
  readonly kind: OperationKind;
  /** The file's name at the time; of a rename the old one, of a directory its own. */
  readonly file: string;
  /** The new name, of a rename. */
  readonly to: string | undefined;
  readonly offset: number;
  readonly length: number;
  /** Places in the one order of all beginnings, ends and `tick`s. */
  readonly begun: number;
  ended: number | undefined;
  /** Code of the error that was injected. */
  failed: string | undefined;
}

interface Rule {
  readonly kind: OperationKind;
  readonly file: RegExp;
  /** Matching operations that pass before the rule applies. */
  skip: number;
  /** How many it applies to. */
  times: number;
  readonly code: string | undefined;
  readonly gate: Gate | undefined;
  readonly when: (operation: Operation) => boolean;
}

export interface FailOptions {
  /** The first that fails: 1 is the next one. Default 1. */
  readonly nth?: number;
  /** How many fail. Default: all from then on. */
  readonly times?: number;
  readonly when?: (operation: Operation) => boolean;
}

/** Holds back one operation: `reached` resolves when it is about to begin, and it begins when `release` is called. */
export class Gate {
  readonly reached: Promise<void>;
  #reach: () => void = () => {};
  readonly #open: Promise<void>;
  release: () => void = () => {};

  constructor() {
    this.reached = new Promise((resolve) => {
      this.#reach = resolve;
    });
    this.#open = new Promise((resolve) => {
      this.release = resolve;
    });
  }

  pass(): Promise<void> {
    this.#reach();
    return this.#open;
  }
}

export class FaultyDisk implements Disk {
  readonly operations: Operation[] = [];
  /** Asked before every operation that can wait; what it returns is awaited. */
  pause: ((operation: Operation) => Promise<void> | undefined) | undefined;
  readonly #disk: Disk;
  #rules: Rule[] = [];
  readonly #files = new Set<FaultyFile>();
  #order = 0;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** The next place in the order of everything, for what a test observes itself. */
  tick(): number {
    return ++this.#order;
  }

  /** Fails matching operations with `code` before they are made. Returns a function that lifts the rule. */
  fail(kind: OperationKind, file: RegExp, code: string, options: FailOptions = {}): () => void {
    const { nth = 1, times = Number.POSITIVE_INFINITY, when = () => true } = options;
    return this.#add({ kind, file, skip: nth - 1, times, code, gate: undefined, when });
  }

  /** Holds back the `nth` matching operation that can wait. */
  hold(kind: OperationKind, file: RegExp, nth = 1): Gate {
    const gate = new Gate();
    this.#add({ kind, file, skip: nth - 1, times: 1, code: undefined, gate, when: () => true });
    return gate;
  }

  /** The operations of `kind` on files that match. */
  of(kind: OperationKind, file: RegExp): Operation[] {
    return this.operations.filter((operation) => operation.kind === kind && file.test(operation.file));
  }

  #add(rule: Rule): () => void {
    this.#rules.push(rule);
    return () => {
      this.#rules = this.#rules.filter((other) => other !== rule);
    };
  }

  begin(kind: OperationKind, file: string, offset = 0, length = 0, to?: string): Operation {
    const operation: Operation = {
      kind,
      file,
      to,
      offset,
      length,
      begun: this.tick(),
      ended: undefined,
      failed: undefined,
    };
    this.operations.push(operation);
    return operation;
  }

  /** The rule that applies to `operation`, which uses it up. */
  match(operation: Operation, holds: boolean): Rule | undefined {
    for (const rule of this.#rules) {
      if (rule.kind !== operation.kind || !rule.file.test(operation.file) || !rule.when(operation)) continue;
      if (rule.gate !== undefined && !holds) continue;
      if (rule.skip > 0) rule.skip--;
      else if (rule.times > 0) {
        rule.times--;
        return rule;
      }
    }
    return undefined;
  }

  /** Runs an operation that can wait. */
  async run<T>(
    kind: OperationKind,
    file: string | (() => string),
    work: () => Promise<T>,
    offset = 0,
    length = 0,
    to?: string,
  ): Promise<T> {
    const operation = this.begin(kind, typeof file === 'string' ? file : file(), offset, length, to);
    const rule = this.match(operation, true);
    await rule?.gate?.pass();
    if (rule?.gate === undefined) await this.pause?.(operation);
    // A gate may be held to fail: rules added meanwhile count.
    const failing = rule?.gate === undefined ? rule : this.match(operation, false);
    if (failing?.code !== undefined) throw this.#inject(operation, failing.code);
    try {
      return await work();
    } finally {
      operation.ended = this.tick();
    }
  }

  /** Runs an operation on the calling thread. */
  runNow<T>(kind: OperationKind, file: string, work: () => T, offset = 0, length = 0): T {
    const operation = this.begin(kind, file, offset, length);
    const rule = this.match(operation, false);
    if (rule?.code !== undefined) throw this.#inject(operation, rule.code);
    const result = work();
    operation.ended = this.tick();
    return result;
  }

  #inject(operation: Operation, code: string): Error {
    operation.failed = code;
    operation.ended = this.tick();
    return systemError(
      constants.errno[code as keyof typeof constants.errno],
      operation.kind,
      operation.file,
      'injected',
    );
  }

  now(): number {
    return this.#disk.now();
  }

  randomBytes(length: number): Uint8Array {
    return this.#disk.randomBytes(length);
  }

  features(directory: string): Promise<DiskFeatures> {
    return this.#disk.features(directory);
  }

  makeDirectory(directory: string): Promise<void> {
    return this.run('makeDirectory', basename(directory), () => this.#disk.makeDirectory(directory));
  }

  list(directory: string): Promise<string[]> {
    return this.run('list', basename(directory), () => this.#disk.list(directory));
  }

  open(path: string, mode: OpenMode): Promise<DiskFile> {
    return this.run('open', basename(path), async () => {
      const file = new FaultyFile(this, await this.#disk.open(path, mode), basename(path), () =>
        this.#files.delete(file),
      );
      this.#files.add(file);
      return file;
    });
  }

  rename(from: string, to: string): Promise<void> {
    const work = async () => {
      await this.#disk.rename(from, to);
      for (const file of this.#files) if (file.name === basename(from)) file.name = basename(to);
    };
    return this.run('rename', basename(from), work, 0, 0, basename(to));
  }

  unlink(path: string): Promise<void> {
    return this.run('unlink', basename(path), () => this.#disk.unlink(path));
  }

  syncDirectory(directory: string): Promise<void> {
    return this.run('syncDirectory', basename(directory), () => this.#disk.syncDirectory(directory));
  }

  lock(path: string): Promise<DiskLock> {
    return this.#disk.lock(path);
  }

  freeBytes(directory: string): Promise<number> {
    return this.#disk.freeBytes(directory);
  }

  close(): Promise<void> {
    return this.#disk.close();
  }
}

class FaultyFile implements DiskFile {
  readonly #disk: FaultyDisk;
  readonly #file: DiskFile;
  readonly #onClosed: () => void;
  name: string;

  constructor(disk: FaultyDisk, file: DiskFile, name: string, onClosed: () => void) {
    this.#disk = disk;
    this.#file = file;
    this.name = name;
    this.#onClosed = onClosed;
  }

  get path(): string {
    return this.#file.path;
  }

  size(): Promise<number> {
    return this.#run('size', () => this.#file.size());
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return this.#run('read', () => this.#file.read(into, position), position, into.length);
  }

  readSync(into: Uint8Array, position: number): number {
    const read = () => this.#file.readSync(into, position);
    return this.#disk.runNow('readSync', this.name, read, position, into.length);
  }

  writeSync(bytes: Uint8Array, position: number): void {
    const write = () => this.#file.writeSync(bytes, position);
    this.#disk.runNow('write', this.name, write, position, bytes.length);
  }

  sync(): Promise<void> {
    return this.#run('sync', () => this.#file.sync());
  }

  allocate(mode: AllocateMode, size: number): Promise<void> {
    return this.#run('allocate', () => this.#file.allocate(mode, size), 0, size);
  }

  dropCache(from: number): Promise<void> {
    return this.#run('dropCache', async () => this.#file.dropCache?.(from), from);
  }

  truncate(size: number): Promise<void> {
    return this.#run('truncate', () => this.#file.truncate(size), 0, size);
  }

  map(length: number): DiskMapping {
    return this.#disk.runNow('map', this.name, () => this.#file.map(length), 0, length);
  }

  /** Never held back by itself: a file with an operation under way must refuse to be closed, held or not. */
  async close(): Promise<void> {
    if (this.#underWay > 0) throw systemError(constants.errno.EBUSY, 'close', this.name, 'an operation is under way');
    await this.#disk.run('close', this.name, () => this.#file.close());
    this.#onClosed();
  }

  #underWay = 0;

  async #run<T>(kind: OperationKind, work: () => Promise<T>, offset = 0, length = 0): Promise<T> {
    this.#underWay++;
    try {
      return await this.#disk.run(kind, this.name, work, offset, length);
    } finally {
      this.#underWay--;
    }
  }
}
