/**
 * A journal for an actor framework, held to what actors rely on. This one keeps everything in memory, and leaves out what is
 * optional; its cases are run by node:test, and would be by any other test runner.
 */
import { test } from 'node:test';
import { JournalConcurrencyError } from 'varve/journal';
import { journalConformance, registerCases } from 'varve/testing';

class MemoryJournal {
  /** @type {Map<string, { highest: number, events: import('varve/journal').StoredEvent[] }>} */
  #journals = new Map();
  #closed = false;

  /** @type {import('varve/journal').Journal['append']} */
  async append(persistenceId, events, expectedSeq) {
    if (this.#closed) throw new Error('The journal is closed.');
    const journal = this.#journals.get(persistenceId) ?? { highest: 0, events: [] };
    const { highest } = journal;
    if (highest !== expectedSeq) throw new JournalConcurrencyError(persistenceId, expectedSeq, highest);
    const stored = events.map(({ event, tags = [] }, i) => ({
      persistenceId,
      seq: highest + 1 + i,
      event,
      tags,
      timestamp: Date.now(),
    }));
    if (stored.length > 0) this.#journals.set(persistenceId, journal);
    journal.events.push(...stored);
    journal.highest += stored.length;
    return stored;
  }

  /** @type {import('varve/journal').Journal['read']} */
  async *read(persistenceId, { from = 1, to = Infinity, limit = Infinity } = {}) {
    const { events } = this.#journals.get(persistenceId) ?? { events: [] };
    yield* events.filter(({ seq }) => seq >= from && seq <= to).slice(0, limit);
  }

  /** @param {string} persistenceId */
  async highestSeq(persistenceId) {
    return this.#journals.get(persistenceId)?.highest ?? 0;
  }

  /** @param {string} persistenceId @param {number} toSeq */
  async deleteTo(persistenceId, toSeq) {
    const journal = this.#journals.get(persistenceId);
    if (journal !== undefined) journal.events = journal.events.filter(({ seq }) => seq > toSeq);
  }

  /** @type {import('varve/journal').Journal['persistenceIds']} */
  async persistenceIds({ after = '', limit = 100 } = {}) {
    const rest = [...this.#journals.keys()].sort().filter((id) => id > after);
    const ids = rest.slice(0, limit);
    return { ids, next: rest.length > limit ? ids.at(-1) : undefined };
  }

  async close() {
    this.#closed = true;
  }
}

const capabilities = { tags: false, follow: false, followTag: false };
registerCases(
  journalConformance(() => new MemoryJournal(), { capabilities }),
  { test },
);
