/**
 * What the outside knows of a partition, from the lines of the children that used it (session.js): the promises that
 * every later opening is held to.
 */

export interface Line {
  step?: string;
  opened?: { oldest: number; durableLsn: number };
  found?: [number, number][];
  try?: number[];
  ack?: [number, number][];
  durable?: boolean;
  purging?: number;
  purged?: number;
  truncating?: number;
  truncated?: number;
  failed?: string;
  error?: { step: string; code?: string; cause?: string; message: string };
  pressure?: string;
  degraded?: string;
  untold?: string;
  closed?: boolean;
  point?: string;
  end?: boolean;
}

export class Account {
  readonly #tried = new Set<number>();
  /** Ids by LSN: what must be there. */
  readonly #kept = new Map<number, number>();
  #oldest = 1;
  #purgeAsked = 1;
  /** Truncations that were begun, and not answered with success: each is done wholly or not at all. */
  #truncating = new Set<number>();
  /** Ids that were tried before the partition failed; undefined while it has not. */
  #failed: Set<number> | undefined;
  #opened = { oldest: 1, durableLsn: 0 };
  /** How often the partition was opened and read. */
  found = 0;

  /** `kind`: what has happened, or is made to happen, to the process or the disk. */
  constructor(readonly kind: 'killed' | 'torn' | 'sync failed' | 'other call failed') {}

  copy(): Account {
    const copy = new Account(this.kind);
    for (const id of this.#tried) copy.#tried.add(id);
    for (const [lsn, id] of this.#kept) copy.#kept.set(lsn, id);
    copy.#oldest = this.#oldest;
    copy.#purgeAsked = this.#purgeAsked;
    copy.#truncating = new Set(this.#truncating);
    return copy;
  }

  /** Throws where a line breaks a promise. */
  hear(line: Line): void {
    if (line.untold !== undefined) throw new Error(`nobody handled: ${line.untold}`);
    if (line.step === 'open') this.#failed = undefined;
    if (line.failed !== undefined) this.#failed = new Set(this.#tried);
    for (const id of line.try ?? []) this.#tried.add(id);
    if (line.ack !== undefined) this.#acknowledge(line.ack, line.durable === true);
    if (line.purging !== undefined) this.#purgeAsked = Math.max(this.#purgeAsked, line.purging);
    if (line.purged !== undefined) this.#oldest = Math.max(this.#oldest, line.purged);
    if (line.truncating !== undefined) this.#truncating.add(line.truncating);
    if (line.truncated !== undefined) {
      this.#forget(line.truncated);
      this.#truncating.clear();
    }
    if (line.opened !== undefined) this.#open(line.opened);
    if (line.found !== undefined) this.#judge(line.found);
  }

  #acknowledge(acks: readonly [number, number][], durable: boolean): void {
    for (const [lsn, id] of acks) {
      // Behind a failed sync there is none. Where another call failed, that may have been the cookie's, which is
      // written behind a sync that succeeded: then the record is durable, and its acknowledgement on its way.
      if (this.#failed !== undefined && (this.kind === 'sync failed' || !this.#failed.has(id))) {
        throw new Error(`${id} was acknowledged, as LSN ${lsn}, behind a failure`);
      }
      if (this.#kept.has(lsn)) throw new Error(`LSN ${lsn} was given twice`);
      // What is only written is kept by a process that dies, not by a machine or a disk.
      if (durable || this.kind === 'killed') this.#kept.set(lsn, id);
    }
  }

  #forget(last: number): void {
    for (const [lsn, id] of this.#kept) {
      if (lsn <= last) continue;
      this.#kept.delete(lsn);
      this.#tried.delete(id); // it must not come back
    }
  }

  #open(opened: NonNullable<Line['opened']>): void {
    const { oldest, durableLsn } = opened;
    this.#opened = opened;
    if (oldest < this.#oldest) throw new Error(`purged up to ${this.#oldest}, and ${oldest} is there again`);
    if (oldest > this.#purgeAsked) throw new Error(`begins at ${oldest}; purged was only before ${this.#purgeAsked}`);
    if (this.#truncating.has(durableLsn)) this.#forget(durableLsn);
    this.#truncating.clear();
    for (const lsn of this.#kept.keys()) {
      if (lsn > durableLsn) throw new Error(`LSN ${lsn} was acknowledged; the log ends at ${durableLsn}`);
    }
  }

  #judge(records: NonNullable<Line['found']>): void {
    const { oldest, durableLsn } = this.#opened;
    this.found++;
    if (records.length !== durableLsn - oldest + 1) {
      throw new Error(`${records.length} records from ${oldest} to ${durableLsn}`);
    }
    const ids = new Set<number>();
    records.forEach(([lsn, id], i) => {
      const known = this.#kept.get(lsn);
      if (lsn !== oldest + i) throw new Error(`LSN ${lsn} where ${oldest + i} should be`);
      if (known !== undefined && known !== id) throw new Error(`LSN ${lsn} holds ${id}, where ${known} was`);
      if (!this.#tried.has(id)) throw new Error(`LSN ${lsn} holds ${id}, which was never appended`);
      if (ids.has(id)) throw new Error(`${id} is there twice`);
      ids.add(id);
      // It has been believed once: from now on it may neither change nor go.
      this.#kept.set(lsn, id);
    });
  }
}
