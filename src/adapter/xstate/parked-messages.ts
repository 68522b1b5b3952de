/**
 * Messages of one actor to others whose receivers have thrown again and again: parked, until somebody hands them over
 * again or gives them up. They are in the actor's journal and in its snapshots.
 */
import type { AnyEventObject } from 'xstate';
import type { DurableAddress } from './address.js';

/** What the journal says of a message that was parked. */
export interface Parked {
  readonly to: DurableAddress;
  readonly event: AnyEventObject;
  /** It comes from a child of the receiver's: its address there. */
  readonly child?: string;
  /** How often it was handed over. */
  readonly attempts: number;
  /** What the receiver threw the last time. */
  readonly error: unknown;
}

/** A message that was parked, as a host tells of it. */
export interface ParkedMessage {
  /** The sender. */
  readonly machine: string;
  readonly id: string;
  /** Place of the message in the journal of the sender. */
  readonly revision: number;
  readonly to: DurableAddress;
  readonly event: AnyEventObject;
  /** How often it was handed over. */
  readonly attempts: number;
  /** What the receiver threw the last time. */
  readonly error: unknown;
}

export class ParkedMessages {
  /** By revision in the journal: what the journal has. */
  readonly #parked: Map<number, Parked>;
  /** Those about which an entry is on its way into the journal. */
  readonly #entering = new Set<number>();
  readonly #leaving = new Set<number>();

  constructor(parked: Iterable<readonly [number, Parked]>) {
    this.#parked = new Map(parked);
  }

  [Symbol.iterator](): IterableIterator<[number, Parked]> {
    return this.#parked.entries();
  }

  get size(): number {
    return this.#parked.size;
  }

  /** How many there will be, when what is on its way has arrived. */
  get expected(): number {
    return this.#parked.size + this.#entering.size - this.#leaving.size;
  }

  entering(revision: number): void {
    this.#entering.add(revision);
  }

  entered(revision: number, parked: Parked): void {
    this.#entering.delete(revision);
    this.#parked.set(revision, parked);
  }

  /** Undefined where it is parked no longer, or is about to leave. */
  leaving(revision: number): Parked | undefined {
    const parked = this.#leaving.has(revision) ? undefined : this.#parked.get(revision);
    if (parked !== undefined) this.#leaving.add(revision);
    return parked;
  }

  left(revision: number): void {
    this.#leaving.delete(revision);
    this.#parked.delete(revision);
  }
}
