/**
 * The versions of one aggregate, as its stream has them, and what is going to be appended to it.
 *
 * As a rule the stream holds versions in order, without gaps: where its newest event is tells where every version is. A
 * version that is pushed out of order or supersedes another ends that ("scattered"): from then on the whole stream is
 * read, and of the events of a version the last counts.
 */
import type { EventDetail } from '@castore/core';
import type { EventInput } from '../event-store/event-input.js';
import type { EventStore } from '../event-store/event-store.js';
import type { ExpectedRevision } from '../event-store/expected-revision.js';
import type { RecordedEvent } from '../event-store/recorded-event.js';
import { noteOf, toInput } from './castore-event.js';

export async function newestEvent(store: EventStore, stream: string): Promise<RecordedEvent | undefined> {
  const [newest] = await store.readStream(stream, { direction: 'backwards', maxCount: 1 }).toArray();
  return newest;
}

/** The version that revision 0 has, or would have, where `event` is in order. */
export function firstVersion(event: RecordedEvent): number {
  return noteOf(event).version - Number(event.revision);
}

/** Events by version, ascending, of a scattered stream up to its newest event. */
export async function scatteredEvents(store: EventStore, newest: RecordedEvent): Promise<Map<number, RecordedEvent>> {
  const byVersion = new Map<number, RecordedEvent>();
  for await (const event of store.readStream(newest.stream, { toRevision: newest.revision })) {
    byVersion.set(noteOf(event).version, event);
  }
  return new Map([...byVersion].sort(([a], [b]) => a - b));
}

/** What is going to be appended to one aggregate. */
export class AggregatePlan {
  readonly stream: string;
  readonly expectedRevision: ExpectedRevision;
  readonly events: EventInput[] = [];
  /** Versions from `#first` to `#last` are there, and those of `#others`. */
  #first: number;
  #last: number;
  readonly #others: Set<number>;
  #scattered: boolean;

  private constructor(
    stream: string,
    expectedRevision: ExpectedRevision,
    [first, last]: readonly [number, number],
    others?: Iterable<number>,
  ) {
    this.stream = stream;
    this.expectedRevision = expectedRevision;
    this.#first = first;
    this.#last = last;
    this.#others = new Set(others);
    this.#scattered = others !== undefined;
  }

  /**
   * What can be read decides. `refused`: the durable revision of the stream for which an earlier plan came too late. If
   * even then nothing can be read of it, all of it is older than its `maxAge`.
   */
  static async from(store: EventStore, stream: string, refused?: ExpectedRevision): Promise<AggregatePlan> {
    const newest = await newestEvent(store, stream);
    if (newest === undefined) return new AggregatePlan(stream, refused ?? 'noStream', [1, 0]);
    const { version, scattered } = noteOf(newest);
    if (scattered !== true) return new AggregatePlan(stream, newest.revision, [firstVersion(newest), version]);
    return new AggregatePlan(stream, newest.revision, [1, 0], (await scatteredEvents(store, newest)).keys());
  }

  has(version: number): boolean {
    return (version >= this.#first && version <= this.#last) || this.#others.has(version);
  }

  /** Adds an event, in place of the one that its version has if there is one. */
  add(event: EventDetail): void {
    const { version } = event;
    const supersedes = this.has(version);
    if (this.#last < this.#first && this.#others.size === 0) {
      this.#first = version;
      this.#last = version;
    } else if (!this.#scattered && version === this.#last + 1) {
      this.#last = version;
    } else {
      this.#scattered = true;
      this.#others.add(version);
    }
    this.events.push(
      toInput(event, {
        ...(supersedes ? { supersedes: true } : {}),
        ...(this.#scattered ? { scattered: true } : {}),
      }),
    );
  }
}
