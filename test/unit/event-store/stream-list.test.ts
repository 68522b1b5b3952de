import { describe, expect, test } from '@jest/globals';
import type { EventStore, ListedStream } from 'varve';
import { fill, openStore, range, withStore } from '../../support/small-stores.js';

async function pages(store: EventStore, limit: number, options = {}): Promise<ListedStream[][]> {
  const all: ListedStream[][] = [];
  let after: string | undefined;
  do {
    const page = await store.listStreams({ ...options, limit, ...(after === undefined ? {} : { after }) });
    if (page.streams.length > 0) all.push([...page.streams]);
    after = page.next;
  } while (after !== undefined);
  return all;
}

const names = (listed: readonly ListedStream[]) => listed.map(({ stream }) => stream);

/** `count` streams in an order that is not that of their names, with events in several segments each. */
async function grow(store: EventStore, count: number): Promise<string[]> {
  const made = range(1, count).map((n) => `s-${(n * 7) % count}`);
  for (const stream of made) await fill(store, stream, 1);
  for (const stream of [...made].reverse()) await fill(store, stream, 2);
  return made;
}

describe('streams', () => {
  test('come in the order of their first events, with first position and revision', () =>
    withStore(async (store, disk) => {
      const made = await grow(store, 40);
      const listed = await store.streams().toArray();
      expect(names(listed)).toEqual(made);
      expect(listed.map(({ firstPosition }) => Number(firstPosition))).toEqual(range(1, 40));
      expect(new Set(listed.map(({ revision }) => revision))).toEqual(new Set([2n]));
      await store.close();
      const again = await openStore(disk); // now from index files
      expect(await again.streams().toArray()).toEqual(listed);
      await again.close();
    }));

  test.each([1, 3, 7, 40, 41])('in pages of %d', (limit) =>
    withStore(async (store) => {
      const made = await grow(store, 40);
      const all = await pages(store, limit);
      for (const page of all.slice(0, -1)) expect(page).toHaveLength(limit);
      expect(names(all.flat())).toEqual(made);
      expect(names(await store.streams({ limit }).toArray())).toEqual(made);
    }),
  );

  test('of several partitions: one partition after the other', () =>
    withStore(
      async (store) => {
        const made = await grow(store, 40);
        const listed = (await pages(store, 6)).flat();
        expect(names(listed).sort()).toEqual([...made].sort());
        const partitionOf = new Map<string, number>();
        for (const event of await store.readAll().toArray()) partitionOf.set(event.stream, event.partition);
        const partitions = listed.map(({ stream }) => partitionOf.get(stream) as number);
        expect(partitions).toEqual([...partitions].sort());
        expect(new Set(partitions).size).toBe(4);
        for (const partition of new Set(partitions)) {
          const positions = listed
            .filter((_, i) => partitions[i] === partition)
            .map(({ firstPosition }) => firstPosition);
          expect(positions).toEqual([...positions].sort((a, b) => Number(a - b)));
        }
      },
      { partitions: 4 },
    ));

  test('by prefix', () =>
    withStore(async (store) => {
      const made = await grow(store, 40);
      const wanted = made.filter((stream) => stream.startsWith('s-1'));
      expect(names((await pages(store, 3, { prefix: 's-1' })).flat())).toEqual(wanted);
      expect(await pages(store, 3, { prefix: 'none' })).toEqual([]);
    }));

  test('that are made between two pages come at the end, and what is appended disturbs nothing', () =>
    withStore(async (store) => {
      const made = await grow(store, 20);
      const first = await store.listStreams({ limit: 10 });
      await fill(store, 'new', 1);
      for (const stream of made) await fill(store, stream, 1);
      const rest = await store.listStreams({ limit: 1000, after: first.next as string });
      expect(names([...first.streams, ...rest.streams])).toEqual([...made, 'new']);
      expect(rest.next).toBeUndefined();
    }));

  test('that were deleted or tombstoned are not listed', () =>
    withStore(async (store) => {
      for (const stream of ['a', 'b', 'c', 'd']) await fill(store, stream, 2);
      await store.deleteStream('b');
      await store.tombstoneStream('c');
      expect(names(await store.streams().toArray())).toEqual(['a', 'd']);
      await fill(store, 'b', 1);
      expect(names(await store.streams({ limit: 1 }).toArray())).toEqual(['a', 'b', 'd']);
    }));

  test('of the store itself only when asked for', () =>
    withStore(async (store) => {
      await fill(store, 'a', 1);
      await store.setStreamMetadata('a', { maxCount: 5 });
      expect(names(await store.streams().toArray())).toEqual(['a']);
      expect(names(await store.streams({ system: true }).toArray())).toEqual(['a', '$$a']);
    }));

  test('whose first events were purged stand where their oldest event is', () =>
    withStore(async (store, disk) => {
      await fill(store, 'a', 40);
      await fill(store, 'b', 5);
      const floor = { checkpoint: store.checkpoint() };
      await fill(store, 'c', 30);
      await fill(store, 'a', 30);
      await fill(store, 'b', 1);
      await store.purge({ floor });
      const expected: ListedStream[] = [];
      for (const event of await store.readAll().toArray()) {
        if (expected.some(({ stream }) => stream === event.stream)) continue;
        const revision = (await store.streamHead(event.stream))?.revision as bigint;
        expected.push({ stream: event.stream, firstPosition: event.position, revision });
      }
      expect(expected).toHaveLength(3);
      expect((await pages(store, 1)).flat()).toEqual(expected);
      await store.close();
      const again = await openStore(disk);
      expect((await pages(again, 2)).flat()).toEqual(expected);
      await again.close();
    }));

  test('bad options are refused', () =>
    withStore(async (store) => {
      const refused = { code: 'ERR_VARVE_INVALID_OPTION' };
      for (const options of [
        { limit: 0 },
        { after: 'x' },
        { after: '2-1' },
        { prefix: '' },
        { order: 'name' },
        { x: 1 },
      ]) {
        await expect(store.listStreams(options as never)).rejects.toMatchObject(refused);
      }
      await store.close();
      await expect(store.listStreams()).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
    }));
});
