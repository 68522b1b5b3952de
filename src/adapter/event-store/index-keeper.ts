/**
 * Keeps the index of a partition: a layer in memory for the segment that is written to, files for the sealed ones.
 *
 * Files lie in `index/`, beside the log, named after their segments. All of it is derived: the folder may be deleted
 * while the store is closed, which costs the time to read the log once.
 */
import { join } from 'node:path';
import type { Disk } from '../../disk/disk.js';
import { systemCode } from '../../errors.js';
import type { Engine, EnginePartition } from './engine.js';
import { FileLayer, readLayer, type Visit, writeLayer } from './file-layer.js';
import type { IndexCache } from './index-cache.js';
import type { IndexIdentity } from './index-header.js';
import { MemoryLayer } from './index-layer.js';
import { StreamIndex } from './stream-index.js';

const FOLDER = 'index';

/** Makes the folder of index files. */
export async function makeIndexFolder({ directory, storage }: Engine): Promise<void> {
  await storage.disk.makeDirectory(join(directory, FOLDER));
}

export class IndexKeeper {
  readonly index = new StreamIndex();
  readonly #engine: Engine;
  readonly #log: EnginePartition;
  readonly #cache: IndexCache;
  /** Files are written one after the other; it never rejects. */
  #work: Promise<void> = Promise.resolve();

  constructor(engine: Engine, log: EnginePartition, cache: IndexCache) {
    this.#engine = engine;
    this.#log = log;
    this.#cache = cache;
  }

  /** Files for the sealed segments; the last one is read into memory, and `visit` sees its events. */
  async open(visit: Visit): Promise<void> {
    const segments = this.#log.segments();
    for (const { index, firstLsn, lastLsn } of segments.slice(0, -1)) {
      this.index.push(this.#fileLayer(this.#identity(index, firstLsn, lastLsn)));
    }
    const last = segments.at(-1);
    if (last !== undefined) {
      this.index.push(await readLayer(this.#log, this.#identity(last.index, last.firstLsn, last.lastLsn), visit));
    }
    await this.#removeStrays(segments.map(({ index }) => index));
  }

  /** The layer for events that are in `segment`, the newest. */
  layerOf(segment: number): MemoryLayer {
    const newest = this.index.newest;
    if (newest instanceof MemoryLayer && newest.segment >= segment) return newest;
    const layer = new MemoryLayer(segment);
    this.index.push(layer);
    if (newest instanceof MemoryLayer) this.#work = this.#work.then(() => this.#fileAway(newest));
    return layer;
  }

  /** The segments before the oldest that is kept are gone. */
  async purged(): Promise<void> {
    const [oldest] = this.#log.segments();
    if (oldest === undefined) return;
    const dropped = this.index.dropBefore(oldest.index);
    this.#work = this.#work.then(async () => {
      for (const layer of dropped) {
        if (layer instanceof FileLayer) await layer.close();
        await this.#remove(this.#pathOf(layer.segment));
      }
    });
    await this.#work;
  }

  /** Resolves when what was begun is done. */
  async close(): Promise<void> {
    await this.#work;
    for (const layer of this.index.layers) if (layer instanceof FileLayer) await layer.close();
  }

  /** Moves a sealed segment's layer into a file. Where that cannot be, it stays in memory, and the next open tries again. */
  async #fileAway(layer: MemoryLayer): Promise<void> {
    const segment = this.#log.segments().find(({ index }) => index === layer.segment);
    if (segment === undefined) return; // purged meanwhile
    const identity = this.#identity(segment.index, segment.firstLsn, segment.lastLsn);
    try {
      await writeLayer(this.#disk, this.#pathOf(layer.segment), identity, layer);
      this.index.replace(this.#fileLayer(identity));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#engine.events.emit('degraded', { option: 'index', wanted: 'file', used: 'memory', reason });
    }
  }

  async #removeStrays(segments: readonly number[]): Promise<void> {
    const wanted = new Set(segments.map((segment) => this.#nameOf(segment)));
    const ours = this.#nameOf(0).split('.')[0] as string;
    for (const name of await this.#disk.list(join(this.#engine.directory, FOLDER))) {
      if (name.startsWith(`${ours}.`) && !wanted.has(name))
        await this.#remove(join(this.#engine.directory, FOLDER, name));
    }
  }

  async #remove(path: string): Promise<void> {
    await this.#disk.unlink(path).catch((error: unknown) => {
      if (systemCode(error) !== 'ENOENT') throw error; // it may never have been made
    });
  }

  #fileLayer(identity: IndexIdentity): FileLayer {
    return new FileLayer(this.#log, this.#disk, this.#pathOf(identity.segment), identity, this.#cache);
  }

  #identity(segment: number, baseLsn: number, lastLsn: number): IndexIdentity {
    return { storeId: this.#engine.storage.storeId, partition: this.#log.number, segment, baseLsn, lastLsn };
  }

  #nameOf(segment: number): string {
    return `part_${this.#log.number}.${String(segment).padStart(10, '0')}.idx`;
  }

  #pathOf(segment: number): string {
    return join(this.#engine.directory, FOLDER, this.#nameOf(segment));
  }

  get #disk(): Disk {
    return this.#engine.storage.disk;
  }
}
