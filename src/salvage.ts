/** Salvage, as users call it. */
import { resolve } from 'node:path';
import type { Disk } from './disk/disk.js';
import { realDisk } from './disk/real-disk.js';
import { asVarveError } from './errors.js';
import { checkAll, checkPartition, diskCheck, invalid, pathCheck } from './options.js';
import { type Salvaged, salvageSegments } from './segment/salvage.js';

export interface SalvageOptions {
  /** Directory of the log. Nothing in it is changed; close the log first. */
  directory: string;
  /** Partition number. */
  partition: number;
  /** Default: the real disk. */
  disk?: Disk;
}

const SALVAGE_CHECKS = { directory: pathCheck, partition: checkPartition, disk: diskCheck };

/**
 * Reads what is left of a partition that cannot be opened, oldest first, and reports every gap in it. Each segment is
 * held in memory while it is read.
 *
 * ```ts
 * for await (const found of salvage({ directory: './data', partition: 1 })) {
 *   if ('gap' in found) console.warn('lost', found.gap);
 *   else await rescued.append(found.record.payload);
 * }
 * ```
 *
 * Rejects with `ERR_VARVE_INVALID_OPTION`, or `ERR_VARVE_IO` where a file cannot be read at all.
 */
export async function* salvage(options: SalvageOptions): AsyncGenerator<Salvaged, void, undefined> {
  checkAll(options, SALVAGE_CHECKS, 'options');
  const { directory, partition } = options;
  if (directory === undefined) throw invalid('directory', directory, 'a path');
  checkPartition(partition);
  const disk = options.disk ?? realDisk();
  try {
    yield* salvageSegments(disk, resolve(directory), partition);
  } catch (error) {
    throw asVarveError(error, `Salvaging partition ${partition}`, directory);
  } finally {
    if (options.disk === undefined) await disk.close();
  }
}
