/** What goes wrong with durable actors, said in one place. */
import { VarveError } from '../../errors.js';

export function ended(stream: string, status: string, cause?: unknown): VarveError {
  const how =
    { done: 'has reached its final state', error: 'has failed', stopped: 'was stopped' }[status] ?? 'has ended';
  return new VarveError(
    'ERR_VARVE_ACTOR_ENDED',
    `The actor ${stream} ${how} and takes no more events. Its history can be read; start another under another id.`,
    { stream },
    cause,
  );
}

export function deleted(stream: string): VarveError {
  return new VarveError(
    'ERR_VARVE_STREAM_NOT_FOUND',
    `The journal of ${stream} was deleted. An event, or the host's actor(), starts the actor anew.`,
    { stream },
  );
}

export function refused(stream: string, type: string, state: unknown): VarveError {
  return new VarveError(
    'ERR_VARVE_EVENT_REFUSED',
    `The actor ${stream} cannot take '${type}' in its state ${JSON.stringify(state)}.`,
    { stream, eventType: type },
  );
}

export function hostClosed(stream?: string): VarveError {
  return new VarveError(
    'ERR_VARVE_CLOSED',
    'The actor host has been shut down. Make another one to go on.',
    stream === undefined ? {} : { stream },
  );
}

export function notOwner(stream: string, cause?: unknown): VarveError {
  return new VarveError(
    'ERR_VARVE_LEASE_LOST',
    `Another host runs the actor ${stream}. Send to it there, or give this host a 'forward'.`,
    { stream },
    cause,
  );
}

export function diverged(stream: string, revision: bigint, type: string, since: bigint, why: string, cause?: unknown) {
  const first =
    since === revision
      ? `at revision ${revision} ('${type}')`
      : `between the revisions ${since} and ${revision} ('${type}'); with hashEvery: 1 the first event is known exactly`;
  return new VarveError(
    'ERR_VARVE_DIVERGED',
    `The replay of ${stream} ${why} ${first}. A machine must compute the same from the same events: look for the time, ` +
      'random numbers or I/O in its assigns, guards and delays (move them into the event, the input or an invoked ' +
      'promise), or for a change of the machine without a new version.',
    { stream, revision, eventType: type },
    cause,
  );
}

export function incomplete(stream: string, revision: bigint): VarveError {
  return new VarveError(
    'ERR_VARVE_CORRUPT',
    `The journal of ${stream} cannot be replayed: what comes before revision ${revision} is missing, and no snapshot stands ` +
      'for it. Journals are truncated behind a snapshot only.',
    { stream, revision },
  );
}

export function otherVersion(stream: string, found: string, version: string): VarveError {
  return new VarveError(
    'ERR_VARVE_MACHINE_VERSION',
    `The snapshot of ${stream} is of version '${found}' of its machine, this is version '${version}'. ` +
      `Give the machine a 'migrate' that makes one of the other, or delete the stream's snapshots to replay it all.`,
    { stream },
  );
}

export function inlineChild(actor: string, child: string): VarveError {
  return new VarveError(
    'ERR_VARVE_INVALID_OPTION',
    `The actor ${actor} spawns '${child}' from logic that has no name, so it could not be restored. ` +
      'Give the logic a name in setup({ actors }) and spawn it by that name.',
    { option: 'actors', stream: actor },
  );
}
