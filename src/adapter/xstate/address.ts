/** Where an actor lives: in its host, and within the tree of a durable actor. */
import type { AnyEventObject } from 'xstate';
import { VarveError } from '../../errors.js';

/** A durable actor: the name of its machine in the host, and its id. */
export interface DurableAddress {
  readonly machine: string;
  readonly id: string;
}

/** The durable actor that has invoked or spawned this one, and as what. */
export interface DurableParent extends DurableAddress {
  /** Address of the child in the parent's tree. */
  readonly child: string;
}

const DURABLE = Symbol.for('varve.xstate.durable');

/**
 * What `sendTo` takes for a durable actor. It is made where it is used and never kept in a context: keep the id.
 *
 * Its type is that of an actor which takes any event.
 */
export interface DurableRef extends DurableAddress {
  readonly sessionId: string;
  send(event: AnyEventObject): void;
}

/**
 * Another durable actor as the target of `sendTo`: `sendTo(({ context }) => durable('payment', context.paymentId), …)`.
 * The message goes through the sender's outbox; the actor is woken for it, or started.
 */
// biome-ignore lint/suspicious/noExplicitAny: a target of sendTo must be an actor reference of whatever kind
export function durable(machine: string, id: string): any {
  const ref: DurableRef & { [DURABLE]: true } = {
    [DURABLE]: true,
    machine,
    id,
    sessionId: streamOf(machine, id),
    send() {
      throw new VarveError(
        'ERR_VARVE_INVALID_OPTION',
        `A reference made by durable('${machine}', '${id}') is a target for sendTo; outside of a machine use host.actor().`,
        { option: 'durable' },
      );
    },
  };
  return ref;
}

export function isDurableRef(target: unknown): target is DurableRef {
  return typeof target === 'object' && target !== null && DURABLE in target;
}

/** The journal of a durable actor. */
export const streamOf = (machine: string, id: string): string => `${machine}-${id}`;

/** Within a tree: '' is the root, each level adds a slash and the id of the child. */
export const ROOT = '';
export const childAddress = (parent: string, id: string): string => `${parent}/${encodeURIComponent(id)}`;
export const parentAddress = (address: string): string => address.slice(0, address.lastIndexOf('/'));
