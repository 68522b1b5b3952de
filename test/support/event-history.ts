/**
 * What has been asked of an event store, and what it must show for it whatever happened in between: an append that was
 * acknowledged is there, where it was said to be; one that was not is there as a whole or not at all; nothing else is.
 */
import assert from 'node:assert/strict';
import {
  type EventInput,
  type EventStore,
  type EventStoreOptions,
  openEventStore,
  type RecordedEvent,
  type VarveError,
} from 'varve';
import type { Random } from '../../src/testing/random.js';
import type { SimulatedDisk } from '../../src/testing/simulated-disk.js';

export const DIRECTORY = '/data';
export const STREAMS = ['a', 'b-1', 'b-2', 'c-1', 'c-2', 'd'] as const;
const TAGS = ['x', 'y', 'z'] as const;

/** Data of every event: which append it belongs to. */
interface Mark {
  readonly op: number;
  readonly i: number;
}

interface Part {
  readonly stream: string;
  readonly count: number;
}

interface Issued {
  readonly parts: readonly Part[];
  /** Of an append that was acknowledged: positions, and the last revisions, by stream. */
  acknowledged: ReadonlyMap<string, { readonly last: bigint; readonly positions: readonly bigint[] }> | undefined;
}

/** Refusals that are part of the game. */
const REFUSALS = new Set([
  'ERR_VARVE_WRONG_REVISION',
  'ERR_VARVE_STREAM_TOMBSTONED',
  'ERR_VARVE_STREAM_NOT_FOUND',
  'ERR_VARVE_RECORD_TOO_LARGE',
]);

export class History {
  readonly #issued: Map<number, Issued>;
  readonly tombstoned: Set<string>;
  #refused: Set<number>;
  /** By stream: events before this revision may have been scavenged. */
  readonly #given: Map<string, number>;

  constructor(
    issued: Iterable<[number, Issued]> = [],
    tombstoned: Iterable<string> = [],
    refused = new Set<number>(),
    given: Iterable<[string, number]> = [],
  ) {
    this.#issued = new Map(issued);
    this.tombstoned = new Set(tombstoned);
    this.#refused = refused;
    this.#given = new Map(given);
  }

  /** As it is now; what comes later is not known to the copy. */
  clone(): History {
    const issued = [...this.#issued].map(([op, entry]): [number, Issued] => [op, { ...entry }]);
    return new History(issued, this.tombstoned, new Set(this.#refused), this.#given);
  }

  /** The newest revision of a stream that an append was told; −1 for none. */
  lastOf(stream: string): number {
    const told = [...this.#issued.values()].map(({ acknowledged }) => Number(acknowledged?.get(stream)?.last ?? -1n));
    return Math.max(-1, ...told);
  }

  /** Notes what a scavenge or purge that is begun now, alone, may take. Nothing may be appended until it is over. */
  async givesUp(store: EventStore): Promise<void> {
    for (const stream of STREAMS) {
      const { truncateBefore = 0, maxCount, tombstoned } = await store.getStreamMetadata(stream);
      const head = Number((await store.streamHead(stream))?.revision ?? -1n);
      const byCount = maxCount === undefined ? 0 : head - maxCount + 1;
      const oldest = tombstoned ? Number.POSITIVE_INFINITY : Math.max(truncateBefore, byCount);
      this.#given.set(stream, Math.max(oldest, this.#given.get(stream) ?? 0));
    }
  }

  get acknowledged(): number {
    return [...this.#issued.values()].filter(({ acknowledged }) => acknowledged !== undefined).length;
  }

  /** Appends to one or several streams, and notes what comes of it. False if it was refused. */
  async append(store: EventStore, parts: readonly (Part & { expected?: bigint | 'any' })[], size: number) {
    const op = this.#issued.size + 1;
    const issued: Issued = { parts: parts.map(({ stream, count }) => ({ stream, count })), acknowledged: undefined };
    this.#issued.set(op, issued);
    const appends = parts.map(({ stream, count, expected = 'any' }) => ({
      stream,
      events: Array.from({ length: count }, (_, i) => eventOf(op, i, size)),
      expectedRevision: expected,
    }));
    try {
      const [{ stream, events, expectedRevision }] = appends as [(typeof appends)[number]];
      const results =
        appends.length === 1
          ? [{ stream, ...(await store.appendToStream(stream, events, { expectedRevision })) }]
          : await store.appendToStreams(appends);
      issued.acknowledged = new Map(
        results.map(({ stream, nextExpectedRevision: last, positions }) => [stream, { last, positions }]),
      );
      return true;
    } catch (error) {
      // Refused for good: it must never be seen. After any other error it may have happened.
      if (REFUSALS.has((error as VarveError).code)) this.#refused.add(op);
      throw error;
    }
  }

  /** Throws unless the store shows what it must, in every manner of reading. */
  async check(store: EventStore): Promise<void> {
    const all = await store.readAll().toArray();
    this.#checkOrder(all);
    const byStream = this.#checkRevisions(all);
    this.#checkAppends(all);
    assert.deepEqual(marks(await store.readAll({ direction: 'backwards' }).toArray()), marks(all).reverse());
    for (const tag of TAGS) {
      const found = await store.readAll({ filter: { tags: [tag] }, direction: 'backwards' }).toArray();
      const expected = all.filter(({ tags }) => tags.includes(tag));
      assert.deepEqual(marks(found), marks(expected).reverse(), `tag ${tag}`);
    }
    const inB = all.filter(({ stream }) => stream.startsWith('b-'));
    const categories = { filter: { categories: ['b'] }, direction: 'backwards' } as const;
    assert.deepEqual(marks(await store.readAll(categories).toArray()), marks(inB).reverse());
    for (const stream of STREAMS) {
      const events = byStream.get(stream) ?? [];
      const metadata = await store.getStreamMetadata(stream);
      if (this.tombstoned.has(stream)) assert.equal(metadata.tombstoned, true, `${stream} lives again`);
      const { truncateBefore = 0 } = metadata;
      const kept = metadata.tombstoned ? [] : events.filter(({ revision }) => revision >= truncateBefore);
      const limited = metadata.maxCount === undefined ? kept : kept.slice(-metadata.maxCount);
      assert.deepEqual(marks(await store.readStream(stream).toArray()), marks(limited), `stream ${stream}`);
      const head = await store.streamHead(stream);
      if (kept.length > 0 || !this.#given.has(stream))
        assert.equal(head?.revision, kept.at(-1)?.revision, `head of ${stream}`);
    }
  }

  #checkOrder(all: readonly RecordedEvent[]): void {
    let last = 0n;
    for (const { position } of all) {
      assert.ok(position > last, `position ${position} comes behind ${last}`);
      last = position;
    }
  }

  #checkRevisions(all: readonly RecordedEvent[]): Map<string, RecordedEvent[]> {
    const byStream = new Map<string, RecordedEvent[]>();
    for (const event of all) {
      const events = byStream.get(event.stream) ?? [];
      byStream.set(event.stream, events);
      const [first] = events;
      if (first === undefined) assert.ok(this.#mayBeGone(event.stream, Number(event.revision) - 1), event.stream);
      else assert.equal(event.revision, first.revision + BigInt(events.length), `revision of ${event.stream}`);
      events.push(event);
    }
    return byStream;
  }

  /** All before a revision may be gone, with it. */
  #mayBeGone(stream: string, revision: number): boolean {
    return revision < (this.#given.get(stream) ?? 0);
  }

  /** Appends to a stream never get the same revision, also where events of it are gone. */
  #checkHeads(): void {
    const taken = new Set<string>();
    for (const { parts, acknowledged } of this.#issued.values()) {
      for (const { stream, count } of parts) {
        const last = acknowledged?.get(stream)?.last;
        for (let i = 0; last !== undefined && i < count; i++) {
          const place = `${stream}@${last - BigInt(i)}`;
          assert.ok(!taken.has(place), `${place} was given twice`);
          taken.add(place);
        }
      }
    }
  }

  #checkAppends(all: readonly RecordedEvent[]): void {
    this.#checkHeads();
    const found = new Map<number, RecordedEvent[]>();
    for (const event of all) {
      const { op } = event.data as Mark;
      found.set(op, [...(found.get(op) ?? []), event]);
    }
    for (const op of found.keys()) assert.ok(this.#issued.has(op), `append ${op} was never made`);
    for (const [op, { parts, acknowledged }] of this.#issued) {
      const events = found.get(op) ?? [];
      const wanted = parts.reduce((sum, { count }) => sum + count, 0);
      if (this.#refused.has(op)) assert.equal(events.length, 0, `append ${op} was refused`);
      let gone = 0;
      for (const { stream, count } of parts) {
        const own = events.filter((event) => event.stream === stream);
        const told = acknowledged?.get(stream);
        const last = told?.last ?? own.at(-1)?.revision;
        // What is missing has been given up: the first of them, or all that there are.
        const missing = count - own.length;
        const lastMissing = last === undefined ? -1 : Number(last) - own.length;
        const mayMiss = last === undefined ? this.#given.has(stream) : this.#mayBeGone(stream, lastMissing);
        if (missing > 0 && mayMiss) gone += missing;
        assert.deepEqual(
          own.map(({ data }) => (data as Mark).i),
          Array.from({ length: own.length }, (_, i) => missing + i),
        );
        if (told === undefined || own.length === 0) continue;
        assert.equal(own.at(-1)?.revision, told.last, `last revision of append ${op}`);
        assert.deepEqual(
          own.map(({ position }) => position),
          told.positions.slice(missing),
        );
      }
      if (acknowledged !== undefined) assert.equal(events.length + gone, wanted, `append ${op} was acknowledged`);
      assert.ok(
        events.length === 0 || events.length + gone === wanted,
        `append ${op}: ${events.length} of ${wanted} events`,
      );
    }
  }
}

function eventOf(op: number, i: number, size: number): EventInput {
  const tags = [TAGS[op % 3] as string, ...(i === 1 ? [TAGS[(op + 1) % 3] as string] : [])];
  return { type: `T${op % 4}`, data: { op, i, fill: '·'.repeat(size) }, tags };
}

const marks = (events: readonly RecordedEvent[]) =>
  events.map(({ stream, revision, data }) => `${stream}@${revision}:${(data as Mark).op}.${(data as Mark).i}`);

export function open(disk: SimulatedDisk, options: Partial<EventStoreOptions> = {}): Promise<EventStore> {
  return openEventStore({ directory: DIRECTORY, disk, preallocate: { segments: 1 }, recycle: 1, ...options });
}

/** Does what chance wants with a store: alone, or several things at once. */
export class Player {
  readonly history: History;
  readonly #random: Random;
  readonly #scavenges: number;
  /** Segments. */
  scavenged = 0;

  /** `scavenges`: how likely a step is a scavenge, or a purge. */
  constructor(history: History, random: Random, scavenges = 0) {
    this.history = history;
    this.#random = random;
    this.#scavenges = scavenges;
  }

  async #scavenge(store: EventStore): Promise<void> {
    await this.history.givesUp(store);
    if (this.#random.chance(0.2)) await store.purge();
    else this.scavenged += (await store.scavenge({ threshold: this.#random.pick([0.01, 0.2, 0.5]) })).segments;
  }

  /** Rejects with what is no mere refusal. */
  async step(store: EventStore): Promise<void> {
    if (this.#random.chance(this.#scavenges)) return this.#scavenge(store);
    const atOnce = this.#random.pick([1, 1, 1, 2, 4]);
    const actions = Array.from({ length: atOnce }, () => this.#act(store));
    for (const result of await Promise.allSettled(actions)) {
      if (result.status === 'rejected' && !REFUSALS.has(result.reason?.code)) throw result.reason;
    }
  }

  async #act(store: EventStore): Promise<unknown> {
    const random = this.#random;
    const stream = random.pick(STREAMS);
    switch (random.below(20)) {
      case 0:
        return store.deleteStream(stream);
      case 1:
        return store.setStreamMetadata(stream, random.chance(0.5) ? { maxCount: 1 + random.below(4) } : {});
      case 2:
        if (random.chance(0.7)) return store.truncateStream(stream, BigInt(random.below(6)));
        await store.tombstoneStream(stream);
        return this.history.tombstoned.add(stream);
      case 3:
      case 4:
      case 5:
      case 6:
      case 7:
      case 8: {
        const streams = STREAMS.filter(() => random.chance(0.5));
        if (streams.length === 0) streams.push(stream);
        const parts = streams.map((name, i) => ({ stream: name, count: i === 0 ? 1 : random.below(3) }));
        return this.history.append(store, parts, this.#size() >> 1);
      }
      case 9: {
        const head = await store.streamHead(stream);
        const expected = (head?.revision ?? 0n) + BigInt(random.below(2));
        return this.history.append(store, [{ stream, count: 1, expected }], this.#size());
      }
      default:
        return this.history.append(store, [{ stream, count: 1 + random.below(3) }], this.#size());
    }
  }

  #size(): number {
    return this.#random.pick([0, 5, 30, 100, 250]);
  }
}

/** What a store that was opened again must be able to do. */
export async function goesOn(store: EventStore, history: History): Promise<void> {
  const living = STREAMS.filter((stream) => !history.tombstoned.has(stream));
  const usable: string[] = [];
  for (const stream of living) {
    if (!(await store.getStreamMetadata(stream)).tombstoned) usable.push(stream);
  }
  for (const stream of usable) {
    const head = await store.streamHead(stream);
    const expected = head === undefined ? {} : { expected: head.revision };
    await history.append(store, [{ stream, count: 1, ...expected }], 10);
  }
  if (usable.length > 0) {
    await history.append(
      store,
      usable.map((stream) => ({ stream, count: 1 })),
      3,
    );
  }
}
