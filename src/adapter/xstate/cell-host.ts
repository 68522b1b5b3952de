/** What a durable actor in memory asks of the host that keeps it. */
import type { AnyEventObject } from 'xstate';
import type { Ack } from '../../options.js';
import type { EventStore } from '../event-store/event-store.js';
import type { ActorCell } from './actor-cell.js';
import type { DurableAddress } from './address.js';
import type { Alarms } from './alarms.js';
import type { Clock } from './clock.js';
import type { Verdict } from './effects.js';
import type { MachinePlan } from './machine-plan.js';
import type { ParkedMessage } from './parked-messages.js';
import type { Inspect } from './turn.js';

export interface CellHost {
  readonly store: EventStore;
  readonly clock: Clock;
  readonly ack: Ack;
  readonly alarms: Alarms;
  readonly logger: ((...args: unknown[]) => void) | undefined;
  readonly inspect: Inspect | undefined;
  /** Claims an actor for this host. Throws `ERR_VARVE_LEASE_LOST`. */
  claim(stream: string): void;
  /** Resolves when all that was acknowledged can be read. */
  caughtUp(stream: string): Promise<void>;
  deliver(to: DurableAddress, event: AnyEventObject, id: string | undefined, child?: string): Promise<unknown>;
  /** Entries that tell what was carried out are written together, a little later. */
  markLater(cell: ActorCell): void;
  /** A journal before this moment is of an earlier life: its actors were interrupted. Shift of timers, by policy. */
  resume(plan: MachinePlan, stream: string): number | 'restart' | undefined;
  /** So many messages of this actor are parked; with one that has just been. */
  parked(cell: ActorCell, count: number, newest?: ParkedMessage): void;
  /** It has something to do, or nothing any more. */
  busy(cell: ActorCell): void;
  quiet(cell: ActorCell): void;
  /** Something went wrong that nobody waits for. */
  report(error: unknown, cell: ActorCell, what: string): void;
  /** 'escalate' */
  decide(error: unknown, cell: ActorCell, what: string): Verdict;
  readonly counters: Counters;
}

export interface Counters {
  events: number;
  effects: number;
  wakeUps: number;
  starts: number;
  snapshots: number;
  restarts: number;
}
