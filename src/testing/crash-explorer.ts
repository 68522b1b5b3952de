/**
 * Runs a program against a log on a simulated disk, crashes it at every operation of the disk, and holds what each
 * recovery shows against what was promised. A recovery is crashed in turn, at every operation of its own.
 */
import { decodeRewind } from '../segment/rewind.js';
import { chooseCrash } from './crash.js';
import { addCounts, type CrashCounts } from './crash-counts.js';
import { DIRECTORY, type LogOptions, ModelViolation, Session, type Step } from './crash-programs.js';
import { LogModel, type Loss, type Shown } from './log-model.js';
import { changesDisk, type Operation, type Schedule } from './operations.js';
import { Random } from './random.js';
import { SimulatedDisk } from './simulated-disk.js';

export interface CrashRun {
  readonly seed: number;
  readonly schedule: Schedule;
  readonly log: LogOptions;
  /** Steps that are not crashed, and those that are. */
  readonly prelude: readonly Step[];
  readonly program: readonly Step[];
  /** States taken at each operation: of these many, the first two are the extremes. Fractions are taken by chance. */
  readonly states: number;
  /** The same, at each operation of a recovery; a tenth of it at those of the appends behind it. */
  readonly secondStates: number;
  /** Where no more disks than this may be left by a crash of the program, all of them are taken besides. Default 0. */
  readonly all?: number;
  /** Only the state with this name, to replay it. */
  readonly only?: string;
}

export class CrashViolation extends Error {
  readonly run: CrashRun;
  /** Name of the state; with `only` it is the only one that is explored. */
  readonly state: string;

  constructor(run: CrashRun, state: string, cause: unknown) {
    const what = cause instanceof Error ? cause.message : String(cause);
    super(`${what}\n  replay: ${JSON.stringify({ ...run, only: state })}`, { cause });
    this.name = 'CrashViolation';
    this.run = run;
    this.state = state;
  }
}

interface State {
  readonly name: string;
  readonly disk: SimulatedDisk;
  readonly model: LogModel;
  readonly loss: Loss;
}

const SETTLE_MS_MAX = 20_000;

/** Throws `CrashViolation` at the first broken promise. */
export async function exploreCrashes(run: CrashRun, counts: CrashCounts): Promise<void> {
  const random = new Random(run.seed);
  const disk = new SimulatedDisk({ seed: run.seed, schedule: run.schedule, record: true });
  const session = new Session(disk, new LogModel(), run.log, random.fork());
  let states: State[] = [];
  try {
    // Without a prelude the making of the directory is crashed too.
    if (run.prelude.length === 0) states = takeStates(disk, session, run, '', () => run.states, counts);
    await settled('opening', session.open());
    for (const step of run.prelude) await settled(step, session.step(step));
    if (run.prelude.length > 0) states = takeStates(disk, session, run, '', () => run.states, counts);
    for (const step of run.program) await settled(step, session.step(step));
    await settled('closing', session.close());
  } catch (error) {
    throw new CrashViolation(run, 'none', error);
  } finally {
    disk.onOperation = undefined;
  }
  counts.programs++;
  addCounts(counts, session.counts);
  addCounts(counts, spares(disk.operations));
  /** What each image has shown: it shows the same again, whatever was promised meanwhile. */
  const seen = new Map<string, Shown>();
  for (const state of states) await checkState(run, state, seen, counts, 1);
}

/** Has crash states taken at every operation from now on. */
function takeStates(
  disk: SimulatedDisk,
  session: Session,
  run: CrashRun,
  parent: string,
  rate: () => number,
  counts: CrashCounts,
): State[] {
  const states: State[] = [];
  disk.onOperation = (operation, when) => {
    if (!changesDisk(operation)) return;
    const wanted = rate();
    const at = `${parent}${operation.index}${when === 'before' ? '-' : '+'}`;
    if (run.all !== undefined && parent === '') {
      const all = disk.allCrashed(run.all);
      counts.moments++;
      if (all !== undefined) counts.momentsExhausted++;
      session.observe();
      for (const [i, crashed] of (all ?? []).entries()) {
        const name = `${at}all${i}`;
        if (run.only !== undefined && !(run.only === name || run.only.startsWith(`${name}/`))) continue;
        const after = session.model.clone();
        after.losePower();
        states.push({ name, disk: crashed, model: after, loss: 'power' });
      }
    }
    const count = Math.floor(wanted) + (chanceOf(run.seed, `${at}?`).chance(wanted % 1) ? 1 : 0);
    for (let i = 0; i <= count; i++) {
      // The last one is the end of the process alone.
      if (i === count && !chanceOf(run.seed, `${at}!`).chance(wanted / 6)) break;
      const name = `${at}${i === count ? 'kill' : i}`;
      if (run.only !== undefined && !(run.only === name || run.only.startsWith(`${name}/`))) continue;
      const random = chanceOf(run.seed, name);
      const choice = count < 3 ? chooseCrash(random) : i === 0 ? 'none' : i === 1 ? 'all' : chooseCrash(random);
      session.observe();
      const after = session.model.clone();
      if (i < count) after.losePower();
      states.push({
        name,
        disk: i === count ? disk.processCrash() : disk.crashed(random, choice),
        model: after,
        loss: i === count ? 'process' : 'power',
      });
    }
  };
  return states;
}

/** Chance that only the seed and the name give, so that a state can be made without all the others. */
function chanceOf(seed: number, name: string): Random {
  let hash = seed | 0;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return new Random(hash >>> 0);
}

async function checkState(
  run: CrashRun,
  state: State,
  seen: Map<string, Shown>,
  counts: CrashCounts,
  depth: number,
): Promise<void> {
  const { name, disk, model, loss } = state;
  counts.states++;
  if (loss === 'process') counts.processCrashes++;
  if (depth === 0) counts.secondStates++;
  // What was stored before the end of a process alone may still be lost by the next power loss: no two are the same.
  const image = loss === 'power' ? disk.fingerprint() : undefined;
  const known = image === undefined ? undefined : seen.get(image);
  if (known !== undefined) {
    const problem = model.violation(known, loss);
    if (problem !== undefined) {
      throw new CrashViolation(run, name, new ModelViolation(`After a crash (${loss}) ${problem}`));
    }
    return;
  }
  counts.distinct++;
  const before = look(disk);
  let recovering = true;
  const rate = () => (recovering ? run.secondStates : run.secondStates / 10);
  const random = chanceOf(run.seed, `${name} follow-up`);
  const session = new Session(disk, model, run.log, random);
  const taken = depth > 0 ? takeStates(disk, session, run, `${name}/`, rate, counts) : [];
  const changes: Operation[] = [];
  const take = disk.onOperation;
  disk.onOperation = (operation, when) => {
    take?.(operation, when);
    if (when === 'after' && (operation.kind === 'rename' || operation.kind === 'unlink')) changes.push(operation);
  };
  try {
    const shown = await settled('opening', session.open());
    recovering = false;
    note(counts, session, before, changes);
    const problem = model.violation(shown, loss);
    if (problem !== undefined) throw new ModelViolation(`After a crash (${loss}) ${problem}`);
    if (image !== undefined) seen.set(image, shown);
    model.adopt(shown);
    await settled('going on behind a crash', goOn(session, random));
  } catch (error) {
    throw new CrashViolation(run, name, error);
  } finally {
    disk.onOperation = undefined;
    addCounts(counts, session.counts);
  }
  for (const second of taken) await checkState(run, second, seen, counts, depth - 1);
}

/** Life goes on: append, leave the segment at times, close; and, every other time, see it all again. */
async function goOn(session: Session, random: Random): Promise<void> {
  await session.step('append');
  if (random.chance(0.3)) await session.step('rotate');
  await session.step('batch');
  if (random.chance(0.5)) {
    await session.partition.verify();
    await session.step('reopen');
  }
  await session.close();
}

/** A rewind file that is whole, before the recovery. */
function look(disk: SimulatedDisk): boolean {
  const bytes = disk.contentOf(`${DIRECTORY}/rewind_1.wal`);
  return bytes !== undefined && decodeRewind(bytes) !== undefined;
}

function note(counts: CrashCounts, session: Session, rewind: boolean, changes: readonly Operation[]): void {
  const segments = session.partition.segments();
  const first = segments[0]?.index ?? 1;
  const last = segments[segments.length - 1]?.index ?? 0;
  const given = changes.flatMap(({ path }) => {
    const match = /\/part_1_(\d+)\.wal$/.exec(path);
    return match === null ? [] : [Number(match[1])];
  });
  if (given.some((index) => index < first)) counts.interruptedPurges++;
  if (!rewind && given.some((index) => index > last)) counts.unopenedSegments++;
  if (rewind) counts.rewindsRedone++;
}

/** Segments that the operations have prepared, and those of them that had been purged. */
function spares(operations: readonly Operation[]): Pick<CrashCounts, 'prepared' | 'recycled'> {
  const recycled = operations.filter(({ kind, to }) => kind === 'rename' && to?.includes('/ready_')).length;
  const prepared = operations.filter(({ kind, path }) => kind === 'allocate' && path.includes('/ready_')).length;
  return { prepared, recycled };
}

/** The promise, unless it never settles: that is a violation too. */
export async function settled<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ModelViolation(`'${what}' does not come to an end`)), SETTLE_MS_MAX);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
