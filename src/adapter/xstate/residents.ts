/** The actors of a host that are in memory: who they are, which of them are busy, and who has to leave. */
import { LRUCache } from 'lru-cache';
import type { ActorCell } from './actor-cell.js';
import type { Clock } from './clock.js';

interface Limits {
  /** Milliseconds after which one that does nothing leaves. */
  readonly passivateAfter: number;
  readonly maxActive: number;
  readonly maxActiveBytes: number;
}

/** Milliseconds within which an actor that was just used need not be said to be recent again. */
const TOUCH_EVERY = 100;

export class Residents {
  readonly #clock: Clock;
  readonly #passivateAfter: number;
  readonly #make: (stream: string) => ActorCell;
  readonly #passivated: (cell: ActorCell, due: number | undefined) => void;
  readonly #cells = new Map<string, ActorCell>();
  readonly #busy = new Set<ActorCell>();
  readonly #recent: LRUCache<string, ActorCell>;
  readonly #waiting: (() => void)[] = [];
  #sweeping: unknown;

  /** `passivated` is told of each that has left by itself, and when it has something to do again. */
  constructor(
    clock: Clock,
    limits: Limits,
    make: (stream: string) => ActorCell,
    passivated: (cell: ActorCell, due: number | undefined) => void,
  ) {
    this.#clock = clock;
    this.#passivateAfter = limits.passivateAfter;
    this.#make = make;
    this.#passivated = passivated;
    this.#recent = new LRUCache({
      max: limits.maxActive,
      maxSize: limits.maxActiveBytes,
      sizeCalculation: (cell) => cell.bytes,
      disposeAfter: (cell, _stream, reason) => {
        if (reason === 'evict') this.#passivate(cell);
      },
    });
  }

  get size(): number {
    return this.#cells.size;
  }

  get busy(): number {
    return this.#busy.size;
  }

  [Symbol.iterator](): IterableIterator<ActorCell> {
    return this.#cells.values();
  }

  find(stream: string): ActorCell | undefined {
    return this.#cells.get(stream);
  }

  /** It is used now; where it is not in memory it is made. */
  use(stream: string): ActorCell {
    const found = this.#cells.get(stream);
    if (found !== undefined) {
      const now = this.#clock.now();
      // Who was used last matters only where there is not room for all.
      if (now - found.usedAt >= TOUCH_EVERY && this.#crowded) this.#recent.get(stream);
      found.usedAt = now;
      return found;
    }
    const cell = this.#make(stream);
    cell.usedAt = this.#clock.now();
    this.#cells.set(stream, cell);
    this.#recent.set(stream, cell);
    return cell;
  }

  /** It has something to do, and stays. */
  setBusy(cell: ActorCell): void {
    this.#busy.add(cell);
  }

  /** It has nothing to do any more. */
  setQuiet(cell: ActorCell): void {
    if (!this.#busy.delete(cell)) return;
    if (!this.#recent.has(cell.stream)) this.#passivate(cell); // there was no room for it, but it was busy
    if (this.#busy.size > 0) return;
    for (const tell of this.#waiting.splice(0)) tell();
  }

  /** Resolves when none is busy. */
  async allQuiet(): Promise<void> {
    if (this.#busy.size > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** From now on those that were not used for a while leave. */
  sweep(): void {
    const handle = this.#clock.setTimeout(
      () => {
        const before = this.#clock.now() - this.#passivateAfter;
        for (const cell of this.#cells.values()) if (cell.usedAt <= before) this.#passivate(cell);
        this.sweep();
      },
      Math.max(1, this.#passivateAfter / 2),
    );
    this.#sweeping = handle;
    (handle as Partial<NodeJS.Timeout>).unref?.();
  }

  stopSweeping(): void {
    if (this.#sweeping !== undefined) this.#clock.clearTimeout(this.#sweeping);
  }

  /** All leave at once, and are handed to `left`. */
  clear(left: (cell: ActorCell) => void): void {
    for (const cell of [...this.#cells.values()]) {
      this.#forget(cell);
      left(cell);
    }
  }

  get #crowded(): boolean {
    const { size, max, calculatedSize, maxSize } = this.#recent;
    return 2 * size > max || 2 * calculatedSize > maxSize;
  }

  /** Lets an actor leave memory, unless something holds it there. */
  #passivate(cell: ActorCell): void {
    if (cell.pinned) return;
    const due = cell.nextTimer?.due;
    this.#forget(cell);
    this.#passivated(cell, due);
  }

  #forget(cell: ActorCell): void {
    cell.leave();
    if (this.#cells.get(cell.stream) !== cell) return;
    this.#cells.delete(cell.stream);
    this.#recent.delete(cell.stream);
  }
}
