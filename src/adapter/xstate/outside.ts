/**
 * Actors of a tree that run outside of its computation: promises, callbacks, observables. How they are begun and ended,
 * and what the tree knows of them: what the journal has told, which may be less than what they themselves know.
 */
import type { AnyEventObject, Snapshot } from 'xstate';
import { NOT_STARTED, RUNNING, STOPPED } from './seam.js';
import type { Node } from './turn.js';

export function startOutside(node: Node): void {
  if (node.started) return;
  node.started = true;
  node.actor._processingStatus = NOT_STARTED;
  Object.getPrototypeOf(node.actor).start.call(node.actor);
}

export function stopOutside(node: Node): void {
  if (!node.started) return;
  node.started = false;
  // What it does while it stops, such as sending, no longer counts: it is not wanted.
  if (node.actor._snapshot.status !== 'active') return;
  node.actor._processingStatus = RUNNING;
  Object.getPrototypeOf(node.actor)._stop.call(node.actor);
}

/** It has failed, and is tried again as if nothing had been heard of it. */
export function restartOutside(node: Node): void {
  node.started = false;
  node.actor._snapshot = node.computed as Snapshot<unknown>;
  startOutside(node);
}

/** What an actor outside has told of itself: it is known from here on, also at replay, where it does not run. */
export function settle(node: Node, event: AnyEventObject): void {
  const { actor } = node;
  const { type } = event;
  const known = node.computed ?? actor._snapshot;
  if (type.startsWith('xstate.snapshot.')) node.computed = event.snapshot;
  else if (type.startsWith('xstate.done.actor.')) node.computed = end(known, { status: 'done', output: event.output });
  else if (type.startsWith('xstate.error.actor.')) node.computed = end(known, { status: 'error', error: event.error });
  else return;
  if (!node.started) actor._snapshot = node.computed as Snapshot<unknown>;
  if (node.computed?.status === 'active') return;
  node.wanted = false;
  actor._processingStatus = STOPPED;
  actor.system._unregister(actor);
}

function end(snapshot: Snapshot<unknown>, how: object): Snapshot<unknown> {
  return { ...snapshot, ...how, input: undefined } as unknown as Snapshot<unknown>;
}
