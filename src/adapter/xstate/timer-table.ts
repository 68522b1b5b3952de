/**
 * The delayed events of a tree: kept as data, and never armed here. Ids, cancelling and replacing are as XState has them.
 */
import type { Timer } from './turn.js';

export class TimerTable {
  readonly #changed: () => void;
  #timers: Timer[] = [];
  #asked = 0;

  /** `changed` is told where the next one may be another. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get size(): number {
    return this.#timers.length;
  }

  /** How many ids were given. */
  get asked(): number {
    return this.#asked;
  }

  /** The next one, of several at the same time the first that was asked for. */
  get next(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) if (next === undefined || timer.due < next.due) next = timer;
    return next;
  }

  copy(): Timer[] {
    return this.#timers.map((timer) => ({ ...timer }));
  }

  restore(timers: readonly Timer[], asked: number): void {
    this.#timers = timers.map((timer) => ({ ...timer }));
    this.#asked = asked;
  }

  /** They go off later by `shift` milliseconds, or begin anew at `now`. */
  shift(shift: number | 'restart', now: number): void {
    for (const timer of this.#timers) timer.due = shift === 'restart' ? now + timer.delay : timer.due + shift;
  }

  /** Without an id it is given one. */
  add(asked: Omit<Timer, 'id'>, id = `d:${this.#asked++}`): void {
    const timer = { ...asked, id };
    this.#loosen(timer);
    this.#timers.push(timer);
    this.#changed();
  }

  cancel(source: string | undefined, id: string): void {
    const at = this.#timers.findIndex((timer) => timer.source === source && timer.id === id && timer.loose !== true);
    if (at < 0) return;
    this.#timers.splice(at, 1);
    this.#changed();
  }

  /** All of an actor's; of those that are loose, what it sends to itself. */
  cancelAll(address: string | undefined): void {
    const left = this.#timers.filter(
      ({ source, target, loose }) => source !== address || (loose === true && target !== address),
    );
    if (left.length === this.#timers.length) return;
    this.#timers = left;
    this.#changed();
  }

  /** Its moment has come: of several of one id the first that is due. */
  take(source: string, id: string): Timer | undefined {
    let at = -1;
    this.#timers.forEach((timer, i) => {
      if (timer.source !== source || timer.id !== id) return;
      if (at < 0 || timer.due < (this.#timers[at] as Timer).due) at = i;
    });
    const [taken] = at < 0 ? [] : this.#timers.splice(at, 1);
    if (taken === undefined) return undefined;
    this.#loosen(taken);
    this.#changed();
    return taken;
  }

  #loosen({ source, id }: Timer): void {
    for (const timer of this.#timers) if (timer.source === source && timer.id === id) timer.loose = true;
  }
}
