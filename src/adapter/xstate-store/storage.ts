/** A `StateStorage` of `@xstate/store/persist` on the event store: each name is a stream, each write an event of it. */
import { type Check, checkAll, integer, invalid } from '../../options.js';
import { checkStream } from '../event-store/event-input.js';
import { EventStore } from '../event-store/event-store.js';

/** As `@xstate/store/persist` asks for it; asynchronous, so a store is hydrated with `await rehydrateStore(store)`. */
export interface VarveStateStorage {
  getItem(name: string): Promise<string | null>;
  setItem(name: string, value: string): Promise<void>;
  removeItem(name: string): Promise<void>;
}

export interface VarveStorageOptions {
  store: EventStore;
  /** Streams are named `<prefix>-<name>`. Default 'xstate.store'. */
  prefix?: string;
  /** Values of a name that are kept: from 1. Older ones are given up at the next purge of the store. Default 16. */
  keep?: number;
}

export const storeCheck: Check = (value, option) => {
  if (!(value instanceof EventStore)) throw invalid(option, typeof value, 'an event store');
};

export const prefixCheck: Check = (value, option) => {
  if (typeof value !== 'string' || value === '' || value.includes('-')) {
    throw invalid(option, value, 'a string without dashes: it is the category of the streams');
  }
};

export const PREFIX = 'xstate.store';
const REMOVED = 'removed';

const CHECKS: Readonly<Record<keyof VarveStorageOptions, Check>> = {
  store: storeCheck,
  prefix: prefixCheck,
  keep: integer(1, 1_000_000),
};

/**
 * Storage for `persist({ name, storage: varveStorage({ store }) })`. A write resolves when it is durable; writes of a name
 * are kept in order. Throws `ERR_VARVE_INVALID_OPTION`; its methods reject as reading and appending do.
 */
export function varveStorage(options: VarveStorageOptions): VarveStateStorage {
  checkAll(options, CHECKS, 'options');
  storeCheck(options.store, 'store');
  const { store, prefix = PREFIX, keep = 16 } = options;
  const limited = new Set<string>();
  const streamOf = (name: string) => checkStream(`${prefix}-${name}`);

  async function write(name: string, type: string, data: string | null): Promise<void> {
    const stream = streamOf(name);
    const written = store.appendToStream(stream, { type, data });
    if (!limited.has(stream)) {
      limited.add(stream);
      await written;
      const { maxCount } = await store.getStreamMetadata(stream);
      if (maxCount !== keep) await store.setStreamMetadata(stream, { maxCount: keep });
    }
    await written;
  }

  return {
    async getItem(name) {
      for await (const { type, data } of store.readStream(streamOf(name), { direction: 'backwards', maxCount: 1 })) {
        return type === REMOVED ? null : (data as string);
      }
      return null;
    },
    setItem: (name, value) => write(name, 'set', value),
    removeItem: (name) => write(name, REMOVED, null),
  };
}
