/**
 * The bytes of one simulated file: what the page cache holds, what the disk holds, and what has been done since the
 * last sync.
 *
 *   cached   what every reader and every mapping sees
 *   synced   what is on the disk for sure; never changed in place, so that clones share it
 *   pending  writes and changes of size that no sync has covered, in order
 *
 * At a power loss the disk holds `synced` and any part of `pending` on top of it (crash.ts decides which). Stores through
 * a mapping leave no trace of their own: they are found by comparing `cached` with what it should be without them.
 */
import { createHash } from 'node:crypto';
import { Extents } from './extents.js';

export const SECTOR_BYTES = 512;
/** Unit in which the page cache is dirty or clean. */
export const PAGE_BYTES = 4096;

export type Pending =
  | { readonly kind: 'write'; readonly order: number; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'size'; readonly order: number; readonly size: number };

/** What a sync that begins now is going to make durable. */
export interface SyncPoint {
  readonly order: number;
  readonly content: Uint8Array;
}

/**
 * What is left of pages whose writing failed.
 * `keep`: the cache keeps the new bytes and calls them clean (ext4, XFS). `revert`: the cache goes back to the old ones (btrfs).
 */
export type WritebackFailure = 'keep' | 'revert';

const EMPTY = new Uint8Array(0);
/** Of contents that are never changed in place. */
const hashes = new WeakMap<Uint8Array, string>();

export class Inode {
  size = 0;
  extents = new Extents();
  /** Names, handles and mappings that keep the space. */
  references = 0;
  /** The name that it bears in its directory, or the last one that it bore. */
  name: string | undefined;
  synced: Uint8Array = EMPTY;
  pending: readonly Pending[] = [];
  /** Bytes behind `size` are zero. */
  #cached: Uint8Array = EMPTY;
  /** Another clone holds the same buffer: it is copied before it is changed. */
  #shared = false;
  #mappings = 0;
  #order = 0;
  #syncedOrder = 0;
  /** Pages that the cache calls clean although the disk does not hold them: content at that time, by page number. */
  #lost = new Map<number, Uint8Array>();
  /** Whatever is written back between two syncs is lost, and the next one says so. */
  #failing: WritebackFailure | undefined;

  /** Sectors that cannot be read until they have been written again, by number. */
  #unreadable: Set<number> | undefined;

  /** What a read sees. */
  get cached(): Uint8Array {
    return this.#cached.subarray(0, this.size);
  }

  get mapped(): boolean {
    return this.#mappings > 0;
  }

  /** An inode with this content, all of it durable. */
  static durable(content: Uint8Array, extents: Extents): Inode {
    const inode = new Inode();
    inode.synced = content;
    inode.#cached = content;
    inode.#shared = true;
    inode.size = content.length;
    inode.extents = extents;
    return inode;
  }

  /** The same state, with no handle and no mapping. */
  clone(): Inode {
    const copy = new Inode();
    copy.size = this.size;
    copy.extents = this.extents.clone();
    copy.synced = this.synced;
    copy.#order = this.#order;
    copy.pending = this.pending;
    if (this.mapped) {
      for (const store of this.#storesThroughMapping()) copy.#note({ ...store, order: ++copy.#order });
      copy.#cached = this.#cached.slice();
    } else {
      // Both copy before they change it.
      this.#shared = true;
      copy.#cached = this.#cached;
      copy.#shared = true;
    }
    copy.#syncedOrder = this.#syncedOrder;
    copy.#lost = new Map(this.#lost);
    copy.#failing = this.#failing;
    copy.inheritUnreadable(this);
    return copy;
  }

  /** The sector at `offset` cannot be read from now on. */
  spoil(offset: number): void {
    this.#unreadable = new Set(this.#unreadable).add(Math.floor(offset / SECTOR_BYTES));
  }

  mend(): void {
    this.#unreadable = undefined;
  }

  inheritUnreadable(other: Inode): void {
    this.#unreadable = other.#unreadable === undefined ? undefined : new Set(other.#unreadable);
  }

  /** True if all sectors of [from, to) can be read. */
  readable(from: number, to: number): boolean {
    for (const sector of this.#unreadable ?? []) {
      if (sector * SECTOR_BYTES < to && (sector + 1) * SECTOR_BYTES > from) return false;
    }
    return true;
  }

  write(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    this.#own(end);
    this.#cached.set(bytes, offset);
    if (end > this.size) this.#setSize(end);
    this.#note({ kind: 'write', order: ++this.#order, offset, bytes: bytes.slice() });
    this.#dirtyAgain(offset, end);
    for (const sector of this.#unreadable ?? []) {
      const at = sector * SECTOR_BYTES;
      if (at >= offset && at + SECTOR_BYTES <= end) this.#unreadable?.delete(sector);
    }
  }

  resize(size: number): void {
    this.#own(size);
    if (size === this.size) return;
    if (size < this.size) this.#cached.fill(0, size, this.size);
    this.#setSize(size);
  }

  /** The cache itself; its first `length` bytes stay where they are until `unmap`. */
  map(length: number): Uint8Array {
    this.#own(this.size);
    this.#mappings++;
    return new Uint8Array(this.#cached.buffer, this.#cached.byteOffset, length);
  }

  unmap(): void {
    // What was stored through it stays in the cache, like a write.
    for (const store of this.#storesThroughMapping()) this.#note({ ...store, order: ++this.#order });
    this.#mappings--;
  }

  beginSync(): SyncPoint {
    const clean = this.pending.length === 0 && !this.mapped;
    return { order: this.#order, content: clean ? this.synced : this.#reachable() };
  }

  finishSync(point: SyncPoint): void {
    if (point.order < this.#syncedOrder) return; // one that began later has finished before
    this.#syncedOrder = point.order;
    this.synced = point.content;
    this.pending = this.pending.filter((change) => change.order > point.order);
  }

  /** From now on until the next sync, what is written does not reach the disk. */
  failLater(manner: WritebackFailure): void {
    this.#failing = manner;
  }

  /** True if something failed to reach the disk since the last sync, which the one that begins now has to report. */
  failedBefore(): boolean {
    const manner = this.#failing;
    this.#failing = undefined;
    if (manner !== undefined) this.failWriteback(manner);
    return manner !== undefined;
  }

  /** Everything dirty fails to reach the disk, and is called clean. */
  failWriteback(manner: WritebackFailure): void {
    const full = this.#applied();
    const pages = new Set<number>();
    for (let at = 0; at < this.size; at += PAGE_BYTES) {
      const to = Math.min(at + PAGE_BYTES, this.size);
      const changed = !equal(this.cached.subarray(at, to), this.synced.subarray(at, to));
      if (changed || !equal(full.subarray(at, to), this.cached.subarray(at, to))) pages.add(at / PAGE_BYTES);
    }
    // Sizes are metadata, which the journal has.
    const synced = new Uint8Array(this.size);
    synced.set(this.synced.subarray(0, Math.min(this.size, this.synced.length)));
    this.synced = synced;
    this.pending = [];
    this.#syncedOrder = ++this.#order;
    if (manner === 'revert') {
      this.#own(this.size);
      this.#cached.set(synced);
      this.#lost.clear();
    } else {
      for (const page of pages) this.#lost.set(page, this.#page(page).slice());
    }
  }

  /** The cache lets go of clean pages from offset `from` on: what is read next comes from the disk. */
  dropCache(from = 0): void {
    for (const [page, content] of this.#lost) {
      if (page * PAGE_BYTES < from) continue;
      this.#lost.delete(page);
      if (!equal(content, this.#page(page))) continue;
      this.#own(this.size);
      const at = page * PAGE_BYTES;
      const onDisk = new Uint8Array(content.length);
      onDisk.set(this.synced.subarray(at, at + content.length));
      this.#cached.set(onDisk, at);
    }
  }

  /** `pending`, and the stores through mappings as writes of whole sectors. */
  allPending(): readonly Pending[] {
    return this.mapped ? [...this.pending, ...this.#storesThroughMapping()] : this.pending;
  }

  /** Of what is on the disk. */
  fingerprint(): string {
    let hash = hashes.get(this.synced);
    if (hash === undefined) {
      hash = createHash('sha1').update(this.synced).digest('base64');
      hashes.set(this.synced, hash);
    }
    return `${hash}+${this.extents}`;
  }

  #setSize(size: number): void {
    this.size = size;
    this.#note({ kind: 'size', order: ++this.#order, size });
  }

  #note(change: Pending): void {
    this.pending = [...this.pending, change];
  }

  /** Makes the cache this inode's own, with room for `size` bytes. */
  #own(size: number): void {
    if (size > this.#cached.length) {
      if (this.mapped) throw new Error('The simulated disk does not let a file grow past its end while it is mapped');
      const grown = new Uint8Array(Math.max(size, Math.min(this.#cached.length * 2, this.#cached.length + 65_536)));
      grown.set(this.#cached);
      this.#cached = grown;
    } else if (this.#shared) {
      this.#cached = this.#cached.slice();
    }
    this.#shared = false;
  }

  /** A write to a page makes all of it dirty, also what the cache had wrongly called clean. */
  #dirtyAgain(from: number, to: number): void {
    for (const page of this.#lost.keys()) {
      const at = page * PAGE_BYTES;
      if (at >= to || at + PAGE_BYTES <= from) continue;
      this.#lost.delete(page);
      this.#note({ kind: 'write', order: ++this.#order, offset: at, bytes: this.#page(page).slice() });
    }
  }

  #page(page: number): Uint8Array {
    return this.cached.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
  }

  /** What the disk holds once everything that is dirty now has been written. */
  #reachable(): Uint8Array {
    const content = this.cached.slice();
    for (const [page, lost] of this.#lost) {
      if (!equal(lost, this.#page(page))) {
        this.#lost.delete(page); // dirtied through a mapping
        continue;
      }
      const at = page * PAGE_BYTES;
      content.fill(0, at, at + lost.length);
      content.set(this.synced.subarray(at, Math.min(at + lost.length, this.synced.length)), at);
    }
    return content;
  }

  /** `synced` with all of `pending` on top. */
  #applied(): Uint8Array {
    let capacity = Math.max(this.size, this.synced.length);
    for (const change of this.pending) {
      capacity = Math.max(capacity, change.kind === 'size' ? change.size : change.offset + change.bytes.length);
    }
    const content = new Uint8Array(capacity);
    content.set(this.synced);
    for (const change of this.pending) {
      if (change.kind === 'write') content.set(change.bytes, change.offset);
      else content.fill(0, change.size);
    }
    return content;
  }

  #storesThroughMapping(): Extract<Pending, { kind: 'write' }>[] {
    const expected = this.#applied();
    const stores: Extract<Pending, { kind: 'write' }>[] = [];
    for (let at = 0; at < this.size; at += SECTOR_BYTES) {
      const sector = this.cached.subarray(at, at + SECTOR_BYTES);
      if (equal(sector, expected.subarray(at, at + sector.length))) continue;
      const lost = this.#lost.get(Math.floor(at / PAGE_BYTES));
      const inPage = at % PAGE_BYTES;
      if (lost !== undefined && equal(sector, lost.subarray(inPage, inPage + sector.length))) continue;
      stores.push({ kind: 'write', order: Number.POSITIVE_INFINITY, offset: at, bytes: sector.slice() });
    }
    return stores;
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
