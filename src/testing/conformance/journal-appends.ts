/** Appending: numbers, expected sequence numbers, all or nothing, persistence ids apart. */
import assert from 'node:assert/strict';
import type { JournalConcurrencyError } from '../../adapter/journal/journal.js';
import { type Check, rejection } from './case.js';
import type { JournalFixture, JournalOptions } from './journal-fixture.js';

const UNUSUAL_IDS = [
  'a',
  'A',
  'a ',
  ' a',
  'a/b',
  'a%2Fb',
  '..',
  'ä',
  'a\u0308',
  'a\nb',
  '事件',
  'a|1',
  'a|',
  '0',
  '__proto__',
];

export function appendChecks<Event>(options: JournalOptions<Event>): Check<JournalFixture<Event>>[] {
  return [
    {
      name: 'append: numbers events from 1 on, without gaps',
      check: async (fixture) => {
        const seqs: number[] = [];
        for (const [from, to] of [
          [1, 1],
          [2, 4],
          [5, 5],
        ] as const) {
          for (const { seq } of await fixture.journal.append('a', fixture.events(from, to), from - 1)) seqs.push(seq);
        }
        assert.deepEqual(seqs, [1, 2, 3, 4, 5]);
      },
    },
    {
      name: 'append: resolves with the events as they are stored',
      check: async (fixture) => {
        const [before, after] = [Date.now() - 60_000, Date.now() + 60_000];
        const tagged = { event: fixture.event(2), tags: ['red', 'green'] };
        const stored = await fixture.journal.append('a', [...fixture.events(1, 1), tagged], 0);
        assert.deepEqual(
          stored.map(({ persistenceId, event, tags }) => ({ persistenceId, event, tags })),
          [
            { persistenceId: 'a', event: fixture.event(1), tags: [] },
            { persistenceId: 'a', event: fixture.event(2), tags: ['red', 'green'] },
          ],
        );
        for (const { timestamp } of stored) assert(timestamp > before && timestamp < after, `timestamp ${timestamp}`);
      },
    },
    {
      name: 'append: reads give tags and timestamps back',
      check: async (fixture) => {
        const stored = await fixture.journal.append('a', fixture.events(1, 2, ['red', 'green']), 0);
        const kept = (await fixture.read('a')).map(({ tags, timestamp }) => ({ tags, timestamp }));
        assert.deepEqual(
          kept,
          stored.map(({ timestamp }) => ({ tags: ['red', 'green'], timestamp })),
        );
      },
    },
    {
      name: 'append: refuses an expected sequence number that is too low, and stores nothing',
      check: async (fixture) => {
        await fixture.store('a', 3);
        await rejection(fixture.journal.append('a', fixture.events(3, 4), 2), 'append at 2 of 3 must be refused');
        await fixture.expect('a', 1, 3);
      },
    },
    {
      name: 'append: refuses an expected sequence number that is too high, and stores nothing',
      check: async (fixture) => {
        await fixture.store('a', 3);
        await rejection(fixture.journal.append('a', fixture.events(5, 5), 4), 'append at 4 of 3 must be refused');
        await fixture.expect('a', 1, 3);
      },
    },
    {
      name: 'append: refuses with a JournalConcurrencyError that names what it expected and found',
      check: async (fixture) => {
        await fixture.store('a', 3);
        const error = await rejection(fixture.journal.append('a', fixture.events(1, 1), 0), 'append must be refused');
        const { name, persistenceId, expectedSeq, actualSeq } = error as JournalConcurrencyError;
        assert.deepEqual(
          { name, persistenceId, expectedSeq, actualSeq },
          { name: 'JournalConcurrencyError', persistenceId: 'a', expectedSeq: 0, actualSeq: 3 },
        );
      },
    },
    {
      name: 'append: of several owners at once, one wins',
      check: async (fixture) => {
        await fixture.store('a', 1);
        const owners = Array.from({ length: 8 }, () => fixture.journal.append('a', fixture.events(2, 3), 1));
        const won = (await Promise.allSettled(owners)).filter(({ status }) => status === 'fulfilled').length;
        assert.equal(won, 1, `${won} of 8 appends at the same expected sequence number were accepted`);
        await fixture.expect('a', 1, 3);
      },
    },
    {
      name: 'append: stores all events or none',
      skipped: options.unstorable === undefined ? 'no unstorable event was given' : undefined,
      check: async (fixture) => {
        await fixture.store('a', 1);
        const events = [...fixture.events(2, 2), { event: options.unstorable as Event }, ...fixture.events(3, 3)];
        await rejection(fixture.journal.append('a', events, 1), 'the event that cannot be stored must be refused');
        await fixture.expect('a', 1, 1);
        await fixture.journal.append('a', fixture.events(2, 2), 1);
      },
    },
    {
      name: 'append: no events change nothing',
      check: async (fixture) => {
        assert.deepEqual(await fixture.journal.append('a', [], 0), []);
        assert.deepEqual(await fixture.read('a'), []);
      },
    },
    {
      name: 'append: numbers each persistence id by itself',
      check: async (fixture) => {
        const ids = ['a', 'b', 'c'];
        for (let n = 1; n <= 3; n++) {
          for (const id of ids) await fixture.journal.append(id, fixture.events(n, n), n - 1);
        }
        for (const id of ids) await fixture.expect(id, 1, 3);
      },
    },
    {
      name: 'append: tells unusual persistence ids apart',
      check: async (fixture) => {
        for (const [i, id] of UNUSUAL_IDS.entries()) await fixture.journal.append(id, fixture.events(i + 1, i + 1), 0);
        for (const [i, id] of UNUSUAL_IDS.entries()) {
          const [only, ...more] = await fixture.read(id);
          const name = `events of '${id}'`;
          assert.deepEqual([only?.persistenceId, only?.event, more], [id, fixture.event(i + 1), []], name);
        }
      },
    },
    {
      name: 'append: keeps every kind of event',
      check: async (fixture) => {
        const samples =
          options.samples ?? (options.event === undefined ? (JSON_SAMPLES as Event[]) : [options.event(1)]);
        await fixture.journal.append(
          'a',
          samples.map((event) => ({ event })),
          0,
        );
        const read = await fixture.read('a');
        assert.deepEqual(
          read.map(({ event }) => event),
          samples,
        );
      },
    },
  ];
}

const JSON_SAMPLES: unknown[] = [
  {},
  '',
  'a\0b\u2028 ä 事 🪨',
  0,
  -1.5,
  true,
  null,
  [],
  [[{ deep: [{}] }]],
  { constructor: 1, toString: 'x' },
  { large: 'x'.repeat(100_000) },
];
