/** One life of an application: from its start on a disk to its clean end, watched for crashes. */
import type { SimulatedDisk } from '../simulated-disk.js';
import type { Command } from './command.js';
import type { Crash, CrashPoints } from './crash-points.js';
import { CrashRecoveryViolation } from './violation.js';

export interface SetupContext<Model> {
  /** The disk: for `openLog({ disk })`, under any absolute path. */
  readonly disk: SimulatedDisk;
  /** A small segment size, in bytes, so that short programs fill segments. Drawn; the same in every life of a run. */
  readonly segmentSize: number;
  /** What the world outside knows: it survives every crash. */
  readonly model: Model;
  /** The crash before this start; undefined at the first start and after a clean end. */
  readonly crash: Crash | undefined;
}

export interface InvariantContext<App, Model> {
  readonly app: App;
  /**
   * What the world outside knows. After a crash the invariant may note here what it has found where both was allowed: from
   * then on it must stay.
   */
  readonly model: Model;
  /** The crash before this life, right after it; undefined at every other time. */
  readonly crash: Crash | undefined;
}

/** The user's side of a property. */
export interface Application<App, Model> {
  /** Starts the application, on an empty disk or on what an earlier life has left. */
  readonly setup: (context: SetupContext<Model>) => App | Promise<App>;
  /** Throws, rejects or gives `false` where something is not as it must be. */
  readonly invariant: (context: InvariantContext<App, Model>) => unknown;
  /** Ends the application cleanly. With it, clean restarts are checked as well. */
  readonly teardown?: (app: App) => unknown;
}

/** Commands under way together, one group after the other. */
export type Program<App, Model> = readonly (readonly Command<App, Model>[])[];

interface LifeOptions<App, Model> {
  readonly application: Application<App, Model>;
  readonly context: SetupContext<Model> & { readonly crashes: readonly Crash[] };
  readonly points: CrashPoints<Model>;
  /** For each call of the user's functions, in milliseconds. */
  readonly timeout: number;
  /** What was done before, one line each; goes on with this life. */
  readonly history: string[];
}

/** Runs a life to its end. Throws `CrashRecoveryViolation`. */
export async function live<App, Model>(options: LifeOptions<App, Model>, program: Program<App, Model>): Promise<void> {
  const { application, context, points, history } = options;
  const { model, crash } = context;

  async function act<T>(what: string, line: string | undefined, work: () => T | Promise<T>): Promise<T> {
    points.during = `in ${what}`;
    if (line !== undefined) history.push(line);
    try {
      return await within(options.timeout, work);
    } catch (error) {
      throw new CrashRecoveryViolation(`${what} fails`, history, context.crashes, error);
    }
  }
  const holds = (app: App, now: Crash | undefined) =>
    act('invariant', undefined, async () => {
      if ((await application.invariant({ app, model, crash: now })) === false) throw new Error('it is false');
    });

  const app = await act('setup', 'setup', () => application.setup(context));
  await holds(app, crash);
  for (const group of program) {
    const told = group.join(' & ');
    const due = await act(told, undefined, async () => {
      const checks = await Promise.all(group.map((command) => command.check?.(model) ?? true));
      return group.filter((_command, i) => checks[i]);
    });
    if (due.length === 0) continue;
    const line = due.join(' & ');
    await act(line, line, () => all(due.map((command) => command.run(app, model))));
    points.during = `after ${line}`;
    points.between();
  }
  await holds(app, undefined);
  if (application.teardown === undefined) return;
  await act('teardown', 'teardown', () => application.teardown?.(app));
  points.during = 'after teardown';
  points.between();
}

/** Waits for all of them to settle; then rejects if one did. */
async function all(promises: readonly unknown[]): Promise<void> {
  for (const result of await Promise.allSettled(promises)) if (result.status === 'rejected') throw result.reason;
}

async function within<T>(milliseconds: number, work: () => T | Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`it has not come to an end after ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([work(), late]);
  } finally {
    clearTimeout(timer);
  }
}
