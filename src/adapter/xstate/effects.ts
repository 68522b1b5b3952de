/**
 * What durable turns want of the world, carried out in order: each action behind the one before it, also where that one
 * returns a promise. Messages to other actors are under way side by side; each receiver gets those of one sender in order.
 *
 * `done` tells how far everything has been carried out. What lies behind it when the process dies is carried out again.
 */

import { streamOf } from './address.js';
import type { UserEffect } from './turn.js';
import type { Undone } from './wake-up.js';

/** How it goes on where an effect has thrown. */
export type Verdict = 'again' | 'skip' | 'stop';

type Message = UserEffect & { kind: 'message' };

export interface EffectHost {
  /** An emitted event is handed to listeners. */
  emit(effect: UserEffect & { kind: 'emit' }): void;
  /** A message is handed over: resolves when its receiver has it in its journal. */
  deliver(effect: Message): Promise<void>;
  /** What threw, and how often it has been called: decides, after whatever pause. */
  failed(error: unknown, effect: UserEffect, attempts: number): Promise<Verdict>;
  /** The same of a message, which may be parked. */
  refused(error: unknown, effect: Message, attempts: number): Promise<Verdict | 'park'>;
  /** Resolves when the journal has it that a message is parked. Rejects where this life of the actor is over. */
  park(effect: Message, error: unknown, attempts: number): Promise<void>;
  carriedOut(): void;
  /** `done` has moved. */
  advanced(): void;
}

interface Batch {
  readonly revision: number;
  /** Effects that were not carried out yet. */
  readonly left: UserEffect[];
}

interface Item {
  readonly batch: Batch;
  readonly effect: UserEffect;
}

export class Effects {
  readonly #host: EffectHost;
  readonly #batches: Batch[] = [];
  readonly #queue: Item[] = [];
  /** By receiver: what is under way to it. A message is handed over only when the one before it was taken. */
  #lines: Map<string, Promise<void>> | undefined;
  #running = false;
  #stopped = false;
  #done: number;

  constructor(host: EffectHost, done: number) {
    this.#host = host;
    this.#done = done;
  }

  /** Everything up to this revision has been carried out. */
  get done(): number {
    return this.#done;
  }

  get idle(): boolean {
    return this.#batches.length === 0;
  }

  /** What was not carried out yet. */
  get undone(): Undone[] {
    return this.#batches.map(({ revision, left }) => ({ revision, effects: [...left] }));
  }

  /** Nothing but messages is under way. */
  get onlyMessages(): boolean {
    return this.#queue.length === 0 && !this.#running;
  }

  /** The effects of one durable entry. Revisions grow. */
  add({ revision, effects }: Undone): void {
    if (this.#stopped) return;
    if (effects.length === 0) {
      if (this.#batches.length === 0) this.#done = revision;
      else this.#batches.push({ revision, left: [] });
      return;
    }
    const batch = { revision, left: [...effects] };
    this.#batches.push(batch);
    for (const effect of effects) this.#queue.push({ batch, effect });
    if (!this.#running) this.#run();
  }

  /** Nothing more is begun. */
  stop(): void {
    this.#stopped = true;
    this.#queue.length = 0;
    this.#batches.length = 0;
  }

  /** As long as nothing has to be waited for this is synchronous. */
  #run(): void {
    this.#running = true;
    for (let item = this.#queue.shift(); item !== undefined; item = this.#queue.shift()) {
      const waiting = this.#begin(item, 1);
      if (waiting === undefined) continue;
      void waiting.then(() => this.#run());
      return;
    }
    this.#running = false;
  }

  #begin(item: Item, attempt: number): Promise<void> | undefined {
    const { effect } = item;
    if (effect.kind === 'message') {
      this.#line(item, effect);
      return undefined;
    }
    try {
      if (effect.kind === 'emit') this.#host.emit(effect);
      else {
        const result = effect.run();
        if (isThenable(result)) {
          return Promise.resolve(result).then(
            () => this.#finish(item),
            (error) => this.#decide(item, error, attempt),
          );
        }
      }
    } catch (error) {
      return this.#decide(item, error, attempt);
    }
    this.#finish(item);
    return undefined;
  }

  #line(item: Item, effect: Message): void {
    const to = streamOf(effect.to.machine, effect.to.id);
    this.#lines ??= new Map();
    const lines = this.#lines;
    const before = lines.get(to);
    const taken = before === undefined ? this.#hand(item, effect) : before.then(() => this.#hand(item, effect));
    lines.set(to, taken);
    void taken.then(() => lines.get(to) === taken && lines.delete(to));
  }

  async #hand(item: Item, effect: Message): Promise<void> {
    for (let attempt = 1; !this.#stopped; attempt++) {
      try {
        await this.#host.deliver(effect);
        this.#finish(item);
        return;
      } catch (error) {
        if (this.#stopped) return;
        const verdict = await this.#host.refused(error, effect, attempt);
        if (verdict === 'again') continue;
        if (verdict === 'park' && !this.#stopped && !(await this.#park(effect, error, attempt))) return;
        if (verdict !== 'stop') this.#finish(item);
        return;
      }
    }
  }

  async #park(effect: Message, error: unknown, attempts: number): Promise<boolean> {
    return this.#host.park(effect, error, attempts).then(
      () => true,
      () => false, // the journal could not be told: the next life hands it over again
    );
  }

  async #decide(item: Item, error: unknown, attempt: number): Promise<void> {
    if (this.#stopped) return;
    const verdict = await this.#host.failed(error, item.effect, attempt);
    if (this.#stopped || verdict === 'stop') return;
    if (verdict === 'skip') this.#finish(item);
    else await this.#begin(item, attempt + 1);
  }

  #finish({ batch, effect }: Item): void {
    this.#host.carriedOut();
    batch.left.splice(batch.left.indexOf(effect), 1);
    if (this.#stopped) return;
    const before = this.#done;
    for (let first = this.#batches[0]; first?.left.length === 0; first = this.#batches[0]) {
      this.#done = first.revision;
      this.#batches.shift();
    }
    if (this.#done !== before) this.#host.advanced();
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';
}
