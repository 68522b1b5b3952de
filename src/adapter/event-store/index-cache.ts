/**
 * What all index files of a store share: one cache of blocks, lists and summaries with a limit in bytes, and one set of
 * open files with a limit in number. Memory grows with neither the number of keys nor that of segments.
 */
import { LRUCache } from 'lru-cache';
import { OpenFiles } from './open-files.js';

/** Rough cost of an item besides its bytes: map entry, key, objects. */
const ITEM_BYTES = 200;

interface CacheItem {
  readonly byteLength: number;
}

/** Items go by the id of their file and their offset in it: a file's item at one offset is always of one type. */
export const itemKey = (fileId: string, offset: number): string => `${fileId}:${offset}`;

export interface IndexCacheOptions {
  /** Bytes of what is kept in memory; an item larger than this is not kept. At least 1. */
  readonly maxBytes: number;
  /** Files that are kept open. At least 1. */
  readonly maxFiles: number;
}

export class IndexCache {
  readonly files: OpenFiles;
  readonly #items: LRUCache<string, CacheItem>;
  readonly #loading = new Map<string, Promise<CacheItem>>();
  #lastId = 0;
  #closed = false;

  constructor({ maxBytes, maxFiles }: IndexCacheOptions) {
    this.files = new OpenFiles(maxFiles);
    this.#items = new LRUCache({ maxSize: maxBytes, sizeCalculation: (item) => ITEM_BYTES + item.byteLength });
  }

  /** Bytes that are held now. */
  get bytes(): number {
    return this.#items.calculatedSize;
  }

  /** An id that no file has had: what is cached of a file that was replaced is never taken for the new one's. */
  newFileId(): string {
    return `${++this.#lastId}`;
  }

  /** `key`: of `itemKey`. */
  get<T extends CacheItem>(key: string): T | undefined {
    return this.#items.get(key) as T | undefined;
  }

  /** The item, read if it is not here; who asks while it is being read gets the same one. */
  async load<T extends CacheItem>(key: string, read: () => Promise<T>): Promise<T> {
    const found = this.#items.get(key) ?? this.#loading.get(key);
    if (found !== undefined) return found as T | Promise<T>;
    const loading = read()
      .then((item) => {
        if (!this.#closed) this.#items.set(key, item);
        return item;
      })
      .finally(() => this.#loading.delete(key));
    this.#loading.set(key, loading);
    return loading;
  }

  forget(key: string): void {
    this.#items.delete(key);
  }

  /** Closes all files, after what is being read of them, and lets go of everything. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#items.clear();
    await this.files.closeAll();
  }
}
