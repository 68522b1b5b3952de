/** What a host of durable actors is told, and what it tells of itself. */
import type { AnyEventObject, AnyStateMachine } from 'xstate';
import { type Ack, type Check, callback, integer, invalid, oneOf } from '../../options.js';
import { EventStore } from '../event-store/event-store.js';
import { type Clock, clockCheck } from './clock.js';
import type { MachineOptions } from './machine-plan.js';
import type { ParkedMessage } from './parked-messages.js';
import type { Inspect } from './turn.js';

export type Machines = Readonly<Record<string, AnyStateMachine | MachineOptions>>;

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
  /** Told of each message to another durable actor that was parked. Default: `onError` is told of it. */
  onParked?: (parked: ParkedMessage) => void;
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
  /** Messages to other durable actors that are parked: see `parkedMessages`. */
  readonly parked: number;
  readonly events: number;
  readonly effects: number;
  readonly starts: number;
  readonly wakeUps: number;
  readonly passivations: number;
  readonly snapshots: number;
  readonly restarts: number;
}

export const HOST_CHECKS: Readonly<Record<keyof ActorHostOptions, Check>> = {
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
  onParked: callback,
  passivateAfter: integer(1, 2 ** 30),
  maxActive: integer(1, 10_000_000),
  maxActiveBytes: integer(2 ** 20, Number.MAX_SAFE_INTEGER),
};
