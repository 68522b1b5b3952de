/** What a writer expects of a stream, checked in the same instant in which the append gets its place. */
import { VarveError } from '../../errors.js';
import { exists, type StreamState } from './stream-state.js';
import type { StreamWrite } from './stream-write.js';

/**
 * `'noStream'`: there is none, or it was deleted. `'newStream'`: there was never one. A bigint: the revision of the newest
 * event, deleted or not.
 */
export type ExpectedRevision = 'any' | 'noStream' | 'newStream' | 'streamExists' | bigint;

const WORDS: readonly unknown[] = ['any', 'noStream', 'newStream', 'streamExists'];

/** Throws `ERR_VARVE_INVALID_OPTION`. */
export function checkExpectedRevision(expected: unknown): ExpectedRevision {
  if (expected === undefined) return 'any';
  if (WORDS.includes(expected)) return expected as ExpectedRevision;
  if (typeof expected === 'bigint' && expected >= 0n && expected <= BigInt(Number.MAX_SAFE_INTEGER)) return expected;
  throw new VarveError(
    'ERR_VARVE_INVALID_OPTION',
    `expectedRevision is ${String(expected)} (${typeof expected}); it must be 'any', 'noStream', 'newStream', 'streamExists' or a bigint from 0n.`,
    { option: 'expectedRevision' },
  );
}

/** True if the stream is as expected, with what is being committed before. */
export function isAsExpected(expected: ExpectedRevision, state: StreamState): boolean {
  const head = state.nextHead;
  if (expected === 'any') return true;
  if (expected === 'noStream') return !exists(state, head);
  if (expected === 'streamExists') return exists(state, head);
  if (expected === 'newStream') return head < 0;
  return BigInt(head) === expected;
}

/** Throws unless every stream is as expected, and none is tombstoned. */
export function checkExpected(
  writes: readonly Pick<StreamWrite, 'stream' | 'expected'>[],
  states: readonly StreamState[],
): void {
  for (let i = 0; i < writes.length; i++) {
    const { stream, expected } = writes[i] as StreamWrite;
    const state = states[i] as StreamState;
    if (state.metadata.tombstoned) throw tombstoned(stream);
    if (!isAsExpected(expected, state)) throw wrongRevision(stream, expected, state);
  }
}

export function wrongRevision(stream: string, expected: ExpectedRevision, state: StreamState): VarveError {
  const actual = exists(state, state.nextHead) || state.nextHead >= 0 ? BigInt(state.nextHead) : 'noStream';
  return new VarveError(
    'ERR_VARVE_WRONG_REVISION',
    `Stream '${stream}' is at ${actual === 'noStream' ? 'no revision: it does not exist' : `revision ${actual}`}, ` +
      `not at the expected '${expected}'. Read it again, decide again, and append at its present revision.`,
    { stream, expected, actual },
  );
}

export function tombstoned(stream: string): VarveError {
  return new VarveError(
    'ERR_VARVE_STREAM_TOMBSTONED',
    `Stream '${stream}' was tombstoned: it can never be appended to or read again. Use another stream id.`,
    { stream },
  );
}
