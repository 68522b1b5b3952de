import { describe, expect, test } from '@jest/globals';
import { emptyCheckpoint, INTERRUPT, TASKS, uuid6 } from '@langchain/langgraph-checkpoint';
import { type ThreadConfig, VarveSaver } from 'varve/langgraph';
import { Random, SimulatedDisk } from '../../../src/testing/index.js';
import {
  checkpointOf,
  configOf,
  DIRECTORY,
  grow,
  idOf,
  listed,
  metadataOf,
  openThreads,
  valuesOf,
  withSaver,
} from '../../support/threads.js';

const refused = (option: string) => ({ code: 'ERR_VARVE_INVALID_OPTION', option });

describe('checkpoints', () => {
  test('come back as they were put, with what JSON loses', () =>
    withSaver(async (saver) => {
      const values = { map: new Map([['a', 1]]), bytes: new Uint8Array([1, 2, 255]), nothing: null, text: 'é\0' };
      const versions = { map: 1, bytes: 1, nothing: 1, text: 1 };
      const checkpoint = { ...checkpointOf(values, versions), versions_seen: { node: { map: 1 } } };
      const config = await saver.put(configOf('t'), checkpoint, metadataOf(3, { user: { id: 7 } }), versions);
      expect(config).toEqual(configOf('t', '', checkpoint.id));
      expect(await saver.getTuple(config)).toEqual({
        config,
        checkpoint,
        metadata: { source: 'loop', step: 3, parents: {}, user: { id: 7 } },
        pendingWrites: [],
      });
      expect(await saver.get(config)).toEqual(checkpoint);
    }));

  test('are what they were at the call, whatever happens to them later', () =>
    withSaver(async (saver) => {
      const messages = ['a'];
      const checkpoint = checkpointOf({ messages }, { messages: 1 });
      const putting = saver.put(configOf('t'), checkpoint, metadataOf(), { messages: 1 });
      messages.push('b');
      expect(await valuesOf(saver, await putting)).toEqual({ messages: ['a'] });
    }));

  test('store the channels that have changed, and find the others with their ancestors', () =>
    withSaver(async (saver) => {
      const a = await grow(saver, configOf('t'), { big: 'x'.repeat(5000), n: 1 });
      const b = await grow(saver, a, { n: 2 });
      const c = await grow(saver, b, { n: 3 });
      expect(await valuesOf(saver, c)).toEqual({ big: 'x'.repeat(5000), n: 3 });
      expect(await valuesOf(saver, a)).toEqual({ big: 'x'.repeat(5000), n: 1 });
      const events = await saver.store.readStream('langgraph-t').toArray();
      expect(events.map(({ data }) => (data as Uint8Array).length > 5000)).toEqual([true, false, false]);
    }));

  test('of two branches keep their own values, also where their versions are the same', () =>
    withSaver(async (saver) => {
      const root = await grow(saver, configOf('t'), { n: 0, same: 's' });
      const left = await grow(saver, await grow(saver, root, { n: 'left' }), { other: 1 });
      const right = await grow(saver, await grow(saver, root, { n: 'right' }), { other: 2 });
      expect(await valuesOf(saver, left)).toEqual({ n: 'left', other: 1, same: 's' });
      expect(await valuesOf(saver, right)).toEqual({ n: 'right', other: 2, same: 's' });
    }));

  test('that say nothing of new versions, as copies of others do, are complete all the same', () =>
    withSaver(async (saver) => {
      const parent = await grow(saver, configOf('t'), { n: 1 });
      const child = await grow(saver, parent, { n: 2 });
      for (const [of, beside] of [
        [child, parent],
        [parent, configOf('t')],
      ] as const) {
        const { checkpoint } = (await saver.getTuple(of)) ?? { checkpoint: emptyCheckpoint() };
        const copy = await saver.put(beside, { ...checkpoint, id: uuid6(1) }, metadataOf(), {});
        expect(await valuesOf(saver, copy)).toEqual(checkpoint.channel_values);
      }
    }));

  test('whose parent is not there are stored whole', () =>
    withSaver(async (saver) => {
      const checkpoint = checkpointOf({ a: 1, b: 2 }, { a: 1, b: 2 });
      const config = await saver.put(configOf('t', '', 'gone'), checkpoint, metadataOf(), { b: 2 });
      expect(await saver.getTuple(config)).toMatchObject({
        checkpoint: { channel_values: { a: 1, b: 2 } },
        parentConfig: configOf('t', '', 'gone'),
      });
    }));

  test('that are put again replace the one before; what leans on that one stays whole', () =>
    withSaver(async (saver) => {
      const root = await grow(saver, configOf('t'), { a: 1 });
      const child = await grow(saver, root, { b: 1 });
      const again = { ...checkpointOf({ a: 5 }, { a: 5 }), id: idOf(root) };
      await saver.put(configOf('t', '', idOf(root)), again, metadataOf(9), { a: 5 });
      expect(await saver.getTuple(root)).toMatchObject({
        metadata: { step: 9 },
        checkpoint: { channel_values: { a: 5 } },
      });
      expect(await valuesOf(saver, child)).toEqual({ a: 1, b: 1 });
    }));

  test('may be called like parts of every object', () =>
    withSaver(async (saver) => {
      const values = JSON.parse('{"__proto__": 1, "constructor": 2}');
      const checkpoint = checkpointOf(values, JSON.parse('{"__proto__": 1, "constructor": 1}'));
      const config = await saver.put(
        configOf('__proto__', 'constructor'),
        checkpoint,
        metadataOf(),
        checkpoint.channel_versions as never,
      );
      await saver.putWrites(config, [['constructor', 'w']], 'toString');
      const tuple = await saver.getTuple(configOf('__proto__', 'constructor'));
      expect(Object.entries(tuple?.checkpoint.channel_values ?? {})).toEqual([
        ['__proto__', 1],
        ['constructor', 2],
      ]);
      expect(tuple?.pendingWrites).toEqual([['toString', 'constructor', 'w']]);
    }));

  test('are there after a power cut, as soon as put has resolved', async () => {
    const disk = new SimulatedDisk();
    const saver = new VarveSaver(await openThreads(disk));
    const config = await grow(saver, await grow(saver, configOf('t'), { a: 1 }), { b: 2 });
    await saver.putWrites(config, [['x', 'w']], 'task');
    const store = await openThreads(disk.crashed(new Random(1)));
    const after = new VarveSaver(store);
    expect(await after.getTuple(configOf('t'))).toEqual(await saver.getTuple(config));
    await saver.store.close();
    await store.close();
  });

  test('are seen by all savers of a store, apart by prefix', () =>
    withSaver(async (saver) => {
      const config = await grow(saver, configOf('t'), { a: 1 });
      const beside = new VarveSaver(saver.store);
      const apart = new VarveSaver(saver.store, { prefix: 'other' });
      expect(await valuesOf(beside, config)).toEqual({ a: 1 });
      await grow(beside, config, { a: 2 });
      expect(await valuesOf(saver, configOf('t'))).toEqual({ a: 2 });
      expect(await apart.getTuple(config)).toBeUndefined();
      expect(await listed(apart, {})).toEqual([]);
    }));
});

describe('pending writes', () => {
  test('are in the order in which a run applies them: path, task, index', () =>
    withSaver(async (saver) => {
      const config = await grow(saver, configOf('t'), { a: 1 });
      await saver.putWrites(
        config,
        [
          ['x', 1],
          ['y', 2],
        ],
        'b',
        '~2',
      );
      await saver.putWrites(config, [['x', 3]], 'a', '~2');
      await saver.putWrites(config, [['x', 4]], 'z', '~1');
      await saver.putWrites(config, [['x', 5]], '\u{1f600}');
      await saver.putWrites(config, [['x', 6]], '\uffff');
      const { pendingWrites } = (await saver.getTuple(config)) ?? {};
      expect(pendingWrites?.map(([, , value]) => value)).toEqual([6, 5, 4, 3, 1, 2]);
    }));

  test('of a task that runs again are those of the first time; interrupts are those of the last', () =>
    withSaver(async (saver) => {
      const config = await grow(saver, configOf('t'), { a: 1 });
      await saver.putWrites(
        config,
        [
          ['x', 'first'],
          [INTERRUPT, 1],
        ],
        'task',
      );
      await saver.putWrites(
        config,
        [
          ['x', 'second'],
          [INTERRUPT, 2],
        ],
        'task',
      );
      expect((await saver.getTuple(config))?.pendingWrites).toEqual([
        ['task', INTERRUPT, 2],
        ['task', 'x', 'first'],
      ]);
    }));

  test('may come before their checkpoint', () =>
    withSaver(async (saver) => {
      const checkpoint = checkpointOf({}, {});
      await saver.putWrites(configOf('t', '', checkpoint.id), [['x', 1]], 'task');
      expect(await saver.getTuple(configOf('t'))).toBeUndefined();
      await saver.put(configOf('t'), checkpoint, metadataOf(), {});
      expect((await saver.getTuple(configOf('t')))?.pendingWrites).toEqual([['task', 'x', 1]]);
    }));

  test('none are none', () =>
    withSaver(async (saver) => {
      const config = await grow(saver, configOf('t'), { a: 1 });
      await saver.putWrites(config, [], 'task');
      expect((await saver.store.streamHead('langgraph-t'))?.revision).toBe(0n);
    }));
});

describe('listing', () => {
  const three = async (saver: VarveSaver) => {
    const a = await grow(saver, configOf('t'), { n: 1 }, { kind: { deep: 1 } });
    const b = await grow(saver, a, { n: 2 }, { kind: { deep: 2 } });
    return [a, b, await grow(saver, b, { n: 3 }, { kind: { deep: 1 } })] as const;
  };
  const steps = async (...args: Parameters<typeof listed>) =>
    (await listed(...args)).map(({ metadata }) => metadata?.step);

  test('is newest first, before a checkpoint, up to a limit, by metadata', () =>
    withSaver(async (saver) => {
      const [, b, c] = await three(saver);
      expect(await steps(saver, configOf('t'))).toEqual([3, 2, 1]);
      expect(await steps(saver, configOf('t'), { limit: 2 })).toEqual([3, 2]);
      expect(await steps(saver, configOf('t'), { limit: 0 })).toEqual([]);
      expect(await steps(saver, configOf('t'), { before: c })).toEqual([2, 1]);
      expect(await steps(saver, configOf('t'), { filter: { kind: { deep: 1 } }, limit: 1, before: c })).toEqual([1]);
      expect(await steps(saver, configOf('t'), { filter: { absent: 1 } })).toEqual([]);
      expect(await steps(saver, b)).toEqual([2]);
      expect(await listed(saver, b)).toEqual([await saver.getTuple(b)]);
    }));

  test('goes over all threads where none is named', () =>
    withSaver(async (saver) => {
      await three(saver);
      await grow(saver, configOf('u', 'child'), { n: 1 });
      expect(await steps(saver, {})).toEqual([3, 2, 1, 1]);
      expect(await steps(saver, { configurable: { checkpoint_ns: 'child' } })).toEqual([1]);
      expect(await steps(saver, {}, { limit: 2 })).toEqual([3, 2]);
      expect(await steps(saver, configOf('nobody'))).toEqual([]);
    }));

  test('leaves out what is deleted while it goes on', () =>
    withSaver(async (saver) => {
      await three(saver);
      const seen: unknown[] = [];
      for await (const { metadata } of saver.list(configOf('t'))) {
        seen.push(metadata?.step);
        await saver.deleteThread('t');
      }
      expect(seen).toEqual([3]);
    }));
});

describe('deleting a thread', () => {
  test('leaves nothing of it, and the others alone', () =>
    withSaver(async (saver) => {
      const config = await grow(saver, configOf('t'), { a: 1 });
      await saver.putWrites(config, [['x', 1]], 'task');
      await grow(saver, configOf('t', 'child'), { a: 1 });
      await grow(saver, configOf('u'), { a: 2 });
      expect(await valuesOf(saver, configOf('t', 'child'))).toEqual({ a: 1 });
      await saver.deleteThread('t');
      expect(await saver.getTuple(config)).toBeUndefined();
      expect(await listed(saver, configOf('t'))).toEqual([]);
      expect((await listed(saver, {})).map((tuple) => tuple.config.configurable?.thread_id)).toEqual(['u']);
      await saver.deleteThread('t');
      await saver.deleteThread('never there');
    }));

  test('lets it begin anew, whole, also in the midst of a run', () =>
    withSaver(async (saver) => {
      const config = await grow(saver, configOf('t'), { a: 1 });
      await saver.putWrites(config, [['x', 1]], 'task');
      const { checkpoint } = (await saver.getTuple(config)) as { checkpoint: ReturnType<typeof checkpointOf> };
      await saver.deleteThread('t');
      const child = { ...checkpoint, id: uuid6(1), channel_values: { a: 1, b: 2 }, channel_versions: { a: 1, b: 2 } };
      await saver.put(config, child, metadataOf(), { b: 2 });
      expect(await valuesOf(saver, configOf('t'))).toEqual({ a: 1, b: 2 });
      await saver.put(configOf('t'), checkpoint, metadataOf(), checkpoint.channel_versions as never);
      expect((await saver.getTuple(config))?.pendingWrites).toEqual([]);
    }));
});

describe('refused', () => {
  test.each<[string, string, (saver: VarveSaver) => Promise<unknown>]>([
    [
      'a thread that is a number',
      'configurable.thread_id',
      (saver) => saver.getTuple({ configurable: { thread_id: 1 } }),
    ],
    ['a thread without a name', 'configurable.thread_id', (saver) => listed(saver, configOf(''))],
    ['a namespace that is null', 'configurable.checkpoint_ns', (saver) => saver.getTuple(configOf('t', null as never))],
    [
      'a checkpoint that is a number',
      'configurable.checkpoint_id',
      (saver) => saver.getTuple(configOf('t', '', 5 as never)),
    ],
    [
      'before a number',
      'configurable.checkpoint_id',
      (saver) => listed(saver, {}, { before: configOf('t', '', 5 as never) }),
    ],
    [
      'put without a thread',
      'configurable.thread_id',
      (saver) => saver.put({}, checkpointOf({}, {}), metadataOf(), {}),
    ],
    [
      'put without an id',
      'checkpoint.id',
      (saver) => saver.put(configOf('t'), { ...checkpointOf({}, {}), id: '' }, metadataOf(), {}),
    ],
    ['writes without a thread', 'configurable.thread_id', (saver) => saver.putWrites({}, [['a', 1]], 'task')],
    [
      'writes without a checkpoint',
      'configurable.checkpoint_id',
      (saver) => saver.putWrites(configOf('t'), [['a', 1]], 'task'),
    ],
    ['writes without a task', 'taskId', (saver) => saver.putWrites(configOf('t', '', 'c'), [['a', 1]], '')],
    [
      'a path that is none',
      'taskPath',
      (saver) => saver.putWrites(configOf('t', '', 'c'), [['a', 1]], 'task', [] as never),
    ],
    ['deleting without a thread', 'threadId', (saver) => saver.deleteThread(undefined as never)],
    ['a thread with too long a name', 'stream', (saver) => grow(saver, configOf('x'.repeat(1024)), { a: 1 })],
    ['pruning without keep', 'keep', (saver) => saver.prune({} as never)],
    ['keeping none', 'keep', (saver) => saver.prune({ keep: 0 })],
    ['an unknown option', 'max', (saver) => saver.prune({ keep: 1, max: 1 } as never)],
    ['pruning a number', 'threadId', (saver) => saver.prune({ keep: 1, threadId: 1 as never })],
  ])('%s', (_what, option, call) =>
    withSaver(async (saver) => {
      await expect(call(saver)).rejects.toMatchObject(refused(option));
      expect(saver.store.checkpoint()).toBe('0');
    }),
  );

  test('bad options of a saver, before anything is opened', async () => {
    const disk = new SimulatedDisk();
    const store = await openThreads(disk);
    for (const [options, option] of [
      [{ prefix: 'a-b' }, 'prefix'],
      [{ prefix: '$a' }, 'prefix'],
      [{ prefix: '' }, 'prefix'],
      [{ serde: {} }, 'serde'],
      [{ keep: 0 }, 'keep'],
      [{ onPruneError: 1 }, 'onPruneError'],
      [{ ttl: 1 }, 'ttl'],
    ] as const) {
      expect(() => new VarveSaver(store, options as never)).toThrow(expect.objectContaining(refused(option)));
      const opening = VarveSaver.open({ directory: '/not/made', disk, ...(options as object) });
      await expect(opening).rejects.toMatchObject(refused(option));
    }
    expect(() => new VarveSaver({} as never)).toThrow(expect.objectContaining(refused('store')));
    await expect(disk.list('/not/made')).rejects.toMatchObject({ code: 'ENOENT' });
    await store.close();
  });

  test('a value that the serializer cannot keep: nothing is stored', () =>
    withSaver(async (saver) => {
      const checkpoint = checkpointOf({ a: 1n }, { a: 1 });
      const because = (valuePath: string) => ({ code: 'ERR_VARVE_INVALID_EVENT', valuePath });
      await expect(saver.put(configOf('t'), checkpoint, metadataOf(), { a: 1 })).rejects.toMatchObject(
        because('channel_values.a'),
      );
      await expect(saver.putWrites(configOf('t', '', 'c'), [['a', 1n]], 'task')).rejects.toMatchObject(
        because('writes[0]'),
      );
      expect(saver.store.checkpoint()).toBe('0');
    }));

  test('a checkpoint that is larger than a segment', () =>
    withSaver(async (saver) => {
      const putting = grow(saver, configOf('t'), { a: 'x'.repeat(64 * 1024) });
      await expect(putting).rejects.toMatchObject({ code: 'ERR_VARVE_RECORD_TOO_LARGE' });
      expect(await saver.getTuple(configOf('t'))).toBeUndefined();
    }));

  test('a second owner, and everything once the store is closed', async () => {
    const disk = new SimulatedDisk();
    const saver = await VarveSaver.open({ directory: DIRECTORY, disk, segmentSize: 32 * 1024 });
    const config = await grow(saver, configOf('t'), { a: 1 });
    await expect(VarveSaver.open({ directory: DIRECTORY, disk })).rejects.toMatchObject({ code: 'ERR_VARVE_LOCKED' });
    await saver.close();
    await saver.close();
    const closed = { code: 'ERR_VARVE_CLOSED' };
    await expect(saver.getTuple(config)).rejects.toMatchObject(closed);
    await expect(listed(saver, {})).rejects.toMatchObject(closed);
    await expect(saver.put(config, checkpointOf({}, {}), metadataOf(), {})).rejects.toMatchObject(closed);
    await expect(saver.putWrites(config, [['a', 1]], 'task')).rejects.toMatchObject(closed);
    await expect(saver.deleteThread('t')).rejects.toMatchObject(closed);
    await expect(saver.prune({ keep: 1 })).rejects.toMatchObject(closed);
  });

  test('events that no saver has written', () =>
    withSaver(async (saver) => {
      await grow(saver, configOf('t'), { a: 1 });
      await saver.store.appendToStream('langgraph-t', { type: 'Foreign' });
      await expect(saver.getTuple(configOf('t'))).rejects.toMatchObject({
        code: 'ERR_VARVE_INVALID_EVENT',
        eventType: 'Foreign',
        stream: 'langgraph-t',
      });
      await saver.store.appendToStream('langgraph-u', { type: 'langgraph.checkpoint', schemaVersion: 2 });
      await expect(saver.getTuple(configOf('u'))).rejects.toMatchObject({ schemaVersion: 2 });
    }));

  test('a checkpoint of which a part was given up behind the back of the saver', () =>
    withSaver(async (saver) => {
      const a = await grow(saver, configOf('t'), { a: 1, n: 1 });
      const b = await grow(saver, a, { n: 2 });
      await saver.store.setStreamMetadata('langgraph-t', { maxCount: 1 });
      const gone = { code: 'ERR_VARVE_LSN_PURGED', stream: 'langgraph-t' };
      await expect(saver.getTuple(b)).rejects.toMatchObject(gone);
      await expect(new VarveSaver(saver.store).getTuple(b)).rejects.toMatchObject(gone);
    }));
});

test('checkpoints of an old format get what their parent has sent', () =>
  withSaver(async (saver) => {
    const old = () => ({ ...checkpointOf({}, {}), v: 1 });
    const parent = await saver.put(configOf('t'), old(), metadataOf(), {});
    await saver.putWrites(
      parent,
      [
        [TASKS, 'one'],
        ['x', 'no'],
        [TASKS, 'two'],
      ],
      'task',
    );
    const child = await saver.put(parent, old(), metadataOf(), {});
    const expected = { [TASKS]: ['one', 'two'] };
    expect(await valuesOf(saver, child)).toEqual(expected);
    expect(await saver.prune({ keep: 1 })).toEqual({ threads: 1, removed: 1, kept: 1 });
    expect(await valuesOf(saver, child)).toEqual(expected);
  }));

test('a saver does not close a store that was given to it, and is no part of what JSON shows', () =>
  withSaver(async (saver) => {
    const config: ThreadConfig = await grow(saver, configOf('t'), { a: 1 });
    await saver.close();
    expect(await new VarveSaver(saver.store).getTuple(config)).toBeDefined();
    expect(JSON.stringify({ saver })).toBe('{"saver":"[VarveSaver]"}');
  }));
