/**
 * One durable actor in memory: what is sent to it is computed at once, journalled, and becomes visible, with its effects,
 * when the journal has it.
 *
 *     queue ──compute──▶ in flight ──journalled──▶ visible, effects ──carried out──▶ marked
 *
 * Computing runs ahead of the journal: the next event is computed on what the one before it has led to, so appends of one
 * actor share syncs. They are released in order. If one fails, all behind it fail, and the actor is woken anew from what
 * the journal has.
 */
import type { AnyEventObject, AnyMachineSnapshot } from 'xstate';
import { VarveError } from '../../errors.js';
import { jsonCodec } from '../event-store/json-codec.js';
import { ended, hostClosed, notOwner, refused } from './actor-errors.js';
import { type DurableParent, parentAddress, ROOT, streamOf } from './address.js';
import type { CellHost } from './cell-host.js';
import { asOfChild } from './durable-child.js';
import { Effects, type Verdict } from './effects.js';
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
import type { MachinePlan } from './machine-plan.js';
import type { Observers } from './observers.js';
import { startOutside } from './outside.js';
import { Supervisor } from './supervision.js';
import { Tree } from './tree.js';
import type { Input, Node, Turn, UserEffect } from './turn.js';
import {
  type Ended,
  hashOf,
  type Inbox,
  isKnown,
  isUserEffect,
  messageId,
  noteMessage,
  senderOf,
  stateOf,
  type Undone,
  wakeUp,
} from './wake-up.js';

interface Waiting {
  readonly input: Input | 'tick';
  /** Of a child outside: it counts only as long as that child does. */
  readonly from: Node | undefined;
  readonly message: string | undefined;
  readonly resolve: (snapshot: AnyMachineSnapshot) => void;
  readonly reject: (error: unknown) => void;
}

interface Flight {
  revision: number;
  readonly turn: Turn | undefined;
  readonly snapshot: AnyMachineSnapshot;
  readonly effects: UserEffect[];
  readonly resolve: (snapshot: AnyMachineSnapshot) => void;
  readonly reject: (error: unknown) => void;
  landed: boolean;
  /** One before it has failed. */
  doubtful: boolean;
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

const NO_EFFECTS: UserEffect[] = [];
/** What it takes beside its state: XState's objects and these. */
const BYTES_OF_A_CELL = 6 * 1024;
const MAX_IN_FLIGHT = 1024;
const SNAPSHOTS_KEPT = 2;
const nothing = () => {};

export interface Shown {
  /** Undefined before it is awake. */
  snapshot: AnyMachineSnapshot | undefined;
  revision: number;
}

/** How an actor is started, where it has no journal. */
export interface Start {
  readonly input: unknown;
  readonly parent?: DurableParent;
}

export type CellState = 'empty' | 'waking' | 'live' | 'ended' | 'gone';

/** After these no entry can be appended in this life: an actor that is woken would only fail again. */
const NOTHING_TO_WAKE_FOR: ReadonlySet<string> = new Set([
  'ERR_VARVE_LEASE_LOST',
  'ERR_VARVE_PARTITION_FAILED',
  'ERR_VARVE_CLOSED',
]);

export class ActorCell {
  readonly plan: MachinePlan;
  readonly id: string;
  readonly stream: string;
  readonly observers: Observers;
  /** Time of the host's clock when it was last used. */
  usedAt = 0;
  readonly #host: CellHost;
  #state: CellState = 'empty';
  #tree!: Tree;
  #effects!: Effects;
  #inbox: Inbox = new Map();
  #waking: Promise<boolean> | undefined;
  #queue: Waiting[] = [];
  readonly #flights: Flight[] = [];
  /** Of the newest event that was computed; -1: there is none. */
  #revision = -1;
  #shown: Shown = { snapshot: undefined, revision: -1 };
  /** Everything up to here is known to have been carried out, by the journal. */
  #marked = -1;
  /** The newest entry that had effects. */
  #effectful = -1;
  /** No more is computed; when nothing is in flight it is woken anew. */
  #broken: { readonly error: unknown } | undefined;
  /** What nobody has sent has thrown: it is ended as soon as it is awake again. */
  #hopeless: { readonly error: unknown } | undefined;
  /** Its partition has failed: what was written last may be there, and is not read before the store is opened anew. */
  #failure: VarveError | undefined;
  #at = 0;
  /** Since the last snapshot. */
  #entries = 0;
  #bytes = 0;
  /** Of the state, encoded, when that was last done. */
  #stateBytes = 0;
  #hashed = 0;
  #snapshotDue = false;
  #snapshotting = 0;
  #end: Ended | undefined;
  #parent: DurableParent | undefined;
  readonly #supervisor: Supervisor;
  /** By the address of a child outside: how often it has failed. */
  readonly #failures = new Map<string, number>();

  constructor(host: CellHost, plan: MachinePlan, id: string, observers: Observers) {
    this.#host = host;
    this.plan = plan;
    this.id = id;
    this.stream = streamOf(plan.name, id);
    this.observers = observers;
    this.#supervisor = new Supervisor(plan.supervision, host.clock);
  }

  get state(): CellState {
    return this.#state;
  }

  /** What is durable. It goes on changing as long as the actor is in memory. */
  get shown(): Shown {
    return this.#shown;
  }

  /** About how much memory it takes. */
  get bytes(): number {
    return BYTES_OF_A_CELL + 2 * this.#stateBytes;
  }

  get tree(): Tree {
    return this.#tree;
  }

  /** Nothing is under way, so it could be put to sleep. */
  get idle(): boolean {
    return (
      this.#queue.length === 0 &&
      this.#flights.length === 0 &&
      this.#snapshotting === 0 &&
      !this.#supervisor.pausing &&
      (this.#state === 'empty' ||
        this.#state === 'gone' ||
        ((this.#state === 'live' || this.#state === 'ended') && this.#effects.idle))
    );
  }

  /** It must stay in memory: something runs, or somebody looks. */
  get pinned(): boolean {
    return (
      !this.idle || this.#unmarked || !this.observers.none || (this.#state === 'live' && this.#tree.nodes.busyOutside)
    );
  }

  /**
   * Wakes it from its journal; false where there is none. With `start` it is started then.
   */
  async wake(start?: Start): Promise<boolean> {
    for (;;) {
      if (this.#state === 'live' || this.#state === 'ended') return true;
      if (this.#state === 'gone') throw hostClosed(this.stream);
      if (this.#waking === undefined) {
        this.#host.busy(this);
        this.#waking = this.#wake(start).finally(() => {
          this.#waking = undefined;
          // What came with it, such as a result that was there at once, may have failed already.
          if (this.#broken !== undefined && this.#state === 'live') this.#break(this.#broken.error);
          this.#settled();
        });
      }
      const awake = await this.#waking;
      if (awake || start === undefined) return awake;
    }
  }

  /** Sends an event; resolves with the snapshot that it has led to, when that is visible. */
  send(event: AnyEventObject, message?: string): Promise<AnyMachineSnapshot> {
    return this.give({ kind: 'event', target: ROOT, event }, message);
  }

  give(input: Input, message?: string): Promise<AnyMachineSnapshot> {
    return new Promise((resolve, reject) => this.#enqueue({ input, from: undefined, message, resolve, reject }));
  }

  /** Its alarm has rung. */
  tick(): void {
    this.#enqueue({ input: 'tick', from: undefined, message: undefined, resolve: nothing, reject: nothing });
  }

  /** Ends it for good: nothing is carried out any more, its children are stopped. */
  async end(status: 'error' | 'stopped', error?: unknown): Promise<void> {
    if (this.#state === 'waking') await this.#waking?.catch(nothing); // whoever wakes it is told
    if (this.#state !== 'live' || this.#end !== undefined) return;
    const reason: Ended = error === undefined ? { status } : { status, error };
    this.#end = reason;
    const entry = { type: 'xstate.stop', data: packErrors(reason) };
    await this.#append('ended', entry, NO_FIELDS, () => this.#finishEnd(reason), this.#now(), this.#lastWords(reason));
  }

  /** Leaves memory at once; what is under way fails. Its journal is as it is. */
  leave(): void {
    if (this.#state === 'gone') return;
    this.#drop();
    this.#state = 'gone';
    if (this.#flights.length + this.#queue.length > 0) this.#rejectAll(hostClosed(this.stream));
    this.#host.quiet(this);
  }

  /** A durable parent is told of a child that fails. */
  #lastWords({ status, error }: Ended): UserEffect[] {
    const parent = this.#parent;
    if (parent === undefined || status !== 'error') return [];
    const { id } = this.#tree.root;
    const event = asOfChild({ type: `xstate.error.actor.${id}`, error, actorId: id }, id, parent);
    return [{ kind: 'message', to: { machine: parent.machine, id: parent.id }, event, child: parent.child }];
  }

  /** The host goes: what fails from now on is not tried again in this life. */
  drain(): void {
    this.#supervisor.drain();
  }

  /** Tells the journal what was carried out. */
  async mark(): Promise<void> {
    if (this.#state !== 'live' && this.#state !== 'ended') return;
    if (!this.#unmarkedAt(this.#effects.done) || this.#broken !== undefined) return;
    await this.#append('mark', { type: 'varve.mark', data: null }, {}, nothing);
  }

  /** A snapshot at the next opportunity. */
  async saveSnapshot(): Promise<void> {
    if (this.#state !== 'live' && this.#state !== 'ended') return;
    this.#snapshotDue = true;
    await this.#snapshotIfDue();
  }

  get #unmarked(): boolean {
    return (this.#state === 'live' || this.#state === 'ended') && this.#effectful > this.#marked;
  }

  async #wake(start: Start | undefined): Promise<boolean> {
    const { store, alarms } = this.#host;
    this.#state = 'waking';
    let tree = this.#newTree();
    try {
      this.#host.claim(this.stream);
      await this.#host.caughtUp(this.stream);
      const woken = await wakeUp(store, this.plan, this.stream, tree);
      if ((this.#state as CellState) === 'gone') throw hostClosed(this.stream);
      if (woken === undefined) {
        if (start === undefined) {
          this.#state = 'empty';
          return false;
        }
        tree = this.#newTree();
        await this.#start(tree, start);
        this.#pump();
        return true;
      }
      this.#host.counters.wakeUps++;
      this.#take(tree, woken.revision, woken.at);
      this.#inbox = woken.inbox;
      this.#entries = woken.entries;
      this.#end = woken.ended;
      this.#parent = woken.parent;
      const first = woken.undone[0];
      const done = first === undefined ? woken.revision : first.revision - 1;
      this.#effects = new Effects(this.#effectHost(tree), done);
      this.#marked = done;
      this.#effectful = woken.undone.at(-1)?.revision ?? -1;
      const { visible } = tree;
      this.#show(
        woken.revision,
        woken.ended === undefined ? visible : ({ ...visible, ...woken.ended } as typeof visible),
      );
      this.#state = isOver(tree.visible) || this.#end !== undefined ? 'ended' : 'live';
      const undone = this.#end === undefined ? woken.undone : woken.undone.map(onlyMessages);
      for (const of of undone) this.#effects.add(of);
      if (this.#state === 'live') {
        if (this.#hopeless === undefined) {
          this.#resume();
          this.#rearm();
        } else this.end('error', this.#hopeless.error).catch((error) => this.#host.report(error, this, 'ending'));
      } else {
        alarms.clear(this.stream);
        this.observers.end(this.#shown.snapshot as AnyMachineSnapshot);
      }
    } catch (error) {
      if ((this.#state as CellState) !== 'gone') this.#state = 'empty';
      tree.drop();
      for (const { reject } of this.#queue.splice(0)) reject(error);
      throw error;
    }
    this.#pump();
    return true;
  }

  /** What was under way when the process ended, or the actor was given up. */
  #resume(): void {
    const shift = this.#host.resume(this.plan, this.stream, this.#revision);
    if (shift !== undefined && this.#tree.timers.size > 0) {
      const at = this.#now();
      this.#tree.timers.shift(shift, at);
      this.#append('resumed', { type: 'varve.resumed', data: null }, { shift }, nothing, at).catch((error) =>
        this.#host.report(error, this, 'setting timers anew'),
      );
    }
    for (const node of this.#tree.nodes.interrupted()) {
      const policy = this.plan.interrupted(String(node.actor.src));
      if (policy === 'restart') startOutside(node);
      else if (policy === 'fail') {
        const { id } = node.actor;
        const error = new Error(`The actor '${id}' was interrupted: the process ended while it ran.`);
        this.#enqueue({
          input: {
            kind: 'child',
            source: node.address,
            target: parentAddress(node.address),
            event: { type: `xstate.error.actor.${id}`, error, actorId: id },
          },
          from: node,
          message: undefined,
          resolve: nothing,
          reject: (failure) => this.#host.report(failure, this, `'${id}'`),
        });
      }
    }
  }

  async #start(tree: Tree, { input, parent }: Start): Promise<void> {
    const at = this.#host.clock.now();
    const data = input === undefined ? { type: 'xstate.init' } : { type: 'xstate.init', input };
    checkEvent(data, this.stream);
    tree.live = true;
    const turn = tree.start(input, at, parent);
    const problem = tree.computed.status === 'error' ? tree.computed.error : undefined;
    if (problem !== undefined) {
      tree.drop();
      throw problem;
    }
    this.#take(tree, -1, at);
    this.#effects = new Effects(this.#effectHost(tree), -1);
    this.#marked = this.#effectful = -1;
    this.#host.counters.starts++;
    this.#parent = parent;
    const entry = { type: 'xstate.init', data };
    const fields = parent === undefined ? NO_FIELDS : { parent };
    const snapshot = tree.computed;
    await new Promise<void>((resolve, reject) => {
      this.#journal('start', entry, fields, at, { turn, snapshot, resolve: () => resolve(), reject });
    });
    if (this.#state === 'waking') this.#state = 'live';
  }

  #newTree(): Tree {
    const { logger, inspect } = this.#host;
    const tree: Tree = new Tree({
      machine: this.plan.machine,
      id: this.stream,
      address: { machine: this.plan.name, id: this.id },
      logger,
      inspect,
      onInput: (input, from) => this.#tree === tree && this.#fromTree(input, from),
      onMessage: (to, event) => {
        this.#host
          .deliver(to, event, undefined)
          .catch((error) => this.#host.report(error, this, `a message to ${streamOf(to.machine, to.id)}`));
      },
    });
    return tree;
  }

  #take(tree: Tree, revision: number, at: number): void {
    this.#tree = tree;
    if (!tree.live) tree.introduce();
    this.#failures.clear();
    this.#revision = revision;
    this.#at = at;
    this.#entries = 0;
    this.#bytes = 0;
    this.#hashed = 0;
    this.#snapshotDue = false;
    this.#broken = undefined;
  }

  #fromTree(input: Input, from: Node | undefined): void {
    const reject = (error: unknown) => this.#host.report(error, this, `an event '${inputType(input)}'`);
    if (from !== undefined && input.kind === 'child' && isUnforeseenError(this.#tree, input)) {
      void this.#childFailed(input, from, reject);
      return;
    }
    this.#enqueue({ input, from, message: undefined, resolve: nothing, reject });
  }

  /** What a promise or the like has thrown, and the machine has no transition for. */
  async #childFailed(input: Input & { kind: 'child' }, from: Node, reject: (error: unknown) => void): Promise<void> {
    const attempts = (this.#failures.get(from.address) ?? 0) + 1;
    this.#failures.set(from.address, attempts);
    const tree = this.#tree;
    const verdict = await this.#verdict(input.event.error, `'${from.actor.id}'`, attempts);
    if (this.#tree !== tree || !tree.nodes.counts(from)) return;
    if (verdict === 'again') tree.restartOutside(from);
    else if (verdict === 'stop' && !this.#supervisor.draining) {
      this.#enqueue({ input, from, message: undefined, resolve: nothing, reject });
    }
  }

  #enqueue(waiting: Waiting): void {
    if (this.#state === 'gone') {
      waiting.reject(hostClosed(this.stream));
      return;
    }
    this.#queue.push(waiting);
    this.#host.busy(this);
    if (this.#state === 'live' || this.#state === 'ended') this.#pump();
    else if (this.#waking === undefined) {
      // Whoever waits in the queue is told.
      this.wake({ input: undefined }).catch(nothing);
    }
  }

  #pump(): void {
    while (this.#queue.length > 0 && (this.#state === 'live' || this.#state === 'ended')) {
      if (this.#flights.length >= MAX_IN_FLIGHT || this.#broken !== undefined) return;
      if (this.#snapshotDue && this.#effects.onlyMessages) {
        if (this.#flights.length > 0) return; // it is taken when these have landed
        void this.#snapshotIfDue();
      }
      this.#compute(this.#queue.shift() as Waiting);
    }
    this.#settled();
  }

  #compute(waiting: Waiting): void {
    const { from } = waiting;
    let { message, reject } = waiting;
    const tree = this.#tree;
    if (this.#end !== undefined || isOver(tree.computed)) {
      const { status, error } = this.#end ?? tree.computed;
      if (waiting.input !== 'tick' && from === undefined) reject(ended(this.stream, status, error));
      return;
    }
    if (from !== undefined && !tree.nodes.counts(from)) return;
    if (message !== undefined && (isKnown(this.#inbox, message) || this.#isForgotten(waiting.input, message))) {
      this.#ride(waiting);
      return;
    }
    const at = this.#now();
    let input: Input;
    const timer = tree.timers.next;
    if (timer !== undefined && timer.due <= at) {
      // What is due comes before what is sent now, also where nobody was awake to see it.
      input = { kind: 'timer', source: timer.source, id: timer.id };
      this.#queue.unshift(waiting);
      message = undefined;
      reject = nothing;
    } else if (waiting.input === 'tick') {
      this.#rearm();
      return;
    } else input = waiting.input;
    let entry: { readonly type: string; readonly data: unknown };
    try {
      if (input.kind === 'event') checkEvent(input.event, this.stream);
      entry = inputData(input);
      if (input.kind === 'child') checkEvent(entry.data, this.stream);
      if (input.kind === 'event') this.#refuseUnhandled(input);
    } catch (error) {
      reject(error);
      return;
    }
    const before = tree.computed;
    const turn = tree.run(input, at);
    if (turn.thrown !== undefined) {
      // XState's actors are of no use any more; the journal is as it was.
      const { error } = turn.thrown;
      if (input.kind !== 'event') this.#hopeless = { error }; // it would come, and throw, again and again
      if (input === waiting.input) reject(error);
      else this.#host.report(error, this, `the delayed event '${inputType(input)}'`);
      this.#break(error);
      return;
    }
    const changed = turn.effects.length > 0 || turn.changes.length > 0 || turn.timersChanged;
    const nothingNew = !changed && tree.computed === before && input.kind === 'event' && message === undefined;
    if (nothingNew && this.plan.unhandled !== 'journal') {
      this.#ride(waiting);
      return;
    }
    let fields = inputFields(input);
    if (message !== undefined) {
      fields = { ...fields, from: message };
      noteMessage(this.#inbox, message);
    }
    const { resolve } = input === waiting.input ? waiting : { resolve: nothing };
    this.#journal(input.kind, entry, fields, at, { turn, snapshot: tree.computed, resolve, reject });
  }

  /** From a durable child that was stopped, or whose place another has taken. */
  #isForgotten(input: Input | 'tick', message: string): boolean {
    return input !== 'tick' && input.kind === 'child' && !this.#tree.nodes.awaits(input.source, senderOf(message));
  }

  #refuseUnhandled({ target, event }: Input & { kind: 'event' }): void {
    if (this.plan.unhandled !== 'reject' || target !== ROOT) return;
    const { computed } = this.#tree;
    if (!computed.can(event)) throw refused(this.stream, event.type, computed.value);
  }

  /** Nothing has to be journalled: it is answered when what came before it is visible. */
  #ride({ resolve, reject }: Waiting): void {
    if (this.#flights.length === 0) {
      resolve(this.#shown.snapshot as AnyMachineSnapshot);
      return;
    }
    this.#flights.push({
      revision: this.#revision,
      turn: undefined,
      snapshot: this.#tree.computed,
      effects: [],
      resolve,
      reject,
      landed: true,
      doubtful: false,
    });
  }

  #append(
    kind: EntryKind,
    entry: { readonly type: string; readonly data: unknown },
    fields: Partial<NewEntry['metadata']>,
    then: () => void,
    at = this.#now(),
    effects = NO_EFFECTS,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const { computed: snapshot } = this.#tree;
      const land = () => {
        then();
        resolve();
      };
      this.#journal(kind, entry, fields, at, { turn: undefined, effects, snapshot, resolve: land, reject });
    });
  }

  /** Appends an entry, and what came of it, at the revision behind the last one that was computed. */
  #journal(
    kind: EntryKind,
    entry: { readonly type: string; readonly data: unknown },
    fields: Partial<NewEntry['metadata']>,
    at: number,
    { turn, ...flight }: Pick<Flight, 'turn' | 'snapshot' | 'resolve' | 'reject'> & { effects?: UserEffect[] },
  ): void {
    const tree = this.#tree;
    const revision = this.#revision + 1;
    let { effects = NO_EFFECTS } = flight;
    if (turn !== undefined && turn.effects.length > 0) effects = turn.effects.filter(isUserEffect);
    const { version } = this.plan;
    const { done } = this.#effects;
    if (effects.length > 0) this.#effectful = revision;
    // Built step by step: this is done for each event.
    const metadata: Writable<EntryMetadata> = { kind, at, version };
    if (fields !== NO_FIELDS) Object.assign(metadata, fields);
    if (this.#unmarkedAt(done)) metadata.done = done;
    const wake = this.#wakeTime();
    if (wake !== undefined) metadata.wake = wake;
    if (turn !== undefined && ++this.#hashed >= this.plan.hashEvery) {
      const hash = this.#hash();
      if (hash !== undefined) metadata.hash = hash;
    }
    const events: NewEntry[] = [{ type: entry.type, data: entry.data, metadata }];
    if (effects.length > 0) addMessages(events, effects, revision);
    this.#revision += events.length;
    this.#at = at;
    this.#marked = done;
    this.#entries++;
    const landing: Flight = { ...flight, revision, turn, effects, landed: false, doubtful: false };
    this.#flights.push(landing);
    this.#host.busy(this);
    const { store, ack } = this.#host;
    const expectedRevision = kind === 'start' ? 'noStream' : BigInt(revision - 1);
    store.appendToStream(this.stream, events, { expectedRevision, ack }).then(
      ({ nextExpectedRevision }) => {
        if (kind === 'start') this.#startedAt(landing, Number(nextExpectedRevision));
        if (this.#tree !== tree) return;
        if (landing.doubtful) {
          this.#failed(landing, this.#broken?.error);
          return;
        }
        landing.landed = true;
        this.#land();
        if (this.#broken !== undefined) this.#break(this.#broken.error);
      },
      (error) => this.#tree === tree && this.#failed(landing, error),
    );
    if (turn?.timersChanged) this.#rearm();
    if (this.plan.snapshotBytes !== Number.POSITIVE_INFINITY) this.#bytes += sizeOf(entry.data);
    if (this.#entries >= this.plan.snapshotEntries || this.#bytes >= this.plan.snapshotBytes || isOver(tree.computed))
      this.#snapshotDue = true;
  }

  /** A stream that was deleted goes on where it was. */
  #startedAt(landing: Flight, newest: number): void {
    const shift = newest - this.#revision;
    if (shift === 0) return;
    this.#revision += shift;
    landing.revision += shift;
    this.#effectful += shift;
    landing.effects.forEach((effect, i) => {
      if (effect.kind === 'message') landing.effects[i] = { ...effect, revision: (effect.revision ?? 0) + shift };
    });
  }

  /** The journal does not know yet how far effects have been carried out. */
  #unmarkedAt(done: number): boolean {
    return done > this.#marked && this.#effectful > this.#marked;
  }

  #hash(): number | undefined {
    this.#hashed = 0;
    try {
      const { hash, bytes } = hashOf(this.#tree);
      this.#stateBytes = bytes;
      return hash;
    } catch (error) {
      this.#hashed = Number.NEGATIVE_INFINITY; // said once
      this.#host.report(error, this, 'the checksum of its state');
      return undefined;
    }
  }

  #wakeTime(): number | undefined {
    if (this.#effectful > this.#effects.done || this.#tree.nodes.busyOutside) return 0;
    return this.#tree.timers.next?.due;
  }

  /** What the journal has becomes visible, in order. */
  #land(): void {
    const tree = this.#tree;
    for (let first = this.#flights[0]; first?.landed; first = this.#flights[0]) {
      this.#flights.shift();
      const { turn, revision, snapshot, effects } = first;
      if (turn !== undefined) {
        this.#host.counters.events++;
        tree.show(turn);
        this.#show(revision, snapshot);
        for (const effect of turn.effects) if (!isUserEffect(effect)) tree.perform(effect);
        this.#effects.add({ revision, effects });
        if (this.#tree !== tree) {
          first.resolve(snapshot);
          return;
        }
        this.observers.next(snapshot);
        if (isOver(snapshot)) this.#over(snapshot);
      } else {
        this.#shown.revision = Math.max(this.#shown.revision, revision);
        if (effects.length > 0) this.#effects.add({ revision, effects });
      }
      first.resolve(snapshot);
    }
    if (this.#broken !== undefined) return;
    if (this.#snapshotDue) void this.#snapshotIfDue();
    this.#pump();
  }

  #show(revision: number, snapshot: AnyMachineSnapshot): void {
    this.#shown.revision = revision;
    this.#shown.snapshot = snapshot;
  }

  #over(snapshot: AnyMachineSnapshot): void {
    this.#state = 'ended';
    this.#host.alarms.clear(this.stream);
    this.observers.end(snapshot);
  }

  #finishEnd(end: Ended): void {
    const { undone, done } = this.#effects;
    this.#effects.stop();
    this.#effects = new Effects(this.#effectHost(this.#tree), done);
    for (const of of undone) this.#effects.add(onlyMessages(of));
    this.#tree.drop();
    this.#end = end;
    const snapshot = { ...this.#tree.visible, ...end } as AnyMachineSnapshot;
    this.#show(this.#revision, snapshot);
    this.observers.next(snapshot);
    this.#over(snapshot);
  }

  /**
   * An append has failed. Those behind it fail by themselves, as they expect what it was to write; unless somebody else
   * has written that much. What such a one was computed on is wrong, so it is not released: waking will compute it again.
   */
  #failed(flight: Flight, cause: unknown): void {
    const lost = cause instanceof VarveError && cause.code === 'ERR_VARVE_WRONG_REVISION';
    if (cause instanceof VarveError && cause.code === 'ERR_VARVE_PARTITION_FAILED') this.#failure ??= cause;
    const error = this.#broken?.error ?? (lost ? (this.#failure ?? notOwner(this.stream, cause)) : cause);
    const behind = this.#flights.splice(this.#flights.indexOf(flight)).slice(1);
    for (const { landed, reject } of behind) if (landed) reject(error);
    for (const other of behind) {
      if (other.landed) continue;
      other.doubtful = true;
      this.#flights.push(other);
    }
    flight.reject(error);
    this.#break(error);
  }

  /** What was computed leads nowhere: when nothing is in flight any more, it is woken anew from the journal. */
  #break(error: unknown): void {
    this.#broken ??= { error };
    if (this.#waking === undefined && this.#flights.every(({ landed }) => landed)) {
      this.#land();
      this.#reload(error);
    }
  }

  #reload(error: unknown): void {
    this.#drop();
    this.#state = 'empty';
    if (error instanceof VarveError && NOTHING_TO_WAKE_FOR.has(error.code)) {
      this.#rejectAll(error); // it is another host's, or the next life's
      this.#settled();
      return;
    }
    this.#host.counters.restarts++;
    this.wake({ input: undefined }).catch((failure) => this.#host.report(failure, this, 'waking up'));
  }

  #drop(): void {
    this.#effects?.stop();
    this.#tree?.drop();
    this.#host.alarms.clear(this.stream);
  }

  #rejectAll(error: unknown): void {
    for (const { reject } of this.#flights.splice(0)) reject(error);
    for (const { reject } of this.#queue.splice(0)) reject(error);
  }

  #rearm(): void {
    const timer = this.#tree.timers.next;
    if (timer === undefined) this.#host.alarms.clear(this.stream);
    else this.#host.alarms.set(this.stream, timer.due);
  }

  #effectHost(tree: Tree) {
    return {
      emit: ({ event }: UserEffect & { kind: 'emit' }) => this.observers.emit(event),
      deliver: async ({ to, event, revision, child }: UserEffect & { kind: 'message' }) => {
        await this.#host.deliver(to, event, messageId(this.stream, revision as number), child);
      },
      carriedOut: () => void this.#host.counters.effects++,
      failed: (error: unknown, effect: UserEffect, attempts: number) => this.#effectFailed(error, effect, attempts),
      advanced: () => {
        if (this.#tree !== tree) return;
        if (this.#unmarkedAt(this.#effects.done)) this.#host.markLater(this);
        if (this.#snapshotDue) void this.#snapshotIfDue();
        this.#pump();
      },
    };
  }

  async #effectFailed(error: unknown, effect: UserEffect, attempts: number): Promise<Verdict> {
    const what = effect.kind === 'action' ? `the action '${effect.type}'` : `a ${effect.kind}`;
    const message = effect.kind === 'message';
    if (message && error instanceof VarveError && FINAL.has(error.code)) {
      this.#host.report(error, this, what);
      return 'skip';
    }
    const verdict = await this.#verdict(error, what, attempts, message);
    if (verdict !== 'stop') return verdict;
    if (this.#supervisor.draining)
      this.#effects.stop(); // the next life carries it out
    else {
      this.#host.report(error, this, what);
      await this.end('error', error).catch((failure) => this.#host.report(failure, this, 'ending'));
    }
    this.#settled();
    return 'stop';
  }

  async #verdict(error: unknown, what: string, attempts: number, message = false): Promise<Verdict> {
    const verdict = message
      ? this.#supervisor.patience(attempts)
      : this.#supervisor.verdict(attempts, () => this.#host.decide(error, this, what));
    this.#host.busy(this);
    const decided = await verdict;
    if (decided === 'again') this.#host.counters.restarts++;
    return decided;
  }

  async #snapshotIfDue(): Promise<void> {
    if (!this.#snapshotDue || this.#flights.length > 0 || !this.#effects.onlyMessages) return;
    if (this.#state !== 'live' && this.#state !== 'ended') return;
    this.#snapshotDue = false;
    this.#entries = 0;
    this.#bytes = 0;
    this.#snapshotting++;
    try {
      const state = stateOf(this.#tree, {
        version: this.plan.version,
        at: this.#at,
        undone: this.#effects.undone,
        inbox: [...this.#inbox],
        ended: this.#end,
        parent: this.#parent,
      });
      await this.#host.store.saveSnapshot(
        this.stream,
        { revision: BigInt(this.#revision), state },
        { keep: SNAPSHOTS_KEPT },
      );
      this.#host.counters.snapshots++;
    } catch (error) {
      this.#host.report(error, this, 'saving a snapshot');
    } finally {
      this.#snapshotting--;
      this.#settled();
    }
  }

  #settled(): void {
    if (this.idle) this.#host.quiet(this);
  }

  #now(): number {
    this.#at = Math.max(this.#at, this.#host.clock.now());
    return this.#at;
  }
}

/** Errors of a receiver that do not pass. */
const FINAL: ReadonlySet<string> = new Set([
  'ERR_VARVE_ACTOR_ENDED',
  'ERR_VARVE_EVENT_REFUSED',
  'ERR_VARVE_INVALID_OPTION',
  'ERR_VARVE_INVALID_EVENT',
  'ERR_VARVE_STREAM_TOMBSTONED',
  'ERR_VARVE_MACHINE_VERSION',
  'ERR_VARVE_DIVERGED',
  'ERR_VARVE_CORRUPT',
]);

const onlyMessages = ({ revision, effects }: Undone): Undone => ({
  revision,
  effects: effects.filter(({ kind }) => kind === 'message'),
});

const sizeOf = (data: unknown): number => jsonCodec.encode(data).length;

const isOver = ({ status }: { readonly status: string }): boolean => status !== 'active';

/** A child has failed, and whoever has started it does not know what to do. */
function isUnforeseenError(tree: Tree, { target, event }: Input & { kind: 'child' }): boolean {
  return event.type.startsWith('xstate.error.actor.') && !tree.nodes.canTake(target, event);
}

const inputType = (input: Input): string => (input.kind === 'timer' ? input.id : input.event.type);
