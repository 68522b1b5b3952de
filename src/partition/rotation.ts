/**
 * Changing segments: leaving the full one, going on in the next, and what a full disk does to either.
 *
 * The next segment is prepared ahead of need, so that the append path only swaps one writer for another. What is
 * written into the new segment does not count until its open frame is published, and that happens when the old segment
 * is sealed and durable and the new one has its name: so no record of the new segment is acknowledged, and no crash
 * leaves a new segment behind a hole in the old one.
 */
import { isNoSpace } from '../errors.js';
import type { Catalogue } from '../segment/catalogue.js';
import type { PreviousSegment } from '../segment/frame.js';
import { DATA_OFFSET } from '../segment/header.js';
import type { SegmentWriter } from '../segment/writer.js';
import type { PartitionConfig } from './config.js';
import type { Intake } from './intake.js';
import { type NextSegment, SegmentSupply } from './supply.js';
import type { Tail } from './tail.js';

/** How full the active segment is, in parts of one, when the next one is made ready. */
const PREPARE_AT = 0.5;
/** First and last delay before a hand-over that found no space is tried again. */
const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 5_000;

/** What a rotation asks of its partition. */
export interface RotationHost {
  readonly partition: number;
  readonly tail: Tail;
  readonly catalogue: Catalogue;
  readonly intake: Intake;
  readonly failed: boolean;
  /** Somebody waits for a sync of what is in the active segment. */
  readonly syncWanted: boolean;
  send(event: { type: 'ROTATED' | 'NO_SPACE' | 'SPACE' | 'FULL' } | { type: 'FAIL'; cause: unknown }): void;
  askSync(): void;
}

/** A change of segments that is under way. */
interface Change {
  readonly next: NextSegment;
  sealDurable: boolean;
  naming?: boolean;
  named: boolean;
}

export class Rotation {
  readonly supply: SegmentSupply;
  /** What the open frame of the first new segment links to. */
  previous: PreviousSegment;
  /** A rotation was asked for, however full the segment is. */
  asked = false;
  /** Segments entered since the partition was opened. */
  count = 0;
  readonly #host: RotationHost;
  readonly #config: PartitionConfig;
  /** What a change of segments still waits for before the new segment may be published. */
  #change: Change | undefined;
  /** The last hand-over found no space; frames are closed and kept in memory until it succeeds. */
  #stuck = false;
  #retryMs = FIRST_RETRY_MS;
  #retry: NodeJS.Timeout | undefined;
  readonly #closes = new Set<Promise<void>>();
  #closeError: unknown;

  constructor(host: RotationHost, config: PartitionConfig, previous: PreviousSegment) {
    this.#host = host;
    this.#config = config;
    this.previous = previous;
    this.supply = new SegmentSupply(config, host.partition, {
      urgent: () => host.intake.phase === 'rotating' || host.intake.phase === 'blocked',
      noSpace: () => host.send({ type: 'NO_SPACE' }),
    });
  }

  get stuck(): boolean {
    return this.#stuck;
  }

  /** The new segment is not published yet. */
  get changing(): boolean {
    return this.#change !== undefined;
  }

  /** Something waits for a segment, or for space. */
  get wanted(): boolean {
    return this.#stuck || this.asked || this.#host.intake.needsSegment;
  }

  /** Makes the next segment ready in good time. */
  prepareAhead(): void {
    const { writer } = this.#host.tail;
    if (writer === undefined || this.supply.next !== undefined || this.changing) return;
    if (writer.end - DATA_OFFSET <= (writer.segmentSize - DATA_OFFSET) * PREPARE_AT) return;
    // Ahead of need: whatever goes wrong is met again, and told, when the segment is needed.
    this.supply.prepare(this.#nextIndex()).catch(() => {});
  }

  /** Ordered by the machine: hands over what is stuck, finishes a change that is under way, or begins one. */
  start(): void {
    const { intake, tail } = this.#host;
    if (this.#stuck && !this.#unstick()) return;
    if (this.#change !== undefined) {
      this.#publish();
      return;
    }
    if (tail.writer !== undefined && !this.wanted) {
      this.#done();
      return;
    }
    if (this.supply.next !== undefined) {
      this.#begin(this.supply.next);
      return;
    }
    this.supply.prepare(this.#nextIndex()).then(
      () => {
        if (intake.phase === 'blocked') this.#host.send({ type: 'SPACE' });
        else if (intake.phase === 'rotating' && this.supply.next !== undefined && !this.changing) {
          this.#begin(this.supply.next);
        }
      },
      (cause: unknown) => {
        if (intake.phase === 'rotating' || intake.phase === 'blocked') this.#host.send({ type: 'FAIL', cause });
      },
    );
    // The need may have been there before, ahead of time; now somebody waits.
    this.#config.allocator.fill();
  }

  /** The old segment's seal is durable. */
  sealed(): void {
    const change = this.#change;
    if (change === undefined) return;
    change.sealDurable = true;
    if (change.naming) this.#publish();
    else this.#name(change);
  }

  /** A write failed. Lacking space is waited for; anything else is the end of the partition. */
  handOverFailed(cause: unknown): void {
    if (!isNoSpace(cause)) {
      this.#host.send({ type: 'FAIL', cause });
      return;
    }
    if (this.#stuck) return;
    this.#stuck = true;
    this.#config.allocator.reportLacking(cause);
    if (this.#host.intake.phase === 'rotating') this.#wait();
    else this.#host.send({ type: 'FULL' });
  }

  /** Gives back what is not used. Rejects if the file of a segment that was left could not be closed. */
  async stop(): Promise<void> {
    clearTimeout(this.#retry);
    await this.supply.drop();
    await Promise.allSettled(this.#closes);
    if (this.#closeError !== undefined) throw this.#closeError;
  }

  #nextIndex(): number {
    return (this.#host.catalogue.newest?.index ?? this.previous.index) + 1;
  }

  #begin(next: NextSegment): void {
    const { tail, catalogue, intake } = this.#host;
    const { index, segmentSize, seed, image, spare } = next;
    const nameNow = tail.writer === undefined || tail.opened;
    try {
      tail.change({ file: spare.file, image, index, segmentSize, seed }, catalogue, this.previous);
    } catch (cause) {
      this.handOverFailed(cause);
      return;
    }
    this.supply.use();
    this.asked = false;
    this.#change = { next, sealDurable: tail.sealing === undefined, named: false };
    // One segment without a durable open frame is all that recovery can make sense of. So the new one gets its name,
    // beside the sync of the seal, only where the old one's is durable; else behind that sync, which makes it so.
    if (nameNow) this.#name(this.#change);
    if (tail.sealing !== undefined) this.#host.askSync();
    intake.drain();
  }

  #name(change: Change): void {
    change.naming = true;
    this.supply.name(change.next).then(
      () => {
        change.named = true;
        this.#publish();
      },
      (cause: unknown) => this.#host.send({ type: 'FAIL', cause }),
    );
  }

  /** Publishes the new segment once the old one is durable and the new one has its name. */
  #publish(): void {
    const change = this.#change;
    if (change === undefined || !change.sealDurable || !change.named || this.#host.failed) return;
    const { tail, partition } = this.#host;
    const old = tail.sealing?.writer;
    try {
      tail.publish();
    } catch (cause) {
      this.handOverFailed(cause);
      return;
    }
    this.#change = undefined;
    this.count++;
    if (old !== undefined) {
      this.#leave(old);
      const event = { partition, sealed: old.index, active: tail.segmentIndex, lastLsn: old.closedLsn };
      this.#config.events.emit('rotated', event);
    }
    this.#done();
  }

  #done(): void {
    const { intake } = this.#host;
    this.#host.send({ type: 'ROTATED' });
    if (this.#host.syncWanted) this.#host.askSync();
    intake.drain();
    this.prepareAhead();
  }

  #leave(old: SegmentWriter): void {
    old.release();
    const closing = old.file.close().then(
      () => {
        this.#closes.delete(closing);
      },
      (error: unknown) => {
        this.#closes.delete(closing);
        this.#closeError ??= error; // told when the partition is closed
      },
    );
    this.#closes.add(closing);
  }

  #unstick(): boolean {
    try {
      this.#host.tail.closeFrame();
    } catch (cause) {
      if (isNoSpace(cause)) this.#wait();
      else this.#host.send({ type: 'FAIL', cause });
      return false;
    }
    this.#stuck = false;
    this.#retryMs = FIRST_RETRY_MS;
    this.#config.allocator.reportRestored();
    // A sync that was asked for meanwhile was put off, also the one that a change of segments waits for.
    const sealing = this.#change !== undefined && !this.#change.sealDurable;
    if (sealing || this.#host.syncWanted) this.#host.askSync();
    return true;
  }

  /** Blocked, until the next try. */
  #wait(): void {
    this.#host.send({ type: 'NO_SPACE' });
    this.#retry = setTimeout(() => this.#host.send({ type: 'SPACE' }), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
  }
}
