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

/** All states that sectors, names and sizes can make: there is hardly a moment of a small program that has more. */
const ALL = 512;

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
          all: ALL,
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

/** The kinds of fault that a campaign takes in turn. */
export const FAULT_KINDS = [
  'fsync',
  'failure',
  'space',
  'quota',
  'slow',
  'misread',
  'misdirect',
  'flip',
  'sector',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

const FAILING = [
  'write',
  'write',
  'write',
  'allocate',
  'create',
  'open',
  'rename',
  'unlink',
  'syncDirectory',
  'truncate',
  'read',
  'size',
] as const;

/** A random program on a disk with one fault. */
export function faultRun(seed: number, kind: FaultKind): FaultRun {
  const random = new Random(seed);
  const base = {
    seed,
    schedule: random.pick(SCHEDULES),
    log: randomOptions(random, random.pick(['mmap', 'write'])),
    program: randomProgram(random, 2 + random.below(8)),
    restart: random.pick(['close', 'kept', 'dropped'] as const),
  };
  const nth = 1 + random.below(8);
  switch (kind) {
    case 'fsync': {
      const writeback = random.pick(['keep', 'revert'] as const);
      const fault = { writeback, report: random.pick(['now', 'now', 'next'] as const) };
      return { ...base, rule: { kind: 'sync', file: random.pick(['part_*', 'part_*', '*']), nth, fault } };
    }
    case 'failure': {
      const error = random.pick(['EIO', 'EIO', 'ENOSPC', 'EDQUOT']);
      const rule = { kind: random.pick(FAILING), file: random.pick(['part_*', '*']), nth: 1 + random.below(4) };
      return {
        ...base,
        rule: { ...rule, fault: rule.kind === 'write' ? { error, after: random.below(200) } : { error } },
      };
    }
    case 'space': {
      const segments = 1 + random.below(3);
      const capacity = (base.log.segmentSize + 600) * segments + random.below(base.log.segmentSize);
      return { ...base, log: { ...base.log, mode: random.pick(['allocate', 'zero', 'none']) }, capacity };
    }
    case 'quota': {
      const fault = { error: random.pick(['EDQUOT', 'ENOSPC']), after: random.below(base.log.segmentSize) };
      // What write() was given and still waits for space is lost by a close, which tells it.
      const program = base.program.flatMap((step) => (step === 'write' ? [step, 'sync' as const] : [step]));
      const rule = { kind: 'allocate', file: 'ready_*', nth: 1 + random.below(4), fault } as const;
      return { ...base, program, rule, harmless: true };
    }
    case 'slow':
      return { ...base, rule: { kind: 'sync', file: '*', times: 50, fault: { delay: 5_000 } }, harmless: true };
    case 'misread': {
      const flip = { offset: random.below(base.log.segmentSize), bit: random.below(8) };
      const rule = { kind: 'read', file: 'part_*', nth: 1 + random.below(4), times: 4, fault: { flip } } as const;
      return { ...base, rule: { ...rule, at: 'opening' } };
    }
    case 'misdirect': {
      const misdirect = random.pick([512, 4096, -512, 8, -40, 1000]);
      const log = { ...base.log, io: 'write' } as const;
      // The zeros of a truncation that go astray leave valid frames behind, which nothing tells from new ones.
      const program = base.program.filter((step) => !step.startsWith('truncate'));
      return { ...base, log, program, rule: { kind: 'write', file: 'part_*', nth, fault: { misdirect } } };
    }
    case 'flip':
    case 'sector':
      return { ...base, damage: kind };
  }
}
