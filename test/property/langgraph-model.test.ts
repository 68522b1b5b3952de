/**
 * Random programs on threads, on the saver and on LangGraph's own saver in memory: the same results, also over power cuts.
 *
 * What is pruned stays in memory, and the program knows what is no longer listed: so what is kept is held against what it
 * was before.
 */
import { expect, test } from '@jest/globals';
import { type CheckpointTuple, DeltaSnapshot, INTERRUPT, MemorySaver } from '@langchain/langgraph-checkpoint';
import fc from 'fast-check';
import { type ThreadConfig, VarveSaver } from 'varve/langgraph';
import { Random, SimulatedDisk } from '../../src/testing/index.js';
import { runs } from '../runs.js';
import { checkpointOf, configOf, idOf, listed, metadataOf, openThreads } from '../support/threads.js';

const THREADS = ['t', 'u'];
const NAMESPACES = ['', 'child'];
const CHANNELS = ['a', 'b', 'c'];

// Mostly in one place, so that something comes of it.
const place = {
  thread: fc.constantFrom('t', 't', 't', 'u'),
  ns: fc.constantFrom('', '', '', 'child'),
  which: fc.nat(20),
};
const commands = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('grow' as const),
      ...place,
      /** Most runs go on from the newest. */
      from: fc.constantFrom('newest' as const, 'newest' as const, 'newest' as const, 'some' as const, 'none' as const),
      changed: fc.dictionary(
        fc.constantFrom(...CHANNELS),
        fc.oneof({ weight: 4, arbitrary: fc.nat(99) }, fc.jsonValue({ maxDepth: 1 }), fc.constant(undefined)),
        { maxKeys: 2 },
      ),
      delta: fc.constantFrom(
        'nothing' as const,
        'write' as const,
        'write' as const,
        'write' as const,
        'snapshot' as const,
      ),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      ...place,
      task: fc.constantFrom('x', 'y'),
      path: fc.constantFrom('', '~p'),
      writes: fc.array(fc.tuple(fc.constantFrom('a', 'e', INTERRUPT), fc.nat(99)), { maxLength: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const), ...place }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('prune' as const),
      ...place,
      keep: fc.integer({ min: 1, max: 3 }),
      rewrite: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('powerCut' as const), seed: fc.nat() }) },
);
const listOptions = fc.record(
  { limit: fc.nat(4), step: fc.integer({ min: 1, max: 4 }), before: fc.nat(20) },
  { requiredKeys: [] },
);

type Command = typeof commands extends fc.Arbitrary<infer T> ? T : never;

/** What the program knows of a checkpoint. */
interface Known {
  readonly config: ThreadConfig;
  readonly values: Record<string, unknown>;
  readonly versions: Record<string, number>;
  readonly counters: [number, number];
}

class Both {
  #disk = new SimulatedDisk();
  readonly memory = new MemorySaver();
  saver!: VarveSaver;
  #opened: VarveSaver[] = [];
  /** By thread and namespace, newest last; those that are still listed. */
  readonly known = new Map<string, Known[]>();

  async open(disk = this.#disk): Promise<void> {
    this.#disk = disk;
    this.saver = new VarveSaver(await openThreads(disk, { segmentSize: 64 * 1024 }));
    this.#opened.push(this.saver);
  }

  async close(): Promise<void> {
    for (const { store } of this.#opened) await store.close();
  }

  of({ thread, ns }: { thread: string; ns: string }): Known[] {
    const key = `${thread}/${ns}`;
    const known = this.known.get(key) ?? [];
    this.known.set(key, known);
    return known;
  }

  async run(command: Command): Promise<void> {
    switch (command.kind) {
      case 'grow':
        return this.#grow(command);
      case 'write': {
        const known = this.of(command);
        const target = known[command.which % known.length];
        if (target === undefined) return;
        for (const saver of [this.memory, this.saver]) {
          await saver.putWrites(target.config, command.writes, command.task, command.path);
        }
        return;
      }
      case 'delete':
        for (const saver of [this.memory, this.saver]) await saver.deleteThread(command.thread);
        for (const ns of NAMESPACES) this.known.delete(`${command.thread}/${ns}`);
        return;
      case 'prune': {
        const { thread, keep, rewrite } = command;
        const before = NAMESPACES.map((ns) => this.of({ thread, ns }).length);
        for (const ns of NAMESPACES) this.known.set(`${thread}/${ns}`, this.of({ thread, ns }).slice(-keep));
        const after = NAMESPACES.map((ns) => this.of({ thread, ns }).length);
        const sum = (counts: number[]) => counts.reduce((a, b) => a + b, 0);
        expect(await this.saver.prune({ threadId: thread, keep, rewrite })).toMatchObject({
          removed: sum(before) - sum(after),
          kept: sum(after),
        });
        return;
      }
      case 'powerCut':
        return this.open(this.#disk.crashed(new Random(command.seed)));
    }
  }

  async #grow(command: Command & { kind: 'grow' }): Promise<void> {
    const known = this.of(command);
    const parent =
      command.from === 'none'
        ? undefined
        : command.from === 'newest'
          ? known.at(-1)
          : known[command.which % known.length];
    const version = Math.max(0, ...Object.values(parent?.versions ?? {})) + 1;
    const values = { ...parent?.values, ...command.changed };
    for (const [channel, value] of Object.entries(values)) if (value === undefined) delete values[channel];
    delete values.d;
    const changed = [...Object.keys(command.changed), ...(command.delta === 'nothing' ? [] : ['d'])];
    const newVersions = Object.fromEntries(changed.map((channel) => [channel, version]));
    let [updates, steps] = parent?.counters ?? [0, 0];
    if (command.delta === 'write' && parent !== undefined) {
      for (const saver of [this.memory, this.saver]) {
        await saver.putWrites(parent.config, [['d', [version]]], `task ${version % 2}`, '~pull');
      }
      updates++;
    }
    steps++;
    if (command.delta === 'snapshot') {
      values.d = new DeltaSnapshot([version]);
      [updates, steps] = [0, 0];
    }
    const versions = { ...parent?.versions, ...newVersions };
    const checkpoint = checkpointOf(values, versions);
    const more = updates + steps > 0 ? { counters_since_delta_snapshot: { d: [updates, steps] } } : {};
    const config = configOf(command.thread, command.ns, parent && idOf(parent.config));
    const [expected, actual] = [
      await this.memory.put(config, checkpoint, metadataOf(version, more)),
      await this.saver.put(config, checkpoint, metadataOf(version, more), newVersions),
    ];
    expect(actual).toEqual(expected);
    known.push({ config: actual, values, versions, counters: [updates, steps] });
  }

  async compare({ limit, step, before }: { limit?: number; step?: number; before?: number }): Promise<void> {
    for (const thread of THREADS) {
      for (const ns of NAMESPACES) {
        const known = this.of({ thread, ns });
        expect(await this.saver.getTuple(configOf(thread, ns))).toEqual(
          known.length === 0 ? undefined : await this.memory.getTuple(configOf(thread, ns)),
        );
        const options = {
          ...(step === undefined ? {} : { filter: { step } }),
          ...(before === undefined || known.length === 0 ? {} : { before: known[before % known.length]!.config }),
        };
        const ids = new Set(known.map(({ config }) => idOf(config)));
        const all: CheckpointTuple[] = [];
        for await (const tuple of this.memory.list(configOf(thread, ns), options)) {
          if (ids.has(tuple.checkpoint.id)) all.push(tuple);
        }
        expect(
          await listed(this.saver, configOf(thread, ns), { ...options, ...(limit === undefined ? {} : { limit }) }),
        ).toEqual(all.slice(0, limit));
        for (const { config, values } of known) {
          expect(await this.saver.getTuple(config)).toEqual(await this.memory.getTuple(config));
          if (Object.hasOwn(values, 'd')) continue; // a run asks for the history only of what has no value
          const channels = ['d'];
          expect(await this.saver.getDeltaChannelHistory({ config, channels })).toEqual(
            await this.memory.getDeltaChannelHistory({ config, channels }),
          );
        }
      }
    }
    const inAll = (await listed(this.saver, {})).map(({ config }) => idOf(config)).sort();
    expect(inAll).toEqual([...this.known.values()].flatMap((known) => known.map(({ config }) => idOf(config))).sort());
  }
}

test('a thread is what it is in memory, whatever is done to it', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(commands, { minLength: 10, maxLength: 30, size: 'max' }),
      listOptions,
      async (program, options) => {
        const both = new Both();
        await both.open();
        try {
          for (const command of program) await both.run(command);
          await both.compare(options);
          await both.run({ kind: 'powerCut', seed: program.length });
          await both.compare({});
        } finally {
          await both.close();
        }
      },
    ),
    { numRuns: runs(50) },
  );
});
