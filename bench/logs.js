/** Logs to measure with. */
import { setTimeout as sleep } from 'node:timers/promises';
import { check } from './measure.js';
import { openLog, realDisk } from './varve.js';

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

/** The default of `openLog`. */
export const SEGMENT_SIZE = 64 * MIB;

/** Frame header, record header and trailer, aligned to 8: what a record takes that is a frame by itself. */
export const frameBytes = (/** @type {number} */ payload) => Math.ceil((payload + 48) / 8) * 8;

const READY_TIMEOUT_MS = 60_000;

/** @typedef {'mmap' | 'write'} Io */

/**
 * @typedef {object} OpenedLog
 * @property {Io} io
 * @property {import('varve').Log} log
 * @property {import('varve').Partition} partition
 */

/**
 * A new log for each back end that works here; its partition 1 has a record already, so that its first segment is made.
 *
 * @param {import('./workspace.js').Workspace} workspace
 * @param {Partial<import('varve').OpenLogOptions>} [options]
 * @returns {Promise<OpenedLog[]>}
 */
export async function openLogs(workspace, options = {}) {
  const logs = [];
  for (const io of /** @type {Io[]} */ (['mmap', 'write'])) {
    const directory = workspace.makeDirectory();
    if (io === 'mmap' && !(await workspace.disk.features(directory)).map) continue;
    const log = await openLog({ ...options, directory, io });
    const partition = await log.partition(1);
    await partition.append(new Uint8Array(8));
    await whenReady(log);
    logs.push({ io, log, partition });
  }
  return logs;
}

/**
 * The one that `io: 'auto'`, the default, chooses here: what peers are compared with.
 *
 * @param {readonly OpenedLog[]} logs
 */
export function defaultLog(logs) {
  return /** @type {OpenedLog} */ (logs[0]);
}

/** A disk that syncs no file: to set up in seconds, and without wear, what is only read or purged afterwards. */
export function unsyncedDisk() {
  const disk = realDisk();
  const open = disk.open.bind(disk);
  disk.open = async (path, mode) => {
    const file = await open(path, mode);
    file.sync = async () => {};
    return file;
  };
  return disk;
}

/** @param {readonly OpenedLog[]} logs */
export async function closeLogs(logs) {
  for (const { log } of logs) await log.close();
}

/**
 * Before timing: room for `bytes` more in the first half of the active segment. So no timed part meets the end of a
 * segment, nor the middle, where the next segment is prepared.
 *
 * @param {Pick<OpenedLog, 'log' | 'partition'>} opened
 * @param {number} bytes
 */
export async function makeRoom({ log, partition }, bytes) {
  const active = partition.segments().at(-1);
  check(active !== undefined && active.state === 'active', 'there is no active segment');
  check(bytes < active.size / 2, `${bytes} bytes in one round do not fit in half a segment`);
  if (active.bytes + bytes <= active.size / 2) return;
  await partition.rotate();
  await whenReady(log);
}

/** Waits until the next segment is prepared, which happens in the background. @param {import('varve').Log} log */
export async function whenReady(log) {
  const giveUpAt = performance.now() + READY_TIMEOUT_MS;
  while (log.stats().segments.ready < 1) {
    check(performance.now() < giveUpAt, 'no segment was prepared within a minute');
    await sleep(1);
  }
}

/**
 * Runs what is timed, and checks that it has appended so many records, in one segment.
 *
 * @param {import('varve').Partition} partition
 * @param {number} records
 * @param {() => Promise<number>} timed
 */
export async function checked(partition, records, timed) {
  const before = partition.writtenLsn;
  const { rotations } = partition.stats();
  const value = await timed();
  check(partition.writtenLsn === before + records, `${partition.writtenLsn - before} records instead of ${records}`);
  check(partition.stats().rotations === rotations, 'the timed part has met the end of a segment');
  await partition.sync();
  check(partition.durableLsn === before + records, 'not all records are durable');
  return value;
}

/** Bytes written in one turn of the event loop where records share frames, which end at 64 KiB. */
const TURN_BYTES = MIB;
/** Bytes between syncs, so that nothing waits for `maxUnsyncedBytes`. */
const SYNC_BYTES = 16 * MIB;

/**
 * Appends records of `recordSize` bytes until there are `bytes` of payload, and makes them durable.
 *
 * @param {import('varve').Partition} partition
 * @param {object} shape
 * @param {number} shape.bytes
 * @param {number} shape.recordSize
 * @param {'single' | 'shared'} shape.frames a frame for each record, or frames of 64 KiB
 * @param {(text: string) => void} progress
 * @returns {Promise<number>} the number of records
 */
export async function fill(partition, { bytes, recordSize, frames }, progress) {
  const payload = makePayload(recordSize);
  const records = Math.ceil(bytes / recordSize);
  const perTurn = Math.max(1, Math.floor(TURN_BYTES / recordSize));
  const perSync = Math.max(perTurn, Math.floor(SYNC_BYTES / recordSize));
  for (let done = 0; done < records; ) {
    const until = Math.min(records, done + perSync);
    if (frames === 'single') for (; done < until; done++) await partition.append(payload, { ack: 'written' });
    while (done < until) {
      for (const turn = Math.min(until, done + perTurn); done < turn; done++) partition.write(payload);
      await undefined;
    }
    await partition.sync();
    progress(`filling, ${Math.floor((done * 100) / records)} %`);
  }
  return records;
}

/**
 * Appends records of 1 KiB to partition 1 of a new log until it has so many sealed segments, and closes it.
 *
 * @param {string} directory
 * @param {number} sealed
 * @param {number} segmentSize
 * @param {(text: string) => void} progress
 * @returns {Promise<number>} the last LSN
 */
export async function fillSegments(directory, sealed, segmentSize, progress) {
  const disk = unsyncedDisk();
  const log = await openLog({ directory, segmentSize, disk });
  const partition = await log.partition(1);
  const payload = makePayload(KIB);
  for (let index = 0; index <= sealed; ) {
    index = (await partition.append(payload, { ack: 'written' })).position.segmentIndex;
    progress(`filling, segment ${index} of ${sealed}`);
  }
  await log.close();
  await disk.close();
  return partition.durableLsn;
}

/** Bytes that do not compress or repeat within a record. @param {number} size */
export function makePayload(size) {
  const payload = new Uint8Array(size);
  let state = 0x9e3779b9;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    payload[i] = state >>> 24;
  }
  return payload;
}
