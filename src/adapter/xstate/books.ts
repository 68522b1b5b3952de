/**
 * What entries of a journal tell beside themselves: how far effects have been carried out, when the actor has something to
 * do by itself, and now and then a checksum of its state.
 */
import type { Effects } from './effects.js';
import { type EntryKind, type EntryMetadata, NO_FIELDS } from './entries.js';
import type { MachinePlan } from './machine-plan.js';
import type { Tree } from './tree.js';
import { hashOf } from './wake-up.js';

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** What the books are about. */
interface Subject {
  readonly tree: Tree;
  readonly effects: Effects;
}

export class Books {
  /** Everything up to here is known to have been carried out, by the journal. */
  #marked: number;
  /** The newest entry that had effects. */
  #effectful: number;
  #hashed = 0;
  #stateBytes = 0;
  readonly #plan: MachinePlan;
  readonly #subject: Subject;
  readonly #onUnhashable: (error: unknown) => void;

  constructor(
    plan: MachinePlan,
    subject: Subject,
    known: { readonly marked: number; readonly effectful: number },
    onUnhashable: (error: unknown) => void,
  ) {
    this.#plan = plan;
    this.#subject = subject;
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

  /** The journal could be told of more that has been carried out. */
  get behind(): boolean {
    return this.open && this.#subject.effects.done > this.#marked;
  }

  shift(by: number): void {
    this.#effectful += by;
  }

  /** Metadata of an entry that is to be appended. Built step by step: this is done for each event. */
  entry(
    { kind, at, fields }: { readonly kind: EntryKind; readonly at: number; readonly fields: Partial<EntryMetadata> },
    { revision, effectful, computed }: { revision: number; effectful: boolean; computed: boolean },
  ): EntryMetadata {
    const { tree, effects } = this.#subject;
    const { done } = effects;
    if (effectful) this.#effectful = revision;
    const metadata: Writable<EntryMetadata> = { kind, at, version: this.#plan.version };
    if (fields !== NO_FIELDS) Object.assign(metadata, fields);
    if (this.behind) metadata.done = done;
    const wake = this.#effectful > done || tree.nodes.busyOutside ? 0 : tree.timers.next?.due;
    if (wake !== undefined) metadata.wake = wake;
    if (computed && ++this.#hashed >= this.#plan.hashEvery) {
      const hash = this.#hash();
      if (hash !== undefined) metadata.hash = hash;
    }
    this.#marked = done;
    return metadata;
  }

  #hash(): number | undefined {
    this.#hashed = 0;
    try {
      const { hash, bytes } = hashOf(this.#subject.tree);
      this.#stateBytes = bytes;
      return hash;
    } catch (error) {
      this.#hashed = Number.NEGATIVE_INFINITY; // said once
      this.#onUnhashable(error);
      return undefined;
    }
  }
}
