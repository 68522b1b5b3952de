/**
 * The allocator: the log's ready and recycle queues, and the files in them, driven by the allocator machine.
 *
 * Partitions take prepared files from it, give unused ones back, and retire purged segments to it. It promises that a
 * taken file's space is reserved (as far as the preallocation mode reserves any), and that who waits for one is told
 * when space is lacking.
 */
import { join } from 'node:path';
import { createActor } from 'xstate';
import type { Disk } from '../disk/disk.js';
import { isNoSpace, VarveError } from '../errors.js';
import { parseSpareName, recycleName } from '../segment/names.js';
import { prepareSpare, type Reservation, type SpareFile } from '../segment/spare.js';
import { type AllocatorActor, allocatorMachine } from './allocator-machine.js';

export type SpaceState = 'ok' | 'low' | 'blocked';

export interface AllocatorConfig {
  readonly disk: Disk;
  readonly directory: string;
  readonly reservation: Reservation;
  /** Prepared segments kept ahead of need. */
  readonly ready: number;
  /** Purged files kept for reuse. */
  readonly recycle: number;
  /** An episode of lacking space has begun. The allocator tries again when this resolves; it must not reject. */
  readonly onLacking: (cause: unknown, state: 'low' | 'blocked') => Promise<void>;
  readonly onRestored: () => void;
}

export interface AllocatorStats {
  readonly ready: number;
  readonly recycled: number;
  /** Segments prepared out of recycled files, since the log was opened. */
  readonly reused: number;
  /** Segments prepared out of new files, since the log was opened. */
  readonly created: number;
  readonly space: SpaceState;
}

/** Who waits for a prepared file. */
export interface SpareNeed {
  /** True while something waits for the file; false while it is only wanted ahead of need. */
  urgent(): boolean;
  /** Space is lacking, and the need is urgent. May be called more than once. */
  noSpace(): void;
}

interface Taker {
  readonly resolve: (spare: SpareFile) => void;
  readonly reject: (error: unknown) => void;
  readonly need: SpareNeed;
}

export class Allocator {
  readonly #config: AllocatorConfig;
  readonly #ready: SpareFile[] = [];
  readonly #recycled: string[] = [];
  readonly #takers: Taker[] = [];
  readonly #actor: AllocatorActor;
  #nextNumber = 1;
  #reused = 0;
  #created = 0;
  #space: SpaceState = 'ok';
  #cause: unknown;
  #preparing: Promise<void> = Promise.resolve();
  #stopped = false;
  #retry: NodeJS.Timeout | undefined;
  #removing: Promise<unknown> = Promise.resolve();

  constructor(config: AllocatorConfig) {
    this.#config = config;
    const effects = {
      prepare: () => {
        this.#preparing = this.#prepare();
      },
      wanted: () => !this.#stopped && this.#ready.length < this.#config.ready + this.#takers.length,
      awaited: () => this.#takers.some((taker) => taker.need.urgent()),
      spaceLacking: () => {
        if (this.#space !== 'ok') return; // a hand-over has announced it
        this.#space = this.#takers.some((taker) => taker.need.urgent()) ? 'blocked' : 'low';
        void this.#config.onLacking(this.#cause, this.#space).then(() => this.#actor.send({ type: 'HOOK_DONE' }));
      },
      blocked: () => {
        this.#space = 'blocked';
        this.#retry?.ref(); // it may have been set ahead of need
        for (const taker of this.#takers) {
          if (taker.need.urgent()) taker.need.noSpace();
        }
      },
      spaceRestored: () => {
        this.#space = 'ok';
        this.#config.onRestored();
      },
      broken: (cause: unknown) => {
        for (const taker of this.#takers.splice(0)) taker.reject(cause);
      },
    };
    // Lacking space ahead of need must not keep a process alive that has nothing else to do; a waiting append must.
    const clock = {
      setTimeout: (fn: (...args: unknown[]) => void, ms: number) => {
        this.#retry = setTimeout(fn, ms);
        return this.#takers.some(({ need }) => need.urgent()) ? this.#retry : this.#retry.unref();
      },
      clearTimeout: (id: NodeJS.Timeout) => clearTimeout(id),
    };
    this.#actor = createActor(allocatorMachine, { input: { effects }, clock });
    this.#actor.start();
  }

  get stats(): AllocatorStats {
    return {
      ready: this.#ready.length,
      recycled: this.#recycled.length,
      reused: this.#reused,
      created: this.#created,
      space: this.#space,
    };
  }

  /** Takes up the spare files that an earlier process left behind; those that are too many are removed. */
  takeUp(names: readonly string[]): void {
    const { disk, directory, ready, recycle } = this.#config;
    const surplus: string[] = [];
    for (const name of names) {
      const spare = parseSpareName(name);
      if (spare === undefined) continue;
      this.#nextNumber = Math.max(this.#nextNumber, spare.number + 1);
      if (this.#recycled.length < ready + recycle) this.#recycled.push(name);
      else surplus.push(name);
    }
    // A file that cannot be removed now is found, and removed, at the next open.
    this.#removing = Promise.allSettled(surplus.map((name) => disk.unlink(join(directory, name))));
  }

  /**
   * A prepared file. Waits for one while space is lacking; rejects when none can be prepared for another reason, when the log closes (`ERR_VARVE_CLOSED`), or with the reason of `signal`.
   */
  take(need: SpareNeed, signal: AbortSignal): Promise<SpareFile> {
    if (this.#stopped) return Promise.reject(closedError());
    const spare = this.#takers.length === 0 ? this.#ready.shift() : undefined;
    const taken = spare !== undefined ? Promise.resolve(spare) : this.#wait(need, signal);
    this.#actor.send({ type: 'NEED' });
    return taken;
  }

  #wait(need: SpareNeed, signal: AbortSignal): Promise<SpareFile> {
    return new Promise<SpareFile>((resolve, reject) => {
      signal.throwIfAborted();
      const onAbort = () => {
        this.#takers.splice(this.#takers.indexOf(taker), 1);
        reject(signal.reason);
      };
      const settled = () => signal.removeEventListener('abort', onAbort);
      const taker: Taker = {
        need,
        resolve: (spare) => {
          settled();
          resolve(spare);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#takers.push(taker);
    });
  }

  /** Asks for prepared segments ahead of need, or says that a need has become urgent. */
  fill(): void {
    this.#actor.send({ type: 'NEED' });
  }

  /** Gives back a prepared file that was not used. */
  giveBack(spare: SpareFile): void {
    this.#deliver({ ...spare, recycled: true }); // it may have got a header meanwhile
  }

  /** A hand-over met a full disk: the space was not reserved. Announced like any other lack of space. */
  reportLacking(cause: unknown): void {
    if (this.#space !== 'ok') return;
    this.#space = 'blocked';
    void this.#config.onLacking(cause, 'blocked');
  }

  /** The hand-over has succeeded. */
  reportRestored(): void {
    if (this.#space === 'ok' || this.#actor.getSnapshot().context.lacking) return;
    this.#space = 'ok';
    this.#config.onRestored();
  }

  /**
   * Takes over the files of segments that were given up, in this order: for reuse, or to be removed. Durable when it
   * resolves, and only then can they be used again: a name that a crash brings back must not lead to new content.
   */
  async retire(names: readonly string[]): Promise<void> {
    const { disk, directory, recycle } = this.#config;
    const kept: string[] = [];
    for (const name of names) {
      if (this.#recycled.length + kept.length < recycle && !this.#stopped) {
        const to = recycleName(this.#nextNumber++);
        await disk.rename(join(directory, name), join(directory, to));
        kept.push(to);
      } else {
        await disk.unlink(join(directory, name));
      }
    }
    await disk.syncDirectory(directory);
    this.#recycled.push(...kept);
    this.#actor.send({ type: 'FREED' });
  }

  async close(): Promise<void> {
    this.#stopped = true;
    this.#actor.send({ type: 'STOP' });
    for (const taker of this.#takers.splice(0)) taker.reject(closedError());
    await this.#preparing;
    await this.#removing;
    for (const spare of this.#ready.splice(0)) await spare.file.close();
  }

  async #prepare(): Promise<void> {
    const { disk, directory, reservation } = this.#config;
    const recycled = this.#recycled.shift();
    try {
      const spare = await prepareSpare(disk, directory, this.#nextNumber++, reservation, recycled);
      if (recycled === undefined) this.#created++;
      else this.#reused++;
      this.#deliver(spare);
      this.#actor.send({ type: 'PREPARED' });
    } catch (cause) {
      this.#cause = cause;
      this.#actor.send(isNoSpace(cause) ? { type: 'NO_SPACE' } : { type: 'BROKEN', cause });
    }
  }

  #deliver(spare: SpareFile): void {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#ready.push(spare);
    else taker.resolve(spare);
    if (this.#space === 'blocked' && !this.#takers.some(({ need }) => need.urgent())) this.#space = 'low';
  }
}

function closedError(): VarveError {
  return new VarveError('ERR_VARVE_CLOSED', 'The log is closed.');
}
