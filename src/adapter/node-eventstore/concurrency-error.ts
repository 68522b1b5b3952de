/** What a commit is refused with that comes too late. */
import { VarveError } from '../../errors.js';
import type { Place } from './names.js';

/** Somebody else has committed to the stream since it was loaded: load it again, decide again, commit again. */
export class ConcurrencyError extends VarveError {
  readonly aggregateId: string;
  /** `streamRevision` of the first event that was refused. */
  readonly streamRevision: number;

  constructor(stream: string, { aggregateId }: Place, streamRevision: number, cause: VarveError) {
    super(
      'ERR_VARVE_WRONG_REVISION',
      `Aggregate '${aggregateId}' has another newest revision than ${streamRevision - 1}: somebody else has committed. ` +
        'Load the event stream again, decide again, and commit again.',
      {
        stream,
        ...(cause.expected === undefined ? {} : { expected: cause.expected }),
        ...(cause.actual === undefined ? {} : { actual: cause.actual }),
      },
      cause,
    );
    this.name = 'ConcurrencyError';
    this.aggregateId = aggregateId;
    this.streamRevision = streamRevision;
  }
}
