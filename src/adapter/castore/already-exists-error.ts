/** The error that Castore's commands retry at: the version is taken. */
import type { EventAlreadyExistsError } from '@castore/core';

/** `isEventAlreadyExistsError` of @castore/core is true of it. */
export class VarveEventAlreadyExistsError extends Error implements EventAlreadyExistsError {
  readonly code = 'EventAlreadyExistsError';
  readonly eventStoreId: string;
  readonly aggregateId: string;
  readonly version: number;

  constructor(eventStoreId: string, aggregateId: string, version: number) {
    super(
      `Aggregate '${aggregateId}' of event store '${eventStoreId}' has a version ${version} already. ` +
        'Read it again, decide again, and push the next version.',
    );
    this.name = 'VarveEventAlreadyExistsError';
    this.eventStoreId = eventStoreId;
    this.aggregateId = aggregateId;
    this.version = version;
  }
}
