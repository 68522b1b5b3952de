/**
 * Before events go for good: what is known of their streams from them alone is appended again, as metadata.
 *
 * A stream's newest event tells where its revisions go on, its newest metadata whether it was deleted. Without them a
 * stream would begin again at revision 0, or come back, after a reopen.
 */

import type { IndexLayer } from './index-layer.js';
import type { StoreCore, StorePartition } from './store-core.js';
import { metadataWrite } from './stream-metadata.js';
import { isMetadataStream, type StreamMetadata, type StreamState, streamOfMetadata } from './stream-state.js';
import type { StreamWrite } from './stream-write.js';

/** Streams are collected up to so many. */
const CARRIED_AT_ONCE = 256;

/** The newest event of a stream, or of its metadata, in a layer; `state` is that of the stream. */
export interface NewestHere {
  readonly ofMetadata: boolean;
  readonly revision: number;
  readonly lsn: number;
  readonly state: StreamState;
}

export interface CarryOver {
  /** The metadata to append for a stream; undefined for none. Asked again in the turn of the append, where it stays true. */
  readonly carried: (newest: NewestHere) => Promise<StreamMetadata | undefined> | StreamMetadata | undefined;
  readonly signal: AbortSignal | undefined;
}

/** When it resolves, what was appended is durable, and all that was decided by. */
export async function carryOver(
  core: StoreCore,
  { lane }: StorePartition,
  layer: IndexLayer,
  { carried, signal }: CarryOver,
): Promise<void> {
  const { batchBytes } = core.options;
  const waiting: { name: string; revision: number; lsn: number }[] = [];
  const ask = async ({ name, revision, lsn }: (typeof waiting)[0]) => {
    const ofMetadata = isMetadataStream(name);
    const state = await core.states.of(ofMetadata ? streamOfMetadata(name) : name);
    return carried({ ofMetadata, revision, lsn, state });
  };
  const append = async () => {
    while (waiting.length > 0) {
      await lane.insert(async () => {
        const writes = new Map<string, StreamWrite>();
        let bytes = 0;
        for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
          const metadata = await ask(next);
          const stream = isMetadataStream(next.name) ? streamOfMetadata(next.name) : next.name;
          if (metadata !== undefined) {
            const write = metadataWrite(core, stream, metadata);
            bytes += write.events.reduce((sum, event) => sum + event.bytes.length, 0);
            if (writes.has(stream) || (writes.size > 0 && bytes > batchBytes)) break;
            writes.set(stream, write);
          }
          waiting.shift();
        }
        return [...writes.values()];
      });
    }
  };
  for await (const [name, { firstRevision, lsns }] of layer.streams('')) {
    const newest = { name, revision: firstRevision + lsns.length - 1, lsn: lsns[lsns.length - 1] as number };
    if ((await ask(newest)) === undefined) continue;
    signal?.throwIfAborted();
    waiting.push(newest);
    if (waiting.length >= CARRIED_AT_ONCE) await append();
  }
  await append();
  await lane.insert(async () => []);
}
