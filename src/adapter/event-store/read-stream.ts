/** Reading one stream, by its revisions. */
import { VarveError } from '../../errors.js';
import { type Ack, checkAll, oneOf } from '../../options.js';
import { eitherSignal, PullStream } from '../../streams/pull-stream.js';
import { checkStream } from './event-input.js';
import { READ_STREAM_CHECKS, type ReadStreamOptions } from './event-store-options.js';
import { tombstoned } from './expected-revision.js';
import type { RecordedEvent } from './recorded-event.js';
import type { StoreCore } from './store-core.js';
import { exists, oldestRevision, type StreamMetadata } from './stream-state.js';

/** Events are fetched and handed on in pieces of so many. */
const CHUNK = 256;

/** Of `readStream`. */
export function readStream(core: StoreCore, stream: string, options: ReadStreamOptions): PullStream<RecordedEvent> {
  checkStream(stream, true);
  checkAll(options, READ_STREAM_CHECKS, 'options');
  const backward = options.direction === 'backwards';
  const { fromRevision, toRevision } = options;
  const [low, high] = backward ? [toRevision, fromRevision] : [fromRevision, toRevision];
  return new PullStream((signal) =>
    readStreamEvents(core, stream, {
      from: low === undefined ? 0 : Number(low),
      to: high === undefined ? Number.MAX_SAFE_INTEGER : Number(high),
      backward,
      maxCount: options.maxCount ?? Number.MAX_SAFE_INTEGER,
      ifMissing: options.ifMissing ?? 'empty',
      signal: eitherSignal(options.signal, signal),
    }),
  );
}

/** The newest revision that is written or durable, and metadata; undefined where there is no stream that can be read. */
export async function streamHead(
  core: StoreCore,
  stream: string,
  options: { visibility?: Ack },
): Promise<{ revision: bigint; metadata: StreamMetadata } | undefined> {
  core.refuseClosed();
  checkStream(stream, true);
  checkAll(options, { visibility: oneOf('durable', 'written') }, 'options');
  const state = await core.states.of(stream);
  const head = options.visibility === 'durable' ? await durableRevision(core, stream) : state.head;
  return exists(state, head) ? { revision: BigInt(head), metadata: state.metadata } : undefined;
}

export interface StreamRange {
  readonly from: number;
  readonly to: number;
  readonly backward: boolean;
  readonly maxCount: number;
  readonly ifMissing: 'empty' | 'throw';
  readonly signal: AbortSignal | undefined;
}

/** The durable events of a stream in a range of revisions, in pieces. */
export async function* readStreamEvents(
  core: StoreCore,
  stream: string,
  { from, to, backward, maxCount, ifMissing, signal }: StreamRange,
): AsyncGenerator<RecordedEvent[]> {
  signal?.throwIfAborted();
  core.refuseClosed();
  const state = await core.states.of(stream);
  if (ifMissing === 'throw' && state.metadata.tombstoned) throw tombstoned(stream);
  if (!exists(state)) {
    if (ifMissing === 'throw') throw streamNotFound(stream);
    return;
  }
  const { index, log } = core.partitionOf(stream);
  const durable = log.durableLsn;
  const head = await durableHead(core, stream, state.head, durable);
  const { maxAge } = state.metadata;
  const oldestCreated = maxAge === undefined ? Number.NEGATIVE_INFINITY : core.engine.storage.disk.now() - maxAge;
  let left = maxCount;
  const lowest = Math.max(from, oldestRevision({ ...state, head }));
  for await (const range of index.lsnsOf(stream, lowest, Math.min(to, head), backward)) {
    for (let i = 0; i < range.length && left > 0; ) {
      signal?.throwIfAborted();
      core.refuseClosed();
      const lsns = range.slice(i, i + Math.min(CHUNK, left));
      i += lsns.length;
      const records = await core.records.readKept(log, lsns, signal);
      let events = records.map((record) => core.decode(log, record));
      if (maxAge !== undefined) events = events.filter(({ created }) => created.getTime() >= oldestCreated);
      left -= events.length;
      if (events.length > 0) yield events;
    }
    if (left === 0) return;
  }
  core.refuseClosed(); // closed layers find nothing: what was read may not be all
}

/** The newest durable revision of a stream, now; −1 where there is none. */
export async function durableRevision(core: StoreCore, stream: string): Promise<number> {
  const durable = core.partitionOf(stream).log.durableLsn;
  const { head } = await core.states.of(stream);
  return durableHead(core, stream, head, durable);
}

/** The newest revision up to the LSN `durable` of a stream whose newest one is `head`; −1 where there is none. */
async function durableHead(core: StoreCore, stream: string, head: number, durable: number): Promise<number> {
  const { index, log } = core.partitionOf(stream);
  if (log.writtenLsn <= durable) return head;
  let newest = head;
  for await (const range of index.lsnsOf(stream, 0, head, true)) {
    for (const lsn of range) {
      if (lsn <= durable) return newest;
      newest--;
    }
  }
  return newest;
}

export function streamNotFound(stream: string): VarveError {
  return new VarveError('ERR_VARVE_STREAM_NOT_FOUND', `There is no stream '${stream}', or it was deleted.`, { stream });
}
