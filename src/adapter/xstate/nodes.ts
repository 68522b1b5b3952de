/** The actors of a tree by their address, and what can be asked about those that run outside of it. */
import type { AnyEventObject, AnyMachineSnapshot } from 'xstate';
import { streamOf } from './address.js';
import { remoteAddress } from './durable-child.js';
import type { Actor, System } from './seam.js';
import type { Node } from './turn.js';

/** Of all trees: one for each would take more than the rest of most trees. */
const nodeOf = new WeakMap<Actor, Node>();

export class Nodes {
  readonly #nodes = new Map<string, Node>();
  #system: System | undefined;

  get(address: string): Node | undefined {
    return this.#nodes.get(address);
  }

  of(actor: Actor | undefined): Node | undefined {
    return actor?.system === this.#system ? nodeOf.get(actor as Actor) : undefined;
  }

  [Symbol.iterator](): IterableIterator<Node> {
    return this.#nodes.values();
  }

  /** It takes the place of another of its address. */
  add(node: Node): void {
    this.#nodes.set(node.address, node);
    this.#system = node.actor.system;
    nodeOf.set(node.actor, node);
  }

  delete(address: string): void {
    this.#nodes.delete(address);
  }

  /** Actors outside that the machine wants to run and that do not. */
  interrupted(): Node[] {
    return [...this].filter(({ wanted, started, remote }) => wanted && !started && !remote);
  }

  /** Something runs outside, or should. */
  get busyOutside(): boolean {
    for (const { wanted, remote } of this) if (wanted && !remote) return true;
    return false;
  }

  /** What it sends counts: it was not stopped, nor replaced by another of its name. */
  counts(node: Node): boolean {
    return node.wanted && this.#nodes.get(node.address) === node;
  }

  /** A durable child that is expected to send something: the one whose journal this is. */
  awaits(address: string, stream: string): boolean {
    const node = this.#nodes.get(address);
    if (node?.remote !== true || !node.wanted) return false;
    const { machine, id } = remoteAddress(node);
    return streamOf(machine, id) === stream;
  }

  /** Whoever has started this child takes this event; else it fails with the child. */
  canTake(target: string, event: AnyEventObject): boolean {
    const snapshot = this.#nodes.get(target)?.actor._snapshot as Partial<AnyMachineSnapshot> | undefined;
    return snapshot?.can?.(event) ?? false;
  }
}
