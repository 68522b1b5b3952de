/** The runs of a campaign: every small program, and random ones for ever; each given by its seed alone. */
import type { CrashRun } from './crash-explorer.js';
import { allPrograms, type LogOptions, randomProgram, type Step } from './crash-programs.js';
import type { FaultRun } from './fault-runs.js';
import type { Schedule } from './operations.js';
import { Random } from './random.js';

/** Leaves several segments and recycled files behind. */
const USED: readonly Step[] = ['append', 'fill', 'rotate', 'batch', 'rotate', 'purge some', 'append'];
const SCHEDULES: readonly Schedule[] = ['order', 'random', 'slow sync', 'slow names'];

export type Rates = Pick<CrashRun, 'states' | 'secondStates'>;

function randomOptions(random: Random, io: LogOptions['io']): LogOptions {
  return {
    io,
    segmentSize: random.pick([5120, 6000, 8192]),
    ready: random.below(3),
    recycle: random.below(3),
    verify: random.pick(['tail', 'full']),
  };
}

/** Every program of `length` steps, on a new log and on a used one, with both back ends. */
export function* smallRuns(length: number, seed: number, rates: Rates): Generator<CrashRun> {
  let next = seed;
  for (const program of allPrograms(length)) {
    if (program.length < length) continue;
    for (const io of ['mmap', 'write'] as const) {
      for (const prelude of [[], USED]) {
        const random = new Random(++next);
        yield {
          seed: next,
          schedule: random.pick(SCHEDULES),
          log: randomOptions(random, io),
          prelude,
          program,
          ...rates,
        };
      }
    }
  }
}

/** A random program of 4 to 19 steps. */
export function randomRun(seed: number, rates: Rates): CrashRun {
  const random = new Random(seed);
  const schedule = random.pick(SCHEDULES);
  const log = randomOptions(random, random.pick(['mmap', 'write']));
  return { seed, schedule, log, prelude: [], program: randomProgram(random, 4 + random.below(16)), ...rates };
}

/** A random program with one failed fsync. */
export function fsyncRun(seed: number): FaultRun {
  const random = new Random(seed);
  const writeback = random.pick(['keep', 'revert'] as const);
  const report = random.pick(['now', 'now', 'next'] as const);
  const file = random.pick(['part_*', 'part_*', '*']);
  return {
    seed,
    schedule: random.pick(SCHEDULES),
    log: randomOptions(random, random.pick(['mmap', 'write'])),
    program: randomProgram(random, 2 + random.below(8)),
    rule: { kind: 'sync', file, nth: 1 + random.below(8), fault: { writeback, report } },
    restart: random.pick(['close', 'kept', 'dropped']),
  };
}
