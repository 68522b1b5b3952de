/** Committing an append over several partitions; transaction.ts tells why it is all or nothing. */
import { setTimeout } from 'node:timers/promises';
import { VarveError } from '../../errors.js';
import { type Batch, makeBatch, type PlacedWrite, placeWrite } from './batch.js';
import type { CommitLane } from './commit-lane.js';
import { checkExpected } from './expected-revision.js';
import type { StoreCore, StorePartition } from './store-core.js';
import type { StreamState } from './stream-state.js';
import type { Committed, StreamWrite } from './stream-write.js';
import { encodeTransaction, type TransactionPart } from './transaction.js';

/** What waits for space is tried again after so many milliseconds. */
const SPACE_POLL_MS = 20;

/** What a transaction appends to one partition. */
interface Share {
  readonly partition: StorePartition;
  readonly batch: Batch;
  readonly payloads: Buffer[];
  readonly states: Map<string, StreamState>;
}

/**
 * Rejects as an append to one partition does. After the deciding record it can only fail with a partition, or with the
 * store's end; its partitions then take nothing more, so that the next open finds what it must bring to its end.
 */
export function appendTransaction(core: StoreCore, writes: readonly StreamWrite[]): Promise<readonly Committed[]> {
  const concerned = new Set(writes.map(({ stream }) => core.partitionOf(stream)));
  const partitions = [...concerned].sort((a, b) => a.log.number - b.log.number);
  const lanes = partitions.map(({ lane }) => lane);
  return holding(lanes, () => commit(core, writes, partitions));
}

/** Runs `work` while nothing else is committed in any of the lanes. Always taken in the same order: no two block each other. */
export function holding<T>([first, ...rest]: readonly CommitLane[], work: () => Promise<T>): Promise<T> {
  return first === undefined ? work() : first.alone(() => holding(rest, work));
}

async function commit(
  core: StoreCore,
  writes: readonly StreamWrite[],
  partitions: readonly StorePartition[],
): Promise<readonly Committed[]> {
  const states = await Promise.all(writes.map(({ stream }) => core.states.of(stream)));
  const earlier = await findEarlier(core, writes, states);
  // A crash must not take what lies before the events in their partitions, once the deciding record is durable. And who is
  // refused, and reads to try again, must see what for.
  await Promise.all(partitions.map(({ log }) => log.whenDurable()));
  if (earlier !== undefined) return earlier;
  checkExpected(writes, states);
  const places = writes.map((write, i) => placeWrite(write, states[i] as StreamState));
  const shares = share(core, places, states);
  try {
    await append(core, shares);
  } catch (error) {
    if (error instanceof VarveError && WRITES_NOTHING.has(error.code)) throw error;
    const cause = error instanceof Unfinished ? error.cause : error;
    for (const { lane, log } of partitions) lane.stop(unfinished(log.number, cause));
    throw cause;
  } finally {
    for (const { batch } of shares) core.settled(batch);
  }
  return places;
}

/** An append with these was refused before anything of it was written. */
const WRITES_NOTHING: ReadonlySet<string> = new Set([
  'ERR_VARVE_NO_SPACE',
  'ERR_VARVE_RECORD_TOO_LARGE',
  'ERR_VARVE_BACKPRESSURE',
  'ERR_VARVE_INVALID_OPTION',
]);

/** The deciding record is durable, and what it decided could not be done. */
class Unfinished extends Error {}

/** The log may end in what must be brought to its end before anything else is appended. */
function unfinished(partition: number, cause: unknown): VarveError {
  return new VarveError(
    'ERR_VARVE_PARTITION_FAILED',
    `An append over several partitions, ${partition} among them, was not brought to its end. ` +
      'Close the store and open it again: that brings it to its end, or shows that it never began.',
    { partition },
    cause,
  );
}

async function findEarlier(
  core: StoreCore,
  writes: readonly StreamWrite[],
  states: readonly StreamState[],
): Promise<readonly Committed[] | undefined> {
  const found: Committed[] = [];
  for (const [i, write] of writes.entries()) {
    const state = states[i] as StreamState;
    if (write.events.length === 0) {
      found.push(placeWrite(write, state));
      continue;
    }
    if (!write.idsGiven || !core.earlier.mayHave(write, state)) return undefined;
    const committed = await core.earlier.find(write, state);
    if (committed === undefined) return undefined;
    found.push(committed);
  }
  return found;
}

/** Sorts the writes by partition, and gives every event its place. Only streams with events have a share. */
function share(core: StoreCore, places: readonly PlacedWrite[], states: readonly StreamState[]): Share[] {
  const shares: Share[] = [];
  for (const partition of new Set(places.map(({ write }) => core.partitionOf(write.stream)))) {
    const touched = new Map<string, StreamState>();
    const writes: PlacedWrite[] = [];
    let count = 0;
    for (const [i, placed] of places.entries()) {
      const { stream, events } = placed.write;
      if (events.length === 0 || core.partitionOf(stream) !== partition) continue;
      touched.set(stream, states[i] as StreamState);
      writes.push(placed);
      count += events.length;
    }
    if (count === 0) continue;
    shares.push({ partition, states: touched, ...makeBatch(core, partition.log.number, writes, count) });
  }
  return shares;
}

async function append(core: StoreCore, [first, ...others]: readonly Share[]): Promise<void> {
  if (first === undefined) return;
  const appendTo = async ({ partition, batch, payloads, states }: Share, more: readonly Buffer[]) => {
    const { firstLsn, position } = await partition.log.appendBatch([...payloads, ...more]);
    for (const { write, nextRevision } of batch.writes) {
      const state = states.get(write.stream) as StreamState;
      state.nextHead = nextRevision - 1;
      state.head = state.nextHead;
    }
    core.appended(batch, states, firstLsn, position.segmentIndex);
  };
  if (others.length === 0) return appendTo(first, []);
  const parts = others.map(({ partition: { log }, payloads }): TransactionPart => {
    return { partition: log.number, firstLsn: log.writtenLsn + 1, payloads };
  });
  const last = others[others.length - 1] as Share;
  const lastPosition = last.batch.firstPosition + last.payloads.length - 1;
  await appendTo(first, [encodeTransaction(core.options.partitions, lastPosition, parts)]);
  const done = await Promise.allSettled(others.map((other) => insist(core, () => appendTo(other, []))));
  for (const result of done) {
    if (result.status === 'rejected') throw new Unfinished('', { cause: result.reason });
  }
}

/** What is decided cannot be refused for want of space: it waits until space returns. */
async function insist(core: StoreCore, append: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await append();
    } catch (error) {
      if (!(error instanceof VarveError) || error.code !== 'ERR_VARVE_NO_SPACE' || core.closed) throw error;
      await setTimeout(SPACE_POLL_MS);
    }
  }
}
