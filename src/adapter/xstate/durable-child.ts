/**
 * Children that are durable actors of their own: with a journal of their own, a life of their own, and messages between
 * them and their parent through the outboxes of both.
 *
 * In the parent's tree a reference stands for such a child. What is done to it (start, send, stop) leaves as messages; what
 * the child sends, its result or its error comes back as a message and is journalled as of any child.
 */
import type { ActorLogic, AnyActorLogic, AnyEventObject, EventObject, NonReducibleUnknown, Snapshot } from 'xstate';
import type { DurableAddress, DurableParent } from './address.js';
import type { Node } from './turn.js';

const REMOTE = Symbol.for('varve.xstate.remote');

export const START_CHILD = 'varve.start';
export const STOP_CHILD = 'varve.stop';

/** What the parent knows of it. */
type RemoteSnapshot = Snapshot<unknown> & {
  readonly machine: string;
  readonly id: string;
  readonly input: unknown;
};

/**
 * Logic for `setup({ actors })`: invoked or spawned, it starts the host's machine of this name as a durable actor of its
 * own, with an id made of the parent's. It is done when that actor is, stopped when it is stopped here.
 */
export function durableChild<Input = NonReducibleUnknown, Output = unknown>(
  machine: string,
): ActorLogic<Snapshot<Output>, EventObject, Input> {
  const logic = {
    [REMOTE]: true,
    transition: (snapshot: RemoteSnapshot) => snapshot,
    start: () => {}, // it does something, but not here
    getInitialSnapshot: ({ self, system }: { self: { sessionId: string }; system: unknown }, input: unknown) => ({
      status: 'active',
      output: undefined,
      error: undefined,
      input,
      machine,
      id: childId(system, self.sessionId),
    }),
    getPersistedSnapshot: (snapshot: RemoteSnapshot) => snapshot,
    restoreSnapshot: (snapshot: RemoteSnapshot) => snapshot,
  };
  return logic as unknown as ActorLogic<Snapshot<Output>, EventObject, Input>;
}

export const isRemote = (logic: AnyActorLogic): boolean => REMOTE in logic;

/** Trees count their actors, so the id is the same at replay, and another one when the child is started anew. */
function childId(system: unknown, session: string): string {
  return `${(system as { varveId: string }).varveId}/${session}`;
}

const known = ({ computed, actor }: Node) => (computed ?? actor._snapshot) as RemoteSnapshot;

export function remoteAddress(node: Node): DurableAddress {
  const { machine, id } = known(node);
  return { machine, id };
}

/** The first message to a child. */
export function startMessage(node: Node, parent: DurableAddress): AnyEventObject {
  const { input } = known(node);
  const origin: DurableParent = { ...parent, child: node.address };
  return input === undefined ? { type: START_CHILD, parent: origin } : { type: START_CHILD, parent: origin, input };
}

/** A child knows itself by another id than its parent knows it by. */
export function asOfChild(event: AnyEventObject, ownId: string, { child }: DurableParent): AnyEventObject {
  const id = decodeURIComponent(child.slice(child.lastIndexOf('/') + 1));
  for (const kind of ['done', 'error']) {
    if (event.type === `xstate.${kind}.actor.${ownId}`) {
      return { ...event, type: `xstate.${kind}.actor.${id}`, actorId: id };
    }
  }
  return event;
}
