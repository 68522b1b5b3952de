/**
 * One layer of a partition's index: where the events of one segment are, by stream, category, type and tag.
 *
 * A segment that is still written to has a layer in memory; a sealed one has an index file, and so has a kept file, which
 * stands for several segments. All answer alike.
 */

/** What events are found by. */
export type KeyKind = 'stream' | 'category' | 'type' | 'tag';

export interface Key {
  readonly kind: KeyKind;
  readonly name: string;
}

/** The events of one key in one segment. */
export interface Postings {
  /** Of a stream: the revision of the first one. Of other keys: 0. */
  readonly firstRevision: number;
  /** LSNs, ascending. */
  readonly lsns: readonly number[];
}

export interface IndexLayer {
  /** Index of the segment in its partition. */
  readonly segment: number;
  /** No event of this layer lies behind it. */
  readonly lastLsn: number;
  /** The events of `key` in this segment; undefined where there are none. */
  find(key: Key): Postings | undefined | Promise<Postings | undefined>;
  /** Streams whose id begins with `prefix`, and their postings. In no order that callers may rely on. */
  streams(prefix: string): AsyncIterable<readonly [stream: string, postings: Postings]>;
}

/** The category of a stream: what is before the first dash of its id; the whole id where there is none. */
export function categoryOf(stream: string): string {
  const dash = stream.indexOf('-');
  return dash < 0 ? stream : stream.slice(0, dash);
}

interface GrowingPostings extends Postings {
  readonly lsns: number[];
}

/** The layer of a segment that is written to. */
export class MemoryLayer implements IndexLayer {
  readonly segment: number;
  lastLsn = 0;
  readonly #keys: Record<KeyKind, Map<string, GrowingPostings>> = {
    stream: new Map(),
    category: new Map(),
    type: new Map(),
    tag: new Map(),
  };

  /** Category and type of the event before: those of the next one are often the same, and need not be looked up. */
  #lastCategory = '';
  #ofLastCategory: GrowingPostings = { firstRevision: 0, lsns: [] };
  #lastType = '';
  #ofLastType: GrowingPostings = this.#ofLastCategory;

  constructor(segment: number) {
    this.segment = segment;
  }

  /** Adds an event; LSNs ascend, and so do the revisions of a stream. */
  add(lsn: number, stream: string, revision: number, type: string, tags: readonly string[]): void {
    this.lastLsn = lsn;
    post(this.#keys.stream, stream, lsn, revision);
    const category = this.#lastCategory;
    if (category !== '' && stream.startsWith(category) && stream[category.length] === '-') {
      this.#ofLastCategory.lsns.push(lsn);
    } else {
      this.#lastCategory = categoryOf(stream);
      this.#ofLastCategory = post(this.#keys.category, this.#lastCategory, lsn, 0);
    }
    if (type === this.#lastType) {
      this.#ofLastType.lsns.push(lsn);
    } else {
      this.#lastType = type;
      this.#ofLastType = post(this.#keys.type, type, lsn, 0);
    }
    for (const tag of tags) post(this.#keys.tag, tag, lsn, 0);
  }

  find({ kind, name }: Key): Postings | undefined {
    return this.#keys[kind].get(name);
  }

  async *streams(prefix: string): AsyncGenerator<readonly [string, Postings]> {
    for (const entry of this.#keys.stream) if (entry[0].startsWith(prefix)) yield entry;
  }

  /** Everything in this layer. */
  *entries(): Generator<readonly [Key, Postings]> {
    for (const [kind, names] of Object.entries(this.#keys) as [KeyKind, Map<string, Postings>][]) {
      for (const [name, postings] of names) yield [{ kind, name }, postings];
    }
  }
}

function post(names: Map<string, GrowingPostings>, name: string, lsn: number, firstRevision: number): GrowingPostings {
  let postings = names.get(name);
  if (postings === undefined) {
    postings = { firstRevision, lsns: [lsn] };
    names.set(name, postings);
  } else if (postings.lsns[postings.lsns.length - 1] !== lsn) {
    postings.lsns.push(lsn); // a tag may be given twice
  }
  return postings;
}
