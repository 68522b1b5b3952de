/**
 * The names of a simulated disk: its directories, and what each of them holds.
 *
 *   cached   what everybody sees
 *   synced   what is on the disk for sure
 *   pending  changes of names that no sync of the directory has covered, in order
 *
 * At a power loss a directory holds `synced` and some of `pending` on top of it (crash.ts decides which). Which directories
 * there are survives everything. What goes wrong is thrown as the system's own error.
 */
import { constants } from 'node:os';
import { posix } from 'node:path';
import { systemError } from '../disk/system-error.js';
import { applyChange, type CrashChoice, crashedContent, crashedNames, type NameChange } from './crash.js';
import { Inode } from './inode.js';
import type { Chance } from './random.js';

const { EEXIST, EINVAL, ENOENT } = constants.errno;

interface Directory {
  readonly cached: Map<string, Inode>;
  synced: ReadonlyMap<string, Inode>;
  pending: readonly NameChange[];
}

const emptyDirectory = (): Directory => ({ cached: new Map(), synced: new Map(), pending: [] });

export class Directories {
  readonly #directories = new Map([['/', emptyDirectory()]]);
  /** All files that have a name or are open. Others are left out when they are met. */
  readonly #inodes = new Set<Inode>();

  /** Makes a directory, and those above it. */
  make(path: string): void {
    for (let at = posix.resolve(path); !this.#directories.has(at); at = posix.dirname(at)) {
      this.#directories.set(at, emptyDirectory());
    }
  }

  /** Identifies a directory to the scheduler; undefined where there is none. */
  at(path: string): object | undefined {
    return this.#directories.get(path);
  }

  refuseMissing(path: string, syscall: string): void {
    this.#directory(path, syscall);
  }

  list(path: string): string[] {
    const names = [...this.#directory(path, 'scandir').cached.keys()];
    for (const other of this.#directories.keys()) {
      if (other !== '/' && posix.dirname(other) === path) names.push(posix.basename(other));
    }
    return names.sort();
  }

  find(path: string): Inode | undefined {
    return this.#directories.get(posix.dirname(path))?.cached.get(posix.basename(path));
  }

  get(path: string, syscall: string): Inode {
    const inode = this.#directory(posix.dirname(path), syscall).cached.get(posix.basename(path));
    if (inode === undefined) throw systemError(ENOENT, syscall, path);
    return inode;
  }

  create(path: string): Inode {
    const directory = this.#directory(posix.dirname(path), 'open');
    const name = posix.basename(path);
    if (directory.cached.has(name)) throw systemError(EEXIST, 'open', path);
    const inode = new Inode();
    this.#inodes.add(inode);
    inode.references++;
    inode.name = name;
    change(directory, { kind: 'create', name, inode });
    return inode;
  }

  rename(from: string, to: string): void {
    const path = posix.dirname(from);
    if (posix.dirname(to) !== path) throw systemError(EINVAL, 'rename', from, 'the new name is in another directory');
    const inode = this.get(from, 'rename');
    const directory = this.#directory(path, 'rename');
    const name = posix.basename(to);
    const replaced = directory.cached.get(name);
    if (replaced !== undefined) replaced.references--;
    inode.name = name;
    change(directory, { kind: 'rename', name: posix.basename(from), to: name });
  }

  unlink(path: string): void {
    this.get(path, 'unlink').references--;
    change(this.#directory(posix.dirname(path), 'unlink'), { kind: 'unlink', name: posix.basename(path) });
  }

  /** Begins a sync; what it returns ends it, and makes durable what was changed before it began. */
  beginSync(path: string): () => void {
    const begun = this.#directories.get(path)?.pending ?? [];
    return () => {
      const directory = this.#directory(path, 'fsync');
      const covered = directory.pending.filter((one) => begun.includes(one));
      const synced = new Map(directory.synced);
      for (const one of covered) applyChange(synced, one);
      directory.synced = synced;
      directory.pending = directory.pending.filter((one) => !covered.includes(one));
    };
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

  /** Clean pages leave the page cache. */
  dropCache(): void {
    for (const inode of this.#inodes) inode.dropCache();
  }

  /** What a power loss leaves, all of it durable. */
  crashed(choice: CrashChoice, random: Chance): Directories {
    const left = new Directories();
    const copyOf = copier((inode) => {
      const copy = Inode.durable(crashedContent(inode, choice, random), inode.extents.clone());
      copy.inheritUnreadable(inode);
      return copy;
    });
    for (const [path, { synced, pending }] of this.#directories) {
      const names = crashedNames(synced, pending, choice, random);
      const entries = new Map([...names].map(([name, inode]) => [name, copyOf(inode)]));
      left.#adopt(path, { cached: entries, synced: new Map(entries), pending: [] });
    }
    return left;
  }

  /** The same, without handles. */
  clone(): Directories {
    const clone = new Directories();
    const copyOf = copier((inode) => inode.clone());
    const copyAll = (names: ReadonlyMap<string, Inode>) =>
      new Map([...names].map(([name, inode]) => [name, copyOf(inode)]));
    for (const [path, { cached, synced, pending }] of this.#directories) {
      const changes = pending.map((one) => (one.kind === 'create' ? { ...one, inode: copyOf(one.inode) } : one));
      clone.#adopt(path, { cached: copyAll(cached), synced: copyAll(synced), pending: changes });
    }
    return clone;
  }

  /** The same for the same names, bytes and reserved space; only where everything is durable. */
  fingerprint(): string {
    let all = '';
    for (const [path, { cached }] of this.#directories) {
      const names = [...cached].sort(([a], [b]) => (a < b ? -1 : 1));
      all += `${path}:${names.map(([name, inode]) => `${name}=${inode.fingerprint()}`).join()};`;
    }
    return all;
  }

  #directory(path: string, syscall: string): Directory {
    const directory = this.#directories.get(path);
    if (directory === undefined) throw systemError(ENOENT, syscall, path);
    return directory;
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

function change(directory: Directory, one: NameChange): void {
  applyChange(directory.cached, one);
  directory.pending = [...directory.pending, one];
}

/** Copies each inode once, though it may have several names. */
function copier(copy: (inode: Inode) => Inode): (inode: Inode) => Inode {
  const copies = new Map<Inode, Inode>();
  return (inode) => {
    const known = copies.get(inode) ?? copy(inode);
    copies.set(inode, known);
    return known;
  };
}
