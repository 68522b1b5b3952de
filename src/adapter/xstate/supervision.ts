/** What is done when something of an actor has thrown: how often it is tried again, and after which pauses. */
import type { Clock } from './clock.js';
import type { Verdict } from './effects.js';
import type { Supervision } from './machine-plan.js';

export class Supervisor {
  readonly #plan: Required<Supervision>;
  readonly #clock: Clock;
  /** What ends the pauses that are going on. */
  #pauses: Set<() => void> | undefined;
  #draining = false;

  constructor(plan: Required<Supervision>, clock: Clock) {
    this.#plan = plan;
    this.#clock = clock;
  }

  /** Something waits for its next attempt. */
  get pausing(): boolean {
    return this.#pauses !== undefined && this.#pauses.size > 0;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Nothing is tried again any more, pauses end. */
  drain(): void {
    this.#draining = true;
    this.endPauses();
  }

  /** Pauses are over at once: whoever has waited looks whether that is still of use. */
  endPauses(): void {
    for (const over of [...(this.#pauses ?? [])]) over();
  }

  /** After so many calls; 'again' behind a pause. `decide` is asked where the plan is to escalate. */
  async verdict(attempts: number, decide: () => Verdict): Promise<Verdict> {
    const { strategy, attempts: most } = this.#plan;
    if (this.#draining || strategy === 'stop') return 'stop';
    if (strategy === 'escalate') return decide();
    return attempts >= most ? 'stop' : this.patience(attempts);
  }

  /** For what is tried again for ever: messages, whose sender is not to blame. */
  async patience(attempts: number): Promise<Verdict> {
    const { minDelay, maxDelay, factor } = this.#plan;
    if (this.#draining) return 'stop';
    await this.#pause(Math.min(maxDelay, minDelay * factor ** (attempts - 1)));
    return this.#draining ? 'stop' : 'again';
  }

  #pause(ms: number): Promise<void> {
    this.#pauses ??= new Set();
    const pauses = this.#pauses;
    return new Promise((resolve) => {
      const over = () => {
        this.#clock.clearTimeout(handle);
        pauses.delete(over);
        resolve();
      };
      const handle = this.#clock.setTimeout(over, ms);
      pauses.add(over);
    });
  }
}
