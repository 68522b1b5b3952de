/**
 * What entries of a journal tell beside themselves: how far effects have been carried out, when the actor has something to
 * do by itself, and now and then a checksum of its state.
 */
import { type EntryKind, type EntryMetadata, NO_FIELDS } from './entries.js';
import type { MachinePlan } from './machine-plan.js';
import type { Tree } from './tree.js';
import { hashOf } from './wake-up.js';

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

interface Told {
  readonly kind: EntryKind;
  readonly at: number;
  readonly fields: Partial<EntryMetadata>;
  /** Everything up to here has been carried out. */
  readonly done: number;
  /** Messages that are parked behind the entry. */
  readonly parked: number;
  /** As it is behind the entry. */
  readonly tree: Tree;
  /** It was computed for this entry. */
  readonly computed: boolean;
}

export class Books {
  /** Everything up to here is known to have been carried out, by the journal. */
  #marked: number;
  /** The newest entry that had effects. */
  #effectful: number;
  #hashed = 0;
  #stateBytes = 0;
  readonly #plan: MachinePlan;
  readonly #onUnhashable: (error: unknown) => void;

  constructor(
    plan: MachinePlan,
    known: { readonly marked: number; readonly effectful: number },
    onUnhashable: (error: unknown) => void,
  ) {
    this.#plan = plan;
    this.#marked = known.marked;
    this.#effectful = known.effectful;
    this.#onUnhashable = onUnhashable;
  }

  /** Of the state, encoded, when that was last done. */
  get stateBytes(): number {
    return this.#stateBytes;
  }

  /** The journal does not know yet that everything has been carried out. */
  get open(): boolean {
    return this.#effectful > this.#marked;
  }

  /** The journal could be told of more: everything up to `done` has been carried out. */
  behind(done: number): boolean {
    return this.open && done > this.#marked;
  }

  /** An entry at this revision has effects. */
  note(revision: number): void {
    this.#effectful = revision;
  }

  shift(by: number): void {
    this.#effectful += by;
  }

  /** Metadata of an entry that is to be appended. Built step by step: this is done for each event. */
  entry({ kind, at, fields, done, parked, tree, computed }: Told): EntryMetadata {
    const metadata: Writable<EntryMetadata> = { kind, at, version: this.#plan.version };
    if (fields !== NO_FIELDS) Object.assign(metadata, fields);
    if (this.behind(done)) metadata.done = done;
    if (parked > 0) metadata.parked = parked;
    const wake = this.#effectful > done || tree.nodes.busyOutside ? 0 : tree.timers.next?.due;
    if (wake !== undefined) metadata.wake = wake;
    if (computed && ++this.#hashed >= this.#plan.hashEvery) {
      const hash = this.#hash(tree);
      if (hash !== undefined) metadata.hash = hash;
    }
    this.#marked = done;
    return metadata;
  }

  #hash(tree: Tree): number | undefined {
    this.#hashed = 0;
    try {
      const { hash, bytes } = hashOf(tree);
      this.#stateBytes = bytes;
      return hash;
    } catch (error) {
      this.#hashed = Number.NEGATIVE_INFINITY; // said once
      this.#onUnhashable(error);
      return undefined;
    }
  }
}
