/**
 * Which streams there are, in the order of their first events: partition by partition, and in each by LSN.
 *
 * Streams are found by the segment that their oldest event is in. Of a segment's streams no more are held in memory than
 * are asked for, so memory does not grow with their number. New streams come behind all others of their partition, so a
 * page goes on where the one before ended, whatever is appended in between.
 */
import { checkAll, invalid } from '../../options.js';
import { PullStream } from '../../streams/pull-stream.js';
import { decodeHead } from './envelope.js';
import { LIST_CHECKS, type ListStreamsOptions } from './event-store-options.js';
import type { IndexLayer } from './index-layer.js';
import type { StoreCore, StorePartition } from './store-core.js';
import type { StoreLog } from './store-log.js';
import { exists } from './stream-state.js';

export interface ListedStream {
  readonly stream: string;
  /** Of the oldest event that the log has. */
  readonly firstPosition: bigint;
  /** Of the newest event. */
  readonly revision: bigint;
}

export interface StreamPage {
  readonly streams: readonly ListedStream[];
  /** Give it as `after` to get what follows, which may be nothing; undefined where there is no more. */
  readonly next: string | undefined;
}

/** Behind the streams of a partition that begin at `lsn` or before. */
interface ListPlace {
  readonly partition: number;
  readonly lsn: number;
}

const LIST_START: ListPlace = { partition: 1, lsn: 0 };

/** Reads a page's `next`. Throws `ERR_VARVE_INVALID_OPTION`. */
function parseListPlace(token: string, partitions: number): ListPlace {
  const match = typeof token === 'string' ? /^(\d{1,4})-(\d{1,16})$/.exec(token) : null;
  const [partition, lsn] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || partition < 1 || partition > partitions || !Number.isSafeInteger(lsn)) {
    throw invalid('after', token, 'what an earlier page has given as next');
  }
  return { partition, lsn };
}

/** One page. */
export async function listStreams(core: StoreCore, options: ListStreamsOptions): Promise<StreamPage> {
  core.refuseClosed();
  checkAll(options, LIST_CHECKS, 'options');
  const { prefix = '', after, limit = 1000, system = false } = options;
  const streams: ListedStream[] = [];
  let { partition, lsn } = after === undefined ? LIST_START : parseListPlace(after, core.options.partitions);
  while (partition <= core.options.partitions) {
    const wanted = { prefix, system, limit: limit - streams.length };
    const { found, last } = await nextStreams(core, core.partitions[partition - 1] as StorePartition, lsn, wanted);
    streams.push(...found);
    if (last === undefined) [partition, lsn] = [partition + 1, 0];
    else lsn = last;
    if (streams.length === limit) return { streams, next: `${partition}-${lsn}` };
  }
  return { streams, next: undefined };
}

/** Page by page. */
export function streams(core: StoreCore, options: ListStreamsOptions): PullStream<ListedStream> {
  checkAll(options, LIST_CHECKS, 'options');
  return new PullStream(async function* (signal) {
    let { after } = options;
    do {
      signal?.throwIfAborted();
      const page = await listStreams(core, after === undefined ? options : { ...options, after });
      if (page.streams.length > 0) yield [...page.streams];
      after = page.next;
    } while (after !== undefined);
  });
}

interface Wanted {
  readonly prefix: string;
  readonly limit: number;
  readonly system: boolean;
}

interface FirstEvent {
  readonly stream: string;
  readonly lsn: number;
}

/** Streams of the first segment that has any behind `after`, and the LSN up to which that is all; none at the end. */
async function nextStreams(
  core: StoreCore,
  { log, index }: StorePartition,
  after: number,
  wanted: Wanted,
): Promise<{ found: ListedStream[]; last: number | undefined }> {
  const layers = [...index.layers];
  for (const [i, layer] of layers.entries()) {
    if (layer.lastLsn <= after) continue;
    core.refuseClosed();
    const isOlder = (stream: string) => isIn(core, log, layers.slice(0, i), stream);
    const firsts = await firstEventsIn(layer, isOlder, after, log.durableLsn, wanted);
    const last = firsts.at(-1)?.lsn;
    if (last === undefined) continue;
    const found: ListedStream[] = [];
    const lsns = firsts.map(({ lsn }) => lsn);
    const records = await core.records.readKept(log, lsns);
    const positions = new Map(records.map(({ lsn, payload }) => [lsn, decodeHead(payload).position]));
    for (const { stream, lsn } of firsts) {
      const state = await core.states.of(stream);
      const position = positions.get(lsn); // else it was purged meanwhile, and a later event is the oldest
      if (exists(state) && position !== undefined) {
        found.push({ stream, firstPosition: BigInt(position), revision: BigInt(state.head) });
      }
    }
    return { found, last };
  }
  return { found: [], last: undefined };
}

/** The first `limit` streams behind `after` whose oldest event is in this layer, in order. */
async function firstEventsIn(
  layer: IndexLayer,
  isOlder: (stream: string) => Promise<boolean>,
  after: number,
  durable: number,
  { prefix, limit, system }: Wanted,
): Promise<FirstEvent[]> {
  let firsts: FirstEvent[] = [];
  let highest = durable;
  const cut = () => {
    firsts = firsts.sort((a, b) => a.lsn - b.lsn).slice(0, limit);
    if (firsts.length === limit) highest = (firsts.at(-1) as FirstEvent).lsn;
  };
  for await (const [stream, { firstRevision, lsns }] of layer.streams(prefix)) {
    const lsn = lsns[0] as number;
    if (lsn <= after || lsn > highest) continue;
    if (!system && stream.startsWith('$')) continue;
    if (firstRevision > 0 && (await isOlder(stream))) continue;
    firsts.push({ stream, lsn });
    if (firsts.length >= 2 * limit) cut();
  }
  cut();
  return firsts;
}

/**
 * True if the stream has events in one of these layers; the newest is the likeliest. A layer may be that of a segment that
 * has just been purged: what it tells of is gone, and the stream comes up where its oldest event is now.
 */
async function isIn(
  { records }: StoreCore,
  log: StoreLog,
  layers: readonly IndexLayer[],
  stream: string,
): Promise<boolean> {
  for (let i = layers.length - 1; i >= 0; i--) {
    const lsn = (await (layers[i] as IndexLayer).find({ kind: 'stream', name: stream }))?.lsns.at(-1);
    if (lsn === undefined) continue;
    if (lsn >= log.keptBelow || (await records.readKept(log, [lsn])).length > 0) return true;
  }
  return false;
}
