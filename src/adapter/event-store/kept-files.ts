/**
 * The kept files of one partition: which of them count, and reading over all of them.
 *
 * Which files count is told by their names, whatever a crash has left: a file that reaches into a segment that the log
 * still has was never put to use, and one that lies within a file of a higher generation has been replaced. The names of
 * those in use also stand in the store's settings, so that a file that was lost is missed; where the settings are lost,
 * nothing but that check is.
 */
import { join } from 'node:path';
import { removeIfThere } from './backup-files.js';
import type { Engine, EnginePartition, EngineRecord } from './engine.js';
import type { IndexCache } from './index-cache.js';
import { damaged, KeptFile } from './kept-file.js';
import { type KeptRange, keptName, parseKeptName } from './kept-format.js';
import { KeptWriter } from './kept-writer.js';

export class KeptFiles {
  readonly #engine: Engine;
  readonly #partition: number;
  readonly #cache: IndexCache;
  /** Oldest first. */
  #files: readonly KeptFile[] = [];
  #generation = 0;
  /** Files that may lie there and do not count, or that one of a higher generation stands for. */
  #left: { readonly path: string; readonly close: () => Promise<void> }[] = [];

  private constructor(engine: Engine, partition: number, cache: IndexCache) {
    this.#engine = engine;
    this.#partition = partition;
    this.#cache = cache;
  }

  /** Rejects with `ERR_VARVE_CORRUPT` where one is damaged or missing. */
  static async open(engine: Engine, log: EnginePartition, cache: IndexCache): Promise<KeptFiles> {
    const kept = new KeptFiles(engine, log.number, cache);
    await kept.#open(log.segments()[0]?.index ?? 1);
    return kept;
  }

  get files(): readonly KeptFile[] {
    return this.#files;
  }

  async #open(oldestSegment: number): Promise<void> {
    const { directory, storage } = this.#engine;
    const found: KeptRange[] = [];
    for (const name of await storage.disk.list(directory)) {
      const unfinished = name.endsWith('.kept.tmp');
      const range = parseKeptName(unfinished ? name.slice(0, -'.tmp'.length) : name);
      if (range?.partition !== this.#partition) continue;
      this.#generation = Math.max(this.#generation, range.generation);
      if (!unfinished && range.lastSegment < oldestSegment) found.push(range);
      else await removeIfThere(storage.disk, join(directory, name));
    }
    const used: KeptRange[] = [];
    for (const range of found.sort((a, b) => b.generation - a.generation)) {
      if (used.some((other) => covers(other, range))) await removeIfThere(storage.disk, this.#pathOf(range));
      else used.push(range);
    }
    for (const name of this.#listed()) {
      const range = parseKeptName(name);
      if (range !== undefined && !used.some((other) => covers(other, range) && other.generation >= range.generation))
        throw damaged(join(directory, name), range, 'it is missing');
    }
    used.sort((a, b) => a.firstSegment - b.firstSegment);
    const files: KeptFile[] = [];
    for (const range of used) files.push(await this.#fileOf(range));
    this.#files = files;
  }

  /** The records of one piece from `from` on, ascending; none behind the last one. */
  async forward(from: number): Promise<readonly EngineRecord[]> {
    for (;;) {
      const files = this.#files;
      try {
        for (const file of files) {
          if (file.lastLsn < from) continue;
          const records = await file.forward(from);
          if (records.length > 0) return records;
        }
        if (files === this.#files) return [];
      } catch (error) {
        if (files === this.#files) throw error; // else the file may have been replaced under the reader
      }
    }
  }

  /** The same from `from` down, descending. */
  async backward(from: number): Promise<readonly EngineRecord[]> {
    for (;;) {
      const files = this.#files;
      try {
        for (const file of [...files].reverse()) {
          if (file.firstLsn > from) continue;
          const records = await file.backward(from);
          if (records.length > 0) return records;
        }
        if (files === this.#files) return [];
      } catch (error) {
        if (files === this.#files) throw error;
      }
    }
  }

  /** A file to be written for a range of segments. */
  create(firstSegment: number, lastSegment: number): Promise<KeptWriter> {
    const { directory, storage } = this.#engine;
    const range = { partition: this.#partition, firstSegment, lastSegment, generation: ++this.#generation };
    return KeptWriter.create(storage.disk, directory, range);
  }

  /** A file that has been published. Nobody reads it before `exchange`. */
  published({ range }: KeptWriter): Promise<KeptFile> {
    return this.#fileOf(range);
  }

  /** Has `files` read in place of `others` from now on: in one turn, so that every reader sees these or those. */
  exchange(others: readonly KeptFile[], files: readonly KeptFile[]): void {
    const used = [...this.#files.filter((one) => !others.includes(one)), ...files];
    this.#files = used.sort((a, b) => a.firstLsn - b.firstLsn);
  }

  /** Writes down which files are in use. Before others are removed, so that none is missed that is gone. */
  async settle(): Promise<void> {
    await this.#engine.storage.keepSetting(this.#setting, this.#files.map(({ name }) => name).join(' '));
  }

  /**
   * Notes files that are not in use any more, or whose fate a failure has left open; and one that was published and never
   * used, by its range.
   */
  leave(files: readonly (KeptFile | KeptRange)[]): void {
    for (const file of files) {
      if (file instanceof KeptFile) this.#left.push({ path: file.path, close: () => file.close() });
      else this.#left.push({ path: this.#pathOf(file), close: async () => {} });
    }
  }

  /**
   * Removes what was left, durably: what died in it must not come back beside what came after it. Only behind `settle`,
   * which has also made sure of what the log has given up.
   */
  async clean(): Promise<void> {
    const { directory, storage } = this.#engine;
    if (this.#left.length === 0) return;
    for (const { path, close } of this.#left) {
      await close();
      await removeIfThere(storage.disk, path);
    }
    await storage.disk.syncDirectory(directory);
    this.#left = [];
  }

  get #setting(): string {
    return `eventStore.kept.${this.#partition}`;
  }

  #listed(): string[] {
    const listed = this.#engine.storage.setting(this.#setting);
    return typeof listed === 'string' ? listed.split(' ') : [];
  }

  async #fileOf(range: KeptRange): Promise<KeptFile> {
    const { directory, storage } = this.#engine;
    return KeptFile.open(storage.disk, directory, range, storage.storeId, this.#cache);
  }

  #pathOf(range: KeptRange): string {
    return join(this.#engine.directory, keptName(range));
  }
}

const covers = (a: KeptRange, b: KeptRange): boolean =>
  a.firstSegment <= b.firstSegment && a.lastSegment >= b.lastSegment;
