/** Programs that are run against a log to crash it: small ones, all of them, and random longer ones. */
import type { AllocateMode, Disk } from '../disk/disk.js';
import { type Log, openLog } from '../log.js';
import type { OpenLogOptions } from '../options.js';
import type { Partition } from '../partition.js';
import { HEADER_PAGE_SIZE } from '../segment/header.js';
import { newSessionCounts } from './crash-counts.js';
import type { LogModel, Shown } from './log-model.js';
import type { Random } from './random.js';

/** Every program opens the log before its first step, and closes it behind its last one. */
export const SMALL_STEPS = [
  'append',
  'written',
  'write',
  'batch',
  'sync',
  'prepare',
  'rotate',
  'purge',
  'truncate',
  'reopen',
] as const;
const MORE_STEPS = ['burst', 'fill', 'purge some', 'truncate far', 'truncate all', 'at once'] as const;
export const STEPS = [...SMALL_STEPS, ...MORE_STEPS] as const;
/** 'row' is long, so it is taken only where it is asked for. */
export type Step = (typeof STEPS)[number] | 'row';

export const DIRECTORY = '/data';

export interface LogOptions {
  readonly io: 'mmap' | 'write';
  readonly segmentSize: number;
  /** Segments kept ready. */
  readonly ready: number;
  readonly recycle: number;
  readonly verify: 'tail' | 'full';
  /** How space is reserved. */
  readonly mode?: AllocateMode;
}

/** All programs of one to `length` steps. */
export function* allPrograms(length: number): Generator<Step[]> {
  if (length === 0) return;
  yield* allPrograms(length - 1);
  const count = SMALL_STEPS.length ** length;
  for (let n = 0; n < count; n++) {
    yield Array.from(
      { length },
      (_, i) => SMALL_STEPS[Math.floor(n / SMALL_STEPS.length ** i) % SMALL_STEPS.length] as Step,
    );
  }
}

export function randomProgram(random: Random, length: number): Step[] {
  return Array.from({ length }, () => random.pick([...STEPS, 'fill', 'burst', 'append']));
}

/** A promise is broken, as against an error that the log reports. */
export class ModelViolation extends Error {
  override readonly name = 'ModelViolation';
}

/** A log, opened, and what it must show. */
export class Session {
  readonly model: LogModel;
  readonly #disk: Disk;
  readonly #options: LogOptions;
  readonly #random: Random;
  readonly #more: Partial<OpenLogOptions>;
  /** Told of each partition that was opened. */
  onOpened: ((partition: Partition) => void) | undefined;
  /** Times that appends began to wait for space. */
  blocked = 0;
  /** Sums over all openings. */
  readonly counts = newSessionCounts();
  #log: Log | undefined;
  #partition: Partition | undefined;

  constructor(disk: Disk, model: LogModel, options: LogOptions, random: Random, more: Partial<OpenLogOptions> = {}) {
    this.#disk = disk;
    this.model = model;
    this.#options = options;
    this.#random = random;
    this.#more = more;
  }

  get partition(): Partition {
    if (this.#partition === undefined) throw new Error('the log is not open');
    return this.#partition;
  }

  /** Opens the log and tells what it shows. */
  async open(): Promise<Shown> {
    const { io, segmentSize, ready, recycle, verify, mode } = this.#options;
    const preallocate = { segments: ready, ...(mode === undefined ? {} : { mode }) };
    const log = await openLog({
      directory: DIRECTORY,
      disk: this.#disk,
      io,
      segmentSize,
      preallocate,
      recycle,
      verify,
      ...this.#more,
    });
    this.#log = log;
    log.events.on('recovered', ({ torn }) => {
      if (torn !== undefined) this.counts.tornTails++;
    });
    log.events.on('spacePressure', ({ state }) => {
      if (state === 'blocked') this.blocked++;
    });
    log.events.on('rotated', () => this.counts.rotations++);
    log.events.on('purged', () => this.counts.purges++);
    log.events.on('truncated', () => this.counts.truncations++);
    this.counts.openings++;
    this.#partition = await log.partition(1);
    this.onOpened?.(this.#partition);
    this.#partition.oldestLsn$.subscribe((lsn) => this.model.acknowledgePurge(lsn));
    return this.show();
  }

  /** Holds the log to what its marks say at this moment, to whoever watches them. */
  observe(): void {
    if (this.#partition === undefined) return;
    this.model.acknowledge(this.#partition.writtenLsn, 'written');
    this.model.acknowledge(this.#partition.durableLsn, 'durable');
  }

  async show(): Promise<Shown> {
    const { partition } = this;
    const oldestLsn = partition.oldestLsn;
    const records = await partition.read({ from: oldestLsn }).toArray();
    return { oldestLsn, records };
  }

  async close(): Promise<void> {
    const log = this.#log;
    if (log === undefined) return;
    this.#log = undefined;
    this.observe();
    await log.close();
  }

  async step(step: Step): Promise<void> {
    const { partition, model } = this;
    const random = this.#random;
    switch (step) {
      case 'append':
        return this.#append(this.#size(), 'durable');
      case 'written':
        return this.#append(this.#size(), 'written');
      case 'batch': {
        const payloads = model.issue([this.#size() >> 1, this.#size() >> 2, 3], true);
        const { lastLsn } = await partition.appendBatch(payloads);
        model.acknowledge(lastLsn, 'durable');
        return;
      }
      case 'write':
        for (const size of [this.#size() >> 1, 5]) partition.write(model.issue([size], false)[0] as Uint8Array);
        return;
      case 'sync': {
        const { last } = model;
        await partition.sync();
        model.acknowledge(last, 'durable');
        return;
      }
      case 'prepare':
        // More than half of a segment: the next one is prepared from then on.
        return this.#append((this.#options.segmentSize - HEADER_PAGE_SIZE) >> 1, 'written');
      case 'burst': {
        const appends = Array.from({ length: 2 + random.below(6) }, () =>
          this.#append(this.#size(), random.chance(0.5) ? 'durable' : 'written'),
        );
        await all(appends);
        return;
      }
      case 'row':
        // Longer than those whose every sync is stated in the header page.
        for (let i = 0; i < 26; i++) await this.#append(1, 'durable');
        return;
      case 'fill': {
        const appends = [400, 300, 350, 380].map((size) =>
          this.#append(size, random.chance(0.7) ? 'written' : 'durable'),
        );
        await all(appends);
        return;
      }
      case 'at once': {
        const minLsn = model.oldest + random.below(Math.max(1, model.durable - model.oldest + 2));
        await all([
          this.#append(this.#size(), 'written'),
          partition.rotate(),
          this.#purge(minLsn),
          this.#append(9, 'durable'),
        ]);
        return;
      }
      case 'rotate':
        return partition.rotate();
      case 'purge':
        return this.#purge(model.last + 1);
      case 'purge some':
        return this.#purge(model.oldest + random.below(model.last - model.oldest + 2));
      case 'truncate':
        return this.#truncate(Math.max(partition.oldestLsn - 1, model.last - 1 - random.below(2)));
      case 'truncate far':
        return this.#truncate(partition.oldestLsn - 1 + random.below(model.last - partition.oldestLsn + 2));
      case 'truncate all':
        return this.#truncate(partition.oldestLsn - 1);
      case 'reopen': {
        await this.close();
        const shown = await this.open();
        const problem = model.violation(shown, 'power');
        if (problem !== undefined) throw new ModelViolation(`After a clean close ${problem}`);
        if (shown.oldestLsn + shown.records.length - 1 !== model.last)
          throw new ModelViolation('A clean close has lost records');
        model.adopt(shown);
        return;
      }
    }
  }

  async #append(size: number, ack: 'durable' | 'written'): Promise<void> {
    const { lsn } = await this.partition.append(this.model.issue([size], false)[0] as Uint8Array, { ack });
    this.model.acknowledge(lsn, ack);
  }

  async #purge(minLsn: number): Promise<void> {
    if (minLsn < 1) return;
    this.model.askPurge(minLsn);
    const { oldestLsn } = await this.partition.purgeBefore(minLsn);
    this.model.acknowledgePurge(oldestLsn);
  }

  async #truncate(lsn: number): Promise<void> {
    this.model.askTruncation(lsn);
    await this.partition.truncateAfter(lsn);
    this.model.acknowledgeTruncation(lsn);
  }

  #size(): number {
    return this.#random.pick([0, 1, 7, 8, 40, 100, 200, 300, 420, 600]);
  }
}

/** Waits for all of them to settle; then rejects if one did. */
async function all(promises: readonly Promise<unknown>[]): Promise<void> {
  const settled = await Promise.allSettled(promises);
  for (const result of settled) if (result.status === 'rejected') throw result.reason;
}
