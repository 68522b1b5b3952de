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
import { ActorJournal, isOver, type Standing } from './actor-journal.js';
import { type DurableParent, parentAddress, ROOT, streamOf } from './address.js';
import type { CellHost } from './cell-host.js';
import { asOfChild } from './durable-child.js';
import { checkEvent, inputData, inputFields, NO_FIELDS } from './entries.js';
import { keepable, packErrors } from './error-data.js';
import { Mishaps } from './mishaps.js';
import { startOutside } from './outside.js';
import { Tree } from './tree.js';
import type { Input, Node, UserEffect } from './turn.js';
import { type Ended, isKnown, noteMessage, senderOf, type Woken, wakeUp } from './wake-up.js';

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

const nobody = () => {};

export class Life {
  readonly tree: Tree;
  readonly #host: CellHost;
  readonly #cell: ActorCell;
  readonly #mishaps: Mishaps;
  #journal: ActorJournal | undefined;
  #dropped = false;

  constructor(host: CellHost, cell: ActorCell) {
    this.#host = host;
    this.#cell = cell;
    this.#mishaps = new Mishaps(host, cell, this);
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

  get dropped(): boolean {
    return this.#dropped;
  }

  /** It takes no more events, durably. */
  get over(): boolean {
    return this.journal.over;
  }

  /** It is of use in memory though it is idle. */
  get pinned(): boolean {
    return this.journal.open || (!this.over && this.tree.nodes.busyOutside);
  }

  /** Of an actor that has begun. */
  get journal(): ActorJournal {
    return this.#journal as ActorJournal;
  }

  /** What the journal has of it; undefined where there is none. */
  replay(): Promise<Woken | undefined> {
    return wakeUp(this.#host.store, this.#cell.plan, this.#cell.stream, this.tree);
  }

  /** Goes on from what was replayed. */
  resume(woken: Woken): void {
    this.#host.counters.wakeUps++;
    this.#begin({ ...woken, carriedOut: this.#cell.carriedOut }).resume();
    if (this.over) return;
    const { hopeless } = this.#cell;
    if (hopeless !== undefined) {
      this.end({ status: 'error', error: hopeless.error }).catch((error) => this.#report(error, 'ending'));
      return;
    }
    this.#resumeTimers();
    this.#resumeOutside();
    this.#rearm();
  }

  /** The first entry: resolves when the journal has it. Rejects with what the machine's first transition throws. */
  async start({ input, parent }: Start): Promise<void> {
    const { tree } = this;
    const at = this.#host.clock.now();
    const data = input === undefined ? { type: 'xstate.init' } : { type: 'xstate.init', input };
    checkEvent(data, this.#cell.stream);
    tree.live = true;
    const turn = tree.start(input, at, parent);
    const { computed: snapshot } = tree;
    if (snapshot.status === 'error' && snapshot.error !== undefined) throw snapshot.error;
    const nothing = { undone: [], carriedOut: -1, inbox: new Map(), parked: [], entries: 0, ended: undefined };
    const journal = this.#begin({ revision: -1, at, parent, ...nothing });
    this.#host.counters.starts++;
    const fields = parent === undefined ? NO_FIELDS : { parent };
    await new Promise<void>((resolve, reject) => {
      const answer = { resolve: () => resolve(), reject };
      journal.append({ kind: 'start', type: 'xstate.init', data, fields, at }, { turn, snapshot, ...answer });
      this.#rearm();
    });
  }

  /** Computes a delayed event whose moment has come; false where there is none. */
  fire(): boolean {
    const timer = this.tree.timers.next;
    if (timer === undefined || this.#isOver) return false;
    const at = this.journal.now();
    if (timer.due > at) return false;
    const { source, id } = timer;
    const thrown = (error: unknown) => this.#report(error, `the delayed event '${id}'`);
    this.#run({ kind: 'timer', source, id }, at, { message: undefined, resolve: nobody, reject: nobody }, thrown);
    return true;
  }

  compute({ input, from, message, resolve, reject }: Waiting): void {
    const { nodes, computed } = this.tree;
    const { stream } = this.#cell;
    if (this.#isOver) {
      const { status, error } = this.journal.ended ?? computed;
      if (input !== 'tick' && from === undefined) reject(ended(stream, status, error));
      return;
    }
    if (from !== undefined && !nodes.counts(from)) return;
    if (input === 'tick') {
      this.#rearm();
      return;
    }
    if (message !== undefined && (isKnown(this.journal.inbox, message) || this.#isForgotten(input, message))) {
      this.journal.ride({ resolve, reject });
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
    this.#run(input, this.journal.now(), { message, resolve, reject }, reject);
  }

  /** Ends it for good: nothing is carried out any more, its children are stopped. */
  async end(reason: Ended): Promise<void> {
    if (this.over || this.journal.ended !== undefined) return;
    const kept = reason.error === undefined ? reason : { ...reason, error: keepable(reason.error) };
    await this.journal.end(kept, packErrors(kept), this.#lastWords(kept));
  }

  /** It is given up: what runs outside is stopped, what is in flight is refused. */
  drop(error: unknown): void {
    this.#dropped = true;
    this.#journal?.drop(error);
    this.tree.drop();
  }

  get #isOver(): boolean {
    return this.journal.ended !== undefined || isOver(this.tree.computed);
  }

  #begin(standing: Standing): ActorJournal {
    if (!this.tree.live) this.tree.introduce();
    this.#journal = new ActorJournal(this.#host, this.#cell, this.tree, this.#mishaps, standing);
    return this.#journal;
  }

  #run(
    input: Input,
    at: number,
    { message, resolve, reject }: Pick<Waiting, 'message' | 'resolve' | 'reject'>,
    thrown: (error: unknown) => void,
  ): void {
    const { tree, journal } = this;
    const before = tree.computed;
    const turn = tree.run(input, at);
    if (turn.thrown !== undefined) {
      // XState's actors are of no use any more; the journal is as it was.
      const { error } = turn.thrown;
      if (input.kind !== 'event') this.#cell.hopeless = { error }; // it would come, and throw, again and again
      thrown(error);
      journal.break(error);
      return;
    }
    const { computed: snapshot } = tree;
    const changed = turn.effects.length > 0 || turn.changes.length > 0 || turn.timersChanged;
    const nothingNew = !changed && snapshot === before && input.kind === 'event' && message === undefined;
    if (nothingNew && this.#cell.plan.unhandled !== 'journal') {
      journal.ride({ resolve, reject });
      return;
    }
    let fields = inputFields(input);
    if (message !== undefined) {
      fields = { ...fields, from: message };
      noteMessage(journal.inbox, message);
    }
    const { type, data } = inputData(input);
    journal.append({ kind: input.kind, type, data, fields, at }, { turn, snapshot, resolve, reject });
    if (turn.timersChanged) this.#rearm();
  }

  #resumeTimers(): void {
    const { timers } = this.tree;
    const shift = this.#host.resume(this.#cell.plan, this.#cell.stream);
    if (shift === undefined || timers.size === 0) return;
    const at = this.journal.now();
    timers.shift(shift, at);
    this.journal
      .note({ kind: 'resumed', type: 'varve.resumed', data: null, fields: { shift }, at })
      .catch((error) => this.#report(error, 'setting timers anew'));
  }

  /** What ran outside when the process ended, or the actor was given up. */
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
    const take = () => this.#take(input, from, `an event '${input.kind === 'timer' ? input.id : input.event.type}'`);
    const isUnforeseen =
      from !== undefined &&
      input.kind === 'child' &&
      input.event.type.startsWith('xstate.error.actor.') &&
      !this.tree.nodes.canTake(input.target, input.event);
    if (isUnforeseen) void this.#mishaps.child(input, from, take);
    else take();
  }

  #take(input: Input, from: Node | undefined, what: string): void {
    const reject = (error: unknown) => this.#report(error, what);
    this.#cell.enqueue({ input, from, message: undefined, resolve: nobody, reject });
  }

  /** From a durable child that was stopped, or whose place another has taken. */
  #isForgotten(input: Input, message: string): boolean {
    return input.kind === 'child' && !this.tree.nodes.awaits(input.source, senderOf(message));
  }

  #refuseUnhandled({ target, event }: Input & { kind: 'event' }): void {
    if (this.#cell.plan.unhandled !== 'reject' || target !== ROOT) return;
    const { computed } = this.tree;
    if (!computed.can(event)) throw refused(this.#cell.stream, event.type, computed.value);
  }

  /** A durable parent is told of a child that fails. */
  #lastWords({ status, error }: Ended): UserEffect[] {
    const { parent } = this.journal;
    if (parent === undefined || status !== 'error') return [];
    const { id } = this.tree.root;
    const event = asOfChild({ type: `xstate.error.actor.${id}`, error, actorId: id }, id, parent);
    return [{ kind: 'message', to: { machine: parent.machine, id: parent.id }, event, child: parent.child }];
  }

  #rearm(): void {
    const { alarms } = this.#host;
    const timer = this.tree.timers.next;
    if (timer === undefined) alarms.clear(this.#cell.stream);
    else alarms.set(this.#cell.stream, timer.due);
  }

  #report(error: unknown, what: string): void {
    this.#host.report(error, this.#cell, what);
  }
}
