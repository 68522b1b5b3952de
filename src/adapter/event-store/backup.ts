/**
 * A live backup into another directory: a copy of the segment files and kept files, as they are at one moment.
 *
 * At that moment nothing is being committed in any partition, so a transaction is in it whole or not at all. What is
 * durable never changes, so all but the header page of each newest segment is copied afterwards, while appends go on; no
 * purge or scavenge runs meanwhile. The copy is opened as a store would be after a crash at that moment.
 *
 * Sealed segments that an earlier backup has brought there are compared, and not copied again.
 */
import { basename, dirname, join, resolve } from 'node:path';
import type { Disk } from '../../disk/disk.js';
import { invalid } from '../../options.js';
import {
  type BackupFile,
  type BackupList,
  backupError,
  type CopySource,
  checksumOf,
  copyFile,
  headOf,
  LIST_NAME,
  namesIn,
  readList,
  removeIfThere,
  writeList,
} from './backup-files.js';
import { holding } from './commit-transaction.js';
import { formatCheckpoint } from './position.js';
import type { StoreCore } from './store-core.js';

const LOCK_NAME = 'LOCK';
/** What is made beside the segments when a backup is opened as a store, or is left of an interrupted copy. */
const OURS = /^(?:part_|rewind_).*\.(?:wal|kept)|^(?:BACKUP|MANIFEST|.*\.(?:wal|kept))\.tmp$/;
const INDEX_FOLDER = 'index';
/** The header page of a segment fits into so many bytes. */
const HEAD_BYTES = 4096;

export interface BackupProgress {
  /** Files that are done, of all that belong to the backup. */
  readonly files: number;
  readonly of: number;
  readonly copiedFiles: number;
  readonly copiedBytes: number;
}

export interface BackupReport {
  readonly directory: string;
  /** What is in it: everything up to here. */
  readonly checkpoint: string;
  readonly files: number;
  readonly copiedFiles: number;
  readonly copiedBytes: number;
}

export interface BackupRequest {
  readonly directory: string;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: BackupProgress) => void) | undefined;
}

interface Source extends CopySource {
  readonly sealed: boolean;
}

export async function backup(core: StoreCore, request: BackupRequest): Promise<BackupReport> {
  const { disk, storeId } = core.engine.storage;
  const directory = resolve(request.directory);
  if (directory === resolve(core.engine.directory))
    throw invalid('directory', directory, 'another than that of the store');
  await disk.makeDirectory(directory);
  const lock = await disk.lock(join(directory, LOCK_NAME));
  try {
    const before = await readList(disk, directory);
    if (before === undefined && (await namesIn(disk, directory)).some((name) => name !== LOCK_NAME))
      throw invalid('directory', directory, 'empty, or a backup of this store');
    if (before !== undefined && before.storeId !== storeId)
      throw backupError(directory, `is of another store (${before.storeId}).`);
    return await copyStore(core, directory, before, request);
  } finally {
    await lock.release();
  }
}

async function copyStore(
  core: StoreCore,
  directory: string,
  before: BackupList | undefined,
  { signal, onProgress }: BackupRequest,
): Promise<BackupReport> {
  const { disk, storeId } = core.engine.storage;
  const { sources, checkpoint } = await cut(core);
  const list = { storeId, at: disk.now(), checkpoint };
  await writeList(disk, directory, { ...list, complete: false, files: before?.files ?? [] });
  const there = new Map(before?.files.map((file) => [file.name, file]));
  const files: BackupFile[] = [];
  let [copiedFiles, copiedBytes] = [0, 0];
  for (const source of sources) {
    signal?.throwIfAborted();
    core.refuseClosed();
    const { name, bytes, size, sealed } = source;
    let crc = await unchanged(disk, source, directory, there.get(name), signal);
    if (crc === undefined) {
      crc = await copyFile(disk, source, directory, signal);
      copiedFiles++;
      copiedBytes += bytes;
    }
    files.push({ name, bytes, size, crc, sealed });
    onProgress?.({ files: files.length, of: sources.length, copiedFiles, copiedBytes });
  }
  await removeOthers(disk, directory, new Set(files.map(({ name }) => name)));
  await disk.syncDirectory(directory);
  await writeList(disk, directory, { ...list, complete: true, files });
  return { directory, checkpoint, files: files.length, copiedFiles, copiedBytes };
}

/** What belongs to a backup of this moment: by partition kept files, then segments, newest last; then the manifest. */
async function cut(core: StoreCore): Promise<{ sources: Source[]; checkpoint: string }> {
  const { disk, manifestPath } = core.engine.storage;
  const { directory } = core.engine;
  return holding(
    core.partitions.map(({ lane }) => lane),
    async () => {
      const sources: Source[] = [];
      for (const { log } of core.partitions) {
        await log.whenDurable();
        for (const { path, name, bytes } of log.kept.files) {
          sources.push({ path, name, bytes, size: bytes, sealed: true });
        }
        const segments = log.segments().filter(({ firstLsn, lastLsn }) => lastLsn >= firstLsn);
        const newest = segments.at(-1);
        for (const segment of segments) {
          const { name, bytes, size } = segment;
          const path = join(directory, name);
          // Of a segment that is appended to, the header page goes on changing: it is taken at once.
          const head = segment === newest ? await headOf(disk, path, Math.min(HEAD_BYTES, bytes)) : undefined;
          sources.push({
            path,
            name,
            bytes,
            size,
            sealed: segment !== newest,
            ...(head === undefined ? {} : { head }),
          });
        }
      }
      const manifest = await sizeOf(disk, manifestPath);
      const name = basename(manifestPath);
      sources.push({ path: join(dirname(manifestPath), name), name, bytes: manifest, size: manifest, sealed: false });
      return { sources, checkpoint: formatCheckpoint(core.partitions.map(({ log }) => log.durableLsn)) };
    },
  );
}

async function sizeOf(disk: Disk, path: string): Promise<number> {
  const file = await disk.open(path, 'read');
  try {
    return await file.size();
  } finally {
    await file.close();
  }
}

/** The checksum of a file that is there already, and is the same; else undefined. */
async function unchanged(
  disk: Disk,
  { path, name, bytes, size, sealed }: Source,
  directory: string,
  there: BackupFile | undefined,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  if (!sealed || !there?.sealed || there.bytes !== bytes || there.size !== size) return undefined;
  // Both are read whole: a store that was restored from here has segments that look alike and hold other events.
  if ((await checksumOf(disk, join(directory, name), bytes, signal)) !== there.crc) return undefined;
  return (await checksumOf(disk, path, bytes, signal)) === there.crc ? there.crc : undefined;
}

/** What was purged since, what an interrupted backup left, and what a store made that was opened here. */
async function removeOthers(disk: Disk, directory: string, kept: ReadonlySet<string>): Promise<void> {
  for (const name of await namesIn(disk, directory)) {
    if (!kept.has(name) && name !== LIST_NAME && OURS.test(name)) await disk.unlink(join(directory, name));
  }
  const index = join(directory, INDEX_FOLDER);
  for (const name of await namesIn(disk, index)) await disk.unlink(join(index, name));
}

/** Rejects with `ERR_VARVE_BACKUP` if the files in a directory do not belong together yet. */
export async function refuseIncomplete(disk: Disk, directory: string): Promise<void> {
  const list = await readList(disk, directory);
  if (list?.complete === false) throw backupError(directory, 'was interrupted. Make it again, or restore it again.');
}

export interface RestoreReport {
  readonly directory: string;
  readonly checkpoint: string;
  readonly files: number;
  readonly bytes: number;
}

/** Copies a backup into an empty directory, and holds every byte against the list. */
export async function restore(disk: Disk, source: string, request: BackupRequest): Promise<RestoreReport> {
  const { signal, onProgress } = request;
  const [from, directory] = [resolve(source), resolve(request.directory)];
  const list = await readList(disk, from);
  if (list === undefined) throw backupError(from, 'is none: there is no list of files.');
  if (!list.complete) throw backupError(from, 'was interrupted. Make it again.');
  await disk.makeDirectory(directory);
  const lock = await disk.lock(join(directory, LOCK_NAME));
  try {
    const begun = await readList(disk, directory);
    const known = begun?.complete === false && begun.storeId === list.storeId;
    if (!known && (await namesIn(disk, directory)).some((name) => name !== LOCK_NAME))
      throw invalid('directory', directory, 'empty, or that of an interrupted restoring of the same store');
    await writeList(disk, directory, { ...list, complete: false });
    await removeOthers(disk, directory, new Set());
    let bytes = 0;
    for (const [i, file] of list.files.entries()) {
      const crc = await copyFile(disk, { ...file, path: join(from, file.name) }, directory, signal);
      if (crc !== file.crc)
        throw backupError(join(from, file.name), 'is damaged: its checksum is not that of the list.');
      bytes += file.bytes;
      onProgress?.({ files: i + 1, of: list.files.length, copiedFiles: i + 1, copiedBytes: bytes });
    }
    await disk.syncDirectory(directory);
    await removeIfThere(disk, join(directory, LIST_NAME));
    await disk.syncDirectory(directory);
    return { directory, checkpoint: list.checkpoint, files: list.files.length, bytes };
  } finally {
    await lock.release();
  }
}
