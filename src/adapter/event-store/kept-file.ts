/**
 * A kept file that is read. Layout: kept-format.ts. Directory and handle live in the cache that all index files of a store
 * share, so memory does not grow with the number of files.
 */
import { join } from 'node:path';
import type { Disk } from '../../disk/disk.js';
import { systemCode, VarveError } from '../../errors.js';
import type { EngineRecord } from './engine.js';
import { type IndexCache, itemKey } from './index-cache.js';
import { crcOf } from './index-key.js';
import {
  DIRECTORY_ENTRY_BYTES,
  decodeKeptBlock,
  decodeKeptHeader,
  KEPT_HEADER_BYTES,
  type KeptHeader,
  type KeptRange,
  keptBlockAt,
  keptName,
} from './kept-format.js';

export class KeptFile {
  readonly range: KeptRange;
  readonly path: string;
  readonly firstLsn: number;
  readonly lastLsn: number;
  readonly records: number;
  readonly bytes: number;
  readonly #header: KeptHeader;
  readonly #disk: Disk;
  readonly #cache: IndexCache;
  readonly #id: string;

  private constructor(disk: Disk, path: string, range: KeptRange, cache: IndexCache, id: string, header: KeptHeader) {
    this.range = range;
    this.path = path;
    this.firstLsn = header.firstLsn;
    this.lastLsn = header.lastLsn;
    this.records = header.records;
    this.bytes = header.directoryOffset + header.blocks * DIRECTORY_ENTRY_BYTES;
    this.#header = header;
    this.#disk = disk;
    this.#cache = cache;
    this.#id = id;
  }

  /** Rejects with `ERR_VARVE_CORRUPT` where the file is damaged, missing, or of another store. */
  static async open(
    disk: Disk,
    directory: string,
    range: KeptRange,
    storeId: string,
    cache: IndexCache,
  ): Promise<KeptFile> {
    const path = join(directory, keptName(range));
    const id = cache.newFileId();
    const header = await cache.files.read(
      id,
      () => openKept(disk, path, range),
      async (file) => {
        const bytes = Buffer.alloc(KEPT_HEADER_BYTES);
        return decodeKeptHeader(bytes.subarray(0, await file.read(bytes, 0)), range, storeId);
      },
    );
    if (header === undefined) throw damaged(path, range, 'its header is damaged, or of another store');
    const file = new KeptFile(disk, path, range, cache, id, header);
    await file.#directory();
    return file;
  }

  get name(): string {
    return keptName(this.range);
  }

  /** The records of one block from `from` on, ascending; none behind the last one. */
  async forward(from: number): Promise<EngineRecord[]> {
    const directory = await this.#directory();
    for (let index = Math.max(0, blockOf(directory, from)); index < this.#header.blocks; index++) {
      const records = (await this.#block(directory, index)).filter(({ lsn }) => lsn >= from);
      if (records.length > 0) return records;
    }
    return [];
  }

  /** The records of one block from `from` down, descending; none before the first one. */
  async backward(from: number): Promise<EngineRecord[]> {
    const directory = await this.#directory();
    const index = blockOf(directory, from);
    return index < 0 ? [] : (await this.#block(directory, index)).filter(({ lsn }) => lsn <= from).reverse();
  }

  /** Closes it, after what is being read. */
  async close(): Promise<void> {
    this.#cache.forget(itemKey(this.#id, this.#header.directoryOffset));
    await this.#cache.files.close(this.#id);
  }

  #directory(): Promise<Buffer> {
    const { directoryOffset, blocks, directoryCrc } = this.#header;
    return this.#cache.load(itemKey(this.#id, directoryOffset), () =>
      this.#read(directoryOffset, blocks * DIRECTORY_ENTRY_BYTES, directoryCrc),
    );
  }

  async #block(directory: Buffer, index: number): Promise<EngineRecord[]> {
    const { offset, length, crc } = keptBlockAt(directory, index);
    return decodeKeptBlock(await this.#read(offset, length, crc));
  }

  #read(offset: number, length: number, crc: number): Promise<Buffer> {
    return this.#cache.files.read(
      this.#id,
      () => openKept(this.#disk, this.path, this.range),
      async (file) => {
        const bytes = Buffer.allocUnsafeSlow(length);
        const got = length === 0 ? 0 : await file.read(bytes, offset);
        if (got < length || crcOf(bytes) !== crc)
          throw damaged(this.path, this.range, `the ${length} bytes at ${offset} are damaged`);
        return bytes;
      },
    );
  }
}

/** The last block whose first LSN is not behind `lsn`; −1 if there is none. */
function blockOf(directory: Buffer, lsn: number): number {
  let low = 0;
  let high = directory.length / DIRECTORY_ENTRY_BYTES;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keptBlockAt(directory, middle).firstLsn <= lsn) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

async function openKept(disk: Disk, path: string, range: KeptRange) {
  try {
    return await disk.open(path, 'read');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') throw damaged(path, range, 'it is missing');
    throw error;
  }
}

export function damaged(path: string, { partition, firstSegment }: KeptRange, why: string): VarveError {
  return new VarveError(
    'ERR_VARVE_CORRUPT',
    `The file ${path}, with the events that a scavenge has kept, cannot be used: ${why}. Restore a backup.`,
    { path, partition, segment: firstSegment },
  );
}
