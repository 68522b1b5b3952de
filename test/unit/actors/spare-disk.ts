/** A disk that holds nothing but names: enough for spare files, and quick to fail or to hold back. */
import { basename } from 'node:path';
import type { AllocateMode, Disk, DiskFile, OpenMode } from '../../../src/disk/disk.js';

export const DIRECTORY = '/spares';

const unused = (): never => {
  throw new Error('not needed for spare files');
};

export class SpareDisk implements Disk {
  /** Names in the directory. */
  readonly names: Set<string>;
  /** What was done, in order: `create ready_0000000001.wal`, `allocate … none 5120`, `rename a b`. */
  readonly operations: string[] = [];
  /** Asked before each operation: throw to fail it, return a promise to hold it back. */
  before: (operation: string) => Promise<void> | undefined = () => undefined;
  openFiles = 0;

  constructor(names: readonly string[] = []) {
    this.names = new Set(names);
  }

  /** Operations that begin with `word`, without it. */
  of(word: string): string[] {
    return this.operations.filter((operation) => operation.startsWith(`${word} `)).map((o) => o.slice(word.length + 1));
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    await this.#do(`${mode} ${basename(path)}`);
    const name = basename(path);
    if (this.names.has(name) === (mode === 'create')) throw new Error(`${mode} ${name}: wrong mode`);
    this.names.add(name);
    this.openFiles++;
    return new SpareDiskFile(path, this, (operation) => this.#do(operation));
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#do(`rename ${basename(from)} ${basename(to)}`);
    if (!this.names.delete(basename(from))) throw new Error(`rename: no ${from}`);
    this.names.add(basename(to));
  }

  async unlink(path: string): Promise<void> {
    await this.#do(`unlink ${basename(path)}`);
    if (!this.names.delete(basename(path))) throw new Error(`unlink: no ${path}`);
  }

  async syncDirectory(directory: string): Promise<void> {
    await this.#do(`syncDirectory ${basename(directory)}`);
  }

  async #do(operation: string): Promise<void> {
    this.operations.push(operation);
    await this.before(operation);
  }

  now = () => 0;
  randomBytes = (length: number) => new Uint8Array(length);
  features = unused;
  makeDirectory = unused;
  list = unused;
  lock = unused;
  freeBytes = unused;
  close = async () => {};
}

class SpareDiskFile implements DiskFile {
  readonly path: string;
  readonly #disk: SpareDisk;
  readonly #do: (operation: string) => Promise<void>;

  constructor(path: string, disk: SpareDisk, run: (operation: string) => Promise<void>) {
    this.path = path;
    this.#disk = disk;
    this.#do = run;
  }

  sync(): Promise<void> {
    return this.#do(`sync ${basename(this.path)}`);
  }

  allocate(mode: AllocateMode, size: number): Promise<void> {
    return this.#do(`allocate ${basename(this.path)} ${mode} ${size}`);
  }

  async close(): Promise<void> {
    await this.#do(`close ${basename(this.path)}`);
    this.#disk.openFiles--;
  }

  size = unused;
  read = unused;
  readSync = unused;
  writeSync = (): void => {};
  truncate = unused;
  map = unused;
}
