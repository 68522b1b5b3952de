/** Opening an event store: what it was made with is compared with what is asked for, and its parts are put together. */
import { openLog } from '../../log.js';
import { refuseIncomplete } from './backup.js';
import { makeCodecRegistry } from './codec-registry.js';
import { EventStore } from './event-store.js';
import { anything, checkEventStoreOptions, type EventStoreOptions } from './event-store-options.js';
import { otherPartitions, StoreCore } from './store-core.js';

const MIB = 1024 * 1024;
const PARTITIONS_SETTING = 'eventStore.partitions';
const CODECS_SETTING = 'eventStore.codecs';
/** The first page of a segment is its header. */
const SEGMENT_HEADER_BYTES = 4096;
/** A batch takes this part of the rest at most, so that batches fit where a segment ends. */
const BATCHES_PER_SEGMENT = 4;
/** A batch is one frame, which is read as a whole to find one event in it. Only an append that is larger has more. */
const MAX_BATCH_BYTES = 24 * 1024;

/**
 * Opens the event store in `directory`, which is created if it is missing.
 *
 * ```ts
 * const store = await openEventStore({ directory: './data' });
 * await store.appendToStream('cart-42', [{ type: 'ItemAdded', data: { sku: 'a' } }], { expectedRevision: 'noStream' });
 * for await (const event of store.readStream('cart-42')) console.log(event.revision, event.type, event.data);
 * await store.close();
 * ```
 *
 * Rejects with what `openLog` and `log.partition` reject with, and `ERR_VARVE_INVALID_OPTION` for another number of
 * partitions than the store was made with.
 */
export async function openEventStore(options: EventStoreOptions): Promise<EventStore> {
  const { logOptions, decoding } = checkEventStoreOptions(options);
  const { partitions, codec, headCacheBytes, eventCacheBytes, streamIndexCacheBytes } = options;
  const log = await openLog(logOptions);
  try {
    const { storage } = log;
    await refuseIncomplete(storage.disk, log.directory);
    const kept = storage.setting(PARTITIONS_SETTING);
    const number = partitions ?? (typeof kept === 'number' ? kept : 1);
    if (kept !== undefined && kept !== number) throw otherPartitions(Number(kept), number);
    const names = storage.setting(CODECS_SETTING);
    const codecs = makeCodecRegistry(codec, typeof names === 'string' ? JSON.parse(names) : []);
    const segmentSize = logOptions.segmentSize ?? 64 * MIB;
    const core = await StoreCore.open(log, {
      partitions: number,
      decoding: { ...decoding, codecs },
      headCacheBytes: headCacheBytes ?? 16 * MIB,
      eventCacheBytes: eventCacheBytes ?? 16 * MIB,
      streamIndexCacheBytes: streamIndexCacheBytes ?? 32 * MIB,
      maxQueuedAppends: logOptions.maxQueuedAppends ?? 65_536,
      batchBytes: Math.min(MAX_BATCH_BYTES, Math.floor((segmentSize - SEGMENT_HEADER_BYTES) / BATCHES_PER_SEGMENT)),
    });
    if (kept === undefined) await storage.keepSetting(PARTITIONS_SETTING, number);
    const customNames = JSON.stringify(codecs.customNames);
    if (customNames !== (names ?? '[]')) await storage.keepSetting(CODECS_SETTING, customNames);
    return new EventStore(core);
  } catch (error) {
    await log.close().catch(anything); // what is wrong is told by the error that led here
    throw error;
  }
}
