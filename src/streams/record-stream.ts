/**
 * Streams of records: chained over segments, forward or backward, finite or following the log as it grows.
 *
 * The core is pull: batches are read when the consumer asks for them, so a slow consumer holds back nothing but
 * itself. Records, arrays and observables adapt it. While a consumer is inside a segment, that segment is pinned.
 */
import { BehaviorSubject, distinctUntilChanged, Observable } from 'rxjs';
import { VarveError } from '../errors.js';
import type { Ack, FollowOptions, ReadFrom, ReadOptions } from '../options.js';
import type { Catalogue, SegmentEntry } from '../segment/catalogue.js';
import { corruption } from '../segment/corruption.js';
import type { ReadCursor, SegmentReader } from '../segment/reader.js';
import type { LogRecord } from '../segment/records.js';
import { oneByOne } from './one-by-one.js';

/** A follower that was caught up and finds more than this many records waiting has fallen behind. */
const FELL_BEHIND_RECORDS = 1024;

/** What a stream needs to know of its partition. */
export interface RecordSource {
  readonly partition: number;
  readonly catalogue: Catalogue;
  readonly reader: SegmentReader;
  readonly oldestLsn: number;
  /** Changes whenever the tail is rewound or the log is closed: cursors and LSNs from before may be void. */
  readonly epoch: number;
  /** The lowest LSN that a rewind since that epoch has left as the last one; Infinity where there was none. */
  lowestRewind(since: number): number;
  /** Last LSN that a reader of this level sees. */
  visibleLsn(level: Ack): number;
  /** Resolves once `lsn` is visible. Rejects when the log closes (`ERR_VARVE_CLOSED`), fails, or `signal` aborts. */
  whenVisible(lsn: number, level: Ack, signal: AbortSignal | undefined): Promise<void>;
  /** After damage was met: true if another process has purged segments meanwhile, so that it need not be damage. */
  changedBehind(): Promise<boolean>;
  /** Resolves, at once as a rule, when files may be read; waits for a rewind to end. Rejects when the log is closed. */
  ready(): Promise<void>;
}

/** Records in order. Iterate it, take batches, collect it, or make it an observable; each begins a reading of its own. */
export class RecordStream implements AsyncIterable<LogRecord> {
  readonly #begin: (signal: AbortSignal | undefined) => AsyncGenerator<LogRecord[], void, undefined>;
  readonly #atOnce: (() => LogRecord[] | undefined) | undefined;

  /** `atOnce`: all of it, if it is at hand. */
  constructor(
    begin: (signal: AbortSignal | undefined) => AsyncGenerator<LogRecord[], void, undefined>,
    atOnce?: () => LogRecord[] | undefined,
  ) {
    this.#begin = begin;
    this.#atOnce = atOnce;
  }

  [Symbol.asyncIterator](): AsyncGenerator<LogRecord, void, undefined> {
    return oneByOne(this.#begin(undefined));
  }

  /** The records in arrays as they come off the disk: the fastest way to read. No array is empty. */
  batches(): AsyncGenerator<LogRecord[], void, undefined> {
    return this.#begin(undefined);
  }

  async toArray(): Promise<LogRecord[]> {
    let all = this.#atOnce?.();
    if (all !== undefined) return all;
    for await (const batch of this.#begin(undefined)) {
      if (all === undefined) all = batch;
      else for (const record of batch) all.push(record);
    }
    return all ?? [];
  }

  /** One record after another. Unsubscribing ends the reading. Reads on as fast as it can: it knows no back-pressure. */
  toObservable(): Observable<LogRecord> {
    return new Observable<LogRecord>((subscriber) => {
      const ending = new AbortController();
      const run = async () => {
        for await (const batch of this.#begin(ending.signal)) {
          for (const record of batch) {
            if (subscriber.closed) return;
            subscriber.next(record);
          }
        }
        subscriber.complete();
      };
      run().catch((error: unknown) => subscriber.error(error));
      return () => ending.abort();
    });
  }
}

/** What a follower is doing: delivering what was there before, level with the log, or behind it again. */
export type FollowStatus = 'catchingUp' | 'caughtUp' | 'fellBehind';

/** A stream that goes on with what is appended, until its signal aborts or the log closes. */
export class FollowStream extends RecordStream {
  readonly #status = new BehaviorSubject<FollowStatus>('catchingUp');

  constructor(source: RecordSource, options: FollowOptions) {
    super((signal) =>
      follow(source, options, anySignal(options.signal, signal), (status) => this.#status.next(status)),
    );
  }

  /** The status at once, then each change. Of the latest reading, where the stream is read more than once. */
  readonly status$: Observable<FollowStatus> = this.#status.pipe(distinctUntilChanged());

  get status(): FollowStatus {
    return this.#status.value;
  }

  get caughtUp(): boolean {
    return this.#status.value === 'caughtUp';
  }
}

/** A finite stream, forward or backward. Options have been checked. */
export function readRecords(source: RecordSource, options: ReadOptions): RecordStream {
  const backward = isBackward(options);
  const read = backward ? readBackward : readForward;
  return new RecordStream(
    (signal) => read(source, options, anySignal(options.signal, signal)),
    () => inMemory(source, options, backward),
  );
}

const isBackward = ({ direction }: ReadOptions): boolean => direction === 'backward' || direction === 'backwards';

/** The one record that is asked for, where it is in memory; else it must be read, which also tells why it cannot be. */
function inMemory(source: RecordSource, options: ReadOptions, backward: boolean): LogRecord[] | undefined {
  const { from, to, limit, exclusive, signal } = options;
  if (typeof from !== 'number' || (limit !== 1 && (limit !== undefined || to !== from))) return undefined;
  const lsn = exclusive !== true ? from : backward ? from - 1 : from + 1;
  if (to !== undefined && (backward ? lsn < to : lsn > to)) return undefined;
  if (signal?.aborted || lsn > source.visibleLsn(options.visibility ?? 'durable')) return undefined;
  const segment = source.catalogue.findLsn(lsn);
  const record = segment && source.reader.inMemory(segment, lsn);
  return record && [record];
}

function anySignal(a: AbortSignal | undefined, b: AbortSignal | undefined): AbortSignal | undefined {
  return a === undefined ? b : b === undefined ? a : AbortSignal.any([a, b]);
}

async function* readForward(source: RecordSource, options: ReadOptions, signal: AbortSignal | undefined) {
  const level = options.visibility ?? 'durable';
  signal?.throwIfAborted();
  await source.ready();
  const { epoch } = source;
  const visible = source.visibleLsn(level);
  const from = await firstLsn(source, options.from, options.exclusive === true ? 1 : 0, source.oldestLsn);
  // LSNs are dense, so a limit is a last LSN.
  const to = Math.min(options.to ?? visible, visible, from + (options.limit ?? Number.MAX_SAFE_INTEGER) - 1);
  yield* walkForward(source, epoch, level, from, to, signal);
}

async function* follow(
  source: RecordSource,
  options: FollowOptions,
  signal: AbortSignal | undefined,
  report: (status: FollowStatus) => void,
) {
  const level = options.visibility ?? 'durable';
  signal?.throwIfAborted();
  await source.ready();
  const { epoch } = source;
  let next = await firstLsn(source, options.from, options.exclusive === true ? 1 : 0, source.oldestLsn);
  let caughtUp = false;
  report('catchingUp');
  for (;;) {
    const visible = source.visibleLsn(level);
    refuseRewound(source, epoch, next);
    if (next > visible) {
      caughtUp = true;
      report('caughtUp');
      try {
        await source.whenVisible(next, level, signal);
      } catch (error) {
        // The log was closed in good order: the stream ends, as the log has.
        if (error instanceof VarveError && error.code === 'ERR_VARVE_CLOSED') return;
        throw error;
      }
      continue;
    }
    if (caughtUp && visible - next >= FELL_BEHIND_RECORDS) {
      caughtUp = false;
      report('fellBehind');
    }
    for await (const batch of walkForward(source, epoch, level, next, visible, signal)) {
      next = (batch[batch.length - 1] as LogRecord).lsn + 1;
      yield batch;
    }
  }
}

/** Records [from, upTo] of a stream that began in epoch `since`; fewer where the tail is rewound meanwhile. */
async function* walkForward(
  source: RecordSource,
  since: number,
  level: Ack,
  from: number,
  upTo: number,
  signal: AbortSignal | undefined,
) {
  let next = from;
  while (next <= upTo) {
    signal?.throwIfAborted();
    await source.ready();
    refuseRewound(source, since, next);
    const { epoch } = source;
    const to = Math.min(upTo, source.visibleLsn(level));
    if (next > to) return;
    refusePurged(source, next);
    const segment = source.catalogue.findLsn(next);
    if (segment === undefined) throw outOfRange(source, next);
    segment.pins++;
    try {
      let cursor: ReadCursor | undefined;
      while (next <= to && epoch === source.epoch) {
        cursor ??= await source.reader.seek(segment, next, to - next);
        const last = segment.sealed ? Math.min(to, segment.lastLsn) : to;
        const batch = await source.reader.forward(segment, cursor, segment.end, next, last);
        signal?.throwIfAborted();
        if (epoch !== source.epoch) break; // read while the tail was being rewound: read again
        if (batch.length > 0) {
          next = (batch[batch.length - 1] as LogRecord).lsn + 1;
          yield batch;
        }
        if (next > last) {
          if (segment.sealed && next > segment.lastLsn) break;
        } else if (cursor.offset >= segment.end) {
          const { partition, index, end: offset } = segment;
          throw corruption('A segment ends before its last record', {
            partition,
            segment: index,
            offset,
            firstLsn: next,
          });
        }
      }
    } catch (error) {
      // Else the bytes changed under the reader, by intent: read again.
      if (epoch === source.epoch && !(await source.changedBehind())) throw error;
    } finally {
      segment.pins--;
    }
  }
}

async function* readBackward(source: RecordSource, options: ReadOptions, signal: AbortSignal | undefined) {
  const level = options.visibility ?? 'durable';
  signal?.throwIfAborted();
  await source.ready();
  const visible = source.visibleLsn(level);
  const since = source.epoch;
  let next = Math.min(await firstLsn(source, options.from, options.exclusive === true ? -1 : 0, visible), visible);
  const last = Math.max(options.to ?? 1, next - (options.limit ?? Number.MAX_SAFE_INTEGER) + 1);
  // Unless the caller has named the end, a purge meanwhile only ends the reading earlier.
  const lowest = () => (options.to === undefined ? Math.max(last, source.oldestLsn) : last);
  while (next >= lowest()) {
    signal?.throwIfAborted();
    await source.ready();
    const { epoch } = source;
    // Fewer are left where the tail was rewound meanwhile; what has grown there since was not there when this began.
    next = Math.min(next, source.visibleLsn(level), source.lowestRewind(since));
    if (next < lowest()) return;
    refusePurged(source, next);
    const segment = source.catalogue.findLsn(next);
    if (segment === undefined) throw outOfRange(source, next);
    segment.pins++;
    try {
      const cursor = await frameEnd(source, segment, next, next - lowest());
      while (next >= Math.max(lowest(), segment.baseLsn)) {
        const before = cursor.offset;
        const batch = await source.reader.backward(segment, cursor, lowest(), next);
        signal?.throwIfAborted();
        if (epoch !== source.epoch) break;
        if (batch.length > 0) {
          next = (batch[batch.length - 1] as LogRecord).lsn - 1;
          yield batch;
        } else if (cursor.offset === before) {
          const { partition, index, baseLsn } = segment;
          const place = { partition, segment: index, offset: before, firstLsn: baseLsn, lastLsn: next };
          throw corruption('A segment begins behind its first record', place);
        }
      }
    } catch (error) {
      if (epoch === source.epoch && !(await source.changedBehind())) throw error;
    } finally {
      segment.pins--;
    }
  }
}

/** A cursor behind the frame that holds `lsn`, for reading about `records` backward. */
async function frameEnd(
  source: RecordSource,
  segment: SegmentEntry,
  lsn: number,
  records: number,
): Promise<ReadCursor> {
  if (segment.sealed && lsn === segment.lastLsn) {
    const { window } = await source.reader.seek(segment, lsn, records);
    return { offset: segment.end, lsn: lsn + 1, window };
  }
  const cursor = await source.reader.seek(segment, lsn, records);
  const { window } = cursor;
  while (cursor.lsn <= lsn) {
    const before = cursor.offset;
    await source.reader.forward(segment, cursor, segment.end, lsn, lsn);
    if (cursor.offset === before) throw outOfRange(source, lsn);
  }
  return { ...cursor, window };
}

/** The LSN to begin with: of `from` plus `step`, or `otherwise` where `from` is not given. */
async function firstLsn(
  source: RecordSource,
  from: ReadFrom | undefined,
  step: number,
  otherwise: number,
): Promise<number> {
  if (from === undefined) return otherwise;
  if (typeof from === 'number') {
    if (from + step >= 1) refusePurged(source, from + step);
    return from + step;
  }
  const oldest = source.catalogue.oldest;
  if (oldest !== undefined && from.segmentIndex < oldest.index) {
    throw new VarveError(
      'ERR_VARVE_LSN_PURGED',
      `Segment ${from.segmentIndex} of partition ${source.partition} was purged; the oldest is ${oldest.index}, from LSN ${source.oldestLsn}.`,
      { partition: source.partition, segment: from.segmentIndex, oldest: source.oldestLsn },
    );
  }
  const segment = source.catalogue.findIndex(from.segmentIndex);
  if (segment !== undefined) {
    segment.pins++;
    try {
      const lsn = await source.reader.resolve(segment, from.localOffset, segment.end);
      if (lsn !== undefined) return lsn + step;
    } finally {
      segment.pins--;
    }
  }
  throw new VarveError(
    'ERR_VARVE_LSN_OUT_OF_RANGE',
    `No record of partition ${source.partition} begins at segment ${from.segmentIndex}, offset ${from.localOffset}. Use the position of a record or of an append.`,
    { partition: source.partition, segment: from.segmentIndex, offset: from.localOffset },
  );
}

/** Who has read past where the tail was cut must know: the LSNs behind the cut bear other records now. */
function refuseRewound(source: RecordSource, since: number, next: number): void {
  if (next > source.lowestRewind(since) + 1) throw outOfRange(source, next);
}

function refusePurged(source: RecordSource, lsn: number): void {
  const oldest = source.oldestLsn;
  if (lsn >= oldest) return;
  throw new VarveError(
    'ERR_VARVE_LSN_PURGED',
    `LSN ${lsn} of partition ${source.partition} was purged; the oldest that can be read is ${oldest}.`,
    { partition: source.partition, requested: lsn, oldest },
  );
}

function outOfRange(source: RecordSource, lsn: number): VarveError {
  const newest = source.visibleLsn('written');
  return new VarveError(
    'ERR_VARVE_LSN_OUT_OF_RANGE',
    `LSN ${lsn} of partition ${source.partition} does not exist (any more); the newest is ${newest}.`,
    { partition: source.partition, requested: lsn, oldest: source.oldestLsn, newest },
  );
}
