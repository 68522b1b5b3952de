import { describe, expect, test } from '@jest/globals';
import { VarveStorageAdapter } from 'varve/automerge-repo';
import { SimulatedDisk } from '../../../src/testing/index.js';
import { adapterOn, bytes, withAdapter } from '../../support/automerge-repo.js';
import { intercepted } from '../../support/intercepted.js';
import { DIRECTORY, openStore, range, withStore } from '../../support/small-stores.js';

const A = ['doc1', 'snapshot', 'a'];
const B = ['doc1', 'incremental', 'b'];
const C = ['doc2', 'snapshot', 'a'];

const run = (work: (adapter: VarveStorageAdapter, disk: SimulatedDisk) => Promise<void>, options = {}) => {
  const disk = new SimulatedDisk();
  return withAdapter(disk, (adapter) => work(adapter, disk), options);
};

describe('values', () => {
  test('are loaded as they were saved, as plain bytes of their own', () =>
    run(async (adapter, disk) => {
      expect(await adapter.load(A)).toBeUndefined();
      const given = bytes(1);
      const saved = adapter.save(A, given);
      given[0] = 99;
      await saved;
      await adapter.save(B, Buffer.from('bytes of a buffer'));
      await adapter.save(C, new Uint8Array(0));
      const loaded = (await adapter.load(A)) as Uint8Array;
      expect(loaded).toStrictEqual(bytes(1));
      loaded[0] = 99;
      expect(await adapter.load(A)).toStrictEqual(bytes(1));
      expect(await adapter.load(B)).toStrictEqual(new Uint8Array(Buffer.from('bytes of a buffer')));
      expect(await adapter.load(C)).toStrictEqual(new Uint8Array(0));
      await adapter.close();
      await withAdapter(disk, async (again) => {
        expect(await again.load(A)).toStrictEqual(bytes(1));
      });
    }));

  test('are replaced by later ones', () =>
    run(async (adapter, disk) => {
      for (const n of range(1, 40)) await adapter.save(A, bytes(n));
      expect(await adapter.load(A)).toStrictEqual(bytes(40));
      expect(await adapter.loadRange(['doc1'])).toStrictEqual([{ key: A, data: bytes(40) }]);
      await adapter.close();
      await withAdapter(disk, async (again) => {
        expect(await again.loadRange([])).toStrictEqual([{ key: A, data: bytes(40) }]);
      });
    }));

  test('are removed, and saved again', () =>
    run(async (adapter, disk) => {
      await adapter.save(A, bytes(1));
      await adapter.save(B, bytes(2));
      await adapter.remove(A);
      await adapter.remove(A);
      await adapter.remove(C);
      expect(await adapter.load(A)).toBeUndefined();
      await adapter.remove(B);
      expect(await adapter.loadRange(['doc1'])).toEqual([]);
      await adapter.save(A, bytes(3));
      await adapter.close();
      await withAdapter(disk, async (again) => {
        expect(await again.loadRange([])).toStrictEqual([{ key: A, data: bytes(3) }]);
      });
    }));

  test('see what was asked for before, though nothing was awaited', () =>
    run(async (adapter) => {
      const all = [
        adapter.save(A, bytes(1)),
        adapter.save(A, bytes(2)),
        adapter.load(A),
        adapter.remove(A),
        adapter.load(A),
        adapter.save(A, bytes(3)),
        adapter.loadRange(['doc1']),
        adapter.removeRange(['doc1']),
        adapter.loadRange(['doc1']),
      ];
      const results = await Promise.all<unknown>(all);
      expect([2, 4, 6, 8].map((i) => results[i])).toStrictEqual([
        bytes(2),
        undefined,
        [{ key: A, data: bytes(3) }],
        [],
      ]);
    }));
});

describe('ranges', () => {
  const keys = [
    ['a'],
    ['a', 'b'],
    ['a', 'b', 'c'],
    ['a', 'bc'],
    ['a', 'b/c'],
    ['a', ''],
    ['a/b', 'c'],
    ['ab'],
    [''],
    ['a-b', '$', '%'],
  ];

  test.each<[string[], number[]]>([
    [[], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    [['a'], [0, 1, 2, 3, 4, 5]],
    [
      ['a', 'b'],
      [1, 2],
    ],
    [['a', 'b', 'c'], [2]],
    [['a', 'b', 'c', 'd'], []],
    [[''], [8]],
    [['a', ''], [5]],
    [['x'], []],
  ])('%j', (prefix, expected) =>
    run(async (adapter) => {
      for (const [i, key] of keys.entries()) await adapter.save(key, bytes(i));
      const found = (chosen: readonly number[]) => chosen.map((i) => ({ key: keys[i], data: bytes(i) }));
      expect(await adapter.loadRange(prefix)).toStrictEqual(found(expected));
      await adapter.removeRange(prefix);
      expect(await adapter.loadRange(prefix)).toEqual([]);
      const left = keys.map((_, i) => i).filter((i) => !expected.includes(i));
      expect(await adapter.loadRange([])).toStrictEqual(found(left));
      for (const i of left) expect(await adapter.load(keys[i] as string[])).toStrictEqual(bytes(i));
    }),
  );
});

describe('space', () => {
  const used = async (disk: SimulatedDisk) => {
    const store = await openStore(disk);
    const bytesUsed = store.stats().bytes.used;
    await store.close();
    return bytesUsed;
  };

  test('of values that are superseded, removed, or in the way is given back', () => {
    const disk = new SimulatedDisk();
    return withAdapter(disk, async (adapter) => {
      const settled = ['storage-adapter-id'];
      await adapter.save(settled, bytes(7, 100));
      await adapter.save(['idle', 'snapshot', 'x'], bytes(8, 500));
      for (const n of range(1, 300)) {
        await adapter.save(['doc', 'sync-state', 'peer'], bytes(n, 300));
        await adapter.save(['doc', 'incremental', `${n}`], bytes(n, 300));
        if (n > 3) await adapter.remove(['doc', 'incremental', `${n - 3}`]);
        if (n % 20 !== 0) continue;
        await adapter.save([`gone-${n}`, 'snapshot', 'x'], bytes(n, 300));
        await adapter.removeRange([`gone-${n}`]);
      }
      await adapter.close();
      expect(await used(disk)).toBeLessThan(150_000); // 400,000 were used without
      await withAdapter(disk, async (again) => {
        expect(await again.load(settled)).toStrictEqual(bytes(7, 100));
        expect(await again.loadRange(['idle'])).toStrictEqual([
          { key: ['idle', 'snapshot', 'x'], data: bytes(8, 500) },
        ]);
        expect(await again.load(['doc', 'sync-state', 'peer'])).toStrictEqual(bytes(300, 300));
        const chunks = await again.loadRange(['doc', 'incremental']);
        expect(chunks.map(({ key }) => key[2])).toEqual(['298', '299', '300']);
      });
    });
  }, 60_000);

  test('is given back over restarts, though each is short', async () => {
    const disk = new SimulatedDisk();
    for (const n of range(1, 60)) {
      await withAdapter(disk, async (adapter) => {
        for (const i of range(1, 4)) await adapter.save(A, bytes(n + i, 2000));
      });
    }
    expect(await used(disk)).toBeLessThan(120_000); // of 480,000
  }, 60_000);

  test('is not looked for while there is little', () =>
    run(async (adapter, disk) => {
      for (const n of range(1, 20)) await adapter.save(A, bytes(n, 500));
      await adapter.close();
      const store = await openStore(disk);
      expect(await store.streamExists('automerge.compacted')).toBe(false);
      await store.close();
    }));

  test('of a store that somebody else has opened is theirs to purge', () =>
    withStore(async (store) => {
      const adapter = new VarveStorageAdapter({ store });
      await store.appendToStream('mine', { type: 'Kept' });
      for (const n of range(1, 100)) await adapter.save(A, bytes(n, 1000));
      await store.truncateStream('mine', 1n);
      expect((await store.purge({ dryRun: true })).stops[0]).toMatchObject({ reason: 'living' });
      const before = store.stats().segments.sealed;
      await adapter.compact();
      expect(store.stats().segments.sealed).toBeGreaterThanOrEqual(before);
      await store.purge();
      expect(store.stats().segments.sealed).toBeLessThan(3);
      expect(await adapter.load(A)).toStrictEqual(bytes(100, 1000));
    }));

  test('is given back while there are saves, of which none is lost', () =>
    run(async (adapter) => {
      const keys = range(1, 20).map((n) => [`doc${n}`, 'snapshot', 'x']);
      for (const key of keys) await adapter.save(key, bytes(0, 400));
      const saving = keys.map(async (key) => {
        for (const n of range(1, 10)) await adapter.save(key, bytes(n, 400));
      });
      const compacting = (async () => {
        for (let i = 0; i < 5; i++) await adapter.compact();
      })();
      await Promise.all([...saving, compacting]);
      for (const key of keys) expect(await adapter.load(key)).toStrictEqual(bytes(10, 400));
    }));
});

describe('two adapters on one store', () => {
  test('see what the other has saved and removed, and undo none of it', () =>
    withStore(async (store) => {
      const [one, two] = [new VarveStorageAdapter({ store }), new VarveStorageAdapter({ store })];
      await one.save(A, bytes(1));
      expect(await two.load(A)).toStrictEqual(bytes(1));
      await two.save(A, bytes(2));
      await one.compact();
      expect(await two.load(A)).toStrictEqual(bytes(2));
      await two.remove(A);
      expect(await one.loadRange(['doc1'])).toEqual([]);
      await Promise.all([one.save(A, bytes(3)), two.save(B, bytes(4)), one.compact(), two.compact()]);
      await Promise.all([one.remove(A), two.save(C, bytes(5))]);
      for (const adapter of [one, two]) {
        expect(await adapter.loadRange([])).toStrictEqual([
          { key: B, data: bytes(4) },
          { key: C, data: bytes(5) },
        ]);
      }
    }));

  test('one that moves a value up does not bring it back after the other has saved another', () =>
    withStore(async (store) => {
      const two = new VarveStorageAdapter({ store });
      let moving = false;
      const one = new VarveStorageAdapter({
        store: intercepted(store, 'appendToStream', async () => {
          if (moving) await two.save(A, bytes(2));
        }),
      });
      await one.save(A, bytes(1));
      moving = true;
      await one.compact();
      for (const adapter of [one, two]) expect(await adapter.load(A)).toStrictEqual(bytes(2));
    }));

  test('one that removes the last value does not remove what the other saves', () =>
    withStore(async (store) => {
      const two = new VarveStorageAdapter({ store });
      const one = new VarveStorageAdapter({ store: intercepted(store, 'deleteStream', () => two.save(B, bytes(2))) });
      await one.save(A, bytes(1));
      await one.remove(A);
      for (const adapter of [one, two]) {
        expect(await adapter.loadRange(['doc1'])).toStrictEqual([{ key: B, data: bytes(2) }]);
      }
    }));
});

describe('opening and closing', () => {
  test('opens when it is needed; what is wrong is told then, and tried again', async () => {
    const disk = new SimulatedDisk();
    const owner = await openStore(disk);
    const adapter = adapterOn(disk);
    await expect(adapter.load(A)).rejects.toMatchObject({ code: 'ERR_VARVE_LOCKED' });
    await owner.close();
    expect(await adapter.load(A)).toBeUndefined();
    await adapter.close();
  });

  test('waits for what was asked for, and takes nothing any more', async () => {
    const disk = new SimulatedDisk();
    const adapter = adapterOn(disk);
    const saving = range(1, 10).map((n) => adapter.save(A, bytes(n)));
    await Promise.all([adapter.close(), adapter.close(), adapter[Symbol.asyncDispose](), ...saving]);
    for (const refused of [adapter.save(A, bytes(1)), adapter.load(A), adapter.loadRange([]), adapter.compact()]) {
      await expect(refused).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
    }
    await withAdapter(disk, async (again) => {
      expect(await again.load(A)).toStrictEqual(bytes(10));
    });
    await new VarveStorageAdapter({ directory: '/never-opened' }).close();
  });

  test('leaves a store open that somebody else has opened', () =>
    withStore(async (store) => {
      const adapter = new VarveStorageAdapter({ store });
      await adapter.save(A, bytes(1));
      await adapter.close();
      expect(await store.streamExists('automerge-doc1')).toBe(true);
    }));
});

describe('refusals', () => {
  const refused = (option: string) => ({ code: 'ERR_VARVE_INVALID_OPTION', option });

  test('of keys and values', () =>
    run(async (adapter) => {
      for (const key of [[], 'doc1', [5], undefined] as unknown[]) {
        await expect(adapter.load(key as string[])).rejects.toMatchObject(refused('key'));
        await expect(adapter.save(key as string[], bytes(1))).rejects.toMatchObject(refused('key'));
        await expect(adapter.remove(key as string[])).rejects.toMatchObject(refused('key'));
      }
      await expect(adapter.loadRange([5] as never)).rejects.toMatchObject(refused('key'));
      await expect(adapter.removeRange('doc1' as never)).rejects.toMatchObject(refused('key'));
      await expect(adapter.save(['x'.repeat(2000)], bytes(1))).rejects.toMatchObject(refused('stream'));
      await expect(adapter.save(A, 'text' as never)).rejects.toMatchObject(refused('data'));
      await expect(adapter.save(A, bytes(1, 10_000))).rejects.toMatchObject({ code: 'ERR_VARVE_RECORD_TOO_LARGE' });
      expect(await adapter.loadRange([])).toEqual([]);
    }));

  test.each([
    [undefined, 'options'],
    [{}, 'directory'],
    [{ directory: '' }, 'directory'],
    [{ directory: DIRECTORY, store: { appendToStream() {} } }, 'directory'],
    [{ store: {} }, 'store'],
    [{ store: { appendToStream() {} }, storeOptions: {} }, 'storeOptions'],
    [{ directory: DIRECTORY, storeOptions: 5 }, 'storeOptions'],
    [{ directory: DIRECTORY, path: 'x' }, 'path'],
  ])('of %j as options', (options, option) => {
    expect(() => new VarveStorageAdapter(options as never)).toThrow(expect.objectContaining(refused(option)));
  });
});
