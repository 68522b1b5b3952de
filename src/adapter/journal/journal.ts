/**
 * What actor frameworks ask of a journal, in neutral words: events by persistence id. `journalConformance` of varve/testing
 * holds implementations to it; the one over the event store is in event-journal.ts.
 */

/** An event as it is given to a journal. */
export interface JournalEvent<Event = unknown> {
  readonly event: Event;
  /** By which it is found, whatever its persistence id. Default: none. */
  readonly tags?: readonly string[];
  /** When it happened, ms since the epoch. Default: when it is appended. */
  readonly timestamp?: number;
}

/** An event as a journal gives it back. */
export interface StoredEvent<Event = unknown> {
  readonly persistenceId: string;
  /** Sequence number within the persistence id: 1, 2, 3, … */
  readonly seq: number;
  readonly event: Event;
  readonly tags: readonly string[];
  /** When it was appended, ms since the epoch, unless the caller has given another time. */
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

  /**
   * Optional: counts the sequence numbers up to `seq` as given, without events: for a history that began elsewhere.
   * Nothing happens where they were given already.
   */
  raiseHighestSeq?(persistenceId: string, seq: number): Promise<void>;

  /** Persistence ids that have events, each once, in pages of at most `limit`, in any order that stays. */
  persistenceIds(page?: { readonly after?: string; readonly limit?: number }): Promise<PersistenceIdPage>;

  /** Optional: events with this tag that were not deleted. */
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
