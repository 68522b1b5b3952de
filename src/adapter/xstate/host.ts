/**
 * The host of durable actors: finds them by machine and id, wakes them when they are needed, lets them sleep when they are
 * not, and sees that those which have something to do do it, also after a crash. See docs/adapters/xstate.md.
 */
import type { AnyEventObject, InputFrom } from 'xstate';
import { VarveError } from '../../errors.js';
import { callback, checkAll, integer, invalid } from '../../options.js';
import { type LiveStream, PullStream } from '../../streams/pull-stream.js';
import { checkStream } from '../event-store/event-input.js';
import type { EventStore } from '../event-store/event-store.js';
import type { AllFrom } from '../event-store/event-store-options.js';
import { ActorCell } from './actor-cell.js';
import { hostClosed } from './actor-errors.js';
import { type DurableAddress, parentAddress, streamOf } from './address.js';
import { Alarms } from './alarms.js';
import type { CellHost } from './cell-host.js';
import { type Clock, systemClock } from './clock.js';
import { DurableActor } from './durable-actor.js';
import { START_CHILD, STOP_CHILD } from './durable-child.js';
import type { Verdict } from './effects.js';
import { type MachineEntry, machineEntry, readHistory, snapshotAt } from './history.js';
import {
  type ActorHostOptions,
  type ActorHostStats,
  HOST_CHECKS,
  type MachineOf,
  type Machines,
} from './host-options.js';
import { type MachinePlan, planMachine } from './machine-plan.js';
import { alone, Observers } from './observers.js';
import { claim, release } from './owners.js';
import type { ParkedMessage } from './parked-messages.js';
import { Residents } from './residents.js';
import { checkXState } from './seam.js';
import { bareTree } from './tree.js';
import type { Inspect } from './turn.js';
import { readWakeTable } from './wake-table.js';
import { wakeUp } from './wake-up.js';

/** Milliseconds within which entries that tell what was carried out are gathered. */
const MARK_DELAY = 20;
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
  checkAll(options, HOST_CHECKS, 'options');
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
  readonly #residents: Residents;
  readonly #marks = new Set<ActorCell>();
  readonly #counters = { events: 0, effects: 0, starts: 0, wakeUps: 0, snapshots: 0, restarts: 0, passivations: 0 };
  readonly #cellHost: CellHost;
  /** Actors whose timers have been looked at since this host began, of machines where that matters. */
  readonly #resumed = new Set<string>();
  /** By stream: how many messages of an actor are parked, awake or asleep. */
  readonly #parked = new Map<string, number>();
  #marking: NodeJS.Timeout | undefined;
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
    const { passivateAfter = 60_000, maxActive = 100_000, maxActiveBytes = 256 * 2 ** 20 } = options;
    this.#residents = new Residents(
      this.#clock,
      { passivateAfter, maxActive, maxActiveBytes },
      (stream) => {
        const plan = this.#planOf(stream);
        return new ActorCell(this.#cellHost, plan, stream.slice(plan.name.length + 1), new Observers());
      },
      (cell, due) => {
        release(this.#store, cell.stream, this);
        this.#counters.passivations++;
        if (due !== undefined) this.#alarms.set(cell.stream, due);
      },
    );
    this.#cellHost = this.#makeCellHost();
  }

  async [begin](): Promise<void> {
    const { earliest, parked, lastSeen } = await readWakeTable(this.#store, [...this.#plans.keys()]);
    this.#begun = this.#clock.now();
    this.#lastSeen = lastSeen;
    for (const [stream, count] of parked) this.#parked.set(stream, count);
    const now: string[] = [];
    for (const [stream, wake] of earliest) {
      const anew = this.#planOf(stream).timers !== 'deadline';
      if (wake === 0 || anew) now.push(stream);
      else this.#alarms.set(stream, wake);
    }
    this.#beginning = this.#wakeAll(now);
    this.#residents.sweep();
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
    let parked = 0;
    for (const count of this.#parked.values()) parked += count;
    const { size: active, busy } = this.#residents;
    return { active, busy, alarms: this.#alarms.size, parked, ...this.#counters };
  }

  /**
   * Messages to other durable actors whose receivers have thrown again and again, sender by sender, the oldest of each
   * first. Their senders are woken for it; reading rejects as waking does.
   */
  parkedMessages(): PullStream<ParkedMessage> {
    return new PullStream(() => this.#listParked());
  }

  /**
   * Hands a parked message over again, behind all that its sender has sent: resolves when that is durable; false where it
   * is parked no longer. If its receiver throws again and again, it is parked again, under another revision.
   */
  replayParked(parked: Pick<ParkedMessage, 'machine' | 'id' | 'revision'>): Promise<boolean> {
    return this.#unpark(parked, true);
  }

  /** Gives a parked message up for good: resolves when that is durable; false where it is parked no longer. */
  discardParked(parked: Pick<ParkedMessage, 'machine' | 'id' | 'revision'>): Promise<boolean> {
    return this.#unpark(parked, false);
  }

  /** Resolves when no actor has anything under way; promises that they run and delayed events aside. */
  async settled(): Promise<void> {
    await this.#beginning;
    for (;;) {
      if (this.#residents.busy > 0) await this.#residents.allQuiet();
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
    this.#residents.stopSweeping();
    for (const cell of this.#residents) cell.drain();
    await this.settled();
    if (snapshots) await Promise.all([...this.#residents].map((cell) => cell.saveSnapshot()));
    clearTimeout(this.#marking);
    this.#residents.clear((cell) => release(this.#store, cell.stream, this));
  }

  async *#listParked(): AsyncGenerator<ParkedMessage[], void, undefined> {
    for (const stream of [...this.#parked.keys()]) {
      const { name: machine } = this.#planOf(stream);
      const id = stream.slice(machine.length + 1);
      const parked = await this.#cellOf(this.#check(machine, id)).parked();
      const messages = parked.map(([revision, { child: _, ...of }]) => ({ machine, id, revision, ...of }));
      if (messages.length > 0) yield messages;
      else this.#parked.delete(stream); // its stream was deleted
    }
  }

  async #unpark(
    { machine, id, revision }: Pick<ParkedMessage, 'machine' | 'id' | 'revision'>,
    again: boolean,
  ): Promise<boolean> {
    integer(0, Number.MAX_SAFE_INTEGER)(revision, 'revision');
    return this.#cellOf(this.#check(machine, id)).unpark(revision, again);
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
    return this.#residents.use(stream);
  }

  #handle(machine: string, id: string, cell: ActorCell): DurableActor {
    return new DurableActor(this.#handleHost, machine, id, cell.stream, cell.shown);
  }

  readonly #handleHost = {
    send: (stream: string, event: unknown) => this.#send(stream, event as AnyEventObject),
    shown: (stream: string) => {
      const shown = this.#residents.find(stream)?.shown;
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
    at: async (stream: string, revision: number) => {
      integer(0, Number.MAX_SAFE_INTEGER)(revision, 'revision');
      await this.#caughtUp(stream);
      return snapshotAt(this.#store, this.#planOf(stream), stream, revision);
    },
    replay: async (stream: string, inspect: Inspect) => {
      callback(inspect, 'inspect');
      const plan = this.#planOf(stream);
      await this.#caughtUp(stream);
      await wakeUp(this.#store, plan, stream, bareTree(plan, stream, inspect), { fromStart: true });
    },
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
      parked: (cell, count, newest) => {
        if (count > 0) this.#parked.set(cell.stream, count);
        else this.#parked.delete(cell.stream);
        if (newest !== undefined) this.#tellParked(cell, newest);
      },
      busy: (cell) => this.#residents.setBusy(cell),
      quiet: (cell) => this.#residents.setQuiet(cell),
      report: (error, cell, what) => void this.#report(error, cell, what),
      decide: (error, cell, what) => this.#report(error, cell, what),
    };
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

  #tellParked(cell: ActorCell, parked: ParkedMessage): void {
    const { onParked } = this.#options;
    const { machine, id } = parked.to;
    if (onParked === undefined)
      this.#report(parked.error, cell, `a message to ${streamOf(machine, id)}, which is parked,`);
    else alone(() => onParked(parked));
  }

  #report(error: unknown, { plan, id, stream }: ActorCell, what: string): Verdict {
    const { onError } = this.#options;
    if (onError === undefined) {
      process.emitWarning(`The actor ${stream}: ${what} has failed: ${error instanceof Error ? error.stack : error}`);
      return 'stop';
    }
    let verdict: unknown;
    alone(() => {
      verdict = onError(error, { machine: plan.name, id, stream, what });
    });
    return verdict === 'again' || verdict === 'skip' ? verdict : 'stop';
  }
}
