/**
 * What is known of a stream: its newest event, and its metadata, which say how much of it is kept.
 *
 * Metadata of `orders-1` are the newest event of the stream `$$orders-1`. A stream whose events are all before
 * `truncateBefore` is a deleted one; its revisions go on where they were when it is appended to again.
 */

export interface StreamMetadata {
  /** Events before this revision are given up. `$tb` in KurrentDB. */
  readonly truncateBefore?: number;
  /** At most so many of the newest events are kept, from 1. `$maxCount` in KurrentDB. */
  readonly maxCount?: number;
  /** Events older than so many milliseconds are given up. KurrentDB's `$maxAge` is in seconds. */
  readonly maxAge?: number;
  /** The stream was deleted when its next event would have been this revision: what was known before is void. */
  readonly deletedBefore?: number;
  /** No event is ever appended to or read from the stream again. */
  readonly tombstoned?: boolean;
  /** The stream's newest revision when its last event was given up. */
  readonly head?: number;
  /** Whatever the user keeps here. */
  readonly custom?: unknown;
}

export interface StreamState {
  /** Revision of the newest event that the log has; −1 where there was never one. */
  head: number;
  /** The same, with what is being committed. */
  nextHead: number;
  /** Revision of the newest metadata event; −1 where there is none. */
  metadataRevision: number;
  metadata: StreamMetadata;
}

export const NO_METADATA: StreamMetadata = {};

export const isMetadataStream = (stream: string): boolean => stream.startsWith('$$');
export const metadataStreamOf = (stream: string): string => `$$${stream}`;
/** Of `$$orders-1`: `orders-1`. */
export const streamOfMetadata = (stream: string): string => stream.slice(2);

/** There is an event that may be read, as far as revisions tell. */
export function exists(state: StreamState, head = state.head): boolean {
  return head >= 0 && head >= (state.metadata.truncateBefore ?? 0) && state.metadata.tombstoned !== true;
}

/** The oldest revision that may be read, as far as revisions tell. */
export function oldestRevision({ head, metadata }: StreamState): number {
  const byCount = metadata.maxCount === undefined ? 0 : head - metadata.maxCount + 1;
  return Math.max(0, byCount, metadata.truncateBefore ?? 0);
}
