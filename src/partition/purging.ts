/**
 * Purging: giving up a prefix of a partition's segments, as the partition machine orders, one purge after the other.
 *
 * The mark in the manifest comes first, then the files; readers are kept out of them from the moment of the decision.
 */
import type { PartitionState } from '../actors/partition-machine.js';
import { asVarveError } from '../errors.js';
import type { Catalogue, SegmentEntry } from '../segment/catalogue.js';
import { LsnMark } from '../streams/lsn-mark.js';
import type { PurgeResult } from './backend.js';
import type { PartitionConfig } from './config.js';
import type { FileWork } from './file-work.js';
import type { Tail } from './tail.js';

/** What purging asks of its partition. */
export interface PurgingHost {
  readonly partition: number;
  readonly catalogue: Catalogue;
  readonly tail: Tail;
  readonly rotation: { readonly changing: boolean };
  readonly fileWork: FileWork;
  askSync(): void;
  /** Resolves when the machine is in a state that passes `test`. Rejects when the partition fails first. */
  until(test: (state: PartitionState) => boolean): Promise<void>;
  send(event: { type: 'PURGE' | 'PURGED' }): void;
}

interface Asked {
  readonly minLsn: number;
  readonly resolve: (result: PurgeResult) => void;
  readonly reject: (error: unknown) => void;
}

export class Purging {
  /** Oldest LSN that may be read: ahead of `oldest` while a purge is under way. */
  oldestLsn: number;
  readonly oldest: LsnMark;
  /** Segments given up since the partition was opened. */
  purgedSegments = 0;
  /** A purge waits for the newest segment's open frame to be durable. */
  awaitsOpened = false;
  readonly #host: PurgingHost;
  readonly #config: PartitionConfig;
  readonly #asked: Asked[] = [];

  constructor(host: PurgingHost, config: PartitionConfig, oldestLsn: number) {
    this.#host = host;
    this.#config = config;
    this.oldestLsn = oldestLsn;
    this.oldest = new LsnMark(oldestLsn);
  }

  purgeBefore(minLsn: number): Promise<PurgeResult> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ minLsn, resolve, reject });
      this.#host.send({ type: 'PURGE' });
    });
  }

  /** Ordered by the machine. */
  start(): void {
    const { partition, fileWork } = this.#host;
    const purges = this.#asked.splice(0);
    fileWork.run(async () => {
      for (const { minLsn, resolve, reject } of purges) {
        try {
          resolve(await this.#purge(minLsn));
        } catch (error) {
          reject(asVarveError(error, `Purging partition ${partition}`, this.#config.directory));
        }
      }
      this.#host.send({ type: 'PURGED' });
    });
  }

  /** Rejects the purges that have not begun. */
  rejectAll(error: unknown): void {
    for (const { reject } of this.#asked.splice(0)) reject(error);
  }

  async #purge(minLsn: number): Promise<PurgeResult> {
    const { catalogue, partition, tail } = this.#host;
    const { manifest, events, handles, allocator } = this.#config;
    const keep = (await this.#newestOpened()) ? 1 : 2;
    const count = catalogue.purgeable(minLsn, tail.durable.value, keep);
    if (count === 0) return { segments: 0, bytes: 0, oldestLsn: this.oldestLsn };
    // Decided, and closed to readers, in one turn: none can enter a segment that is about to go.
    const before = this.oldestLsn;
    const given = catalogue.dropOldest(count);
    const first = catalogue.oldest as SegmentEntry;
    this.oldestLsn = first.baseLsn;
    try {
      await manifest.setMark(partition, { oldestLsn: first.baseLsn, firstSegment: first.index });
    } catch (error) {
      catalogue.restoreOldest(given);
      this.oldestLsn = before;
      throw error;
    }
    this.oldest.set(first.baseLsn);
    const names = given.map((segment) => segment.name);
    for (const name of names) handles.forget(name);
    await allocator.retire(names);
    this.purgedSegments += given.length;
    const bytes = given.reduce((sum, segment) => sum + segment.segmentSize, 0);
    const result = { segments: given.length, bytes, oldestLsn: first.baseLsn };
    events.emit('purged', { partition, ...result });
    return result;
  }

  /**
   * Until the newest segment's open frame is durable, a crash takes that segment for one that was never opened, and goes
   * on in the one before: which must still be there. Waits for that sync; false where it cannot come now.
   */
  async #newestOpened(): Promise<boolean> {
    const { tail, rotation } = this.#host;
    const opened = () => tail.writer === undefined || (tail.opened && !rotation.changing);
    if (opened()) return true;
    this.awaitsOpened = true;
    this.#host.askSync();
    try {
      await this.#host.until(({ log }) => {
        return opened() || log === 'closing' || log === 'rewinding' || (log === 'blocked' && rotation.changing);
      });
    } finally {
      this.awaitsOpened = false;
    }
    return opened();
  }
}
