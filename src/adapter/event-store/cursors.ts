/** Where the reading of all partitions begins: as users name it, and as cursors. */
import { VarveError } from '../../errors.js';
import { invalid } from '../../options.js';
import type { EngineRecord } from './engine.js';
import { envelopePosition } from './envelope.js';
import type { AllFrom } from './event-store-options.js';
import { type Checkpoint, checkPosition, parseCheckpoint, parsePosition } from './position.js';
import type { StoreCore, StorePartition } from './store-core.js';
import type { StoreLog } from './store-log.js';

/** By partition: the next LSN to read forward, or the LSN behind the next one backward. */
export type Cursors = number[];

/** A number is a position. */
export type CheckedFrom = 'start' | 'end' | number | { readonly lsns: Checkpoint };

/** Throws `ERR_VARVE_INVALID_OPTION`. */
export function checkFrom(core: StoreCore, from: AllFrom): CheckedFrom {
  if (from === 'start' || from === 'end') return from;
  if (typeof from === 'bigint') return Number(checkPosition(from));
  if (typeof from === 'string') return Number(parsePosition(from));
  if (typeof from === 'object' && from !== null) {
    return { lsns: parseCheckpoint(from.checkpoint, core.options.partitions) };
  }
  throw invalid('from', from, "'start', 'end', a position or a checkpoint");
}

/** Behind everything that is durable now. */
export function durableCheckpoint(core: StoreCore): Checkpoint {
  return core.partitions.map(({ log }) => log.durableLsn);
}

/** Behind everything up to a position, that one included, as far as it is durable. */
export async function checkpointAt(core: StoreCore, position: bigint | string): Promise<Checkpoint> {
  const upTo = checkFrom(core, position);
  if (typeof upTo !== 'number') throw invalid('position', position, 'a position');
  const cursors = await cursorsOf(core, upTo + 1);
  return durableCheckpoint(core).map((lsn, i) => Math.min((cursors[i] as number) - 1, lsn));
}

export async function cursorsOf(core: StoreCore, from: CheckedFrom, backward = false): Promise<Cursors> {
  if (from === 'start') return core.partitions.map(({ log }) => log.oldestLsn);
  if (typeof from === 'number') return seekPosition(core, backward ? from + 1 : from);
  return cursorsBehind(from === 'end' ? durableCheckpoint(core) : from.lsns);
}

export function cursorsBehind(checkpoint: Checkpoint): Cursors {
  return checkpoint.map((lsn) => lsn + 1);
}

/** Cursors before the first event with a position of at least `position`. */
async function seekPosition(core: StoreCore, position: number): Promise<Cursors> {
  return Promise.all(core.partitions.map((partition) => seekIn(core, partition, position)));
}

async function seekIn(core: StoreCore, { log }: StorePartition, position: number): Promise<number> {
  let low = log.oldestLsn;
  let high = log.writtenLsn + 1;
  if (core.options.partitions === 1) return Math.min(Math.max(position, low), high);
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    // The first one from there on: not every LSN has a record in kept files.
    const record = await firstFrom(log, middle, high - 1);
    if (record === undefined) high = middle;
    else if (envelopePosition(record.payload) < position) low = record.lsn + 1;
    else high = middle;
  }
  return low;
}

/** The first record of a range: not every LSN has one in kept files. */
async function firstFrom(log: StoreLog, from: number, to: number): Promise<EngineRecord | undefined> {
  for (;;) {
    const oldest = log.oldestLsn;
    try {
      const range = { from: Math.max(from, oldest), to, limit: 1, visibility: 'written' as const };
      return (await log.read(range).toArray())[0];
    } catch (error) {
      const purged = error instanceof VarveError && error.code === 'ERR_VARVE_LSN_PURGED';
      if (!purged || log.oldestLsn === oldest) throw error;
    }
  }
}
