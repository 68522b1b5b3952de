/**
 * What every journal must do, as named cases for any test runner: after the compatibility suites of the actor frameworks.
 *
 * ```js
 * registerCases(journalConformance(() => openMyJournal()), { test });
 * ```
 */
import type { Journal } from '../../adapter/journal/journal.js';
import { type ConformanceCase, casesOf } from './case.js';
import { appendChecks } from './journal-appends.js';
import { deleteChecks } from './journal-deletes.js';
import { JournalFixture, type JournalOptions } from './journal-fixture.js';
import { type JournalCapabilities, queryChecks } from './journal-queries.js';
import { readChecks } from './journal-reads.js';

export interface JournalConformanceOptions<Event> extends JournalOptions<Event> {
  /** What the journal leaves out: `{ tags: false }`. Their cases are skipped. */
  readonly capabilities?: JournalCapabilities;
}

/** `make` opens an empty journal; each case has one of its own and closes it. */
export function journalConformance<Event = unknown>(
  make: () => Journal<Event> | Promise<Journal<Event>>,
  options: JournalConformanceOptions<Event> = {},
): ConformanceCase[] {
  const checks = [
    ...appendChecks(options),
    ...readChecks<Event>(),
    ...deleteChecks(options),
    ...queryChecks<Event>(options.capabilities ?? {}),
  ];
  return casesOf(checks, async () => new JournalFixture(await make(), options));
}
