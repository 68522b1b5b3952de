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

interface Places {
  /** By revision in the journal: what the journal has. */
  readonly parked: Map<number, Parked>;
  /** Those about which an entry is on its way into the journal. */
  readonly entering: Set<number>;
  readonly leaving: Set<number>;
}

export class ParkedMessages {
  /** Undefined until there is one: most actors never have any. */
  #places: Places | undefined;

  constructor(parked: Iterable<readonly [number, Parked]>) {
    for (const [revision, message] of parked) this.#made.parked.set(revision, message);
  }

  [Symbol.iterator](): IterableIterator<[number, Parked]> {
    return (this.#places?.parked ?? []).entries();
  }

  get size(): number {
    return this.#places?.parked.size ?? 0;
  }

  /** How many there will be, when what is on its way has arrived. */
  get expected(): number {
    return this.size + (this.#places?.entering.size ?? 0) - (this.#places?.leaving.size ?? 0);
  }

  entering(revision: number): void {
    this.#made.entering.add(revision);
  }

  entered(revision: number, parked: Parked): void {
    this.#made.entering.delete(revision);
    this.#made.parked.set(revision, parked);
  }

  /** Undefined where it is parked no longer, or is about to leave. */
  leaving(revision: number): Parked | undefined {
    const { leaving, parked } = this.#made;
    if (leaving.has(revision)) return undefined;
    const message = parked.get(revision);
    if (message !== undefined) leaving.add(revision);
    return message;
  }

  left(revision: number): void {
    this.#made.leaving.delete(revision);
    this.#made.parked.delete(revision);
  }

  get #made(): Places {
    this.#places ??= { parked: new Map(), entering: new Set(), leaving: new Set() };
    return this.#places;
  }
}
