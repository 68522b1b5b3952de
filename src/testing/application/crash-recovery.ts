/**
 * A ready fast-check property about the user's own application: it is run on a simulated disk, crashed anywhere, started
 * again, and held to an invariant. See docs/testing.md.
 */
import type fc from 'fast-check';
import { fastCheck } from '../fast-check.js';
import type { Schedule } from '../operations.js';
import { Random } from '../random.js';
import { SimulatedDisk } from '../simulated-disk.js';
import type { Command } from './command.js';
import { type Crash, type CrashPoint, CrashPoints } from './crash-points.js';
import { type Application, live, type Program } from './life.js';

export interface CrashRecoveryOptions<App, Model> extends Application<App, Model> {
  /** What the application can be asked to do; each arbitrary is drawn from as often as any other. */
  readonly commands: readonly fc.Arbitrary<Command<App, Model>>[];
  /**
   * Makes what the world outside knows: what was asked for, what was promised. It is copied at every crash with
   * `structuredClone`, so it is plain data. Default: undefined.
   */
  readonly model?: () => Model;
  /** Steps of a program before its first crash, at most. Default 8. */
  readonly steps?: number;
  /** Steps after each crash, at most. Default 3. */
  readonly stepsAfter?: number;
  /** Commands under way at the same time, at most. Default 1. */
  readonly concurrency?: number;
  /** First crashes taken of each program, evenly out of all there could be; `Infinity` takes all. Default 10. */
  readonly states?: number;
  /** Crashes in a row, at most: the second and later ones may come in the middle of a recovery. Default 2. */
  readonly crashes?: number;
  /** Segment sizes to draw `segmentSize` from, in bytes. Default 8 KiB and 64 KiB. */
  readonly segmentSizes?: readonly number[];
  /** Milliseconds after which a call of setup, a step, invariant or teardown has failed. Default 10,000. */
  readonly timeout?: number;
}

/** What fast-check draws, prints and shrinks. */
export interface CrashScenario<App, Model> {
  readonly program: Program<App, Model>;
  /** What is asked of the application after each crash. */
  readonly afterwards: Program<App, Model>;
  /** When operations of the disk come to an end; see `SimulatedDiskOptions`. */
  readonly schedule: Schedule;
  /** Whether the disk can map files: `io` is then 'mmap', else 'write'. */
  readonly map: boolean;
  readonly segmentSize: number;
  /** Of the disk, and of which crashes are taken. */
  readonly seed: number;
}

/**
 * ```js
 * await fc.assert(crashRecovery({ setup, commands, invariant }), { numRuns: 200 });
 * ```
 *
 * Each run draws a program, runs it once, and starts the application anew on what each of `states` crashes has left, with
 * a copy of the model as it was then. Fails with `CrashRecoveryViolation`; fast-check shrinks the program and prints
 * `seed` and `path`, which replay it: `fc.assert(property, { seed, path })`. An application that uses neither clock nor
 * chance of its own repeats exactly. Throws where fast-check is not installed, and a `RangeError` for a bad number.
 */
export function crashRecovery<App, Model = undefined>(
  options: CrashRecoveryOptions<App, Model>,
): fc.IAsyncPropertyWithHooks<[CrashScenario<App, Model>]> {
  const { asyncProperty } = fastCheck('crashRecovery');
  const { states = 10, crashes = 2, timeout = 10_000 } = options;
  atLeast(1, { states, crashes, timeout });
  return asyncProperty(scenarios(options), (scenario) => explore(options, scenario, { states, crashes, timeout }));
}

function scenarios<App, Model>(options: CrashRecoveryOptions<App, Model>): fc.Arbitrary<CrashScenario<App, Model>> {
  const { array, constantFrom, integer, noShrink, oneof, record } = fastCheck('crashRecovery');
  const { steps = 8, stepsAfter = 3, concurrency = 1, segmentSizes = [8 * 1024, 64 * 1024] } = options;
  atLeast(0, { stepsAfter });
  atLeast(1, { steps, concurrency, 'commands.length': options.commands.length });
  atLeast(1, { 'segmentSizes.length': segmentSizes.length });
  const group = array(oneof(...options.commands), { minLength: 1, maxLength: concurrency, size: 'max' });
  return record({
    program: array(group, { maxLength: steps, size: 'max' }),
    afterwards: array(group, { maxLength: stepsAfter, size: 'max' }),
    schedule: constantFrom<Schedule>('order', 'random', 'slow sync', 'slow names'),
    map: constantFrom(true, false),
    segmentSize: constantFrom(...segmentSizes),
    seed: noShrink(integer({ min: 1, max: 0x7fff_ffff })),
  });
}

type Limits = Required<Pick<CrashRecoveryOptions<never, never>, 'states' | 'crashes' | 'timeout'>>;

/** What a life begins with. */
interface Start<Model> {
  readonly disk: SimulatedDisk;
  readonly model: Model;
  /** The last of `crashes`, unless the life before had a clean end. */
  readonly crash: Crash | undefined;
  readonly crashes: readonly Crash[];
  readonly history: readonly string[];
}

async function explore<App, Model>(
  application: CrashRecoveryOptions<App, Model>,
  { program, afterwards, schedule, map, segmentSize, seed }: CrashScenario<App, Model>,
  limits: Limits,
): Promise<void> {
  const random = new Random(seed);

  /** Runs a life to its end; gives the crashes taken of it. */
  async function run(start: Start<Model>, steps: Program<App, Model>, wanted: number): Promise<CrashPoint<Model>[]> {
    const history = [...start.history];
    const points = new CrashPoints(start, wanted, history, random.fork());
    try {
      await live({ application, context: { ...start, segmentSize }, points, timeout: limits.timeout, history }, steps);
      return points.taken();
    } finally {
      points.stop();
    }
  }

  async function follow(points: readonly CrashPoint<Model>[]): Promise<void> {
    for (const point of points) {
      await follow(await run(point, afterwards, point.crashes.length < limits.crashes ? 1 : 0));
    }
  }

  const disk = new SimulatedDisk({ seed, schedule, map });
  const first = { disk, model: application.model?.() as Model, crash: undefined, crashes: [], history: [] };
  const crashed = await run(first, program, limits.states);
  if (application.teardown !== undefined) {
    const history = [...program.flat().map(String), 'teardown'];
    await run({ ...first, disk: disk.processCrash(), history }, [], 0);
  }
  await follow(crashed);
}

function atLeast(minimum: number, numbers: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(numbers)) {
    if (!(value >= minimum) || (!Number.isInteger(value) && value !== Number.POSITIVE_INFINITY)) {
      throw new RangeError(`crashRecovery: ${name} is ${value}; it must be an integer from ${minimum}`);
    }
  }
}
