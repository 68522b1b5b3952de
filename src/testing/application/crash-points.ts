/**
 * Crashes of a running application: at any operation of its disk, and between its commands. Each keeps what the disk may
 * hold then and what the world outside knew then. The application itself goes on and notices nothing.
 */
import type { Extreme } from '../crash.js';
import { changesDisk, type Operation } from '../operations.js';
import type { Random } from '../random.js';
import type { SimulatedDisk } from '../simulated-disk.js';

/** What is told of a crash. */
export interface Crash {
  /** 'power': what was not synced may be lost. 'process': only the process has died; what was written is there. */
  readonly loss: 'power' | 'process';
  /** 1 for the first crash since the disk was empty. */
  readonly count: number;
  /** What the application was doing, for a person: `in deposit(3)`. */
  readonly during: string;
  /** Operation of the disk, and what became of that which was not synced, for a person. */
  readonly where: string;
}

/** What the next life begins with. */
export interface CrashPoint<Model> {
  readonly disk: SimulatedDisk;
  readonly model: Model;
  readonly crash: Crash;
  /** All so far, this one last. */
  readonly crashes: readonly Crash[];
  /** What was done so far, one line each. */
  readonly history: readonly string[];
}

const FATES = ['nothing', 'everything', 'some of it', 'process'] as const;
type Fate = (typeof FATES)[number];
const EXTREMES: Partial<Record<Fate, Extreme>> = { nothing: 'none', everything: 'all' };

/** The life that is watched. */
interface Watched<Model> {
  readonly disk: SimulatedDisk;
  readonly model: Model;
  readonly crashes: readonly Crash[];
}

/** Takes `wanted` of all crashes that are possible while it watches a life, each as likely as any other. */
export class CrashPoints<Model> {
  /** What the application is doing. */
  during = 'in setup';
  readonly #watched: Watched<Model>;
  readonly #wanted: number;
  readonly #history: readonly string[];
  readonly #random: Random;
  readonly #kept: { readonly order: number; readonly point: CrashPoint<Model> }[] = [];
  #possible = 0;
  #failure: { readonly error: unknown } | undefined;

  /** `history` grows with the life. */
  constructor(watched: Watched<Model>, wanted: number, history: readonly string[], random: Random) {
    this.#watched = watched;
    this.#wanted = wanted;
    this.#history = history;
    this.#random = random;
    watched.disk.onOperation = (operation, when) => {
      if (changesDisk(operation)) this.#offer(`${when} ${nameOf(operation)}`);
    };
  }

  /** Between two commands: what is stored through a mapping is no operation. */
  between(): void {
    this.#offer('between operations of the disk');
  }

  stop(): void {
    this.#watched.disk.onOperation = undefined;
  }

  /** The crashes in the order of time. Throws what copying the model has thrown. */
  taken(): CrashPoint<Model>[] {
    if (this.#failure !== undefined) throw this.#failure.error;
    return this.#kept.sort((a, b) => a.order - b.order).map(({ point }) => point);
  }

  #offer(where: string): void {
    if (this.#wanted === 0 || this.#failure !== undefined) return;
    for (const fate of FATES) {
      const order = this.#possible++;
      const place = order < this.#wanted ? order : this.#random.below(order + 1);
      if (place >= this.#wanted) continue;
      try {
        this.#kept[place] = { order, point: this.#point(fate, where) };
      } catch (error) {
        // Not thrown here: to the application it would be an error of its disk.
        this.#failure = { error };
      }
    }
  }

  #point(fate: Fate, where: string): CrashPoint<Model> {
    const { disk, model, crashes } = this.#watched;
    const died = fate === 'process';
    const crash: Crash = {
      loss: died ? 'process' : 'power',
      count: crashes.length + 1,
      during: this.during,
      where: died ? where : `${where}; of what was not synced, ${fate} survives`,
    };
    const line = `${died ? 'the process dies' : 'power loss'} ${crash.during}, ${crash.where}`;
    return {
      disk: died ? disk.processCrash() : disk.crashed(this.#random.fork(), EXTREMES[fate]),
      model: copy(model),
      crash,
      crashes: [...crashes, crash],
      history: [...this.#history, line],
    };
  }
}

function copy<Model>(model: Model): Model {
  try {
    return structuredClone(model);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new TypeError(`The model of crashRecovery must be plain data, which structuredClone copies: ${why}`, {
      cause: error,
    });
  }
}

function nameOf({ kind, path, to, index }: Operation): string {
  return `${kind} ${path}${to === undefined ? '' : ` to ${to}`} (operation ${index})`;
}
