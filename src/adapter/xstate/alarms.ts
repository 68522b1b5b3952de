/**
 * One alarm clock for all actors of a host, awake or asleep: by name, each set to one time.
 *
 * A heap and a single timeout of the clock, so a hundred thousand actors cost no more than their places in it. An alarm
 * that is set again or cleared leaves its old place behind; it is thrown away when it comes up, or when such places are
 * more than the others.
 */
import type { Clock } from './clock.js';

interface Place {
  readonly due: number;
  /** Of two at the same time the one that was set first goes first. */
  readonly order: number;
  readonly name: string;
}

/** Timeouts are 31 bits of milliseconds; longer ones are looked at again. */
const MAX_TIMEOUT = 2 ** 30;

export class Alarms {
  readonly #clock: Clock;
  readonly #ring: (name: string) => void;
  readonly #places = new Map<string, Place>();
  #heap: Place[] = [];
  #order = 0;
  #timeout: { readonly handle: unknown; readonly due: number } | undefined;

  constructor(clock: Clock, ring: (name: string) => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  get size(): number {
    return this.#places.size;
  }

  /** At `due`, or as soon as possible where that is over. It rings once. */
  set(name: string, due: number): void {
    if (this.#places.get(name)?.due === due) return;
    const place = { due, order: this.#order++, name };
    this.#places.set(name, place);
    this.#push(place);
    this.#compact();
    this.#arm();
  }

  clear(name: string): void {
    if (!this.#places.delete(name)) return;
    this.#compact();
    this.#arm();
  }

  clearAll(): void {
    this.#places.clear();
    this.#heap = [];
    this.#arm();
  }

  #arm(): void {
    let first = this.#heap[0];
    while (first !== undefined && this.#places.get(first.name) !== first) {
      this.#pop();
      first = this.#heap[0];
    }
    if (this.#timeout !== undefined) {
      if (this.#timeout.due === first?.due) return;
      this.#clock.clearTimeout(this.#timeout.handle);
      this.#timeout = undefined;
    }
    if (first === undefined) return;
    const delay = Math.min(Math.max(0, first.due - this.#clock.now()), MAX_TIMEOUT);
    this.#timeout = { due: first.due, handle: this.#clock.setTimeout(() => this.#ringDue(), delay) };
  }

  #ringDue(): void {
    this.#timeout = undefined;
    const now = this.#clock.now();
    const due: string[] = [];
    for (let first = this.#heap[0]; first !== undefined && first.due <= now; first = this.#heap[0]) {
      this.#pop();
      if (this.#places.get(first.name) !== first) continue;
      this.#places.delete(first.name);
      due.push(first.name);
    }
    this.#arm();
    for (const name of due) this.#ring(name);
  }

  #compact(): void {
    if (this.#heap.length < 1024 || this.#heap.length < 2 * this.#places.size) return;
    this.#heap = [...this.#places.values()].sort((a, b) => (before(a, b) ? -1 : 1)); // sorted, it is a heap
  }

  #push(place: Place): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up] as Place;
      if (!before(place, parent)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = place;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Place;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= heap.length) break;
      if (down + 1 < heap.length && before(heap[down + 1] as Place, heap[down] as Place)) down++;
      if (!before(heap[down] as Place, last)) break;
      heap[at] = heap[down] as Place;
      at = down;
    }
    heap[at] = last;
  }
}

const before = (a: Place, b: Place): boolean => a.due < b.due || (a.due === b.due && a.order < b.order);
