/**
 * Machines by chance and programs by chance, in a host whose disk loses power anywhere: what was acknowledged is there,
 * the actor is what plain XState would be, actions ran at least once and in order, and none for what is not in the journal.
 */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { settled } from '../../src/testing/crash-explorer.js';
import { changesDisk } from '../../src/testing/operations.js';
import { Random } from '../../src/testing/random.js';
import { SimulatedDisk } from '../../src/testing/simulated-disk.js';
import { runs } from '../runs.js';
import { Account, type Command, Life, type Settings } from '../support/durable-life.js';
import { eventType, type MachineModel, machineModel } from '../support/random-machines.js';
import { unheardRejections } from '../support/unheard.js';

const RUNS = runs(20);
/** Milliseconds. A failure is shrunk no longer than this lasts. */
const LIMIT = 60_000 + RUNS * 5000;
const unheard = unheardRejections();

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('send' as const), type: eventType, wait: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(5, 10, 20, 30, 60, 200) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('finish' as const), which: fc.nat(3), well: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('settle' as const, 'yield' as const, 'yield' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
);
const settings: fc.Arbitrary<Settings> = fc.record({
  snapshotEvery: fc.constantFrom(1, 2, 3, 5, 100),
  hashEvery: fc.constantFrom(1, 2, 50),
  ack: fc.constantFrom('durable' as const, 'durable' as const, 'written' as const),
  unhandled: fc.constantFrom('journal' as const, 'journal' as const, 'ignore' as const, 'reject' as const),
  passivateAfter: fc.constantFrom(20, 60_000),
});
const program = fc.array(command, { minLength: 3, maxLength: 20 });

interface State {
  readonly name: string;
  readonly disk: SimulatedDisk;
  readonly account: Account;
  readonly now: number;
}

/** Has the disk taken as a crash may leave it, at operations by chance. */
function takeStates(disk: SimulatedDisk, life: Life, random: Random, { ack }: Settings, rate: number): State[] {
  const states: State[] = [];
  disk.onOperation = (operation, when) => {
    if (!changesDisk(operation) || !random.chance(rate)) return;
    // What is only written is there when the process dies, not when the power fails.
    const left = ack === 'written' || random.chance(0.2) ? disk.processCrash() : disk.crashed(random.fork());
    const now = life.clock.now() + random.pick([0, 0, 7, 35, 400]);
    states.push({ name: `${operation.index}${when}`, disk: left, account: new Account(life.account), now });
  };
  return states;
}

const seen = { programs: 0, states: 0, acknowledged: 0, effects: 0 };

async function play(
  model: MachineModel,
  steps: readonly Command[],
  settings: Settings,
  random: Random,
  state: State,
  depth: number,
) {
  const life = new Life(state.disk, model, settings, state.account, state.now);
  const states = depth > 0 ? takeStates(state.disk, life, random, settings, depth > 1 ? 0.025 : 0.004) : [];
  await settled('opening', life.open());
  // Now and then nobody waits for what is due.
  if (random.chance(0.5)) await settled('settling', life.settle());
  if (random.chance(0.3)) {
    await settled('settling', life.settle());
    await settled('checking', life.check());
  }
  for (const step of steps) await settled(step.do, life.step(step));
  await settled('settling', life.settle());
  await settled('checking', life.check());
  await settled('closing', life.close());
  state.disk.onOperation = undefined;
  seen.acknowledged += life.account.acknowledged.size;
  seen.effects += life.account.ran.flat().length;
  seen.states += states.length;
  for (const next of states) {
    const rest = steps.slice(0, 5);
    await play(model, rest, settings, random, next, depth - 1).catch((error) => {
      throw new Error(`crashed at ${next.name}: ${(error as Error).message}`, { cause: error });
    });
  }
}

test(
  'a machine by chance is what plain XState makes of the same events, over crashes',
  async () => {
    await fc.assert(
      fc.asyncProperty(machineModel, program, settings, fc.nat(), async (model, steps, settings, seed) => {
        const random = new Random(seed);
        const schedule = random.pick(['order', 'random', 'slow sync', 'slow names'] as const);
        const disk = new SimulatedDisk({ seed, schedule });
        const start = { name: 'start', disk, account: new Account(), now: 1000 };
        await play(model, steps, settings, random, start, 2);
        seen.programs++;
        expect(unheard()).toEqual([]);
      }),
      { numRuns: RUNS, interruptAfterTimeLimit: LIMIT * 0.9 },
    );
    // A run in which none of this happened has shown nothing.
    expect(seen.states).toBeGreaterThan(seen.programs / 4);
    expect(seen.acknowledged).toBeGreaterThan(seen.programs);
    expect(seen.effects).toBeGreaterThan(seen.programs);
  },
  LIMIT,
);
