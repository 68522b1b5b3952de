/**
 * Records that were taken and still wait for a segment, for room under the limit of unsynced bytes, or for a rewind to
 * end: first in, first out, so that nothing overtakes.
 *
 * A queued `write` has been given its LSN: it cannot be refused any more, nor can what stands before it. A queued
 * append has none yet.
 */
import type { Ack } from '../options.js';
import type { Appended, AppendedBatch } from './tail.js';

export interface QueuedAppend {
  readonly payloads: readonly Uint8Array[];
  /** Bytes with record headers. */
  readonly bytes: number;
  readonly batch: boolean;
  readonly ack: Ack;
  readonly resolve: (result: Appended | AppendedBatch) => void;
  readonly reject: (error: unknown) => void;
}

/** A `write`: there is nobody to tell. */
export type QueuedWrite = Pick<QueuedAppend, 'payloads' | 'bytes'> & { readonly ack: undefined };

export type Queued = QueuedAppend | QueuedWrite;

export class AppendQueue {
  #entries: Queued[] = [];
  #head = 0;
  /** Bytes with record headers of all that waits. */
  bytes = 0;
  /** Records of all that waits. */
  records = 0;

  get length(): number {
    return this.#entries.length - this.#head;
  }

  get first(): Queued | undefined {
    return this.#entries[this.#head];
  }

  /** How many records stand in the queue up to and including the last `write`. */
  get writtenRecords(): number {
    let records = 0;
    let upToWrite = 0;
    for (let i = this.#head; i < this.#entries.length; i++) {
      const entry = this.#entries[i] as Queued;
      records += entry.payloads.length;
      if (entry.ack === undefined) upToWrite = records;
    }
    return upToWrite;
  }

  push(entry: Queued): void {
    this.#entries.push(entry);
    this.bytes += entry.bytes;
    this.records += entry.payloads.length;
  }

  shift(): void {
    const entry = this.#entries[this.#head++] as Queued;
    this.bytes -= entry.bytes;
    this.records -= entry.payloads.length;
    if (this.#head === this.#entries.length || this.#head > 4096) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Refuses the appends behind the last `write`. */
  refuseAppends(error: () => unknown): void {
    while (this.length > 0) {
      const last = this.#entries[this.#entries.length - 1] as Queued;
      if (last.ack === undefined) return;
      this.#entries.pop();
      this.bytes -= last.bytes;
      this.records -= last.payloads.length;
      last.reject(error());
    }
  }

  /** Ends all that waits. */
  rejectAll(error: unknown): void {
    const entries = this.#entries.slice(this.#head);
    this.#entries = [];
    this.#head = 0;
    this.bytes = 0;
    this.records = 0;
    for (const entry of entries) if (entry.ack !== undefined) entry.reject(error);
  }
}
