/**
 * Snapshots: states of a stream at some of its revisions, as events of the stream `$snapshot-<stream>`.
 *
 * They lie in the log behind the events that they sum up, in the same partition. So after any crash a snapshot is there
 * only if its events are. What is deleted is told by an event of its own, which counts for all before it:
 *
 *   saved at 10 · saved at 20 · deleted before 15 · saved at 12      there are: 12, 20
 *
 * Truncating the stream to the oldest that is left only gives the space back.
 */
import { checkAll, integer, invalid } from '../../options.js';
import { Envelope } from './envelope.js';
import { checkStream } from './event-input.js';
import { anything, revision as checkIsRevision, schemaVersion as checkVersion } from './event-store-options.js';
import { tombstoned } from './expected-revision.js';
import { jsonCodec } from './json-codec.js';
import { streamNotFound } from './read-stream.js';
import type { FoundRecord } from './record-reader.js';
import { exists, type StreamState } from './stream-state.js';
import type { SystemStreams } from './system-streams.js';

export interface SnapshotInput<State = unknown> {
  /** Of the last event that the state has in it. */
  readonly revision: bigint;
  /** What the store's codec takes. */
  readonly state: State;
  /** Version of the shape of `state`: 1 … 65,535. Default 1. */
  readonly schemaVersion?: number;
}

export interface SnapshotInfo {
  readonly revision: bigint;
  readonly schemaVersion: number;
  readonly saved: Date;
}

export interface Snapshot<State = unknown> extends SnapshotInfo {
  readonly state: State;
}

export interface SaveSnapshotResult {
  /** Why older snapshots could not be pruned; the snapshot itself is saved. */
  readonly pruneError?: unknown;
}

export interface SnapshotQuery {
  readonly atOrBefore?: bigint;
  /** Only snapshots of this version. */
  readonly schemaVersion?: number;
}

/** Beside the state of a snapshot, and in place of it where some were deleted. */
interface Note {
  /** Saved at this revision; −1 for a deletion. */
  readonly revision: number;
  /** The highest revision of this snapshot and all that were saved before it. */
  readonly highest: number;
  /** A deletion: those before this revision are gone. */
  readonly before?: number;
}

interface Entry extends SnapshotInfo {
  readonly record: FoundRecord;
  /** Revision in `$snapshot-<stream>`. */
  readonly at: number;
  /** No snapshot that was saved before it is at a higher revision than this. */
  readonly highest: number;
}

const snapshotStreamOf = (stream: string): string => `$snapshot-${stream}`;

export class Snapshots {
  readonly #system: SystemStreams;

  constructor(system: SystemStreams) {
    this.#system = system;
  }

  /** Rejects with `ERR_VARVE_STREAM_NOT_FOUND`, `ERR_VARVE_STREAM_TOMBSTONED`, or where the revision is none of the stream. */
  async save(stream: string, snapshot: SnapshotInput, options: { keep?: number }): Promise<SaveSnapshotResult> {
    this.#check(stream);
    checkAll(snapshot, { revision: checkIsRevision, state: anything, schemaVersion: checkVersion }, 'snapshot');
    checkIsRevision(snapshot.revision, 'snapshot.revision');
    checkAll(options, { keep: integer(1, 1_000_000) }, 'options');
    const { revision, state, schemaVersion = 1 } = snapshot;
    const { keep } = options;
    const own = snapshotStreamOf(stream);
    const codec = this.#system.encode(state, 'snapshot.state'); // at once: the caller may go on changing it
    await this.#system.insert(own, async () => {
      checkRevision(stream, await this.#system.core.states.of(stream), Number(revision));
      const highest = Math.max(Number(revision), (await this.#newest(own))?.highest ?? -1);
      const metadata: Note = { revision: Number(revision), highest };
      return [this.#system.write(own, { type: '$snapshot', schemaVersion, metadata }, 'any', codec)];
    });
    if (keep === undefined) return {};
    try {
      await this.#prune(stream, keep);
      return {};
    } catch (pruneError) {
      return { pruneError };
    }
  }

  async read<State>(stream: string, options: SnapshotQuery): Promise<Snapshot<State> | undefined> {
    this.#check(stream);
    checkAll(options, { atOrBefore: checkIsRevision, schemaVersion: checkVersion }, 'options');
    const { atOrBefore, schemaVersion } = options;
    let best: Entry | undefined;
    for await (const entry of this.#entries(stream)) {
      if (best !== undefined && best.revision >= BigInt(entry.highest)) break; // nothing before is higher
      if (
        (atOrBefore !== undefined && entry.revision > atOrBefore) ||
        (schemaVersion !== undefined && entry.schemaVersion !== schemaVersion)
      )
        continue;
      if (best === undefined || entry.revision > best.revision) best = entry;
    }
    if (best === undefined) return undefined;
    const { core } = this.#system;
    const { log } = core.partitionOf(stream);
    const { revision, schemaVersion: version, saved, record } = best;
    return { revision, schemaVersion: version, saved, state: core.decode(log, record).data as State };
  }

  /** By revision, ascending. */
  async list(stream: string): Promise<SnapshotInfo[]> {
    this.#check(stream);
    return (await this.#sorted(stream)).map(({ revision, schemaVersion, saved }) => ({
      revision,
      schemaVersion,
      saved,
    }));
  }

  /** Those before a revision. */
  async delete(stream: string, options: { before: bigint }): Promise<void> {
    this.#check(stream);
    checkAll(options, { before: checkIsRevision }, 'options');
    checkIsRevision(options.before, 'before');
    await this.#delete(stream, options.before);
  }

  #check(stream: string): void {
    this.#system.core.refuseClosed();
    checkStream(stream);
  }

  async #delete(stream: string, before: bigint): Promise<void> {
    const own = snapshotStreamOf(stream);
    const entries = await this.#sorted(stream);
    const places = (some: readonly Entry[]) => some.map(({ at }) => at);
    const gone = places(entries.filter(({ revision }) => revision < before));
    if (gone.length === 0) return;
    const left = places(entries.filter(({ revision }) => revision >= before));
    await this.#system.insert(own, async () => {
      const { metadata } = await this.#system.core.states.of(own);
      // Another deletion may have come first. What was saved meanwhile is behind all that is listed, and stays.
      const oldest = Math.max(metadata.truncateBefore ?? 0, Math.min(Math.max(...gone) + 1, ...left));
      const truncation = await this.#system.metadata(own, { truncateBefore: oldest });
      if (gone.every((at) => at < oldest)) return [truncation];
      const note: Note = { revision: -1, highest: (await this.#newest(own))?.highest ?? -1, before: Number(before) };
      return [this.#system.write(own, { type: '$snapshots-deleted', metadata: note }), truncation];
    });
  }

  async #prune(stream: string, keep: number): Promise<void> {
    const oldest = (await this.#sorted(stream)).at(-keep);
    if (oldest !== undefined) await this.#delete(stream, oldest.revision);
  }

  async #sorted(stream: string): Promise<Entry[]> {
    const byRevision = new Map<bigint, Entry>();
    for await (const entry of this.#entries(stream)) {
      if (!byRevision.has(entry.revision)) byRevision.set(entry.revision, entry);
    }
    return [...byRevision.values()].sort((a, b) => (a.revision < b.revision ? -1 : 1));
  }

  /** Those that count, the last saved first. */
  async *#entries(stream: string): AsyncGenerator<Entry> {
    const { core } = this.#system;
    core.refuseClosed();
    const state = await core.states.of(stream);
    if (!exists(state)) return;
    let floor = state.metadata.deletedBefore ?? 0;
    for await (const record of this.#system.backwards(snapshotStreamOf(stream))) {
      const { created, metadata, revision: at, schemaVersion } = new Envelope(record.payload);
      const { revision, highest, before } = jsonCodec.decode(metadata as Uint8Array) as Note;
      if (before !== undefined) floor = Math.max(floor, before);
      else if (revision >= floor) {
        yield { revision: BigInt(revision), schemaVersion, saved: new Date(created), record, at, highest };
      }
    }
  }

  async #newest(own: string): Promise<Note | undefined> {
    for await (const { payload } of this.#system.backwards(own, 'written')) {
      return jsonCodec.decode(new Envelope(payload).metadata as Uint8Array) as Note;
    }
    return undefined;
  }
}

function checkRevision(stream: string, state: StreamState, revision: number): void {
  if (state.metadata.tombstoned) throw tombstoned(stream);
  if (!exists(state)) throw streamNotFound(stream);
  const { head, metadata } = state;
  const oldest = metadata.deletedBefore ?? 0;
  if (revision < oldest || revision > head)
    throw invalid('revision', `${revision}n`, `one of the stream's: ${oldest}n to ${head}n`);
}
