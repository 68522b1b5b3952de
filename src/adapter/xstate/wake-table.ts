/**
 * Which actors have something to do though nothing is sent to them: what the newest entry of each journal says.
 *
 * It is found by reading the journals from the beginning once; then it is kept as events of a stream of its own, with a
 * checkpoint, and the next host reads on from there. It is derived: without it reading begins at the beginning again.
 *
 *     varve.actors-<machines>    page { pages: 3, streams } · page { … } · page { …, checkpoint }
 */
import { VarveError } from '../../errors.js';
import type { EventStore } from '../event-store/event-store.js';
import { metadataOf } from './entries.js';

export interface WakeTable {
  /** By stream: when, in milliseconds of the host's clock; 0: at once. */
  readonly earliest: ReadonlyMap<string, number>;
  /** By stream: how many of its messages are parked, where there are any. */
  readonly parked: ReadonlyMap<string, number>;
  /** Time of the newest entry. */
  readonly lastSeen: number;
}

interface Page {
  readonly checkpoint: string;
  readonly lastSeen: number;
  /** The pages that make the table, this one included, and the number of this one, from 1. */
  readonly pages: number;
  readonly page: number;
  /** Each with its moment, or null, and the number of its parked messages, where there are any. */
  readonly streams: readonly Row[];
}

type Row = readonly [stream: string, wake: number | null, parked?: number];

const CATEGORY = 'varve.actors';
const STREAMS_OF_A_PAGE = 500;
/** What costs less to read again than to keep. */
const WORTH_KEEPING = 10_000;

/** Times that it is begun anew where a purge takes away what is to be read next. */
const BEGINNINGS = 3;

export async function readWakeTable(
  store: EventStore,
  machines: readonly string[],
  worthKeeping = WORTH_KEEPING,
): Promise<WakeTable> {
  const own = `${CATEGORY}-${[...machines].sort().join('+')}`;
  let kept = await readKept(store, own);
  for (let beginning = 1; ; beginning++) {
    try {
      return await readOn(store, own, machines, kept, worthKeeping);
    } catch (error) {
      // The newest entry of each journal is there, whatever was purged before it: the table is made of those that are.
      const purged = error instanceof VarveError && error.code === 'ERR_VARVE_LSN_PURGED';
      if (!purged || beginning === BEGINNINGS) throw error;
      kept = undefined;
    }
  }
}

async function readOn(
  store: EventStore,
  own: string,
  machines: readonly string[],
  kept: Kept | undefined,
  worthKeeping: number,
): Promise<WakeTable> {
  const earliest = new Map<string, number>();
  const parked = new Map<string, number>();
  for (const [stream, wake, count] of kept?.streams ?? []) {
    if (wake !== null) earliest.set(stream, wake);
    if (count !== undefined) parked.set(stream, count);
  }
  let lastSeen = kept?.lastSeen ?? 0;
  if (machines.length === 0) return { earliest, parked, lastSeen };
  // What comes while this is read is read again the next time.
  const checkpoint = store.checkpoint();
  const from = kept === undefined ? 'start' : { checkpoint: kept.checkpoint };
  let read = 0;
  for await (const batch of store.readAll({ from, filter: { categories: machines } }).batches()) {
    read += batch.length;
    for (const event of batch) {
      const { kind, at, wake, parked: count } = metadataOf(event);
      lastSeen = Math.max(lastSeen, at);
      if (kind === 'emitted' || kind === 'message') continue;
      if (wake === undefined) earliest.delete(event.stream);
      else earliest.set(event.stream, wake);
      if (count === undefined) parked.delete(event.stream);
      else parked.set(event.stream, count);
    }
  }
  if (read >= worthKeeping) await keep(store, own, { checkpoint, lastSeen, streams: rows(earliest, parked) });
  return { earliest, parked, lastSeen };
}

function rows(earliest: ReadonlyMap<string, number>, parked: ReadonlyMap<string, number>): Row[] {
  const streams = new Set([...earliest.keys(), ...parked.keys()]);
  return Array.from(streams, (stream): Row => {
    const count = parked.get(stream);
    const wake = earliest.get(stream) ?? null;
    return count === undefined ? [stream, wake] : [stream, wake, count];
  });
}

type Kept = Pick<Page, 'checkpoint' | 'lastSeen' | 'streams'>;

async function readKept(store: EventStore, own: string): Promise<Kept | undefined> {
  const streams: Row[] = [];
  let first: Page | undefined;
  let left = 0;
  for await (const { data } of store.readStream(own, { direction: 'backwards' })) {
    const page = data as Page;
    if (first === undefined) {
      if (page.page !== page.pages) return undefined; // it was not brought to its end
      first = page;
      left = page.pages;
    }
    streams.push(...page.streams);
    if (--left === 0) return { ...first, streams };
  }
  return undefined;
}

async function keep(store: EventStore, own: string, { streams, ...rest }: Kept): Promise<void> {
  const pages = Math.max(1, Math.ceil(streams.length / STREAMS_OF_A_PAGE));
  let oldest = 0n;
  for (let page = 1; page <= pages; page++) {
    const data: Page = {
      ...rest,
      pages,
      page,
      streams: streams.slice((page - 1) * STREAMS_OF_A_PAGE, page * STREAMS_OF_A_PAGE),
    };
    const { nextExpectedRevision } = await store.appendToStream(own, { type: 'page', data });
    if (page === 1) oldest = nextExpectedRevision;
  }
  await store.truncateStream(own, oldest);
}
