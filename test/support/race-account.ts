/** What is known of one partition from outside while several users are at it, and what a log may show of it later. */
import assert from 'node:assert/strict';
import type { LogRecord, Partition } from 'varve';

interface Acknowledged {
  readonly id: string;
  readonly lsn: number;
  /** Place in the order of everything, of the call. */
  readonly begun: number;
  /** It survives a power cut, not only a close in good order. */
  durable: boolean;
}

interface Truncation {
  readonly lsn: number;
  readonly begun: number;
  /** Place in the order at which it ended; Infinity while it has not. */
  ended: number;
}

/** What a log shows of a partition. */
export interface Shown {
  readonly oldestLsn: number;
  readonly records: readonly LogRecord[];
}

export class Account {
  readonly partition: Partition;
  readonly #acknowledged: Acknowledged[] = [];
  /** Ids of all that was ever given to it. */
  readonly #given = new Set<string>();
  readonly #truncations: Truncation[] = [];
  #highestPurge = 0;
  /** What a follower from the beginning has got. */
  readonly followed: LogRecord[] = [];

  constructor(partition: Partition) {
    this.partition = partition;
  }

  give(id: string): void {
    this.#given.add(id);
  }

  acknowledge(id: string, lsn: number, begun: number, durable: boolean): void {
    this.#acknowledged.push({ id, lsn, begun, durable });
  }

  /** Everything acknowledged up to `lsn` that was begun before `begun` is durable now. */
  synced(lsn: number, begun: number): void {
    for (const known of this.#acknowledged) if (known.lsn <= lsn && known.begun < begun) known.durable = true;
  }

  askPurge(minLsn: number): void {
    this.#highestPurge = Math.max(this.#highestPurge, minLsn);
  }

  /** Returns how to tell that it has ended. */
  askTruncation(lsn: number, begun: number): (ended: number) => void {
    const truncation: Truncation = { lsn, begun, ended: Number.POSITIVE_INFINITY };
    this.#truncations.push(truncation);
    return (ended) => {
      truncation.ended = ended;
    };
  }

  get truncated(): boolean {
    return this.#truncations.length > 0;
  }

  /** A power cut at this moment: returns the judge of what a log may show after it. */
  cutPower(): (shown: Shown) => void {
    const then = new Account(this.partition);
    for (const known of this.#acknowledged) if (known.durable) then.#acknowledged.push({ ...known });
    for (const id of this.#given) then.#given.add(id);
    for (const truncation of this.#truncations) then.#truncations.push({ ...truncation });
    then.#highestPurge = this.#highestPurge;
    return (shown) => then.judge(shown);
  }

  /** Throws if a log that was opened later shows what it must not, or lacks what it must show. */
  judge({ oldestLsn, records }: Shown): void {
    dense(records);
    const at = new Map<string, number>();
    for (const { lsn, payload } of records) {
      const id = /^<\d+>/.exec(Buffer.from(payload).toString())?.[0] ?? '';
      assert.ok(this.#given.has(id), `LSN ${lsn} holds what nobody has appended`);
      assert.ok(!at.has(id), `${id} is there twice`);
      at.set(id, lsn);
    }
    assert.ok(oldestLsn <= Math.max(1, this.#highestPurge), 'more was purged than was asked for');
    for (const { id, lsn, begun } of this.#acknowledged) {
      const cut = this.#truncations.some((truncation) => truncation.lsn < lsn && truncation.ended > begun);
      const gone = lsn < oldestLsn || cut;
      const there = at.get(id);
      assert.ok(there === lsn || (there === undefined && gone), `${id} was acknowledged at ${lsn}, and is at ${there}`);
    }
  }

  /** Throws if the follower has got something else than what is there. */
  judgeFollowed({ oldestLsn, records }: Shown): void {
    if (this.truncated) return;
    dense(this.followed);
    const texts = new Map(records.map(({ lsn, payload }) => [lsn, Buffer.from(payload).toString()]));
    for (const { lsn, payload } of this.followed) {
      if (lsn >= oldestLsn) assert.equal(texts.get(lsn), Buffer.from(payload).toString());
    }
  }
}

/** LSNs without a hole. */
export function dense(records: readonly LogRecord[]): void {
  records.forEach(({ lsn }, i) => {
    assert.equal(lsn, (records[0] as LogRecord).lsn + i);
  });
}
