/** Work that moves or copies segments: purges, scavenges and backups, one after the other. */
import { checkAll, invalid } from '../../options.js';
import { type BackupReport, backup } from './backup.js';
import { tellingDisk } from './backup-files.js';
import { checkFrom, cursorsOf } from './cursors.js';
import {
  anything,
  BACKUP_CHECKS,
  type BackupOptions,
  PURGE_CHECKS,
  type PurgeOptions,
  SCAVENGE_CHECKS,
  type ScavengeOptions,
} from './event-store-options.js';
import { type PurgeReport, purge } from './purge.js';
import { type ScavengeReport, scavenge } from './scavenge.js';
import type { StoreCore } from './store-core.js';

export class Maintenance {
  readonly #core: StoreCore;
  #last: Promise<unknown> = Promise.resolve();

  constructor(core: StoreCore) {
    this.#core = core;
  }

  async purge(options: PurgeOptions): Promise<PurgeReport> {
    const core = this.#core;
    core.refuseClosed();
    checkAll(options, PURGE_CHECKS, 'options');
    const { dryRun = false, floor, system = false, archive, signal, onProgress } = options;
    const from = floor === undefined ? undefined : checkFrom(core, floor);
    if (from === 'start' || from === 'end') throw invalid('floor', floor, 'a position or a checkpoint');
    return this.#inTurn(async () => {
      const cursors = from === undefined ? undefined : await cursorsOf(core, from);
      const floors = core.partitions.map((_, i) => ({ lsn: (cursors?.[i] ?? 1) - 1, system }));
      return purge(core, { dryRun, floors, archive, signal, onProgress });
    });
  }

  async scavenge(options: ScavengeOptions): Promise<ScavengeReport> {
    const core = this.#core;
    core.refuseClosed();
    checkAll(options, SCAVENGE_CHECKS, 'options');
    const { dryRun = false, threshold = 0.5, maxBytesPerSecond = Number.POSITIVE_INFINITY } = options;
    const { archive, signal, onProgress } = options;
    const request = { dryRun, threshold, maxBytesPerSecond, archive, signal, onProgress };
    return this.#inTurn(() => tellingDisk('Scavenging', core.engine.directory, scavenge(core, request)));
  }

  async backup(directory: string, options: BackupOptions): Promise<BackupReport> {
    const core = this.#core;
    core.refuseClosed();
    if (typeof directory !== 'string' || directory === '') throw invalid('directory', directory, 'a path');
    checkAll(options, BACKUP_CHECKS, 'options');
    const { signal, onProgress } = options;
    return this.#inTurn(() => tellingDisk('The backup', directory, backup(core, { directory, signal, onProgress })));
  }

  /** Resolves when nothing of it is under way. */
  async idle(): Promise<void> {
    await this.#last;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(anything); // told to whoever asked for it
    return done;
  }
}
