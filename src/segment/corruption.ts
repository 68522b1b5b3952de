/** How damage to a segment is reported: one shape, wherever it is found. */
import { VarveError } from '../errors.js';

export interface DamagePlace {
  readonly partition: number;
  readonly segment: number;
  /** Byte offset in the segment file. */
  readonly offset: number;
  /** First and last LSN that are known to be concerned, where they are known. */
  readonly firstLsn?: number;
  readonly lastLsn?: number;
  readonly path?: string;
}

/** `ERR_VARVE_CORRUPT` with the place and the LSN range, and what the user can do. */
export function corruption(what: string, place: DamagePlace, cause?: unknown): VarveError {
  const range =
    place.firstLsn === undefined
      ? ''
      : place.lastLsn === undefined
        ? `, LSN ${place.firstLsn} and later`
        : `, LSN ${place.firstLsn} to ${place.lastLsn}`;
  return new VarveError(
    'ERR_VARVE_CORRUPT',
    `${what} (partition ${place.partition}, segment ${place.segment}, offset ${place.offset}${range}). ` +
      'Nothing has been changed. Restore the file from a copy, or read what is left with salvage().',
    { ...place },
    cause,
  );
}
