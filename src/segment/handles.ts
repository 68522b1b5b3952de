/**
 * Open files, sparse indexes and blocks of the segments that are being read, shared by all readers of a log and bounded.
 *
 * A handle is leased: eviction from the cache only stops new leases, and the file is closed when the last lease of an
 * evicted handle is returned. A purge or rewind calls `forget`, so that no stale file or index outlives its segment.
 */
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import type { Disk, DiskFile } from '../disk/disk.js';
import { VarveError } from '../errors.js';
import type { Block } from './blocks.js';
import type { IndexEntry } from './frame.js';

/** Rough cost of one sparse index entry in memory, and of the place of a frame in a block. */
const INDEX_ENTRY_BYTES = 48;
const FRAME_PLACE_BYTES = 16;

interface Handle {
  readonly file: DiskFile;
  leases: number;
  evicted: boolean;
}

interface Opening {
  readonly handle: Promise<Handle>;
  /** Who waits for it. */
  waiting: number;
}

export class SegmentHandles {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #handles: LRUCache<string, Handle>;
  readonly #opening = new Map<string, Opening>();
  readonly #indexes: LRUCache<string, IndexEntry[]>;
  /** By `blockKey`. */
  readonly #blocks: LRUCache<string, Block>;
  /** Calls of `forget`: an index that was read before the last one may be of a file that has gone. */
  forgotten = 0;
  #closed = false;
  /** Calls of `with` that are under way. */
  #uses = 0;
  #onUnused: (() => void) | undefined;
  /** Closes that are under way, so that `close` can wait for them. */
  readonly #closing = new Set<Promise<unknown>>();

  constructor(
    disk: Disk,
    directory: string,
    {
      maxReadHandles,
      indexCacheBytes,
      blockCacheBytes,
    }: Record<'maxReadHandles' | 'indexCacheBytes' | 'blockCacheBytes', number>,
  ) {
    this.#disk = disk;
    this.#directory = directory;
    this.#handles = new LRUCache({
      max: maxReadHandles,
      dispose: (handle) => {
        handle.evicted = true;
        if (handle.leases === 0) this.#close(handle);
      },
    });
    this.#indexes = new LRUCache({
      maxSize: indexCacheBytes,
      sizeCalculation: (entries) => INDEX_ENTRY_BYTES * (entries.length + 1),
    });
    this.#blocks = new LRUCache({
      maxSize: blockCacheBytes,
      sizeCalculation: ({ view, offsets }) => view.byteLength + FRAME_PLACE_BYTES * offsets.length,
    });
  }

  /** Runs `use` with the open file of the segment `name`. Rejects with `ERR_VARVE_CLOSED` once the log is closed. */
  async with<T>(name: string, use: (file: DiskFile) => T | Promise<T>): Promise<T> {
    if (this.#closed) throw new VarveError('ERR_VARVE_CLOSED', 'The log is closed.');
    this.#uses++;
    try {
      let handle = this.#handles.get(name);
      if (handle === undefined) handle = await this.#open(name);
      else handle.leases++;
      try {
        return await use(handle.file);
      } finally {
        if (--handle.leases === 0 && handle.evicted) this.#close(handle);
      }
    } finally {
      if (--this.#uses === 0) this.#onUnused?.();
    }
  }

  /** The file of `name` if it is open; only for use before anything is awaited. */
  peek(name: string): DiskFile | undefined {
    return this.#handles.get(name)?.file;
  }

  cachedIndex(name: string): IndexEntry[] | undefined {
    return this.#indexes.get(name);
  }

  keepIndex(name: string, entries: IndexEntry[]): void {
    this.#indexes.set(name, entries);
  }

  /** The block of the segment `name` that begins at `offset`. */
  cachedBlock(name: string, offset: number): Block | undefined {
    return this.#blocks.get(blockKey(name, offset));
  }

  keepBlock(name: string, block: Block): void {
    this.#blocks.set(blockKey(name, block.start), block);
  }

  /** Forgets all about a segment that is purged, rewound or renamed. */
  forget(name: string): void {
    this.forgotten++;
    this.#opening.delete(name);
    this.#handles.delete(name);
    this.#indexes.delete(name);
    for (const key of [...this.#blocks.keys()]) if (key.startsWith(blockKey(name, ''))) this.#blocks.delete(key);
  }

  /** Resolves when everything is closed; what is being read is read to its end first. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#uses > 0) {
      await new Promise<void>((resolve) => {
        this.#onUnused = resolve;
      });
    }
    this.#handles.clear();
    this.#indexes.clear();
    this.#blocks.clear();
    await Promise.all(this.#closing);
  }

  /**
   * The file of `name`, with a lease for the caller. All who wait have theirs from the beginning: else the files that
   * are opened next may evict it before any of them goes on, and those that open it once more evict the others in turn.
   */
  #open(name: string): Promise<Handle> {
    const opening = this.#opening.get(name) ?? this.#beginOpening(name);
    opening.waiting++;
    return opening.handle;
  }

  #beginOpening(name: string): Opening {
    const isCurrent = () => this.#opening.get(name) === opening;
    const handle = this.#disk.open(join(this.#directory, name), 'read').then(
      (file) => {
        // Forgotten meanwhile: another file may bear the name by now.
        const handle: Handle = { file, leases: opening.waiting, evicted: !isCurrent() };
        if (isCurrent()) {
          this.#opening.delete(name);
          this.#handles.set(name, handle);
        }
        return handle;
      },
      (error: unknown) => {
        if (isCurrent()) this.#opening.delete(name);
        throw error;
      },
    );
    const opening: Opening = { handle, waiting: 0 };
    this.#opening.set(name, opening);
    return opening;
  }

  #close(handle: Handle): void {
    // A file that was only read has nothing to lose: a failed close leaves nothing to do and nothing to tell.
    const closing: Promise<unknown> = handle.file.close().then(
      () => this.#closing.delete(closing),
      () => this.#closing.delete(closing),
    );
    this.#closing.add(closing);
  }
}

const blockKey = (name: string, offset: number | ''): string => `${name}:${offset}`;
