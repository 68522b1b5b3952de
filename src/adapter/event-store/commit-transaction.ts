/** Committing an append over several partitions; transaction.ts tells why it is all or nothing. */
import { type Batch, type CommitLane, type Committed, checkAll, type StreamWrite } from './commit-lane.js';
import type { EnginePartition } from './engine.js';
import { place } from './envelope.js';
import type { StoreCore, StorePartition } from './store-core.js';
import type { StreamState } from './stream-state.js';
import { encodeTransaction, type TransactionPart } from './transaction.js';

/** What a transaction appends to one partition. */
interface Share {
  readonly partition: StorePartition;
  readonly batch: Batch;
  readonly payloads: Buffer[];
  readonly states: Map<string, StreamState>;
}

/** Rejects as an append to one partition does; after the deciding record it can only fail with a partition. */
export function appendTransaction(core: StoreCore, writes: readonly StreamWrite[]): Promise<readonly Committed[]> {
  const partitions = new Set(writes.map(({ stream }) => core.partitionOf(stream)));
  const lanes = [...partitions].sort((a, b) => a.log.number - b.log.number).map(({ lane }) => lane);
  return holding(lanes, () => commit(core, writes));
}

/** Runs `work` while nothing else is committed in any of the lanes. Always taken in the same order: no two block each other. */
function holding<T>([first, ...rest]: readonly CommitLane[], work: () => Promise<T>): Promise<T> {
  return first === undefined ? work() : first.alone(() => holding(rest, work));
}

async function commit(core: StoreCore, writes: readonly StreamWrite[]): Promise<readonly Committed[]> {
  const states = await Promise.all(writes.map(({ stream }) => core.state(stream)));
  const earlier = await findEarlier(core, writes, states);
  if (earlier !== undefined) return earlier;
  checkAll(writes, states);
  // A crash must not take what lies before the events in their partitions, once the deciding record is durable.
  await Promise.all([...new Set(writes.map(({ stream }) => core.partitionOf(stream).log))].map(durable));
  const shares = share(core, writes, states);
  try {
    await append(core, shares);
  } finally {
    for (const { batch } of shares) core.settled(batch);
  }
  return results(writes, states, shares);
}

async function durable(log: EnginePartition): Promise<void> {
  if (log.writtenLsn > log.durableLsn) await log.waitFor(log.writtenLsn);
}

async function findEarlier(
  core: StoreCore,
  writes: readonly StreamWrite[],
  states: readonly StreamState[],
): Promise<readonly Committed[] | undefined> {
  const found: Committed[] = [];
  for (const [i, write] of writes.entries()) {
    const state = states[i] as StreamState;
    const nextRevision = state.head + 1;
    if (write.events.length === 0) {
      found.push({ firstRevision: nextRevision, nextRevision, firstPosition: 0, lastLsn: 0, created: false });
      continue;
    }
    if (!write.idsGiven || !core.mayBeKnown(write, state)) return undefined;
    const committed = await core.findEarlier(write, state);
    if (committed === undefined) return undefined;
    found.push(committed);
  }
  return found;
}

/** Gives every event its place, and sorts the events by partition. Only streams with events have a share. */
function share(core: StoreCore, writes: readonly StreamWrite[], states: readonly StreamState[]): Share[] {
  const shares: Share[] = [];
  for (const partition of new Set(writes.map(({ stream }) => core.partitionOf(stream)))) {
    const touched = new Map<string, StreamState>();
    const batched: Batch['writes'][number][] = [];
    const payloads: Buffer[] = [];
    for (const [i, write] of writes.entries()) {
      if (write.events.length === 0 || core.partitionOf(write.stream) !== partition) continue;
      const state = states[i] as StreamState;
      touched.set(write.stream, state);
      batched.push({ write, firstRevision: state.head + 1 });
      for (const { bytes } of write.events) payloads.push(bytes);
    }
    if (payloads.length === 0) continue;
    const { batch, created } = core.begin(partition.log.number, batched, payloads.length);
    let position = batch.firstPosition;
    for (const { write, firstRevision } of batched) {
      let revision = firstRevision;
      for (const { bytes } of write.events) place(bytes, position++, revision++, created);
    }
    shares.push({ partition, batch, payloads, states: touched });
  }
  return shares;
}

async function append(core: StoreCore, [first, ...others]: readonly Share[]): Promise<void> {
  if (first === undefined) return;
  const appendTo = async ({ partition, batch, payloads, states }: Share, more: readonly Buffer[]) => {
    const { firstLsn, position } = await partition.log.appendBatch([...payloads, ...more]);
    for (const { write } of batch.writes) {
      const state = states.get(write.stream) as StreamState;
      state.nextHead += write.events.length;
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
  await Promise.all(others.map((other) => appendTo(other, [])));
}

function results(
  writes: readonly StreamWrite[],
  states: readonly StreamState[],
  shares: readonly Share[],
): readonly Committed[] {
  const firstPositions = new Map<StreamWrite, { firstPosition: number; firstRevision: number }>();
  for (const { batch } of shares) {
    let position = batch.firstPosition;
    for (const { write, firstRevision } of batch.writes) {
      firstPositions.set(write, { firstPosition: position, firstRevision });
      position += write.events.length;
    }
  }
  return writes.map((write, i) => {
    const nextRevision = (states[i] as StreamState).head + 1;
    const { firstPosition, firstRevision } = firstPositions.get(write) ?? {
      firstPosition: 0,
      firstRevision: nextRevision,
    };
    return {
      firstRevision,
      nextRevision,
      firstPosition,
      lastLsn: 0,
      created: write.events.length > 0 && firstRevision === 0,
    };
  });
}
