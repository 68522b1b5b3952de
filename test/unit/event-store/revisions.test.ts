/** Revisions of streams whose events are not there: never appended, given up, or kept elsewhere. */
import { describe, expect, test } from '@jest/globals';
import { Random, SimulatedDisk } from '../../../src/testing/index.js';
import { fill, openStore, revisionsOf, withStore } from '../../support/small-stores.js';

const event = { type: 'Made' };
const WRONG = 'ERR_VARVE_WRONG_REVISION';

describe("expecting 'newStream'", () => {
  test('is met by a stream that never had an event, and by no other', () =>
    withStore(async (store) => {
      expect(await store.appendToStream('s', event, { expectedRevision: 'newStream' })).toMatchObject({
        nextExpectedRevision: 0n,
      });
      const again = () => store.appendToStream('s', event, { expectedRevision: 'newStream' });
      await expect(again()).rejects.toMatchObject({ code: WRONG, expected: 'newStream', actual: 0n });
      await store.deleteStream('s');
      // 'noStream' would take it.
      await expect(again()).rejects.toMatchObject({ code: WRONG, actual: 0n });
      expect(await revisionsOf(store, 's')).toEqual([]);
    }));

  test('recognizes a repetition', () =>
    withStore(async (store) => {
      const known = { ...event, id: '00000000-0000-4000-8000-000000000001' };
      const first = await store.appendToStream('s', known, { expectedRevision: 'newStream' });
      expect(await store.appendToStream('s', known, { expectedRevision: 'newStream' })).toEqual(first);
    }));

  test('of two at the same time one wins', () =>
    withStore(async (store) => {
      const appending = [1, 2].map(() => store.appendToStream('s', event, { expectedRevision: 'newStream' }));
      const outcomes = (await Promise.allSettled(appending)).map(({ status }) => status);
      expect(outcomes).toEqual(['fulfilled', 'rejected']);
    }));
});

describe('lastRevision', () => {
  test('is -1n of a stream that was never there, else the newest, whatever was given up', () =>
    withStore(async (store) => {
      expect(await store.lastRevision('s')).toBe(-1n);
      await store.appendToStream('s', [event, event, event]);
      expect(await store.lastRevision('s')).toBe(2n);
      await store.truncateStream('s', 3n);
      expect(await store.lastRevision('s')).toBe(2n);
      await store.appendToStream('t', event);
      await store.tombstoneStream('t');
      expect(await store.lastRevision('t')).toBe(0n);
    }));

  test('survives a purge of all events and a reopening', async () => {
    const disk = new SimulatedDisk();
    const store = await openStore(disk);
    await fill(store, 's', 60);
    await store.deleteStream('s');
    await fill(store, 'other', 60);
    expect((await store.purge()).segments).toBeGreaterThan(0);
    expect(await store.lastRevision('s')).toBe(59n);
    await store.close();
    const reopened = await openStore(disk);
    expect(await reopened.lastRevision('s')).toBe(59n);
    await reopened.close();
  });

  test('waits for what was asked for before it, so what it tells is durable', () =>
    withStore(async (store, disk) => {
      const written = store.appendToStream('s', event, { ack: 'written' });
      expect(await store.lastRevision('s')).toBe(0n);
      await written;
      const crashed = await openStore(disk.crashed(new Random(1), 'none'));
      expect(await crashed.lastRevision('s')).toBe(0n);
      await crashed.close();
    }));

  test('is refused of a closed store, and of what is no stream', () =>
    withStore(async (store) => {
      await expect(store.lastRevision('')).rejects.toMatchObject({ code: 'ERR_VARVE_INVALID_OPTION' });
      await store.close();
      await expect(store.lastRevision('s')).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
    }));
});

describe('beginStreamAt', () => {
  test('the first event gets that revision, also after a reopening', async () => {
    const disk = new SimulatedDisk();
    const store = await openStore(disk);
    await store.beginStreamAt('s', 5n);
    expect(await store.streamExists('s')).toBe(false);
    expect(await store.lastRevision('s')).toBe(4n);
    await store.beginStreamAt('t', 7n);
    expect(await store.appendToStream('t', event, { expectedRevision: 6n })).toMatchObject({
      nextExpectedRevision: 7n,
      createdNewStream: true,
    });
    await store.close();
    const reopened = await openStore(disk);
    await expect(reopened.appendToStream('s', event, { expectedRevision: 'newStream' })).rejects.toMatchObject({
      code: WRONG,
      actual: 4n,
    });
    await reopened.appendToStream('s', [event, event], { expectedRevision: 4n });
    expect(await revisionsOf(reopened, 's')).toEqual([5, 6]);
    expect(await revisionsOf(reopened, 't')).toEqual([7]);
    await reopened.close();
  });

  test('goes up only', () =>
    withStore(async (store) => {
      await store.beginStreamAt('s', 5n);
      await store.beginStreamAt('s', 3n);
      expect(await store.lastRevision('s')).toBe(4n);
      await store.beginStreamAt('s', 9n);
      expect(await store.lastRevision('s')).toBe(8n);
    }));

  test('of a stream with events it does nothing, or is refused where they would have a gap', () =>
    withStore(async (store) => {
      await store.appendToStream('s', [event, event]);
      await store.beginStreamAt('s', 2n);
      await expect(store.beginStreamAt('s', 3n)).rejects.toMatchObject({ code: WRONG, actual: 1n });
      await store.deleteStream('s');
      // Its events are on the disk still.
      await expect(store.beginStreamAt('s', 3n)).rejects.toMatchObject({ code: WRONG, actual: 1n });
      expect(await store.lastRevision('s')).toBe(1n);
    }));

  test('of a stream whose events a purge has taken it is possible', () =>
    withStore(async (store) => {
      await fill(store, 's', 60);
      await fill(store, 'other', 60);
      await store.deleteStream('s');
      await store.deleteStream('other');
      await fill(store, 'newest', 60);
      await store.purge();
      await store.beginStreamAt('s', 100n);
      await store.appendToStream('s', event, { expectedRevision: 99n });
      expect(await revisionsOf(store, 's')).toEqual([100]);
    }));

  test('a tombstoned stream, and a bad revision, are refused', () =>
    withStore(async (store) => {
      await store.appendToStream('s', event);
      await store.tombstoneStream('s');
      await expect(store.beginStreamAt('s', 3n)).rejects.toMatchObject({ code: 'ERR_VARVE_STREAM_TOMBSTONED' });
      await expect(store.beginStreamAt('t', -1n)).rejects.toMatchObject({ code: 'ERR_VARVE_INVALID_OPTION' });
    }));
});

describe('the time of an append', () => {
  test.each([1, 3])('is that of its events, in %s partitions', (partitions) =>
    withStore(
      async (store) => {
        const ids = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'];
        const appends = ['a', 'b', 'c'].map((stream) => ({
          stream,
          events: ids.map((id) => ({ ...event, id })),
          expectedRevision: 'newStream' as const,
        }));
        const results = await store.appendToStreams([...appends, { stream: 'd' }]);
        for (const { stream } of appends) {
          const [first] = await store.readStream(stream).toArray();
          expect(results.find((result) => result.stream === stream)?.created).toEqual(first?.created);
        }
        expect(results.at(-1)?.created).toBeUndefined();
        const single = { stream: 'a', events: appends[0]?.events ?? [] };
        expect(
          await store.appendToStream(single.stream, single.events, { expectedRevision: 'newStream' }),
        ).toMatchObject({
          created: results[0]?.created,
        });
      },
      { partitions },
    ),
  );
});
