/** What an append wants of one stream, and where its events went. */
import type { ExpectedRevision } from './expected-revision.js';

/** An event, encoded but for its place. */
export interface PreparedEvent {
  readonly bytes: Buffer;
  readonly type: string;
  readonly tags: readonly string[];
  /** Milliseconds since the epoch, of an event that was created elsewhere; else it is the time of the append. */
  readonly created?: number;
}

export interface StreamWrite {
  readonly stream: string;
  readonly expected: ExpectedRevision;
  /** None: the stream is only checked. */
  readonly events: readonly PreparedEvent[];
  /** The caller has given the ids of all events: an append that was made before is recognized. */
  readonly idsGiven: boolean;
  /** The first event gets this revision where the stream is not as far yet: of imports, whose first events may be gone. */
  readonly firstRevision?: number;
}

/** Where the events of one write went. */
export interface Committed {
  readonly firstRevision: number;
  readonly nextRevision: number;
  readonly firstPosition: number;
  /** The stream had no event that could be read. */
  readonly created: boolean;
  /** When the first of the events was appended, ms since the epoch; 0 where there are none. */
  readonly time: number;
}
