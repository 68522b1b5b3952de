/** What becomes of an actor's effects, and of what it runs outside, when they throw: its supervision decides. */
import { VarveError } from '../../errors.js';
import type { ActorCell } from './actor-cell.js';
import type { CellHost } from './cell-host.js';
import type { Verdict } from './effects.js';
import type { Life } from './life.js';
import type { Supervisor } from './supervision.js';
import type { Input, Node, UserEffect } from './turn.js';

/** Errors of a receiver that do not pass. */
const FINAL: ReadonlySet<string> = new Set([
  'ERR_VARVE_ACTOR_ENDED',
  'ERR_VARVE_EVENT_REFUSED',
  'ERR_VARVE_INVALID_OPTION',
  'ERR_VARVE_INVALID_EVENT',
  'ERR_VARVE_STREAM_TOMBSTONED',
  'ERR_VARVE_MACHINE_VERSION',
  'ERR_VARVE_DIVERGED',
  'ERR_VARVE_CORRUPT',
]);

export class Mishaps {
  readonly #host: CellHost;
  readonly #cell: ActorCell;
  readonly #life: Life;
  readonly #supervisor: Supervisor;
  /** By the address of a child outside: how often it has failed. */
  readonly #failures = new Map<string, number>();

  constructor(host: CellHost, cell: ActorCell, life: Life) {
    this.#host = host;
    this.#cell = cell;
    this.#life = life;
    this.#supervisor = cell.supervisor;
  }

  /** An effect has thrown, for the `attempts`-th time. */
  async effect(error: unknown, effect: UserEffect, attempts: number): Promise<Verdict> {
    const what = effect.kind === 'action' ? `the action '${effect.type}'` : `a ${effect.kind}`;
    const message = effect.kind === 'message';
    if (message && error instanceof VarveError && FINAL.has(error.code)) {
      this.#host.report(error, this.#cell, what);
      return 'skip';
    }
    const verdict = await this.#verdict(error, what, attempts, message);
    if (verdict !== 'stop') return verdict;
    if (this.#supervisor.draining)
      this.#life.journal.stopEffects(); // the next life carries it out
    else {
      this.#host.report(error, this.#cell, what);
      await this.#life.end({ status: 'error', error }).catch((failure) => this.#report(failure, 'ending'));
    }
    this.#cell.settled();
    return 'stop';
  }

  /** What a promise or the like has thrown, and the machine has no transition for. `fail`: it fails with its child. */
  async child(input: Input & { kind: 'child' }, from: Node, fail: () => void): Promise<void> {
    const attempts = (this.#failures.get(from.address) ?? 0) + 1;
    this.#failures.set(from.address, attempts);
    const { tree } = this.#life;
    const verdict = await this.#verdict(input.event.error, `'${from.actor.id}'`, attempts);
    if (this.#life.dropped || !tree.nodes.counts(from)) return;
    if (verdict === 'again') tree.restartOutside(from);
    else if (verdict === 'stop' && !this.#supervisor.draining) fail();
  }

  async #verdict(error: unknown, what: string, attempts: number, message = false): Promise<Verdict> {
    const verdict = message
      ? this.#supervisor.patience(attempts)
      : this.#supervisor.verdict(attempts, () => this.#host.decide(error, this.#cell, what));
    this.#host.busy(this.#cell);
    const decided = await verdict;
    if (decided === 'again') this.#host.counters.restarts++;
    return decided;
  }

  #report(error: unknown, what: string): void {
    this.#host.report(error, this.#cell, what);
  }
}
