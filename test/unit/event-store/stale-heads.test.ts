/** A stream's head is looked up in index files while the stream is appended to: what is found must not be what was. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { EventStore } from 'varve';
import { SimulatedDisk } from '../../../src/testing/simulated-disk.js';
import { open } from '../../support/event-history.js';
import { turns } from '../../support/logs.js';

/** Its state is too large for the cache: it is looked up each time, and so are blocks of index files. */
const STREAM = 's'.repeat(600);
const OPTIONS = {
  segmentSize: 8192,
  headCacheBytes: 1024,
  streamIndexCacheBytes: 1024,
  maxUnsyncedBytes: 1024,
};
const event = (size: number) => ({ type: 'T', data: 'x'.repeat(size) });

let disk: SimulatedDisk;
let store: EventStore;
let readsHeld = false;

beforeEach(async () => {
  disk = new SimulatedDisk();
  store = await open(disk, OPTIONS);
  await store.appendToStream(STREAM, event(0));
  await rotate();
  await rotate(); // the newest segment has room for what comes
  await store.close();
  store = await open(disk, OPTIONS);
});
afterEach(() => store.close());

function hold(kind: 'sync' | 'read', file: string, nth = 1): () => void {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const lift = disk.faults.add({ kind, file, nth, times: 1000, fault: { hold: held } });
  return () => {
    lift();
    release();
  };
}

/** Looks the head up while `change` is going into the log: begun before it is there, ended after it. */
async function headBeside(change: () => Promise<unknown>, after: () => Promise<unknown>, nth = 1) {
  const releaseSyncs = hold('sync', 'part_*');
  await store.appendToStream('other', event(700), { ack: 'written' });
  const changing = change(); // waits: so much is not synced
  await turns();
  const releaseReads = hold('read', '*.idx', nth);
  const head = store.streamHead(STREAM);
  await turns();
  let settled = false;
  const settle = () => {
    settled = true;
  };
  head.then(settle, settle);
  await turns();
  readsHeld = !settled;
  releaseSyncs();
  await changing;
  await after();
  releaseReads();
  return head;
}

const nothing = async () => {};
/** Moves the layer in memory into a file. */
const rotate = async () => {
  const { rotations } = store.stats();
  while (store.stats().rotations === rotations) await store.appendToStream('other', event(700));
  await turns();
};

test.each([
  ['as it is', nothing],
  ['moved into a file', rotate],
])('an event that comes meanwhile is seen, with the layer %s', async (_name, after) => {
  const head = await headBeside(() => store.appendToStream(STREAM, event(300)), after);
  expect(head?.revision).toBe(1n);
});

test.each([
  ['as it is', nothing],
  ['moved into a file', rotate],
])('metadata that come meanwhile are seen, with the layer %s', async (_name, after) => {
  // The stream itself is looked up first: at one of these reads it is its metadata that are.
  for (let nth = 1; nth <= 8; nth++) {
    const metadata = { custom: `${nth}`.repeat(300) };
    const head = await headBeside(() => store.setStreamMetadata(STREAM, metadata), after, nth);
    if (!readsHeld) break; // it needed no more of them
    expect(head?.metadata).toEqual(metadata);
    await rotate();
  }
});
