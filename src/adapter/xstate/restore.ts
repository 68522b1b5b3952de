/**
 * How a root actor is made, anew or from a snapshot: the one file to change where a version of XState moves restoring.
 */
import { type AnyActor, type AnyStateMachine, createActor, type Snapshot } from 'xstate';

/** What `getPersistedSnapshot` of a machine gives: plain data, children included. */
export type PersistedSnapshot = Snapshot<unknown>;

interface RootOptions {
  readonly id: string;
  readonly logger: ((...args: unknown[]) => void) | undefined;
  /** Told of each actor before its first snapshot is made. */
  readonly inspect: (event: { type: string; actorRef: unknown }) => void;
}

export function startRoot(machine: AnyStateMachine, options: RootOptions & { input: unknown }): AnyActor {
  const { id, input, inspect, logger } = options;
  return createActor(machine, { id, input, inspect, ...(logger === undefined ? {} : { logger }) });
}

/** `snapshot` is taken over: references in its context are replaced by the actors that they stand for. */
export function restoreRoot(
  machine: AnyStateMachine,
  options: RootOptions & { snapshot: PersistedSnapshot },
): AnyActor {
  const { id, snapshot, inspect, logger } = options;
  return createActor(machine, { id, snapshot, inspect, ...(logger === undefined ? {} : { logger }) });
}
