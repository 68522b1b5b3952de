/**
 * How far a consumer is, and the storing of it: after so many events, after so long, and at its end.
 *
 * Only the holder of the lease stores, and only over the checkpoint that it has written itself.
 */
import { type Checkpoints, revisionOf } from './checkpoints.js';
import type { ConsumerPlan } from './consumer-options.js';
import type { Cursors } from './cursors.js';
import { type Lease, leaseLost } from './leases.js';
import type { Checkpoint } from './position.js';
import type { RecordedEvent } from './recorded-event.js';
import type { Committed, StreamWrite } from './stream-write.js';

/** So many records that a filter leaves out are worth a checkpoint: they need not be looked through again. */
const SKIPPED_RECORDS = 4096;

export class ConsumerProgress {
  /** By partition: the next LSN to look at. Whoever reads moves them. */
  readonly cursors: Cursors;
  readonly #plan: ConsumerPlan;
  readonly #checkpoints: Checkpoints;
  readonly #lease: Lease;
  /** By partition: the last event that was dealt with. */
  readonly #handled: number[];
  readonly #onError: (error: unknown) => void;
  #revision: bigint;
  /** Events that were dealt with since the last storing. */
  #unstored = 0;
  #storedUpTo: number;
  #storing: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    { plan, checkpoints, lease }: { plan: ConsumerPlan; checkpoints: Checkpoints; lease: Lease },
    claimed: { readonly checkpoint: Checkpoint; readonly revision: bigint },
    onError: (error: unknown) => void,
  ) {
    this.#plan = plan;
    this.#checkpoints = checkpoints;
    this.#lease = lease;
    this.#onError = onError;
    this.#revision = claimed.revision;
    this.#handled = [...claimed.checkpoint];
    this.cursors = claimed.checkpoint.map((lsn) => lsn + 1);
    this.#storedUpTo = sum(claimed.checkpoint);
  }

  /** Behind all that was dealt with, and all before it that was left out. */
  get checkpoint(): Checkpoint {
    return this.cursors.map((cursor, i) => Math.max(cursor - 1, this.#handled[i] as number));
  }

  /** An event was dealt with. What it gives, if anything, is to be awaited before the next one. */
  handled({ partition, lsn }: RecordedEvent): Promise<void> | undefined {
    this.#handled[partition - 1] = lsn;
    this.#unstored++;
    if (this.#unstored >= this.#plan.checkpointEvery.events) return this.store();
    this.#timer ??= setTimeout(() => this.#storeLater(), this.#plan.checkpointEvery.ms);
    return undefined;
  }

  /** Reading has come to an end for now. */
  level(): void {
    if (sum(this.checkpoint) - this.#storedUpTo >= SKIPPED_RECORDS) {
      this.#unstored++;
      this.#storeLater();
    }
  }

  /** An event is parked, and the checkpoint behind it stored, both or neither. Gives what became of `parking`. */
  async park({ partition, lsn }: RecordedEvent, parking: StreamWrite): Promise<Committed> {
    this.#handled[partition - 1] = lsn;
    return (await this.#next(() => this.#write([parking]))).at(-1) as Committed;
  }

  /** Stores the checkpoint, if there is anything new. */
  store(): Promise<void> {
    return this.#next(async () => {
      if (this.#unstored > 0) await this.#write([]);
    });
  }

  /** The last storing; one that is under way is awaited. */
  finish(): Promise<void> {
    clearTimeout(this.#timer);
    return this.store();
  }

  #storeLater(): void {
    this.store().catch(this.#onError);
  }

  /** One after another: each needs the revision of the one before. */
  #next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#storing.then(work);
    this.#storing = done.catch(() => {}); // told to whoever asked for it
    return done;
  }

  async #write(others: readonly StreamWrite[]): Promise<readonly Committed[]> {
    const { name } = this.#plan;
    if (!this.#lease.held) throw leaseLost(name);
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { checkpoint } = this;
    this.#unstored = 0;
    const committed = await this.#checkpoints.write(name, checkpoint, this.#revision, others);
    this.#revision = revisionOf(committed[0] as Committed);
    this.#storedUpTo = sum(checkpoint);
    return committed;
  }
}

function sum(checkpoint: Checkpoint): number {
  return checkpoint.reduce((total, lsn) => total + lsn, 0);
}
