/** What the tests of durable actors share. */
import { type EventStore, openEventStore } from 'varve';
import { type ActorHost, type ActorHostOptions, type ActorProblem, createActorHost } from 'varve/xstate';
import { SimulatedClock } from 'xstate';
import { Random } from '../../../src/testing/random.js';
import { SimulatedDisk } from '../../../src/testing/simulated-disk.js';

export const SEGMENT = 256 * 1024;

export function openStore(disk = new SimulatedDisk()): Promise<EventStore> {
  return openEventStore({ directory: '/data', disk, segmentSize: SEGMENT });
}

type Options<Machines extends ActorHostOptions['machines']> = Omit<
  Partial<ActorHostOptions<Machines>>,
  'machines' | 'clock'
>;

/** A host on a simulated disk, under a simulated clock; what goes wrong is gathered. */
export async function world<const Machines extends ActorHostOptions['machines']>(
  machines: Machines,
  options: Options<Machines> & { disk?: SimulatedDisk; clock?: SimulatedClock } = {},
) {
  const { disk = new SimulatedDisk(), clock = new SimulatedClock(), ...rest } = options;
  const problems: (ActorProblem & { error: unknown })[] = [];
  const store = rest.store ?? (await openStore(disk));
  const host: ActorHost<Machines> = await createActorHost<Machines>({
    store,
    machines,
    clock,
    onError: (error, problem) => void problems.push({ ...problem, error }),
    ...rest,
  });
  return {
    disk,
    clock,
    store,
    host,
    problems,
    async close() {
      await host.shutdown();
      await store.close();
    },
    /** The power fails: what is not durable is gone. Opens again with these machines, or others. */
    async crash<const Others extends ActorHostOptions['machines'] = Machines>(
      others: Others = machines as unknown as Others,
      more: Options<Others> = {},
    ) {
      return world(others, { disk: disk.crashed(new Random(1), 'none'), clock, ...more });
    },
  };
}

export const code = (expected: string) => ({ code: expected });

const opened: { close(): Promise<void> }[] = [];

/** What is closed behind the test. */
export async function made<T extends { close(): Promise<void> }>(making: Promise<T>): Promise<T> {
  const one = await making;
  opened.push(one);
  return one;
}

export async function closeAll(): Promise<void> {
  for (const one of opened.splice(0)) await one.close();
}
