/** Following: what is there, then what comes, without a gap and without anything twice. */
import { VarveError } from '../../errors.js';
import { checkAll } from '../../options.js';
import { eitherSignal, LiveStream, type Piece } from '../../streams/pull-stream.js';
import { type Cursors, checkFrom, cursorsBehind, cursorsOf, durableCheckpoint } from './cursors.js';
import { checkFilter, type EventFilter } from './event-filter.js';
import { checkStream } from './event-input.js';
import {
  anything,
  revision,
  SUBSCRIBE_CHECKS,
  SUBSCRIBE_TO_STREAM_CHECKS,
  type SubscribeOptions,
  type SubscribeToStreamOptions,
} from './event-store-options.js';
import { readAllEvents } from './read-all.js';
import { durableRevision, readStreamEvents } from './read-stream.js';
import type { RecordedEvent } from './recorded-event.js';
import type { StoreCore } from './store-core.js';

/** A subscriber that was caught up and finds more than this many events waiting has fallen behind. */
const FELL_BEHIND_EVENTS = 1024;

type Following = AsyncGenerator<Piece<RecordedEvent>>;

/** Of `subscribeToAll`. */
export function subscribeToAll(core: StoreCore, options: SubscribeOptions): LiveStream<RecordedEvent> {
  checkAll(options, SUBSCRIBE_CHECKS, 'options');
  const filter = checkFilter(options.filter);
  const from = checkFrom(core, options.from ?? 'start');
  // Where the end is is decided now, not when somebody begins to iterate.
  const end = from === 'end' ? durableCheckpoint(core) : undefined;
  return new LiveStream(async function* (ending) {
    core.refuseClosed();
    const cursors = end === undefined ? await cursorsOf(core, from) : cursorsBehind(end);
    yield* followAll(core, cursors, filter, eitherSignal(options.signal, ending));
  });
}

/** Of `subscribeToStream`. */
export function subscribeToStream(
  core: StoreCore,
  stream: string,
  options: SubscribeToStreamOptions,
): LiveStream<RecordedEvent> {
  checkStream(stream, true);
  checkAll(options, SUBSCRIBE_TO_STREAM_CHECKS, 'options');
  const { from = 'start' } = options;
  if (from !== 'start' && from !== 'end') revision(from, 'from');
  const end = from === 'end' ? durableRevision(core, stream).then((last) => last + 1) : undefined;
  end?.catch(anything); // whoever iterates is told
  return new LiveStream(async function* (ending) {
    core.refuseClosed();
    const next = end === undefined ? (from === 'start' ? 0 : Number(from)) : await end;
    yield* followStream(core, stream, next, eitherSignal(options.signal, ending));
  });
}

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
function followStream(core: StoreCore, stream: string, from: number, signal: AbortSignal | undefined): Following {
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
