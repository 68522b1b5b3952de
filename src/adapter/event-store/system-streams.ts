/**
 * The store's own streams: what the store keeps about streams and consumers, as events like all others.
 *
 *   $checkpoint-<name>   where a consumer goes on      checkpoints.ts
 *   $parked-<name>       events that it gave up        parking-lot.ts
 *   $snapshot-<stream>   states of a stream            snapshots.ts
 *
 * All that is written here together lies in one partition, so it is one batch of the log: all of it or nothing.
 */
import { type CodecRegistry, makeCodecRegistry } from './codec-registry.js';
import { type EventInput, prepareEvent } from './event-input.js';
import type { ExpectedRevision } from './expected-revision.js';
import type { FoundRecord } from './record-reader.js';
import type { StoreCore } from './store-core.js';
import { metadataWrite } from './stream-metadata.js';
import { oldestRevision, type StreamMetadata } from './stream-state.js';
import type { Committed, StreamWrite } from './stream-write.js';

type Codec = Pick<CodecRegistry, 'id' | 'codec'>;

const json: Codec = makeCodecRegistry();

export class SystemStreams {
  readonly core: StoreCore;

  constructor(core: StoreCore) {
    this.core = core;
  }

  /** An event of the store's own, with JSON data unless it has a codec. */
  write(stream: string, event: EventInput, expected: ExpectedRevision = 'any', codec: Codec = json): StreamWrite {
    const { options, makeId } = this.core;
    const prepared = prepareEvent(stream, event, 0, codec, options.partitions, makeId);
    return { stream, expected, events: [prepared], idsGiven: false };
  }

  /** Data as the store's codec encodes them now: a codec that gives these bytes. */
  encode(data: unknown, where: string): Codec {
    const { id, codec } = this.core.options.decoding.codecs;
    const bytes = codec.encode(data, where);
    return { id, codec: { ...codec, encode: () => bytes } };
  }

  /** Changes some of a stream's metadata, and leaves the rest. */
  async metadata(stream: string, change: Partial<StreamMetadata>): Promise<StreamWrite> {
    const { metadata } = await this.core.states.of(stream);
    return metadataWrite(this.core, stream, { ...metadata, ...change });
  }

  /** Appends what `make` says; nothing comes between its looking and its writing. All of it lies where `stream` does. */
  insert(stream: string, make: () => Promise<readonly StreamWrite[]>): Promise<readonly Committed[]> {
    return this.core.partitionOf(stream).lane.insert(make);
  }

  /** Resolves when all that was asked of a stream's partition before is durable, or has failed. */
  async settled(stream: string): Promise<void> {
    const { lane, log } = this.core.partitionOf(stream);
    await lane.alone(async () => {});
    await log.whenDurable();
  }

  /**
   * The records of a stream that can be read, newest first, each read when it is asked for. `visibility`: 'written' shows
   * those that are not durable yet, for a look within `insert`.
   */
  async *backwards(stream: string, visibility: 'durable' | 'written' = 'durable'): AsyncGenerator<FoundRecord> {
    const { core } = this;
    const { index, log } = core.partitionOf(stream);
    const last = visibility === 'durable' ? log.durableLsn : log.writtenLsn;
    const state = await core.states.of(stream);
    for await (const range of index.lsnsOf(stream, oldestRevision(state), state.head, true)) {
      for (const lsn of range) if (lsn <= last) yield* await core.records.read(log, [lsn]);
    }
  }
}
