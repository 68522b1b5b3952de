/** What goes into a durable actor's tree, what comes out of it, and what it is made of. */
import type { AnyEventObject, InspectionEvent, Snapshot } from 'xstate';
import type { DurableAddress } from './address.js';
import type { PersistedSnapshot } from './restore.js';
import type { Actor, Configuration } from './seam.js';

/** What makes a tree compute. */
export type Input =
  | { readonly kind: 'event'; readonly target: string; readonly event: AnyEventObject }
  | { readonly kind: 'child'; readonly source: string; readonly target: string; readonly event: AnyEventObject }
  | { readonly kind: 'timer'; readonly source: string; readonly id: string };

export type UserEffect =
  | { readonly kind: 'action'; readonly type: string; readonly address: string; run(): unknown }
  | { readonly kind: 'emit'; readonly address: string; readonly event: AnyEventObject }
  | {
      readonly kind: 'message';
      readonly to: DurableAddress;
      readonly event: AnyEventObject;
      /** Where it stands in the sender's journal, once it does. */
      readonly revision?: number;
      /** It comes from a child of the receiver's: its address there. */
      readonly child?: string;
    };

/** What is done to actors outside. */
export type OutsideEffect =
  | { readonly kind: 'start' | 'stop'; readonly node: Node }
  | { readonly kind: 'send'; readonly node: Node; readonly source: Actor | undefined; readonly event: AnyEventObject };

export type Effect = UserEffect | OutsideEffect;

export interface Turn {
  /** In the order in which XState would have carried them out. */
  readonly effects: Effect[];
  /** What becomes visible with it. */
  readonly changes: { readonly node: Node; readonly snapshot: Snapshot<unknown> }[];
  /** The machine's transition has thrown: the tree is spoilt. */
  thrown: { readonly error: unknown } | undefined;
  timersChanged: boolean;
}

/** A delayed event. */
export interface Timer {
  readonly source: string;
  readonly id: string;
  readonly target: string | DurableAddress;
  readonly event: AnyEventObject;
  /** Milliseconds. */
  readonly delay: number;
  /** When it fires: milliseconds of the host's clock. */
  due: number;
  /** It can't be cancelled any more: another one of its id was asked for, or has fired, as XState has it. */
  loose?: true;
}

export interface Node {
  readonly actor: Actor;
  readonly address: string;
  /** A promise, a callback, an observable: run outside. */
  readonly outside: boolean;
  /** Outside, and a durable actor of its own: other hands run it. */
  readonly remote: boolean;
  /** Outside: the machine wants it to run. */
  wanted: boolean;
  /** Outside: it was started in this life. */
  started: boolean;
  /** As far as the journal tells: of an actor outside its own snapshot may be ahead. */
  computed: Snapshot<unknown> | undefined;
  visible: Snapshot<unknown> | undefined;
}

/** All that is needed to go on: plain data, but for what the context holds. */
export interface TreeState {
  readonly snapshot: PersistedSnapshot;
  /** Of the machines that have regions, by address. */
  readonly configurations?: Readonly<Record<string, Configuration>>;
  readonly timers: readonly Timer[];
  /** How many session ids and ids of delayed events were given. */
  readonly counters: readonly [number, number];
}

/** XState's inspection events, as `createActor`'s option `inspect` gets them. */
export type Inspect = (event: InspectionEvent) => void;

export function newTurn(): Turn {
  return { effects: [], changes: [], thrown: undefined, timersChanged: false };
}
