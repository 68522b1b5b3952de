/**
 * Truncating: cutting off the tail of a partition, one truncation after the other.
 *
 * First all that was taken is made durable, and what comes meanwhile waits; then the machine orders the rewind, which is
 * stated durably before anything is changed, so that a crash finds it done wholly or not at all.
 */
import type { PartitionState } from '../actors/partition-machine.js';
import { asVarveError, VarveError } from '../errors.js';
import type { Catalogue } from '../segment/catalogue.js';
import type { SegmentReader } from '../segment/reader.js';
import { type Recovered, recoverPartition } from '../segment/recovery.js';
import { type Rewind, stateRewind } from '../segment/rewind.js';
import type { PartitionConfig } from './config.js';
import type { FileWork } from './file-work.js';
import type { Intake } from './intake.js';
import { planRewind } from './rewind-plan.js';
import type { Rotation } from './rotation.js';
import type { Syncing } from './syncing.js';
import type { Tail } from './tail.js';

/** What truncating asks of its partition. */
export interface TruncationHost {
  readonly partition: number;
  readonly catalogue: Catalogue;
  readonly reader: SegmentReader;
  readonly tail: Tail;
  readonly intake: Intake;
  readonly rotation: Rotation;
  readonly oldestLsn: number;
  readonly syncing: Syncing;
  readonly fileWork: FileWork;
  /** Readers that have seen another number look again at what there is. */
  epoch: number;
  readonly failure: VarveError | undefined;
  /** Throws when the partition has failed, is closing, or is closed. */
  refuseClosed(): void;
  /** Makes durable what was taken. */
  sync(): Promise<number>;
  /** Resolves when the machine is in a state that passes `test`. Rejects when the partition fails first. */
  until(test: (state: PartitionState) => boolean): Promise<void>;
  /** Goes on in the segment that recovery has found to be the last. */
  resume(recovered: Recovered): Promise<void>;
  send(event: { type: 'REWIND' | 'REWOUND' } | { type: 'FAIL'; cause: unknown }): void;
}

export class Truncation {
  readonly #host: TruncationHost;
  readonly #config: PartitionConfig;
  /** Truncations since the partition was opened: the epoch that each ended in, and the last LSN that it left. */
  readonly #done: { readonly epoch: number; readonly lsn: number }[] = [];
  /** Truncations, one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #rewindTo = 0;
  #refused: VarveError | undefined;
  /** Set while the files behind the tail are being changed: readers wait for it. */
  rewinding: Promise<void> | undefined;

  constructor(host: TruncationHost, config: PartitionConfig) {
    this.#host = host;
    this.#config = config;
  }

  /** Lowest LSN that a truncation has left behind the epoch `since`; Infinity where there was none. */
  lowestSince(since: number): number {
    let lowest = Number.POSITIVE_INFINITY;
    for (const { epoch, lsn } of this.#done) if (epoch > since) lowest = Math.min(lowest, lsn);
    return lowest;
  }

  truncateAfter(lsn: number): Promise<void> {
    const truncating = this.#last.then(() => this.#truncate(lsn));
    this.#last = truncating.catch(() => {}); // its own caller hears of it
    return truncating;
  }

  /** Ordered by the machine. */
  start(): void {
    this.rewinding = this.#host.fileWork.run(() =>
      this.#rewind(this.#rewindTo)
        .then(
          () => this.#host.send({ type: 'REWOUND' }),
          (cause: unknown) => this.#host.send({ type: 'FAIL', cause }),
        )
        .finally(() => {
          this.rewinding = undefined;
        }),
    );
  }

  async #truncate(lsn: number): Promise<void> {
    const host = this.#host;
    const { intake, tail, rotation, partition } = host;
    // First what has its LSN already; then nothing new goes in until the tail is cut.
    do await host.sync();
    while (intake.queue.writtenRecords > 0);
    intake.held = true;
    try {
      await host.sync();
      await host.until(({ log, durability }) => {
        if (durability !== 'idle' || (log !== 'writing' && log !== 'blocked')) return log === 'closing';
        return !rotation.stuck && !rotation.changing && tail.durable.value === tail.nextLsn - 1;
      });
      host.refuseClosed();
      if (lsn >= tail.durable.value) return;
      this.#rewindTo = lsn;
      this.#refused = undefined;
      host.send({ type: 'REWIND' });
      await this.rewinding;
      if (host.failure !== undefined) throw host.failure;
      if (this.#refused !== undefined) throw this.#refused;
      this.#config.events.emit('truncated', { partition, lastLsn: lsn });
    } finally {
      intake.held = false;
      intake.drain();
    }
  }

  async #rewind(lsn: number): Promise<void> {
    const { partition, oldestLsn, reader, catalogue } = this.#host;
    let plan: Rewind;
    try {
      if (lsn < oldestLsn - 1) {
        throw new VarveError(
          'ERR_VARVE_LSN_PURGED',
          `LSN ${lsn} of partition ${partition} was purged; the oldest that can be kept is ${oldestLsn}.`,
          { partition, requested: lsn, oldest: oldestLsn },
        );
      }
      plan = await planRewind(this.#config, reader, catalogue, lsn);
    } catch (error) {
      this.#refused = asVarveError(error, `Truncating partition ${partition}`, this.#config.directory);
      return; // nothing has been changed
    }
    await this.#cut(plan);
  }

  async #cut(rewind: Rewind): Promise<void> {
    const host = this.#host;
    const { partition, catalogue, tail } = host;
    const { disk, directory, handles, storeId, manifest } = this.#config;
    const { writer } = tail;
    host.epoch++;
    await host.syncing.ended(); // one may have begun before the phase changed
    tail.rewind(rewind.lastLsn);
    writer?.release();
    await writer?.file.close();
    await host.rotation.supply.drop();
    const forgetAll = () => {
      for (const segment of catalogue.all()) handles.forget(segment.name);
    };
    forgetAll();
    await stateRewind(disk, directory, partition, rewind);
    // Doing it is recovery's part, since that is who does it after a crash.
    const indexes = catalogue.all().map((segment) => segment.index);
    const mark = manifest.knownMark(partition, true);
    const request = { disk, directory, partition, indexes, storeId, mark, minDurableLsn: 0, verify: 'tail' as const };
    const recovered = await recoverPartition({ ...request, readOnly: false });
    // Once more: a reader that was under way may have opened a file that has gone since, and whose name comes again.
    forgetAll();
    catalogue.reset(recovered.segments);
    await host.resume(recovered);
    host.epoch++;
    this.#done.push({ epoch: host.epoch, lsn: rewind.lastLsn });
  }
}
