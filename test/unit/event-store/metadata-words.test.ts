import { describe, expect, test } from '@jest/globals';
import { fill, range, revisionsOf, withStore } from '../../support/small-stores.js';

describe("KurrentDB's words for stream metadata", () => {
  test('mean the same as ours; $maxAge is in seconds', () =>
    withStore(async (store) => {
      await store.setStreamMetadata('s', { $tb: 3, $maxCount: 10, $maxAge: 60, custom: { a: 1 } });
      expect(await store.getStreamMetadata('s')).toEqual({
        truncateBefore: 3,
        maxCount: 10,
        maxAge: 60_000,
        custom: { a: 1 },
      });
      await fill(store, 's', 6);
      expect(await revisionsOf(store, 's')).toEqual(range(3, 5));
    }));

  test('replace all that was said before', () =>
    withStore(async (store) => {
      await store.setStreamMetadata('s', { maxAge: 5 });
      await store.setStreamMetadata('s', { $maxCount: 1 });
      expect(await store.getStreamMetadata('s')).toEqual({ maxCount: 1 });
    }));

  test.each([
    { $tb: -1 },
    { $maxCount: 0 },
    { $maxAge: 0 },
    { $maxAge: Number.MAX_SAFE_INTEGER },
    { $maxAge: 1, maxAge: 1000 },
    { $tb: 1, truncateBefore: 1 },
    { $acl: {} },
    { head: 5 },
    { tombstoned: true },
  ])('refused: %j', (metadata) =>
    withStore(async (store) => {
      await expect(store.setStreamMetadata('s', metadata as never)).rejects.toMatchObject({
        code: 'ERR_VARVE_INVALID_OPTION',
      });
      expect(await store.getStreamMetadata('s')).toEqual({});
    }),
  );

  test('expectedRevision is that of the metadata', () =>
    withStore(async (store) => {
      await store.setStreamMetadata('s', { maxCount: 1 }, { expectedRevision: 'noStream' });
      await expect(
        store.setStreamMetadata('s', { maxCount: 2 }, { expectedRevision: 'noStream' }),
      ).rejects.toMatchObject({
        code: 'ERR_VARVE_WRONG_REVISION',
        actual: 0n,
      });
      const { nextExpectedRevision } = await store.setStreamMetadata('s', { maxCount: 3 }, { expectedRevision: 0n });
      expect(nextExpectedRevision).toBe(1n);
    }));
});
