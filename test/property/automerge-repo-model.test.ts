/**
 * Random programs over the storage of automerge-repo, on Varve and on its own storage in memory: every value and every
 * range is the same, over reopenings, with segments so small that space is given back all the time.
 */
import assert from 'node:assert/strict';
import type { StorageAdapterInterface } from '@automerge/automerge-repo';
import { test } from '@jest/globals';
import fc from 'fast-check';
import { SimulatedDisk } from '../../src/testing/index.js';
import { runs } from '../runs.js';
import { adapterOn, bytes } from '../support/automerge-repo.js';

// Its types lead into sources that are written for other settings of the compiler.
const inMemory = '@automerge/automerge-repo/helpers/DummyStorageAdapter.js';
const { DummyStorageAdapter } = (await import(inMemory)) as { DummyStorageAdapter: new () => StorageAdapterInterface };

/** None of them begins another one: the model looks at the beginning of the joined text. */
const DOCUMENTS = ['a', 'b', 'storage-adapter-id'] as const;
const KINDS = ['snapshot', 'incremental', 'sync-state'] as const;
const HASHES = ['1', '2', '3'] as const;

type Step =
  | { readonly do: 'save'; readonly key: string[]; readonly size: number }
  | { readonly do: 'load' | 'remove' | 'loadRange' | 'removeRange'; readonly key: string[] }
  | { readonly do: 'compact' | 'reopen' };

const key = fc.tuple(fc.constantFrom(...DOCUMENTS), fc.constantFrom(...KINDS), fc.constantFrom(...HASHES));
const prefix = fc.tuple(key, fc.nat(3)).map(([whole, length]) => whole.slice(0, length));
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({ do: fc.constant('save' as const), key, size: fc.constantFrom(0, 50, 1000, 3000) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('load' as const, 'remove' as const), key }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('loadRange' as const, 'removeRange' as const), key: prefix }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('compact' as const, 'reopen' as const) }) },
);

const sorted = (chunks: { key: string[]; data: Uint8Array | undefined }[]) =>
  chunks.map(({ key: parts, data }) => ({ key: parts.join('.'), data })).sort((a, b) => (a.key < b.key ? -1 : 1));

async function run(program: readonly Step[], partitions: number): Promise<void> {
  const disk = new SimulatedDisk();
  let adapter = adapterOn(disk, { partitions });
  const model = new DummyStorageAdapter();
  let seed = 0;
  for (const given of program) {
    switch (given.do) {
      case 'save': {
        const data = bytes(++seed, given.size);
        await Promise.all([adapter.save(given.key, data), model.save(given.key, data)]);
        break;
      }
      case 'load':
        assert.deepEqual(await adapter.load(given.key), await model.load(given.key));
        break;
      case 'loadRange':
        assert.deepEqual(sorted(await adapter.loadRange(given.key)), sorted(await model.loadRange(given.key)));
        break;
      case 'remove':
      case 'removeRange':
        await adapter[given.do](given.key);
        await model[given.do](given.key);
        break;
      case 'compact':
        await adapter.compact();
        break;
      case 'reopen':
        await adapter.close();
        adapter = adapterOn(disk, { partitions });
        break;
    }
  }
  assert.deepEqual(sorted(await adapter.loadRange([])), sorted(await model.loadRange([])));
  await adapter.close();
}

const save = (document: (typeof DOCUMENTS)[number], size: number): Step => {
  return { do: 'save', key: [document, 'snapshot', '1'], size };
};
/** The document is listed while what it began with is being given up. */
const WHILE_PURGED: Step[] = [
  ...[3000, 1000].map((size) => save('a', size)),
  save('storage-adapter-id', 0),
  ...[3000, 1000, 3000, 0, 0].map((size) => save('a', size)),
  { do: 'loadRange', key: [] },
];

test('programs have the results that they have in memory', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40, size: 'max' }), fc.constantFrom(1, 2), run),
    { numRuns: runs(100), examples: [[WHILE_PURGED, 1]] },
  );
});
