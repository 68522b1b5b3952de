/**
 * Appends over several partitions, all or nothing after any crash.
 *
 * One record decides. It goes into one of the partitions, in one batch with that partition's own events and behind
 * them, and holds the events of all the others, with the LSN at which they belong. When it is durable the append has
 * happened; then the others get theirs. Every partition concerned is held until all of it is durable. So after a crash
 * only the *last* record of a partition can be a transaction that was not brought to its end, and whether a partition
 * lacks its events is told by its next LSN alone. Bringing it to its end twice changes nothing.
 *
 *   offset  size
 *        0     1  format: 1
 *        1     1  kind: 2
 *        2     2  number of partitions of the store
 *        4     8  position: of its last event, over all partitions
 *       12     2  number of parts
 *       14        parts: u32 partition · u64 LSN of its first event · u32 number of events · (u32 length + bytes) each
 */
import { VarveError } from '../../errors.js';
import type { EnginePartition } from './engine.js';
import { envelopeKind, FORMAT, KIND_TRANSACTION, notAnEvent } from './envelope.js';

const HEAD_SIZE = 14;
const PART_SIZE = 16;

export interface TransactionPart {
  readonly partition: number;
  readonly firstLsn: number;
  readonly payloads: readonly Uint8Array[];
}

export function encodeTransaction(partitions: number, position: number, parts: readonly TransactionPart[]): Buffer {
  let size = HEAD_SIZE;
  for (const { payloads } of parts) size += payloads.reduce((sum, { length }) => sum + 4 + length, PART_SIZE);
  const bytes = Buffer.alloc(size);
  bytes[0] = FORMAT;
  bytes[1] = KIND_TRANSACTION;
  bytes.writeUInt16LE(partitions, 2);
  bytes.writeBigUInt64LE(BigInt(position), 4);
  bytes.writeUInt16LE(parts.length, 12);
  let at = HEAD_SIZE;
  for (const { partition, firstLsn, payloads } of parts) {
    bytes.writeUInt32LE(partition, at);
    bytes.writeBigUInt64LE(BigInt(firstLsn), at + 4);
    bytes.writeUInt32LE(payloads.length, at + 12);
    at += PART_SIZE;
    for (const payload of payloads) {
      bytes.writeUInt32LE(payload.length, at);
      bytes.set(payload, at + 4);
      at += 4 + payload.length;
    }
  }
  return bytes;
}

/** Throws `ERR_VARVE_CORRUPT`. */
export function decodeTransaction(payload: Uint8Array): TransactionPart[] {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  const need = (end: number) => {
    if (end > bytes.length) throw notAnEvent();
  };
  need(HEAD_SIZE);
  const parts: TransactionPart[] = [];
  let at = HEAD_SIZE;
  for (let left = bytes.readUInt16LE(12); left > 0; left--) {
    need(at + PART_SIZE);
    const partition = bytes.readUInt32LE(at);
    const firstLsn = Number(bytes.readBigUInt64LE(at + 4));
    const payloads: Uint8Array[] = [];
    let count = bytes.readUInt32LE(at + 12);
    at += PART_SIZE;
    for (; count > 0; count--) {
      need(at + 4);
      const end = at + 4 + bytes.readUInt32LE(at);
      need(end);
      payloads.push(bytes.subarray(at + 4, end));
      at = end;
    }
    parts.push({ partition, firstLsn, payloads });
  }
  if (at !== bytes.length) throw notAnEvent();
  return parts;
}

/** Brings the transaction that `partition` ends with, if it does, to its end in all others. */
export async function completeTransaction(partition: EnginePartition, all: readonly EnginePartition[]): Promise<void> {
  const [last] = await partition.read({ direction: 'backward', limit: 1, visibility: 'written' }).toArray();
  if (last === undefined || envelopeKind(last.payload) !== KIND_TRANSACTION) return;
  for (const { partition: number, firstLsn, payloads } of decodeTransaction(last.payload)) {
    const other = all[number - 1];
    const next = (other?.writtenLsn ?? 0) + 1;
    if (other === undefined || next < firstLsn) {
      throw new VarveError(
        'ERR_VARVE_CORRUPT',
        `The transaction in record ${last.lsn} of partition ${partition.number} goes on at LSN ${firstLsn} of partition ` +
          `${number}, which ends at ${next - 1}: acknowledged events are missing there.`,
        { partition: number, firstLsn: next, lastLsn: firstLsn - 1 },
      );
    }
    if (next === firstLsn) await other.appendBatch(payloads);
  }
}
