/**
 * Log: one directory, one owner, many partitions. Opens, locks, hands out partitions, closes.
 *
 * Opening reads names, the manifest and one header per partition; a partition is recovered when it is first asked for.
 * So a damaged partition stops none of the others, and listeners are there before anything is recovered.
 */
import { join } from 'node:path';
import { Allocator } from './actors/allocator.js';
import { type OpenedDirectory, openDirectory } from './directory.js';
import type { Disk, DiskLock } from './disk/disk.js';
import { realDisk } from './disk/real-disk.js';
import { asVarveError, VarveError } from './errors.js';
import { LogEmitter } from './events.js';
import { checkPartition, type OpenLogOptions, type ResolvedOptions, resolveOptions } from './options.js';
import { LivePartition } from './partition/live-partition.js';
import { ReadOnlyPartition } from './partition/read-only-partition.js';
import { Partition } from './partition.js';
import { SegmentHandles } from './segment/handles.js';
import { MANIFEST_NAME } from './segment/names.js';
import { recoverPartition } from './segment/recovery.js';
import { addStats, newHistogram, type Stats } from './stats.js';

interface OpenPartition {
  readonly handle: Partition;
  readonly backend: LivePartition | ReadOnlyPartition;
}

/**
 * Opens the log in `directory`, which is created if it is missing.
 *
 * ```ts
 * const log = await openLog({ directory: './data' });
 * const partition = await log.partition(1);
 * await partition.append(new TextEncoder().encode('never lost'));
 * await log.close();
 * ```
 *
 * Rejects with `ERR_VARVE_INVALID_OPTION`, `ERR_VARVE_LOCKED` (`pid`), `ERR_VARVE_LEGACY_WAL`, `ERR_VARVE_FOREIGN`,
 * `ERR_VARVE_UNSUPPORTED_VERSION`, `ERR_VARVE_UNSUPPORTED` (`io: 'mmap'` where it is not available) or `ERR_VARVE_IO`.
 */
export async function openLog(options: OpenLogOptions): Promise<Log> {
  const resolved = resolveOptions(options);
  const disk = resolved.disk ?? realDisk({ threads: resolved.threads });
  try {
    return new Log(resolved, disk, await openDirectory(disk, resolved));
  } catch (error) {
    if (resolved.disk === undefined) await disk.close();
    throw asVarveError(error, 'Opening the log', resolved.directory);
  }
}

/** Runs `work` with a disk: the given one, or the real one, which is closed again. */
export async function usingDisk<T>(given: Disk | undefined, work: (disk: Disk) => Promise<T>): Promise<T> {
  const disk = given ?? realDisk();
  try {
    return await work(disk);
  } finally {
    if (given === undefined) await disk.close();
  }
}

/** For what stands on the log and keeps files of its own beside it. */
export interface LogStorage {
  /** Hexadecimal, 32 digits: made with the directory. */
  readonly storeId: string;
  readonly disk: Disk;
  /** The file with the store id, the settings and the purge marks; it is only ever replaced as a whole. */
  readonly manifestPath: string;
  /** A setting that must stay as it was first given; undefined while it was not, or where the manifest was lost. */
  setting(name: string): string | number | boolean | undefined;
  /** Keeps a setting in the manifest; durable when it resolves. */
  keepSetting(name: string, value: string | number | boolean): Promise<void>;
}

export class Log {
  readonly directory: string;
  readonly readOnly: boolean;
  /** The back end in use. */
  readonly io: 'mmap' | 'write';
  /** What happens to the log, as typed events. A listener that throws does not harm it. */
  readonly events: LogEmitter = new LogEmitter();
  readonly storage: LogStorage;
  readonly #options: ResolvedOptions;
  readonly #disk: Disk;
  readonly #opened: OpenedDirectory;
  readonly #lock: DiskLock | undefined;
  readonly #handles: SegmentHandles;
  readonly #allocator: Allocator | undefined;
  readonly #partitions = new Map<number, Promise<OpenPartition>>();
  readonly #backends = new Map<number, OpenPartition['backend']>();
  #closing: Promise<void> | undefined;

  /** Logs come from `openLog`. */
  constructor(options: ResolvedOptions, disk: Disk, opened: OpenedDirectory) {
    this.directory = options.directory;
    this.readOnly = options.readOnly;
    this.io = opened.io;
    this.#options = options;
    this.#disk = disk;
    this.#opened = opened;
    this.#lock = opened.lock;
    this.storage = {
      storeId: opened.manifest.content.storeId,
      disk,
      manifestPath: join(options.directory, MANIFEST_NAME),
      setting: (name) => opened.manifest.content.options[name],
      keepSetting: (name, value) => opened.manifest.setOption(name, value),
    };
    this.#handles = new SegmentHandles(disk, options.directory, options);
    this.#allocator = options.readOnly ? undefined : this.#startAllocator();
    // In a task of its own: whoever has just opened the log can still listen.
    setImmediate(() => {
      for (const event of opened.degraded) this.events.emit('degraded', event);
    });
  }

  /**
   * The partition `number` (0 … 2³² − 1), recovered at its first use and created by its first append.
   *
   * Rejects with `ERR_VARVE_CORRUPT` (`partition`, `segment`, `offset`, `firstLsn`, `lastLsn`) if acknowledged records
   * are damaged or missing, `ERR_VARVE_FOREIGN`, `ERR_VARVE_UNSUPPORTED_VERSION`, `ERR_VARVE_IO`, `ERR_VARVE_CLOSED`.
   * Other partitions are not affected, and asking again tries again.
   */
  async partition(number: number): Promise<Partition> {
    checkPartition(number);
    this.#refuseClosed();
    let opening = this.#partitions.get(number);
    if (opening === undefined) {
      opening = this.#openPartition(number);
      this.#partitions.set(number, opening);
      opening.catch(() => this.#partitions.delete(number));
    }
    return (await opening).handle;
  }

  /** Numbers of the partitions that have segments or were asked for, ascending. */
  partitions(): number[] {
    return [...new Set([...this.#opened.segments.keys(), ...this.#backends.keys()])].sort((a, b) => a - b);
  }

  /** Of all partitions that have been asked for, together. */
  stats(): Stats {
    const latencies = newHistogram();
    const backends = [...this.#backends.values()];
    for (const backend of backends) backend.latency.addTo(latencies);
    const spares = this.#allocator?.stats ?? { ready: 0, recycled: 0, reused: 0, space: 'ok' as const };
    return addStats(
      backends.map((backend) => backend.stats()),
      latencies,
      spares,
    );
  }

  /**
   * Makes durable what was written, marks a clean end, and gives back files, threads and the lock. Idempotent. Appends
   * that wait for space are refused. Rejects with `ERR_VARVE_PARTITION_FAILED` or `ERR_VARVE_NO_SPACE` if something that
   * was written could not be made durable, or the clean end not be marked; everything has been given back even so.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    // Begun at once: nothing is taken any more from here on. Those that are still opening follow when they are open.
    const closing = [...this.#backends.values()].map((backend) => backend.close());
    const opened = await Promise.allSettled(this.#partitions.values());
    const closes = await Promise.allSettled([
      ...closing,
      ...opened.map((partition) => (partition.status === 'fulfilled' ? partition.value.backend.close() : undefined)),
    ]);
    const rest = await Promise.allSettled([this.#allocator?.close(), this.#handles.close()]);
    const last = await Promise.allSettled([
      this.#lock?.release(),
      this.#options.disk === undefined ? this.#disk.close() : undefined,
    ]);
    this.events.emit('closed', {});
    const failed = [...closes, ...rest, ...last].find((result) => result.status === 'rejected');
    if (failed !== undefined) throw asVarveError(failed.reason, 'Closing the log', this.directory);
  }

  async #openPartition(number: number): Promise<OpenPartition> {
    const { verify, minDurableLsn, directory } = this.#options;
    const { storeId, manifest } = this.#opened;
    const disk = this.#disk;
    const floor = minDurableLsn[number] ?? 0;
    try {
      if (this.#allocator === undefined) {
        const { pollInterval } = this.#options;
        const config = { disk, directory, handles: this.#handles, storeId, verify, minDurableLsn: floor, pollInterval };
        return this.#keep(number, await ReadOnlyPartition.open(config, number));
      }
      const indexes = this.#opened.segments.get(number) ?? [];
      const mark = manifest.knownMark(number, indexes.length > 0);
      const request = { disk, directory, partition: number, indexes, storeId, mark, minDurableLsn: floor, verify };
      const recovered = await recoverPartition({ ...request, readOnly: false });
      // From here on the partition's own catalogue knows its files; should this open fail, the next one looks anew.
      this.#opened.segments.set(
        number,
        recovered.segments.map((segment) => segment.index),
      );
      const { released } = recovered;
      const { io, events } = this;
      const { segmentSize, maxUnsyncedBytes, maxQueuedAppends, whenFull } = this.#options;
      const files = { disk, directory, handles: this.#handles, allocator: this.#allocator };
      if (released.length > 0) await this.#allocator.retire(released);
      const limits = { segmentSize, maxUnsyncedBytes, maxQueuedAppends, whenFull };
      const live = await LivePartition.open({ ...files, ...limits, storeId, io, events, manifest }, number, recovered);
      if (indexes.length > 0) events.emit('recovered', recovered.report);
      return this.#keep(number, live);
    } catch (error) {
      throw asVarveError(error, `Opening partition ${number}`, directory);
    }
  }

  #keep(number: number, backend: LivePartition | ReadOnlyPartition): OpenPartition {
    this.#backends.set(number, backend);
    return { handle: new Partition(number, backend), backend };
  }

  #startAllocator(): Allocator {
    const { directory, segmentSize, preallocate, recycle, onSpacePressure } = this.#options;
    const allocator: Allocator = new Allocator({
      disk: this.#disk,
      directory,
      reservation: { segmentSize, fresh: this.#opened.mode, recycled: this.#opened.recycledMode },
      ready: preallocate.segments,
      recycle,
      onLacking: async (cause, state) => {
        const freeBytes = await this.#freeBytes();
        const pressure = { state, freeBytes, ready: allocator.stats.ready, cause };
        this.events.emit('spacePressure', pressure);
        try {
          await onSpacePressure?.(pressure);
        } catch (error) {
          // The hook is the user's: its error is theirs to see, and the log waits for space with or without it.
          setImmediate(() => {
            throw error;
          });
        }
      },
      onRestored: () => {
        void this.#freeBytes().then((freeBytes) => this.events.emit('spaceRestored', { freeBytes }));
      },
    });
    allocator.takeUp(this.#opened.spares);
    return allocator;
  }

  /** Only for telling: −1 where the file system does not say. */
  #freeBytes(): Promise<number> {
    return this.#disk.freeBytes(this.directory).catch(() => -1);
  }

  #refuseClosed(): void {
    if (this.#closing !== undefined) {
      throw new VarveError('ERR_VARVE_CLOSED', `The log in ${this.directory} is closed.`, { path: this.directory });
    }
  }
}
