/**
 * Runs a program against a log on a disk that fails, fills up, is slow, lies or is damaged; starts again; and holds what
 * the log shows against what was promised.
 *
 * Failures lose nothing that was acknowledged, and what the next opening shows survives a power loss behind it, although
 * after a failed fsync the page cache may hold what the disk does not. Lies and damage (`damages`) end in exact data or in
 * a typed error: never in wrong data, nor in a log that is silently shorter than `minDurableLsn`; and a refusal harms
 * nothing, so that the log is whole again when the damage is undone.
 */
import { systemCode, VarveError } from '../errors.js';
import type { OpenLogOptions } from '../options.js';
import { settled } from './crash-explorer.js';
import { DIRECTORY, type LogOptions, ModelViolation, Session, type Step } from './crash-programs.js';
import { type FaultCounts, noteFault } from './fault-counts.js';
import type { FaultRule } from './faults.js';
import { LogModel } from './log-model.js';
import type { Schedule } from './operations.js';
import { Random } from './random.js';
import { SimulatedDisk } from './simulated-disk.js';

const GROWS_AFTER_MS = 50;

export interface FaultRun {
  readonly seed: number;
  readonly schedule: Schedule;
  readonly log: LogOptions;
  readonly program: readonly Step[];
  /** What fails while the program runs, or `at` the next opening. */
  readonly rule?: FaultRule & { readonly at?: 'program' | 'opening' };
  /** What becomes of a byte between the program and the next opening. */
  readonly damage?: 'flip' | 'sector';
  /** Bytes on the disk. When the log has told of a lack, there are as many more as a segment takes; and soon no limit. */
  readonly capacity?: number;
  /** The program must not notice. */
  readonly harmless?: boolean;
  /** Close and open in one process; or end the process, and the page cache has kept or dropped its clean pages. */
  readonly restart: 'close' | 'kept' | 'dropped';
}

export class FaultViolation extends Error {
  override readonly name = 'FaultViolation';
}

/** Throws a `FaultViolation` if a promise is broken. */
export async function exploreFault(run: FaultRun, counts: FaultCounts): Promise<void> {
  try {
    await explore(run, counts);
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    throw new FaultViolation(`${what}\n  replay: ${JSON.stringify(run)}`, { cause: error });
  }
}

async function explore(run: FaultRun, counts: FaultCounts): Promise<void> {
  const { seed, schedule, log, program, rule, restart, capacity } = run;
  const random = new Random(seed);
  const disk = new SimulatedDisk({ seed, schedule, ...(capacity === undefined ? {} : { capacity }) });
  const session = new Session(disk, new LogModel(), log, random.fork(), {
    onSpacePressure: async () => {
      counts.lacks++;
      await new Promise(setImmediate);
      disk.capacity += log.segmentSize;
      setTimeout(() => {
        disk.capacity = Number.POSITIVE_INFINITY;
      }, GROWS_AFTER_MS);
    },
  });
  counts.runs++;
  await settled('opening', session.open());
  if (rule !== undefined && rule.at !== 'opening') disk.faults.add(rule);
  let told: unknown;
  const mayFail = async (what: string, work: Promise<unknown>) => {
    await settled(what, work).catch((error: unknown) => {
      if (error instanceof ModelViolation) throw error;
      told ??= error;
    });
  };
  for (const step of program) {
    if (told === undefined) await mayFail(step, session.step(step));
  }
  const killed = restart === 'close' ? undefined : disk.processCrash({ cache: restart });
  await mayFail('closing', session.close());
  for (const { fault, operation } of disk.faults.applied) noteFault(counts, fault, operation);
  counts.blocked += session.blocked;
  if (told !== undefined) {
    counts.told++;
    if (run.harmless) throw new ModelViolation(`'${told}', although the program needed not notice`);
    if (!isTyped(told)) throw new ModelViolation(`an error that is none of the log's own: ${told}`);
  }

  const next = killed ?? disk.processCrash();
  next.capacity = Number.POSITIVE_INFINITY;
  const { model } = session;
  model.losePower();
  if (damages(run)) {
    await showsNothingWrong(next, model, run, random, counts);
    return;
  }
  await showsWhatIsKept(next, model, run, random, 2);
  for (const choice of ['none', 'all', undefined, undefined] as const) {
    const after = next.crashed(random.fork(), choice);
    counts.losses++;
    await showsWhatIsKept(after, model.clone(), run, random, 1);
  }
}

function damages({ damage, rule }: FaultRun): boolean {
  return damage !== undefined || (rule !== undefined && ('misdirect' in rule.fault || rule.at === 'opening'));
}

function isTyped(error: unknown): boolean {
  return error instanceof VarveError;
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

/** Opens a disk that is damaged, or lies: exact data, or a typed error. What was refused is whole without the damage. */
async function showsNothingWrong(
  disk: SimulatedDisk,
  model: LogModel,
  run: FaultRun,
  random: Random,
  counts: FaultCounts,
): Promise<void> {
  const required = model.required('power');
  const undo = await harm(disk, model, run, random);
  const options = { minDurableLsn: required > 0 ? { 1: required } : {}, verify: run.log.verify } as const;
  const refused = await openAndRead(disk, model, run.log, random, options);
  for (const { fault, operation } of disk.faults.applied) noteFault(counts, fault, operation);
  if (run.damage !== undefined) counts[run.damage === 'flip' ? 'flips' : 'badSectors']++;
  if (!refused) {
    counts.unharmed++;
    return;
  }
  counts.refused++;
  if (undo === undefined) return;
  undo();
  const still = await openAndRead(disk, model, run.log, random, options);
  if (still) throw new ModelViolation('a refusal has done harm: without the damage the log is refused too');
}

/** Does the damage; returns what undoes it, where anything does. */
async function harm(
  disk: SimulatedDisk,
  model: LogModel,
  run: FaultRun,
  random: Random,
): Promise<(() => void) | undefined> {
  if (run.damage === undefined) return run.rule?.at === 'opening' ? disk.faults.add(run.rule) : undefined;
  const names = (await disk.list(DIRECTORY)).filter(
    (name) => (disk.contentOf(`${DIRECTORY}/${name}`)?.length ?? 0) > 0,
  );
  const segments = names.filter((name) => name.startsWith('part_'));
  const name = random.pick(random.chance(0.8) && segments.length > 0 ? segments : names);
  const path = `${DIRECTORY}/${name}`;
  const content = disk.contentOf(path) as Uint8Array;
  let offset = random.below(content.length);
  // Most of a file is zeros, which say nothing.
  for (let i = 0; i < 50 && content[offset] === 0 && random.chance(0.95); i++) offset = random.below(content.length);
  // Of a manifest that is lost the marks of purges are lost.
  if (name === 'MANIFEST') model.forgetPurges();
  if (run.damage === 'sector') {
    disk.spoil(path, offset);
    return () => disk.mend(path);
  }
  const flip = () => {
    const byte = disk.contentOf(path)?.[offset];
    if (byte !== undefined) disk.damage(path, offset, Uint8Array.of(byte ^ bit));
  };
  const bit = 1 << random.below(8);
  flip();
  return flip;
}

/** True if the log refused, with an error of its own; throws a `ModelViolation` if what it shows is wrong. */
async function openAndRead(
  disk: SimulatedDisk,
  model: LogModel,
  log: LogOptions,
  random: Random,
  options: Partial<OpenLogOptions>,
): Promise<boolean> {
  const session = new Session(disk, model, log, random.fork(), options);
  let refused = false;
  const mayRefuse = async <T>(what: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await settled(what, work());
    } catch (error) {
      if (!isTyped(error)) throw error;
      refused = true;
      return undefined;
    }
  };
  const shown = await mayRefuse('opening', () => session.open());
  if (shown !== undefined) {
    const problem = model.violation(shown, 'power');
    if (problem !== undefined) throw new ModelViolation(`On a damaged disk ${problem}`);
    const from = shown.oldestLsn + random.below(shown.records.length + 1);
    const records = await mayRefuse('reading', () => session.partition.read({ from }).toArray());
    const wrong = model.mismatch(from, records ?? []);
    if (wrong !== undefined) throw new ModelViolation(`On a damaged disk ${wrong}`);
    await mayRefuse('verify', () => session.partition.verify());
  }
  await mayRefuse('closing', () => session.close());
  return refused;
}
