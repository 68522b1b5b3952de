/**
 * A durable consumer: hands events to a handler one at a time, in order, each at least once, and knows after a crash
 * where to go on.
 *
 * Waiting for the lease → claiming the checkpoint → reading, handling, storing the checkpoint now and then → the last
 * storing → giving the lease back. An event counts when its handler has resolved, or when it is parked.
 */
import { VarveError } from '../../errors.js';
import { LsnMark } from '../../streams/lsn-mark.js';
import { StatusCell } from '../../streams/status-cell.js';
import type { Checkpoints } from './checkpoints.js';
import { type ConsumerPlan, delayAfter } from './consumer-options.js';
import { ConsumerProgress } from './consumer-progress.js';
import { followAll } from './follow-events.js';
import { type Lease, leaseLost } from './leases.js';
import { linkTo, type ParkingLot } from './parking-lot.js';
import { type Checkpoint, checkPosition, formatCheckpoint } from './position.js';
import type { RecordedEvent } from './recorded-event.js';
import type { StoreCore } from './store-core.js';

/** 'waiting': another consumer of this name holds the lease. The last two are for ever. */
export type ConsumerStatus = 'waiting' | 'catchingUp' | 'caughtUp' | 'stopped' | 'failed';

export interface ConsumerParts {
  readonly core: StoreCore;
  readonly plan: ConsumerPlan;
  readonly lease: Lease;
  readonly checkpoints: Checkpoints;
  readonly lot: ParkingLot;
  /** Where to begin where there is no checkpoint. */
  readonly begin: () => Promise<Checkpoint>;
}

export class Consumer {
  readonly name: string;
  readonly #parts: ConsumerParts;
  readonly #status: StatusCell<ConsumerStatus>;
  /** The position up to which everything has been dealt with, as far as it is known. */
  readonly #level = new LsnMark(0);
  /** What ends the consumer ends reading, and waiting for the next attempt. */
  readonly #ending = new AbortController();
  readonly #handling = new AbortController();
  readonly #over: VarveError;
  #progress: ConsumerProgress | undefined;
  /** Ends the waiting for the handler under way. */
  #abandon: ((reason: unknown) => void) | undefined;
  #failure: { readonly error: unknown } | undefined;
  readonly #running: Promise<void>;

  /** Consumers come from `store.consume`. */
  constructor(parts: ConsumerParts) {
    this.#parts = parts;
    this.name = parts.plan.name;
    this.#status = new StatusCell<ConsumerStatus>(parts.lease.held ? 'catchingUp' : 'waiting');
    this.#over = new VarveError('ERR_VARVE_CLOSED', `The consumer '${this.name}' was stopped.`, {
      consumer: this.name,
    });
    this.#running = this.#run();
  }

  get status(): ConsumerStatus {
    return this.#status.value;
  }

  /** The status at once, then each change; completes behind 'stopped' or 'failed'. */
  get status$(): StatusCell<ConsumerStatus>['changes'] {
    return this.#status.changes;
  }

  /** What the consumer has failed with. */
  get error(): unknown {
    return this.#failure?.error;
  }

  /** Behind all that was dealt with; what is stored may be less. Undefined until it has the lease. */
  get checkpoint(): string | undefined {
    return this.#progress && formatCheckpoint(this.#progress.checkpoint);
  }

  /** How many events are parked under this name. */
  get parked(): number {
    return this.#parts.lot.count;
  }

  /** Resolves when all that is durable now has been dealt with. Rejects if the consumer fails or is stopped before. */
  async whenCaughtUp(): Promise<void> {
    await this.#level.waitFor(this.#parts.core.visiblePosition);
    await this.#status.reached('caughtUp', () => this.#failure?.error ?? this.#over);
  }

  /** Resolves when every event up to `position` has been dealt with, or left out. Rejects as `whenCaughtUp` does. */
  async whenProcessed(position: bigint): Promise<void> {
    return this.#level.waitFor(Number(checkPosition(position)));
  }

  /**
   * Ends the consumer: the handler under way is awaited, the checkpoint stored, the lease given back. Rejects with what
   * the consumer has failed with. Within a handler do not await it: it waits for that handler.
   */
  async stop(): Promise<void> {
    this.#ending.abort(this.#over);
    await this.#running;
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** The store is being closed: as `stop`, but waits for no handler. Never rejects. */
  close(): Promise<void> {
    this.#end(this.#over);
    this.#abandon?.(this.#over);
    return this.#running;
  }

  #end(reason: unknown): void {
    this.#ending.abort(this.#over);
    this.#handling.abort(reason);
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#end(error);
  }

  async #run(): Promise<void> {
    const { lease, lot, plan } = this.#parts;
    const { signal } = plan;
    const onAbort = () => this.#end(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await this.#granted();
      await lot.load();
      await this.#follow(await this.#claim());
    } catch (error) {
      if (!this.#isEnd(error)) this.#fail(error);
    }
    try {
      await this.#progress?.finish();
    } catch (error) {
      if (!this.#isEnd(error)) this.#fail(error);
    }
    signal?.removeEventListener('abort', onAbort);
    lease.release();
    this.#level.end(this.#failure?.error ?? this.#over);
    this.#status.end(this.#failure === undefined ? 'stopped' : 'failed');
  }

  /** The consumer or the store was told to end: nothing is wrong. */
  #isEnd(error: unknown): boolean {
    if (error === this.#over) return true;
    return this.#parts.core.closed && error instanceof VarveError && error.code === 'ERR_VARVE_CLOSED';
  }

  async #granted(): Promise<void> {
    const { lease } = this.#parts;
    if (lease.held) return;
    const { signal } = this.#ending;
    const ended = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    await Promise.race([lease.granted, ended]);
    signal.throwIfAborted();
    this.#status.set('catchingUp');
  }

  async #claim(): Promise<ConsumerProgress> {
    const { begin, checkpoints } = this.#parts;
    const claimed = await checkpoints.claim(this.name, begin);
    this.#progress = new ConsumerProgress(this.#parts, claimed, (error) => this.#fail(error));
    return this.#progress;
  }

  async #follow(progress: ConsumerProgress): Promise<void> {
    const { core, plan } = this.#parts;
    const onLevel = (position: number) => {
      progress.level();
      this.#level.set(position);
    };
    for await (const piece of followAll(core, progress.cursors, plan.filter, this.#ending.signal, onLevel)) {
      if (typeof piece === 'string') {
        this.#status.set(piece === 'caughtUp' ? 'caughtUp' : 'catchingUp');
        continue;
      }
      for (const event of piece) {
        await this.#deliver(event, progress);
        this.#level.set(Number(event.position));
      }
    }
  }

  /** Tries an event until it is dealt with or parked. */
  async #deliver(event: RecordedEvent, progress: ConsumerProgress): Promise<void> {
    const { retry } = this.#parts.plan;
    for (let attempt = 1; ; attempt++) {
      this.#ending.signal.throwIfAborted();
      try {
        await this.#attempt(event, attempt);
        break;
      } catch (error) {
        // Told to end, it may have failed for that: it comes again next time.
        if (this.#handling.signal.aborted) throw this.#over;
        if (attempt >= retry.attempts) return this.#park(event, error, attempt, progress);
      }
      await this.#sleep(delayAfter(attempt, retry));
    }
    const storing = progress.handled(event);
    if (storing !== undefined) await storing;
  }

  #attempt(event: RecordedEvent, attempt: number): Promise<void> {
    const { handler, handlerTimeout } = this.#parts.plan;
    return new Promise<void>((resolve, reject) => {
      const timer =
        handlerTimeout === undefined ? undefined : setTimeout(() => this.#lose(event.stream), handlerTimeout);
      this.#abandon = reject;
      (async () => handler(event, { attempt, signal: this.#handling.signal }))()
        .then(resolve, reject)
        .finally(() => clearTimeout(timer));
    });
  }

  /** The handler under way may go on for ever: another consumer takes over from what is stored. */
  #lose(stream: string): void {
    this.#parts.lease.release();
    this.#fail(leaseLost(this.name, stream));
    this.#abandon?.(this.#over);
  }

  async #park(event: RecordedEvent, error: unknown, attempts: number, progress: ConsumerProgress): Promise<void> {
    const { lot, plan } = this.#parts;
    const link = linkTo(event, error, attempts);
    const { firstRevision } = await progress.park(event, lot.write(link));
    lot.entered(firstRevision);
    await plan.onParked?.({ ...link, parkedRevision: BigInt(firstRevision) });
  }

  #sleep(delay: number): Promise<void> {
    const { signal } = this.#ending;
    return new Promise((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer);
        reject(this.#over);
      };
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', stop);
        resolve();
      }, delay);
      signal.addEventListener('abort', stop, { once: true });
    });
  }
}
