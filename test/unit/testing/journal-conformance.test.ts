/** The suite for journals: a right one passes every case, and each mistake fails those cases, and only those, that are about it. */
import { describe, expect, test } from '@jest/globals';
import {
  type ConformanceCase,
  JournalConcurrencyError,
  type JournalConformanceOptions,
  type JournalEvent,
  type JournalRange,
  journalConformance,
  registerCases,
  type StoredEvent,
  type TaggedEvent,
  type TagRange,
} from '../../../src/testing/index.js';
import { MemoryJournal } from '../../support/memory-journal.js';

const options: JournalConformanceOptions<unknown> = {
  unstorable: () => {},
  reopen: async (journal) => (journal as MemoryJournal).reopened(),
};

describe('a journal that does everything right', () => {
  registerCases(
    journalConformance(() => new MemoryJournal(), options),
    { test },
  );
});

async function failing(cases: readonly ConformanceCase[]): Promise<string[]> {
  const names: string[] = [];
  for (const { name, run } of cases) {
    try {
      await run();
    } catch {
      names.push(name);
    }
  }
  return names;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

const MISTAKES: [string, typeof MemoryJournal, string[]][] = [
  [
    'numbers from 0 on',
    class extends MemoryJournal {
      override async append(id: string, events: readonly JournalEvent[], expected: number) {
        return (await super.append(id, events, expected)).map((stored) => ({ ...stored, seq: stored.seq - 1 }));
      }
    },
    ['append: numbers events from 1 on, without gaps'],
  ],
  [
    'acknowledges without tags',
    class extends MemoryJournal {
      override async append(id: string, events: readonly JournalEvent[], expected: number) {
        return (await super.append(id, events, expected)).map((stored) => ({ ...stored, tags: [] }));
      }
    },
    ['append: resolves with the events as they are stored'],
  ],
  [
    'gives no tags back',
    class extends MemoryJournal {
      override async *read(id: string, range?: JournalRange) {
        for await (const stored of super.read(id, range)) yield { ...stored, tags: [] };
      }
    },
    ['append: reads give tags and timestamps back'],
  ],
  [
    'accepts an expected sequence number that is too low',
    class extends MemoryJournal {
      override check(id: string, expected: number) {
        const actual = this.data.highest.get(id) ?? 0;
        if (expected > actual) throw new JournalConcurrencyError(id, expected, actual);
      }
    },
    [
      'append: refuses an expected sequence number that is too low, and stores nothing',
      'append: refuses with a JournalConcurrencyError that names what it expected and found',
      'append: of several owners at once, one wins',
    ],
  ],
  [
    'accepts an expected sequence number that is too high',
    class extends MemoryJournal {
      override check(id: string, expected: number) {
        const actual = this.data.highest.get(id) ?? 0;
        if (expected < actual) throw new JournalConcurrencyError(id, expected, actual);
      }
    },
    ['append: refuses an expected sequence number that is too high, and stores nothing'],
  ],
  [
    'refuses with any error',
    class extends MemoryJournal {
      override check(id: string, expected: number) {
        if ((this.data.highest.get(id) ?? 0) !== expected) throw new Error('conflict');
      }
    },
    ['append: refuses with a JournalConcurrencyError that names what it expected and found'],
  ],
  [
    'takes a turn between its check and its write',
    class extends MemoryJournal {
      override async append(id: string, events: readonly JournalEvent[], expected: number) {
        this.check(id, expected);
        await turn();
        return this.put(id, events, expected);
      }
    },
    ['append: of several owners at once, one wins', 'close: appends are refused afterwards'],
  ],
  [
    'stores the events before one that it cannot keep',
    class extends MemoryJournal {
      override put(id: string, events: readonly JournalEvent[], behind: number) {
        const bad = events.findIndex(({ event }) => typeof event === 'function');
        if (bad >= 0) super.put(id, events.slice(0, bad), behind);
        return super.put(id, events, behind);
      }
    },
    ['append: stores all events or none'],
  ],
  [
    'refuses an empty append',
    class extends MemoryJournal {
      override put(id: string, events: readonly JournalEvent[], behind: number) {
        if (events.length === 0) throw new RangeError('no events');
        return super.put(id, events, behind);
      }
    },
    ['append: no events change nothing'],
  ],
  [
    'folds the case of persistence ids',
    class extends MemoryJournal {
      override append(id: string, events: readonly JournalEvent[], expected: number) {
        return super.append(id.toLowerCase(), events, expected);
      }
    },
    ['append: tells unusual persistence ids apart'],
  ],
  [
    'keeps events as JSON with every empty string lost',
    class extends MemoryJournal {
      override put(id: string, events: readonly JournalEvent[], behind: number) {
        return super.put(
          id,
          events.map(({ event, ...rest }) => ({ ...rest, event: event === '' ? null : event })),
          behind,
        );
      }
    },
    ['append: keeps every kind of event'],
  ],
  [
    'begins behind `from`',
    class extends MemoryJournal {
      override read(id: string, { from = 0, ...rest }: JournalRange = {}) {
        return super.read(id, { ...rest, from: from + 1 });
      }
    },
    [
      'read: begins at `from`, inclusive',
      'read: keeps to both bounds',
      'read: gives a single event',
      'read: ends at the last event where `to` is behind it',
      'read: gives exactly `limit` events',
      'read: gives what was acknowledged, at once',
      'follow: gives what is there, then what comes',
      'follow: begins at `from`, inclusive',
      'follow: misses and repeats nothing of what is appended meanwhile',
      "follow: rejects with the signal's reason when it aborts",
    ],
  ],
  [
    'ends before `to`',
    class extends MemoryJournal {
      override read(id: string, { to = Number.POSITIVE_INFINITY, ...rest }: JournalRange = {}) {
        return super.read(id, { ...rest, to: to - 1 });
      }
    },
    [
      'read: ends at `to`, inclusive',
      'read: keeps to both bounds',
      'read: gives a single event',
      'deleteTo: reads that begin in the deleted part give the rest',
    ],
  ],
  [
    'takes a limit of 0 for none',
    class extends MemoryJournal {
      override read(id: string, { limit, ...rest }: JournalRange = {}) {
        return super.read(id, limit ? { ...rest, limit } : rest);
      }
    },
    ['read: gives none where `limit` is 0'],
  ],
  [
    'fails to read behind the end',
    class extends MemoryJournal {
      override async *read(id: string, range: JournalRange = {}) {
        const highest = this.data.highest.get(id);
        if (highest !== undefined && (range.from ?? 1) > highest) throw new RangeError('behind the end');
        yield* super.read(id, range);
      }
      override async *follow(id: string, { from = 1, signal }: { from?: number; signal?: AbortSignal } = {}) {
        for (let next = from; ; next++) {
          for (let seen = this.head(); (await this.highestSeq(id)) < next; seen = this.head()) {
            await this.more(seen, signal);
          }
          yield* super.read(id, { from: next, to: next });
        }
      }
    },
    ['read: gives none behind the last event'],
  ],
  [
    'reads one page of 1,000 events',
    class extends MemoryJournal {
      override read(id: string, range: JournalRange = {}) {
        return super.read(id, { limit: 1000, ...range });
      }
    },
    ['read: gives many events, and large batches'],
  ],
  [
    'counts the events that are left',
    class extends MemoryJournal {
      override async highestSeq(id: string) {
        return this.data.events.filter(({ persistenceId }) => persistenceId === id).length;
      }
    },
    [
      'deleteTo: the highest sequence number survives',
      'deleteTo: the highest sequence number survives the deletion of everything',
      'deleteTo: behind the end, deletes everything and gives away no sequence numbers',
      'reopen: the highest sequence number survives the deletion of everything',
    ],
  ],
  [
    'numbers from 1 again after the deletion of everything',
    class extends MemoryJournal {
      override async deleteTo(id: string, toSeq: number) {
        const highest = await this.highestSeq(id);
        await super.deleteTo(id, toSeq);
        if (highest === toSeq) this.data.highest.delete(id);
      }
    },
    [
      'deleteTo: the highest sequence number survives the deletion of everything',
      'deleteTo: after the deletion of everything, appends go on behind it',
      'reopen: the highest sequence number survives the deletion of everything',
    ],
  ],
  [
    'deletes up to the sequence number, exclusive',
    class extends MemoryJournal {
      override deleteTo(id: string, toSeq: number) {
        return super.deleteTo(id, toSeq - 1);
      }
    },
    [
      'deleteTo: deletes up to and including the sequence number',
      'deleteTo: after the deletion of everything, appends go on behind it',
      'deleteTo: reads that begin in the deleted part give the rest',
      'deleteTo: reads within the deleted part give none',
      'deleteTo: a lower sequence number afterwards brings nothing back',
      'reopen: what was deleted stays deleted',
      'eventsByTag: gives nothing that was deleted',
    ],
  ],
  [
    'raises the highest sequence number when it deletes',
    class extends MemoryJournal {
      override async deleteTo(id: string, toSeq: number) {
        await super.deleteTo(id, toSeq);
        const highest = this.data.highest.get(id);
        if (highest !== undefined) this.data.highest.set(id, Math.max(highest, toSeq));
      }
    },
    ['deleteTo: behind the end, deletes everything and gives away no sequence numbers'],
  ],
  [
    'makes up persistence ids when it deletes',
    class extends MemoryJournal {
      override async deleteTo(id: string, toSeq: number) {
        await super.deleteTo(id, toSeq);
        if (!this.data.highest.has(id)) this.data.highest.set(id, toSeq);
      }
    },
    ['deleteTo: does nothing to an unknown persistence id'],
  ],
  [
    'deletes from all persistence ids',
    class extends MemoryJournal {
      override async deleteTo(_id: string, toSeq: number) {
        for (const id of this.data.highest.keys()) await super.deleteTo(id, toSeq);
      }
    },
    ['deleteTo: leaves other persistence ids alone', 'eventsByTag: gives nothing that was deleted'],
  ],
  [
    'keeps the highest sequence number in memory only',
    class extends MemoryJournal {
      override reopened() {
        const journal = super.reopened();
        journal.data.highest.clear();
        for (const { persistenceId, seq } of journal.data.events) journal.data.highest.set(persistenceId, seq);
        return journal;
      }
    },
    ['reopen: the highest sequence number survives the deletion of everything'],
  ],
  [
    'cannot be closed twice',
    class extends MemoryJournal {
      #closes = 0;
      override async close() {
        await super.close();
        if (++this.#closes === 2) throw new Error('it is closed');
      }
    },
    ['close: can be called twice', 'close: appends are refused afterwards'],
  ],
  [
    'lists a persistence id for each event',
    class extends MemoryJournal {
      override async persistenceIds(page: { after?: string; limit?: number } = {}) {
        if (page.limit !== undefined) return super.persistenceIds(page);
        return { ids: this.data.events.map(({ persistenceId }) => persistenceId), next: undefined };
      }
    },
    ['persistenceIds: gives each once'],
  ],
  [
    'repeats the last persistence id on the next page',
    class extends MemoryJournal {
      override async persistenceIds({ after, limit = 100 }: { after?: string; limit?: number } = {}) {
        const { ids } = await super.persistenceIds({ limit: 1000 });
        const begin = after === undefined ? 0 : ids.indexOf(after);
        const own = ids.slice(begin, begin + limit);
        return { ids: own, next: begin + limit < ids.length ? own.at(-1) : undefined };
      }
    },
    ['persistenceIds: pages give each once, and no more than was asked for'],
  ],
  [
    'finds events by their first tag only',
    class extends MemoryJournal {
      override async *eventsByTag(tag: string, range: TagRange = {}) {
        for await (const stored of super.eventsByTag(tag, range)) if (stored.tags[0] === tag) yield stored;
      }
    },
    ['eventsByTag: finds an event by each of its tags', 'eventsByTag: gives the events themselves'],
  ],
  [
    'finds tags that only begin so',
    class extends MemoryJournal {
      override async *eventsByTag(tag: string, { after = 0, limit }: TagRange = {}) {
        const found = this.data.events.filter(({ tags }) => tags.some((other) => other.startsWith(tag)));
        yield* found.filter(({ offset }) => offset > after).slice(0, limit);
      }
    },
    ['eventsByTag: gives none for an unknown tag'],
  ],
  [
    'goes on at the offset, inclusive',
    class extends MemoryJournal {
      override eventsByTag(tag: string, { after = 1, ...rest }: TagRange = {}) {
        return super.eventsByTag(tag, { ...rest, after: after - 1 });
      }
      override async *followTag(tag: string, options: { after?: number; signal?: AbortSignal } = {}) {
        const seen = new Set<number>();
        for await (const stored of super.followTag(tag, options)) {
          if (!seen.has(stored.offset)) yield stored;
          seen.add(stored.offset);
        }
      }
    },
    ['eventsByTag: goes on behind the offset of any event'],
  ],
  [
    'indexes the tags of what it refuses',
    class extends MemoryJournal {
      readonly #refused: JournalEvent[] = [];
      override async append(id: string, events: readonly JournalEvent[], expected: number) {
        return super.append(id, events, expected).catch((error) => {
          this.#refused.push(...events);
          throw error;
        });
      }
      override async *eventsByTag(tag: string, range: TagRange = {}) {
        yield* super.eventsByTag(tag, range);
        for (const { event, tags = [] } of this.#refused) {
          if (tags.includes(tag)) yield { persistenceId: '?', seq: 0, event, tags, timestamp: 0, offset: 1e9 };
        }
      }
    },
    ['eventsByTag: gives nothing of an append that was refused'],
  ],
  [
    'loses what is appended between reading and waiting',
    class extends MemoryJournal {
      override async *follow(id: string, { from = 1, signal }: { from?: number; signal?: AbortSignal } = {}) {
        for (let next = from; ; ) {
          yield* this.read(id, { from: next });
          next = (await this.highestSeq(id)) + 1;
          await this.more(this.head(), signal);
        }
      }
    },
    [
      'follow: gives what is there, then what comes',
      'follow: misses and repeats nothing of what is appended meanwhile',
    ],
  ],
  [
    'ends a follower in silence when its signal aborts',
    class extends MemoryJournal {
      override async *follow(id: string, options: { from?: number; signal?: AbortSignal } = {}) {
        try {
          yield* super.follow(id, options);
        } catch {
          return;
        }
      }
    },
    ["follow: rejects with the signal's reason when it aborts"],
  ],
  [
    'follows the tags of one persistence id',
    class extends MemoryJournal {
      override async *followTag(tag: string, options: { after?: number; signal?: AbortSignal } = {}) {
        for await (const stored of super.followTag(tag, options)) if (stored.persistenceId === 'a') yield stored;
      }
    },
    ['followTag: gives what is there, then what comes, of all persistence ids'],
  ],
  [
    'numbers all persistence ids together',
    class extends MemoryJournal {
      override put(id: string, events: readonly JournalEvent[], behind: number) {
        const stored = super.put(id, events, this.head());
        this.data.highest.set(id, behind + events.length);
        return stored;
      }
    },
    [
      'append: numbers each persistence id by itself',
      'deleteTo: after the deletion of everything, appends go on behind it',
      'deleteTo: leaves other persistence ids alone',
      'eventsByTag: gives the events with the tag, in the order of appending',
      'eventsByTag: finds an event by each of its tags',
      'eventsByTag: gives nothing that was deleted',
      'eventsByTag: gives nothing of an append that was refused',
      'follow: gives what is there, then what comes',
      'followTag: gives what is there, then what comes, of all persistence ids',
    ],
  ],
  [
    'sorts sequence numbers as texts',
    class extends MemoryJournal {
      override async *read(id: string, { limit, ...range }: JournalRange = {}) {
        const found: StoredEvent[] = [];
        for await (const stored of super.read(id, range)) found.push(stored);
        found.sort((a, b) => (String(a.seq) < String(b.seq) ? -1 : 1));
        yield* found.slice(0, limit);
      }
    },
    [
      'append: keeps every kind of event',
      'read: gives all events in order',
      'read: begins at `from`, inclusive',
      'read: ends at the last event where `to` is behind it',
      'read: gives exactly `limit` events',
      'read: gives many events, and large batches',
      'read: can be left early, and begun again',
      'follow: misses and repeats nothing of what is appended meanwhile',
    ],
  ],
  [
    'swaps inverted bounds',
    class extends MemoryJournal {
      override read(id: string, { from, to, ...rest }: JournalRange = {}) {
        if (from !== undefined && to !== undefined && from > to) return super.read(id, { ...rest, from: to, to: from });
        return super.read(id, { ...rest, ...(from && { from }), ...(to && { to }) });
      }
    },
    ['read: gives none where the bounds are inverted'],
  ],
  [
    'fails to read an unknown persistence id',
    class extends MemoryJournal {
      override async *read(id: string, range: JournalRange = {}) {
        if (!this.data.highest.has(id)) throw new RangeError('unknown');
        yield* super.read(id, range);
      }
    },
    ['append: no events change nothing', 'read: gives none of an unknown persistence id'],
  ],
  [
    'stays locked by a reader that leaves early',
    class extends MemoryJournal {
      #readers = 0;
      override async *read(id: string, range: JournalRange = {}) {
        if (this.#readers > 0) throw new Error('somebody is reading');
        this.#readers++;
        yield* super.read(id, range);
        this.#readers--;
      }
      override async *follow(id: string, { from = 1, signal }: { from?: number; signal?: AbortSignal } = {}) {
        for (let next = from; ; ) {
          const seen = this.head();
          for await (const stored of super.read(id, { from: next })) {
            yield stored;
            next = stored.seq + 1;
          }
          await this.more(seen, signal);
        }
      }
    },
    ['read: can be left early, and begun again'],
  ],
  [
    'is at −1 where there is nothing',
    class extends MemoryJournal {
      override async highestSeq(id: string) {
        return this.data.highest.get(id) ?? -1;
      }
    },
    ['highestSeq: is 0 of an unknown persistence id', 'deleteTo: does nothing to an unknown persistence id'],
  ],
  [
    'looks once for the highest sequence number',
    class extends MemoryJournal {
      readonly #found = new Map<string, number>();
      override async highestSeq(id: string) {
        const found = this.#found.get(id) ?? (await super.highestSeq(id));
        this.#found.set(id, found);
        return found;
      }
    },
    ['highestSeq: is that of the last event'],
  ],
  [
    'loses the last event when it is opened again',
    class extends MemoryJournal {
      override reopened() {
        const journal = super.reopened();
        journal.data.events.pop();
        return journal;
      }
    },
    ['reopen: events are there, and appending goes on', 'reopen: what was deleted stays deleted'],
  ],
  [
    'gives a token for the page behind none',
    class extends MemoryJournal {
      override async persistenceIds(page: { after?: string; limit?: number } = {}) {
        const { ids, next } = await super.persistenceIds(page);
        return { ids, next: ids.length === 0 ? '' : next };
      }
    },
    ['persistenceIds: none while there are none'],
  ],
  [
    'gives tagged events persistence id by persistence id',
    class extends MemoryJournal {
      override async *eventsByTag(tag: string, { limit, ...range }: TagRange = {}) {
        const found: TaggedEvent[] = [];
        for await (const stored of super.eventsByTag(tag, range)) found.push(stored);
        yield* found.sort((a, b) => (a.persistenceId < b.persistenceId ? -1 : 1)).slice(0, limit);
      }
    },
    [
      'eventsByTag: gives the events with the tag, in the order of appending',
      'eventsByTag: goes on behind the offset of any event',
      'eventsByTag: gives nothing of an append that was refused',
    ],
  ],
  [
    'finds deleted events by their tags',
    class extends MemoryJournal {
      readonly #all: TaggedEvent[] = [];
      override put(id: string, events: readonly JournalEvent[], behind: number) {
        const stored = super.put(id, events, behind);
        this.#all.push(...(stored as TaggedEvent[]));
        return stored;
      }
      override async *eventsByTag(tag: string, { after = 0, limit }: TagRange = {}) {
        yield* this.#all.filter(({ tags, offset }) => tags.includes(tag) && offset > after).slice(0, limit);
      }
    },
    ['eventsByTag: gives nothing that was deleted'],
  ],
  [
    'heeds no limit of tagged events',
    class extends MemoryJournal {
      override eventsByTag(tag: string, { after = 0 }: TagRange = {}) {
        return super.eventsByTag(tag, { after });
      }
    },
    ['eventsByTag: gives exactly `limit` events'],
  ],
];

describe('a journal that', () => {
  test.each(MISTAKES)('%s', async (_mistake, Kind, fails) => {
    const cases = journalConformance(() => new Kind(), { ...options, patience: 50 });
    expect(await failing(cases)).toEqual(fails);
  });

  test('leaves something out has those cases skipped, and told', async () => {
    class Less extends MemoryJournal {
      override eventsByTag = undefined as unknown as MemoryJournal['eventsByTag'];
      override follow = undefined as unknown as MemoryJournal['follow'];
      override followTag = undefined as unknown as MemoryJournal['followTag'];
    }
    const capabilities = { tags: false, follow: false, followTag: false };
    const cases = journalConformance(() => new Less(), { capabilities });
    expect(await failing(cases)).toEqual([]);
    const skipped = cases.filter((one) => one.skipped !== undefined).map(({ name }) => name.split(':')[0]);
    expect(new Set(skipped)).toEqual(new Set(['append', 'reopen', 'eventsByTag', 'follow', 'followTag']));
    const told: string[] = [];
    const runner = Object.assign(() => {}, { skip: (name: string) => told.push(name) });
    registerCases(cases, { test: runner });
    expect(told).toHaveLength(skipped.length);
    expect(told).toContain('append: stores all events or none (no unstorable event was given)');
  });
});

test('every case is failed by some mistake', () => {
  const failed = new Set(MISTAKES.flatMap(([, , fails]) => fails));
  const names = journalConformance(() => new MemoryJournal(), options).map(({ name }) => name);
  expect(names.filter((name) => !failed.has(name))).toEqual([]);
});
