/**
 * Keeps the index of a partition: a layer in memory for the segment that is written to, files for the sealed ones.
 *
 * Files lie in `index/`, beside the log, named after their segments. All of it is derived: the folder may be deleted
 * while the store is closed, which costs the time to read the log once.
 */
import { join } from 'node:path';
import type { Disk } from '../../disk/disk.js';
import { systemCode } from '../../errors.js';
import type { Engine } from './engine.js';
import { FileLayer, readLayer, type Visit, writeLayer } from './file-layer.js';
import type { IndexCache } from './index-cache.js';
import type { IndexIdentity } from './index-header.js';
import { type IndexLayer, MemoryLayer } from './index-layer.js';
import type { KeptFile } from './kept-file.js';
import type { StoreLog } from './store-log.js';
import { StreamIndex } from './stream-index.js';

const FOLDER = 'index';

/** Makes the folder of index files. */
export async function makeIndexFolder({ directory, storage }: Engine): Promise<void> {
  await storage.disk.makeDirectory(join(directory, FOLDER));
}

export class IndexKeeper {
  readonly index = new StreamIndex();
  readonly #engine: Engine;
  readonly #log: StoreLog;
  readonly #cache: IndexCache;
  readonly #keptLayers = new Map<KeptFile, IndexLayer>();
  /** Files are written one after the other; it never rejects. */
  #work: Promise<void> = Promise.resolve();
  #unfiled = 0;

  constructor(engine: Engine, log: StoreLog, cache: IndexCache) {
    this.#engine = engine;
    this.#log = log;
    this.#cache = cache;
  }

  /** Files for the sealed segments and kept files; the last segment is read into memory, and `visit` sees its events. */
  async open(visit: Visit): Promise<void> {
    const { files } = this.#log.kept;
    for (const file of files) this.#keptLayers.set(file, this.#keptFileLayer(file));
    this.index.dropBefore(0, [...this.#keptLayers.values()]);
    const segments = this.#log.segments();
    for (const { index, firstLsn, lastLsn } of segments.slice(0, -1)) {
      this.index.push(this.#fileLayer(this.#identity(index, firstLsn, lastLsn)));
    }
    const last = segments.at(-1);
    if (last !== undefined) {
      this.index.push(await readLayer(this.#log, this.#identity(last.index, last.firstLsn, last.lastLsn), visit));
    }
    const wanted = [...segments.map(({ index }) => this.#nameOf(index)), ...files.map(nameOfKept)];
    await this.#removeStrays(new Set(wanted));
  }

  /** The layer for events that are in `segment`, the newest. */
  layerOf(segment: number): MemoryLayer {
    const newest = this.index.newest;
    if (newest instanceof MemoryLayer && newest.segment >= segment) return newest;
    const layer = new MemoryLayer(segment);
    this.index.push(layer);
    if (newest instanceof MemoryLayer) {
      this.#unfiled++;
      this.#work = this.#work
        .then(() => this.#fileAway(newest))
        .finally(() => {
          this.#unfiled--;
        });
    }
    return layer;
  }

  /** Layers in memory that are going to be files, in turns of the event loop that whoever appends has to leave for it. */
  get unfiled(): number {
    return this.#unfiled;
  }

  /** The layer of a kept file that is in use. */
  layerOfKept(file: KeptFile): IndexLayer {
    return this.#keptLayers.get(file) as IndexLayer;
  }

  /** Writes the layer of a kept file that is going to be used. */
  async addKept(file: KeptFile, layer: MemoryLayer): Promise<void> {
    const done = await this.#write(this.#pathOfKept(file), this.#identityOfKept(file), layer);
    this.#keptLayers.set(file, done ? this.#keptFileLayer(file, true) : layer);
  }

  /**
   * Segments before the oldest that the log has, or kept files, are gone. What is left of them is in the kept file `next`:
   * who goes through the old layers finds it there.
   */
  async moved(next?: KeptFile): Promise<void> {
    const { kept } = this.#log;
    const [oldest] = this.#log.segments();
    const successor = next && this.layerOfKept(next);
    const dropped = new Set(
      this.index.dropBefore(
        oldest?.index ?? 0,
        kept.files.map((file) => this.layerOfKept(file)),
      ),
    );
    const paths = [...dropped].map(({ segment }) => this.#pathOf(segment));
    for (const [file, layer] of this.#keptLayers) {
      if (kept.files.includes(file)) continue;
      this.#keptLayers.delete(file);
      paths.push(this.#pathOfKept(file));
      dropped.add(layer);
    }
    const closing: Promise<void>[] = [];
    for (const layer of dropped) if (layer instanceof FileLayer) closing.push(layer.close(successor));
    const removing = this.#work.then(async () => {
      await Promise.all(closing);
      for (const path of paths) await this.#remove(path);
    });
    this.#work = removing.catch(() => {}); // the caller is told, and what stays is removed by the next open
    await removing;
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
    if (await this.#write(this.#pathOf(layer.segment), identity, layer))
      this.index.replace(this.#fileLayer(identity, true));
  }

  async #write(path: string, identity: IndexIdentity, layer: MemoryLayer): Promise<boolean> {
    try {
      await writeLayer(this.#disk, path, identity, layer);
      return true;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#engine.events.emit('degraded', { option: 'index', wanted: 'file', used: 'memory', reason });
      return false;
    }
  }

  async #removeStrays(wanted: ReadonlySet<string>): Promise<void> {
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

  #fileLayer(identity: IndexIdentity, warm = false): FileLayer {
    return new FileLayer(this.#log, this.#disk, this.#pathOf(identity.segment), identity, this.#cache, { warm });
  }

  #keptFileLayer(file: KeptFile, warm = false): FileLayer {
    return new FileLayer(this.#log, this.#disk, this.#pathOfKept(file), this.#identityOfKept(file), this.#cache, {
      warm,
    });
  }

  #identityOfKept({ range, firstLsn, lastLsn }: KeptFile): IndexIdentity {
    return this.#identity(range.lastSegment, firstLsn, lastLsn);
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

  #pathOfKept(file: KeptFile): string {
    return join(this.#engine.directory, FOLDER, nameOfKept(file));
  }

  get #disk(): Disk {
    return this.#engine.storage.disk;
  }
}

/** Another one for each generation: what is left of the same segments differs. */
function nameOfKept({ range: { partition, firstSegment, lastSegment, generation } }: KeptFile): string {
  return `part_${partition}.${firstSegment}-${lastSegment}.${generation}.idx`;
}
