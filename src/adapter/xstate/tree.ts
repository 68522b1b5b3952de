/**
 * A durable actor's tree: the machine, and the actors that it has invoked and spawned, as one deterministic unit.
 *
 * XState computes, with its own actors and mailboxes; but nothing leaves. What a transition wants of the world is caught
 * and becomes an *effect* of the turn: custom actions, emitted events, messages, promises and callbacks to be started or
 * stopped. Whoever runs the turn carries them out when it is durable, or drops them at replay: the computation is the same.
 * Delayed events are kept in a table and never armed here.
 *
 * Machines and transition functions in the tree are computed. Promises, callbacks and observables are *outside*: they are
 * run by effects, and what they send comes back as input. So a turn depends on its input and nothing else.
 */
import type { AnyActor, AnyEventObject, AnyMachineSnapshot, AnyStateMachine, InspectionEvent, Snapshot } from 'xstate';
import { inlineChild } from './actor-errors.js';
import { childAddress, type DurableAddress, type DurableParent, durable, isDurableRef, ROOT } from './address.js';
import { asOfChild, isRemote, remoteAddress, STOP_CHILD, startMessage } from './durable-child.js';
import { Nodes } from './nodes.js';
import { restartOutside, settle, startOutside, stopOutside } from './outside.js';
import { type PersistedSnapshot, restoreRoot, startRoot } from './restore.js';
import {
  type Actor,
  type Configuration,
  configurationOf,
  type ExecutableAction,
  hidden,
  isBuiltIn,
  isDeterministic,
  RUNNING,
  STOPPED,
  withConfiguration,
} from './seam.js';
import { TimerTable } from './timer-table.js';
import { type Input, type Inspect, type Node, newTurn, type OutsideEffect, type TreeState, type Turn } from './turn.js';

export interface TreePlan {
  readonly machine: AnyStateMachine;
  /** The id of the root: its stream. */
  readonly id: string;
  readonly address: DurableAddress;
  /** Told of what comes from outside (`from`), or is sent to an actor of the tree by somebody else than the tree. */
  onInput(input: Input, from?: Node): void;
  /** Told of what is sent to another durable actor by somebody else than a transition. */
  onMessage(to: DurableAddress, event: AnyEventObject): void;
  readonly logger: ((...args: unknown[]) => void) | undefined;
  readonly inspect: Inspect | undefined;
}

type Phase = 'idle' | 'computing' | 'restoring' | 'dropped';

export class Tree {
  readonly #plan: TreePlan;
  readonly nodes = new Nodes();
  readonly timers = new TimerTable(() => {
    this.#turn.timersChanged = true;
  });
  #phase: Phase = 'idle';
  #turn: Turn = newTurn();
  #now = 0;
  #sessions = 0;
  #restored = 0;
  #root: Node | undefined;
  /** What the root has told of itself last. */
  #told: unknown;
  #parent: DurableParent | undefined;
  /** It is not replayed any more: inspectors are told. */
  live = false;

  constructor(plan: TreePlan) {
    this.#plan = plan;
  }

  /** The first turn. */
  start(input: unknown, now: number, parent?: DurableParent): Turn {
    this.#parent = parent;
    const { machine, id, logger } = this.#plan;
    return this.#compute(now, () => {
      const root = hidden(startRoot(machine, { id, input, logger, inspect: this.#first }));
      // Without an observer XState throws errors of the root into the event loop; they are told by the snapshot here.
      root.subscribe({ error: () => {} });
      root.start();
    });
  }

  restore(state: TreeState, parent?: DurableParent): void {
    this.#parent = parent;
    const { machine, id, logger } = this.#plan;
    this.#phase = 'restoring';
    try {
      const { snapshot } = state;
      const root = hidden(restoreRoot(machine, { id, snapshot, logger, inspect: this.#first }));
      root.subscribe({ error: () => {} });
      if (snapshot.status === 'active') root.start();
    } finally {
      this.#phase = 'idle';
    }
    for (const [address, configuration] of Object.entries(state.configurations ?? {})) {
      const actor = this.nodes.get(address)?.actor;
      if (actor !== undefined) actor._snapshot = withConfiguration(actor._snapshot, configuration);
    }
    const [sessions, delays] = state.counters;
    this.#sessions = sessions;
    this.timers.restore(state.timers, delays);
    for (const node of this.nodes) node.visible = node.computed = node.actor._snapshot;
  }

  /** Computes one turn. What it was given before is computed, whether it is durable or not. */
  run(input: Input, now: number): Turn {
    return this.#compute(now, (turn) => {
      if (input.kind === 'event') this.#deliver(undefined, input.target, input.event);
      else if (input.kind === 'child') this.#fromOutside(input);
      else {
        const timer = this.timers.take(input.source, input.id);
        if (timer === undefined) return;
        const { target, event } = timer;
        if (typeof target === 'object') turn.effects.push({ kind: 'message', to: target, event });
        else this.#deliver(this.nodes.get(timer.source)?.actor, target, event);
      }
    });
  }

  /** Inspectors are told of each actor that is there: they know only those that they have heard of. */
  introduce(): void {
    const { inspect, id } = this.#plan;
    this.live = true;
    if (inspect === undefined) return;
    for (const { actor } of this.nodes)
      inspect({ type: '@xstate.actor', actorRef: actor as unknown as AnyActor, rootId: id });
  }

  /** Makes the results of a turn visible. */
  show(turn: Turn): void {
    for (const { node, snapshot } of turn.changes) node.visible = snapshot;
  }

  /** Carries out what a turn wants of actors outside. */
  perform(effect: OutsideEffect): void {
    const { node } = effect;
    if (effect.kind === 'send') {
      if (node.started) node.actor._send(effect.event);
    } else if (effect.kind === 'start') startOutside(node);
    else stopOutside(node);
  }

  /** It has failed, and is tried again as if nothing had been heard of it. */
  restartOutside(node: Node): void {
    if (this.nodes.counts(node)) restartOutside(node);
  }

  /** Stops what runs outside: the tree is given up. */
  drop(): void {
    this.#phase = 'dropped';
    for (const node of this.nodes) if (node.outside) stopOutside(node);
  }

  get root(): AnyActor {
    return this.#rootNode.actor as unknown as AnyActor;
  }

  /** What was computed last, durable or not. */
  get computed(): AnyMachineSnapshot {
    return this.#rootNode.actor._snapshot as AnyMachineSnapshot;
  }

  /** What was shown last. */
  get visible(): AnyMachineSnapshot {
    return this.#rootNode.visible as AnyMachineSnapshot;
  }

  /** Of what was computed last. Throws what XState throws for children that it cannot persist. */
  persist(): TreeState {
    const configurations: Record<string, Configuration> = {};
    for (const { address, actor, outside } of this.nodes) {
      const configuration = outside ? undefined : configurationOf(actor._snapshot);
      if (configuration !== undefined) configurations[address] = configuration;
    }
    return {
      snapshot: this.#rootNode.actor.getPersistedSnapshot() as PersistedSnapshot,
      ...(Object.keys(configurations).length > 0 ? { configurations } : {}),
      timers: this.timers.copy(),
      counters: [this.#sessions, this.timers.asked],
    };
  }

  get #rootNode(): Node {
    return this.#root as Node;
  }

  #compute(now: number, work: (turn: Turn) => void): Turn {
    const turn = newTurn();
    this.#turn = turn;
    this.#now = now;
    this.#phase = 'computing';
    try {
      work(turn);
    } finally {
      this.#phase = 'idle';
    }
    // XState makes of what a transition throws a state of its own, which is the only one that the root does not tell of.
    const { _snapshot: result } = this.#rootNode.actor;
    if (result.status === 'error' && result !== this.#told && this.#rootNode.computed !== undefined) {
      turn.thrown = { error: result.error };
    }
    for (const node of this.nodes) {
      const { actor } = node;
      if (!node.outside && actor._snapshot !== node.computed) {
        node.computed = actor._snapshot;
        turn.changes.push({ node, snapshot: actor._snapshot });
      }
      if (actor._processingStatus === STOPPED && !node.wanted && node !== this.#root) this.nodes.delete(node.address);
    }
    return turn;
  }

  #deliver(source: Actor | undefined, target: string, event: AnyEventObject): void {
    const node = this.nodes.get(target);
    if (node !== undefined) this.#rootNode.actor.system._relay(source, node.actor, event);
  }

  #fromOutside({ source, target, event }: Input & { kind: 'child' }): void {
    const node = this.nodes.get(source);
    if (node !== undefined) settle(node, event);
    this.#deliver(node?.actor, target, event);
  }

  readonly #first = ({ actorRef }: { type: string; actorRef: unknown }): void => {
    const actor = actorRef as Actor;
    if (this.#root !== undefined) return;
    actor.sessionId = this.#plan.id;
    if (this.#parent !== undefined) actor._parent = durable(this.#parent.machine, this.#parent.id);
    this.#takeOver(actor);
    this.#root = this.#adopt(actor, ROOT);
    if (this.live) this.introduce();
  };

  /** From here on all that actors of this system do to each other passes here. */
  #takeOver({ system }: Actor): void {
    const relay = system._relay;
    const { inspect } = this.#plan;
    system.varveId = this.#plan.address.id;
    system._bookId = () => (this.#phase === 'restoring' ? `r:${this.#restored++}` : `x:${this.#sessions++}`);
    system._sendInspectionEvent = (event) => {
      if (event.type === '@xstate.snapshot' && event.actorRef === this.#root?.actor) this.#told = event.snapshot;
      if (event.type === '@xstate.actor' && this.#root !== undefined) {
        const actor = event.actorRef as Actor;
        const parent = this.nodes.of(actor._parent as Actor) as Node;
        this.#adopt(actor, childAddress(parent.address, actor.id));
      }
      if (inspect !== undefined && this.live)
        inspect({ ...event, rootId: this.#plan.id } as unknown as InspectionEvent);
    };
    system._relay = (source, target, event) => {
      if (this.#phase === 'restoring' || this.#phase === 'dropped') return;
      if (isDurableRef(target)) {
        this.#message(source, { machine: target.machine, id: target.id }, event);
        return;
      }
      const node = this.nodes.of(target);
      if (this.#phase === 'computing') {
        if (node?.outside !== true) relay(source, target, event);
        else if (node.remote) this.#toRemote(node, event);
        else if (node.wanted) this.#turn.effects.push({ kind: 'send', node, source, event });
      } else if (node?.remote) this.#plan.onMessage(remoteAddress(node), event);
      else if (node === undefined || node.outside) relay(source, target, event);
      else this.#input(source === undefined ? undefined : this.nodes.of(source), node, event);
    };
    const { scheduler } = system;
    scheduler.schedule = (source, target, event, delay, id) => {
      const to = isDurableRef(target)
        ? { machine: target.machine, id: target.id }
        : (this.nodes.of(target)?.address ?? ROOT);
      const { address } = this.nodes.of(source) as Node;
      this.timers.add({ source: address, target: to, event, delay, due: this.#now + Math.max(0, delay) }, id);
    };
    scheduler.cancel = (source, id) => this.timers.cancel(this.nodes.of(source)?.address, id);
    scheduler.cancelAll = (actor) => this.timers.cancelAll(this.nodes.of(actor)?.address);
  }

  #message(source: Actor | undefined, to: DurableAddress, event: AnyEventObject): void {
    const parent = this.#parent;
    const upwards = source !== undefined && source === this.#root?.actor && isSame(parent, to);
    const message = upwards ? asOfChild(event, source.id, parent as DurableParent) : event;
    if (this.#phase !== 'computing') this.#plan.onMessage(to, message);
    else if (upwards) this.#turn.effects.push({ kind: 'message', to, event: message, child: parent?.child as string });
    else this.#turn.effects.push({ kind: 'message', to, event: message });
  }

  #toRemote(node: Node, event: AnyEventObject): void {
    if (node.wanted) this.#turn.effects.push({ kind: 'message', to: remoteAddress(node), event });
  }

  #input(source: Node | undefined, target: Node, event: AnyEventObject): void {
    if (source?.outside !== true) {
      this.#plan.onInput({ kind: 'event', target: target.address, event });
      return;
    }
    const { logic } = source.actor;
    const plain = event.type.startsWith('xstate.snapshot.')
      ? { ...event, snapshot: logic.getPersistedSnapshot(event.snapshot) } // without what only lives in memory
      : event;
    this.#plan.onInput({ kind: 'child', source: source.address, target: target.address, event: plain }, source);
  }

  #adopt(actor: Actor, address: string): Node {
    const { logic } = actor;
    const outside = !isDeterministic(logic);
    if (address !== ROOT && typeof actor.src !== 'string') throw inlineChild(this.#plan.id, actor.id);
    const node: Node = {
      actor,
      address,
      outside,
      remote: isRemote(logic),
      wanted: false,
      started: false,
      computed: undefined,
      visible: undefined,
    };
    this.nodes.add(node);
    if (outside) this.#guardOutside(node);
    else this.#guardInside(node);
    return node;
  }

  #guardInside(node: Node): void {
    const { actor, address } = node;
    const scope = actor._actorScope;
    const execute = scope.actionExecutor;
    scope.actionExecutor = (action) =>
      execute(isBuiltIn(action) ? action : { ...action, exec: () => this.#caught(action, address) });
    scope.emit = (event) => void this.#turn.effects.push({ kind: 'emit', address, event });
    actor.getSnapshot = () => {
      const shown = this.#phase === 'idle' || this.#phase === 'dropped' ? node.visible : undefined;
      const snapshot = shown ?? actor._snapshot;
      if (snapshot === undefined)
        throw new Error(`The snapshot of '${actor.id}' can't be read while it is being made.`);
      return snapshot;
    };
  }

  #caught({ type, exec, info, params }: ExecutableAction, address: string): void {
    if (exec === undefined) return;
    this.#turn.effects.push({ kind: 'action', type, address, run: () => exec(info, params) });
  }

  #guardOutside(node: Node): void {
    const { actor } = node;
    const known = () => node.computed ?? actor._snapshot;
    actor.getSnapshot = () => (this.#phase === 'computing' ? known() : actor._snapshot);
    actor.getPersistedSnapshot = () => actor.logic.getPersistedSnapshot(known()) as Snapshot<unknown>;
    actor.start = () => {
      if (this.#phase === 'idle' || this.#phase === 'dropped' || node.wanted) return actor;
      node.wanted = true;
      node.computed = actor._snapshot;
      actor._processingStatus = RUNNING;
      if (this.#phase !== 'computing') return actor;
      if (node.remote) this.#toRemote(node, startMessage(node, this.#plan.address));
      else this.#turn.effects.push({ kind: 'start', node });
      return actor;
    };
    actor._stop = () => {
      const { wanted } = node;
      if (node.remote && this.#phase === 'computing') this.#toRemote(node, { type: STOP_CHILD });
      node.wanted = false;
      actor._processingStatus = STOPPED;
      if (wanted && !node.remote && this.#phase === 'computing') this.#turn.effects.push({ kind: 'stop', node });
      return actor;
    };
  }
}

/** A tree that nobody listens to: to look at the past. */
export function bareTree(
  { machine, name }: { readonly machine: AnyStateMachine; readonly name: string },
  stream: string,
  inspect?: Inspect,
): Tree {
  const tree = new Tree({
    machine,
    id: stream,
    address: { machine: name, id: stream.slice(name.length + 1) },
    onInput: () => {},
    onMessage: () => {},
    logger: undefined,
    inspect,
  });
  tree.live = inspect !== undefined;
  return tree;
}

const isSame = (a: DurableAddress | undefined, b: DurableAddress): boolean => a?.machine === b.machine && a.id === b.id;
