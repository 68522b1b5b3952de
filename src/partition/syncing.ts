/**
 * Syncing: one fdatasync after the other for as long as that is asked for, as the partition machine orders, and what
 * each of them makes durable.
 *
 * At most one is under way. What is asked for meanwhile is covered by the next one, which begins as soon as this one has
 * ended: the machine stays in `syncing`, and hears once they have come to rest.
 */
import type { LogEmitter } from '../events.js';
import { LatencyRecorder } from '../stats.js';
import type { Intake } from './intake.js';
import type { Rotation } from './rotation.js';
import type { SyncRun, Tail } from './tail.js';

/** What syncing asks of its partition. */
export interface SyncingHost {
  readonly partition: number;
  readonly tail: Tail;
  readonly intake: Intake;
  readonly rotation: Rotation;
  readonly failed: boolean;
  send(event: { type: 'SYNC' | 'SYNCED' } | { type: 'FAIL'; cause: unknown }): void;
}

export class Syncing {
  readonly latency = new LatencyRecorder();
  syncs = 0;
  syncedRecords = 0;
  readonly #host: SyncingHost;
  readonly #events: LogEmitter;
  #asked = false;
  /** Between two syncs, and until the machine hears that they have come to rest: 'ended'. */
  #state: 'none' | 'running' | 'ended' = 'none';
  /** The fdatasync that is under way, or the last one; it never rejects. */
  #run: Promise<void> = Promise.resolve();

  constructor(host: SyncingHost, events: LogEmitter) {
    this.#host = host;
    this.#events = events;
  }

  /** A sync is wanted: of what was handed over up to now, at least. */
  ask(): void {
    if (this.#asked) return;
    this.#asked = true;
    if (this.#state === 'none') this.#host.send({ type: 'SYNC' });
    else if (this.#state === 'ended') this.start();
  }

  /** Ordered by the machine. */
  start(): void {
    this.#asked = false;
    this.#state = 'running';
    const { tail, intake, rotation, failed } = this.#host;
    let run: SyncRun | undefined;
    try {
      if (!failed && !rotation.stuck && intake.phase !== 'rewinding') run = tail.startSync();
    } catch (cause) {
      rotation.handOverFailed(cause);
    }
    // What is in a segment that is not published does not count; it is synced when it does.
    if (run === undefined || (!run.final && !run.writer.published)) {
      this.#rest();
      return;
    }
    const begun = run;
    const started = performance.now();
    this.#run = begun.file.sync().then(
      () => this.#synced(begun, performance.now() - started),
      (cause: unknown) => this.#host.send({ type: 'FAIL', cause }),
    );
  }

  /** Resolves when no fdatasync is under way of those that have begun. */
  ended(): Promise<void> {
    return this.#run;
  }

  #synced(run: SyncRun, duration: number): void {
    const { partition, tail, intake, rotation, failed } = this.#host;
    if (failed) return; // the machine has left `syncing`, and nothing may be acknowledged any more
    try {
      const records = tail.finishSync(run);
      this.syncs++;
      this.syncedRecords += records;
      this.latency.record(duration);
      if (this.#events.listenerCount('synced') > 0) {
        this.#events.emit('synced', { partition, durableLsn: tail.durable.value, records, duration });
      }
      if (run.final) rotation.sealed();
    } catch (cause) {
      rotation.handOverFailed(cause);
    }
    this.#state = 'ended';
    if (this.#asked) this.start();
    else process.nextTick(this.#whenGoneOn);
    intake.drain();
  }

  /**
   * Whoever was waiting goes on before the machine hears that the syncs have ended: the next append of a lone writer then
   * asks in time, and the machine stays in `syncing`. That append's turn ends in a tick which is queued only after this
   * one, hence the second.
   */
  readonly #whenGoneOn = (): void => {
    process.nextTick(() => {
      if (this.#state === 'ended') this.#rest();
    });
  };

  #rest(): void {
    const { tail, rotation, failed } = this.#host;
    try {
      if (!failed) tail.syncsEnded();
    } catch (cause) {
      rotation.handOverFailed(cause);
    }
    this.#state = 'none';
    this.#host.send({ type: 'SYNCED' });
    if (this.#asked) this.#host.send({ type: 'SYNC' }); // asked for while there was nothing that could be synced
  }
}
