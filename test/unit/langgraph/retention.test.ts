import { setImmediate } from 'node:timers/promises';
import { describe, expect, jest, test } from '@jest/globals';
import { DeltaSnapshot, RESUME } from '@langchain/langgraph-checkpoint';
import { type ThreadConfig, VarveSaver } from 'varve/langgraph';
import { Random, SimulatedDisk } from '../../../src/testing/index.js';
import {
  checkpointOf,
  configOf,
  grow,
  idOf,
  listed,
  metadataOf,
  nextId,
  openThreads,
  valuesOf,
  withSaver,
} from '../../support/threads.js';

/** A thread of `count` checkpoints, one behind the other; a channel that never changes, and one that does. */
async function chain(saver: VarveSaver, count: number, thread = 't', ns = ''): Promise<ThreadConfig[]> {
  const configs = [await grow(saver, configOf(thread, ns), { once: 'o', n: 1 })];
  while (configs.length < count)
    configs.push(await grow(saver, configs.at(-1) as ThreadConfig, { n: configs.length + 1 }));
  return configs;
}

/** Takes the warnings of the process from now on; the result ends that, and tells which there were. */
function warnings(): () => unknown[] {
  const spy = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
  return () => {
    const told = spy.mock.calls.map(([warning]) => warning);
    spy.mockRestore();
    return told;
  };
}

const idsOf = (saver: VarveSaver, ...config: Parameters<typeof configOf>) =>
  listed(saver, configOf(...config)).then((tuples) => tuples.map((tuple) => tuple.checkpoint.id));

describe('pruning', () => {
  test('keeps the newest, whole, with their pending writes', () =>
    withSaver(async (saver) => {
      const configs = await chain(saver, 5);
      for (const config of configs)
        await saver.putWrites(
          config,
          [
            ['x', idOf(config)],
            [RESUME, 1],
          ],
          'task',
          '~p',
        );
      await saver.putWrites(configs[4]!, [[RESUME, 2]], 'task');
      const before = await listed(saver, configOf('t'), { limit: 2 });
      expect(await saver.prune({ keep: 2 })).toEqual({ threads: 1, removed: 3, kept: 2 });
      expect(await listed(saver, configOf('t'))).toEqual(before);
      expect(before[0]?.pendingWrites).toEqual([
        ['task', RESUME, 2],
        ['task', 'x', idOf(configs[4]!)],
      ]);
      expect(await saver.getTuple(configs[2]!)).toBeUndefined();
      expect((await saver.store.readStream('langgraph-t').toArray()).length).toBe(5);
    }));

  test('leaves alone what has nothing to give up', () =>
    withSaver(async (saver) => {
      await chain(saver, 2);
      await chain(saver, 3, 'u');
      expect(await saver.prune({ keep: 3 })).toEqual({ threads: 0, removed: 0, kept: 5 });
      expect(await saver.prune({ keep: 2, threadId: 't' })).toEqual({ threads: 0, removed: 0, kept: 2 });
      expect(await saver.prune({ keep: 2 })).toEqual({ threads: 1, removed: 1, kept: 4 });
      expect(await saver.prune({ keep: 1, threadId: 'nobody' })).toEqual({ threads: 0, removed: 0, kept: 0 });
      expect((await saver.store.streamHead('langgraph-t'))?.revision).toBe(1n);
    }));

  test('keeps so many of each branch of time, not of each line of descent', () =>
    withSaver(async (saver) => {
      const [root, second] = (await chain(saver, 2)) as [ThreadConfig, ThreadConfig];
      const fork = await grow(saver, root, { n: 'fork' });
      await saver.prune({ keep: 2 });
      expect(await idsOf(saver, 't')).toEqual([idOf(fork), idOf(second)]);
      expect(await valuesOf(saver, fork)).toEqual({ once: 'o', n: 'fork' });
      expect(await valuesOf(saver, second)).toEqual({ once: 'o', n: 2 });
    }));

  test('can be done again and again', () =>
    withSaver(async (saver) => {
      let config = configOf('t');
      for (let n = 1; n <= 12; n++) {
        config = await grow(saver, config, n === 1 ? { once: 'o', n } : { n });
        await saver.prune({ keep: 2 });
        expect(await valuesOf(saver, configOf('t'))).toEqual({ once: 'o', n });
      }
    }));

  test('gives the space back, with a purge', () =>
    withSaver(async (saver) => {
      let config = await grow(saver, configOf('t'), { once: 'o', big: '' });
      for (let n = 0; n < 30; n++) config = await grow(saver, config, { big: String(n).repeat(4000) });
      expect((await saver.store.purge()).segments).toBe(0);
      await saver.prune({ keep: 1 });
      expect((await saver.store.purge()).segments).toBeGreaterThan(3);
      expect(await valuesOf(saver, config)).toEqual({ once: 'o', big: '29'.repeat(4000) });
    }));

  test('moves threads that nobody uses out of the way, if it is asked to', () =>
    withSaver(async (saver) => {
      const [idle] = (await chain(saver, 1, 'idle')) as [ThreadConfig];
      let config = await grow(saver, configOf('t'), { big: '' });
      for (let n = 0; n < 30; n++) config = await grow(saver, config, { big: String(n).repeat(4000) });
      await saver.prune({ keep: 1 });
      expect(await saver.store.purge()).toMatchObject({ segments: 0, stops: [{ stream: 'langgraph-idle' }] });
      expect(await saver.prune({ keep: 1, rewrite: true })).toMatchObject({ threads: 2, removed: 0 });
      expect((await saver.store.purge()).segments).toBeGreaterThan(3);
      expect(await valuesOf(saver, idle)).toEqual({ once: 'o', n: 1 });
      expect(await saver.prune({ keep: 1, threadId: 'nobody', rewrite: true })).toMatchObject({ threads: 0 });
    }));

  test('keeps the ancestors that a channel made of writes needs, out of sight', () =>
    withSaver(async (saver) => {
      const counters = { counters_since_delta_snapshot: { log: [1, 1] } };
      const old = await grow(saver, configOf('t'), { n: 0 });
      const seed = await grow(saver, old, { log: new DeltaSnapshot(['seed']) });
      await saver.putWrites(seed, [['log', ['one']]], 'task');
      const middle = await saver.put(seed, checkpointOf({ n: 1 }, { n: 1, log: 2 }), metadataOf(1, counters), {
        n: 1,
        log: 2,
      });
      await saver.putWrites(middle, [['log', ['two']]], 'task');
      const newest = await saver.put(middle, checkpointOf({ n: 1 }, { n: 1, log: 3 }), metadataOf(2, counters), {
        log: 3,
      });
      const asked = { config: newest, channels: ['log'] };
      const before = await saver.getDeltaChannelHistory(asked);
      expect(before.log).toMatchObject({
        seed: { value: ['seed'] },
        writes: [
          ['task', 'log', ['one']],
          ['task', 'log', ['two']],
        ],
      });
      for (let round = 0; round < 3; round++) {
        expect(await saver.prune({ keep: 1, rewrite: true })).toMatchObject({ removed: round === 0 ? 3 : 0, kept: 1 });
        expect(await idsOf(saver, 't')).toEqual([idOf(newest)]);
        expect((await saver.getTuple(configOf('t')))?.checkpoint.id).toBe(idOf(newest));
        expect(await saver.getDeltaChannelHistory(asked)).toEqual(before);
        expect(await saver.getTuple(old)).toBeUndefined();
      }
    }));

  test('takes the namespaces of subgraph calls with the checkpoints that they belong to', () =>
    withSaver(async (saver) => {
      const roots = await chain(saver, 3);
      for (const [i, root] of roots.entries()) {
        const parents = { '': idOf(root) };
        const child = await grow(saver, configOf('t', `call:${i}`), { n: i }, { parents });
        const grandchild = { ...parents, [`call:${i}`]: idOf(child) };
        await grow(saver, configOf('t', `call:${i}|deep:${i}`), { n: i }, { parents: grandchild });
        await grow(saver, configOf('t', 'memory'), { n: i }, { parents });
      }
      // Belongs to a checkpoint that is still on its way.
      await grow(saver, configOf('t', 'call:9'), { n: 9 }, { parents: { '': nextId() } });
      await saver.prune({ keep: 1 });
      const left = (await listed(saver, { configurable: { thread_id: 't' } })).map(
        ({ config }) => config.configurable?.checkpoint_ns,
      );
      expect(left.sort()).toEqual(['', 'call:2', 'call:2|deep:2', 'call:9', 'memory']);
    }));

  test('keeps writes to checkpoints that are still on their way, and no others without one', () =>
    withSaver(async (saver) => {
      await saver.putWrites(configOf('t', '', nextId()), [['x', 'old']], 'task');
      const [last] = (await chain(saver, 2)).slice(-1) as [ThreadConfig];
      const coming = checkpointOf({ n: 3 }, { n: 3 });
      await saver.putWrites(configOf('t', '', coming.id), [['x', 'early']], 'task');
      await saver.prune({ keep: 1 });
      expect((await saver.store.readStream('langgraph-t').toArray()).length).toBe(2);
      const config = await saver.put(last, coming, metadataOf(), { n: 3 });
      expect((await saver.getTuple(config))?.pendingWrites).toEqual([['task', 'x', 'early']]);
      await saver.prune({ keep: 2, rewrite: true });
      expect((await saver.getTuple(config))?.pendingWrites).toEqual([['task', 'x', 'early']]);
    }));

  test('and a run that goes on from what is being pruned: nothing is lost', () =>
    withSaver(async (saver) => {
      const configs = await chain(saver, 6);
      const { checkpoint } = (await saver.getTuple(configs[0]!))!;
      const child = {
        ...checkpoint,
        id: nextId(),
        channel_values: { once: 'o', n: 'x' },
        channel_versions: { once: 1, n: 9 },
      };
      for (const first of ['put', 'prune']) {
        const put = () => saver.put(configs[0]!, { ...child, id: nextId() }, metadataOf(), { n: 9 });
        const prune = () => saver.prune({ keep: 1 });
        const [config] = await (first === 'put'
          ? Promise.all([put(), prune()])
          : Promise.all([prune(), put()]).then((both) => [both[1]]));
        expect(await valuesOf(saver, config as ThreadConfig)).toEqual({ once: 'o', n: 'x' });
      }
    }));

  test('beside reads, writes and other savers of the store', () =>
    withSaver(async (saver) => {
      const other = new VarveSaver(saver.store);
      let last = (await chain(saver, 3)).at(-1) as ThreadConfig;
      let done = false;
      const reading = (async () => {
        while (!done) {
          expect(await valuesOf(other, configOf('t'))).toMatchObject({ once: 'o' });
          await setImmediate(); // what is in memory is read without leaving the others a turn
        }
      })();
      for (let n = 4; n < 40; n++) {
        const pruning = (n % 2 === 0 ? saver : other).prune({ keep: 1 });
        const parent = last;
        const [grown] = await Promise.all([
          grow(saver, parent, { n }),
          other.putWrites(parent, [[RESUME, n]], 'task'),
          pruning,
        ]);
        last = grown;
      }
      done = true;
      await reading;
      expect(await valuesOf(saver, last)).toEqual({ once: 'o', n: 39 });
    }));

  test('in the midst of a reading, which then looks again', () =>
    withSaver(async (saver) => {
      await chain(saver, 4);
      const expected = await saver.getTuple(configOf('t'));
      const { store } = saver;
      const readStream = store.readStream.bind(store);
      let pruned: unknown;
      store.readStream = (stream, options) => {
        const read = () => readStream(stream, options);
        if (options?.toRevision === undefined || pruned !== undefined) return read();
        const toArray = async () => {
          store.readStream = readStream;
          pruned = await new VarveSaver(store).prune({ keep: 1 });
          return read().toArray();
        };
        return { toArray } as ReturnType<typeof readStream>;
      };
      expect(await saver.getTuple(configOf('t'))).toEqual(expected);
      expect(pruned).toMatchObject({ removed: 3 });
    }));

  test('ends at its signal, between threads', () =>
    withSaver(async (saver) => {
      await chain(saver, 2);
      await expect(saver.prune({ keep: 1, signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
      expect(await idsOf(saver, 't')).toHaveLength(2);
    }));

  test('that a power cut interrupts leaves all that was kept, whenever it comes', async () => {
    const disk = new SimulatedDisk();
    const store = await openThreads(disk);
    const saver = new VarveSaver(store);
    const configs = await chain(saver, 4);
    await saver.putWrites(configs[3]!, [['x', 1]], 'task');
    const expected = await saver.getTuple(configOf('t'));
    const cuts: SimulatedDisk[] = [];
    const random = new Random(7);
    disk.onOperation = () => {
      cuts.push(disk.crashed(random));
    };
    await saver.prune({ keep: 1 });
    disk.onOperation = undefined;
    await store.close();
    expect(cuts.length).toBeGreaterThan(3);
    const lengths = new Set<number>();
    for (const cut of cuts) {
      const reopened = await openThreads(cut);
      const after = new VarveSaver(reopened);
      expect(await after.getTuple(configOf('t'))).toEqual(expected);
      lengths.add((await idsOf(after, 't')).length);
      await after.prune({ keep: 1 });
      expect(await after.getTuple(configOf('t'))).toEqual(expected);
      await reopened.close();
    }
    expect([...lengths].sort()).toEqual([1, 4]);
  });
});

describe('keep', () => {
  test('prunes in the background, before twice so many are there; close waits for it', async () => {
    const disk = new SimulatedDisk();
    const saver = await VarveSaver.open({ directory: '/threads', disk, segmentSize: 32 * 1024, keep: 3 });
    const lengths: number[] = [];
    let config = configOf('t');
    for (let n = 0; n < 20; n++) {
      config = await grow(saver, config, n === 0 ? { once: 'o', n } : { n });
      lengths.push((await idsOf(saver, 't')).length);
    }
    expect(Math.max(...lengths)).toBeLessThanOrEqual(7);
    expect(Math.min(...lengths.slice(6))).toBeGreaterThanOrEqual(3);
    expect(await valuesOf(saver, configOf('t'))).toEqual({ once: 'o', n: 19 });
    await saver.close();
  });

  test('that fails fails no put, and is told', async () => {
    const store = await openThreads(new SimulatedDisk());
    const told: unknown[] = [];
    const saver = new VarveSaver(store, {
      keep: 1,
      onPruneError: (error) => {
        told.push(error);
        throw new Error('the listener, too');
      },
    });
    const problem = new Error('no truncation today');
    store.truncateStream = () => Promise.reject(problem);
    const warned = warnings();
    await chain(saver, 2);
    await saver.close();
    expect(told).toEqual([problem]);
    expect(warned()).toEqual(['A thread of varve/langgraph was not pruned: Error: the listener, too']);
    await store.close();
  });

  test('warns where nobody listens', async () => {
    const store = await openThreads(new SimulatedDisk());
    const saver = new VarveSaver(store, { keep: 1 });
    store.truncateStream = () => Promise.reject(new Error('no truncation today'));
    const warned = warnings();
    await chain(saver, 2);
    await saver.close();
    expect(warned()).toEqual(['A thread of varve/langgraph was not pruned: Error: no truncation today']);
    await store.close();
  });
});
