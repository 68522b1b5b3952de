/**
 * What actor frameworks ask of a store that keeps the newest state of each actor and no history, in neutral words.
 * `durableStateConformance` of varve/testing holds implementations to it; the one over the event store is in event-states.ts.
 */

export interface DurableState<State = unknown> {
  readonly persistenceId: string;
  /** 1, 2, 3, …: how often the state was written since there was none. */
  readonly revision: number;
  readonly state: State;
  /** When it was written, ms since the epoch. */
  readonly timestamp: number;
}

export interface DurableStateStore<State = unknown> {
  /**
   * Writes a state in place of the one at `expectedRevision`; 0: there is none. Rejects with `DurableStateConcurrencyError`
   * where another one is there.
   */
  upsert(persistenceId: string, expectedRevision: number, state: State): Promise<DurableState<State>>;

  load(persistenceId: string): Promise<DurableState<State> | undefined>;

  /** Deletes the state; the next one has revision 1 again. Does nothing where there is none. */
  delete(persistenceId: string): Promise<void>;

  /** Idempotent. */
  close(): Promise<void>;
}

/** Another owner has written this state. */
export class DurableStateConcurrencyError extends Error {
  readonly persistenceId: string;
  readonly expectedRevision: number;
  readonly actualRevision: number;

  constructor(persistenceId: string, expectedRevision: number, actualRevision: number) {
    super(
      `The state of '${persistenceId}' is at revision ${actualRevision}, not at ${expectedRevision} as expected. ` +
        'Another owner may be writing it: load it, then try again.',
    );
    this.name = 'DurableStateConcurrencyError';
    this.persistenceId = persistenceId;
    this.expectedRevision = expectedRevision;
    this.actualRevision = actualRevision;
  }
}
