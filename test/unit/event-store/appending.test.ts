/** What appends are refused for, what they result in, and which are recognized as repetitions. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { AppendToStreamOptions, EventInput, EventStore, ExpectedRevision, StreamAppend } from 'varve';
import { SimulatedDisk } from '../../../src/testing/simulated-disk.js';
import { open } from '../../support/event-history.js';

let disk: SimulatedDisk;
let store: EventStore;

beforeEach(async () => {
  disk = new SimulatedDisk();
  store = await open(disk, { partitions: 3, segmentSize: 8192 });
});
afterEach(() => store.close());

async function reopen(): Promise<void> {
  await store.close();
  store = await open(disk, { partitions: 3, segmentSize: 8192 });
}

const ID = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const event = (id?: number): EventInput => ({ type: 'T', ...(id === undefined ? {} : { id: ID(id) }) });
const count = async (stream: string) => (await store.readStream(stream).toArray()).length;

describe('what is refused', () => {
  const lone = '\ud800';
  test.each<[string, EventInput]>([
    ['events[0].type', { type: '' }],
    ['events[0].type', { type: 'é'.repeat(257) }],
    ['events[0].type', { type: lone }],
    ['events[0].type', {} as EventInput],
    ['events[0].id', { type: 'T', id: '1' }],
    ['events[0].id', { type: 'T', id: 1 as never }],
    ['events[0].correlationId', { type: 'T', correlationId: 'c'.repeat(1025) }],
    ['events[0].causationId', { type: 'T', causationId: '' }],
    ['events[0].tags', { type: 'T', tags: 'x' as never }],
    ['events[0].tags', { type: 'T', tags: Array.from({ length: 65 }, (_, i) => `${i}`) }],
    ['events[0].tags[1]', { type: 'T', tags: ['x', 'y'.repeat(257)] }],
    ['events[0].schemaVersion', { type: 'T', schemaVersion: 0 }],
    ['events[0].schemaVersion', { type: 'T', schemaVersion: 65_536 }],
    ['events[0].schemaVersion', { type: 'T', schemaVersion: 1.5 }],
    ['events[0].eventType', { type: 'T', eventType: 'T' } as EventInput],
    ['events[0]', null as never],
    ['events[0]', 'T' as never],
  ])('an event for its %s: %j', async (option, given) => {
    const code = 'ERR_VARVE_INVALID_EVENT';
    await expect(store.appendToStream('s', [given])).rejects.toMatchObject({ code, option, stream: 's' });
    await expect(store.appendToStreams([{ stream: 's', events: [given] }])).rejects.toMatchObject({ code, option });
    expect(await store.streamExists('s')).toBe(false);
  });

  test.each<[string, EventInput]>([
    ['events[0].data.f', { type: 'T', data: { f: () => 1 } }],
    ['events[0].metadata.s', { type: 'T', metadata: { s: Symbol('s') } }],
  ])('what the codec cannot keep, by its place: %s', async (valuePath, given) => {
    const code = 'ERR_VARVE_INVALID_EVENT';
    await expect(store.appendToStream('s', given)).rejects.toMatchObject({ code, valuePath });
  });

  test('the largest of everything is taken', async () => {
    const largest: EventInput = {
      type: 't'.repeat(512),
      correlationId: 'é'.repeat(512),
      causationId: 'c'.repeat(1024),
      tags: Array.from({ length: 16 }, (_, i) => String(i).padEnd(256, '.')),
      schemaVersion: 65_535,
      id: ID(1).toUpperCase(),
    };
    const stream = 's'.repeat(1024);
    await store.close();
    store = await open(new SimulatedDisk(), { segmentSize: 16 * 1024 });
    await store.appendToStream(stream, largest);
    expect(await store.readStream(stream).toArray()).toMatchObject([{ ...largest, id: ID(1), stream }]);
  });

  test.each(['', 's'.repeat(1025), 'é'.repeat(513), lone, '$s', '$$s', 7, undefined])(
    'the stream %j',
    async (given) => {
      const refusal = { code: 'ERR_VARVE_INVALID_OPTION', option: 'stream' };
      const stream = given as string;
      await expect(store.appendToStream(stream, event())).rejects.toMatchObject(refusal);
      await expect(store.appendToStreams([{ stream, events: [event()] }])).rejects.toMatchObject(refusal);
      await expect(store.deleteStream(stream)).rejects.toMatchObject(refusal);
      await expect(store.setStreamMetadata(stream, {})).rejects.toMatchObject(refusal);
      if (given !== '$s' && given !== '$$s')
        expect(() => store.readStream(stream)).toThrow(expect.objectContaining(refusal));
    },
  );

  test.each([-1n, 1, '1', 'none', null, 2n ** 53n])('the expected revision %p', async (given) => {
    const expectedRevision = given as ExpectedRevision;
    const refusal = { code: 'ERR_VARVE_INVALID_OPTION', option: 'expectedRevision' };
    await expect(store.appendToStream('s', event(), { expectedRevision })).rejects.toMatchObject(refusal);
    await expect(store.deleteStream('s', { expectedRevision })).rejects.toMatchObject(refusal);
    expect(await store.streamExists('s')).toBe(false);
  });

  test.each<[string, () => unknown]>([
    ['events', () => store.appendToStream('s', [])],
    ['appends', () => store.appendToStreams([])],
    ['appends', () => store.appendToStreams([{ stream: 's' }])],
    ['appends', () => store.appendToStreams([event(), event()].map((each) => ({ stream: 's', events: [each] })))],
    ['appends[0]', () => store.appendToStreams([null as unknown as StreamAppend])],
    [
      'appends[0].expected',
      () => store.appendToStreams([{ stream: 's', events: [event()], expected: 0n } as StreamAppend]),
    ],
    ['expected', () => store.appendToStream('s', event(), { expected: 0n } as AppendToStreamOptions)],
    ['ack', () => store.appendToStream('s', event(), { ack: 'maybe' as never })],
    ['expected', () => store.deleteStream('s', { expected: 0n } as never)],
    ['revisionToKeep', () => store.truncateStream('s', 1 as never)],
    ['metadata.maxCount', () => store.setStreamMetadata('s', { maxCount: 0 })],
    ['metadata.maxAge', () => store.setStreamMetadata('s', { maxAge: -1 })],
    ['metadata.tombstoned', () => store.setStreamMetadata('s', { tombstoned: true } as never)],
    ['fromRevision', () => store.readStream('s', { fromRevision: -1n })],
    ['maxCount', () => store.readStream('s', { maxCount: -1 })],
    ['direction', () => store.readAll({ direction: 'up' as never })],
    ['position', () => store.readAll({ from: '12' })],
    ['checkpoint', () => store.readAll({ from: { checkpoint: '1.2' } })],
    ['from', () => store.subscribeToStream('s', { from: 0 as never })],
    ['filter.type', () => store.readAll({ filter: { type: 'T' } as never })],
    ['filter.tags', () => store.subscribeToAll({ filter: { tags: 'x' as never } })],
  ])('a wrong %s', async (option, act) => {
    await expect((async () => act())()).rejects.toMatchObject({ code: 'ERR_VARVE_INVALID_OPTION', option });
    expect(await store.streamExists('s')).toBe(false);
  });

  test('an event that is larger than a segment, and nothing else with it', async () => {
    const code = 'ERR_VARVE_RECORD_TOO_LARGE';
    const large = { type: 'T', data: 'x'.repeat(8192) };
    const appends = [
      store.appendToStream('s', event()),
      store.appendToStream('s', large),
      store.appendToStream('s', event()),
    ];
    await expect(appends[1]).rejects.toMatchObject({ code });
    expect(await Promise.all([appends[0], appends[2]])).toMatchObject([
      { nextExpectedRevision: 0n },
      { nextExpectedRevision: 1n },
    ]);
    const both = ['s', 't', 'u', 'v'].map((stream) => ({ stream, events: [{ type: 'T', data: 'x'.repeat(3000) }] }));
    await expect(store.appendToStreams(both)).rejects.toMatchObject({ code });
    expect(await count('s')).toBe(2);
    expect(await store.streamExists('t')).toBe(false);
    expect(await store.appendToStream('s', event())).toMatchObject({ nextExpectedRevision: 2n });
  });

  test('everything, once it is closed', async () => {
    await store.close();
    const code = 'ERR_VARVE_CLOSED';
    const attempts = [
      () => store.appendToStream('s', event()),
      () => store.appendToStreams([{ stream: 's', events: [event()] }]),
      () => store.deleteStream('s'),
      () => store.setStreamMetadata('s', {}),
      () => store.streamHead('s'),
      () => store.readStream('s').toArray(),
      () => store.readAll().toArray(),
    ];
    for (const attempt of attempts) await expect(attempt()).rejects.toMatchObject({ code });
  });

  test('another number of partitions', async () => {
    await store.close();
    const refusal = { code: 'ERR_VARVE_INVALID_OPTION', option: 'partitions' };
    await expect(open(disk, { partitions: 4 })).rejects.toMatchObject(refusal);
    store = await open(disk);
    expect(store.partitions).toBe(3);
  });
});

describe('expected revisions', () => {
  type Prepare = () => Promise<unknown>;
  const three = () => store.appendToStream('s', [event(), event(), event()]);
  const states: Record<string, Prepare> = {
    none: async () => {},
    'of three events': three,
    deleted: () => three().then(() => store.deleteStream('s')),
    'deleted and there again': () =>
      three()
        .then(() => store.deleteStream('s'))
        .then(() => store.appendToStream('s', event())),
    truncated: () => three().then(() => store.truncateStream('s', 2n)),
    tombstoned: () => three().then(() => store.tombstoneStream('s')),
  };
  /** The revision that the append leads to, or what the error says is there. */
  const matrix: [string, ExpectedRevision, { next: bigint } | { actual: bigint | 'noStream' } | 'tombstoned'][] = [
    ['none', 'any', { next: 0n }],
    ['none', 'noStream', { next: 0n }],
    ['none', 'streamExists', { actual: 'noStream' }],
    ['none', 0n, { actual: 'noStream' }],
    ['of three events', 'any', { next: 3n }],
    ['of three events', 'noStream', { actual: 2n }],
    ['of three events', 'streamExists', { next: 3n }],
    ['of three events', 2n, { next: 3n }],
    ['of three events', 1n, { actual: 2n }],
    ['of three events', 3n, { actual: 2n }],
    ['deleted', 'any', { next: 3n }],
    ['deleted', 'noStream', { next: 3n }],
    ['deleted', 'streamExists', { actual: 2n }],
    ['deleted', 2n, { next: 3n }],
    ['deleted', 1n, { actual: 2n }],
    ['deleted and there again', 'noStream', { actual: 3n }],
    ['deleted and there again', 'streamExists', { next: 4n }],
    ['deleted and there again', 3n, { next: 4n }],
    ['truncated', 'noStream', { actual: 2n }],
    ['truncated', 'streamExists', { next: 3n }],
    ['truncated', 2n, { next: 3n }],
    ['tombstoned', 'any', 'tombstoned'],
    ['tombstoned', 'noStream', 'tombstoned'],
    ['tombstoned', 2n, 'tombstoned'],
  ];
  const ways: Record<string, (expectedRevision: ExpectedRevision) => Promise<{ nextExpectedRevision: bigint }>> = {
    alone: (expectedRevision) => store.appendToStream('s', event(), { expectedRevision }),
    'with another stream': (expectedRevision) =>
      store
        .appendToStreams([
          { stream: 'other', events: [event()] },
          { stream: 's', events: [event()], expectedRevision },
        ])
        .then(([, result]) => result as { nextExpectedRevision: bigint }),
    'after a reopening': (expectedRevision) => reopen().then(() => ways.alone?.(expectedRevision) as never),
  };
  for (const [way, append] of Object.entries(ways)) {
    test.each(matrix)(`a stream: %s; expected: %p; ${way}`, async (state, expected, outcome) => {
      await states[state]?.();
      if (outcome === 'tombstoned') {
        await expect(append(expected)).rejects.toMatchObject({ code: 'ERR_VARVE_STREAM_TOMBSTONED', stream: 's' });
      } else if ('actual' in outcome) {
        const { actual } = outcome;
        await expect(append(expected)).rejects.toMatchObject({
          code: 'ERR_VARVE_WRONG_REVISION',
          stream: 's',
          expected,
          actual,
        });
        expect(await store.streamExists('other')).toBe(false);
      } else {
        expect(await append(expected)).toMatchObject({ nextExpectedRevision: outcome.next });
      }
    });
  }

  test('a stream that is only checked decides too', async () => {
    await store.appendToStream('s', event());
    const append = (expectedRevision: ExpectedRevision) =>
      store.appendToStreams([
        { stream: 's', expectedRevision },
        { stream: 'other', events: [event()] },
        { stream: 'new', expectedRevision: 'noStream' },
      ]);
    await expect(append(1n)).rejects.toMatchObject({ code: 'ERR_VARVE_WRONG_REVISION', stream: 's', actual: 0n });
    expect(await store.streamExists('other')).toBe(false);
    expect(await append(0n)).toMatchObject([
      { stream: 's', nextExpectedRevision: 0n, positions: [], createdNewStream: false },
      { stream: 'other', nextExpectedRevision: 0n, createdNewStream: true },
      { stream: 'new', nextExpectedRevision: -1n, positions: [], createdNewStream: false },
    ]);
    expect(await count('s')).toBe(1);
  });
});

test('who is refused sees, when trying again, what for: retries come to an end', async () => {
  const withdraw = async (stream: string, extra: StreamAppend[]) => {
    for (let attempts = 1; ; attempts++) {
      const events = await store.readStream(stream).toArray();
      const expectedRevision: ExpectedRevision = events.at(-1)?.revision ?? 'noStream';
      const append = { stream, events: [event()], expectedRevision };
      const done = await store.appendToStreams([append, ...extra]).then(
        () => true,
        () => false,
      );
      if (done) return attempts;
    }
  };
  // Each round of attempts has one that wins, so the last writer needs as many as there are.
  for (const extra of [[], ['t', 'u', 'v'].map((stream) => ({ stream, events: [event()] }))]) {
    const stream = `s${extra.length}`;
    const attempts = await Promise.all(Array.from({ length: 8 }, () => withdraw(stream, extra)));
    expect(Math.max(...attempts)).toBeLessThanOrEqual(8);
    expect(await count(stream)).toBe(8);
  }
});

describe('deletion and metadata', () => {
  test('what is not there cannot be deleted', async () => {
    const code = 'ERR_VARVE_STREAM_NOT_FOUND';
    for (const act of [
      () => store.deleteStream('s'),
      () => store.tombstoneStream('s'),
      () => store.truncateStream('s', 0n),
    ]) {
      await expect(act()).rejects.toMatchObject({ code, stream: 's' });
    }
    await store.appendToStream('s', event());
    await store.deleteStream('s');
    await expect(store.deleteStream('s')).rejects.toMatchObject({ code });
  });

  test('a deletion may expect a revision', async () => {
    await store.appendToStream('s', [event(), event()]);
    const refusal = { code: 'ERR_VARVE_WRONG_REVISION', expected: 0n, actual: 1n };
    await expect(store.deleteStream('s', { expectedRevision: 0n })).rejects.toMatchObject(refusal);
    await expect(store.tombstoneStream('s', { expectedRevision: 0n })).rejects.toMatchObject(refusal);
    await store.deleteStream('s', { expectedRevision: 1n });
    expect(await store.streamExists('s')).toBe(false);
  });

  test('a deleted stream that is there again is new, whichever way it was appended to', async () => {
    for (const stream of ['s', 't']) {
      await store.appendToStream(stream, event());
      await store.deleteStream(stream);
    }
    expect(await store.appendToStream('s', event())).toMatchObject({
      nextExpectedRevision: 1n,
      createdNewStream: true,
    });
    const parts = ['t', 'u', 'v'].map((stream) => ({ stream, events: [event()] }));
    expect(await store.appendToStreams(parts)).toMatchObject([
      { nextExpectedRevision: 1n, createdNewStream: true },
      { createdNewStream: true },
      { createdNewStream: true },
    ]);
  });

  test('a tombstone stays, whatever metadata are set', async () => {
    await store.appendToStream('s', event());
    await store.tombstoneStream('s');
    const code = 'ERR_VARVE_STREAM_TOMBSTONED';
    await expect(store.setStreamMetadata('s', { maxCount: 1 })).rejects.toMatchObject({ code });
    await expect(store.deleteStream('s')).rejects.toMatchObject({ code });
    await expect(store.tombstoneStream('s')).rejects.toMatchObject({ code });
    await expect(store.appendToStream('s', event())).rejects.toMatchObject({ code });
  });

  test('truncating past the end hides nothing that is still to come', async () => {
    await store.appendToStream('s', event());
    await store.truncateStream('s', 100n);
    expect(await store.streamExists('s')).toBe(false);
    await store.appendToStream('s', event());
    expect(await store.readStream('s').toArray()).toMatchObject([{ revision: 1n }]);
  });

  test('a truncation before an earlier one, or before a deletion, brings nothing back', async () => {
    await store.appendToStream('s', [event(), event(), event()]);
    await store.truncateStream('s', 2n);
    await store.truncateStream('s', 1n);
    expect(await store.readStream('s').toArray()).toMatchObject([{ revision: 2n }]);
    await store.deleteStream('s');
    await store.appendToStream('s', event());
    await store.truncateStream('s', 0n);
    expect(await store.readStream('s').toArray()).toMatchObject([{ revision: 3n }]);
  });

  test('metadata have revisions of their own', async () => {
    expect(await store.setStreamMetadata('s', { maxCount: 2 }, { expectedRevision: 'noStream' })).toMatchObject({
      nextExpectedRevision: 0n,
    });
    const refusal = { code: 'ERR_VARVE_WRONG_REVISION', stream: '$$s', actual: 0n };
    await expect(store.setStreamMetadata('s', {}, { expectedRevision: 1n })).rejects.toMatchObject(refusal);
    await store.setStreamMetadata('s', { custom: { owner: 'me' } }, { expectedRevision: 0n });
    expect(await store.getStreamMetadata('s')).toEqual({ custom: { owner: 'me' } });
  });
});

test.each<ExpectedRevision>(['noStream', 0n])(
  'of appends in one turn that expect %s the first wins',
  async (expected) => {
    if (expected === 0n) await store.appendToStream('s', event());
    const options = { expectedRevision: expected };
    const appends = [1, 2, 3].map(() => store.appendToStream('s', event(), options));
    const outcomes = (await Promise.allSettled(appends)).map(({ status }) => status);
    expect(outcomes).toEqual(['fulfilled', 'rejected', 'rejected']);
    expect(await count('s')).toBe(expected === 0n ? 2 : 1);
  },
);

describe('the same ids again', () => {
  const first = (options?: AppendToStreamOptions) => store.appendToStream('s', [event(1), event(2)], options);

  test.each<[string, ExpectedRevision]>([
    ['any', 'any'],
    ['noStream', 'noStream'],
  ])('with %s lead to the first result', async (_name, expectedRevision) => {
    const result = await first({ expectedRevision });
    await store.appendToStream('s', [event(3)]);
    expect(await first({ expectedRevision })).toEqual(result);
    expect(await count('s')).toBe(3);
  });

  test('with a revision lead to the first result, also after a reopening', async () => {
    await store.appendToStream('s', event());
    const result = await first({ expectedRevision: 0n });
    await store.appendToStream('s', event());
    await reopen();
    expect(await first({ expectedRevision: 0n })).toEqual(result);
    expect(await count('s')).toBe(4);
  });

  test('with any lead to the first result after a reopening, while they are in the newest segment', async () => {
    const result = await first();
    await store.appendToStream('s', event());
    await reopen();
    expect(await first()).toEqual(result);
    expect(await count('s')).toBe(3);
  });

  test('at the same time are appended once', async () => {
    for (const expectedRevision of ['any', 'noStream'] as const) {
      const stream = expectedRevision;
      const id = expectedRevision === 'any' ? 1 : 2;
      const append = () => store.appendToStream(stream, event(id), { expectedRevision });
      const results = await Promise.all([append(), append(), append()]);
      expect(new Set(results.map(({ positions }) => positions[0])).size).toBe(1);
      expect(await count(stream)).toBe(1);
    }
  });

  test('over several streams lead to the first results', async () => {
    const parts = ['s', 't', 'u'].map((stream, i) => ({
      stream,
      events: [event(i)],
      expectedRevision: 'any' as const,
    }));
    const results = await store.appendToStreams(parts);
    expect(await store.appendToStreams(parts)).toEqual(results);
    expect(await Promise.all(['s', 't', 'u'].map(count))).toEqual([1, 1, 1]);
  });

  test('of a written append resolve when it is durable', async () => {
    let release = () => {};
    const hold = new Promise<void>((resolve) => {
      release = resolve;
    });
    const lift = disk.faults.add({ kind: 'sync', file: 'part_*', times: 9, fault: { hold } });
    await store.appendToStream('s', event(1), { ack: 'written' });
    await store.appendToStream('t', event(2), { ack: 'written' });
    let resolved = false;
    const parts = ['s', 't'].map((stream, i) => ({ stream, events: [event(i + 1)] }));
    const again = Promise.all([store.appendToStream('s', event(1)), store.appendToStreams(parts)]).then(() => {
      resolved = true;
    });
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    expect(resolved).toBe(false);
    lift();
    release();
    await again;
    expect(await count('s')).toBe(1);
  });

  test('with other ones among them are no repetition', async () => {
    await first({ expectedRevision: 'noStream' });
    const code = 'ERR_VARVE_WRONG_REVISION';
    const append = (events: EventInput[]) => store.appendToStream('s', events, { expectedRevision: 'noStream' });
    await expect(append([event(1), event(3)])).rejects.toMatchObject({ code, actual: 1n });
    await expect(append([event(1), event(2), event(3)])).rejects.toMatchObject({ code });
    await expect(append([event(4)])).rejects.toMatchObject({ code });
    await expect(append([event(1), event()])).rejects.toMatchObject({ code });
    expect(await count('s')).toBe(2);
  });

  test('in another stream are another append', async () => {
    await first();
    expect(await store.appendToStream('t', [event(1), event(2)])).toMatchObject({ createdNewStream: true });
    expect(await count('t')).toBe(2);
  });
});

describe('results', () => {
  test('tell revisions and positions, which grow over all partitions', async () => {
    const streams = ['a', 'b', 'c', 'd', 'e'];
    const results = [];
    for (const stream of streams) results.push(await store.appendToStream(stream, [event(), event()]));
    const positions = results.flatMap((result) => result.positions);
    expect(positions).toEqual([...positions].sort((a, b) => Number(a - b)));
    expect(new Set(positions).size).toBe(10);
    const events = await store.readAll().toArray();
    expect(events.map(({ position }) => position)).toEqual(positions);
    expect(new Set(events.map(({ partition }) => partition)).size).toBeGreaterThan(1);
  });

  test('an event comes back with all that it was given', async () => {
    const given = {
      type: 'T',
      id: ID(7),
      data: { at: new Date(0), n: 1n },
      metadata: { who: 'me' },
      correlationId: 'co',
      causationId: 'ca',
      tags: ['x', 'x'],
      schemaVersion: 3,
    };
    disk.advance(1000);
    const now = disk.now();
    await store.appendToStream('s', given);
    const [found] = await store.readAll({ filter: { tags: ['x'] } }).toArray();
    expect(found).toMatchObject({ ...given, stream: 's', revision: 0n, partition: expect.any(Number), lsn: 1 });
    expect(found?.created.getTime()).toBeGreaterThanOrEqual(now);
    const [made] = (await store.appendToStream('t', event())) && (await store.readStream('t').toArray());
    expect(made?.id).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
    expect(made).toMatchObject({ data: undefined, metadata: undefined, correlationId: undefined, tags: [] });
  });
});
