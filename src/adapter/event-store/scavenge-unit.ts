/**
 * Scavenging one segment, or rewriting one kept file: what is alive goes into a kept file of its own, or of it and the
 * one before, and the rest is given up. A crash at any moment leaves all of it as it was, or as it is to be:
 *
 *   1  metadata that take the place of newest events which are dead are appended, durably (carry-over.ts)
 *   2  a file is written with the events that are alive; what that was decided by becomes durable, then the file, then its
 *      name. As long as the log has the segment, a file that reaches into it counts for nothing
 *   3  the log gives the segment up: this decides. Of a kept file that is rewritten, the new name decides
 *   4  what the new file has taken the place of is removed
 *
 * Of each stream, what is left is always a suffix of its revisions: an event stays where an older one has stayed.
 */
import { carryOver, type NewestHere } from './carry-over.js';
import { decodeHead, envelopeCreated, KIND_EVENT } from './envelope.js';
import { type IndexLayer, MemoryLayer } from './index-layer.js';
import type { KeptFile } from './kept-file.js';
import type { KeptWriter } from './kept-writer.js';
import type { Pace } from './pace.js';
import { isDeadEvent, isNewestEvent, isNewestMetadata } from './retention.js';
import type { StoreCore, StorePartition } from './store-core.js';
import { isMetadataStream, type StreamMetadata, streamOfMetadata } from './stream-state.js';
import { type ArchiveHook, archive, type Unit } from './units.js';

export interface UnitRequest {
  /** Ages are those of this moment. Milliseconds since the epoch. */
  readonly now: number;
  readonly pace: Pace;
  readonly archive: ArchiveHook | undefined;
  readonly signal: AbortSignal | undefined;
}

export interface UnitResult {
  /** That were left out. */
  readonly events: number;
  /** Out of the segment. */
  readonly movedEvents: number;
  readonly writtenBytes: number;
}

/** Undefined, and nothing is changed, where a reader is inside of the segment. `before`: the kept file to be written anew with it. */
export async function scavengeUnit(
  core: StoreCore,
  partition: StorePartition,
  unit: Unit,
  before: Unit | undefined,
  request: UnitRequest,
): Promise<UnitResult | undefined> {
  const { log } = partition;
  const units = before === undefined ? [unit] : [before, unit];
  const first = units[0] as Unit;
  if (unit.kept === undefined && request.archive !== undefined) await archive(core, partition, unit, request.archive);
  const carried = (newest: NewestHere) => deadNewest(core, partition, newest, request.now);
  for (const { layer } of units) await carryOver(core, partition, layer, { ...request, carried });
  const { copied, file } = await writeKept(core, partition, unit, first, request);
  const old = units.flatMap(({ kept }) => kept ?? []);
  log.kept.exchange(old, file === undefined ? [] : [file]);
  if (unit.kept === undefined && !(await giveUp(partition, unit, old, file))) return undefined;
  log.kept.leave(old);
  await settle(partition, file);
  return { ...copied, writtenBytes: file?.bytes ?? 0 };
}

/** Writes, from `first` to `unit`, what is alive: a file that counts for nothing yet, and its index. No file where nothing is. */
async function writeKept(
  core: StoreCore,
  partition: StorePartition,
  unit: Unit,
  { firstSegment, firstLsn }: Unit,
  request: UnitRequest,
): Promise<{ copied: Copied; file: KeptFile | undefined }> {
  const { log, keeper, lane } = partition;
  const { lastSegment, lastLsn } = unit;
  const writer = await log.kept.create(firstSegment, lastSegment);
  const layer = new MemoryLayer(lastSegment);
  try {
    const copied = await copyLiving(core, partition, firstLsn, lastLsn, { unit, writer, layer, ...request });
    await lane.insert(async () => []); // what was decided by is durable
    request.signal?.throwIfAborted();
    if (writer.records === 0) return { copied, file: undefined };
    const { storeId } = core.engine.storage;
    await writer.finish({ storeId, firstLsn, lastLsn });
    await writer.publish();
    const file = await log.kept.published(writer);
    await keeper.addKept(file, layer);
    return { copied, file };
  } catch (error) {
    log.kept.leave([writer.range]); // it may have its name
    throw error;
  } finally {
    await writer.abandon();
  }
}

/** Has the log give a segment up; where it does not, everything is as before, and the answer is false. */
async function giveUp(
  partition: StorePartition,
  { lastLsn }: Unit,
  old: readonly KeptFile[],
  file: KeptFile | undefined,
): Promise<boolean> {
  const { log, keeper } = partition;
  const files = file === undefined ? [] : [file];
  try {
    if ((await log.purgeBefore(lastLsn + 1)).segments > 0) return true;
  } catch (error) {
    // Whether it is decided here, the log says. It may be on the disk in any case: the next open finds out what counts.
    const decided = log.keptBelow > lastLsn;
    if (!decided) log.kept.exchange(files, old);
    log.kept.leave(decided ? old : files);
    await keeper.moved(decided ? file : undefined);
    throw error;
  }
  log.kept.exchange(files, old);
  log.kept.leave(files);
  await settle(partition);
  return false;
}

/** Brings to its end what has been decided: `next` holds what is left of what is gone. */
async function settle({ log, keeper }: StorePartition, next?: KeptFile): Promise<void> {
  await keeper.moved(next);
  await log.kept.settle();
  await log.kept.clean();
}

/** Gives up a kept file in which nothing is alive. */
export async function removeKept(partition: StorePartition, kept: KeptFile): Promise<void> {
  const { log } = partition;
  log.kept.exchange([kept], []);
  log.kept.leave([kept]);
  await settle(partition);
}

/** The metadata that a stream needs so that its newest event, which is dead, can be left out. */
async function deadNewest(
  core: StoreCore,
  { log }: StorePartition,
  { ofMetadata, revision, lsn, state }: NewestHere,
  now: number,
): Promise<StreamMetadata | undefined> {
  if (ofMetadata || !isNewestEvent(revision, state)) return undefined;
  const byAge = state.metadata.maxAge !== undefined;
  const [record] = byAge ? await core.records.readKept(log, [lsn]) : [];
  const created = record === undefined ? Number.POSITIVE_INFINITY : envelopeCreated(record.payload);
  return isDeadEvent(revision, created, state, now) ? { ...state.metadata, head: state.head } : undefined;
}

type Copied = Pick<UnitResult, 'events' | 'movedEvents'>;

interface Copy extends UnitRequest {
  readonly unit: Unit;
  readonly writer: KeptWriter;
  readonly layer: MemoryLayer;
}

/** Copies the events that are alive. */
async function copyLiving(
  core: StoreCore,
  partition: StorePartition,
  from: number,
  to: number,
  { unit, writer, layer, now, pace, signal }: Copy,
): Promise<Copied> {
  const { log, keeper } = partition;
  const older = log.kept.files.filter((kept) => kept.lastLsn < from).map((kept) => keeper.layerOfKept(kept));
  const left = new Map<string, boolean>();
  let [events, movedEvents] = [0, 0];
  for await (const batch of log.read({ from, to, visibility: 'written' }).batches()) {
    signal?.throwIfAborted();
    core.refuseClosed();
    let bytes = 0;
    for (const record of batch) {
      const { payload } = record;
      bytes += payload.length;
      const { kind, stream, revision, type, tags } = decodeHead(payload);
      if (kind !== KIND_EVENT) continue;
      if (await isKept(stream, revision, envelopeCreated(payload))) {
        bytes += payload.length;
        writer.add(record);
        layer.add(record.lsn, stream, revision, type, tags);
        if (unit.kept === undefined && record.lsn >= unit.firstLsn) movedEvents++;
      } else events++;
    }
    await pace.spend(bytes);
  }
  return { events, movedEvents };

  async function isKept(stream: string, revision: number, created: number): Promise<boolean> {
    if (isMetadataStream(stream)) return isNewestMetadata(revision, await core.states.of(streamOfMetadata(stream)));
    const state = await core.states.of(stream);
    if (!isDeadEvent(revision, created, state, now) || isNewestEvent(revision, state)) return true;
    if (layer.find({ kind: 'stream', name: stream }) !== undefined) return true;
    const isLeft = left.get(stream) ?? (await isIn(older, stream));
    left.set(stream, isLeft);
    return isLeft;
  }
}

async function isIn(layers: readonly IndexLayer[], stream: string): Promise<boolean> {
  for (const layer of layers) if ((await layer.find({ kind: 'stream', name: stream })) !== undefined) return true;
  return false;
}
