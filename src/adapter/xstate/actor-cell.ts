/**
 * One durable actor in memory, over its lives: it is woken when something is sent to it, and woken anew from what the
 * journal has when what was computed leads nowhere. What is sent meanwhile waits here.
 */
import type { AnyEventObject, AnyMachineSnapshot, Snapshot } from 'xstate';
import { VarveError } from '../../errors.js';
import { deleted, hostClosed, notOwner } from './actor-errors.js';
import { ROOT, streamOf } from './address.js';
import type { CellHost } from './cell-host.js';
import { isLost } from './journal-queue.js';
import { Life, type Start, type Waiting } from './life.js';
import type { MachinePlan } from './machine-plan.js';
import type { Observers } from './observers.js';
import type { Parked } from './parked-messages.js';
import { Supervisor } from './supervision.js';
import type { Input, Timer } from './turn.js';

/** What it takes beside its state: XState's objects and these. */
const BYTES_OF_A_CELL = 6 * 1024;
const nothing = () => {};
const TICK: Waiting = { input: 'tick', from: undefined, message: undefined, resolve: nothing, reject: nothing };

export interface Shown {
  /** Undefined before it is awake. */
  snapshot: AnyMachineSnapshot | undefined;
  revision: number;
}

export type CellState = 'empty' | 'waking' | 'live' | 'ended' | 'gone';

/** After these no entry can be appended in this life: an actor that is woken would only fail again. */
const NOTHING_TO_WAKE_FOR: ReadonlySet<string> = new Set([
  'ERR_VARVE_LEASE_LOST',
  'ERR_VARVE_PARTITION_FAILED',
  'ERR_VARVE_CLOSED',
]);

export class ActorCell {
  readonly plan: MachinePlan;
  readonly id: string;
  readonly stream: string;
  readonly observers: Observers;
  readonly supervisor: Supervisor;
  /** What is durable. It goes on changing as long as the actor is in memory. */
  readonly shown: Shown = { snapshot: undefined, revision: -1 };
  /** Time of the host's clock when it was last used. */
  usedAt = 0;
  /** What nobody has sent has thrown: it is ended as soon as it is awake again. */
  hopeless: { readonly error: unknown } | undefined;
  /** Everything up to this revision has been carried out in this process; the journal may not know it. */
  carriedOut = -1;
  readonly #host: CellHost;
  #phase: 'empty' | 'waking' | 'awake' | 'gone' = 'empty';
  #waking: Promise<boolean> | undefined;
  #life: Life | undefined;
  readonly #queue: Waiting[] = [];
  /** Lives that have ended with an append that failed, one after the other. */
  #failedLives = 0;
  #appendFailed = false;
  /** Its partition has failed: what was written last may be there, and is not read before the store is opened anew. */
  #failure: VarveError | undefined;

  constructor(host: CellHost, plan: MachinePlan, id: string, observers: Observers) {
    this.#host = host;
    this.plan = plan;
    this.id = id;
    this.stream = streamOf(plan.name, id);
    this.observers = observers;
    this.supervisor = new Supervisor(plan.supervision, host.clock);
  }

  get state(): CellState {
    if (this.#phase !== 'awake') return this.#phase;
    return this.#life?.over ? 'ended' : 'live';
  }

  /** About how much memory it takes. */
  get bytes(): number {
    return BYTES_OF_A_CELL + 2 * (this.#awake?.journal.stateBytes ?? 0);
  }

  /** Nothing is under way, so it could be put to sleep. */
  get idle(): boolean {
    if (this.#queue.length > 0 || this.supervisor.pausing || this.#phase === 'waking') return false;
    return this.#awake?.journal.idle ?? true;
  }

  /** It must stay in memory: something runs, or somebody looks. */
  get pinned(): boolean {
    return !this.idle || !this.observers.none || (this.#awake?.pinned ?? false);
  }

  get nextTimer(): Timer | undefined {
    return this.state === 'live' ? this.#life?.tree.timers.next : undefined;
  }

  /** At most for what is due. */
  get #nobodyWaits(): boolean {
    return this.#queue.every((waiting) => waiting === TICK);
  }

  get #awake(): Life | undefined {
    return this.#phase === 'awake' ? this.#life : undefined;
  }

  /**
   * Wakes it from its journal; false where there is none. With `start` it is started then.
   */
  async wake(start?: Start): Promise<boolean> {
    for (;;) {
      if (this.#phase === 'awake') return true;
      if (this.#phase === 'gone') throw hostClosed(this.stream);
      if (this.#waking === undefined) {
        this.#host.busy(this);
        this.#waking = this.#wake(start).finally(() => {
          this.#waking = undefined;
          // What came with it, such as a result that was there at once, may have failed already.
          this.#awake?.journal.check();
          if (this.#phase === 'empty') this.#wakeForQueue();
          this.settled();
        });
      }
      const awake = await this.#waking;
      if (awake || start === undefined) return awake;
    }
  }

  /** Sends an event; resolves with the snapshot that it has led to, when that is visible. */
  send(event: AnyEventObject, message?: string): Promise<AnyMachineSnapshot> {
    return this.give({ kind: 'event', target: ROOT, event }, message);
  }

  give(input: Input, message?: string): Promise<AnyMachineSnapshot> {
    return new Promise((resolve, reject) => this.enqueue({ input, from: undefined, message, resolve, reject }));
  }

  /** Its alarm has rung. One that is not there is not started for it; one that another host runs is its. */
  tick(): void {
    const asleep = this.#phase === 'empty' && this.#waking === undefined;
    if (!asleep) {
      this.enqueue(TICK);
      return;
    }
    this.#queue.push(TICK);
    this.wake().catch((error) => isLeaseLost(error) || this.#host.report(error, this, 'waking up'));
  }

  /** Ends it for good: nothing is carried out any more, its children are stopped. */
  async end(): Promise<void> {
    if (this.#phase === 'waking') await this.#waking?.catch(nothing); // whoever wakes it is told
    await this.#awake?.end({ status: 'stopped' });
  }

  /** As XState persists an actor. */
  async persist(): Promise<Snapshot<unknown>> {
    if (!(await this.wake())) throw deleted(this.stream);
    return (this.#life as Life).tree.persist().snapshot;
  }

  /** Its messages that are parked, by their revision. Empty where it was never started. */
  async parked(): Promise<[number, Parked][]> {
    return (await this.wake()) ? [...(this.#awake?.journal.parked ?? [])] : [];
  }

  /** A parked message is handed over again, or given up; false where it is parked no longer. */
  async unpark(revision: number, again: boolean): Promise<boolean> {
    return (await this.wake()) && ((await this.#awake?.journal.unpark(revision, again)) ?? false);
  }

  /** Leaves memory at once; what is under way fails. Its journal is as it is. */
  leave(): void {
    if (this.#phase === 'gone') return;
    this.#phase = 'gone';
    const error = hostClosed(this.stream);
    this.#drop(error);
    this.#rejectQueue(error);
    this.#host.quiet(this);
  }

  /** The host goes: what fails from now on is not tried again in this life. */
  drain(): void {
    this.supervisor.drain();
  }

  /** Tells the journal what was carried out. */
  async mark(): Promise<void> {
    await this.#awake?.journal.mark();
  }

  /** A snapshot at the next opportunity. */
  async saveSnapshot(): Promise<void> {
    await this.#awake?.journal.saveSnapshot();
  }

  enqueue(waiting: Waiting): void {
    if (this.#phase === 'gone') {
      waiting.reject(hostClosed(this.stream));
      return;
    }
    this.#queue.push(waiting);
    this.#host.busy(this);
    if (this.#phase === 'awake') this.pump();
    else if (this.#waking === undefined) this.#wakeForQueue();
  }

  /** Has computed what waits, as far as that is possible now. */
  pump(): void {
    while (this.#queue.length > 0 && this.#awake?.journal.ready()) {
      // What is due comes before what is sent now, also where nobody was awake to see it.
      if (!this.#life?.fire()) this.#life?.compute(this.#queue.shift() as Waiting);
    }
    this.settled();
  }

  /** The host is told, if nothing is under way any more. */
  settled(): void {
    if (this.idle) this.#host.quiet(this);
  }

  appended(): void {
    this.#failedLives = 0;
  }

  /** An append has failed: what those who wait for it are told. */
  blame(cause: unknown): unknown {
    this.#appendFailed = true;
    if (cause instanceof VarveError && cause.code === 'ERR_VARVE_PARTITION_FAILED') this.#failure ??= cause;
    return isLost(cause) ? (this.#failure ?? notOwner(this.stream, cause)) : cause;
  }

  /** The life leads nowhere, and nothing of it is in flight any more: it is woken anew from the journal. */
  broken(error: unknown): void {
    if (this.#waking !== undefined) return; // it is looked at when that is over
    this.#drop(error);
    this.#phase = 'empty';
    if (error instanceof VarveError && NOTHING_TO_WAKE_FOR.has(error.code)) {
      this.#rejectQueue(error); // it is another host's, or the next life's
      this.settled();
      return;
    }
    if (this.#appendFailed) this.#failedLives++;
    this.#appendFailed = false;
    void this.#reload(error);
  }

  /** At once the first time; but a disk that is full is not asked again and again. Whoever sends something wakes it, too. */
  async #reload(error: unknown): Promise<void> {
    if (this.#failedLives > 1 && this.#nobodyWaits) {
      this.#host.report(error, this, 'appending to its journal');
      const verdict = await this.supervisor.patience(this.#failedLives - 1);
      if (verdict === 'stop' || this.#phase !== 'empty') {
        if (this.#phase === 'empty' && this.#nobodyWaits) this.#queue.length = 0;
        this.settled();
        return;
      }
    }
    this.#host.counters.restarts++;
    await this.wake().catch((failure) => this.#host.report(failure, this, 'waking up'));
  }

  async #wake(start: Start | undefined): Promise<boolean> {
    this.#phase = 'waking';
    this.supervisor.endPauses();
    let life = new Life(this.#host, this);
    try {
      this.#host.claim(this.stream);
      await this.#host.caughtUp(this.stream);
      const woken = await life.replay();
      this.#refuseGone();
      if (woken !== undefined) {
        this.#life = life;
        this.#phase = 'awake';
        life.resume(woken);
      } else if (start !== undefined) {
        life = new Life(this.#host, this);
        this.#life = life;
        await life.start(start);
        this.#refuseGone();
        this.#phase = 'awake';
      } else {
        this.#phase = 'empty';
        return false;
      }
    } catch (error) {
      if ((this.#phase as CellState) !== 'gone') this.#phase = 'empty';
      life.drop(error);
      this.#rejectQueue(error);
      throw error;
    }
    this.pump();
    return true;
  }

  /** What was sent, also while it was looked for and not found, starts it. */
  #wakeForQueue(): void {
    if (this.#nobodyWaits) this.#queue.length = 0;
    else this.wake({ input: undefined }).catch(nothing); // whoever waits in the queue is told
  }

  #refuseGone(): void {
    if (this.#phase === 'gone') throw hostClosed(this.stream);
  }

  #drop(error: unknown): void {
    const begun = this.#life?.journal;
    if (begun !== undefined) this.carriedOut = Math.max(this.carriedOut, begun.done);
    this.#life?.drop(error);
    this.supervisor.endPauses();
    this.#host.alarms.clear(this.stream);
  }

  #rejectQueue(error: unknown): void {
    for (const { reject } of this.#queue.splice(0)) reject(error);
  }
}

const isLeaseLost = (error: unknown): boolean => error instanceof VarveError && error.code === 'ERR_VARVE_LEASE_LOST';
