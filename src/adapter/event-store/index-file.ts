/**
 * An index file that is read: a sorted map from keys to postings. Layout: see index-header.ts.
 *
 * Nothing of a file stays in memory or open for good: summary, blocks and handle live in the cache that all files of a
 * store share, and are read again when they have left it.
 */
import type { Disk, DiskFile } from '../../disk/disk.js';
import { systemCode, VarveError } from '../../errors.js';
import { BLOCK_BYTES, BlockEntry, entryCount, type ListPlace, lowerBound } from './index-block.js';
import { type IndexCache, itemKey } from './index-cache.js';
import {
  blockOffset,
  decodeIndexHeader,
  INDEX_HEADER_BYTES,
  IndexDamaged,
  type IndexIdentity,
  type IndexLayout,
  summaryOffset,
} from './index-header.js';
import { beginsWith, compareBytes, crcOf, type IndexKey, indexKey, utf8Of } from './index-key.js';
import { IndexSummary } from './index-summary.js';
import { VarintReader } from './postings.js';

export interface IndexValue {
  readonly value: number;
  /** Ascending. Shared with other readers: not to be changed. */
  readonly postings: Uint32Array;
}

export interface IndexRange {
  /** Only keys that begin with this. Default: all. */
  readonly prefix?: string;
  /** Only keys behind this one, which need not be there. */
  readonly after?: string;
}

/**
 * Methods reject with `IndexDamaged` where the file turns out to be damaged, missing or another one: build it again. The
 * disk's errors are passed on. `ERR_VARVE_CLOSED` after `close`.
 */
export class IndexFile {
  readonly keyCount: number;
  readonly #disk: Disk;
  readonly #path: string;
  readonly #layout: IndexLayout;
  readonly #cache: IndexCache;
  readonly #id: string;
  readonly #warm: boolean;
  readonly #summaryOffset: number;
  readonly #summaryKey: string;
  #closed = false;

  private constructor(
    disk: Disk,
    path: string,
    cache: IndexCache,
    { id, layout, warm }: { id: string; layout: IndexLayout; warm: boolean },
  ) {
    this.keyCount = layout.keyCount;
    this.#disk = disk;
    this.#path = path;
    this.#cache = cache;
    this.#id = id;
    this.#warm = warm;
    this.#layout = layout;
    this.#summaryOffset = summaryOffset(layout);
    this.#summaryKey = itemKey(id, this.#summaryOffset);
  }

  /**
   * Undefined where the file is missing, damaged, of another identity or version: it must be built again. `warm`: this
   * process has written it, so it lies in the page cache, and reading it at once is quicker than having it read.
   */
  static async open(
    disk: Disk,
    path: string,
    identity: IndexIdentity,
    cache: IndexCache,
    warm = false,
  ): Promise<IndexFile | undefined> {
    const id = cache.newFileId();
    try {
      const layout = await cache.files.read(
        id,
        () => openFile(disk, path),
        (file) => layoutOf(file, identity),
      );
      const file = new IndexFile(disk, path, cache, { id, layout, warm });
      await file.#summary();
      return file;
    } catch (error) {
      await cache.files.close(id);
      if (error instanceof IndexDamaged) return undefined;
      throw error;
    }
  }

  /** Bytes of the summary, while it is in memory; else 0. Blocks and lists belong to the cache. */
  get bytesInMemory(): number {
    return this.#cachedSummary()?.byteLength ?? 0;
  }

  /**
   * False only if the key is not here. True for every key that is, for about 1 % of those that are not, and for all while
   * the summary is not in memory: `get` reads it.
   */
  mayContain(key: string | IndexKey): boolean {
    const wanted = typeof key === 'string' ? indexKey(key) : key;
    if (wanted === undefined) return false;
    return this.#cachedSummary()?.filter.mayContain(wanted.hash) ?? true;
  }

  async get(key: string | IndexKey): Promise<IndexValue | undefined> {
    this.#checkOpen();
    const wanted = typeof key === 'string' ? indexKey(key) : key;
    if (wanted === undefined) return undefined;
    const summary = await this.#summary();
    if (!summary.filter.mayContain(wanted.hash)) return undefined;
    const number = summary.blockOf(wanted.bytes);
    if (number < 0) return undefined;
    const offset = blockOffset(number);
    const blockKey = itemKey(this.#id, offset);
    const block =
      this.#cache.get<Buffer>(blockKey) ?? (await this.#cache.load(blockKey, () => this.#readBlock(number, summary)));
    const index = lowerBound(block, wanted.bytes);
    if (index === entryCount(block)) return undefined;
    const entry = new BlockEntry(block, index);
    if (compareBytes(wanted.bytes, block, entry.keyStart, entry.keyEnd) !== 0) return undefined;
    const { value, count, postings } = entry.content();
    if (postings instanceof Uint32Array) return { value, postings };
    const listOffset = blockOffset(this.#layout.blockCount) + postings.offset;
    const list = await this.#cache.load(itemKey(this.#id, listOffset), () => this.#readList(postings, count));
    return { value, postings: list };
  }

  /**
   * Keys in the order of their UTF-8 bytes. What is read for it is not kept in the cache: a scan is not to drive out what
   * look-ups need. Throws `ERR_VARVE_INVALID_OPTION` for a `prefix` or `after` with a lone surrogate.
   */
  async *entries({ prefix = '', after }: IndexRange = {}): AsyncGenerator<{ readonly key: string } & IndexValue> {
    const prefixBytes = bytesOf(prefix, 'prefix');
    const afterBytes = after === undefined ? undefined : bytesOf(after, 'after');
    const from = afterBytes !== undefined && Buffer.compare(afterBytes, prefixBytes) > 0 ? afterBytes : prefixBytes;
    this.#checkOpen();
    const first = Math.max(0, (await this.#summary()).blockOf(from));
    for (let number = first; number < this.#layout.blockCount; number++) {
      this.#checkOpen();
      const summary = await this.#summary(); // asked for again: a scan that rests is not to hold it in memory
      const block =
        this.#cache.get<Buffer>(itemKey(this.#id, blockOffset(number))) ?? (await this.#readBlock(number, summary));
      const count = entryCount(block);
      for (let index = number === first ? lowerBound(block, from) : 0; index < count; index++) {
        const entry = new BlockEntry(block, index);
        if (afterBytes !== undefined && compareBytes(afterBytes, block, entry.keyStart, entry.keyEnd) === 0) continue;
        if (!beginsWith(prefixBytes, block, entry.keyStart, entry.keyEnd)) return;
        const { value, count: length, postings } = entry.content();
        const list = postings instanceof Uint32Array ? postings : await this.#readList(postings, length);
        yield { key: entry.key, value, postings: list };
      }
    }
  }

  /** Idempotent. Resolves when what is being read has been read, and the file is closed. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cache.forget(this.#summaryKey);
    await this.#cache.files.close(this.#id);
  }

  #checkOpen(): void {
    if (this.#closed) throw new VarveError('ERR_VARVE_CLOSED', 'The index file is closed.', { path: this.#path });
  }

  #cachedSummary(): IndexSummary | undefined {
    return this.#cache.get(this.#summaryKey);
  }

  #summary(): IndexSummary | Promise<IndexSummary> {
    const cached = this.#cachedSummary();
    if (cached !== undefined) return cached;
    const { directoryBytes, filterBytes, summaryCrc } = this.#layout;
    return this.#cache.load(this.#summaryKey, async () => {
      const bytes = await this.#read(this.#summaryOffset, directoryBytes + filterBytes, summaryCrc);
      return new IndexSummary(bytes, this.#layout);
    });
  }

  #readBlock(number: number, summary: IndexSummary): Promise<Buffer> {
    return this.#read(blockOffset(number), BLOCK_BYTES, summary.crcOfBlock(number));
  }

  async #readList(place: ListPlace, count: number): Promise<Uint32Array> {
    const offset = blockOffset(this.#layout.blockCount) + place.offset;
    return new VarintReader(await this.#read(offset, place.bytes, place.crc), 0).postings(count);
  }

  /** Bytes of the file that have the checksum `crc`. */
  #read(offset: number, length: number, crc: number): Promise<Buffer> {
    return this.#cache.files.read(
      this.#id,
      () => this.#openAgain(),
      async (file) => {
        const bytes = Buffer.allocUnsafeSlow(length);
        const got = this.#warm ? file.readSync(bytes, offset) : await file.read(bytes, offset);
        if (got < length || crcOf(bytes) !== crc) {
          throw new IndexDamaged(this.#path, `the ${length} bytes at ${offset} are damaged`);
        }
        return bytes;
      },
    );
  }

  /**
   * The file again, after its handle has been given up. By now there may be another one under its name: the checksums
   * tell, since what is read must have those of the file that was opened first.
   */
  async #openAgain(): Promise<DiskFile> {
    this.#checkOpen();
    return openFile(this.#disk, this.#path);
  }
}

async function openFile(disk: Disk, path: string): Promise<DiskFile> {
  try {
    return await disk.open(path, 'read');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') throw new IndexDamaged(path, 'it is missing');
    throw error;
  }
}

async function layoutOf(file: DiskFile, identity: IndexIdentity): Promise<IndexLayout> {
  const page = Buffer.allocUnsafeSlow(INDEX_HEADER_BYTES);
  const got = await file.read(page, 0);
  const layout = decodeIndexHeader(page.subarray(0, got), identity);
  if (layout === undefined) throw new IndexDamaged(file.path, 'its header is damaged or of something else');
  return layout;
}

function bytesOf(text: string, option: string): Buffer {
  const bytes = utf8Of(text);
  if (bytes === undefined) {
    throw new VarveError('ERR_VARVE_INVALID_OPTION', `${option} has a lone surrogate.`, { option });
  }
  return bytes;
}
