/**
 * The Emmett package: what the adapter takes from it, checked once, when the adapter is imported.
 *
 * Without the package Node.js itself says what is missing. Of another version than the adapter was made for, what is missing
 * would show up much later, as a call of undefined.
 */
import * as emmett from '@event-driven-io/emmett';
import { VarveError } from '../../errors.js';

export const {
  downcastRecordedMessage,
  EmmettError,
  ExpectedVersionConflictError,
  getInMemoryDatabase,
  NO_CONCURRENCY_CHECK,
  projector,
  reactor,
  STREAM_DOES_NOT_EXIST,
  STREAM_EXISTS,
  tryPublishMessagesAfterCommit,
  upcastRecordedMessage,
} = emmett;

const missing = Object.entries({
  downcastRecordedMessage,
  EmmettError,
  ExpectedVersionConflictError,
  getInMemoryDatabase,
  projector,
  reactor,
  tryPublishMessagesAfterCommit,
  upcastRecordedMessage,
})
  .filter(([, value]) => value === undefined)
  .map(([name]) => name);

if (missing.length > 0) {
  throw new VarveError(
    'ERR_VARVE_UNSUPPORTED',
    `varve/emmett works with @event-driven-io/emmett 0.42; the one that is installed lacks ${missing.join(', ')}. ` +
      'Install @event-driven-io/emmett@0.42.',
  );
}

/** From 0.43 on Emmett takes positions as texts only; 0.42 takes both. */
export const takesTextsOnly = 'bigIntProcessorCheckpoint' in emmett;
