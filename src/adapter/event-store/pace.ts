/** Slows background work down to so many bytes in a second. */
import { setTimeout } from 'node:timers/promises';
import type { StoreCore } from './store-core.js';

/** A wait looks as often as this whether it is still wanted, in milliseconds. */
const SLICE_MS = 50;

export class Pace {
  readonly #core: StoreCore;
  readonly #bytesPerSecond: number;
  readonly #signal: AbortSignal | undefined;
  /** When what was spent so far has been earned; on the clock of `performance.now`. */
  #free = performance.now();

  constructor(core: StoreCore, bytesPerSecond: number, signal: AbortSignal | undefined) {
    this.#core = core;
    this.#bytesPerSecond = bytesPerSecond;
    this.#signal = signal;
  }

  /** Resolves when so many bytes may have been read and written. Rejects with the signal's reason, `ERR_VARVE_CLOSED`. */
  async spend(bytes: number): Promise<void> {
    this.#free = Math.max(this.#free, performance.now()) + (bytes * 1000) / this.#bytesPerSecond;
    for (;;) {
      this.#signal?.throwIfAborted();
      this.#core.refuseClosed();
      const left = this.#free - performance.now();
      if (left <= 0) return;
      await setTimeout(Math.min(left, SLICE_MS));
    }
  }
}
