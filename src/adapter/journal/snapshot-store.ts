/**
 * What actor frameworks ask of a store of snapshots, in neutral words. `snapshotStoreConformance` of varve/testing holds
 * implementations to it; the one over the event store is in event-snapshots.ts.
 */

/** A state, as of the event with sequence number `seq`. */
export interface Snapshot<State = unknown> {
  readonly persistenceId: string;
  readonly seq: number;
  readonly state: State;
  /** When it was saved, ms since the epoch, unless the caller has given another time. */
  readonly timestamp: number;
}

/** Which snapshots are meant: those that meet all that is given. Bounds are inclusive. */
export interface SnapshotCriteria {
  readonly minSeq?: number;
  readonly maxSeq?: number;
  readonly minTimestamp?: number;
  readonly maxTimestamp?: number;
}

export interface SaveOptions {
  /** Default: now. */
  readonly timestamp?: number;
  /** Keep only this many of the newest (by sequence number) afterwards: 1 or more. A failure of this does not fail the save. */
  readonly keep?: number;
}

export interface SnapshotStore<State = unknown> {
  /** Saves a snapshot; one with the same sequence number is replaced. */
  save(persistenceId: string, seq: number, state: State, options?: SaveOptions): Promise<void>;

  /** The one with the highest sequence number. */
  latest(persistenceId: string): Promise<Snapshot<State> | undefined>;

  /** The one with the highest sequence number below `seq`. */
  before(persistenceId: string, seq: number): Promise<Snapshot<State> | undefined>;

  /** Those that meet the criteria, by sequence number, the highest first. */
  find(persistenceId: string, criteria?: SnapshotCriteria): Promise<readonly Snapshot<State>[]>;

  /** Deletes those that meet the criteria. */
  delete(persistenceId: string, criteria: SnapshotCriteria): Promise<void>;

  /** Idempotent. */
  close(): Promise<void>;
}
