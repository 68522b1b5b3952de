/**
 * Random programs over an event store, against a map of streams: every result, every refusal and every read, with
 * segments so small that index files are made all the time, lost and damaged between two openings.
 */
import assert from 'node:assert/strict';
import { test } from '@jest/globals';
import fc from 'fast-check';
import type { AllFrom, EventFilter, EventStore, ExpectedRevision, RecordedEvent, VarveError } from 'varve';
import { settled } from '../../src/testing/crash-explorer.js';
import { SimulatedDisk } from '../../src/testing/simulated-disk.js';
import { runs } from '../runs.js';
import { DIRECTORY, open } from '../support/event-history.js';

const STREAMS = ['a', 'b-1', 'b-2', 'c-1', 'd'] as const;
type Stream = (typeof STREAMS)[number];
const TYPES = ['T1', 'T2', 'T3'] as const;
const TAGS = ['x', 'y'] as const;
/** Longer by far than a whole run takes on the disk's clock, so that no read stands at the very edge of an age. */
const AGE_MS = 1_000_000_000;

/** 'right': the revision the stream has; 'wrong': another one. */
type Expecting = 'any' | 'noStream' | 'streamExists' | 'right' | 'wrong';
interface Part {
  readonly stream: Stream;
  readonly count: number;
  readonly expecting: Expecting;
}
interface Reading {
  readonly backwards: boolean;
  readonly from: number | undefined;
  readonly to: number | undefined;
  readonly maxCount: number | undefined;
}
type Step =
  | { readonly do: 'append'; readonly part: Part; readonly size: number; readonly given: boolean }
  | { readonly do: 'appendAll'; readonly parts: readonly Part[]; readonly size: number }
  | { readonly do: 'repeat'; readonly which: number }
  | { readonly do: 'delete' | 'tombstone'; readonly stream: Stream }
  | { readonly do: 'truncate'; readonly stream: Stream; readonly at: number }
  | { readonly do: 'metadata'; readonly stream: Stream; readonly maxCount?: number; readonly maxAge?: number }
  | { readonly do: 'advance'; readonly by: number }
  | ({ readonly do: 'readStream'; readonly stream: Stream } & Reading)
  | ({ readonly do: 'readAll'; readonly filter: EventFilter; readonly checkpoint: boolean } & Reading)
  | { readonly do: 'follow'; readonly from: number }
  | { readonly do: 'reopen'; readonly indexes: 'kept' | 'lost' | 'damaged'; readonly at: number };

const stream = fc.constantFrom(...STREAMS);
const optional = (max: number) => fc.option(fc.nat(max), { nil: undefined, freq: 2 });
const part: fc.Arbitrary<Part> = fc.record({
  stream,
  count: fc.integer({ min: 1, max: 4 }),
  expecting: fc.constantFrom<Expecting>('any', 'any', 'right', 'right', 'noStream', 'streamExists', 'wrong'),
});
const size = fc.constantFrom(0, 20, 100, 300, 500);
const reading = { backwards: fc.boolean(), from: optional(12), to: optional(12), maxCount: optional(6) };
const some = <T>(values: readonly T[]) => fc.option(fc.subarray([...values], { minLength: 1 }), { nil: undefined });
const filter = fc
  .record({
    streams: some(STREAMS),
    categories: some(['a', 'b', 'c', 'nothing']),
    streamPrefixes: some(['b', 'c-1', '']),
    types: some(TYPES),
    tags: some(TAGS),
  })
  .map((given) => Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as EventFilter);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('append' as const), part, size, given: fc.boolean() }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('appendAll' as const),
      parts: fc.uniqueArray(
        fc.record({ stream, count: fc.nat(2), expecting: fc.constantFrom<Expecting>('any', 'right', 'wrong') }),
        { selector: (given) => given.stream, minLength: 1 },
      ),
      size,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('repeat' as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('delete' as const), stream }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('tombstone' as const), stream: fc.constant('d' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('truncate' as const), stream, at: fc.nat(12) }) },
  {
    weight: 1,
    arbitrary: fc.record(
      {
        do: fc.constant('metadata' as const),
        stream,
        maxCount: fc.integer({ min: 1, max: 5 }),
        maxAge: fc.constantFrom(0.5 * AGE_MS, 1.5 * AGE_MS),
      },
      { requiredKeys: ['do', 'stream'] },
    ),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('advance' as const), by: fc.constantFrom(AGE_MS) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('readStream' as const), stream, ...reading }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('readAll' as const), filter, checkpoint: fc.boolean(), ...reading }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('follow' as const), from: fc.nat(20) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('reopen' as const),
      indexes: fc.constantFrom('kept' as const, 'lost' as const, 'damaged' as const),
      at: fc.nat(),
    }),
  },
);

interface Expected {
  readonly stream: Stream;
  readonly revision: bigint;
  readonly type: string;
  readonly tags: readonly string[];
  readonly mark: string;
  readonly position: bigint;
  /** Milliseconds since the epoch. */
  created: number;
}

interface ModelStream {
  readonly events: Expected[];
  truncateBefore: number | undefined;
  maxCount: number | undefined;
  maxAge: number | undefined;
  tombstoned: boolean;
}

interface Repeatable {
  readonly stream: Stream;
  readonly ids: readonly string[];
  readonly expectedRevision: ExpectedRevision;
  readonly result: object;
}

class Model {
  readonly streams = new Map<string, ModelStream>();
  /** In the order of positions. */
  readonly all: Expected[] = [];

  stream(id: string): ModelStream {
    const known = this.streams.get(id);
    if (known !== undefined) return known;
    const made = { events: [], truncateBefore: undefined, maxCount: undefined, maxAge: undefined, tombstoned: false };
    this.streams.set(id, made);
    return made;
  }

  exists(id: string): boolean {
    const { events, truncateBefore = 0, tombstoned } = this.stream(id);
    return !tombstoned && events.length > truncateBefore;
  }

  readable(id: string, now: number): Expected[] {
    if (!this.exists(id)) return [];
    const { events, truncateBefore = 0, maxCount = events.length, maxAge } = this.stream(id);
    const from = Math.max(truncateBefore, events.length - maxCount);
    return events.slice(from).filter(({ created }) => maxAge === undefined || created >= now - maxAge);
  }
}

class Run {
  readonly #disk: SimulatedDisk;
  readonly #partitions: number;
  readonly #segmentSize: number;
  readonly #model = new Model();
  #repeatable: Repeatable[] = [];
  #store!: EventStore;
  #last = 0;
  #ids = 0;

  constructor(partitions: number, segmentSize: number, seed: number) {
    this.#disk = new SimulatedDisk({ seed });
    this.#partitions = partitions;
    this.#segmentSize = segmentSize;
  }

  async play(steps: readonly Step[]): Promise<void> {
    await this.#open();
    for (const each of steps) await settled(JSON.stringify(each), this.#step(each));
    await this.#store.close();
  }

  async #open(): Promise<void> {
    // Caches so small that nothing stays in them.
    const caches = { headCacheBytes: 1024, eventCacheBytes: 1024, streamIndexCacheBytes: 1024 };
    const options = { partitions: this.#partitions, segmentSize: this.#segmentSize, ...caches };
    this.#store = await open(this.#disk, options);
  }

  async #step(given: Step): Promise<void> {
    const model = this.#model;
    switch (given.do) {
      case 'append':
        return this.#append([given.part], given.size, given.given, true);
      case 'appendAll':
        return this.#append(given.parts, given.size, false, false);
      case 'repeat': {
        const again = this.#repeatable[given.which % Math.max(1, this.#repeatable.length)];
        if (again === undefined) return;
        const events = again.ids.map((id) => ({ id, type: 'other', data: 'other' }));
        const { expectedRevision } = again;
        const result = await this.#store.appendToStream(again.stream, events, { expectedRevision });
        assert.deepEqual(result, again.result);
        return;
      }
      case 'delete':
        return this.#change(given.stream, this.#store.deleteStream(given.stream), (state) => {
          state.truncateBefore = state.events.length;
        });
      case 'tombstone':
        return this.#change(given.stream, this.#store.tombstoneStream(given.stream), (state) => {
          state.tombstoned = true;
        });
      case 'truncate':
        return this.#change(given.stream, this.#store.truncateStream(given.stream, BigInt(given.at)), (state) => {
          state.truncateBefore = Math.max(state.truncateBefore ?? 0, Math.min(given.at, state.events.length));
        });
      case 'metadata': {
        const { stream: id, maxCount, maxAge } = given;
        const state = model.stream(id);
        const { truncateBefore } = state;
        // What is said replaces all that was said before.
        const fields = Object.entries({ maxCount, maxAge, truncateBefore }).filter(([, value]) => value !== undefined);
        const setting = this.#store.setStreamMetadata(id, Object.fromEntries(fields));
        if (state.tombstoned) return this.#refused(setting, 'ERR_VARVE_STREAM_TOMBSTONED');
        await setting;
        Object.assign(state, { maxCount, maxAge });
        assert.deepEqual(await this.#store.getStreamMetadata(id), Object.fromEntries(fields));
        return;
      }
      case 'advance':
        this.#disk.advance(given.by);
        return;
      case 'readStream':
        return this.#readStream(given.stream, given);
      case 'readAll':
        return this.#readAll(given.filter, given.checkpoint, given);
      case 'follow': {
        const found: string[] = [];
        const from = BigInt(given.from);
        for await (const message of this.#store.subscribeToAll({ from }).messages()) {
          if (message.kind === 'caughtUp') break;
          if (message.kind === 'event') found.push(markOf(message.event));
        }
        assert.deepEqual(
          found,
          model.all.filter(({ position }) => position >= from).map(({ mark }) => mark),
        );
        return;
      }
      case 'reopen': {
        await this.#store.close();
        await this.#harm(given.indexes, given.at);
        await this.#open();
        // Of events whose place is not told by what is expected, ids are not remembered for ever.
        this.#repeatable = this.#repeatable.filter(({ expectedRevision }) => typeof expectedRevision === 'bigint');
        return;
      }
    }
  }

  async #harm(how: 'kept' | 'lost' | 'damaged', at: number): Promise<void> {
    const folder = `${DIRECTORY}/index`;
    const names = await this.#disk.list(folder);
    for (const [i, name] of names.entries()) {
      const path = `${folder}/${name}`;
      if (how === 'kept' || (at + i) % 3 === 0) continue;
      if (how === 'lost') await this.#disk.unlink(path);
      else {
        const bytes = this.#disk.contentOf(path) as Uint8Array;
        const offset = (at * 7919 + i) % bytes.length;
        this.#disk.damage(path, offset, Uint8Array.of((bytes[offset] as number) ^ 0x10));
      }
    }
  }

  async #append(parts: readonly Part[], size: number, given: boolean, single: boolean): Promise<void> {
    const model = this.#model;
    const op = ++this.#last;
    const appends = parts.map(({ stream: id, count, expecting }) => {
      const head = model.stream(id).events.length - 1;
      const right: ExpectedRevision = head < 0 ? 'noStream' : BigInt(head);
      const wrong = BigInt(head + 1);
      const expectedRevision = expecting === 'right' ? right : expecting === 'wrong' ? wrong : expecting;
      const events = Array.from({ length: count }, (_, i) => ({
        ...(given ? { id: `00000000-0000-4000-8000-${String(++this.#ids).padStart(12, '0')}` } : {}),
        type: TYPES[(op + i) % 3] as string,
        tags: TAGS.filter((_tag, n) => (op + i) % (n + 2) === 0),
        data: { mark: `${op}.${id}.${i}`, fill: '-'.repeat(size) },
      }));
      return { stream: id, events, expectedRevision };
    });
    const first = appends[0] as (typeof appends)[number];
    const { expectedRevision } = first;
    const appending = single
      ? this.#store.appendToStream(first.stream, first.events, { expectedRevision }).then((one) => [one])
      : this.#store.appendToStreams(appends);
    const problem = this.#problemOf(appends);
    if (problem !== undefined) return this.#refused(appending, problem);
    const results = await appending.catch((error: VarveError) => {
      if (error.code !== 'ERR_VARVE_RECORD_TOO_LARGE') throw error;
    });
    if (results === undefined) return;
    const placed: Expected[] = [];
    for (const [i, { stream: id, events }] of appends.entries()) {
      const state = model.stream(id);
      const { nextExpectedRevision, positions, createdNewStream } = results[i] as (typeof results)[number];
      assert.equal(createdNewStream, events.length > 0 && !model.exists(id));
      assert.equal(nextExpectedRevision, BigInt(state.events.length + events.length - 1));
      assert.equal(positions.length, events.length);
      for (const [n, { type, tags, data }] of events.entries()) {
        const position = positions[n] as bigint;
        const revision = BigInt(state.events.length + n);
        placed.push({ stream: id, revision, type, tags, mark: data.mark, position, created: 0 });
      }
    }
    if (given) {
      const ids = first.events.map(({ id }) => id as string);
      const result = results[0] as object;
      if (
        'createdNewStream' in result &&
        result.createdNewStream === (model.stream(first.stream).events.length === 0)
      ) {
        this.#repeatable.push({ stream: first.stream, ids, expectedRevision, result });
      }
    }
    placed.sort((a, b) => Number(a.position - b.position));
    for (const event of placed) {
      assert.ok(event.position > (model.all.at(-1)?.position ?? 0n), 'positions grow');
      model.all.push(event);
      const { events } = model.stream(event.stream);
      events[Number(event.revision)] = event;
    }
    await this.#learnTimes(placed);
  }

  /** When an event was appended is the disk's to say; it must be neither before the append nor after now. */
  async #learnTimes(placed: readonly Expected[]): Promise<void> {
    const [first] = placed;
    if (first === undefined) return;
    const events = await this.#store.readAll({ from: first.position }).toArray();
    assert.equal(events.length, placed.length);
    for (const [i, event] of events.entries()) (placed[i] as Expected).created = event.created.getTime();
  }

  #problemOf(appends: readonly { stream: string; events: readonly unknown[]; expectedRevision: ExpectedRevision }[]) {
    if (appends.every(({ events }) => events.length === 0)) return 'ERR_VARVE_INVALID_OPTION';
    for (const { stream: id, expectedRevision } of appends) {
      const { events, tombstoned } = this.#model.stream(id);
      if (tombstoned) return 'ERR_VARVE_STREAM_TOMBSTONED';
      const exists = this.#model.exists(id);
      const fits =
        expectedRevision === 'any' ||
        (expectedRevision === 'noStream' && !exists) ||
        (expectedRevision === 'streamExists' && exists) ||
        expectedRevision === BigInt(events.length - 1);
      if (!fits) return 'ERR_VARVE_WRONG_REVISION';
    }
    return undefined;
  }

  async #change(id: Stream, changing: Promise<unknown>, change: (state: ModelStream) => void): Promise<void> {
    const state = this.#model.stream(id);
    if (state.tombstoned) return this.#refused(changing, 'ERR_VARVE_STREAM_TOMBSTONED');
    if (!this.#model.exists(id)) return this.#refused(changing, 'ERR_VARVE_STREAM_NOT_FOUND');
    await changing;
    change(state);
  }

  async #refused(promise: Promise<unknown>, code: string): Promise<void> {
    await assert.rejects(promise, { code });
  }

  async #readStream(id: Stream, { backwards, from, to, maxCount }: Reading): Promise<void> {
    const options = {
      ...(backwards ? { direction: 'backwards' as const } : {}),
      ...(from === undefined ? {} : { fromRevision: BigInt(from) }),
      ...(to === undefined ? {} : { toRevision: BigInt(to) }),
      ...(maxCount === undefined ? {} : { maxCount }),
    };
    const found = await this.#store.readStream(id, options).toArray();
    const [low = 0, high = Number.MAX_SAFE_INTEGER] = backwards ? [to, from] : [from, to];
    const readable = this.#model.readable(id, this.#disk.now());
    const expected = readable.filter(({ revision }) => revision >= low && revision <= high);
    if (backwards) expected.reverse();
    same(found, expected.slice(0, maxCount));
    const head = await this.#store.streamHead(id);
    const exists = this.#model.exists(id);
    assert.equal(head?.revision, exists ? BigInt(this.#model.stream(id).events.length - 1) : undefined);
    if (!exists) {
      const code = this.#model.stream(id).tombstoned ? 'ERR_VARVE_STREAM_TOMBSTONED' : 'ERR_VARVE_STREAM_NOT_FOUND';
      await this.#refused(this.#store.readStream(id, { ifMissing: 'throw' }).toArray(), code);
    }
  }

  async #readAll(filtered: EventFilter, checkpoint: boolean, { backwards, from, maxCount }: Reading): Promise<void> {
    const { all } = this.#model;
    const at = from === undefined ? undefined : all[Math.min(from, all.length - 1)]?.position;
    let start: AllFrom | undefined = at;
    if (checkpoint) start = { checkpoint: this.#store.checkpoint() };
    const options = {
      filter: filtered,
      ...(backwards ? { direction: 'backwards' as const } : {}),
      ...(start === undefined ? {} : { from: start }),
      ...(maxCount === undefined ? {} : { maxCount }),
    };
    const found = await this.#store.readAll(options).toArray();
    const behind = ({ position }: Expected) => (backwards ? position <= (at as bigint) : position >= (at as bigint));
    const ranged = checkpoint ? (backwards ? all : []) : at === undefined ? all : all.filter(behind);
    const { streams, categories, streamPrefixes, types, tags } = filtered;
    const expected = ranged.filter(
      (event) =>
        (streams?.includes(event.stream) ?? true) &&
        (categories?.includes(event.stream.split('-')[0] as string) ?? true) &&
        (streamPrefixes?.some((prefix) => event.stream.startsWith(prefix)) ?? true) &&
        (types?.includes(event.type) ?? true) &&
        (tags?.some((tag) => event.tags.includes(tag)) ?? true),
    );
    if (backwards) expected.reverse();
    same(found, expected.slice(0, maxCount));
  }
}

const markOf = ({ data }: RecordedEvent) => (data as { mark: string }).mark;

function same(found: readonly RecordedEvent[], expected: readonly Expected[]): void {
  assert.deepEqual(
    found.map((event) => ({
      stream: event.stream,
      revision: event.revision,
      type: event.type,
      tags: event.tags,
      mark: markOf(event),
      position: event.position,
      created: event.created.getTime(),
    })),
    expected,
  );
}

test('an event store is a map of streams', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 60, size: 'max' }),
      fc.constantFrom(1, 3, 8),
      fc.constantFrom(5120, 8192),
      fc.nat(),
      (steps, partitions, segmentSize, seed) => new Run(partitions, segmentSize, seed).play(steps),
    ),
    { numRuns: runs(100) },
  );
});
