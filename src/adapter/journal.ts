/**
 * What actor frameworks ask of a store, in neutral words: a journal of events by persistence id, and snapshots of the states
 * that the events lead to. `journalConformance` and `snapshotStoreConformance` of varve/testing hold implementations to it.
 */

/** An event as it is given to a journal. */
export interface JournalEvent<Event = unknown> {
  readonly event: Event;
  /** By which it is found, whatever its persistence id. Default: none. */
  readonly tags?: readonly string[];
}

/** An event as a journal gives it back. */
export interface StoredEvent<Event = unknown> {
  readonly persistenceId: string;
  /** Sequence number within the persistence id: 1, 2, 3, … */
  readonly seq: number;
  readonly event: Event;
  readonly tags: readonly string[];
  /** When it was appended, ms since the epoch. */
  readonly timestamp: number;
}

/** An event found by tag. Offsets ascend in the order of appending, over all persistence ids; they may have gaps. */
export interface TaggedEvent<Event = unknown> extends StoredEvent<Event> {
  readonly offset: number;
}

export interface JournalRange {
  /** First sequence number, inclusive. Default 1. */
  readonly from?: number;
  /** Last sequence number, inclusive. Default: the highest there is. */
  readonly to?: number;
  /** Most events, exactly. Default: no limit. */
  readonly limit?: number;
}

export interface TagRange {
  /** Only events behind this offset: 0 for all. Default 0. */
  readonly after?: number;
  /** Most events, exactly. Default: no limit. */
  readonly limit?: number;
}

export interface PersistenceIdPage {
  readonly ids: readonly string[];
  /** For the next page; undefined on the last one. */
  readonly next: string | undefined;
}

export interface Journal<Event = unknown> {
  /**
   * Appends all of the events or none, behind `expectedSeq`: the highest sequence number that the caller knows of, 0 for
   * none. Rejects with `JournalConcurrencyError` where it is not the highest. No events change nothing.
   */
  append(
    persistenceId: string,
    events: readonly JournalEvent<Event>[],
    expectedSeq: number,
  ): Promise<readonly StoredEvent<Event>[]>;

  /** Events in order and without gaps, but for a prefix that was deleted. Nothing where there is none. */
  read(persistenceId: string, range?: JournalRange): AsyncIterable<StoredEvent<Event>>;

  /** The highest sequence number that was ever given, whatever was deleted; 0 for an unknown persistence id. */
  highestSeq(persistenceId: string): Promise<number>;

  /** Deletes the events up to `toSeq`, inclusive. Sequence numbers are never given again. */
  deleteTo(persistenceId: string, toSeq: number): Promise<void>;

  /** Persistence ids that have events, each once, in pages of at most `limit`, in any order that stays. */
  persistenceIds(page?: { readonly after?: string; readonly limit?: number }): Promise<PersistenceIdPage>;

  /** Optional: events with this tag. */
  eventsByTag?(tag: string, range?: TagRange): AsyncIterable<TaggedEvent<Event>>;

  /**
   * Optional: events from `from` (default 1) on, those that are there and those that come, without an end. Rejects with
   * the signal's reason when that aborts.
   */
  follow?(
    persistenceId: string,
    options?: { readonly from?: number; readonly signal?: AbortSignal },
  ): AsyncIterable<StoredEvent<Event>>;

  /** Optional: the same for the events with a tag, behind the offset `after` (default 0). */
  followTag?(
    tag: string,
    options?: { readonly after?: number; readonly signal?: AbortSignal },
  ): AsyncIterable<TaggedEvent<Event>>;

  /** Idempotent. */
  close(): Promise<void>;
}

/** Another owner has appended to this persistence id, or the caller has missed events. */
export class JournalConcurrencyError extends Error {
  readonly persistenceId: string;
  readonly expectedSeq: number;
  readonly actualSeq: number;

  constructor(persistenceId: string, expectedSeq: number, actualSeq: number) {
    super(
      `The journal of '${persistenceId}' is at ${actualSeq}, not at ${expectedSeq} as expected. ` +
        'Another owner may be appending to it: read what is new, then try again.',
    );
    this.name = 'JournalConcurrencyError';
    this.persistenceId = persistenceId;
    this.expectedSeq = expectedSeq;
    this.actualSeq = actualSeq;
  }
}

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
