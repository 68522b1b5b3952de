/**
 * Runs a program against a log while one operation of the disk fails, starts again, and holds what the log shows
 * against what was promised: that a failure loses nothing that was acknowledged, and that what the next opening shows
 * survives a power loss behind it, although after a failed fsync the page cache may hold what the disk does not.
 */
import { systemCode } from '../errors.js';
import { settled } from './crash-explorer.js';
import { type LogOptions, ModelViolation, Session, type Step } from './crash-programs.js';
import type { FaultRule } from './faults.js';
import { LogModel } from './log-model.js';
import type { Schedule } from './operations.js';
import { Random } from './random.js';
import { SimulatedDisk } from './simulated-disk.js';

export interface FaultRun {
  readonly seed: number;
  readonly schedule: Schedule;
  readonly log: LogOptions;
  readonly program: readonly Step[];
  readonly rule: FaultRule;
  /** Close and open in one process; or end the process, and the page cache has kept or dropped its clean pages. */
  readonly restart: 'close' | 'kept' | 'dropped';
}

export interface FaultCounts {
  runs: number;
  /** Runs in which the rule applied. */
  faults: number;
  /** Runs in which an operation of the log told of it. */
  told: number;
  /** Power losses behind the next opening. */
  losses: number;
}

export function newFaultCounts(): FaultCounts {
  return { runs: 0, faults: 0, told: 0, losses: 0 };
}

/** Throws a `FaultViolation` if a promise is broken. */
export async function exploreFault(run: FaultRun, counts: FaultCounts): Promise<void> {
  try {
    await explore(run, counts);
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    throw new FaultViolation(`${what}\n  replay: ${JSON.stringify(run, showRegExp)}`, { cause: error });
  }
}

export class FaultViolation extends Error {
  override readonly name = 'FaultViolation';
}

async function explore(run: FaultRun, counts: FaultCounts): Promise<void> {
  const { seed, schedule, log, program, rule, restart } = run;
  const random = new Random(seed);
  const disk = new SimulatedDisk({ seed, schedule });
  const session = new Session(disk, new LogModel(), log, random.fork());
  counts.runs++;
  await settled('opening', session.open());
  disk.faults.add(rule);
  let told = false;
  const mayFail = async (what: string, work: Promise<unknown>) => {
    await settled(what, work).catch((error: unknown) => {
      if (error instanceof ModelViolation) throw error;
      told = true;
    });
  };
  for (const step of program) {
    if (!told) await mayFail(step, session.step(step));
  }
  const killed = restart === 'close' ? undefined : disk.processCrash({ cache: restart });
  await mayFail('closing', session.close());
  if (disk.faults.applied.length > 0) counts.faults++;
  if (told) counts.told++;

  const next = killed ?? disk.processCrash();
  const { model } = session;
  await showsWhatIsKept(next, model, run, random, 2);
  for (const choice of ['none', 'all', undefined, undefined] as const) {
    const after = next.crashed(random.fork(), choice);
    counts.losses++;
    await showsWhatIsKept(after, model.clone(), run, random, 1);
  }
}

/** Opens, compares, goes on, and leaves the log without closing it. */
async function showsWhatIsKept(
  disk: SimulatedDisk,
  model: LogModel,
  run: FaultRun,
  random: Random,
  attempts: number,
): Promise<void> {
  model.losePower();
  const session = new Session(disk, model, run.log, random.fork());
  // A writeback that failed before the restart may be told at the first sync behind it; asking again then tries again.
  const shown = await settled('opening', session.open()).catch(async (error: unknown) => {
    if (attempts < 2 || systemCode(error) !== 'EIO') throw error;
    await session.close().catch(() => {});
    return settled('opening again', session.open());
  });
  const problem = model.violation(shown, 'power');
  if (problem !== undefined) throw new ModelViolation(`After the failure ${problem}`);
  model.adopt(shown);
  if (attempts === 1) {
    await settled('append', session.step('append'));
    await settled('batch', session.step('batch'));
    await settled('reopen', session.step('reopen'));
    await settled('closing', session.close());
  }
}

function showRegExp(_key: string, value: unknown): unknown {
  return value instanceof RegExp ? String(value) : value;
}
