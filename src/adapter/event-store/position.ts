/**
 * Positions: where an event stands in the order of all events of a store.
 *
 * A position is one number that grows with every event, over all partitions: as a bigint, and as 19 decimal digits, so
 * that the order of the strings is the order of the events. A checkpoint is exact to the partition: the last LSN of
 * each that has been dealt with, `'120.7.0'` for three partitions.
 */
import { VarveError } from '../../errors.js';

const DIGITS = 19;
const MAX_POSITION = BigInt(Number.MAX_SAFE_INTEGER);

/** 19 digits, padded with zeros: sorts as the position does. */
export function formatPosition(position: bigint): string {
  return checkPosition(position).toString().padStart(DIGITS, '0');
}

/** Reads what `formatPosition` made. Throws `ERR_VARVE_INVALID_OPTION`. */
export function parsePosition(text: string): bigint {
  if (typeof text !== 'string' || !/^\d{19}$/.test(text)) throw malformed('position', text, `${DIGITS} decimal digits`);
  return checkPosition(BigInt(text));
}

/** Throws `ERR_VARVE_INVALID_OPTION` for anything but a position: 0 … 2⁵³ − 1. */
export function checkPosition(position: bigint): bigint {
  if (typeof position !== 'bigint' || position < 0n || position > MAX_POSITION) {
    throw malformed('position', position, `a bigint from 0n to ${MAX_POSITION}n`);
  }
  return position;
}

/** The last LSN that has been dealt with, for each partition from the first on; 0 for nothing yet. */
export type Checkpoint = readonly number[];

export function formatCheckpoint(checkpoint: Checkpoint): string {
  return checkpoint.join('.');
}

/** Reads what `formatCheckpoint` made. Throws `ERR_VARVE_INVALID_OPTION`, also for another number of partitions. */
export function parseCheckpoint(text: string, partitions: number): Checkpoint {
  const lsns = typeof text === 'string' && /^\d{1,16}(\.\d{1,16})*$/.test(text) ? text.split('.').map(Number) : [];
  if (lsns.length !== partitions || !lsns.every(Number.isSafeInteger)) {
    throw malformed('checkpoint', text, `${partitions} LSNs joined by dots`);
  }
  return lsns;
}

function malformed(option: string, given: unknown, expected: string): VarveError {
  const shown = typeof given === 'string' ? `'${given}'` : `${String(given)} (${typeof given})`;
  return new VarveError('ERR_VARVE_INVALID_OPTION', `The ${option} ${shown} is malformed: it must be ${expected}.`, {
    option,
  });
}
