/** How the quick start opens its log, in every process. */
import { openLog } from 'varve';

export const SEGMENT_KIB = 32;
/** Purged files that are kept for new segments. */
const RECYCLED_FILES = 4;

/** @typedef {{ directory: string, io: import('varve').IoMode, minDurableLsn?: Record<number, number> }} Options */

/**
 * Segments are far smaller than a real program would have them, so that the log rotates all the time.
 *
 * @param {Options} options
 */
export function openFlightLog({ directory, io, minDurableLsn = {} }) {
  return openLog({ directory, io, minDurableLsn, segmentSize: SEGMENT_KIB * 1024, recycle: RECYCLED_FILES });
}

/**
 * Opens the log, gives it to `use`, and closes it whatever comes of that.
 *
 * @template T
 * @param {Options} options
 * @param {(log: import('varve').Log) => Promise<T>} use
 */
export async function withFlightLog(options, use) {
  const log = await openFlightLog(options);
  try {
    return await use(log);
  } finally {
    await log.close();
  }
}
