/** Options of `getVarveEventStore`: what they mean, and the checks that refuse a bad one by name. */
import type {
  AfterEventStoreCommitHandler,
  BeforeEventStoreCommitHandler,
  EventStore as EmmettEventStore,
  InMemoryDatabase,
} from '@event-driven-io/emmett';
import { VarveError } from '../../errors.js';
import { boolean, callback, checkAll, invalid, oneOf } from '../../options.js';
import type { EventStore } from '../event-store/event-store.js';
import { checkEventStoreOptions, type EventStoreOptions } from '../event-store/event-store-options.js';
import { takesTextsOnly } from './peer.js';
import type { EmmettApi, VarveReadEventMetadata } from './positions.js';
import { type AnyProjection, type AnyRegistration, checkProjections } from './projections.js';

export interface VarveEmmettOptions<Api extends EmmettApi = '0.42'> {
  /**
   * What positions are: '0.42' bigints (default), '0.43' texts of 19 digits, which stand in `metadata.checkpoint` too.
   */
  api?: Api;
  /** Inline projections, as `projections.inline([…])` makes them. */
  projections?: readonly AnyRegistration[];
  /** Makes the inline projections again when the store is opened, since what they keep in memory is gone. Default true. */
  replayProjections?: boolean;
  /** Where Emmett's in-memory projections keep their documents. Default: a new one, `eventStore.database`. */
  database?: InMemoryDatabase;
  hooks?: {
    /** Before anything is written. If it throws, nothing is, and the append rejects with what it threw. */
    onBeforeCommit?: BeforeEventStoreCommitHandler<EmmettEventStore<VarveReadEventMetadata<Api>>>;
    /** After the events are durable. What it throws goes to `console.error`, as Emmett has it. */
    onAfterCommit?: AfterEventStoreCommitHandler<EmmettEventStore<VarveReadEventMetadata<Api>>>;
  };
}

/** A store that is open already, and stays so; or the options of `openEventStore`, to open one at the first use. */
export type VarveEventStoreOptions<Api extends EmmettApi = '0.42'> = VarveEmmettOptions<Api> &
  (({ store: EventStore } & { [Key in keyof EventStoreOptions]?: never }) | (EventStoreOptions & { store?: never }));

export interface ResolvedOptions {
  readonly api: EmmettApi;
  readonly store: EventStore | undefined;
  readonly open: EventStoreOptions;
  readonly projections: readonly AnyProjection[];
  readonly replayProjections: boolean;
  readonly database: InMemoryDatabase | undefined;
  readonly hooks: {
    readonly onBeforeCommit?: ((events: never) => unknown) | undefined;
    readonly onAfterCommit?: ((events: never) => unknown) | undefined;
  };
}

const CHECKS = {
  api: oneOf('0.42', '0.43'),
  store: (value: unknown, option: string) => {
    if (!isEventStore(value)) throw invalid(option, 'something else', 'an event store, as openEventStore gives it');
  },
  projections: (value: unknown) => void checkProjections(value),
  replayProjections: boolean,
  database: (value: unknown, option: string) => {
    if (typeof (value as Partial<InMemoryDatabase> | null)?.collection !== 'function') {
      throw invalid(option, value, 'a database of getInMemoryDatabase');
    }
  },
  hooks: (value: unknown, option: string) =>
    checkAll(value, { onBeforeCommit: callback, onAfterCommit: callback }, option),
};

/** By what it can do: it may come from another copy of this package. */
function isEventStore(value: unknown): value is EventStore {
  const { appendToStream, subscribeToAll } = (value ?? {}) as Partial<EventStore>;
  return typeof appendToStream === 'function' && typeof subscribeToAll === 'function';
}

/** Throws `ERR_VARVE_INVALID_OPTION`, and `ERR_VARVE_UNSUPPORTED` for an API that the installed Emmett does not have. */
export function resolveEmmettOptions(given: unknown): ResolvedOptions {
  if (isEventStore(given)) return resolveEmmettOptions({ store: given });
  if (typeof given !== 'object' || given === null) {
    throw invalid('options', given, 'an event store, or options with a directory or a store');
  }
  const { api, store, projections, replayProjections, database, hooks, ...open } = given as Partial<
    VarveEventStoreOptions<EmmettApi>
  >;
  const own = { api, store, projections, replayProjections, database, hooks };
  checkAll(store === undefined ? own : { ...own, ...open }, CHECKS, 'options');
  if (store === undefined) checkEventStoreOptions(open as EventStoreOptions);
  if (takesTextsOnly && api !== '0.43') {
    throw new VarveError(
      'ERR_VARVE_UNSUPPORTED',
      "The Emmett that is installed is 0.43 or newer, where positions are texts: give { api: '0.43' }, or install 0.42.",
      { option: 'api' },
    );
  }
  return {
    api: api ?? '0.42',
    store,
    open: open as EventStoreOptions,
    projections: checkProjections(projections),
    replayProjections: replayProjections ?? true,
    database,
    hooks: { ...hooks } as ResolvedOptions['hooks'],
  };
}
