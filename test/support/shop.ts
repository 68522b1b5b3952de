/**
 * An application that keeps its state in a log, as users write them: a shop sells tickets, confirms each sale by letter, and
 * moves money. Partition 1 holds what happened, partition 2 snapshots of it. Subclasses make mistakes.
 */
import { type AppendOptions, type Disk, type Log, openLog, type Partition } from '../../src/index.js';

export interface Entry {
  readonly kind: 'sold' | 'moved' | 'posted';
  /** Of the sale. */
  readonly id: number;
  readonly amount: number;
}

/** What customers and the post know; no crash takes it from them. */
export interface World {
  asked: number[];
  confirmed: number[];
  /** Most sales that a customer was told of. */
  told: number;
  /** Letters sent, by sale. The post drops one that it had before, if it has a number. */
  letters: Record<number, number>;
}

export const newWorld = (): World => ({ asked: [], confirmed: [], told: 0, letters: {} });

interface State {
  sold: number[];
  posted: number[];
  /** Sum of all that was moved: 0 unless a transfer was cut in two. */
  moved: number;
  /** Last LSN that is in it. */
  lsn: number;
}

export const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const decode = <T>(payload: Uint8Array): T => JSON.parse(new TextDecoder().decode(payload)) as T;

export class Shop {
  readonly log: Log;
  readonly events: Partition;
  readonly snapshots: Partition;
  readonly world: World;
  state: State = { sold: [], posted: [], moved: 0, lsn: 0 };

  constructor(log: Log, events: Partition, snapshots: Partition, world: World) {
    this.log = log;
    this.events = events;
    this.snapshots = snapshots;
    this.world = world;
  }

  static async open(disk: Disk, segmentSize: number, world: World): Promise<Shop> {
    const log = await openLog({ directory: '/shop', disk, segmentSize });
    const shop = new this(log, await log.partition(1), await log.partition(2), world);
    await shop.recover();
    return shop;
  }

  async recover(): Promise<void> {
    for await (const { payload } of this.snapshots.read({ direction: 'backward', limit: 1 })) {
      this.state = decode(payload);
    }
    for await (const { lsn, payload } of this.events.read({ from: this.events.oldestLsn })) {
      if (lsn > this.state.lsn) this.apply(lsn, decode(payload));
    }
    const unposted = this.state.sold.filter((id) => !this.state.posted.includes(id));
    for (const id of unposted) await this.post(id);
  }

  apply(lsn: number, { kind, id, amount }: Entry): void {
    if (kind === 'sold') this.state.sold.push(id);
    else if (kind === 'posted') this.state.posted.push(id);
    else this.state.moved += amount;
    this.state.lsn = lsn;
  }

  async append(entry: Entry, options?: AppendOptions): Promise<void> {
    const { lsn } = await this.events.append(encode(entry), options);
    this.apply(lsn, entry);
  }

  async sell(id: number): Promise<void> {
    await this.append({ kind: 'sold', id, amount: 0 });
    await this.post(id);
  }

  async post(id: number): Promise<void> {
    this.world.letters[id] = 1;
    await this.append({ kind: 'posted', id, amount: 0 });
  }

  async move(amount: number): Promise<void> {
    const entries: Entry[] = [-amount, amount].map((part) => ({ kind: 'moved', id: 0, amount: part }));
    const { lastLsn } = await this.events.appendBatch(entries.map(encode));
    for (const entry of entries) this.apply(lastLsn, entry);
  }

  async compact(): Promise<void> {
    await this.saveSnapshot();
    await this.events.rotate();
    await this.events.purgeBefore(this.state.lsn + 1);
  }

  async saveSnapshot(): Promise<void> {
    await this.snapshots.append(encode(this.state));
  }

  close(): Promise<void> {
    return this.log.close();
  }
}
