/** automerge-repo's own acceptance tests for storage, which were written for vitest. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { SimulatedDisk } from '../../../src/testing/index.js';
import { adapterOn } from '../../support/automerge-repo.js';

interface Context {
  adapter: ReturnType<typeof adapterOn>;
}

const context = {} as Context;
let tearDown: (() => Promise<void>) | undefined;

const vitest = 'vitest'; // not installed: this stands in for it
jest.unstable_mockModule(vitest, () => ({
  describe,
  expect,
  beforeEach: (prepare: (given: Context) => Promise<() => Promise<void>>) =>
    beforeEach(async () => {
      tearDown = await prepare(context);
    }),
  it: (name: string, work: (given: Context) => Promise<void>) => test(name, () => work(context)),
}));
afterEach(() => tearDown?.());

const suite = '@automerge/automerge-repo/helpers/tests/storage-adapter-tests.js';
const { runStorageAdapterTests } = (await import(suite)) as {
  runStorageAdapterTests: (setUp: () => Promise<Context & { teardown: () => Promise<void> }>, title: string) => void;
};

runStorageAdapterTests(async () => {
  const adapter = adapterOn(new SimulatedDisk(), { segmentSize: 512 * 1024 });
  return { adapter, teardown: () => adapter.close() };
}, 'Varve');
