/**
 * Entries of one actor on their way into its journal: each is appended at once, at the revision behind the one before it,
 * so they share syncs; they are released in order. If one fails, all behind it fail.
 */
import type { AnyMachineSnapshot } from 'xstate';
import { VarveError } from '../../errors.js';
import type { CellHost } from './cell-host.js';
import type { EntryMetadata, NewEntry } from './entries.js';
import type { Turn, UserEffect } from './turn.js';

/** What becomes visible with an entry, and who waits for it. */
export interface Flight {
  revision: number;
  /** Undefined where nothing was computed. */
  readonly turn: Turn | undefined;
  readonly snapshot: AnyMachineSnapshot;
  readonly effects: UserEffect[];
  readonly resolve: (snapshot: AnyMachineSnapshot) => void;
  readonly reject: (error: unknown) => void;
}

interface InFlight extends Flight {
  landed: boolean;
  /** One before it has failed. */
  doubtful: boolean;
}

export interface QueueOwner {
  /** The journal has it: what it stands for becomes visible. */
  landed(flight: Flight): void;
  /** What can be released now has been. */
  released(): void;
  /** Entries stand later in the journal than was thought. */
  shifted(by: number): void;
  /** An append has succeeded. */
  appended(): void;
  /** An append has failed: gives what those who wait are told. */
  blame(cause: unknown): unknown;
  /** Nothing is in flight any more, and what was computed leads nowhere. */
  broken(error: unknown): void;
}

export class JournalQueue {
  readonly #host: CellHost;
  readonly #stream: string;
  readonly #owner: QueueOwner;
  readonly #flights: InFlight[] = [];
  #revision: number;
  #broken: { readonly error: unknown } | undefined;
  #dropped = false;

  /** `revision`: of the newest event in the journal; -1: there is none. */
  constructor(host: CellHost, stream: string, revision: number, owner: QueueOwner) {
    this.#host = host;
    this.#stream = stream;
    this.#revision = revision;
    this.#owner = owner;
  }

  /** Of the newest event, whether it is durable or not. */
  get revision(): number {
    return this.#revision;
  }

  get size(): number {
    return this.#flights.length;
  }

  /** No more may be computed upon what is here. */
  get isBroken(): boolean {
    return this.#broken !== undefined;
  }

  /** Appends these events, of which the first stands at `flight.revision`: the one behind `revision`. */
  append(events: NewEntry[], { revision, turn, snapshot, effects, resolve, reject }: Flight): void {
    this.#revision += events.length;
    const landing: InFlight = { revision, turn, snapshot, effects, resolve, reject, landed: false, doubtful: false };
    this.#flights.push(landing);
    const { store, ack } = this.#host;
    const starts = (events[0] as { metadata: EntryMetadata }).metadata.kind === 'start';
    const expectedRevision = starts ? 'noStream' : BigInt(revision - 1);
    store.appendToStream(this.#stream, events, { expectedRevision, ack }).then(
      ({ nextExpectedRevision }) => {
        this.#owner.appended();
        if (starts) this.#startedAt(landing, Number(nextExpectedRevision));
        if (!this.#dropped) this.#landed(landing);
      },
      (error) => {
        if (!this.#dropped) this.#failed(landing, error);
      },
    );
  }

  /** Nothing has to be journalled: it is answered when what came before it is visible. */
  ride(snapshot: AnyMachineSnapshot, { resolve, reject }: Pick<Flight, 'resolve' | 'reject'>): void {
    const { revision } = this;
    const nothing = { revision, turn: undefined, effects: [], landed: true, doubtful: false };
    this.#flights.push({ ...nothing, snapshot, resolve, reject });
  }

  /** What was computed leads nowhere. */
  break(error: unknown): void {
    this.#broken ??= { error };
    this.check();
  }

  /** Says that it is broken, when nothing is in flight any more. */
  check(): void {
    if (this.#broken === undefined || this.#dropped || !this.#flights.every(({ landed }) => landed)) return;
    this.#release();
    this.#owner.broken(this.#broken.error);
  }

  /** Nobody waits for the journal any more; what is in flight is refused. */
  drop(error: unknown): void {
    this.#dropped = true;
    for (const { reject } of this.#flights.splice(0)) reject(error);
  }

  /** A stream that was deleted goes on where it was. */
  #startedAt(landing: InFlight, newest: number): void {
    const shift = newest - this.#revision;
    if (shift === 0) return;
    this.#revision += shift;
    landing.revision += shift;
    this.#owner.shifted(shift);
    landing.effects.forEach((effect, i) => {
      if (effect.kind === 'message') landing.effects[i] = { ...effect, revision: (effect.revision ?? 0) + shift };
    });
  }

  #landed(landing: InFlight): void {
    if (landing.doubtful) {
      this.#failed(landing, this.#broken?.error);
      return;
    }
    landing.landed = true;
    this.#release();
    this.check();
  }

  #release(): void {
    for (let first = this.#flights[0]; first?.landed; first = this.#flights[0]) {
      this.#flights.shift();
      this.#owner.landed(first);
      first.resolve(first.snapshot);
      if (this.#dropped) return;
    }
    if (this.#broken === undefined) this.#owner.released();
  }

  /**
   * Those behind it fail by themselves, as they expect what it was to write; unless somebody else has written that much.
   * What such a one was computed on is wrong, so it is not released: waking will compute it again.
   */
  #failed(flight: InFlight, cause: unknown): void {
    const blamed = this.#owner.blame(cause);
    const error = this.#broken === undefined ? blamed : this.#broken.error;
    const behind = this.#flights.splice(this.#flights.indexOf(flight)).slice(1);
    for (const { landed, reject } of behind) if (landed) reject(error);
    for (const other of behind) {
      if (other.landed) continue;
      other.doubtful = true;
      this.#flights.push(other);
    }
    flight.reject(error);
    this.break(error);
  }
}

/** Somebody else has written to the journal. */
export function isLost(cause: unknown): boolean {
  return cause instanceof VarveError && cause.code === 'ERR_VARVE_WRONG_REVISION';
}
