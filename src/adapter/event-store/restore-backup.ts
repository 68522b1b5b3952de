/** Restoring a backup, as users call it. */
import type { Disk } from '../../disk/disk.js';
import { usingDisk } from '../../log.js';
import { callback, checkAll, checkSignal, invalid } from '../../options.js';
import { type BackupProgress, type RestoreReport, restore } from './backup.js';
import { tellingDisk } from './backup-files.js';

export interface RestoreOptions {
  /** Directory of the backup. */
  from: string;
  /** Directory of the store to be: missing or empty. */
  directory: string;
  /** Default: the real disk. */
  disk?: Disk;
  signal?: AbortSignal;
  onProgress?: (progress: BackupProgress) => void;
}

function path(value: unknown, option: string): void {
  if (typeof value !== 'string' || value === '') throw invalid(option, value, 'a path');
}

/**
 * Copies a backup into a directory of its own, where `openEventStore` opens it, and verifies every byte of it.
 *
 * Rejects with `ERR_VARVE_BACKUP` (`path`) for a backup that is incomplete or damaged, `ERR_VARVE_INVALID_OPTION` for a
 * directory that is not empty, `ERR_VARVE_LOCKED`, `ERR_VARVE_IO`. A directory that was restored half-way is refused by
 * `openEventStore`, and taken again by `restoreBackup`.
 */
export async function restoreBackup(options: RestoreOptions): Promise<RestoreReport> {
  const anything = () => {};
  checkAll(
    options,
    { from: path, directory: path, disk: anything, signal: checkSignal, onProgress: callback },
    'options',
  );
  const { from, directory, disk, signal, onProgress } = options;
  path(from, 'from');
  path(directory, 'directory');
  return usingDisk(disk, (used) =>
    tellingDisk('Restoring', from, restore(used, from, { directory, signal, onProgress })),
  );
}
