/** Deleting a prefix: what is left, and that sequence numbers are never given again. */
import assert from 'node:assert/strict';
import { type Check, rejection } from './case.js';
import type { JournalFixture, JournalOptions } from './journal-fixture.js';

export function deleteChecks<Event>(options: JournalOptions<Event>): Check<JournalFixture<Event>>[] {
  const check = (name: string, run: (fixture: JournalFixture<Event>) => Promise<void>) => ({
    name,
    check: async (fixture: JournalFixture<Event>) => {
      await fixture.store('a', 6);
      await run(fixture);
    },
  });
  const skipped = options.reopen === undefined ? 'no reopen was given' : undefined;
  return [
    check('deleteTo: deletes up to and including the sequence number', async (fixture) => {
      await fixture.journal.deleteTo('a', 3);
      await fixture.expect('a', 4, 6);
    }),
    check('deleteTo: the highest sequence number survives', async ({ journal }) => {
      await journal.deleteTo('a', 3);
      assert.equal(await journal.highestSeq('a'), 6);
    }),
    check('deleteTo: the highest sequence number survives the deletion of everything', async ({ journal }) => {
      await journal.deleteTo('a', 6);
      assert.equal(await journal.highestSeq('a'), 6);
    }),
    check('deleteTo: after the deletion of everything, appends go on behind it', async (fixture) => {
      await fixture.journal.deleteTo('a', 6);
      await fixture.journal.append('a', fixture.events(7, 7), 6);
      await fixture.expect('a', 7, 7);
    }),
    check('deleteTo: reads that begin in the deleted part give the rest', async (fixture) => {
      await fixture.journal.deleteTo('a', 3);
      await fixture.expect('a', 4, 6, { from: 2 });
      await fixture.expect('a', 4, 5, { from: 3, to: 5 });
      await fixture.expect('a', 4, 5, { from: 2, limit: 2 });
    }),
    check('deleteTo: reads within the deleted part give none', async (fixture) => {
      await fixture.journal.deleteTo('a', 3);
      assert.deepEqual(await fixture.read('a', { from: 1, to: 3 }), []);
    }),
    check('deleteTo: behind the end, deletes everything and gives away no sequence numbers', async (fixture) => {
      await fixture.journal.deleteTo('a', 100);
      assert.deepEqual(await fixture.read('a'), []);
      assert.equal(await fixture.journal.highestSeq('a'), 6);
    }),
    check('deleteTo: a lower sequence number afterwards brings nothing back', async (fixture) => {
      await fixture.journal.deleteTo('a', 4);
      await fixture.journal.deleteTo('a', 2);
      await fixture.expect('a', 5, 6);
    }),
    check('deleteTo: leaves other persistence ids alone', async (fixture) => {
      await fixture.store('b', 3);
      await fixture.journal.deleteTo('a', 6);
      await fixture.expect('b', 1, 3);
    }),
    check('deleteTo: does nothing to an unknown persistence id', async ({ journal }) => {
      await journal.deleteTo('b', 3);
      assert.equal(await journal.highestSeq('b'), 0);
    }),
    {
      ...check('reopen: events are there, and appending goes on', async (fixture) => {
        await fixture.reopen();
        await fixture.expect('a', 1, 6);
        await fixture.journal.append('a', fixture.events(7, 7), 6);
        await fixture.expect('a', 1, 7);
      }),
      skipped,
    },
    {
      ...check('reopen: what was deleted stays deleted', async (fixture) => {
        await fixture.journal.deleteTo('a', 3);
        await fixture.reopen();
        await fixture.expect('a', 4, 6);
      }),
      skipped,
    },
    {
      ...check('reopen: the highest sequence number survives the deletion of everything', async (fixture) => {
        await fixture.journal.deleteTo('a', 6);
        await fixture.reopen();
        assert.equal(await fixture.journal.highestSeq('a'), 6);
      }),
      skipped,
    },
    check('close: can be called twice', async ({ journal }) => {
      await journal.close();
      await journal.close();
    }),
    check('close: appends are refused afterwards', async (fixture) => {
      await fixture.journal.close();
      await rejection(fixture.journal.append('a', fixture.events(7, 7), 6), 'a closed journal must not accept events');
    }),
  ];
}
