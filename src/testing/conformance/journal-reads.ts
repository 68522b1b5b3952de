/** Reading: bounds are inclusive, limits exact, and nothing is no error. */
import assert from 'node:assert/strict';
import type { JournalRange } from '../../adapter/journal/journal.js';
import type { Check } from './case.js';
import type { JournalFixture } from './journal-fixture.js';

export function readChecks<Event>(): Check<JournalFixture<Event>>[] {
  /** Of the events 1 … 10, this range gives `from` … `to`. */
  const range = (name: string, asked: JournalRange, [from, to]: readonly [number, number]) => ({
    name: `read: ${name}`,
    check: async (fixture: JournalFixture<Event>) => {
      await fixture.store('a', 10);
      await fixture.expect('a', from, to, asked);
    },
  });
  const none = [1, 0] as const;
  return [
    range('gives all events in order', {}, [1, 10]),
    range('begins at `from`, inclusive', { from: 4 }, [4, 10]),
    range('ends at `to`, inclusive', { to: 4 }, [1, 4]),
    range('keeps to both bounds', { from: 3, to: 5 }, [3, 5]),
    range('gives a single event', { from: 5, to: 5 }, [5, 5]),
    range('ends at the last event where `to` is behind it', { from: 9, to: 20 }, [9, 10]),
    range('gives exactly `limit` events', { from: 2, limit: 3 }, [2, 4]),
    range('gives none where `limit` is 0', { limit: 0 }, none),
    range('gives none where the bounds are inverted', { from: 5, to: 4 }, none),
    range('gives none behind the last event', { from: 11 }, none),
    {
      name: 'read: gives none of an unknown persistence id',
      check: async (fixture) => {
        await fixture.store('a', 1);
        assert.deepEqual(await fixture.read('b'), []);
      },
    },
    {
      name: 'read: gives what was acknowledged, at once',
      check: async (fixture) => {
        for (let n = 1; n <= 20; n++) {
          await fixture.journal.append('a', fixture.events(n, n), n - 1);
          await fixture.expect('a', n, n, { from: n });
        }
      },
    },
    {
      name: 'read: gives many events, and large batches',
      check: async (fixture) => {
        for (let n = 0; n < 2000; n += 500) await fixture.journal.append('a', fixture.events(n + 1, n + 500), n);
        await fixture.expect('a', 1, 2000);
      },
    },
    {
      name: 'read: can be left early, and begun again',
      check: async (fixture) => {
        await fixture.store('a', 10);
        for (let n = 0; n < 3; n++) {
          for await (const { seq } of fixture.journal.read('a')) {
            assert.equal(seq, 1);
            break;
          }
        }
        await fixture.expect('a', 1, 10);
      },
    },
    {
      name: 'highestSeq: is 0 of an unknown persistence id',
      check: async (fixture) => {
        await fixture.store('a', 1);
        assert.equal(await fixture.journal.highestSeq('b'), 0);
      },
    },
    {
      name: 'highestSeq: is that of the last event',
      check: async (fixture) => {
        await fixture.store('a', 3);
        assert.equal(await fixture.journal.highestSeq('a'), 3);
        await fixture.journal.append('a', fixture.events(4, 4), 3);
        assert.equal(await fixture.journal.highestSeq('a'), 4);
      },
    },
  ];
}
