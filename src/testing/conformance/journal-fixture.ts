/** What the checks of a journal work with: a fresh journal, and events to put into it. */
import assert from 'node:assert/strict';
import type { Journal, JournalEvent, JournalRange, StoredEvent } from '../../adapter/journal/journal.js';
import { collect } from './case.js';

export interface JournalOptions<Event> {
  /** The `n`th of many different events (1, 2, …) that the journal can keep. Default: `{ n, text }`. */
  readonly event?: (n: number) => Event;
  /** Events of every kind that the journal promises to keep. Default: some that JSON keeps. */
  readonly samples?: readonly Event[];
  /** An event that the journal can't keep, such as a function for a codec. Without it, one case is skipped. */
  readonly unstorable?: Event;
  /** Closes the journal and opens another one on the same data. Without it, cases are skipped. */
  readonly reopen?: (journal: Journal<Event>) => Promise<Journal<Event>>;
  /** Milliseconds to wait for an event that must come. Default 5,000. */
  readonly patience?: number;
}

export class JournalFixture<Event> {
  journal: Journal<Event>;
  readonly options: JournalOptions<Event>;

  constructor(journal: Journal<Event>, options: JournalOptions<Event>) {
    this.journal = journal;
    this.options = options;
  }

  event(n: number): Event {
    return this.options.event?.(n) ?? ({ n, text: `event ${n}` } as Event);
  }

  /** The events `from` … `to`, as they are given to the journal. */
  events(from: number, to: number, tags?: readonly string[]): JournalEvent<Event>[] {
    const numbers = Array.from({ length: to - from + 1 }, (_, i) => from + i);
    return numbers.map((n) => ({ event: this.event(n), ...(tags === undefined ? {} : { tags }) }));
  }

  /** Appends the events 1 … `count` to a new persistence id, at once. */
  async store(persistenceId: string, count: number): Promise<void> {
    await this.journal.append(persistenceId, this.events(1, count), 0);
  }

  read(persistenceId: string, range?: JournalRange): Promise<StoredEvent<Event>[]> {
    return collect(this.journal.read(persistenceId, range));
  }

  /** Checks that a read gives the events `from` … `to` of `persistenceId`, whose `n`th event is `event(n)`. */
  async expect(persistenceId: string, from: number, to: number, range?: JournalRange): Promise<void> {
    const read = await this.read(persistenceId, range);
    const wanted = this.events(from, to).map(({ event }, i) => ({ persistenceId, seq: from + i, event }));
    assert.deepEqual(
      read.map(({ persistenceId, seq, event }) => ({ persistenceId, seq, event })),
      wanted,
      `read('${persistenceId}', ${JSON.stringify(range ?? {})}) must give the events ${from} to ${to}`,
    );
  }

  async reopen(): Promise<void> {
    assert(this.options.reopen !== undefined);
    this.journal = await this.options.reopen(this.journal);
  }

  close(): Promise<void> {
    return this.journal.close();
  }
}
