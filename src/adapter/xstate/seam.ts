/**
 * What XState 5 keeps to itself and a durable tree has to know: the one file that names private members of its actors.
 *
 * They have been the same from 5.20 on. `checkXState` looks for them once, so that a version without them is refused by a
 * clear error before anything is journalled. Another major version needs another file like this one, and `restore.ts`.
 */
import {
  type AnyActor,
  type AnyActorLogic,
  type AnyEventObject,
  type AnyStateNode,
  createActor,
  fromTransition,
  type Snapshot,
} from 'xstate';
import { VarveError } from '../../errors.js';

/** Values of `_processingStatus`. */
export const NOT_STARTED = 0;
export const RUNNING = 1;
export const STOPPED = 2;

export interface ExecutableAction {
  readonly type: string;
  readonly info: unknown;
  readonly params: unknown;
  readonly exec: ((info: unknown, params: unknown) => unknown) | undefined;
}

/** What an actor hands to its logic: the way by which everything leaves a transition. */
export interface Scope {
  actionExecutor: (action: ExecutableAction) => void;
  emit: (event: AnyEventObject) => void;
}

export interface Scheduler {
  schedule(source: Actor, target: Actor, event: AnyEventObject, delay: number, id?: string): void;
  cancel(source: Actor, id: string): void;
  cancelAll(actor: Actor): void;
}

export interface System {
  /** Added: the id of the durable actor whose tree this is. */
  varveId?: string;
  _bookId(): string;
  _relay(source: Actor | undefined, target: Actor, event: AnyEventObject): void;
  _sendInspectionEvent(event: { type: string; actorRef?: unknown; snapshot?: unknown }): void;
  _unregister(actor: Actor): void;
  scheduler: Scheduler;
}

/** An actor of XState's, with what it hides. */
export interface Actor {
  id: string;
  sessionId: string;
  readonly src: unknown;
  logic: AnyActorLogic;
  _snapshot: Snapshot<unknown>;
  _processingStatus: number;
  _parent: Actor | undefined;
  readonly _actorScope: Scope;
  readonly system: System;
  start(): Actor;
  _stop(): Actor;
  _send(event: AnyEventObject): void;
  getSnapshot(): Snapshot<unknown>;
  getPersistedSnapshot(): Snapshot<unknown>;
  subscribe(observer: unknown, ...rest: unknown[]): { unsubscribe(): void };
}

export const hidden = (actor: AnyActor): Actor => actor as unknown as Actor;

/** XState's own actions carry out what a transition decided; all others, and its `log`, are effects on the world. */
export function isBuiltIn({ type }: ExecutableAction): boolean {
  return type.startsWith('xstate.') && type !== 'xstate.log';
}

/** What a transition computes is all there is to it: machines, and logic that starts nothing. Promises and the like are not. */
export function isDeterministic(logic: AnyActorLogic): boolean {
  return '__xstatenode' in logic || typeof logic.start !== 'function';
}

/** A machine's snapshot, with what it hides: active states in the order in which they were entered. */
interface MachineState {
  readonly machine: { readonly idMap: ReadonlyMap<string, AnyStateNode> };
  readonly _nodes: readonly AnyStateNode[];
  readonly value: unknown;
}

/** Active states by their ids, in the order in which they were entered, and the value that XState makes of them. */
export interface Configuration {
  readonly states: readonly string[];
  readonly value: unknown;
}

/**
 * What a persisted snapshot does not tell. Regions of a parallel state take their turn in the order in which they were
 * entered; restored from its value alone, a machine has them in the order of its definition. Undefined without regions.
 */
export function configurationOf(snapshot: Snapshot<unknown>): Configuration | undefined {
  const { _nodes: nodes, value } = snapshot as unknown as Partial<MachineState>;
  if (nodes?.some(({ type }) => type === 'parallel') !== true) return undefined;
  return { states: nodes.map(({ id }) => id), value };
}

/** A restored snapshot as it was; unchanged where the machine does not have all of these states any more. */
export function withConfiguration(snapshot: Snapshot<unknown>, { states, value }: Configuration): Snapshot<unknown> {
  const { idMap } = (snapshot as unknown as MachineState).machine;
  const nodes = states.map((id) => idMap.get(id)).filter((node) => node !== undefined);
  if (nodes.length < states.length) return snapshot;
  const configured = { ...snapshot, _nodes: nodes, value, tags: new Set(nodes.flatMap(({ tags }) => tags)) };
  return configured as Snapshot<unknown>;
}

let checked = false;

/** Throws `ERR_VARVE_UNSUPPORTED` where the installed XState is not one that durable actors run on. */
export function checkXState(): void {
  if (checked) return;
  let seen: Actor | undefined;
  const probe = createActor(
    fromTransition((state: number) => state, 0),
    {
      inspect: ({ type, actorRef }) => {
        if (type === '@xstate.actor') seen = hidden(actorRef as AnyActor);
      },
    },
  );
  const system = seen?.system as Partial<System> | undefined;
  const known =
    (seen as unknown) === probe &&
    typeof seen?._actorScope?.actionExecutor === 'function' &&
    typeof seen._stop === 'function' &&
    typeof seen._send === 'function' &&
    seen._processingStatus === NOT_STARTED &&
    typeof system?._relay === 'function' &&
    typeof system._bookId === 'function' &&
    typeof system._sendInspectionEvent === 'function' &&
    typeof system.scheduler?.schedule === 'function';
  if (!known) {
    throw new VarveError(
      'ERR_VARVE_UNSUPPORTED',
      'Durable actors run on XState 5.20 and later versions of 5; the one that is installed is another. Install xstate@5.',
      { option: 'machines' },
    );
  }
  checked = true;
}
