/** Where a stream and the store are as far as readers see: the durable head, and the checkpoint of a position. */
import { describe, expect, test } from '@jest/globals';
import { SimulatedDisk } from '../../../src/testing/simulated-disk.js';
import { holdSyncs } from '../../support/held-syncs.js';
import { turns } from '../../support/logs.js';
import { openStore, withStore } from '../../support/small-stores.js';

const REFUSED = expect.objectContaining({ code: 'ERR_VARVE_INVALID_OPTION' });
const event = { type: 'T' };

describe('the head of a stream', () => {
  test('may be ahead of what can be read; the durable one is not', async () => {
    const disk = new SimulatedDisk();
    const store = await openStore(disk);
    await store.appendToStream('s', [event, event]);
    const release = holdSyncs(disk);
    const appending = Promise.all([store.appendToStream('s', event), store.appendToStream('new', event)]);
    await turns();
    expect((await store.streamHead('s'))?.revision).toBe(2n);
    expect((await store.streamHead('s', { visibility: 'durable' }))?.revision).toBe(1n);
    expect(await store.readStream('s').toArray()).toHaveLength(2);
    expect((await store.streamHead('new'))?.revision).toBe(0n);
    expect(await store.streamHead('new', { visibility: 'durable' })).toBeUndefined();
    release();
    await appending;
    expect((await store.streamHead('s', { visibility: 'durable' }))?.revision).toBe(2n);
    expect((await store.streamHead('new', { visibility: 'durable' }))?.revision).toBe(0n);
    await store.close();
  });

  test('is asked for with known options', () =>
    withStore(async (store) => {
      await expect(store.streamHead('s', { visibility: 'soon' as 'durable' })).rejects.toThrow(REFUSED);
      await expect(store.streamHead('s', { x: 1 } as never)).rejects.toThrow(REFUSED);
    }));
});

describe('the checkpoint of a position', () => {
  test.each([1, 3])('lies behind it, and before the next one, in %s partitions', (partitions) =>
    withStore(
      async (store) => {
        for (let i = 0; i < 12; i++) await store.appendToStream(`s-${i % 5}`, [event, event]);
        const all = await store.readAll().toArray();
        for (const [i, { position }] of all.entries()) {
          const checkpoint = await store.checkpointAt(position);
          const rest = await store.readAll({ from: { checkpoint } }).toArray();
          expect(rest.map((found) => found.position)).toEqual(all.slice(i + 1).map((found) => found.position));
        }
        expect(await store.checkpointAt(0n)).toBe(Array(partitions).fill(0).join('.'));
      },
      { partitions },
    ),
  );

  test('does not lie before what is not there yet', () =>
    withStore(async (store) => {
      await store.appendToStream('s', event);
      expect(await store.checkpointAt(1000n)).toBe(store.checkpoint());
      expect(await store.checkpointAt('0000000000000000001')).toBe(store.checkpoint());
    }));

  test('is that of what is durable', async () => {
    const disk = new SimulatedDisk();
    const store = await openStore(disk);
    await store.appendToStream('s', event);
    const release = holdSyncs(disk);
    const appending = store.appendToStream('s', event);
    await turns();
    expect(await store.checkpointAt(2n)).toBe('1');
    release();
    await appending;
    expect(await store.checkpointAt(2n)).toBe('2');
    await store.close();
  });

  test.each([-1n, 'start', { checkpoint: '1' }, undefined])('%p is no position', (given) =>
    withStore(async (store) => {
      await expect(store.checkpointAt(given as bigint)).rejects.toThrow(REFUSED);
    }),
  );

  test('of a closed store is none', () =>
    withStore(async (store) => {
      await store.close();
      await expect(store.checkpointAt(1n)).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
    }));
});
