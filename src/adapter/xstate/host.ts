/**
 * The host of durable actors: finds them by machine and id, wakes them when they are needed, lets them sleep when they are
 * not, and sees that those which have something to do do it, also after a crash. See docs/adapters/xstate.md.
 */
import { LRUCache } from 'lru-cache';
import type { AnyEventObject, AnyStateMachine, InputFrom } from 'xstate';
import { VarveError } from '../../errors.js';
import { type Ack, type Check, callback, checkAll, integer, invalid, oneOf } from '../../options.js';
import type { LiveStream } from '../../streams/pull-stream.js';
import { checkStream } from '../event-store/event-input.js';
import { EventStore } from '../event-store/event-store.js';
import type { AllFrom } from '../event-store/event-store-options.js';
import { ActorCell } from './actor-cell.js';
import { hostClosed } from './actor-errors.js';
import { type DurableAddress, parentAddress, streamOf } from './address.js';
import { Alarms } from './alarms.js';
import type { CellHost } from './cell-host.js';
import { type Clock, clockCheck, systemClock } from './clock.js';
import { DurableActor } from './durable-actor.js';
import { START_CHILD, STOP_CHILD } from './durable-child.js';
import type { Verdict } from './effects.js';
import { type MachineEntry, machineEntry, readHistory } from './history.js';
import { type MachineOptions, type MachinePlan, planMachine } from './machine-plan.js';
import { Observers } from './observers.js';
import { claim, release } from './owners.js';
import { checkXState } from './seam.js';
import { bareTree } from './tree.js';
import type { Inspect } from './turn.js';
import { readWakeTable } from './wake-table.js';
import { wakeUp } from './wake-up.js';

type Machines = Readonly<Record<string, AnyStateMachine | MachineOptions>>;

/** The machine of an entry of `machines`. */
export type MachineOf<Entry> = Entry extends AnyStateMachine
  ? Entry
  : Entry extends { machine: infer Machine extends AnyStateMachine }
    ? Machine
    : AnyStateMachine;

/** An actor concerned, where something went wrong. */
export interface ActorProblem {
  readonly machine: string;
  readonly id: string;
  readonly stream: string;
  /** What was being done, such as "the action 'sendMail'". */
  readonly what: string;
}

export interface ActorHostOptions<Known extends Machines = Machines> {
  store: EventStore;
  /** By name: the machine, or its options. The name is the category of the journals, so it has no dash. */
  machines: Known;
  /** What `send` waits for. Default 'durable'. */
  ack?: Ack;
  /** Default: the system's. */
  clock?: Clock;
  /** Where `log` actions go. Default: XState's. */
  logger?: (...args: unknown[]) => void;
  /** Told of XState's inspection events, as they are computed. */
  inspect?: Inspect;
  /** Takes events for actors that another host runs. Without it `send` rejects with `ERR_VARVE_LEASE_LOST`. */
  forward?: (address: { machine: string; id: string }, event: AnyEventObject) => unknown;
  /**
   * Told of what goes wrong where nobody waits for it. With `strategy: 'escalate'` it decides: 'again', 'skip' or 'stop'
   * (default). Default: a warning of the process.
   */
  onError?: (error: unknown, problem: ActorProblem) => unknown;
  /** Milliseconds after which an actor that does nothing leaves memory: 1 … 2³⁰. Default 60,000. */
  passivateAfter?: number;
  /** Actors in memory, those that are busy aside: 1 … 10,000,000. Default 100,000. */
  maxActive?: number;
  /** About how many bytes they may have: from 1 MiB. Default 256 MiB. */
  maxActiveBytes?: number;
}

export interface ActorHostStats {
  /** Actors in memory. */
  readonly active: number;
  /** Of these, those that are doing something. */
  readonly busy: number;
  /** Actors that will be woken by a delayed event. */
  readonly alarms: number;
  readonly events: number;
  readonly effects: number;
  readonly starts: number;
  readonly wakeUps: number;
  readonly passivations: number;
  readonly snapshots: number;
  readonly restarts: number;
}

const CHECKS: Readonly<Record<keyof ActorHostOptions, Check>> = {
  store: (value, option) => {
    if (!(value instanceof EventStore)) throw invalid(option, typeof value, 'an event store');
  },
  machines: (value, option) => {
    if (typeof value !== 'object' || value === null) throw invalid(option, value, 'an object of machines by name');
  },
  ack: oneOf('durable', 'written'),
  clock: clockCheck,
  logger: callback,
  inspect: callback,
  forward: callback,
  onError: callback,
  passivateAfter: integer(1, 2 ** 30),
  maxActive: integer(1, 10_000_000),
  maxActiveBytes: integer(2 ** 20, Number.MAX_SAFE_INTEGER),
};

/** Milliseconds within which entries that tell what was carried out are gathered. */
const MARK_DELAY = 20;
/** Milliseconds within which an actor that was just used need not be said to be recent again. */
const TOUCH_EVERY = 100;
/** Actors that are woken side by side when a host begins. */
const WAKING_AT_ONCE = 32;

/**
 * Makes a host for the actors of these machines.
 *
 * ```ts
 * const host = await createActorHost({ store, machines: { order: orderMachine } });
 * const order = await host.actor('order', 'o-42', { input });
 * await order.send({ type: 'PAY', amount: 12 });
 * ```
 *
 * Actors that have something to do (delayed events, promises that were interrupted, effects that may not have been carried
 * out) are found in the store and woken for it. Rejects with `ERR_VARVE_INVALID_OPTION`, `ERR_VARVE_UNSUPPORTED`, and as
 * reading does.
 */
export async function createActorHost<const Known extends Machines>(
  options: ActorHostOptions<Known>,
): Promise<ActorHost<Known>> {
  checkXState();
  checkAll(options, CHECKS, 'options');
  for (const name of ['store', 'machines'] as const) {
    if (options[name] === undefined) throw invalid(name, undefined, 'given');
  }
  const plans = new Map(
    Object.entries(options.machines).map(([name, machine]) => [name, planMachine(name, machine)] as const),
  );
  const host = new ActorHost<Known>(options, plans);
  await host[begin]();
  return host;
}

const begin = Symbol('begin');

export class ActorHost<Known extends Machines = Machines> {
  readonly #options: ActorHostOptions<Known>;
  readonly #store: EventStore;
  readonly #plans: ReadonlyMap<string, MachinePlan>;
  readonly #clock: Clock;
  readonly #alarms: Alarms;
  readonly #cells = new Map<string, ActorCell>();
  readonly #busy = new Set<ActorCell>();
  readonly #recent: LRUCache<string, ActorCell>;
  readonly #marks = new Set<ActorCell>();
  readonly #waiting: (() => void)[] = [];
  readonly #counters = { events: 0, effects: 0, starts: 0, wakeUps: 0, snapshots: 0, restarts: 0, passivations: 0 };
  readonly #cellHost: CellHost;
  /** Actors whose timers have been looked at since this host began, of machines where that matters. */
  readonly #resumed = new Set<string>();
  #marking: NodeJS.Timeout | undefined;
  #sweeping: unknown;
  #beginning: Promise<void> = Promise.resolve();
  #lastSeen = 0;
  #begun = 0;
  #closing: Promise<void> | undefined;
  #draining = false;

  /** Hosts come from `createActorHost`. */
  constructor(options: ActorHostOptions<Known>, plans: ReadonlyMap<string, MachinePlan>) {
    this.#options = options;
    this.#store = options.store;
    this.#plans = plans;
    this.#clock = options.clock ?? systemClock;
    this.#alarms = new Alarms(this.#clock, (stream) => this.#cellOf(stream).tick());
    this.#recent = new LRUCache({
      max: options.maxActive ?? 100_000,
      maxSize: options.maxActiveBytes ?? 256 * 2 ** 20,
      sizeCalculation: (cell) => cell.bytes,
      disposeAfter: (cell, _stream, reason) => {
        if (reason === 'evict') this.#passivate(cell);
      },
    });
    this.#cellHost = this.#makeCellHost();
  }

  async [begin](): Promise<void> {
    const { earliest, lastSeen } = await readWakeTable(this.#store, [...this.#plans.keys()]);
    this.#begun = this.#clock.now();
    this.#lastSeen = lastSeen;
    const now: string[] = [];
    for (const [stream, wake] of earliest) {
      const anew = this.#planOf(stream).timers !== 'deadline';
      if (wake === 0 || anew) now.push(stream);
      else this.#alarms.set(stream, wake);
    }
    this.#beginning = this.#wakeAll(now);
    this.#sweep();
  }

  /**
   * The actor of a machine with this id: woken from its journal, or started with `input` where it has none. Rejects with
   * `ERR_VARVE_INVALID_OPTION` for an unknown machine, `ERR_VARVE_LEASE_LOST`, `ERR_VARVE_CLOSED`, `ERR_VARVE_DIVERGED`,
   * `ERR_VARVE_MACHINE_VERSION`, with what the machine's first transition throws, and as reading and appending do.
   */
  async actor<Name extends keyof Known & string>(
    machine: Name,
    id: string,
    options: { input?: InputFrom<MachineOf<Known[Name]>> } = {},
  ): Promise<DurableActor<MachineOf<Known[Name]>>> {
    const stream = this.#check(machine, id);
    checkAll(options, { input: () => {} }, 'options');
    const cell = this.#cellOf(stream);
    await cell.wake({ input: options.input });
    return this.#handle(machine, id, cell) as unknown as DurableActor<MachineOf<Known[Name]>>;
  }

  /** The actor, if it has ever been started. Rejects as `actor` does. */
  async find<Name extends keyof Known & string>(
    machine: Name,
    id: string,
  ): Promise<DurableActor<MachineOf<Known[Name]>> | undefined> {
    const stream = this.#check(machine, id);
    const cell = this.#cellOf(stream);
    if (!(await cell.wake())) return undefined;
    return this.#handle(machine, id, cell) as unknown as DurableActor<MachineOf<Known[Name]>>;
  }

  /**
   * All that happens to the actors of a machine: what has happened, then what happens, in one order; an RxJS observable
   * and an async iterable. A read model keeps the `position` of the last entry with what it has made of it, and begins
   * behind it (`from` is inclusive). For checkpoints that are kept for you there is `store.consume`.
   */
  entries(
    machine: keyof Known & string,
    options: { from?: AllFrom; signal?: AbortSignal } = {},
  ): LiveStream<MachineEntry> {
    if (!this.#plans.has(machine)) throw this.#unknown(machine);
    return this.#store.subscribeToCategory(machine, options).choose(machineEntry);
  }

  stats(): ActorHostStats {
    return { active: this.#cells.size, busy: this.#busy.size, alarms: this.#alarms.size, ...this.#counters };
  }

  /** Resolves when no actor has anything under way; promises that they run and delayed events aside. */
  async settled(): Promise<void> {
    await this.#beginning;
    for (;;) {
      if (this.#busy.size > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      else if (this.#marks.size > 0) await this.#writeMarks();
      else return;
    }
  }

  /**
   * Takes no more events, completes what was accepted, and lets all actors go. With `snapshots`, each actor in memory is
   * snapshotted. The store stays open. Idempotent.
   */
  shutdown(options: { snapshots?: boolean } = {}): Promise<void> {
    this.#closing ??= this.#shutdown(options);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #shutdown({ snapshots = false }: { snapshots?: boolean }): Promise<void> {
    this.#draining = true;
    this.#alarms.clearAll();
    if (this.#sweeping !== undefined) this.#clock.clearTimeout(this.#sweeping);
    for (const cell of this.#cells.values()) cell.drain();
    await this.settled();
    if (snapshots) await Promise.all([...this.#cells.values()].map((cell) => cell.saveSnapshot()));
    clearTimeout(this.#marking);
    for (const cell of [...this.#cells.values()]) this.#forget(cell);
  }

  #check(machine: string, id: string): string {
    if (this.#draining) throw hostClosed();
    if (!this.#plans.has(machine)) throw this.#unknown(machine);
    if (typeof id !== 'string' || id === '') throw invalid('id', id, 'a string that is not empty');
    return checkStream(streamOf(machine, id));
  }

  #unknown(machine: string): VarveError {
    return invalid('machine', machine, `one of the host's: ${[...this.#plans.keys()].join(', ')}`);
  }

  #planOf(stream: string): MachinePlan {
    return this.#plans.get(stream.slice(0, stream.indexOf('-'))) as MachinePlan;
  }

  #cellOf(stream: string): ActorCell {
    const found = this.#cells.get(stream);
    if (found !== undefined) {
      const now = this.#clock.now();
      // Who was used last matters only where there is not room for all.
      if (now - found.usedAt >= TOUCH_EVERY && this.#crowded) this.#recent.get(stream);
      found.usedAt = now;
      return found;
    }
    const plan = this.#planOf(stream);
    const cell = new ActorCell(this.#cellHost, plan, stream.slice(plan.name.length + 1), new Observers());
    cell.usedAt = this.#clock.now();
    this.#cells.set(stream, cell);
    this.#recent.set(stream, cell);
    return cell;
  }

  get #crowded(): boolean {
    const { size, max, calculatedSize, maxSize } = this.#recent;
    return 2 * size > max || 2 * calculatedSize > maxSize;
  }

  #handle(machine: string, id: string, cell: ActorCell): DurableActor {
    return new DurableActor(this.#handleHost, machine, id, cell.stream, cell.shown);
  }

  readonly #handleHost = {
    send: (stream: string, event: unknown) => this.#send(stream, event as AnyEventObject),
    shown: (stream: string) => {
      const shown = this.#cells.get(stream)?.shown;
      return shown?.snapshot === undefined ? undefined : shown;
    },
    subscribe: (stream: string, observer: Parameters<Observers['add']>[0]) => {
      const cell = this.#awake(stream);
      const { snapshot } = cell.shown;
      if (cell.state === 'ended' && snapshot !== undefined) {
        if (snapshot.status === 'error') observer.error?.(snapshot.error);
        else observer.complete?.();
        return () => {};
      }
      return cell.observers.add(observer);
    },
    on: (stream: string, type: string, listener: (event: unknown) => void) =>
      this.#awake(stream).observers.on(type, listener),
    history: (stream: string, from: number) => readHistory(this.#store, stream, from, () => this.#caughtUp(stream)),
    at: (stream: string, revision: number) => this.#at(stream, revision),
    replay: (stream: string, inspect: Inspect) => this.#replay(stream, inspect),
    persist: (stream: string) => this.#cellOf(stream).persist(),
    stop: async (stream: string) => {
      if (this.#draining) throw hostClosed(stream);
      const cell = this.#cellOf(stream);
      await cell.wake();
      await cell.end();
    },
  };

  #send(stream: string, event: AnyEventObject): Promise<unknown> {
    if (this.#draining) return Promise.reject(hostClosed(stream));
    const sent = this.#cellOf(stream).send(event);
    const { forward } = this.#options;
    if (forward === undefined) return sent;
    return sent.catch((error) => {
      if (!(error instanceof VarveError) || error.code !== 'ERR_VARVE_LEASE_LOST') throw error;
      const { name } = this.#planOf(stream);
      return forward({ machine: name, id: stream.slice(name.length + 1) }, event);
    });
  }

  /** A message of another actor. */
  async #deliver(
    to: DurableAddress,
    event: AnyEventObject,
    id: string | undefined,
    child: string | undefined,
  ): Promise<void> {
    const { machine } = to;
    if (!this.#plans.has(machine)) throw this.#unknown(machine);
    const cell = this.#cellOf(checkStream(streamOf(machine, to.id)));
    try {
      if (event.type === START_CHILD) {
        await cell.wake({ input: event.input, parent: event.parent });
      } else if (event.type === STOP_CHILD) {
        if (await cell.wake()) await cell.end();
      } else if (child !== undefined) {
        await cell.give({ kind: 'child', source: child, target: parentAddress(child), event }, id);
      } else await cell.send(event, id);
    } catch (error) {
      const { forward } = this.#options;
      if (forward === undefined || !(error instanceof VarveError) || error.code !== 'ERR_VARVE_LEASE_LOST') throw error;
      await forward({ machine, id: to.id }, event);
    }
  }

  /** An actor that somebody looks at is kept in memory, so it is brought there. */
  #awake(stream: string): ActorCell {
    if (this.#draining) throw hostClosed(stream);
    const cell = this.#cellOf(stream);
    cell.wake().catch((error) => this.#report(error, cell, 'waking up'));
    return cell;
  }

  async #at(stream: string, revision: number): Promise<unknown> {
    integer(0, Number.MAX_SAFE_INTEGER)(revision, 'revision');
    const plan = this.#planOf(stream);
    const tree = bareTree(plan, stream);
    await this.#caughtUp(stream);
    const woken = await wakeUp(this.#store, plan, stream, tree, { upTo: revision });
    if (woken === undefined || woken.revision < revision) {
      throw invalid('revision', revision, `one that ${stream} has: 0 to ${woken?.revision ?? 'none'}`);
    }
    const { visible } = tree;
    return woken.ended === undefined ? visible : { ...visible, ...woken.ended };
  }

  async #replay(stream: string, inspect: Inspect): Promise<void> {
    callback(inspect, 'inspect');
    const plan = this.#planOf(stream);
    await this.#caughtUp(stream);
    await wakeUp(this.#store, plan, stream, bareTree(plan, stream, inspect), { fromStart: true });
  }

  /** Only what is durable can be read; more than that may have been acknowledged. */
  async #caughtUp(stream: string): Promise<void> {
    if (this.#options.ack === 'written') await this.#store.whenDurable(stream);
  }

  async #wakeAll(streams: readonly string[]): Promise<void> {
    const left = streams[Symbol.iterator]();
    const worker = async () => {
      for (const stream of left) {
        if (this.#draining) return;
        const cell = this.#cellOf(stream);
        await cell.wake().catch((error) => this.#report(error, cell, 'waking up'));
      }
    };
    await Promise.all(Array.from({ length: Math.min(WAKING_AT_ONCE, streams.length) }, worker));
  }

  #makeCellHost(): CellHost {
    const { ack = 'durable', logger, inspect } = this.#options;
    return {
      store: this.#store,
      clock: this.#clock,
      ack,
      alarms: this.#alarms,
      logger,
      inspect,
      counters: this.#counters,
      claim: (stream) => claim(this.#store, stream, this),
      caughtUp: (stream) => this.#caughtUp(stream),
      deliver: (to, event, id, child) => this.#deliver(to, event, id, child),
      markLater: (cell) => {
        this.#marks.add(cell);
        this.#marking ??= setTimeout(() => void this.#writeMarks(), MARK_DELAY).unref();
      },
      resume: (plan, stream) => {
        if (plan.timers === 'deadline' || this.#resumed.has(stream)) return undefined;
        this.#resumed.add(stream);
        return plan.timers === 'restart' ? 'restart' : Math.max(0, this.#begun - this.#lastSeen);
      },
      busy: (cell) => void this.#busy.add(cell),
      quiet: (cell) => this.#quiet(cell),
      report: (error, cell, what) => void this.#report(error, cell, what),
      decide: (error, cell, what) => this.#report(error, cell, what),
    };
  }

  #quiet(cell: ActorCell): void {
    if (!this.#busy.delete(cell)) return;
    if (!this.#recent.has(cell.stream)) this.#passivate(cell); // there was no room for it, but it was busy
    if (this.#busy.size > 0) return;
    for (const tell of this.#waiting.splice(0)) tell();
  }

  async #writeMarks(): Promise<void> {
    clearTimeout(this.#marking);
    this.#marking = undefined;
    const cells = [...this.#marks];
    this.#marks.clear();
    await Promise.all(
      cells.map((cell) => cell.mark().catch((error) => this.#report(error, cell, 'noting what was carried out'))),
    );
  }

  #sweep(): void {
    const { passivateAfter = 60_000 } = this.#options;
    const pause = Math.max(1, passivateAfter / 2);
    const handle = this.#clock.setTimeout(() => {
      const before = this.#clock.now() - passivateAfter;
      for (const cell of this.#cells.values()) if (cell.usedAt <= before) this.#passivate(cell);
      this.#sweep();
    }, pause);
    this.#sweeping = handle;
    (handle as Partial<NodeJS.Timeout>).unref?.();
  }

  /** Lets an actor leave memory, unless something holds it there. */
  #passivate(cell: ActorCell): void {
    if (cell.pinned) return;
    const due = cell.nextTimer?.due;
    this.#forget(cell);
    this.#counters.passivations++;
    if (due !== undefined) this.#alarms.set(cell.stream, due);
  }

  #forget(cell: ActorCell): void {
    cell.leave();
    this.#cells.delete(cell.stream);
    this.#recent.delete(cell.stream);
    release(this.#store, cell.stream, this);
  }

  #report(error: unknown, { plan, id, stream }: ActorCell, what: string): Verdict {
    const { onError } = this.#options;
    if (onError === undefined) {
      process.emitWarning(`The actor ${stream}: ${what} has failed: ${error instanceof Error ? error.stack : error}`);
      return 'stop';
    }
    const verdict = onError(error, { machine: plan.name, id, stream, what });
    return verdict === 'again' || verdict === 'skip' ? verdict : 'stop';
  }
}
