/** Following: what is there, then what comes, without a gap and without anything twice. */
import { VarveError } from '../../errors.js';
import type { Piece } from '../../streams/pull-stream.js';
import type { EventFilter } from './event-filter.js';
import { type Cursors, readAllEvents, readStreamEvents } from './read-events.js';
import type { RecordedEvent } from './recorded-event.js';
import type { StoreCore } from './store-core.js';

/** A subscriber that was caught up and finds more than this many events waiting has fallen behind. */
const FELL_BEHIND_EVENTS = 1024;

type Following = AsyncGenerator<Piece<RecordedEvent>>;

/**
 * Events of all partitions that fit, from the cursors on, for ever. Ends when the store is closed, and rejects with
 * `ERR_VARVE_PARTITION_FAILED`, behind what is durable, when a partition has failed. `onLevel` is told each position up to
 * which all that fits has been handed on, and taken.
 */
export function followAll(
  core: StoreCore,
  cursors: Cursors,
  filter: EventFilter,
  signal: AbortSignal | undefined,
  onLevel: (position: number) => void = () => {},
): Following {
  return untilClosed(core, allPieces(core, cursors, filter, signal, onLevel));
}

async function* allPieces(
  core: StoreCore,
  cursors: Cursors,
  filter: EventFilter,
  signal: AbortSignal | undefined,
  onLevel: (position: number) => void,
): Following {
  let caughtUp = false;
  for (;;) {
    signal?.throwIfAborted();
    if (core.closed) return;
    const advanced = core.advanced();
    const upTo = core.visiblePosition;
    const ends = core.partitions.map(({ log }) => log.durableLsn + 1);
    const waiting = ends.reduce((sum, end, i) => sum + Math.max(0, end - (cursors[i] as number)), 0);
    if (caughtUp && waiting >= FELL_BEHIND_EVENTS) {
      caughtUp = false;
      yield 'fellBehind';
    }
    if (waiting > 0) yield* readAllEvents(core, { cursors, upTo, backward: false, filter, signal });
    onLevel(upTo);
    if (core.partitions.some(({ log }, i) => log.durableLsn + 1 > (ends[i] as number))) continue;
    if (!caughtUp) {
      caughtUp = true;
      yield 'caughtUp';
    }
    await core.waitAdvanced(advanced, signal);
  }
}

/** Events of one stream from a revision on, for ever. Ends as `followAll` does, by the stream's own partition. */
export function followStream(
  core: StoreCore,
  stream: string,
  from: number,
  signal: AbortSignal | undefined,
): Following {
  return untilClosed(core, streamPieces(core, stream, from, signal));
}

async function* streamPieces(
  core: StoreCore,
  stream: string,
  from: number,
  signal: AbortSignal | undefined,
): Following {
  let next = from;
  let caughtUp = false;
  for (;;) {
    signal?.throwIfAborted();
    if (core.closed) return;
    const advanced = core.advanced();
    const { head } = await core.states.of(stream);
    if (caughtUp && head - next >= FELL_BEHIND_EVENTS) {
      caughtUp = false;
      yield 'fellBehind';
    }
    let found = false;
    if (head >= next) {
      const range = { from: next, to: head, backward: false, maxCount: Number.MAX_SAFE_INTEGER, signal };
      for await (const batch of readStreamEvents(core, stream, { ...range, ifMissing: 'empty' })) {
        next = Number((batch[batch.length - 1] as RecordedEvent).revision) + 1;
        found = true;
        yield batch;
      }
    }
    if (found) continue;
    if (!caughtUp) {
      caughtUp = true;
      yield 'caughtUp';
    }
    await core.waitAdvanced(advanced, signal, [core.partitionOf(stream)]);
  }
}

/** The store may be closed while something is being read. */
async function* untilClosed(core: StoreCore, pieces: Following): Following {
  try {
    yield* pieces;
  } catch (error) {
    if (!core.closed || !(error instanceof VarveError) || error.code !== 'ERR_VARVE_CLOSED') throw error;
  }
}
