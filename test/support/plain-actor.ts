/**
 * Plain XState as the model of a durable actor: it is shown what stands in the journal, entry for entry, and tells what
 * the machine is then and what it has done to the world. Its clock stands still between entries, a delayed event goes off
 * when the journal says so, and a promise has the result that the journal has.
 */
import { type Actor, type AnyEventObject, type AnyStateMachine, createActor, type SimulatedClock } from 'xstate';
import { buildMachine, type MachineModel, type World } from './random-machines.js';

interface Timeout {
  readonly due: number;
  readonly order: number;
  run(): void;
}

/** One timeout after the other, whichever is due first. */
class ManualClock {
  time: number;
  #order = 0;
  readonly #timeouts = new Map<number, Timeout>();

  constructor(time: number) {
    this.time = time;
  }

  now(): number {
    return this.time;
  }

  setTimeout(run: () => void, ms: number): number {
    const order = this.#order++;
    this.#timeouts.set(order, { due: this.time + ms, order, run });
    return order;
  }

  clearTimeout(order: number): void {
    this.#timeouts.delete(order);
  }

  get next(): Timeout | undefined {
    let next: Timeout | undefined;
    for (const timeout of this.#timeouts.values()) if (next === undefined || timeout.due < next.due) next = timeout;
    return next;
  }

  fire(): void {
    const { next } = this;
    if (next === undefined) throw new Error('A delayed event is in the journal that the model does not wait for');
    if (next.due > this.time) throw new Error(`A delayed event came at ${this.time}; it was due at ${next.due}`);
    this.#timeouts.delete(next.order);
    next.run();
  }
}

/** An entry of a journal, as `history()` shows it. */
export interface Shown {
  readonly kind: string;
  readonly time: Date;
  readonly event: AnyEventObject;
  readonly source?: string;
}

interface Job {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

export class PlainActor {
  /** What actions did, in order. */
  readonly effects: string[] = [];
  readonly emitted: AnyEventObject[] = [];
  readonly #clock: ManualClock;
  readonly #actor: Actor<AnyStateMachine>;
  readonly #jobs = new Map<string, Job>();
  readonly #callbacks = new Map<string, (event: AnyEventObject) => void>();

  constructor(model: MachineModel, start: Shown) {
    this.#clock = new ManualClock(start.time.getTime());
    const world: World = {
      note: (what) => void this.effects.push(what),
      job: (path) => new Promise((resolve, reject) => this.#jobs.set(path, { resolve, reject })),
      callback: (path, sendBack) => {
        this.#callbacks.set(path, sendBack);
        return () => {};
      },
    };
    this.#actor = createActor(buildMachine(model, world), { clock: this.#clock as unknown as SimulatedClock });
    this.#actor.subscribe({ error: () => {} });
    this.#actor.on('*', (event) => void this.emitted.push(event));
    this.#actor.start();
  }

  /** Takes what the journal has next. */
  async take({ kind, time, event, source = '' }: Shown): Promise<void> {
    if (time.getTime() < this.#clock.time) throw new Error('The journal goes back in time');
    this.#clock.time = time.getTime();
    if (kind === 'timer') this.#clock.fire();
    else if (kind === 'event') this.#actor.send(event);
    else if (kind === 'child') {
      if (event.type.startsWith('xstate.done.')) this.#job(source).resolve(event.output);
      else if (event.type.startsWith('xstate.error.')) this.#job(source).reject(event.error);
      else this.#callback(source)(event);
      for (let i = 0; i < 8; i++) await null; // until the result is with the machine
    }
  }

  /** When the next delayed event is due. */
  get due(): number | undefined {
    return this.#clock.next?.due;
  }

  get snapshot() {
    return this.#actor.getSnapshot();
  }

  persisted(): unknown {
    return this.#actor.getPersistedSnapshot();
  }

  stop(): void {
    this.#actor.stop();
  }

  #job(path: string): Job {
    const job = this.#jobs.get(path);
    if (job === undefined) throw new Error(`A result of ${path} is in the journal; the model has never asked for it`);
    return job;
  }

  #callback(path: string): (event: AnyEventObject) => void {
    const callback = this.#callbacks.get(path);
    if (callback === undefined)
      throw new Error(`An event of ${path} is in the journal; the model has no such callback`);
    return callback;
  }
}
