/**
 * The Emmett adapter against Emmett's in-memory store: the same random program on both, with the same results.
 *
 * Where the two differ on purpose, the model is asked in its own words (`modelRange`): the in-memory store takes `from` for a
 * number of events to skip, leaves out `maxCount` beside `to`, takes a `maxCount` of 0 for none, and tells as the version of
 * an aggregate how many events it has read. Its global positions are numbers in a row; ours only grow.
 */

import {
  type AnyEvent,
  CommandHandler,
  type ExpectedStreamVersion,
  getInMemoryEventStore,
  type InMemoryEventStore,
  inlineProjections,
  inMemoryMultiStreamProjection,
  inMemorySingleStreamProjection,
} from '@event-driven-io/emmett';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { getVarveEventStore, type VarveEventStore } from 'varve/emmett';
import { SimulatedDisk } from '../../src/testing/index.js';
import { runs } from '../runs.js';

interface Range {
  from?: bigint;
  to?: bigint;
  maxCount?: bigint;
}

type Expected = 'STREAM_EXISTS' | 'STREAM_DOES_NOT_EXIST' | 'NO_CONCURRENCY_CHECK' | number | undefined;

type Step =
  | { do: 'append'; stream: string; events: AnyEvent[]; expected: Expected; downcast: boolean }
  | { do: 'race'; stream: string; count: number }
  | { do: 'read' | 'aggregate'; stream: string; range: Range; expected: Expected; upcast: boolean }
  | { do: 'exists'; stream: string }
  | { do: 'command'; stream: string; add: number }
  | { do: 'consume' }
  | { do: 'reopen' };

const stream = fc.constantFrom('cart-1', 'cart-1', 'cart-1', 'cart-2', 'order-1', 'plain');
/** A number is one relative to the version that the stream has. */
const expected: fc.Arbitrary<Expected> = fc.option(
  fc.oneof(
    fc.constantFrom('STREAM_EXISTS' as const, 'STREAM_DOES_NOT_EXIST' as const, 'NO_CONCURRENCY_CHECK' as const),
    fc.constantFrom(-1, 0, 0, 0, 1, -1000),
  ),
  { nil: undefined, freq: 2 },
);
const event: fc.Arbitrary<AnyEvent> = fc.record(
  {
    type: fc.constantFrom('Added', 'Removed', 'Noted'),
    data: fc.record({
      n: fc.integer({ min: 1, max: 9 }),
      at: fc.constant(new Date(5)),
      tag: fc.string({ maxLength: 3 }),
    }),
    metadata: fc.dictionary(fc.constantFrom('by', 'why', 'streamName', 'messageId'), fc.string({ maxLength: 3 })),
    kind: fc.constantFrom('Event', 'Command'),
  },
  { requiredKeys: ['type', 'data'] },
) as fc.Arbitrary<AnyEvent>;
/** As often left out as given: one bound may hide what is wrong with another. */
const bound = (max: bigint) => fc.option(fc.bigInt({ min: 0n, max }), { nil: undefined, freq: 2 });
const range: fc.Arbitrary<Range> = fc
  .record({ from: bound(4n), to: bound(7n), maxCount: bound(4n) })
  .map((given) => Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)));

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      stream,
      events: fc.array(event, { minLength: 1, maxLength: 4 }),
      expected,
      downcast: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('race' as const), stream, count: fc.integer({ min: 2, max: 4 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('read' as const, 'aggregate' as const),
      stream,
      range,
      expected,
      upcast: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('exists' as const), stream }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('command' as const), stream, add: fc.integer({ min: 0, max: 2 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('consume' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
);

// biome-ignore lint/suspicious/noExplicitAny: results of either store
type Anything = any;

const evolve = (sum: number, { type, data }: AnyEvent): number =>
  type === 'Removed' ? sum - data.n : sum + (data.n ?? 100);
const initialState = () => 0;
const document = (found: Anything, { type, data }: AnyEvent) => ({
  ...found,
  sum: evolve(found?.sum ?? 0, { type, data }),
});
const projections = () =>
  inlineProjections([
    inMemorySingleStreamProjection<{ sum: number }, AnyEvent>({
      canHandle: ['Added', 'Removed'],
      collectionName: 'sums',
      evolve: (found: Anything, given: AnyEvent) => (given.type === 'Noted' ? found : document(found, given)),
    }) as never,
    inMemoryMultiStreamProjection<{ sum: number }, AnyEvent>({
      canHandle: ['Noted'],
      collectionName: 'notes',
      getDocumentId: ({ data }: AnyEvent) => data.tag || 'none',
      evolve: (found: Anything, given: AnyEvent) => (given.type === 'Noted' ? document(found, given) : found),
    }) as never,
  ]);

/** Stored as another shape, and made of it again: a cast that a reading does not undo shows. */
const downcast = (given: AnyEvent) => ({ ...given, data: { ...given.data, old: true } }) as AnyEvent;
const upcast = (given: AnyEvent) => ({ ...given, data: { ...given.data, n: (given.data.n ?? 0) + 1 } }) as AnyEvent;
const versioning = (use: boolean, cast: object) => (use ? { schema: { versioning: cast } } : {});

/** The same range in the words of the in-memory store. */
function modelRange({ from, to, maxCount }: Range): Range {
  const skipped = from === undefined || from === 0n ? 0n : from - 1n;
  const end = maxCount === undefined ? to : to === undefined || to > skipped + maxCount ? skipped + maxCount : to;
  return { from: skipped, ...(end === undefined ? {} : { to: end }) };
}

class Both {
  readonly #disk = new SimulatedDisk();
  readonly #partitions: number;
  readonly model: InMemoryEventStore = getInMemoryEventStore({ projections: projections() });
  real: VarveEventStore;
  /** By the model's global position: ours. */
  readonly #positions = new Map<bigint, bigint>();
  readonly #ids = new Set<string>();
  readonly #consumed: string[] = [];

  constructor(partitions: number) {
    this.#partitions = partitions;
    this.real = this.#open();
  }

  #open(): VarveEventStore {
    return getVarveEventStore({
      directory: '/data',
      disk: this.#disk,
      segmentSize: 32 * 1024,
      partitions: this.#partitions,
      projections: projections(),
    });
  }

  async #expected(given: Expected, name: string): Promise<{ expectedStreamVersion?: ExpectedStreamVersion }> {
    if (given === undefined) return {};
    if (typeof given === 'string') return { expectedStreamVersion: given };
    const { currentStreamVersion } = await this.model.readStream(name);
    return { expectedStreamVersion: currentStreamVersion + BigInt(given) };
  }

  /** Does it on both, and holds what comes of it to be the same. */
  async #same(
    act: (store: VarveEventStore | InMemoryEventStore, isModel: boolean) => Promise<Anything>,
  ): Promise<void> {
    const ours = await outcome(() => act(this.real, false));
    const theirs = await outcome(() => act(this.model, true));
    expect(this.#plain(ours, theirs)).toEqual(theirs);
  }

  /** Ours with the model's ids and global positions, once it is clear that they fit. */
  #plain(ours: Anything, theirs: Anything): Anything {
    const { lastEventGlobalPosition: _, ...plain } = ours;
    if (!Array.isArray(plain.events)) return plain;
    return {
      ...plain,
      events: plain.events.map((found: Anything, i: number) => {
        const { messageId, globalPosition } = theirs.events[i]?.metadata ?? {};
        if (messageId === undefined) return found;
        const known = this.#positions.get(globalPosition);
        if (known !== undefined) expect(found.metadata.globalPosition).toBe(known);
        else expect(this.#ids.has(found.metadata.messageId)).toBe(false);
        this.#positions.set(globalPosition, found.metadata.globalPosition);
        this.#ids.add(found.metadata.messageId);
        return { ...found, metadata: { ...found.metadata, messageId, globalPosition } };
      }),
    };
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'append': {
        const options = {
          ...(await this.#expected(step.expected, step.stream)),
          ...versioning(step.downcast, { downcast }),
        };
        return this.#same((store) => store.appendToStream(step.stream, step.events, options));
      }
      case 'race': {
        const version = (await this.model.readStream(step.stream)).currentStreamVersion;
        return this.#same(async (store) => {
          const racing = Array.from({ length: step.count }, (_, n) =>
            outcome(() =>
              store.appendToStream(step.stream, [{ type: 'Added', data: { n } } as AnyEvent], {
                expectedStreamVersion: version,
              }),
            ),
          );
          return { outcomes: (await Promise.all(racing)).map(({ lastEventGlobalPosition: _, ...rest }) => rest) };
        });
      }
      case 'read': {
        const more = { ...(await this.#expected(step.expected, step.stream)), ...versioning(step.upcast, { upcast }) };
        return this.#same((store, isModel) =>
          store.readStream(step.stream, { ...(isModel ? modelRange(step.range) : step.range), ...more } as never),
        );
      }
      case 'aggregate': {
        const more = { ...(await this.#expected(step.expected, step.stream)), ...versioning(step.upcast, { upcast }) };
        return this.#same(async (store, isModel) => {
          const read = isModel ? modelRange(step.range) : step.range;
          const result = await store.aggregateStream<number, AnyEvent>(step.stream, {
            evolve,
            initialState,
            read: { ...read, ...more } as never,
          });
          const skipped = isModel && result.currentStreamVersion > 0n ? (read.from ?? 0n) : 0n;
          return { ...result, currentStreamVersion: result.currentStreamVersion + skipped };
        });
      }
      case 'exists':
        return this.#same(async (store) => ({ exists: await store.streamExists(step.stream) }));
      case 'command': {
        const handle = CommandHandler<number, AnyEvent>({ evolve, initialState });
        return this.#same((store) =>
          handle(store as VarveEventStore, step.stream, (sum) =>
            Array.from({ length: step.add }, () => ({ type: 'Added', data: { n: sum } }) as AnyEvent),
          ),
        );
      }
      case 'consume':
        return this.#consume();
      case 'reopen':
        await this.real.close();
        this.real = this.#open();
        await this.real.open();
    }
  }

  async #consume(): Promise<void> {
    const consumer = this.real.consumer({ batchSize: 3 });
    consumer.reactor({
      processorId: 'p',
      eachMessage: ({ metadata }: Anything) =>
        void this.#consumed.push(`${metadata.streamName} ${metadata.streamPosition}`),
    });
    const done = consumer.start();
    await consumer.whenCaughtUp();
    await consumer.stop();
    await done;
  }

  /** At the end: all streams, the documents of the projections, and what the consumer has seen, each event once, in order. */
  async check(): Promise<void> {
    for (const name of ['cart-1', 'cart-2', 'order-1', 'plain']) await this.#same((store) => store.readStream(name));
    for (const name of ['sums', 'notes']) {
      const [ours, theirs] = await Promise.all(
        [this.real, this.model].map(({ database }) => database.collection<{ _id: string; sum: number }>(name).find()),
      );
      const sums = (found: Anything) => found?.map(({ _id, sum }: Anything) => `${_id}: ${sum}`).sort();
      expect(sums(ours)).toEqual(sums(theirs));
    }
    const inOrder = [...this.#positions].sort(([a], [b]) => Number(a - b)).map(([, ours]) => ours);
    expect(inOrder).toEqual([...inOrder].sort((a, b) => Number(a - b)));
    await this.#consume();
    const all: [bigint, string][] = [];
    for (const name of ['cart-1', 'cart-2', 'order-1', 'plain']) {
      for (const { metadata } of (await this.model.readStream(name)).events) {
        all.push([metadata.globalPosition, `${name} ${metadata.streamPosition}`]);
      }
    }
    expect(this.#consumed).toEqual(all.sort(([a], [b]) => Number(a - b)).map(([, text]) => text));
    await this.real.close();
  }
}

/** The in-memory store throws some of its errors at the call. */
async function outcome(act: () => Promise<Anything>): Promise<Anything> {
  try {
    return await act();
  } catch (error) {
    const { message, current, expected } = error as Anything;
    return { refused: (error as object).constructor.name, message, current, expected };
  }
}

test('the same program has the same results', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(1, 1, 3),
      fc.array(step, { minLength: 4, maxLength: 24, size: 'max' }),
      async (partitions, steps) => {
        const both = new Both(partitions);
        for (const one of steps) await both.take(one);
        await both.check();
      },
    ),
    { numRuns: runs(40) },
  );
});
