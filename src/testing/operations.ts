/** What is told of every operation of a simulated disk, and the order in which operations that wait come to an end. */
import type { Random } from './random.js';

export type OperationKind =
  | 'makeDirectory'
  | 'list'
  | 'open'
  | 'create'
  | 'rename'
  | 'unlink'
  | 'syncDirectory'
  | 'lock'
  | 'size'
  | 'read'
  | 'readSync'
  | 'write'
  | 'sync'
  | 'dropCache'
  | 'allocate'
  | 'truncate'
  | 'map'
  | 'unmap'
  | 'close';

export interface Operation {
  /** From 0, in the order of the calls. */
  readonly index: number;
  readonly kind: OperationKind;
  /** The path at the time; a file that was renamed goes by its newest name. */
  readonly path: string;
  /** New path, of a rename. */
  readonly to: string | undefined;
  readonly offset: number;
  readonly length: number;
}

/** Called right before an operation takes effect, and right after. */
export type OperationHook = (operation: Operation, when: 'before' | 'after') => void;

/** True if the operation may change what a power loss leaves. */
export function changesDisk({ kind }: Operation): boolean {
  switch (kind) {
    case 'list':
    case 'open':
    case 'lock':
    case 'size':
    case 'read':
    case 'readSync':
    case 'map':
    case 'close':
      return false;
    default:
      return true;
  }
}

/**
 * When operations that wait come to an end.
 * `'order'`: in the order of the calls, each in a microtask. `'random'`: one at a time in seeded order, those on one
 * file in the order of the calls. `'slow sync'`: the same, but syncs of files end as late as possible.
 * `'slow names'`: the same, but operations on directories do.
 */
export type Schedule = 'order' | 'random' | 'slow sync' | 'slow names';

/** Decides of each operation by itself: it ends when this has resolved, and those on one file in the order of the calls. */
export type Turn = (operation: Operation) => Promise<unknown>;

interface Waiting {
  readonly operation: Operation;
  /** What must keep its order: a file or a directory. */
  readonly target: object;
  readonly resume: () => void;
}

export class Scheduler {
  readonly #schedule: Schedule | Turn;
  readonly #random: Random;
  #waiting: Waiting[] = [];
  #scheduled = false;
  /** Of each target the turn that was given last. */
  readonly #turns = new WeakMap<object, Promise<unknown>>();

  constructor(schedule: Schedule | Turn, random: Random) {
    this.#schedule = schedule;
    this.#random = random;
  }

  /** Resolves when it is the operation's turn to end. */
  turn(operation: Operation, target: object): Promise<unknown> {
    const schedule = this.#schedule;
    if (schedule === 'order') return Promise.resolve();
    if (typeof schedule === 'function') {
      const before = this.#turns.get(target);
      const turn = before === undefined ? schedule(operation) : before.then(() => schedule(operation));
      this.#turns.set(target, turn);
      return turn;
    }
    return new Promise<void>((resume) => {
      this.#waiting.push({ operation, target, resume });
      this.#pump();
    });
  }

  /** Everything that can run without waiting runs before the next operation ends; timers and I/O have their turn at times. */
  #pump(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const end = () => {
      this.#scheduled = false;
      this.#endOne();
      if (this.#waiting.length > 0) this.#pump();
    };
    if (this.#random.chance(0.2)) setImmediate(end);
    else process.nextTick(() => queueMicrotask(() => process.nextTick(end)));
  }

  #endOne(): void {
    const seen = new Set<object>();
    const firsts = this.#waiting.filter(({ target }) => !seen.has(target) && seen.add(target));
    const fast = firsts.filter(({ operation }) => !this.#isSlow(operation));
    const chosen = this.#random.pick(fast.length > 0 && this.#random.chance(0.95) ? fast : firsts);
    this.#waiting = this.#waiting.filter((waiting) => waiting !== chosen);
    chosen.resume();
  }

  #isSlow({ kind }: Operation): boolean {
    if (this.#schedule === 'slow sync') return kind === 'sync';
    if (this.#schedule === 'slow names') return kind === 'syncDirectory' || kind === 'rename' || kind === 'unlink';
    return false;
  }
}
