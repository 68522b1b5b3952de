/**
 * The layer of a sealed segment or of a kept file: its index file, made again from the log where it is missing or damaged.
 */
import type { Disk } from '../../disk/disk.js';
import { VarveError } from '../../errors.js';
import type { EnginePartition } from './engine.js';
import { decodeHead, type EnvelopeHead, KIND_EVENT } from './envelope.js';
import type { IndexCache } from './index-cache.js';
import { IndexFile, type IndexValue } from './index-file.js';
import { IndexDamaged, type IndexIdentity } from './index-header.js';
import { compareKeys, type IndexKey, indexKey } from './index-key.js';
import { type IndexLayer, type Key, type KeyKind, MemoryLayer, type Postings } from './index-layer.js';
import { type IndexEntry, writeIndexFile } from './index-writer.js';

/** A file that is damaged as often as this, though it was just made, is not a matter of the file. */
const ATTEMPTS = 3;

const PREFIXES: Record<KeyKind, string> = { stream: 's:', category: 'c:', type: 't:', tag: 'g:' };

/** Sees an event that is being indexed. */
export type Visit = (event: EnvelopeHead, payload: Uint8Array) => void;

/** Writes what a layer in memory holds into the index file of its segment. */
export function writeLayer(disk: Disk, path: string, identity: IndexIdentity, layer: MemoryLayer): Promise<number> {
  return writeIndexFile(disk, path, identity, entriesOf(layer, identity.baseLsn));
}

function* entriesOf(layer: MemoryLayer, baseLsn: number): Generator<IndexEntry> {
  for (const [{ kind, name }, { firstRevision, lsns }] of layer.entries()) {
    yield { key: PREFIXES[kind] + name, value: firstRevision, postings: lsns.map((lsn) => lsn - baseLsn) };
  }
}

/** Reads a segment's events into a layer; `visit` sees each of them. */
export async function readLayer(
  log: EnginePartition,
  { segment, baseLsn, lastLsn }: IndexIdentity,
  visit?: Visit,
): Promise<MemoryLayer> {
  const layer = new MemoryLayer(segment);
  if (lastLsn < baseLsn) return layer;
  for await (const batch of log.read({ from: baseLsn, to: lastLsn, visibility: 'written' }).batches()) {
    for (const { lsn, payload } of batch) {
      const head = decodeHead(payload);
      if (head.kind !== KIND_EVENT) continue;
      layer.add(lsn, head.stream, head.revision, head.type, head.tags);
      visit?.(head, payload);
    }
  }
  return layer;
}

/** What was looked for last: it is looked for in one layer after the other. */
let lastKey: Key | undefined;
let lastWanted: IndexKey | string = '';

function wantedOf(key: Key): IndexKey | string {
  if (key !== lastKey) {
    const text = PREFIXES[key.kind] + key.name;
    lastWanted = indexKey(text) ?? text;
    lastKey = key;
  }
  return lastWanted;
}

export class FileLayer implements IndexLayer {
  readonly segment: number;
  readonly #log: EnginePartition;
  readonly #disk: Disk;
  readonly #path: string;
  readonly #identity: IndexIdentity;
  readonly #cache: IndexCache;
  #file: Promise<IndexFile> | undefined;
  /** The same, once it is open. */
  #opened: IndexFile | undefined;
  #gone = false;
  /** This process has written the file. */
  #warm: boolean;
  /** The layer that holds what is left of this one's events, once this one is gone. */
  #next: IndexLayer | undefined;

  /** The file need not be there: it is looked for, and made where it must be, when something is asked of it. */
  constructor(
    log: EnginePartition,
    disk: Disk,
    path: string,
    identity: IndexIdentity,
    cache: IndexCache,
    { warm }: { warm: boolean },
  ) {
    this.segment = identity.segment;
    this.#log = log;
    this.#disk = disk;
    this.#path = path;
    this.#identity = identity;
    this.#cache = cache;
    this.#warm = warm;
  }

  get lastLsn(): number {
    return this.#identity.lastLsn;
  }

  /** At once where the file's filter, in memory, says that the key is not here. */
  find(key: Key): undefined | Promise<Postings | undefined> {
    const wanted = wantedOf(key);
    if (!this.#gone && this.#opened?.mayContain(wanted) === false) return undefined;
    return this.#find(key, wanted);
  }

  async #find(key: Key, wanted: IndexKey | string): Promise<Postings | undefined> {
    const found = await this.#mending(async (file) => this.#postings(await file.get(wanted)));
    return found === undefined && this.#gone ? this.#clip(await this.#next?.find(key)) : found;
  }

  async *streams(prefix: string): AsyncGenerator<readonly [string, Postings]> {
    const begin = PREFIXES.stream;
    let after: string | undefined;
    // Piece by piece, so that a file which is made again in between is read on from where the old one was left.
    for (;;) {
      const entries = await this.#mending(async (file) => {
        const some: (readonly [string, Postings])[] = [];
        const range = { prefix: begin + prefix, ...(after === undefined ? {} : { after }) };
        for await (const { key, ...value } of file.entries(range)) {
          some.push([key.slice(begin.length), this.#postings(value) as Postings]);
          if (some.length === 512) break;
        }
        return some;
      });
      if (entries === undefined) break;
      yield* entries;
      const last = entries[entries.length - 1];
      if (last === undefined) return;
      after = begin + last[0];
    }
    for await (const [stream, found] of this.#next?.streams(prefix) ?? []) {
      const postings = this.#clip(found);
      const seen = after !== undefined && compareKeys(begin + stream, after) <= 0;
      if (postings !== undefined && !seen) yield [stream, postings];
    }
  }

  /** Closes it. Who still asks it gets what `next` has of its events: nothing where that is undefined. */
  async close(next?: IndexLayer): Promise<void> {
    this.#next = next;
    this.#gone = true;
    const file = await this.#file?.catch(() => undefined); // what was wrong was told to whoever asked for it
    await file?.close();
  }

  /** What lies in the range of this layer. */
  #clip(found: Postings | undefined): Postings | undefined {
    if (found === undefined) return undefined;
    const { baseLsn, lastLsn } = this.#identity;
    const lsns = found.lsns.filter((lsn) => lsn >= baseLsn && lsn <= lastLsn);
    const first = found.lsns.findIndex((lsn) => lsn >= baseLsn);
    return lsns.length === 0 ? undefined : { firstRevision: found.firstRevision + first, lsns };
  }

  #postings(found: IndexValue | undefined): Postings | undefined {
    if (found === undefined) return undefined;
    const { baseLsn } = this.#identity;
    return { firstRevision: found.value, lsns: Array.from(found.postings, (posting) => posting + baseLsn) };
  }

  /** Uses the file, and makes it again where it turns out to be damaged. Undefined where the segment is purged meanwhile. */
  async #mending<T>(use: (file: IndexFile) => Promise<T>): Promise<T | undefined> {
    for (let attempt = 1; !this.#gone; attempt++) {
      const opening = this.#file ?? this.#open();
      this.#file = opening;
      try {
        this.#opened = await opening;
        return await use(this.#opened);
      } catch (error) {
        this.#opened = undefined;
        const again = error instanceof IndexDamaged && attempt < ATTEMPTS;
        if (this.#file === opening) this.#file = again ? this.#replace(opening) : undefined;
        if (this.#gone || (error instanceof VarveError && error.code === 'ERR_VARVE_LSN_PURGED')) return undefined;
        if (!again) throw error;
      }
    }
    return undefined;
  }

  async #open(): Promise<IndexFile> {
    return (await IndexFile.open(this.#disk, this.#path, this.#identity, this.#cache, this.#warm)) ?? this.#make();
  }

  /** The damage may be where opening does not look. */
  async #replace(damaged: Promise<IndexFile>): Promise<IndexFile> {
    const file = await damaged.catch(() => undefined); // it could not even be made
    await file?.close();
    return this.#make();
  }

  async #make(): Promise<IndexFile> {
    await writeLayer(this.#disk, this.#path, this.#identity, await readLayer(this.#log, this.#identity));
    this.#warm = true;
    const made = await IndexFile.open(this.#disk, this.#path, this.#identity, this.#cache, this.#warm);
    if (made === undefined) throw new IndexDamaged(this.#path, 'it was made anew, and cannot be read');
    return made;
  }
}
