/**
 * One life of a durable actor, from its waking until it is given up: what is sent to it is computed at once, journalled,
 * and becomes visible, with its effects, when the journal has it.
 *
 *     compute ──▶ in flight ──journalled──▶ visible, effects ──carried out──▶ marked
 *
 * Computing runs ahead of the journal: the next event is computed on what the one before it has led to. If an append
 * fails, this life leads nowhere; the cell begins another from what the journal has.
 */
import type { AnyMachineSnapshot } from 'xstate';
import type { ActorCell } from './actor-cell.js';
import { ended, refused } from './actor-errors.js';
import { type DurableParent, parentAddress, ROOT, streamOf } from './address.js';
import { Books } from './books.js';
import type { CellHost } from './cell-host.js';
import { asOfChild } from './durable-child.js';
import { Effects } from './effects.js';
import {
  addMessages,
  checkEvent,
  type EntryKind,
  type EntryMetadata,
  inputData,
  inputFields,
  type NewEntry,
  NO_FIELDS,
} from './entries.js';
import { packErrors } from './error-data.js';
import { type Flight, JournalQueue, type QueueOwner } from './journal-queue.js';
import { Mishaps } from './mishaps.js';
import { startOutside } from './outside.js';
import { SnapshotKeeper } from './snapshot-keeper.js';
import { Tree } from './tree.js';
import type { Input, Node, UserEffect } from './turn.js';
import {
  type Ended,
  type Inbox,
  isKnown,
  isUserEffect,
  messageId,
  noteMessage,
  senderOf,
  stateOf,
  type Undone,
  type Woken,
  wakeUp,
} from './wake-up.js';

/** What is to be computed, and who waits for it. */
export interface Waiting {
  /** 'tick': what is due by now. */
  readonly input: Input | 'tick';
  /** Of a child outside: it counts only as long as that child does. */
  readonly from: Node | undefined;
  /** Id of a message from another durable actor. */
  readonly message: string | undefined;
  readonly resolve: (snapshot: AnyMachineSnapshot) => void;
  readonly reject: (error: unknown) => void;
}

/** How an actor is started, where it has no journal. */
export interface Start {
  readonly input: unknown;
  readonly parent?: DurableParent;
}

interface Entry {
  readonly kind: EntryKind;
  readonly type: string;
  readonly data: unknown;
  readonly fields: Partial<EntryMetadata>;
  readonly at: number;
}

const NO_EFFECTS: UserEffect[] = [];
const MAX_IN_FLIGHT = 1024;
const nothing = () => {};

export class Life {
  readonly tree: Tree;
  readonly #host: CellHost;
  readonly #cell: ActorCell;
  readonly #mishaps: Mishaps;
  #effects!: Effects;
  #queue!: JournalQueue;
  #books!: Books;
  #snapshots!: SnapshotKeeper;
  #inbox: Inbox = new Map();
  #parent: DurableParent | undefined;
  #end: Ended | undefined;
  /** Of the newest entry. */
  #at = 0;
  #over = false;
  #dropped = false;

  constructor(host: CellHost, cell: ActorCell) {
    this.#host = host;
    this.#cell = cell;
    this.#mishaps = new Mishaps(host, cell, this, cell.supervisor);
    const { plan, stream, id } = cell;
    this.tree = new Tree({
      machine: plan.machine,
      id: stream,
      address: { machine: plan.name, id },
      logger: host.logger,
      inspect: host.inspect,
      onInput: (input, from) => this.#dropped || this.#fromTree(input, from),
      onMessage: (to, event) => {
        host
          .deliver(to, event, undefined)
          .catch((error) => this.#report(error, `a message to ${streamOf(to.machine, to.id)}`));
      },
    });
  }

  get effects(): Effects {
    return this.#effects;
  }

  get dropped(): boolean {
    return this.#dropped;
  }

  /** It takes no more events, durably. */
  get over(): boolean {
    return this.#over;
  }

  get idle(): boolean {
    return this.#queue.size === 0 && !this.#snapshots.saving && this.#effects.idle;
  }

  /** It is of use in memory though it is idle. */
  get pinned(): boolean {
    return this.#books.open || (!this.#over && this.tree.nodes.busyOutside);
  }

  get stateBytes(): number {
    return this.#books?.stateBytes ?? 0;
  }

  /** The journal could be told of more that has been carried out. */
  get unmarked(): boolean {
    return this.#books.behind && !this.#queue.isBroken;
  }

  /** What the journal has of it; undefined where there is none. */
  replay(): Promise<Woken | undefined> {
    return wakeUp(this.#host.store, this.#cell.plan, this.#cell.stream, this.tree);
  }

  /** Goes on from what was replayed. */
  resume(woken: Woken): void {
    const { observers } = this.#cell;
    const { revision } = woken;
    this.#host.counters.wakeUps++;
    const first = woken.undone[0];
    const done = first === undefined ? revision : first.revision - 1;
    this.#inbox = woken.inbox;
    this.#end = woken.ended;
    this.#parent = woken.parent;
    this.#begin(revision, woken.at, done, { entries: woken.entries, effectful: woken.undone.at(-1)?.revision ?? -1 });
    const { visible } = this.tree;
    this.#show(revision, woken.ended === undefined ? visible : ({ ...visible, ...woken.ended } as typeof visible));
    this.#over = isOver(visible) || this.#end !== undefined;
    const undone = this.#end === undefined ? woken.undone : woken.undone.map(onlyMessages);
    for (const of of undone) this.#effects.add(of);
    if (this.#over) {
      this.#host.alarms.clear(this.#cell.stream);
      observers.end(this.#cell.shown.snapshot as AnyMachineSnapshot);
      return;
    }
    const { hopeless } = this.#cell;
    if (hopeless === undefined) {
      this.#resumeTimers();
      this.#resumeOutside();
      this.#rearm();
    } else {
      const { error } = hopeless;
      this.end({ status: 'error', error }).catch((failure) => this.#report(failure, 'ending'));
    }
  }

  /** The first entry: resolves when the journal has it. Rejects with what the machine's first transition throws. */
  async start({ input, parent }: Start): Promise<void> {
    const at = this.#host.clock.now();
    const data = input === undefined ? { type: 'xstate.init' } : { type: 'xstate.init', input };
    checkEvent(data, this.#cell.stream);
    const { tree } = this;
    tree.live = true;
    const turn = tree.start(input, at, parent);
    const snapshot = tree.computed;
    if (snapshot.status === 'error' && snapshot.error !== undefined) throw snapshot.error;
    this.#parent = parent;
    this.#begin(-1, at, -1, { entries: 0, effectful: -1 });
    this.#host.counters.starts++;
    const fields = parent === undefined ? NO_FIELDS : { parent };
    const entry: Entry = { kind: 'start', type: 'xstate.init', data, fields, at };
    await new Promise<void>((resolve, reject) => {
      this.#journal(entry, { turn, snapshot, resolve: () => resolve(), reject });
    });
  }

  /** It can compute the next thing now. If not, it asks the cell to go on when it can. */
  ready(): boolean {
    if (this.#queue.size >= MAX_IN_FLIGHT || this.#queue.isBroken) return false;
    if (!this.#snapshots.due || !this.#effects.onlyMessages) return true;
    if (this.#queue.size > 0) return false; // it is taken when these have landed
    void this.#snapshotIfDue();
    return true;
  }

  /** Computes a delayed event whose moment has come; false where there is none. */
  fire(): boolean {
    const timer = this.tree.timers.next;
    if (timer === undefined || this.#end !== undefined || isOver(this.tree.computed)) return false;
    const at = this.#now();
    if (timer.due > at) return false;
    const { source, id } = timer;
    const failed = (error: unknown, thrown: boolean) => thrown && this.#report(error, `the delayed event '${id}'`);
    this.#run({ kind: 'timer', source, id }, at, { message: undefined, resolve: nothing, reject: failed });
    return true;
  }

  compute({ input, from, message, resolve, reject }: Waiting): void {
    const { tree } = this;
    const { stream } = this.#cell;
    if (this.#end !== undefined || isOver(tree.computed)) {
      const { status, error } = this.#end ?? tree.computed;
      if (input !== 'tick' && from === undefined) reject(ended(stream, status, error));
      return;
    }
    if (from !== undefined && !tree.nodes.counts(from)) return;
    if (message !== undefined && (isKnown(this.#inbox, message) || this.#isForgotten(input, message))) {
      this.#ride({ resolve, reject });
      return;
    }
    if (input === 'tick') {
      this.#rearm();
      return;
    }
    try {
      if (input.kind === 'event') checkEvent(input.event, stream);
      if (input.kind === 'child') checkEvent(packErrors(input.event), stream);
      if (input.kind === 'event') this.#refuseUnhandled(input);
    } catch (error) {
      reject(error);
      return;
    }
    this.#run(input, this.#now(), { message, resolve, reject });
  }

  #run(
    input: Input,
    at: number,
    {
      message,
      resolve,
      reject,
    }: Pick<Waiting, 'message' | 'resolve'> & { reject: (error: unknown, thrown: boolean) => void },
  ): void {
    const { tree } = this;
    const before = tree.computed;
    const turn = tree.run(input, at);
    if (turn.thrown !== undefined) {
      // XState's actors are of no use any more; the journal is as it was.
      const { error } = turn.thrown;
      if (input.kind !== 'event') this.#cell.hopeless = { error }; // it would come, and throw, again and again
      reject(error, true);
      this.#queue.break(error);
      return;
    }
    const waiting = { resolve, reject: (error: unknown) => reject(error, false) };
    const changed = turn.effects.length > 0 || turn.changes.length > 0 || turn.timersChanged;
    const nothingNew = !changed && tree.computed === before && input.kind === 'event' && message === undefined;
    if (nothingNew && this.#cell.plan.unhandled !== 'journal') {
      this.#ride(waiting);
      return;
    }
    let fields = inputFields(input);
    if (message !== undefined) {
      fields = { ...fields, from: message };
      noteMessage(this.#inbox, message);
    }
    const { type, data } = inputData(input);
    this.#journal({ kind: input.kind, type, data, fields, at }, { turn, snapshot: tree.computed, ...waiting });
  }

  /** Ends it for good: nothing is carried out any more, its children are stopped. */
  async end(reason: Ended): Promise<void> {
    if (this.#over || this.#end !== undefined) return;
    this.#end = reason;
    const entry = { kind: 'ended', type: 'xstate.stop', data: packErrors(reason), fields: NO_FIELDS } as const;
    await this.#append({ ...entry, at: this.#now() }, this.#lastWords(reason), () => this.#finishEnd(reason));
  }

  /** Tells the journal what was carried out. */
  async mark(): Promise<void> {
    const entry = { kind: 'mark', type: 'varve.mark', data: null, fields: NO_FIELDS } as const;
    if (this.unmarked) await this.#append({ ...entry, at: this.#now() });
  }

  /** A snapshot at the next opportunity. */
  async saveSnapshot(): Promise<void> {
    this.#snapshots.due = true;
    await this.#snapshotIfDue();
  }

  /** If it leads nowhere, the cell is told so. */
  check(): void {
    this.#queue?.check();
  }

  /** It is given up: what runs outside is stopped, what is in flight is refused. */
  drop(error: unknown): void {
    this.#dropped = true;
    this.#effects?.stop();
    this.tree.drop();
    this.#queue?.drop(error);
  }

  #begin(revision: number, at: number, done: number, since: { entries: number; effectful: number }): void {
    const { plan, stream } = this.#cell;
    if (!this.tree.live) this.tree.introduce();
    this.#at = at;
    this.#effects = new Effects(this.#effectHost, done);
    this.#queue = new JournalQueue(this.#host, stream, revision, this.#queueOwner);
    this.#books = new Books(plan, this, { marked: done, effectful: since.effectful }, (error) =>
      this.#report(error, 'the checksum of its state'),
    );
    this.#snapshots = new SnapshotKeeper(this.#host, this.#cell, since.entries);
  }

  #resumeTimers(): void {
    const { timers } = this.tree;
    const shift = this.#host.resume(this.#cell.plan, this.#cell.stream);
    if (shift === undefined || timers.size === 0) return;
    const at = this.#now();
    timers.shift(shift, at);
    const entry = { kind: 'resumed', type: 'varve.resumed', data: null, fields: { shift }, at } as const;
    this.#append(entry).catch((error) => this.#report(error, 'setting timers anew'));
  }

  /** What was under way when the process ended, or the actor was given up. */
  #resumeOutside(): void {
    for (const node of this.tree.nodes.interrupted()) {
      const policy = this.#cell.plan.interrupted(String(node.actor.src));
      if (policy === 'restart') startOutside(node);
      else if (policy === 'fail') {
        const { id } = node.actor;
        const error = new Error(`The actor '${id}' was interrupted: the process ended while it ran.`);
        const event = { type: `xstate.error.actor.${id}`, error, actorId: id };
        const input: Input = { kind: 'child', source: node.address, target: parentAddress(node.address), event };
        this.#take(input, node, `'${id}'`);
      }
    }
  }

  #fromTree(input: Input, from: Node | undefined): void {
    const fail = () => this.#take(input, from, `an event '${inputType(input)}'`);
    const isUnforeseen =
      from !== undefined &&
      input.kind === 'child' &&
      input.event.type.startsWith('xstate.error.actor.') &&
      !this.tree.nodes.canTake(input.target, input.event);
    if (isUnforeseen) void this.#mishaps.child(input, from, fail);
    else fail();
  }

  #take(input: Input, from: Node | undefined, what: string): void {
    const reject = (error: unknown) => this.#report(error, what);
    this.#cell.enqueue({ input, from, message: undefined, resolve: nothing, reject });
  }

  /** From a durable child that was stopped, or whose place another has taken. */
  #isForgotten(input: Input | 'tick', message: string): boolean {
    return input !== 'tick' && input.kind === 'child' && !this.tree.nodes.awaits(input.source, senderOf(message));
  }

  #refuseUnhandled({ target, event }: Input & { kind: 'event' }): void {
    if (this.#cell.plan.unhandled !== 'reject' || target !== ROOT) return;
    const { computed } = this.tree;
    if (!computed.can(event)) throw refused(this.#cell.stream, event.type, computed.value);
  }

  #ride(waiting: Pick<Waiting, 'resolve' | 'reject'>): void {
    if (this.#queue.size > 0) this.#queue.ride(this.tree.computed, waiting);
    else waiting.resolve(this.#cell.shown.snapshot as AnyMachineSnapshot);
  }

  /** An entry for which nothing was computed. */
  #append(entry: Entry, effects = NO_EFFECTS, then = nothing): Promise<void> {
    return new Promise((resolve, reject) => {
      const land = () => {
        then();
        resolve();
      };
      this.#journal(entry, { turn: undefined, snapshot: this.tree.computed, resolve: land, reject }, effects);
    });
  }

  /** Appends an entry, and what came of it, at the revision behind the last one that was computed. */
  #journal(entry: Entry, flight: Omit<Flight, 'revision' | 'effects'>, effects = NO_EFFECTS): void {
    const { turn } = flight;
    const revision = this.#queue.revision + 1;
    const own = turn !== undefined && turn.effects.length > 0 ? turn.effects.filter(isUserEffect) : effects;
    const { type, data } = entry;
    const told = { revision, effectful: own.length > 0, computed: turn !== undefined };
    const events: NewEntry[] = [{ type, data, metadata: this.#books.entry(entry, told) }];
    if (own.length > 0) addMessages(events, own, revision);
    this.#at = entry.at;
    this.#host.busy(this.#cell);
    this.#queue.append(events, { ...flight, revision, effects: own });
    if (turn?.timersChanged) this.#rearm();
    this.#snapshots.count(data, this.tree.computed);
  }

  readonly #queueOwner: QueueOwner = {
    landed: (flight) => this.#landed(flight),
    released: () => {
      if (this.#snapshots.due) void this.#snapshotIfDue();
      this.#cell.pump();
    },
    shifted: (by) => this.#books.shift(by),
    blame: (cause) => this.#cell.blame(cause),
    broken: (error) => this.#cell.broken(error),
  };

  /** What the journal has becomes visible. */
  #landed({ turn, revision, snapshot, effects }: Flight): void {
    const { shown, observers } = this.#cell;
    if (turn === undefined) {
      shown.revision = Math.max(shown.revision, revision);
      if (effects.length > 0) this.#effects.add({ revision, effects });
      return;
    }
    this.#host.counters.events++;
    this.tree.show(turn);
    this.#show(revision, snapshot);
    for (const effect of turn.effects) if (!isUserEffect(effect)) this.tree.perform(effect);
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
    this.#effects = new Effects(this.#effectHost, done);
    for (const of of undone) this.#effects.add(onlyMessages(of));
    this.tree.drop();
    this.#end = end;
    const snapshot = { ...this.tree.visible, ...end } as AnyMachineSnapshot;
    this.#show(this.#queue.revision, snapshot);
    this.#cell.observers.next(snapshot);
    this.#close(snapshot);
  }

  /** A durable parent is told of a child that fails. */
  #lastWords({ status, error }: Ended): UserEffect[] {
    const parent = this.#parent;
    if (parent === undefined || status !== 'error') return [];
    const { id } = this.tree.root;
    const event = asOfChild({ type: `xstate.error.actor.${id}`, error, actorId: id }, id, parent);
    return [{ kind: 'message', to: { machine: parent.machine, id: parent.id }, event, child: parent.child }];
  }

  readonly #effectHost = {
    emit: ({ event }: UserEffect & { kind: 'emit' }) => this.#cell.observers.emit(event),
    deliver: async ({ to, event, revision, child }: UserEffect & { kind: 'message' }) => {
      await this.#host.deliver(to, event, messageId(this.#cell.stream, revision as number), child);
    },
    carriedOut: () => void this.#host.counters.effects++,
    failed: (error: unknown, effect: UserEffect, attempts: number) => this.#mishaps.effect(error, effect, attempts),
    advanced: () => {
      if (this.#dropped) return;
      if (this.#books.behind) this.#host.markLater(this.#cell);
      if (this.#snapshots.due) void this.#snapshotIfDue();
      this.#cell.pump();
    },
  };

  async #snapshotIfDue(): Promise<void> {
    if (!this.#snapshots.due || this.#dropped || this.#queue.size > 0 || !this.#effects.onlyMessages) return;
    await this.#snapshots.save(this.#queue.revision, () =>
      stateOf(this.tree, {
        version: this.#cell.plan.version,
        at: this.#at,
        undone: this.#effects.undone,
        inbox: [...this.#inbox],
        ended: this.#end,
        parent: this.#parent,
      }),
    );
  }

  #rearm(): void {
    const { alarms } = this.#host;
    const timer = this.tree.timers.next;
    if (timer === undefined) alarms.clear(this.#cell.stream);
    else alarms.set(this.#cell.stream, timer.due);
  }

  #now(): number {
    this.#at = Math.max(this.#at, this.#host.clock.now());
    return this.#at;
  }

  #report(error: unknown, what: string): void {
    this.#host.report(error, this.#cell, what);
  }
}

const onlyMessages = ({ revision, effects }: Undone): Undone => ({
  revision,
  effects: effects.filter(({ kind }) => kind === 'message'),
});

const isOver = ({ status }: { readonly status: string }): boolean => status !== 'active';

const inputType = (input: Input): string => (input.kind === 'timer' ? input.id : input.event.type);
