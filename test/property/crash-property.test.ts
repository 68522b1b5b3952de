/** What crashRecovery does, one thing at a time, with applications of a few lines. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Log, openLog, type Partition } from '../../src/index.js';
import { fastCheck } from '../../src/testing/fast-check.js';
import {
  type Crash,
  type CrashRecoveryOptions,
  CrashRecoveryViolation,
  command,
  crashRecovery,
} from '../../src/testing/index.js';

interface App {
  readonly log: Log;
  readonly partition: Partition;
}

interface World {
  appended: number;
}

const nothing = fc.constant(undefined);

/** Appends records of one byte, and knows how many. */
function appending(change: Partial<CrashRecoveryOptions<App, World>> = {}): CrashRecoveryOptions<App, World> {
  return {
    setup: async ({ disk, segmentSize }) => {
      const log = await openLog({ directory: '/log', disk, segmentSize });
      return { log, partition: await log.partition(1) };
    },
    model: () => ({ appended: 0 }),
    commands: [
      command('append', nothing, async ({ partition }: App, _argument, world: World) => {
        await partition.append(new Uint8Array(1));
        world.appended++;
      }),
    ],
    invariant: async ({ app, model, crash }) => {
      const found = app.partition.writtenLsn;
      if (found < model.appended) throw new Error(`${found} of ${model.appended}`);
      // What was not acknowledged may be there; then it stays.
      if (crash !== undefined) model.appended = found;
      return found <= model.appended;
    },
    teardown: ({ log }) => log.close(),
    ...change,
  };
}

async function run(options: CrashRecoveryOptions<App, World>, { numRuns = 5 } = {}): Promise<Error | null> {
  const found = await fc.check(crashRecovery(options), { numRuns, seed: 3 });
  return found.errorInstance as Error | null;
}

/** All crashes that setup was told of. */
async function crashesOf(options: CrashRecoveryOptions<App, World>, numRuns = 5): Promise<Crash[]> {
  const crashes: Crash[] = [];
  const { setup } = options;
  const told = {
    ...options,
    setup: (context: Parameters<typeof setup>[0]) => {
      if (context.crash !== undefined) crashes.push(context.crash);
      return setup(context);
    },
  };
  expect(await run(told, { numRuns })).toBeNull();
  return crashes;
}

describe('crashes', () => {
  test('come before and after every operation that changes the disk, in every manner', async () => {
    const crashes = await crashesOf(appending({ states: Number.POSITIVE_INFINITY, crashes: 1, steps: 1 }), 1);
    const fates = ['nothing survives', 'everything survives', 'some of it survives', 'process'];
    const seen = new Map<string, Set<string>>();
    for (const { where, loss } of crashes) {
      const [place = '', fate] = where.split('; of what was not synced, ');
      seen.set(place, (seen.get(place) ?? new Set()).add(loss === 'process' ? 'process' : (fate ?? '?')));
    }
    for (const manners of seen.values()) expect(manners).toEqual(new Set(fates));
    const places = [...seen.keys()];
    const kinds = new Set(places.map((place) => place.split(' ').slice(0, 2).join(' ')));
    for (const when of ['before', 'after']) {
      for (const kind of ['create', 'allocate', 'rename', 'sync', 'syncDirectory']) {
        expect(kinds).toContain(`${when} ${kind}`);
      }
    }
    const between = crashes.filter(({ where }) => where.startsWith('between operations of the disk'));
    expect(new Set(between.map(({ during }) => during))).toEqual(new Set(['after append()', 'after teardown']));
    // As many before as after, each operation once.
    const numbers = (when: string) =>
      places.filter((place) => place.startsWith(when)).map((place) => /operation (\d+)/.exec(place)?.[1]);
    expect(numbers('before')).toEqual(numbers('after'));
  });

  test('are as many as was asked for', async () => {
    const first = (await crashesOf(appending({ states: 7, crashes: 1 }))).filter(({ count }) => count === 1);
    expect(first).toHaveLength(5 * 7);
  });

  test('come in a row, also in the middle of a recovery', async () => {
    const crashes = await crashesOf(appending({ crashes: 3, states: 10 }));
    const counts = [1, 2, 3].map((count) => crashes.filter((crash) => crash.count === count).length);
    expect(counts).toEqual([50, 50, 50]);
    expect(crashes.some(({ count, during }) => count === 2 && during === 'in setup')).toBe(true);
    expect(crashes.some(({ count, during }) => count === 2 && during !== 'in setup')).toBe(true);
  });

  test('happen on disks of all kinds, the same in all lives', async () => {
    const seen = new Map<object, number>();
    const kinds = new Set<string>();
    const { setup, ...rest } = appending({ segmentSizes: [6000, 7000] });
    const options = {
      ...rest,
      setup: (context: Parameters<typeof setup>[0]) => {
        const { map, schedule } = context.disk.options;
        kinds.add(`${map}`).add(String(schedule)).add(`${context.segmentSize}`);
        // One model is copied from another; each life has its own.
        expect(seen.has(context.model) && context.crash !== undefined).toBe(false);
        seen.set(context.model, context.segmentSize);
        return setup(context);
      },
    };
    expect(await run({ ...options, states: 1 }, { numRuns: 30 })).toBeNull();
    expect(kinds).toEqual(new Set(['true', 'false', 'order', 'random', 'slow sync', 'slow names', '6000', '7000']));
  });

  test('of the process keep what was written; a loss of power need not', async () => {
    const lost = { power: 0, process: 0 };
    const written = appending({
      crashes: 1,
      commands: [
        command('append', nothing, async ({ partition }: App, _argument, world: World) => {
          await partition.append(new Uint8Array(1), { ack: 'written' });
          world.appended++;
        }),
      ],
      invariant: ({ app, model, crash }) => {
        if (crash !== undefined && app.partition.durableLsn < model.appended) lost[crash.loss]++;
      },
    });
    expect(await run(written, { numRuns: 20 })).toBeNull();
    expect(lost.process).toBe(0);
    expect(lost.power).toBeGreaterThan(0);
  });
});

describe('a program', () => {
  test('is started again after a clean end, if there is one', async () => {
    for (const clean of [true, false]) {
      let first = 0;
      let again = 0;
      const { setup, teardown, ...rest } = appending({ states: 1 });
      const options = {
        ...rest,
        setup: (context: Parameters<typeof setup>[0]) => {
          if (context.crash === undefined && context.disk.contentOf('/log/LOCK') === undefined) first++;
          else if (context.crash === undefined) again++;
          return setup(context);
        },
        ...(clean && teardown !== undefined ? { teardown } : {}),
      };
      expect(await run(options)).toBeNull();
      expect([first, again]).toEqual([5, clean ? 5 : 0]);
    }
  });

  test('is as long and as wide as was asked for', async () => {
    const options = appending({ steps: 3, stepsAfter: 2, concurrency: 4 });
    const sample = fc.sample(crashRecovery(options), { numRuns: 200, seed: 1 }).map(([scenario]) => scenario);
    const lengths = (of: 'program' | 'afterwards') => Math.max(...sample.map((scenario) => scenario[of].length));
    expect([lengths('program'), lengths('afterwards')]).toEqual([3, 2]);
    expect(Math.max(...sample.flatMap(({ program }) => program.map((group) => group.length)))).toBe(4);
  });

  test('has commands under way together, and waits for them', async () => {
    let together = 0;
    let most = 0;
    const slow = command('wait', nothing, async () => {
      most = Math.max(most, ++together);
      await new Promise((resolve) => setImmediate(resolve));
      together--;
    });
    const invariant = () => together === 0;
    expect(await run(appending({ commands: [slow], concurrency: 3, invariant, states: 1 }))).toBeNull();
    expect(most).toBe(3);
  });

  test('leaves out commands that make no sense', async () => {
    let ran = 0;
    const commands = [fc.constant({ toString: () => 'never', check: () => false, run: () => ran++ })];
    expect(await run(appending({ commands, states: 1 }))).toBeNull();
    expect(ran).toBe(0);
  });
});

describe('a failure', () => {
  /** Acknowledges what is only written. */
  const wrong = (change = {}) =>
    appending({
      commands: [
        command('append', fc.nat(9), async ({ partition }: App, size, world: World) => {
          await partition.append(new Uint8Array(size), { ack: 'written' });
          world.appended++;
        }),
      ],
      ...change,
    });

  test('is told, shrunk and repeated', async () => {
    const property = crashRecovery(wrong());
    const found = await fc.check(property, { seed: 5 });
    const error = found.errorInstance as CrashRecoveryViolation;
    expect(error).toBeInstanceOf(CrashRecoveryViolation);
    expect(error.message).toMatch(/^invariant fails: 0 of 1\n {2}1\. setup\n/);
    expect(error.message).toMatch(
      /\d+\. append\(0\)\n(?: {2}\d+\. teardown\n)? {2}\d+\. power loss (?:in|after) .*\n {2}\d+\. setup$/,
    );
    expect(error.crashes.at(-1)).toMatchObject({ loss: 'power' });
    const [scenario] = found.counterexample ?? [];
    expect([...(scenario?.program ?? []), ...(scenario?.afterwards ?? [])].flat().map(String)).toEqual(['append(0)']);
    expect(fc.defaultReportMessage(found)).toContain('append(0)');

    const path = found.counterexamplePath ?? '';
    const again = await fc.check(property, { seed: 5, path, endOnFailure: true });
    expect(again.numRuns).toBe(1);
    expect((again.errorInstance as Error).message).toBe(error.message);
  });

  test.each<[string, Partial<CrashRecoveryOptions<App, World>>, string]>([
    ['setup that rejects', { setup: () => Promise.reject(new Error('no')) }, 'setup fails: no'],
    [
      'setup that never ends',
      { setup: () => new Promise(() => {}), timeout: 50 },
      'setup fails: it has not come to an end after 50 ms',
    ],
    ['an invariant that is false', { invariant: () => false }, 'invariant fails: it is false'],
    ['an invariant that rejects', { invariant: async () => Promise.reject(new Error('no')) }, 'invariant fails: no'],
    [
      'teardown that throws',
      {
        teardown: () => {
          throw new Error('no');
        },
      },
      'teardown fails: no',
    ],
    [
      'a command that throws',
      {
        commands: [
          command('go', fc.constant(1), () => {
            throw new Error('no');
          }),
        ],
      },
      'go(1) fails: no',
    ],
    [
      'a model that cannot be copied',
      { model: () => ({ appended: 0, f: () => {} }) },
      'The model of crashRecovery must be plain data',
    ],
  ])('%s', async (_what, change, message) => {
    const error = await run(appending(change));
    expect(error?.message).toContain(message);
  });

  test.each([
    { states: 0 },
    { steps: 0 },
    { stepsAfter: -1 },
    { crashes: 1.5 },
    { concurrency: 0 },
    { timeout: Number.NaN },
    { commands: [] },
    { segmentSizes: [] },
  ])('of options is told at once: %j', (change) => {
    expect(() => crashRecovery(appending(change))).toThrow(RangeError);
  });

  test('to find fast-check is told', () => {
    const cause = new Error("Cannot find module 'fast-check'");
    const load = () => {
      throw cause;
    };
    expect(() => fastCheck('payload', load)).toThrow(
      expect.objectContaining({ message: expect.stringContaining('npm install --save-dev fast-check'), cause }),
    );
  });
});
