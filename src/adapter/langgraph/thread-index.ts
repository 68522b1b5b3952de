/**
 * What is in a thread, and at which revisions of its stream: checkpoints by namespace and id, and their pending writes.
 *
 * It is read from the stream and reads on where it was, so it needs nothing but the stream and may be thrown away at any
 * time. Where one part of a thread was given up it begins anew.
 */
import type { EventStore } from '../event-store/event-store.js';
import type { RecordedEvent } from '../event-store/recorded-event.js';
import {
  CHECKPOINT_EVENT,
  type CheckpointHeader,
  refuseForeign,
  type Version,
  WRITES_EVENT,
  type WritesHeader,
} from './thread-format.js';

export interface CheckpointEntry {
  readonly revision: bigint;
  readonly header: CheckpointHeader;
  /** The one of the same id before: descendants may lean on its values. */
  readonly replaced: CheckpointEntry | undefined;
}

export interface WriteEntry {
  readonly revision: bigint;
  /** Which of the values of its event. */
  readonly at: number;
  readonly task: string;
  readonly path: string;
  readonly idx: number;
  readonly channel: string;
}

/** The part of a thread that belongs to one graph or subgraph. */
export interface Namespace {
  readonly checkpoints: Map<string, CheckpointEntry>;
  /** By id of the checkpoint, then by task and index. The checkpoint may still be to come. */
  readonly writes: Map<string, Map<string, WriteEntry>>;
  /** Channels that are made of the writes of ancestors. */
  readonly deltas: Set<string>;
}

const NO_STREAM = -1;

export class ThreadIndex {
  readonly #store: EventStore;
  readonly #stream: string;
  #namespaces = new Map<string, Namespace>();
  #floor = NO_STREAM;
  #next = 0n;
  #refreshing: Promise<void> = Promise.resolve();

  constructor(store: EventStore, stream: string) {
    this.#store = store;
    this.#stream = stream;
  }

  /** In the order in which they came about. */
  get namespaces(): ReadonlyMap<string, Namespace> {
    return this.#namespaces;
  }

  /** The revision before which everything was given up, when it was last refreshed; −1 where there is no stream. */
  get floor(): number {
    return this.#floor;
  }

  /** The revision behind the last one that it knows. */
  get next(): bigint {
    return this.#next;
  }

  /** Takes up what is durable at the call. */
  refresh(): Promise<void> {
    const refreshed = this.#refreshing.then(() => this.#refresh());
    this.#refreshing = refreshed.catch(() => {}); // told to whoever asked; the next one tries again
    return refreshed;
  }

  async #refresh(): Promise<void> {
    const head = await this.#store.streamHead(this.#stream);
    const floor = head === undefined ? NO_STREAM : (head.metadata.truncateBefore ?? 0);
    if (floor !== this.#floor) {
      this.#namespaces = new Map(); // not cleared: a listing may be under way
      this.#floor = floor;
      this.#next = 0n;
    }
    if (head === undefined || head.revision < this.#next) return;
    for await (const event of this.#store.readStream(this.#stream, { fromRevision: this.#next })) {
      this.#add(event);
      this.#next = event.revision + 1n;
    }
  }

  #add(event: RecordedEvent): void {
    if (event.schemaVersion !== 1) refuseForeign(event);
    if (event.type === CHECKPOINT_EVENT) this.#addCheckpoint(event.revision, event.metadata as CheckpointHeader);
    else if (event.type === WRITES_EVENT) this.#addWrites(event.revision, event.metadata as WritesHeader);
    else refuseForeign(event);
  }

  #addCheckpoint(revision: bigint, header: CheckpointHeader): void {
    const { checkpoints, deltas } = this.#namespace(header.ns);
    for (const channel of header.deltas ?? []) deltas.add(channel);
    checkpoints.set(header.id, { revision, header, replaced: checkpoints.get(header.id) });
  }

  #addWrites(revision: bigint, header: WritesHeader): void {
    const { task, path } = header;
    const { writes } = this.#namespace(header.ns);
    const ofCheckpoint = writes.get(header.id) ?? new Map<string, WriteEntry>();
    writes.set(header.id, ofCheckpoint);
    header.writes.forEach(([idx, channel], at) => {
      const key = `${idx} ${task}`;
      // A task that runs again repeats its writes: the first ones stay. Errors, interrupts and the like replace each other.
      if (idx < 0 || !ofCheckpoint.has(key)) {
        ofCheckpoint.set(key, { revision, at, task, path, idx, channel });
      }
    });
  }

  #namespace(ns: string): Namespace {
    let namespace = this.#namespaces.get(ns);
    if (namespace === undefined) {
      namespace = { checkpoints: new Map(), writes: new Map(), deltas: new Set() };
      this.#namespaces.set(ns, namespace);
    }
    return namespace;
  }
}

/** Ids of the checkpoints that are listed, newest first: ids grow with time. */
export function newestFirst({ checkpoints }: Namespace): string[] {
  const ids: string[] = [];
  for (const [id, { header }] of checkpoints) if (header.hidden !== true) ids.push(id);
  return ids.sort().reverse();
}

/** A checkpoint, its parent, the parent's parent, as far as they are there. */
export function* lineage({ checkpoints }: Namespace, id: string | undefined): Generator<CheckpointEntry> {
  const seen = new Set<string>(); // a checkpoint is its own ancestor, if somebody says so
  for (let at = id; at !== undefined && !seen.has(at); ) {
    const entry = checkpoints.get(at);
    if (entry === undefined) return;
    yield entry;
    seen.add(at);
    at = entry.header.parent;
  }
}

/** What holds the value of a channel at a version: the nearest from `id` on upwards. Undefined where none of them does. */
export function holderOf(
  namespace: Namespace,
  id: string | undefined,
  channel: string,
  version: Version,
): CheckpointEntry | undefined {
  for (const newest of lineage(namespace, id)) {
    for (let entry: CheckpointEntry | undefined = newest; entry !== undefined; entry = entry.replaced) {
      if (placeOf(entry.header, channel, version) >= 0) return entry;
    }
  }
  return undefined;
}

/** Some checkpoint of the namespace, whether an ancestor or not, holds the value of a channel at a version. */
export function isKnown(namespace: Namespace | undefined, channel: string, version: Version): boolean {
  for (const { header } of namespace?.checkpoints.values() ?? [])
    if (placeOf(header, channel, version) >= 0) return true;
  return false;
}

/** Where a checkpoint stores the value of a channel at a version: place among its channels, −1 if it does not. */
export function placeOf({ stored }: CheckpointHeader, channel: string, version: Version): number {
  return stored.findIndex(([name, at]) => name === channel && at === version);
}

/** Pending writes of a checkpoint in the order in which a run applies them: by path, task and index. */
export function pendingWrites({ writes }: Namespace, id: string): WriteEntry[] {
  return [...(writes.get(id)?.values() ?? [])].sort(
    (a, b) => compareText(a.path, b.path) || compareText(a.task, b.task) || a.idx - b.idx,
  );
}

/** By code points, as LangGraph compares: the order of their UTF-8. */
function compareText(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));
}
