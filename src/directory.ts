/**
 * How a directory becomes an open log: what is in it, whose it is, what its file system can do. Nothing in it is
 * touched before all of that is known to be in order.
 */
import { dirname, join } from 'node:path';
import type { AllocateMode, Disk, DiskFeatures, DiskLock } from './disk/disk.js';
import { systemCode, VarveError } from './errors.js';
import type { LogEvents } from './events.js';
import type { ResolvedOptions } from './options.js';
import { decodeHeaderPage, FORMAT_VERSION, HEADER_PAGE_SIZE, STORE_ID_SIZE } from './segment/header.js';
import {
  type ManifestContent,
  ManifestKeeper,
  readManifest,
  storeIdFromHex,
  storeIdToHex,
} from './segment/manifest.js';
import { isSingleFileLogName, LOCK_NAME, parseSegmentName, parseSpareName, segmentName } from './segment/names.js';

type Degraded = LogEvents['degraded'][0];

export interface OpenedDirectory {
  readonly lock: DiskLock | undefined;
  /** Segment indexes by partition, ascending. */
  readonly segments: Map<number, number[]>;
  /** Spare files that an earlier process left behind, of which the log goes on to use those that it wants. */
  readonly spares: string[];
  readonly storeId: Uint8Array;
  readonly manifest: ManifestKeeper;
  readonly io: 'mmap' | 'write';
  /** How space is reserved in new files, and in recycled ones. */
  readonly mode: AllocateMode;
  readonly recycledMode: AllocateMode;
  /** Options that ask for more than there is. */
  readonly degraded: readonly Degraded[];
}

interface Survey {
  readonly segments: Map<number, number[]>;
  readonly spares: string[];
  /** Store ids by partition, of the oldest segment, where its header is whole. */
  readonly storeIds: Map<number, Uint8Array>;
}

export async function openDirectory(disk: Disk, options: ResolvedOptions): Promise<OpenedDirectory> {
  const { directory, readOnly } = options;
  // Before the lock file is there, and again under the lock: what another process has changed meanwhile counts.
  const exists = await survey(disk, directory).then(
    () => true,
    (error: unknown) => {
      if (systemCode(error) === 'ENOENT' && !readOnly) return false;
      throw error;
    },
  );
  if (!exists) await disk.makeDirectory(directory);
  const features = await disk.features(directory);
  const plan = planIo(options, features);
  const lock = readOnly ? undefined : await disk.lock(join(directory, LOCK_NAME));
  try {
    const found = await survey(disk, directory);
    if (!readOnly) await disk.syncDirectory(directory);
    const content = await settleManifest(disk, directory, found);
    const manifest = new ManifestKeeper(disk, directory, content.manifest);
    if (content.changed && !readOnly) {
      // A directory without a manifest may be new: made by a user, or by an open that did not get this far.
      await syncParent(disk, directory);
      await manifest.save();
    }
    const storeId = storeIdFromHex(content.manifest.storeId);
    return { lock, segments: found.segments, spares: found.spares, storeId, manifest, ...plan };
  } catch (error) {
    await lock?.release();
    throw error;
  }
}

async function syncParent(disk: Disk, directory: string): Promise<void> {
  try {
    await disk.syncDirectory(dirname(directory));
  } catch (error) {
    // A parent that this user may not open was made by somebody else, who answers for its entries.
    const code = systemCode(error);
    if (code !== 'EACCES' && code !== 'EPERM') throw error;
  }
}

/** Which back end and which preallocation are used. Throws `ERR_VARVE_UNSUPPORTED`. */
function planIo(
  options: ResolvedOptions,
  features: DiskFeatures,
): Pick<OpenedDirectory, 'io' | 'mode' | 'recycledMode' | 'degraded'> {
  const degraded: Degraded[] = [];
  const wanted = options.preallocate.mode;
  let mode = wanted;
  if (options.io === 'mmap') {
    if (!features.map) {
      throw new VarveError(
        'ERR_VARVE_UNSUPPORTED',
        `Option 'io' is 'mmap', which is not available here: ${features.limits}. Use 'auto' or 'write'.`,
        { option: 'io', path: options.directory },
      );
    }
    // A mapping must not reach past the end of the file, nor over space that is not reserved.
    if (mode === 'keep-size' || mode === 'none') mode = 'allocate';
  }
  if ((mode === 'allocate' || mode === 'keep-size') && !features.fallocate) mode = 'zero';
  if (mode !== wanted) {
    const reason = features.fallocate ? 'a mapped segment needs its size and its space' : features.limits;
    degraded.push({ option: 'preallocate.mode', wanted, used: mode, reason });
  }
  const mappable = features.map && (mode === 'allocate' || mode === 'zero');
  const io = options.io === 'mmap' || (options.io === 'auto' && mappable) ? 'mmap' : 'write';
  // Zeros need not be written again where the file's blocks can be made sure of without.
  const recycledMode = mode === 'zero' && features.fallocate ? 'allocate' : mode;
  return { io, mode, recycledMode, degraded };
}

/** Throws `ERR_VARVE_LEGACY_WAL`; damage to a header is left to the partition that it belongs to. */
async function survey(disk: Disk, directory: string): Promise<Survey> {
  const names = await disk.list(directory);
  const found: Survey = { segments: new Map(), spares: [], storeIds: new Map() };
  for (const name of names) {
    if (isSingleFileLogName(name)) throw legacy(join(directory, name));
    if (parseSpareName(name) !== undefined) found.spares.push(name);
    const id = parseSegmentName(name);
    if (id === undefined) continue;
    const indexes = found.segments.get(id.partition);
    if (indexes === undefined) found.segments.set(id.partition, [id.index]);
    else indexes.push(id.index);
  }
  const strange: string[] = [];
  for (const [partition, indexes] of found.segments) {
    indexes.sort((a, b) => a - b);
    const path = join(directory, segmentName(partition, indexes[0] as number));
    const file = await disk.open(path, 'read');
    try {
      const page = new Uint8Array(HEADER_PAGE_SIZE);
      const header = decodeHeaderPage(page.subarray(0, await file.read(page, 0)));
      if (typeof header !== 'string') found.storeIds.set(partition, header.storeId);
      else if (header === 'magic' || header === 'short') strange.push(path);
    } finally {
      await file.close();
    }
  }
  // Beside segments or a manifest of ours it is one of ours, damaged; else it is nobody's that we know.
  const [first] = strange;
  if (first !== undefined && found.storeIds.size === 0 && typeof (await readManifest(disk, directory)) === 'string') {
    throw legacy(first);
  }
  return found;
}

function legacy(path: string): VarveError {
  return new VarveError(
    'ERR_VARVE_LEGACY_WAL',
    `${path} is a log of another kind: not a Varve segment (no 'WLOG' header). Nothing was touched. ` +
      'Open another directory, or move the file away.',
    { path },
  );
}

/** The manifest that holds from now on: the one in the directory as far as the headers agree with it, or a new one. */
async function settleManifest(
  disk: Disk,
  directory: string,
  found: Survey,
): Promise<{ manifest: ManifestContent; changed: boolean }> {
  const read = await readManifest(disk, directory);
  const kept = typeof read === 'string' ? undefined : read;
  const ids = new Set([...found.storeIds.values()].map(storeIdToHex));
  if (kept !== undefined && (ids.size === 0 || ids.has(kept.storeId))) return { manifest: kept, changed: false };
  if (ids.size > 1) {
    throw new VarveError(
      'ERR_VARVE_FOREIGN',
      `${directory} holds segments of ${ids.size} stores (${[...ids].join(', ')}), and no manifest says which it is. ` +
        'Move those of the other stores away.',
      { path: directory },
    );
  }
  // Lost, damaged, or another store's: what the headers say wins, and no purge mark of another store counts here.
  const storeId = [...ids][0] ?? storeIdToHex(disk.randomBytes(STORE_ID_SIZE));
  const complete = found.segments.size === 0;
  const manifest = { format: FORMAT_VERSION, storeId, createdAt: disk.now(), complete, options: {}, partitions: {} };
  return { manifest, changed: true };
}
