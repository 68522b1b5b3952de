/**
 * A batch: what goes into the log of one partition at once.
 *
 * A write has its revisions when it is decided, its position and time when the batch is made. Then its bytes are whole.
 */
import { place } from './envelope.js';
import { isAsExpected } from './expected-revision.js';
import type { StreamState } from './stream-state.js';
import type { Committed, StreamWrite } from './stream-write.js';

/** A write whose events have their revisions. One object serves from here to the answer. */
export interface PlacedWrite extends Committed {
  readonly write: StreamWrite;
  firstPosition: number;
  time: number;
}

export interface Batch {
  readonly partition: number;
  readonly firstPosition: number;
  /** Those with events. */
  readonly writes: readonly PlacedWrite[];
}

/** Gives out positions and the time. */
export interface BatchHost {
  /** A batch of `count` events is going to be appended. */
  begin(partition: number, writes: Batch['writes'], count: number): { readonly batch: Batch; readonly created: number };
}

/** Gives a write the revisions behind its stream's newest one. Changes nothing. */
export function placeWrite(write: StreamWrite, state: StreamState): PlacedWrite {
  const { events, firstRevision: least = 0 } = write;
  const firstRevision = Math.max(state.nextHead + 1, least);
  const nextRevision = firstRevision + events.length;
  const created = events.length > 0 && !isAsExpected('streamExists', state);
  return { write, firstRevision, nextRevision, firstPosition: 0, created, time: 0 };
}

/** Makes a batch of `writes`, which have `count` events, and gives each event its place. */
export function makeBatch(
  host: BatchHost,
  partition: number,
  writes: readonly PlacedWrite[],
  count: number,
): { batch: Batch; payloads: Buffer[] } {
  const { batch, created } = host.begin(partition, writes, count);
  const payloads: Buffer[] = [];
  let position = batch.firstPosition;
  for (const placed of writes) {
    const { events } = placed.write;
    placed.firstPosition = position;
    placed.time = events[0]?.created ?? created;
    let revision = placed.firstRevision;
    for (const event of events) {
      place(event.bytes, position++, revision++, event.created ?? created);
      payloads.push(event.bytes);
    }
  }
  return { batch, payloads };
}
