/** `whenDurable`: what was acknowledged as written can be waited for until readers see it. */
import { expect, test } from '@jest/globals';
import { SimulatedDisk } from '../../../src/testing/simulated-disk.js';
import { holdSyncs } from '../../support/held-syncs.js';
import { turns } from '../../support/logs.js';
import { openStore, withStore } from '../../support/small-stores.js';

const event = { type: 'T' };

test('waits for what is written of a stream, and for no more', async () => {
  const disk = new SimulatedDisk();
  const store = await openStore(disk);
  await store.appendToStream('s', event);
  await store.whenDurable('s'); // nothing to wait for
  const release = holdSyncs(disk);
  await store.appendToStream('s', event, { ack: 'written' });
  let durable = false;
  const waiting = store.whenDurable('s').then(() => {
    durable = true;
  });
  await turns();
  expect(durable).toBe(false);
  expect(await store.readStream('s').toArray()).toHaveLength(1);
  release();
  await waiting;
  expect(await store.readStream('s').toArray()).toHaveLength(2);
  await store.close();
});

test('rejects where it will never be durable', async () => {
  const disk = new SimulatedDisk();
  const store = await openStore(disk);
  await store.appendToStream('s', event);
  disk.faults.add({ kind: 'sync', file: 'part_*', fault: { writeback: 'revert', report: 'now' } });
  const release = holdSyncs(disk);
  await store.appendToStream('s', event, { ack: 'written' });
  const waiting = expect(store.whenDurable('s')).rejects.toMatchObject({ code: 'ERR_VARVE_PARTITION_FAILED' });
  release();
  await waiting;
  await store.close().catch(() => {});
});

test('of a stream that is not there, at once; bad names and a closed store are refused', async () => {
  await withStore(async (store) => {
    await store.whenDurable('unknown');
    await expect(store.whenDurable('')).rejects.toMatchObject({ code: 'ERR_VARVE_INVALID_OPTION' });
    await store.close();
    await expect(store.whenDurable('s')).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
  });
});
