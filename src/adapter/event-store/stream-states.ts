/**
 * The states of streams. Those that were used lately are in memory, where the lanes change them; the others are made
 * from the index and the newest metadata when they are asked for.
 */
import { LRUCache } from 'lru-cache';
import type { VarveError } from '../../errors.js';
import type { StoreCore } from './store-core.js';
import type { StoreLog } from './store-log.js';
import { metadataIn } from './stream-metadata.js';
import {
  isMetadataStream,
  metadataStreamOf,
  NO_METADATA,
  type StreamMetadata,
  type StreamState,
} from './stream-state.js';

/** Rough bytes of a stream's state in memory, beside its id. */
const STATE_BYTES = 200;

export class StreamStates {
  readonly #core: Pick<StoreCore, 'partitionOf' | 'records'>;
  readonly #states: LRUCache<string, StreamState>;
  readonly #loading = new Map<string, Promise<StreamState>>();
  #ended: VarveError | undefined;

  constructor(core: Pick<StoreCore, 'partitionOf' | 'records'>, cacheBytes: number) {
    this.#core = core;
    this.#states = new LRUCache({
      maxSize: cacheBytes,
      sizeCalculation: (_, stream) => STATE_BYTES + 2 * stream.length,
    });
  }

  /** The state of a stream: at once where it is in memory. */
  of(stream: string): StreamState | Promise<StreamState> {
    const known = this.#states.get(stream);
    if (known !== undefined) return known;
    let loading = this.#loading.get(stream);
    if (loading === undefined) {
      loading = this.#load(stream).finally(() => this.#loading.delete(stream));
      this.#loading.set(stream, loading);
    }
    return loading;
  }

  /** These are the newest. One that went meanwhile, for want of room, comes back. */
  keep(states: ReadonlyMap<string, StreamState>): void {
    for (const [stream, state] of states) if (this.#states.peek(stream) !== state) this.#states.set(stream, state);
  }

  /** New metadata of a stream are in the log. */
  setMetadata(stream: string, revision: number, payload: Uint8Array): void {
    const state = this.#states.get(stream);
    if (state === undefined) return;
    state.metadata = metadataIn(payload);
    state.metadataRevision = revision;
    const { head = -1 } = state.metadata; // an import may bring that of a stream whose events are gone
    state.head = Math.max(state.head, head);
    state.nextHead = Math.max(state.nextHead, head);
  }

  /** The index files are being closed: a state that is not in memory is refused with `error`. */
  end(error: VarveError): void {
    this.#ended = error;
  }

  async #load(stream: string): Promise<StreamState> {
    const { index, log } = this.#core.partitionOf(stream);
    for (;;) {
      if (this.#ended !== undefined) throw this.#ended; // closed layers find nothing
      const { moves } = index;
      const head = await index.head(stream);
      const kept = isMetadataStream(stream) ? undefined : await index.head(metadataStreamOf(stream));
      const metadata = kept === undefined ? NO_METADATA : await this.#readMetadata(log, kept.lsn);
      if (this.#ended !== undefined) continue;
      if (metadata === undefined) continue; // purged: it has been written again
      const known = this.#states.get(stream);
      if (known !== undefined) return known;
      // Something may have been appended meanwhile: what is newest is in memory, and is looked up at once.
      if (moves !== index.moves) continue;
      if (index.newestLsn(stream, head?.lsn) !== head?.lsn) continue;
      if (!isMetadataStream(stream) && index.newestLsn(metadataStreamOf(stream), kept?.lsn) !== kept?.lsn) continue;
      const revision = Math.max(head?.revision ?? -1, metadata.head ?? -1);
      const state = { head: revision, nextHead: revision, metadataRevision: kept?.revision ?? -1, metadata };
      this.#states.set(stream, state);
      return state;
    }
  }

  async #readMetadata(log: StoreLog, lsn: number): Promise<StreamMetadata | undefined> {
    const [record] = await this.#core.records.readKept(log, [lsn]);
    return record && metadataIn(record.payload);
  }
}
