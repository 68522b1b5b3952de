/** What retention works on, oldest first: the kept files of a partition, then its segments but for the newest. */
import { envelopeKind, KIND_EVENT } from './envelope.js';
import type { IndexLayer } from './index-layer.js';
import type { KeptFile } from './kept-file.js';
import type { RecordedEvent } from './recorded-event.js';
import type { StoreCore, StorePartition } from './store-core.js';

export interface Unit {
  readonly firstSegment: number;
  readonly lastSegment: number;
  readonly firstLsn: number;
  readonly lastLsn: number;
  /** Of the file that are in use. */
  readonly bytes: number;
  readonly layer: IndexLayer;
  /** The kept file; undefined where it is a segment. */
  readonly kept: KeptFile | undefined;
}

/** A segment, or a kept file, that is about to go. */
export interface ArchivedSegment {
  readonly partition: number;
  /** Index in its partition; of a kept file that stands for several, the first. */
  readonly segment: number;
  readonly firstLsn: number;
  readonly lastLsn: number;
  /** Everything in it, in order. Can be iterated until the hook has resolved. */
  readonly events: AsyncIterable<RecordedEvent>;
}

export type ArchiveHook = (segment: ArchivedSegment) => unknown;

export function unitsOf({ log, index, keeper }: StorePartition): Unit[] {
  const units = log.kept.files.map((kept): Unit => {
    const { range, firstLsn, lastLsn, bytes } = kept;
    const { firstSegment, lastSegment } = range;
    return { firstSegment, lastSegment, firstLsn, lastLsn, bytes, layer: keeper.layerOfKept(kept), kept };
  });
  for (const { index: segment, firstLsn, lastLsn, bytes } of log.segments().slice(0, -1)) {
    const layer = index.ofSegment(segment);
    // What is not indexed to its end yet, or ends with what may be an unfinished transaction, counts as the newest.
    if (layer === undefined || layer === index.newest || lastLsn >= log.writtenLsn) break;
    units.push({ firstSegment: segment, lastSegment: segment, firstLsn, lastLsn, bytes, layer, kept: undefined });
  }
  return units;
}

/** Index of the segment behind these units: the newest, or what counts as such. */
export function segmentBehind({ log }: StorePartition, units: readonly Unit[]): number {
  const last = units.filter(({ kept }) => kept === undefined).at(-1);
  return (last === undefined ? log.segments()[0]?.index : last.lastSegment + 1) ?? 0;
}

/** Hands a unit to the hook, and waits for it. */
export async function archive(
  core: StoreCore,
  partition: StorePartition,
  unit: Unit,
  hook: ArchiveHook,
): Promise<void> {
  const { firstSegment: segment, firstLsn, lastLsn } = unit;
  const events = eventsOf(core, partition, unit);
  try {
    await hook({ partition: partition.log.number, segment, firstLsn, lastLsn, events });
  } finally {
    await events.return(undefined); // a reading that was left half-way would hold the segment
  }
}

async function* eventsOf(
  core: StoreCore,
  { log }: StorePartition,
  { firstLsn: from, lastLsn: to }: Unit,
): AsyncGenerator<RecordedEvent> {
  for await (const batch of log.read({ from, to }).batches()) {
    for (const record of batch) if (envelopeKind(record.payload) === KIND_EVENT) yield core.decode(log, record);
  }
}
