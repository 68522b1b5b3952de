/**
 * The first bytes of a partition's segments, as recovery meets them: header, cookie and open frame, held against the
 * file's name and the store.
 */
import { VarveError } from '../errors.js';
import {
  checksumHolds,
  decodeOpenFrame,
  frameChecksum,
  frameKind,
  KIND_OPEN,
  OPEN_FRAME_SIZE,
  type PreviousSegment,
  plausibleLength,
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
import { mapPieces } from './pieces.js';
import { damaged, pathOf, type RecoveryRequest } from './recovery-request.js';

/** Where the first frame behind the open frame begins. */
export const FIRST_FRAME = DATA_OFFSET + OPEN_FRAME_SIZE;

/** A segment file whose header is in order. */
export interface SegmentHead {
  readonly index: number;
  readonly header: SegmentHeader;
  readonly seed: number;
  readonly cookie: Cookie | undefined;
  /** Undefined where there is no valid open frame. */
  readonly open: PreviousSegment | undefined;
  readonly openChecksum: number;
}

/** The heads of the segments with these indexes. Rejects where one does not belong here (H). */
export function readHeads(request: RecoveryRequest, indexes: readonly number[]): Promise<SegmentHead[]> {
  const pieces = indexes.map((index) => ({
    path: pathOf(request, index),
    position: 0,
    length: FIRST_FRAME,
  }));
  return mapPieces(request.disk, pieces, (bytes, i) => decodeHead(request, indexes[i] as number, bytes));
}

function decodeHead(request: RecoveryRequest, index: number, bytes: Uint8Array): SegmentHead {
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
