/** Queries over a journal: persistence ids, events by tag, and following both. */
import assert from 'node:assert/strict';
import type { Journal, StoredEvent } from '../../adapter/journal/journal.js';
import { type Check, collect, rejection } from './case.js';
import type { JournalFixture } from './journal-fixture.js';

/** What a journal may leave out. */
export interface JournalCapabilities {
  /** `eventsByTag`. Default true. */
  readonly tags?: boolean;
  /** `follow`. Default true. */
  readonly follow?: boolean;
  /** `followTag`. Default true. */
  readonly followTag?: boolean;
}

export function queryChecks<Event>(capabilities: JournalCapabilities): Check<JournalFixture<Event>>[] {
  return [...idChecks<Event>(), ...tagChecks<Event>(capabilities), ...followChecks<Event>(capabilities)];
}

function idChecks<Event>(): Check<JournalFixture<Event>>[] {
  return [
    {
      name: 'persistenceIds: none while there are none',
      check: async ({ journal }) => {
        const { ids, next } = await journal.persistenceIds();
        assert.deepEqual({ ids, next }, { ids: [], next: undefined });
      },
    },
    {
      name: 'persistenceIds: gives each once',
      check: async (fixture) => {
        for (const id of ['a', 'b', 'c']) await fixture.store(id, 2);
        assert.deepEqual([...(await fixture.journal.persistenceIds()).ids].sort(), ['a', 'b', 'c']);
      },
    },
    {
      name: 'persistenceIds: pages give each once, and no more than was asked for',
      check: async (fixture) => {
        const all = Array.from({ length: 7 }, (_, i) => `id ${i}`);
        for (const id of all) await fixture.store(id, 1);
        const seen: string[] = [];
        let after: string | undefined;
        for (let page = 0; page < 9; page++) {
          const options = after === undefined ? { limit: 3 } : { limit: 3, after };
          const { ids, next } = await fixture.journal.persistenceIds(options);
          assert(ids.length <= 3, `a page of at most 3 has ${ids.length} persistence ids`);
          seen.push(...ids);
          after = next;
          if (after === undefined) break;
        }
        assert.equal(after, undefined, 'the pages of 7 persistence ids do not come to an end');
        assert.deepEqual(seen.sort(), all);
      },
    },
  ];
}

function tagChecks<Event>({ tags = true }: JournalCapabilities): Check<JournalFixture<Event>>[] {
  const check = (
    name: string,
    run: (fixture: JournalFixture<Event>, journal: Required<Journal<Event>>) => Promise<void>,
  ) => ({
    name: `eventsByTag: ${name}`,
    skipped: tags ? undefined : 'no tags',
    check: async (fixture: JournalFixture<Event>) => {
      const { journal } = fixture;
      await journal.append('a', fixture.events(1, 2, ['red']), 0);
      await journal.append('b', [...fixture.events(1, 1, ['red', 'green']), ...fixture.events(2, 2)], 0);
      await journal.append('a', fixture.events(3, 3, ['red']), 2);
      await run(fixture, journal as Required<Journal<Event>>);
    },
  });
  const places = async (events: AsyncIterable<{ persistenceId: string; seq: number }>) =>
    (await collect(events)).map(({ persistenceId, seq }) => `${persistenceId}${seq}`);
  return [
    check('gives the events with the tag, in the order of appending', async (_fixture, journal) => {
      assert.deepEqual(await places(journal.eventsByTag('red')), ['a1', 'a2', 'b1', 'a3']);
    }),
    check('finds an event by each of its tags', async (_fixture, journal) => {
      assert.deepEqual(await places(journal.eventsByTag('green')), ['b1']);
    }),
    check('gives none for an unknown tag', async (_fixture, journal) => {
      assert.deepEqual(await places(journal.eventsByTag('re')), []);
    }),
    check('gives the events themselves', async (fixture, journal) => {
      const [first] = await collect(journal.eventsByTag('green'));
      assert.deepEqual([first?.event, first?.tags], [fixture.event(1), ['red', 'green']]);
    }),
    check('goes on behind the offset of any event', async (_fixture, journal) => {
      const all = await collect(journal.eventsByTag('red'));
      for (const [i, { offset }] of all.entries()) {
        const rest = all.slice(i + 1).map(({ persistenceId, seq }) => `${persistenceId}${seq}`);
        assert.deepEqual(await places(journal.eventsByTag('red', { after: offset })), rest);
      }
    }),
    check('gives exactly `limit` events', async (_fixture, journal) => {
      assert.deepEqual(await places(journal.eventsByTag('red', { limit: 2 })), ['a1', 'a2']);
    }),
    check('gives nothing that was deleted', async (_fixture, journal) => {
      await journal.deleteTo('a', 1);
      await journal.deleteTo('b', 2);
      assert.deepEqual(await places(journal.eventsByTag('red')), ['a2', 'a3']);
    }),
    check('gives nothing of an append that was refused', async (fixture, journal) => {
      const outcome = journal.append('a', fixture.events(9, 9, ['red']), 1);
      const refused = await outcome.then(
        () => false,
        () => true,
      );
      // That it must be refused is the matter of another case.
      if (!refused) return;
      assert.deepEqual(await places(journal.eventsByTag('red')), ['a1', 'a2', 'b1', 'a3']);
    }),
  ];
}

function followChecks<Event>(capabilities: JournalCapabilities): Check<JournalFixture<Event>>[] {
  const { follow = true, followTag = true } = capabilities;
  const skipped = follow ? undefined : 'no following';
  return [
    {
      name: 'follow: gives what is there, then what comes',
      skipped,
      check: async (fixture) => {
        await fixture.store('a', 2);
        const { next, stop } = followed(fixture, (journal, signal) => journal.follow('a', { signal }));
        assert.deepEqual([await next(), await next()], [1, 2]);
        const coming = next();
        await fixture.store('b', 1);
        await fixture.journal.append('a', fixture.events(3, 4), 2);
        assert.deepEqual([await coming, await next()], [3, 4]);
        await stop();
      },
    },
    {
      name: 'follow: begins at `from`, inclusive',
      skipped,
      check: async (fixture) => {
        await fixture.store('a', 3);
        const { next, stop } = followed(fixture, (journal, signal) => journal.follow('a', { from: 3, signal }));
        assert.equal(await next(), 3);
        await stop();
      },
    },
    {
      name: 'follow: misses and repeats nothing of what is appended meanwhile',
      skipped,
      check: async (fixture) => {
        await fixture.store('a', 10);
        const { next, stop } = followed(fixture, (journal, signal) => journal.follow('a', { signal }));
        const appending = async () => {
          for (let n = 11; n <= 50; n++) await fixture.journal.append('a', fixture.events(n, n), n - 1);
        };
        const reading = async () => {
          for (let n = 1; n <= 50; n++) assert.equal(await next(), n);
        };
        for (const outcome of await Promise.allSettled([appending(), reading()])) {
          if (outcome.status === 'rejected') throw outcome.reason;
        }
        await stop();
      },
    },
    {
      name: "follow: rejects with the signal's reason when it aborts",
      skipped,
      check: async (fixture) => {
        await fixture.store('a', 1);
        const { next, stop } = followed(fixture, (journal, signal) => journal.follow('a', { signal }));
        await next();
        const reason = new Error('enough');
        const rejected = rejection(next(), 'an aborted follower must reject');
        await stop(reason);
        assert.equal(await rejected, reason);
      },
    },
    {
      name: 'followTag: gives what is there, then what comes, of all persistence ids',
      skipped: followTag ? undefined : 'no following of tags',
      check: async (fixture) => {
        const { journal } = fixture;
        await journal.append('a', fixture.events(1, 1, ['red']), 0);
        const { next, stop } = followed(fixture, (live, signal) => live.followTag('red', { signal }));
        assert.equal(await next(), 1);
        const coming = next();
        await journal.append('a', fixture.events(2, 2), 1);
        await journal.append('b', [...fixture.events(1, 2), ...fixture.events(3, 3, ['red'])], 0);
        assert.equal(await coming, 3);
        await stop();
      },
    },
  ];
}

type Follow<Event> = (journal: Required<Journal<Event>>, signal: AbortSignal) => AsyncIterable<StoredEvent<Event>>;

/** A follower: `next` gives the next sequence number, `stop` ends it and gives what it rejected with. */
function followed<Event>({ journal, options }: JournalFixture<Event>, follow: Follow<Event>) {
  const { patience = 5000 } = options;
  const controller = new AbortController();
  const iterator = follow(journal as Required<Journal<Event>>, controller.signal)[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await patient(iterator.next(), patience);
    assert(done !== true, 'a follower must not end by itself');
    return value.seq;
  };
  const stop = async (reason: unknown = new Error('the follower is no longer needed')) => {
    controller.abort(reason);
    await iterator.return?.();
  };
  return { next, stop };
}

async function patient<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no event has come for ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
