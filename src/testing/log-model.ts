/**
 * What a log may show after a crash: the promises of the log, as a program's own bookkeeping.
 *
 * The program notes what it asks for before it asks, and what was acknowledged when it is. Everything between the two may
 * have happened or not.
 */

/** A record that was appended: its bytes are made from its number, so that it is known wherever it turns up. */
export interface Issued {
  readonly id: number;
  readonly size: number;
  /** Records of one batch share a number; 0 for none. */
  readonly batch: number;
}

/** What a log shows. */
export interface Shown {
  readonly oldestLsn: number;
  readonly records: readonly { readonly lsn: number; readonly payload: Uint8Array }[];
}

/** A power loss keeps what is durable, the end of the process also what was written. */
export type Loss = 'power' | 'process';

/** Bytes that only `id` and `size` give. */
export function payloadOf({ id, size }: Issued): Uint8Array {
  const bytes = new Uint8Array(size);
  let x = (id + 1) * 0x9e3779b1;
  for (let i = 0; i < size; i++) {
    x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d) + i;
    bytes[i] = x >>> 24;
  }
  return bytes;
}

export class LogModel {
  /** What was asked to be appended, by LSN − 1. */
  #issued: Issued[] = [];
  #nextId = 1;
  #nextBatch = 1;
  /** Last LSN acknowledged as durable, and as written. */
  durable = 0;
  written = 0;
  /** Oldest LSN, as acknowledged, and as far as a purge was asked for. */
  oldest = 1;
  #purgeAsked = 1;
  /** A truncation to this LSN was asked for and not acknowledged. */
  #rewinding: number | undefined;

  clone(): LogModel {
    const copy = new LogModel();
    copy.#issued = this.#issued.slice();
    copy.#nextId = this.#nextId;
    copy.#nextBatch = this.#nextBatch;
    copy.durable = this.durable;
    copy.written = this.written;
    copy.oldest = this.oldest;
    copy.#purgeAsked = this.#purgeAsked;
    copy.#rewinding = this.#rewinding;
    return copy;
  }

  /** Last LSN that was asked for. */
  get last(): number {
    return this.#issued.length;
  }

  /** Notes records that are going to be appended, one after the other or as a batch. Returns their payloads. */
  issue(sizes: readonly number[], batch: boolean): Uint8Array[] {
    const number = batch ? this.#nextBatch++ : 0;
    return sizes.map((size) => {
      const record = { id: this.#nextId++, size, batch: number };
      this.#issued.push(record);
      return payloadOf(record);
    });
  }

  acknowledge(lsn: number, ack: 'durable' | 'written'): void {
    this.written = Math.max(this.written, lsn);
    if (ack === 'durable') this.durable = Math.max(this.durable, lsn);
  }

  /** The power goes: what was only written need not be there any more. */
  losePower(): void {
    this.written = this.durable;
  }

  askPurge(minLsn: number): void {
    this.#purgeAsked = Math.max(this.#purgeAsked, minLsn);
  }

  acknowledgePurge(oldestLsn: number): void {
    this.oldest = Math.max(this.oldest, oldestLsn);
  }

  /** A truncation first makes everything durable, and then keeps all or cuts behind `lsn`. */
  askTruncation(lsn: number): void {
    this.#rewinding = lsn;
  }

  acknowledgeTruncation(lsn: number): void {
    this.#issued.length = Math.min(this.#issued.length, lsn);
    this.durable = this.written = this.#issued.length;
    this.#rewinding = undefined;
  }

  /** Last LSN that must be there after the loss. */
  required(loss: Loss): number {
    const kept = loss === 'power' ? this.durable : this.written;
    return Math.min(kept, this.#rewinding ?? kept);
  }

  /** The note of what was purged is lost: what had been purged may be there again. */
  forgetPurges(): void {
    this.oldest = 1;
  }

  /** Why a log that shows this after the loss breaks a promise; undefined if it breaks none. */
  violation({ oldestLsn, records }: Shown, loss: Loss): string | undefined {
    const required = this.required(loss);
    const last = oldestLsn + records.length - 1;
    if (oldestLsn < this.oldest) return `LSN ${oldestLsn} is back, although all before ${this.oldest} was purged`;
    if (oldestLsn > this.#purgeAsked) return `it begins at LSN ${oldestLsn}: more is gone than was to be purged`;
    if (last < required) return `it ends at LSN ${last}, but ${required} was acknowledged`;
    const wrong = this.mismatch(oldestLsn, records);
    if (wrong !== undefined) return wrong;
    const batch = this.#issued[last - 1]?.batch ?? 0;
    if (batch !== 0 && last !== this.#rewinding && this.#issued[last]?.batch === batch) {
      return `it ends at LSN ${last}, inside a batch`;
    }
    return undefined;
  }

  /** Why these are not the records from LSN `from` on; undefined if they are. */
  mismatch(from: number, records: Shown['records']): string | undefined {
    for (const [i, { lsn, payload }] of records.entries()) {
      if (lsn !== from + i) return `LSN ${lsn} stands where ${from + i} is expected`;
      const issued = this.#issued[lsn - 1];
      if (issued === undefined) return `LSN ${lsn} was never appended, or was truncated`;
      if (Buffer.compare(payloadOf(issued), payload) !== 0) return `LSN ${lsn} is not what was appended`;
    }
    return undefined;
  }

  /** From now on what the log has shown must stay. */
  adopt({ oldestLsn, records }: Shown): void {
    this.acknowledgeTruncation(oldestLsn + records.length - 1);
    this.oldest = oldestLsn;
    this.#purgeAsked = Math.max(this.#purgeAsked, oldestLsn);
  }
}
