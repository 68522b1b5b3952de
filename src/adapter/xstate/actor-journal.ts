/**
 * What an actor's journal has, and what follows from that: entries are appended, and when they are durable the snapshot is
 * visible, observers are told, effects are carried out, and snapshots are saved now and then.
 */
import type { AnyMachineSnapshot } from 'xstate';
import type { ActorCell } from './actor-cell.js';
import type { DurableParent } from './address.js';
import { Books } from './books.js';
import type { CellHost } from './cell-host.js';
import { type EffectHost, Effects, type Verdict } from './effects.js';
import { addMessages, type EntryKind, type EntryMetadata, type NewEntry, NO_FIELDS } from './entries.js';
import { keepable, packErrors } from './error-data.js';
import { type Flight, JournalQueue, type QueueOwner } from './journal-queue.js';
import type { Mishaps } from './mishaps.js';
import { type Parked, ParkedMessages } from './parked-messages.js';
import { SnapshotKeeper } from './snapshot-keeper.js';
import type { Tree } from './tree.js';
import type { UserEffect } from './turn.js';
import { type Ended, type Inbox, isUserEffect, messageId, stateOf, type Undone } from './wake-up.js';

/** What is known of an actor beside its tree. */
export interface Standing {
  /** Of the newest event in the journal; -1: there is none. */
  readonly revision: number;
  /** Time of the newest entry. */
  readonly at: number;
  /** Entries since the latest snapshot. */
  readonly entries: number;
  /** Effects of which the journal does not know that they have been carried out. */
  readonly undone: readonly Undone[];
  /** Up to here they have been, in this process. */
  readonly carriedOut: number;
  readonly inbox: Inbox;
  readonly parked: Iterable<readonly [number, Parked]>;
  readonly parent: DurableParent | undefined;
  readonly ended: Ended | undefined;
}

export interface Entry {
  readonly kind: EntryKind;
  readonly type: string;
  readonly data: unknown;
  readonly fields: Partial<EntryMetadata>;
  readonly at: number;
}

type Message = UserEffect & { kind: 'message' };
type Answer = Pick<Flight, 'resolve' | 'reject'>;

const NO_EFFECTS: UserEffect[] = [];
const MAX_IN_FLIGHT = 1024;
const nothing = () => {};

/** It is told by its queue and by its effects: the same object, since each actor in memory has one. */
export class ActorJournal implements QueueOwner, EffectHost {
  readonly inbox: Inbox;
  readonly parent: DurableParent | undefined;
  readonly parked: ParkedMessages;
  readonly #host: CellHost;
  readonly #cell: ActorCell;
  readonly #tree: Tree;
  readonly #mishaps: Mishaps;
  readonly #queue: JournalQueue;
  readonly #books: Books;
  readonly #snapshots: SnapshotKeeper;
  #effects: Effects;
  /** Effects that an earlier life has left. */
  readonly #undone: readonly Undone[];
  #ended: Ended | undefined;
  /** Of the newest entry. */
  #at: number;
  #over = false;
  #dropped = false;

  constructor(host: CellHost, cell: ActorCell, tree: Tree, mishaps: Mishaps, standing: Standing) {
    const { revision, at, entries, undone, carriedOut, inbox, parked, parent, ended } = standing;
    this.#host = host;
    this.#cell = cell;
    this.#tree = tree;
    this.#mishaps = mishaps;
    this.inbox = inbox;
    this.parked = new ParkedMessages(parked);
    this.parent = parent;
    this.#ended = ended;
    this.#at = at;
    const marked = before(undone, revision);
    this.#undone = undone.filter((of) => of.revision > carriedOut);
    this.#effects = new Effects(this, before(this.#undone, revision));
    this.#queue = new JournalQueue(host, cell.stream, revision, this);
    this.#books = new Books(cell.plan, { marked, effectful: undone.at(-1)?.revision ?? -1 }, (error) =>
      host.report(error, cell, 'the checksum of its state'),
    );
    this.#snapshots = new SnapshotKeeper(host, cell, entries);
  }

  /** The actor takes no more events, durably. */
  get over(): boolean {
    return this.#over;
  }

  /** It was ended from outside of its machine, durably or not yet. */
  get ended(): Ended | undefined {
    return this.#ended;
  }

  get idle(): boolean {
    return this.#queue.size === 0 && !this.#snapshots.saving && this.#effects.idle;
  }

  /** It is not known, in the journal, that everything has been carried out. */
  get open(): boolean {
    return this.#books.open;
  }

  get stateBytes(): number {
    return this.#books.stateBytes;
  }

  /** More can be appended now. If not, the cell is asked to go on when it can. */
  ready(): boolean {
    if (this.#queue.size >= MAX_IN_FLIGHT || this.#queue.isBroken) return false;
    if (!this.#snapshots.due || !this.#effects.onlyMessages) return true;
    if (this.#queue.size > 0) return false; // it is taken when these have landed
    void this.#snapshotIfDue();
    return true;
  }

  /** Everything up to this revision has been carried out, known to the journal or not. */
  get done(): number {
    return this.#effects.done;
  }

  /** What was replayed becomes visible; effects that may not have been carried out are carried out. */
  resume(): void {
    const { visible } = this.#tree;
    const ended = this.#ended;
    this.#show(this.#queue.revision, ended === undefined ? visible : ({ ...visible, ...ended } as typeof visible));
    this.#over = isOver(visible) || ended !== undefined;
    for (const of of this.#undone) this.#effects.add(ended === undefined ? of : onlyMessages(of));
    this.#host.parked(this.#cell, this.parked.size);
    if (this.#books.behind(this.done)) this.#host.markLater(this.#cell);
    if (!this.#over) return;
    this.#host.alarms.clear(this.#cell.stream);
    this.#cell.observers.end(this.#cell.shown.snapshot as AnyMachineSnapshot);
  }

  /** Appends an entry, and what came of it, at the revision behind the last one. */
  append(entry: Entry, flight: Omit<Flight, 'revision' | 'effects'>, effects = NO_EFFECTS): void {
    const { turn, snapshot, resolve, reject } = flight;
    const revision = this.#queue.revision + 1;
    const own = turn !== undefined && turn.effects.length > 0 ? turn.effects.filter(isUserEffect) : effects;
    const { type, data, kind, at, fields } = entry;
    const { done } = this.#effects;
    const parked = this.parked.expected;
    if (own.length > 0) this.#books.note(revision);
    const metadata = this.#books.entry({
      kind,
      at,
      fields,
      done,
      parked,
      tree: this.#tree,
      computed: turn !== undefined,
    });
    const events: NewEntry[] = [{ type, data, metadata }];
    if (own.length > 0) addMessages(events, own, revision);
    this.#at = at;
    this.#host.busy(this.#cell);
    this.#queue.append(events, { revision, turn, snapshot, effects: own, resolve, reject });
    this.#snapshots.count(data, this.#tree.computed);
  }

  /** An entry for which nothing was computed: resolves when it has landed. */
  note(entry: Omit<Entry, 'at'> & { readonly at?: number }, effects = NO_EFFECTS, then = nothing): Promise<void> {
    const { at = this.now() } = entry;
    return new Promise((resolve, reject) => {
      const land = () => {
        then();
        resolve();
      };
      const { computed: snapshot } = this.#tree;
      this.append({ ...entry, at }, { turn: undefined, snapshot, resolve: land, reject }, effects);
    });
  }

  /** Nothing has to be journalled: it is answered when what came before it is visible. */
  ride(answer: Answer): void {
    if (this.#queue.size > 0) this.#queue.ride(this.#tree.computed, answer);
    else answer.resolve(this.#cell.shown.snapshot as AnyMachineSnapshot);
  }

  /** Ends the actor for good: nothing is carried out any more but `lastWords`, and messages that were sent before. */
  async end(reason: Ended, data: unknown, lastWords: UserEffect[]): Promise<void> {
    this.#ended = reason;
    await this.note({ kind: 'ended', type: 'xstate.stop', data, fields: NO_FIELDS }, lastWords, () =>
      this.#finishEnd(reason),
    );
  }

  /** A parked message is handed over again, or given up; false where it is parked no longer. */
  async unpark(revision: number, again: boolean): Promise<boolean> {
    const parked = this.parked.leaving(revision);
    if (parked === undefined) return false;
    const { to, event, child } = parked;
    const message: UserEffect = { kind: 'message', to, event, ...(child === undefined ? {} : { child }) };
    const entry = { kind: 'unparked', type: 'varve.unparked', data: null, fields: { message: revision } } as const;
    await this.note(entry, again ? [message] : [], () => {
      this.parked.left(revision);
      this.#host.parked(this.#cell, this.parked.size);
    });
    return true;
  }

  /** Tells what was carried out. */
  async mark(): Promise<void> {
    if (!this.#books.behind(this.#effects.done) || this.#queue.isBroken) return;
    await this.note({ kind: 'mark', type: 'varve.mark', data: null, fields: NO_FIELDS });
  }

  /** A snapshot at the next opportunity. */
  async saveSnapshot(): Promise<void> {
    this.#snapshots.due = true;
    await this.#snapshotIfDue();
  }

  /** What was computed leads nowhere: the cell is told when nothing is in flight any more. */
  break(error: unknown): void {
    this.#queue.break(error);
  }

  /** Tells the cell again, if it leads nowhere. */
  check(): void {
    this.#queue.check();
  }

  /** Effects that were not begun are left to the next life. */
  stopEffects(): void {
    this.#effects.stop();
  }

  drop(error: unknown): void {
    this.#dropped = true;
    this.#effects.stop();
    this.#queue.drop(error);
  }

  /** Time for the next entry: never before that of the one before. */
  now(): number {
    this.#at = Math.max(this.#at, this.#host.clock.now());
    return this.#at;
  }

  // What its queue tells and asks

  released(): void {
    if (this.#snapshots.due) void this.#snapshotIfDue();
    this.#cell.pump();
  }

  shifted(by: number): void {
    this.#books.shift(by);
  }

  appended(): void {
    this.#cell.appended();
  }

  blame(cause: unknown): unknown {
    return this.#cell.blame(cause);
  }

  broken(error: unknown): void {
    this.#cell.broken(error);
  }

  // What its effects tell and ask

  emit({ event }: UserEffect & { kind: 'emit' }): void {
    this.#cell.observers.emit(event);
  }

  async deliver({ to, event, revision, child }: Message): Promise<void> {
    await this.#host.deliver(to, event, messageId(this.#cell.stream, revision as number), child);
  }

  carriedOut(): void {
    this.#host.counters.effects++;
  }

  failed(error: unknown, effect: UserEffect, attempts: number): Promise<Verdict> {
    return this.#mishaps.effect(error, effect, attempts);
  }

  refused(error: unknown, effect: Message, attempts: number): Promise<Verdict | 'park'> {
    return this.#mishaps.message(error, effect, attempts);
  }

  advanced(): void {
    if (this.#dropped) return;
    if (this.#books.behind(this.#effects.done)) this.#host.markLater(this.#cell);
    if (this.#snapshots.due) void this.#snapshotIfDue();
    this.#cell.pump();
  }

  async park({ to, event, child, revision }: Message, thrown: unknown, attempts: number): Promise<void> {
    const message = revision as number;
    const error = keepable(thrown);
    const parked: Parked = { to, event, attempts, error, ...(child === undefined ? {} : { child }) };
    this.parked.entering(message);
    const entry = { kind: 'parked', type: 'varve.parked', data: packErrors(parked), fields: { message } } as const;
    await this.note(entry, [], () => {
      this.parked.entered(message, parked);
      this.#host.parked(this.#cell, this.parked.size, {
        machine: this.#cell.plan.name,
        id: this.#cell.id,
        revision: message,
        to,
        event,
        attempts,
        error,
      });
    });
  }

  landed({ turn, revision, snapshot, effects }: Flight): void {
    const { shown, observers } = this.#cell;
    if (turn === undefined) {
      shown.revision = Math.max(shown.revision, revision);
      if (effects.length > 0) this.#effects.add({ revision, effects });
      return;
    }
    this.#host.counters.events++;
    this.#tree.show(turn);
    this.#show(revision, snapshot);
    for (const effect of turn.effects) if (!isUserEffect(effect)) this.#tree.perform(effect);
    this.#effects.add({ revision, effects });
    if (this.#dropped) return;
    observers.next(snapshot);
    if (isOver(snapshot)) this.#close(snapshot);
  }

  #show(revision: number, snapshot: AnyMachineSnapshot): void {
    this.#cell.shown.revision = revision;
    this.#cell.shown.snapshot = snapshot;
  }

  #close(snapshot: AnyMachineSnapshot): void {
    this.#over = true;
    this.#host.alarms.clear(this.#cell.stream);
    this.#cell.observers.end(snapshot);
  }

  #finishEnd(end: Ended): void {
    const { undone, done } = this.#effects;
    this.#effects.stop();
    this.#effects = new Effects(this, done);
    for (const of of undone) this.#effects.add(onlyMessages(of));
    this.#tree.drop();
    const snapshot = { ...this.#tree.visible, ...end } as AnyMachineSnapshot;
    this.#show(this.#queue.revision, snapshot);
    this.#cell.observers.next(snapshot);
    this.#close(snapshot);
  }

  async #snapshotIfDue(): Promise<void> {
    if (!this.#snapshots.due || this.#dropped || this.#queue.size > 0 || !this.#effects.onlyMessages) return;
    await this.#snapshots.save(this.#queue.revision, () =>
      stateOf(this.#tree, {
        version: this.#cell.plan.version,
        at: this.#at,
        undone: this.#effects.undone,
        inbox: [...this.inbox],
        parked: [...this.parked],
        ended: this.#ended,
        parent: this.parent,
      }),
    );
  }
}

/** The newest revision of which nothing is left to do. */
const before = (undone: readonly Undone[], revision: number): number =>
  undone[0] === undefined ? revision : undone[0].revision - 1;

const onlyMessages = ({ revision, effects }: Undone): Undone => ({
  revision,
  effects: effects.filter(({ kind }) => kind === 'message'),
});

export const isOver = ({ status }: { readonly status: string }): boolean => status !== 'active';
