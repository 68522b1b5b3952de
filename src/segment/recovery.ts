/**
 * How the files of one partition become a log again: the only place that decides what a damaged or unfinished byte
 * means. Never mixes with how a log runs.
 *
 * Let X be the first position of the last segment that holds no valid frame, and L the LSN expected there.
 *
 *   A  nothing but zeros, or another life's bytes, behind X             → clean end
 *   B  a later frame, valid under this salt, states an LSN ≥ L durable   → refuse: acknowledged data are damaged
 *   C  the segment's cookie states an LSN ≥ L durable                    → refuse: the end is missing
 *   D  the caller knows an LSN ≥ L to be durable (minDurableLsn)         → refuse: the end is missing
 *   E  anything else behind X                                           → torn tail: copy it, cut at X, zero, sync
 *   F  the last file has a header but no valid open frame, and neither
 *      its frames nor its cookie state its base LSN durable              → it was never opened: give it up, the
 *                                                                          segment before it is the last one
 *   G  as F, but something states its base LSN durable                   → refuse
 *   H  a header; an index; a link to the segment before; or an open
 *      frame or a seal of any segment but the last does not hold         → refuse
 *   I  segments below the purge mark                                     → an interrupted purge: finish it
 *   J  a rewind file                                                     → an interrupted rewind: finish it first;
 *                                                                          drop a file that is not whole; refuse one
 *                                                                          that does not fit the segments
 *
 * Nothing is believed before it was synced: a crash of the process may have left bytes in the page cache that a crash
 * of the machine would still take away. And what no later frame or cookie proves to be durable is *written again*
 * before that sync, since after an fsync that failed in an earlier process the cache may hold, as clean, bytes that
 * never reached the disk. Every step can be repeated: recovery that crashes is recovered from by recovery.
 */
import { join } from 'node:path';
import type { Disk, DiskFile, FilePiece } from '../disk/disk.js';
import { VarveError } from '../errors.js';
import { makeEntry, type SegmentEntry } from './catalogue.js';
import { corruption } from './corruption.js';
import {
  checksumHolds,
  decodeOpenFrame,
  decodeSealFrame,
  FRAME_TRAILER_SIZE,
  frameChecksum,
  frameFirstLsn,
  frameIsFinalSeal,
  frameKind,
  type IndexEntry,
  KIND_OPEN,
  MIN_FRAME_SIZE,
  OPEN_FRAME_SIZE,
  type PreviousSegment,
  plausibleLength,
  sealFrameSize,
} from './frame.js';
import {
  type Cookie,
  checksumSeed,
  DATA_OFFSET,
  decodeCookie,
  decodeHeaderPage,
  type SegmentHeader,
  viewOf,
} from './header.js';
import type { PurgeMark } from './manifest.js';
import { rewindName, segmentName } from './names.js';
import { mapPieces, readPiece } from './pieces.js';
import { performRewind } from './rewind.js';
import { lookBehind, type Scan, scanFrames } from './scanner.js';
import { cutTornTail, eachChunk } from './torn-tail.js';
import { indexInterval } from './writer.js';

export interface RecoveryRequest {
  readonly disk: Disk;
  readonly directory: string;
  readonly partition: number;
  /** Indexes of the partition's segment files, ascending. */
  readonly indexes: readonly number[];
  readonly storeId: Uint8Array;
  readonly mark: PurgeMark | undefined;
  /** LSN that the caller knows to be durable; 0 = none. */
  readonly minDurableLsn: number;
  /** 'full' verifies every frame of every segment; 'tail' those of the last, and links and seals of the others. */
  readonly verify: 'tail' | 'full';
  /** Change nothing: report what a recovery would keep. */
  readonly readOnly: boolean;
}

/** What recovery found and did. All numbers are exact. */
export interface RecoveryReport {
  readonly partition: number;
  readonly segments: number;
  readonly oldestLsn: number;
  /** Last LSN that was kept; `oldestLsn − 1` where the log is empty. */
  readonly lastLsn: number;
  /** Frames whose checksums were verified. */
  readonly framesVerified: number;
  /** The torn tail that was cut off, if there was one; `copy` names the file that keeps its bytes (none is made where the log is only read). */
  readonly torn:
    | { readonly segment: number; readonly offset: number; readonly bytes: number; readonly copy: string | undefined }
    | undefined;
  /** The log ended with the mark of a clean close. */
  readonly clean: boolean;
  /** Milliseconds. */
  readonly duration: number;
}

export interface RecoveredTail {
  /** Open for writing, unless `readOnly`. */
  readonly file: DiskFile;
  readonly entry: SegmentEntry;
  readonly lastChecksum: number;
  readonly entries: IndexEntry[];
  readonly cookieSequence: number;
}

export interface Recovered {
  /** Oldest first; the last one is the tail where there is one to go on in. */
  readonly segments: SegmentEntry[];
  /** The segment to go on in; undefined for an empty partition and behind a final seal. */
  readonly tail: RecoveredTail | undefined;
  /** What the open frame of the next new segment links to. */
  readonly previous: PreviousSegment;
  readonly nextLsn: number;
  /** Last LSN that is durable: all that was kept or, read-only, all that is proven. */
  readonly durableLsn: number;
  /** File names that no longer belong to the log, to be recycled or removed, oldest first. */
  readonly released: string[];
  readonly report: RecoveryReport;
}

/** Where the first frame behind the open frame begins. */
const FIRST_FRAME = DATA_OFFSET + OPEN_FRAME_SIZE;

interface Opened {
  readonly index: number;
  readonly header: SegmentHeader;
  readonly seed: number;
  readonly cookie: Cookie | undefined;
  /** Undefined where there is no valid open frame. */
  readonly open: PreviousSegment | undefined;
  readonly openChecksum: number;
}

/**
 * Recovers one partition. Rejects with `ERR_VARVE_CORRUPT`, `ERR_VARVE_FOREIGN`, `ERR_VARVE_UNSUPPORTED_VERSION`, or
 * with what the disk rejects with; then nothing has been changed that could not be done again.
 */
export async function recoverPartition(request: RecoveryRequest): Promise<Recovered> {
  const { disk, directory, partition, mark, readOnly } = request;
  const started = performance.now();
  let indexes = [...request.indexes];
  if (readOnly) await refuseUnfinishedRewind(request);
  else indexes = (await performRewind(disk, directory, partition, indexes)) ?? indexes; // J

  const firstKept = mark?.firstSegment ?? indexes[0] ?? 1;
  const released = indexes.filter((index) => index < firstKept).map((index) => segmentName(partition, index)); // I
  indexes = indexes.filter((index) => index >= firstKept);
  checkContiguous(request, indexes, firstKept);

  const opened = await readHeads(request, indexes);
  let last = opened.pop();
  let unopened: Opened | undefined;
  if (last !== undefined && last.open === undefined) {
    unopened = last; // F or G, which depends on where the segment before it ends
    last = opened.pop();
  }
  const missing = [...opened, ...(last === undefined ? [] : [last])].find((segment) => segment.open === undefined);
  if (missing !== undefined)
    throw damaged(request, missing.index, DATA_OFFSET, 'The open frame of a segment is damaged');
  if (last === undefined && unopened !== undefined && unopened.index !== 1) {
    throw damaged(request, unopened.index, DATA_OFFSET, 'The segments before the newest one are missing');
  }

  const sealed = await checkAllSealed(request, opened, last);
  const segments = sealed.map(({ entry }) => entry);
  let framesVerified = sealed.reduce((sum, { frames }) => sum + frames, 0);

  const tailSegment = last;
  const tail = tailSegment === undefined ? undefined : await recoverTail(request, tailSegment, unopened);
  if (tail === undefined) {
    if (unopened !== undefined) await refuseIfOpened(request, unopened, 1, false);
    refuseIfShort(request, 0, 1, DATA_OFFSET);
  }
  if (unopened !== undefined) released.push(segmentName(partition, unopened.index));

  const nextLsn = tail?.scan.nextLsn ?? 1;
  if (tail !== undefined) {
    segments.push(tail.entry);
    framesVerified += tail.scan.frames + 1;
  }
  const oldestLsn = segments[0]?.baseLsn ?? 1;
  return {
    segments,
    tail: tail === undefined || tail.scan.ends === 'sealed' ? await closed(tail?.file) : tail,
    previous:
      tail === undefined
        ? { index: 0, lastLsn: 0, end: 0, checksum: 0 }
        : { index: tail.entry.index, lastLsn: nextLsn - 1, end: tail.scan.end, checksum: tail.scan.lastChecksum },
    nextLsn,
    durableLsn: readOnly ? Math.min(nextLsn - 1, tail?.scan.durableLsn ?? 0) : nextLsn - 1,
    released,
    report: {
      partition,
      segments: segments.length,
      oldestLsn,
      lastLsn: nextLsn - 1,
      framesVerified,
      torn: tail?.torn,
      clean: tail === undefined || tail.scan.ends !== 'open',
      duration: performance.now() - started,
    },
  };
}

async function closed(file: DiskFile | undefined): Promise<undefined> {
  await file?.close();
  return undefined;
}

/** Half a rewind looks like damage, and finishing it is a writer's part. */
async function refuseUnfinishedRewind({ disk, directory, partition }: RecoveryRequest): Promise<void> {
  const name = rewindName(partition);
  if (!(await disk.list(directory)).includes(name)) return;
  throw new VarveError(
    'ERR_VARVE_RECOVERY_REQUIRED',
    `A truncation of partition ${partition} was interrupted (${name}). Open the log once for writing: that finishes it.`,
    { partition, path: join(directory, name) },
  );
}

function checkContiguous(request: RecoveryRequest, indexes: readonly number[], first: number): void {
  if (indexes.length === 0 && request.mark !== undefined) {
    throw damaged(request, first, 0, 'The manifest knows of segments, but there is none');
  }
  indexes.forEach((index, i) => {
    if (index !== first + i) throw damaged(request, first + i, 0, 'A segment file is missing');
  });
}

/** Header, cookie and open frame of each segment. */
function readHeads(request: RecoveryRequest, indexes: readonly number[]): Promise<Opened[]> {
  const pieces = indexes.map((index) => ({
    path: pathOf(request, index),
    position: 0,
    length: FIRST_FRAME,
  }));
  return mapPieces(request.disk, pieces, (bytes, i) => decodeHead(request, indexes[i] as number, bytes));
}

function decodeHead(request: RecoveryRequest, index: number, bytes: Uint8Array): Opened {
  const { partition, storeId } = request;
  const path = pathOf(request, index);
  const page = bytes.subarray(0, DATA_OFFSET);
  // The whole page was durable before the file got its name. One that is shorter was cut, and without its cookie
  // nothing would tell that the segment was ever opened.
  const header = bytes.length < DATA_OFFSET ? 'short' : decodeHeaderPage(page);
  if (header === 'version') {
    throw new VarveError(
      'ERR_VARVE_UNSUPPORTED_VERSION',
      `${path} was written by a newer version of Varve, which older ones cannot read. Use that version.`,
      { path, partition, segment: index },
    );
  }
  if (typeof header === 'string') throw damaged(request, index, 0, `The header of a segment is damaged (${header})`);
  if (header.partition !== partition || header.index !== index) {
    throw damaged(request, index, 16, `The file's header says partition ${header.partition}, segment ${header.index}`);
  }
  if (Buffer.compare(header.storeId, storeId) !== 0) {
    throw new VarveError(
      'ERR_VARVE_FOREIGN',
      `${path} belongs to another store than the rest of the directory. Move it away, or back to where it came from.`,
      { path, partition, segment: index },
    );
  }
  const seed = checksumSeed(header.salt);
  const view = viewOf(bytes);
  const whole =
    bytes.length === FIRST_FRAME &&
    plausibleLength(view, DATA_OFFSET, OPEN_FRAME_SIZE) === OPEN_FRAME_SIZE &&
    frameKind(view, DATA_OFFSET) === KIND_OPEN &&
    checksumHolds(view, DATA_OFFSET, OPEN_FRAME_SIZE, seed);
  const open = whole ? decodeOpenFrame(view, DATA_OFFSET) : undefined;
  if (open !== undefined && !Number.isSafeInteger(open.lastLsn + 1)) {
    throw damaged(request, index, DATA_OFFSET, 'The open frame of a segment is damaged');
  }
  return {
    index,
    header,
    seed,
    cookie: decodeCookie(page, seed),
    open,
    openChecksum: open === undefined ? 0 : frameChecksum(view, DATA_OFFSET),
  };
}

/** A sealed segment, and the link that the next one's open frame keeps to it. */
interface Sealed {
  readonly segment: Opened;
  readonly link: PreviousSegment;
  readonly baseLsn: number;
}

/** All segments before `last`, each against the link of the next (H). */
function checkAllSealed(
  request: RecoveryRequest,
  opened: readonly Opened[],
  last: Opened | undefined,
): Promise<{ entry: SegmentEntry; frames: number }[]> {
  const all = opened.map((segment, i) => checkLink(request, segment, (opened[i + 1] ?? last) as Opened));
  const pieces = all.map((sealed) => endPiece(request, sealed, largestSeal(sealed.segment.header)));
  return mapPieces(request.disk, pieces, (bytes, i) => {
    const whole = bytes.length === pieces[i]?.length; // else the file ends in it
    return checkSealed(request, all[i] as Sealed, whole ? bytes : new Uint8Array(0));
  });
}

function checkLink(request: RecoveryRequest, segment: Opened, next: Opened): Sealed {
  const link = next.open as PreviousSegment;
  const baseLsn = (segment.open as PreviousSegment).lastLsn + 1;
  const fits = link.end >= FIRST_FRAME + MIN_FRAME_SIZE && link.end <= segment.header.segmentSize;
  if (link.index !== segment.index || link.lastLsn < baseLsn - 1 || !fits) {
    const what = 'The next segment does not link to this one';
    throw damaged(request, segment.index, link.end, what, baseLsn, link.lastLsn);
  }
  return { segment, link, baseLsn };
}

/** The last `length` bytes of a sealed segment's frames. */
function endPiece(request: RecoveryRequest, { segment, link }: Sealed, length: number): FilePiece {
  const position = Math.max(FIRST_FRAME, link.end - length);
  return { path: pathOf(request, segment.index), position, length: link.end - position };
}

/** As this version writes it. */
function largestSeal({ segmentSize }: SegmentHeader): number {
  return sealFrameSize(Math.ceil(segmentSize / indexInterval(segmentSize)));
}

/** A sealed segment against its link; `bytes` are the last ones of its frames. */
async function checkSealed(
  request: RecoveryRequest,
  sealed: Sealed,
  bytes: Uint8Array,
): Promise<{ entry: SegmentEntry; frames: number }> {
  const { segment, link, baseLsn } = sealed;
  const { index, seed, header } = segment;
  const fault = (offset: number, what: string) => damaged(request, index, offset, what, baseLsn, link.lastLsn);
  // Its length stands at the end.
  const trailer = bytes.length - FRAME_TRAILER_SIZE;
  const length = trailer < 0 ? 0 : viewOf(bytes).getUint32(trailer, true);
  const sealAt = link.end - length;
  if (length < MIN_FRAME_SIZE || sealAt < FIRST_FRAME) {
    throw fault(link.end - FRAME_TRAILER_SIZE, 'The seal is damaged');
  }
  const seal =
    length <= bytes.length
      ? bytes.subarray(bytes.length - length)
      : await readPiece(request.disk, endPiece(request, sealed, length));
  const view = viewOf(seal);
  if (
    seal.length !== length ||
    plausibleLength(view, 0, length) !== length ||
    !checksumHolds(view, 0, length, seed) ||
    !frameIsFinalSeal(view, 0) ||
    frameFirstLsn(view, 0) !== link.lastLsn + 1 ||
    decodeSealFrame(view, 0, baseLsn)?.lastLsn !== link.lastLsn
  ) {
    throw fault(sealAt, 'The seal is damaged');
  }
  if (frameChecksum(view, 0) !== link.checksum) throw fault(sealAt, 'The next segment links to another seal');
  const frames = request.verify === 'full' ? await verifyFrames(request, segment, link, baseLsn) : 2;
  const { partition } = request;
  const { segmentSize } = header;
  const fields = { partition, index, baseLsn, lastLsn: link.lastLsn, end: link.end, segmentSize, seed };
  return { entry: makeEntry({ ...fields, sealed: true, entries: undefined, warm: false }), frames };
}

/** Every frame of a sealed segment; returns how many there are. */
async function verifyFrames(
  request: RecoveryRequest,
  { index, header, seed, openChecksum }: Opened,
  link: PreviousSegment,
  baseLsn: number,
): Promise<number> {
  const file = await request.disk.open(pathOf(request, index), 'read');
  try {
    const start = { offset: FIRST_FRAME, lsn: baseLsn, checksum: openChecksum };
    const scan = await scanFrames(file, start, link.end, seed, header.segmentSize, baseLsn - 1);
    if (scan.end !== link.end || scan.nextLsn !== link.lastLsn + 1) {
      throw damaged(request, index, scan.end, 'A frame of a sealed segment is damaged', scan.nextLsn, link.lastLsn);
    }
    return scan.frames + 1;
  } finally {
    await file.close();
  }
}

type Tail = RecoveredTail & { scan: Scan; torn: RecoveryReport['torn'] };

async function recoverTail(request: RecoveryRequest, segment: Opened, unopened: Opened | undefined): Promise<Tail> {
  const { disk, directory, partition, readOnly } = request;
  const { index, seed, cookie } = segment;
  const path = pathOf(request, index);
  const baseLsn = (segment.open as PreviousSegment).lastLsn + 1;
  const file = await disk.open(path, readOnly ? 'read' : 'write');
  try {
    if (!readOnly) await file.sync();
    const limit = Math.min(await file.size(), Math.floor(segment.header.segmentSize / 8) * 8);
    const start = { offset: FIRST_FRAME, lsn: baseLsn, checksum: segment.openChecksum };
    const proven = Math.max(baseLsn - 1, cookie?.durableLsn ?? 0);
    const scan = await scanFrames(file, start, limit, seed, segment.header.segmentSize, proven);
    const cut = await judgeEnd(request, segment, file, scan, limit);
    if (unopened !== undefined) await refuseIfOpened(request, unopened, scan.nextLsn, scan.ends === 'sealed');
    let copy: string | undefined;
    if (!readOnly) {
      if (cut.zeroTo > scan.end) {
        copy = await cutTornTail(disk, directory, file, { partition, index, from: scan.end, ...cut });
      }
      await writeAgain(file, scan);
      await file.sync();
    }
    const lastLsn = scan.nextLsn - 1;
    const sealed = scan.ends === 'sealed';
    const { segmentSize } = segment.header;
    const entries = sealed ? undefined : scan.entries;
    const fields = { partition, index, baseLsn, lastLsn, end: scan.end, segmentSize, seed, sealed, entries };
    return {
      file,
      entry: makeEntry({ ...fields, warm: true }),
      lastChecksum: scan.lastChecksum,
      entries: scan.entries,
      cookieSequence: cookie?.sequence ?? 0,
      scan,
      torn:
        cut.copyTo > scan.end ? { segment: index, offset: scan.end, bytes: cut.copyTo - scan.end, copy } : undefined,
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** How much behind X is to be kept in a copy, and how much is to be zeroed; both = X for nothing. */
interface Cut {
  readonly copyTo: number;
  readonly zeroTo: number;
}

/** Decides A, B, C, D or E for the end of the last segment. */
async function judgeEnd(
  request: RecoveryRequest,
  segment: Opened,
  file: DiskFile,
  scan: Scan,
  limit: number,
): Promise<Cut> {
  const { index, cookie, header, seed } = segment;
  const lsn = scan.nextLsn;
  const behind =
    scan.ends === 'sealed'
      ? { proof: undefined, laterEnd: scan.end, dataEnd: scan.end }
      : await lookBehind(file, scan.end, limit, lsn, seed);
  if (behind.proof !== undefined) {
    throw damaged(request, index, scan.end, 'Acknowledged records are damaged', lsn, behind.proof.durableLsn); // B
  }
  if (cookie !== undefined && cookie.durableLsn >= lsn) {
    throw damaged(request, index, scan.end, 'The end of the log is missing', lsn, cookie.durableLsn); // C
  }
  refuseIfShort(request, index, lsn, scan.end); // D

  if (header.recycled) {
    // Old bytes are everywhere, so only what is surely of this life counts: later frames, which must not come back.
    return { copyTo: behind.laterEnd, zeroTo: behind.laterEnd };
  }
  const head = new Uint8Array(4);
  await file.read(head, scan.end);
  const begun = scan.end < limit && viewOf(head).getUint32(0, true) !== 0;
  // Bytes without a length are a frame that was never closed, or whose first sector never came: nobody was told of it.
  return { copyTo: begun || behind.laterEnd > scan.end ? behind.dataEnd : scan.end, zeroTo: behind.dataEnd };
}

/** D: `minDurableLsn`. `lsn` is the one expected at the end of the log. */
function refuseIfShort(request: RecoveryRequest, segment: number, lsn: number, offset: number): void {
  if (request.minDurableLsn >= lsn) {
    throw damaged(request, segment, offset, 'The log ends before minDurableLsn', lsn, request.minDurableLsn);
  }
}

/** F or G: is the file without a valid open frame one that was never opened? `lsn` would be its base LSN. */
async function refuseIfOpened(request: RecoveryRequest, segment: Opened, lsn: number, sealed: boolean): Promise<void> {
  const { disk } = request;
  const file = await disk.open(pathOf(request, segment.index), 'read');
  try {
    const limit = Math.min(await file.size(), Math.floor(segment.header.segmentSize / 8) * 8);
    const behind = await lookBehind(file, DATA_OFFSET, limit, lsn, segment.seed);
    const durableLsn = Math.max(behind.proof?.durableLsn ?? 0, segment.cookie?.durableLsn ?? 0);
    if (durableLsn >= lsn) {
      const what = sealed ? 'The open frame of a segment is damaged' : 'The end of a segment is damaged';
      throw damaged(request, segment.index, DATA_OFFSET, what, lsn, durableLsn);
    }
  } finally {
    await file.close();
  }
}

/** Writes the records that nothing proves to be durable once more, with the same bytes. */
async function writeAgain(file: DiskFile, scan: Scan): Promise<void> {
  await eachChunk(file, scan.unprovenFrom, scan.end, (bytes, at) => file.writeSync(bytes, at));
}

function pathOf({ directory, partition }: RecoveryRequest, index: number): string {
  return join(directory, segmentName(partition, index));
}

function damaged(
  request: RecoveryRequest,
  segment: number,
  offset: number,
  what: string,
  firstLsn?: number,
  lastLsn?: number,
): VarveError {
  const { partition } = request;
  return corruption(what, {
    partition,
    segment,
    offset,
    path: pathOf(request, segment),
    ...(firstLsn === undefined ? {} : { firstLsn }),
    ...(lastLsn === undefined ? {} : { lastLsn }),
  });
}
