import { Readable } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { EventStore, ImportProgress, RecordedEvent } from 'varve';
import { SimulatedDisk } from '../../../src/testing/index.js';
import { runs } from '../../runs.js';
import { fill, openStore, range, revisionsOf, withStore } from '../../support/small-stores.js';

async function linesOf(store: EventStore, options = {}): Promise<string[]> {
  return store.exportEvents(options).toArray();
}

/** Events without what a store gives them itself. */
async function contentOf(store: EventStore): Promise<unknown[]> {
  const events = await store.readAll({ filter: { system: true } }).toArray();
  return events.map(({ position: _position, partition: _partition, lsn: _lsn, ...rest }: RecordedEvent) => rest);
}

async function copied(lines: Parameters<EventStore['importEvents']>[0], options = {}): Promise<unknown[]> {
  const store = await openStore(new SimulatedDisk({ seed: 99 }), options);
  try {
    await store.importEvents(lines);
    return await contentOf(store);
  } finally {
    await store.close();
  }
}

async function makeAll(store: EventStore): Promise<void> {
  await store.appendToStream('a', [
    { type: 'Plain', data: { sku: 'a', count: 2, text: 'line\nfeed \u2028 \ud800 \0' } },
    {
      type: 'Tagged',
      data: { at: new Date(5), big: 5n, map: new Map([[1, new Uint8Array([1, 2])]]), none: undefined },
    },
    { type: 'Nothing' },
    {
      type: 'Full',
      data: [1.5, -0, 1e21, Number.NaN],
      metadata: { user: 'u', when: new Date(7) },
      tags: ['x', 'y'],
      correlationId: 'c-1',
      causationId: 'c-2',
      schemaVersion: 3,
    },
    { type: 'Meta', metadata: { plain: true }, data: JSON.parse('{"__proto__":1,"10":2,"9":3}') },
  ]);
  await store.appendToStream('b', { type: 'Once' });
  await store.setStreamMetadata('a', { maxCount: 4, custom: { owner: 'me' } });
  await store.deleteStream('b');
}

describe('what is exported and imported', () => {
  test('is the same again: ids, revisions, times, data, metadata', () =>
    withStore(async (store, disk) => {
      await makeAll(store);
      disk.advance(1000);
      await store.appendToStream('b', { type: 'Again' });
      const content = await contentOf(store);
      expect(await copied(store.exportEvents())).toEqual(content);
      expect(await copied(store.exportEvents(), { partitions: 3 })).toEqual(content);
    }));

  test('whatever way the bytes are cut', () =>
    withStore(async (store) => {
      await makeAll(store);
      const content = await contentOf(store);
      const bytes = Buffer.from((await linesOf(store)).join(''));
      for (const size of [1, 7, 64, bytes.length]) {
        const pieces = range(0, Math.ceil(bytes.length / size) - 1).map((i) =>
          bytes.subarray(i * size, (i + 1) * size),
        );
        expect(await copied(Readable.from(pieces))).toEqual(content);
      }
      const withoutEnd = bytes.toString().trimEnd();
      expect(await copied([Buffer.from(`\ufeff${withoutEnd.split('\n').join('\r\n\n')}`)])).toEqual(content);
    }));

  test('plain data stand as they are, others as base64', () =>
    withStore(async (store) => {
      await makeAll(store);
      const lines = (await linesOf(store)).map((line) => JSON.parse(line));
      expect(lines[0]).toMatchObject({ stream: 'a', revision: 0, position: 1, data: { sku: 'a', count: 2 } });
      expect(lines[1].data).toBeUndefined();
      expect(Buffer.from(lines[1].dataBase64, 'base64').toString()[0]).toBe('~');
      expect(lines[3]).toMatchObject({ tags: ['x', 'y'], correlationId: 'c-1', causationId: 'c-2', schemaVersion: 3 });
    }));

  test('raw bytes, and bytes of a codec of the application', async () => {
    const codec = {
      name: 'mine',
      encode: (value: unknown) => Buffer.from([Number(value)]),
      decode: (b: Uint8Array) => b[0],
    };
    for (const [options, data] of [
      [{ codec: 'raw' }, new Uint8Array([0, 255, 10])],
      [{ codec }, 7],
    ] as const) {
      await withStore(async (store) => {
        await store.appendToStream('a', { type: 'A', data });
        expect(await copied(store.exportEvents(), options)).toEqual(await contentOf(store));
      }, options);
    }
    await withStore(
      async (store) => {
        await store.appendToStream('a', { type: 'A', data: 7 });
        await expect(copied(store.exportEvents())).rejects.toMatchObject({ code: 'ERR_VARVE_INVALID_EVENT', line: 1 });
      },
      { codec },
    );
  });

  test('any data the JSON codec keeps', async () => {
    const value = fc.jsonValue();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ data: value, metadata: value }), { minLength: 1, maxLength: 5 }),
        async (events) =>
          withStore(async (store) => {
            await store.appendToStream(
              's',
              events.map((event) => ({ type: 'T', ...event })),
            );
            expect(await copied(store.exportEvents())).toEqual(await contentOf(store));
          }),
      ),
      { numRuns: runs(20) },
    );
  });

  test('of a purged store: revisions go on where they were', () =>
    withStore(async (store) => {
      await fill(store, 'a', 60);
      await fill(store, 'gone', 3);
      await store.deleteStream('gone');
      await fill(store, 'a', 40);
      const floor = { checkpoint: store.checkpoint() };
      await fill(store, 'a', 10);
      await store.purge({ floor });
      const left = await revisionsOf(store, 'a');
      expect(left[0]).toBeGreaterThan(60);
      const target = await openStore(new SimulatedDisk());
      await target.importEvents(store.exportEvents());
      expect(await revisionsOf(target, 'a')).toEqual(left);
      expect((await target.streamHead('a'))?.revision).toBe(109n);
      const { nextExpectedRevision } = await target.appendToStream(
        'gone',
        { type: 'A' },
        { expectedRevision: 'noStream' },
      );
      expect(nextExpectedRevision).toBe(3n);
      await target.close();
    }));

  test('from a position on, with a filter, and with progress', () =>
    withStore(async (store) => {
      for (const n of range(1, 20)) await store.appendToStream(`s-${n % 2}`, { type: `T${n % 4}` });
      const progress: bigint[] = [];
      const onProgress = ({ position }: { position: bigint }) => progress.push(position);
      const lines = await linesOf(store, { from: 11n, filter: { streams: ['s-1'] }, onProgress });
      expect(lines.map((line) => JSON.parse(line).revision)).toEqual(range(5, 9));
      expect(progress.at(-1)).toBe(19n);
    }));

  test('system streams only when the filter says so; a signal ends it', () =>
    withStore(async (store) => {
      await store.importEvents([line({ stream: '$snapshot-a' }), line({ stream: 'a', id: 2 })]);
      expect((await linesOf(store)).map((text) => JSON.parse(text).stream)).toEqual(['a']);
      expect(await linesOf(store, { filter: { system: true } })).toHaveLength(2);
      const reason = new Error('enough');
      const signal = AbortSignal.abort(reason);
      expect(() => store.exportEvents({ signal })).toThrow(reason);
      await expect(store.importEvents([line({ stream: 'b', id: 3 })], { signal })).rejects.toBe(reason);
    }));
});

function line(fields: { stream: string; revision?: number; id?: number } & Record<string, unknown>): string {
  const { id = 1, ...rest } = fields;
  const uuid = typeof id === 'number' ? `00000000-0000-4000-8000-${String(id).padStart(12, '0')}` : id;
  return `${JSON.stringify({ revision: 0, type: 'T', created: '2026-01-01T00:00:00.000Z', data: 1, id: uuid, ...rest })}\n`;
}

describe('importing again', () => {
  test('changes nothing, and goes on where it was interrupted', () =>
    withStore(async (store) => {
      await makeAll(store);
      await fill(store, 'c', 30);
      const lines = await linesOf(store);
      const target = await openStore(new SimulatedDisk());
      const seen: ImportProgress[] = [];
      const onProgress = (progress: ImportProgress) => seen.push(progress);
      await target.importEvents(lines.slice(0, 12), { batch: 5, onProgress });
      expect(seen).toEqual([
        { lines: 5, imported: 5, skipped: 0 },
        { lines: 10, imported: 10, skipped: 0 },
        { lines: 12, imported: 12, skipped: 0 },
      ]);
      expect(await target.importEvents(lines)).toEqual({ lines: 38, imported: 26, skipped: 12 });
      expect(await target.importEvents(lines)).toEqual({ lines: 38, imported: 0, skipped: 38 });
      expect(await contentOf(target)).toEqual(await contentOf(store));
      await target.close();
    }));
});

describe('a line that is refused', () => {
  const good = [line({ stream: 'a' }), line({ stream: 'a', revision: 1, id: 2 })];
  test.each<[string, string]>([
    ['no JSON', '{"stream":\n'],
    ['no object', '[1]\n'],
    ['an unknown field', line({ stream: 'b', extra: 1 })],
    ['no stream', line({ stream: '' })],
    ['a negative revision', line({ stream: 'b', revision: -1 })],
    ['no id', line({ stream: 'b', id: 'x' as never })],
    ['no time', line({ stream: 'b', created: 'yesterday' })],
    ['no type', line({ stream: 'b', type: '' })],
    ['an unknown codec', line({ stream: 'b', codec: 'yaml' })],
    ['bad base64', line({ stream: 'b', data: undefined, dataBase64: '***' })],
    ['base64 that the codec cannot read', line({ stream: 'b', data: undefined, dataBase64: 'AAAA' })],
    ['data twice', line({ stream: 'b', dataBase64: 'MQ==' })],
    ['no data', line({ stream: 'b', data: undefined })],
    ['data of another codec that are not bytes', line({ stream: 'b', codec: 'raw' })],
    ['a gap', line({ stream: 'a', revision: 5, id: 3 })],
    ['another event at the same revision', line({ stream: 'a', revision: 1, id: 3 })],
  ])('%s: its number is told, what came before stays', (_, bad) =>
    withStore(async (store) => {
      const importing = store.importEvents([...good, bad, line({ stream: 'later', id: 9 })]);
      await expect(importing).rejects.toMatchObject({ code: 'ERR_VARVE_INVALID_EVENT', line: 3 });
      expect(await revisionsOf(store, 'a')).toEqual([0, 1]);
      expect(await store.streamExists('later')).toBe(false);
      expect(await store.streamExists('b')).toBe(false);
      expect(await store.importEvents([...good, line({ stream: 'later', id: 9 })])).toMatchObject({
        imported: 1,
        skipped: 2,
      });
    }),
  );

  test('bytes that are not UTF-8', () =>
    withStore(async (store) => {
      const pieces = [Buffer.from(good[0] as string), Buffer.from([0xff, 0x0a])];
      await expect(store.importEvents(pieces)).rejects.toMatchObject({ code: 'ERR_VARVE_INVALID_EVENT', line: 2 });
      expect(await revisionsOf(store, 'a')).toEqual([0]);
    }));

  test('what the source throws is passed on, after what it gave has been imported', () =>
    withStore(async (store) => {
      const failed = new Error('the file is gone');
      async function* source() {
        yield good[0] as string;
        throw failed;
      }
      await expect(store.importEvents(source())).rejects.toBe(failed);
      expect(await revisionsOf(store, 'a')).toEqual([0]);
    }));

  test('a store that has tombstoned the stream', () =>
    withStore(async (store) => {
      await fill(store, 'a', 1);
      await store.tombstoneStream('a');
      await expect(store.importEvents([line({ stream: 'a', revision: 1 })])).rejects.toMatchObject({
        code: 'ERR_VARVE_STREAM_TOMBSTONED',
      });
    }));
});
