/** Getting an event store, opening what it stands on, and closing it. */

import * as emmett from '@event-driven-io/emmett';
import { describe, expect, jest, test } from '@jest/globals';
import { openEventStore } from 'varve';
import { getVarveEventStore } from 'varve/emmett';
import { SimulatedDisk } from '../../../src/testing/simulated-disk.js';
import { added, code, settings } from './kit.js';

const refused = (option: string) => expect.objectContaining({ ...code('ERR_VARVE_INVALID_OPTION'), option });

describe('from options of openEventStore', () => {
  test('opens at the first use, and closes what it has opened', async () => {
    const disk = new SimulatedDisk();
    const eventStore = getVarveEventStore(settings(disk));
    const other = await openEventStore(settings(disk)); // nothing is open yet
    await other.close();
    await eventStore.appendToStream('s', [added('a')]);
    const below = await eventStore.open();
    expect((await below.streamHead('s'))?.revision).toBe(0n);
    await expect(openEventStore(settings(disk))).rejects.toMatchObject(code('ERR_VARVE_LOCKED'));
    await Promise.all([eventStore.close(), eventStore.close()]);
    await eventStore[Symbol.asyncDispose]();
    await expect(below.streamHead('s')).rejects.toMatchObject(code('ERR_VARVE_CLOSED'));
    const again = getVarveEventStore(settings(disk));
    expect((await again.readStream('s')).events).toMatchObject([added('a')]);
    await again.close();
  });

  test('opens once for all who ask at the same time', async () => {
    const eventStore = getVarveEventStore(settings(new SimulatedDisk()));
    await Promise.all(['a', 'b', 'c'].map((sku) => eventStore.appendToStream(sku, [added(sku)])));
    expect(await eventStore.open()).toBe(await eventStore.open());
    await eventStore.close();
  });

  test('tells everybody that it could not, and tries again', async () => {
    const disk = new SimulatedDisk();
    const owner = await openEventStore(settings(disk));
    const eventStore = getVarveEventStore(settings(disk));
    await expect(eventStore.streamExists('s')).rejects.toMatchObject(code('ERR_VARVE_LOCKED'));
    await expect(eventStore.appendToStream('s', [added('a')])).rejects.toMatchObject(code('ERR_VARVE_LOCKED'));
    await owner.close();
    expect(await eventStore.streamExists('s')).toBe(false);
    await eventStore.close();
  });

  test('closed before it was used, or while it opens, leaves nothing open', async () => {
    const disk = new SimulatedDisk();
    const unused = getVarveEventStore(settings(disk));
    await unused.close();
    const opening = getVarveEventStore(settings(disk));
    const used = opening.streamExists('s').catch((error: unknown) => error);
    await opening.close();
    await used;
    await (await openEventStore(settings(disk))).close();
  });
});

describe('from a store', () => {
  test('leaves it open', async () => {
    const store = await openEventStore(settings(new SimulatedDisk()));
    const eventStore = getVarveEventStore(store);
    await eventStore.appendToStream('s', [added('a')]);
    expect(await eventStore.open()).toBe(store);
    await eventStore.close();
    expect((await store.streamHead('s'))?.revision).toBe(0n);
    await store.close();
  });

  test('several on one store see the same', async () => {
    const store = await openEventStore(settings(new SimulatedDisk()));
    const [one, two] = [getVarveEventStore(store), getVarveEventStore({ store })];
    await one.appendToStream('s', [added('a')], { expectedStreamVersion: 0n });
    await expect(two.appendToStream('s', [added('b')], { expectedStreamVersion: 0n })).rejects.toThrow(
      emmett.ExpectedVersionConflictError,
    );
    await store.close();
  });
});

test('a closed one refuses everything', async () => {
  const store = await openEventStore(settings(new SimulatedDisk()));
  const eventStore = getVarveEventStore(store);
  await eventStore.close();
  const evolve = (state: object) => state;
  const signal = new AbortController().signal;
  for (const act of [
    () => eventStore.appendToStream('s', [added('a')]),
    () => eventStore.readStream('s'),
    () => eventStore.aggregateStream('s', { evolve, initialState: () => ({}) }),
    () => eventStore.streamExists('s'),
    () => eventStore.open(),
    () => eventStore.messageSource().readLastMessageCheckpoint(),
    async () => {
      for await (const _ of eventStore.messageSource().read({ from: 'BEGINNING', signal }));
    },
    () => eventStore.checkpointer().read({ processorId: 'p' }),
    () => eventStore.processorLock({ processorId: 'p' }).tryAcquire(),
  ]) {
    await expect(act()).rejects.toMatchObject(code('ERR_VARVE_CLOSED'));
  }
  await store.close();
});

test('a closed store below refuses everything', async () => {
  const store = await openEventStore(settings(new SimulatedDisk()));
  const eventStore = getVarveEventStore(store);
  await store.close();
  for (const act of [
    () => eventStore.appendToStream('s', [added('a')]),
    () => eventStore.readStream('s'),
    () => eventStore.streamExists('s'),
  ]) {
    await expect(act()).rejects.toMatchObject(code('ERR_VARVE_CLOSED'));
  }
});

describe('bad options are refused by name, at once', () => {
  const directory = '/data';
  const handle = () => {};
  test.each<[unknown, string]>([
    [undefined, 'options'],
    [null, 'options'],
    ['./data', 'options'],
    [{}, 'directory'],
    [{ directory: 5 }, 'directory'],
    [{ directory, segmentSize: 1 }, 'segmentSize'],
    [{ directory, partitions: 0 }, 'partitions'],
    [{ directory, codec: 'xml' }, 'codec'],
    [{ directory, readOnly: true }, 'readOnly'],
    [{ directory, pollingFrequency: 5 }, 'pollingFrequency'],
    [{ store: {} }, 'store'],
    [{ directory, store: 'x' }, 'store'],
    [{ directory, api: '0.41' }, 'api'],
    [{ directory, projections: {} }, 'projections'],
    [{ directory, projections: [null] }, 'projections[0].type'],
    [{ directory, projections: [{ type: 'live' }] }, 'projections[0].type'],
    [{ directory, projections: [{ type: 'inline' }] }, 'projections[0].projection'],
    [{ directory, projections: [{ type: 'inline', projection: { handle } }] }, 'projections[0].projection'],
    [{ directory, replayProjections: 1 }, 'replayProjections'],
    [{ directory, database: {} }, 'database'],
    [{ directory, hooks: 5 }, 'hooks'],
    [{ directory, hooks: { onCommit: handle } }, 'hooks.onCommit'],
    [{ directory, hooks: { onAfterCommit: 'x' } }, 'hooks.onAfterCommit'],
    [{ directory, hooks: { onBeforeCommit: 'x' } }, 'hooks.onBeforeCommit'],
  ])('%p: %s', (options, option) => {
    expect(() => getVarveEventStore(options as never)).toThrow(refused(option));
  });

  test('a store beside what would open another', async () => {
    const store = await openEventStore(settings(new SimulatedDisk()));
    expect(() => getVarveEventStore({ store, directory } as never)).toThrow(refused('directory'));
    await store.close();
  });
});

describe('another version of Emmett', () => {
  const imported = async (other: object) => {
    let found: typeof import('varve/emmett') | undefined;
    await jest.isolateModulesAsync(async () => {
      jest.unstable_mockModule('@event-driven-io/emmett', () => other);
      found = await import('varve/emmett');
    });
    return found as typeof import('varve/emmett');
  };

  test('that lacks what is needed is one error, at import', async () => {
    const { downcastRecordedMessage: _, upcastRecordedMessage: __, ...older } = emmett;
    await expect(imported(older)).rejects.toMatchObject({
      code: 'ERR_VARVE_UNSUPPORTED',
      message: expect.stringMatching(/emmett 0\.42.* lacks downcastRecordedMessage, upcastRecordedMessage/),
    });
  });

  test('that takes texts only is one error, unless they are asked for', async () => {
    const newer = await imported({ ...emmett, bigIntProcessorCheckpoint: () => '' });
    const options = settings(new SimulatedDisk());
    expect(() => newer.getVarveEventStore(options)).toThrow(
      expect.objectContaining({ code: 'ERR_VARVE_UNSUPPORTED', option: 'api' }),
    );
    await newer.getVarveEventStore({ ...options, api: '0.43' }).close();
  });
});
