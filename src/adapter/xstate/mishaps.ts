/** What becomes of an actor's effects, and of what it runs outside, when they throw: its supervision decides. */
import { VarveError } from '../../errors.js';
import type { ActorCell } from './actor-cell.js';
import type { CellHost } from './cell-host.js';
import type { Verdict } from './effects.js';
import type { Life } from './life.js';
import type { Supervisor } from './supervision.js';
import type { Input, Node, UserEffect } from './turn.js';

/** A receiver takes no message any more, or not this one: it is given up. */
const NOT_TAKEN: ReadonlySet<string> = new Set([
  'ERR_VARVE_ACTOR_ENDED',
  'ERR_VARVE_EVENT_REFUSED',
  'ERR_VARVE_STREAM_TOMBSTONED',
]);
/** A receiver cannot be woken before somebody has done something about it: the message is parked at once. */
const UNFIT: ReadonlySet<string> = new Set([
  'ERR_VARVE_INVALID_OPTION',
  'ERR_VARVE_INVALID_EVENT',
  'ERR_VARVE_MACHINE_VERSION',
  'ERR_VARVE_DIVERGED',
  'ERR_VARVE_CORRUPT',
]);
/** The store cannot take anything now, or another host runs the receiver: no fault of the message, so it is tried for ever. */
const PASSING: ReadonlySet<string> = new Set([
  'ERR_VARVE_LEASE_LOST',
  'ERR_VARVE_NO_SPACE',
  'ERR_VARVE_BACKPRESSURE',
  'ERR_VARVE_PARTITION_FAILED',
  'ERR_VARVE_CLOSED',
  'ERR_VARVE_IO',
]);

/** Of a message: how often its receiver has thrown. */
const refusalsOf = new WeakMap<UserEffect, number>();

export class Mishaps {
  readonly #host: CellHost;
  readonly #cell: ActorCell;
  readonly #life: Life;
  readonly #supervisor: Supervisor;
  /** By the address of a child outside: how often it has failed. */
  #failures: Map<string, number> | undefined;

  constructor(host: CellHost, cell: ActorCell, life: Life) {
    this.#host = host;
    this.#cell = cell;
    this.#life = life;
    this.#supervisor = cell.supervisor;
  }

  /** An effect has thrown, for the `attempts`-th time. */
  async effect(error: unknown, effect: UserEffect, attempts: number): Promise<Verdict> {
    const what = effect.kind === 'action' ? `the action '${effect.type}'` : `a ${effect.kind}`;
    const verdict = await this.#verdict(error, what, attempts);
    if (verdict !== 'stop' || this.#life.dropped) return verdict;
    if (this.#supervisor.draining) return this.#leave();
    this.#report(error, what);
    await this.#life.end({ status: 'error', error }).catch((failure) => this.#report(failure, 'ending'));
    this.#cell.settled();
    return 'stop';
  }

  /** A message could not be handed over, for the `attempts`-th time. */
  async message(error: unknown, effect: UserEffect, attempts: number): Promise<Verdict | 'park'> {
    const code = error instanceof VarveError ? error.code : '';
    if (NOT_TAKEN.has(code)) {
      this.#report(error, 'a message');
      return 'skip';
    }
    if (this.#supervisor.draining) return this.#leave();
    if (UNFIT.has(code)) return 'park';
    if (!PASSING.has(code)) {
      const refusals = (refusalsOf.get(effect) ?? 0) + 1;
      refusalsOf.set(effect, refusals);
      if (refusals >= this.#cell.plan.supervision.attempts) return 'park';
    }
    const verdict = await this.#again(this.#supervisor.patience(attempts));
    return verdict === 'stop' ? this.#leave() : verdict;
  }

  /** What a promise or the like has thrown, and the machine has no transition for. `fail`: it fails with its child. */
  async child(input: Input & { kind: 'child' }, from: Node, fail: () => void): Promise<void> {
    this.#failures ??= new Map();
    const failures = this.#failures;
    const attempts = (failures.get(from.address) ?? 0) + 1;
    failures.set(from.address, attempts);
    const { tree } = this.#life;
    const verdict = await this.#verdict(input.event.error, `'${from.actor.id}'`, attempts);
    if (this.#life.dropped || !tree.nodes.counts(from)) return;
    if (verdict === 'again') tree.restartOutside(from);
    else if (verdict === 'stop' && !this.#supervisor.draining) fail();
  }

  #verdict(error: unknown, what: string, attempts: number): Promise<Verdict> {
    return this.#again(this.#supervisor.verdict(attempts, () => this.#host.decide(error, this.#cell, what)));
  }

  /** The next life carries it out. */
  #leave(): 'stop' {
    this.#life.journal.stopEffects();
    this.#cell.settled();
    return 'stop';
  }

  async #again(verdict: Promise<Verdict>): Promise<Verdict> {
    this.#host.busy(this.#cell);
    const decided = await verdict;
    if (decided === 'again') this.#host.counters.restarts++;
    return decided;
  }

  #report(error: unknown, what: string): void {
    this.#host.report(error, this.#cell, what);
  }
}
