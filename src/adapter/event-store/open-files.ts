/**
 * Open index files, bounded: those used last stay open, the others are opened again when they are needed.
 *
 * A file that is given up is closed when nobody reads it any more.
 */
import { LRUCache } from 'lru-cache';
import type { DiskFile } from '../../disk/disk.js';
import { VarveError } from '../../errors.js';

/** More reads than threads that could do them only hold more files open. */
const READS_AT_ONCE = 32;

class OpenFile {
  readonly file: Promise<DiskFile>;
  /** Resolves when the file has been given up and closed. */
  readonly closed: Promise<void>;
  #close: () => void = () => {};
  #readers = 0;
  #givenUp = false;

  constructor(file: Promise<DiskFile>) {
    this.file = file;
    this.closed = new Promise<void>((resolve) => {
      this.#close = resolve;
    })
      .then(() => file)
      .then((opened) => opened.close())
      // It was only read, so a failed close loses nothing; that it did not open was told to who asked for it.
      .catch(() => {});
  }

  async read<T>(use: (file: DiskFile) => Promise<T>): Promise<T> {
    this.#readers++;
    try {
      return await use(await this.file);
    } finally {
      this.#readers--;
      this.#closeIfUnused();
    }
  }

  giveUp(): void {
    this.#givenUp = true;
    this.#closeIfUnused();
  }

  #closeIfUnused(): void {
    if (this.#givenUp && this.#readers === 0) this.#close();
  }
}

export class OpenFiles {
  readonly #kept: LRUCache<string, OpenFile>;
  /** Kept or not closed yet. */
  readonly #open = new Set<OpenFile>();
  #reading = 0;
  readonly #waiting: (() => void)[] = [];
  #closed = false;

  /** Keeps at most `maxFiles` open, and while they are read at most 32 more. */
  constructor(maxFiles: number) {
    this.#kept = new LRUCache({ max: maxFiles, dispose: (file) => file.giveUp() });
  }

  /** Files that are open now, or are being opened or closed. */
  get count(): number {
    return this.#open.size;
  }

  /** Runs `use` with the file `id`, which `open` opens if it is not open. Rejects with `ERR_VARVE_CLOSED` once closed. */
  async read<T>(id: string, open: () => Promise<DiskFile>, use: (file: DiskFile) => Promise<T>): Promise<T> {
    if (this.#reading >= READS_AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#reading++;
    try {
      if (this.#closed) throw new VarveError('ERR_VARVE_CLOSED', 'The indexes are closed.');
      return await this.#fileOf(id, open).read(use);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#reading--;
      else next(); // it takes over this one's place
    }
  }

  /** Closes the file `id`, after what is being read of it. */
  async close(id: string): Promise<void> {
    const file = this.#kept.peek(id);
    this.#kept.delete(id);
    await file?.closed;
  }

  /** Closes all files, after what is being read of them. */
  async closeAll(): Promise<void> {
    this.#closed = true;
    this.#kept.clear();
    await Promise.all([...this.#open].map((file) => file.closed));
  }

  #fileOf(id: string, open: () => Promise<DiskFile>): OpenFile {
    const kept = this.#kept.get(id);
    if (kept !== undefined) return kept;
    const file = new OpenFile(open());
    this.#open.add(file);
    this.#kept.set(id, file);
    file.file.catch(() => {
      if (this.#kept.peek(id) === file) this.#kept.delete(id);
    });
    void file.closed.then(() => this.#open.delete(file));
    return file;
  }
}
