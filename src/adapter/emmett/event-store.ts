/**
 * Emmett's `EventStore` on Varve's: what `getVarveEventStore` gives.
 *
 * It is a plain object whose methods find their way without `this`: Emmett's own wrappers copy them.
 */
import { randomUUID } from 'node:crypto';
import type {
  AnyEvent,
  AppendToStreamOptions,
  Event,
  EventStoreReadSchemaOptions,
  ExpectedStreamVersion,
  ReadStreamOptions,
  ReadStreamResult,
} from '@event-driven-io/emmett';
import { VarveError } from '../../errors.js';
import { invalid } from '../../options.js';
import type { EventStore } from '../event-store/event-store.js';
import { openEventStore } from '../event-store/open-event-store.js';
import { type EmmettCheckpointer, makeCheckpointer } from './checkpoints.js';
import { makeConsumer } from './consumer.js';
import { makeMessageSource, type VarveMessageSource } from './message-source.js';
import {
  type AnyReadEvent,
  asConflict,
  checkEvents,
  NO_STREAM,
  recorded,
  toExpectedRevision,
  toInput,
  toReadEvent,
} from './messages.js';
import { resolveEmmettOptions, type VarveEventStoreOptions } from './options.js';
import {
  ExpectedVersionConflictError,
  getInMemoryDatabase,
  NO_CONCURRENCY_CHECK,
  tryPublishMessagesAfterCommit,
  upcastRecordedMessage,
} from './peer.js';
import { type EmmettApi, type PositionOf, styles, type VarveReadEventMetadata } from './positions.js';
import { processorLock } from './processor-locks.js';
import { InlineProjections, type VarveHandlerContext } from './projections.js';
import type { VarveEventStore } from './types.js';

/**
 * An event store for Emmett that keeps its events in Varve.
 *
 * ```ts
 * const eventStore = getVarveEventStore({ directory: './data' });
 * ```
 *
 * Throws `ERR_VARVE_INVALID_OPTION`, and `ERR_VARVE_UNSUPPORTED` for an `api` that the installed Emmett does not have.
 */
export function getVarveEventStore<Api extends EmmettApi = '0.42'>(
  given: EventStore | VarveEventStoreOptions<Api>,
): VarveEventStore<Api> {
  const options = resolveEmmettOptions(given);
  const style = styles[options.api];
  const database = options.database ?? getInMemoryDatabase();
  const { onBeforeCommit, onAfterCommit } = options.hooks as {
    onBeforeCommit?: (events: AnyReadEvent[]) => unknown;
    onAfterCommit?: (events: AnyReadEvent[]) => void;
  };
  const context = { database } as VarveHandlerContext;
  const projections = new InlineProjections(options.projections, context, style);
  /** Consumers that run. */
  const running = new Set<{ stop(): Promise<void> }>();

  let store = options.store;
  let opening: Promise<EventStore> | undefined;
  let closing: Promise<void> | undefined;

  async function openNow(): Promise<EventStore> {
    store ??= await openEventStore(options.open);
    await projections.init();
    if (projections.any && options.replayProjections) await projections.replay(store);
    return store;
  }

  /** The store when it is open. What could not be opened is tried again by the next who asks. */
  function ready(): Promise<EventStore> {
    if (closing !== undefined) {
      return Promise.reject(
        new VarveError('ERR_VARVE_CLOSED', 'The event store is closed: get another one with getVarveEventStore.'),
      );
    }
    if (projections.running && store !== undefined) return Promise.resolve(store); // opening may wait for the caller
    opening ??= openNow().catch((error: unknown) => {
      opening = undefined;
      throw error;
    });
    return opening;
  }

  /** The version that readers see: everything up to it is durable. */
  async function versionOf(varve: EventStore, streamName: string): Promise<bigint> {
    const head = await varve.streamHead(streamName, { visibility: 'durable' });
    return head === undefined ? NO_STREAM : head.revision + 1n;
  }

  /** The stream's version, and its events in the range that is asked for, up to that version. */
  async function read(streamName: string, range: ReadStreamOptions<bigint, AnyEvent, AnyEvent> | undefined) {
    const varve = await ready();
    const from = checkCount(range?.from, 'from') ?? 1n;
    const to = checkCount(range?.to, 'to');
    const maxCount = checkCount(range?.maxCount, 'maxCount');
    const expected = range?.expectedStreamVersion;
    const revision = toExpectedRevision(expected);
    const version = await versionOf(varve, streamName);
    if (!matches(revision, version)) throw new ExpectedVersionConflictError(version, expected as ExpectedStreamVersion);
    const last = to === undefined || to > version ? version : to;
    const ranged = range?.from !== undefined || to !== undefined || maxCount !== undefined;
    const upcast = upcasting(range?.schema);
    async function* batches(): AsyncGenerator<AnyReadEvent[]> {
      if (last === NO_STREAM || maxCount === 0n) return;
      const stored = varve.readStream(streamName, {
        fromRevision: from > 1n ? from - 1n : 0n,
        toRevision: last - 1n,
        ...(maxCount === undefined ? {} : { maxCount: Number(maxCount) }),
      });
      for await (const batch of stored.batches()) yield batch.map((event) => upcast(toReadEvent(event, style)));
    }
    return { version, ranged, batches: batches() };
  }

  /** Appends at the version that `onBeforeCommit` was told, and tells it again where somebody was faster. */
  async function appendAfterHook(
    varve: EventStore,
    streamName: string,
    events: AnyEvent[],
    write: (expected: bigint | 'noStream') => ReturnType<EventStore['appendToStream']>,
    { expected, ids }: { expected: ExpectedStreamVersion; ids: readonly string[] },
  ) {
    const revision = toExpectedRevision(expected);
    for (;;) {
      const version = await versionOf(varve, streamName);
      if (!matches(revision, version)) throw new ExpectedVersionConflictError(version, expected);
      const before =
        version === NO_STREAM ? BigInt((await varve.getStreamMetadata(streamName)).deletedBefore ?? 0) : version;
      await onBeforeCommit?.(placed(streamName, events, ids, before));
      try {
        return await write(version === NO_STREAM ? 'noStream' : version - 1n);
      } catch (error) {
        if (asConflict(error, expected) === error) throw error;
      }
    }
  }

  /** The events as they are recorded behind a version; without positions if they are not committed. */
  function placed(
    streamName: string,
    events: AnyEvent[],
    ids: readonly string[],
    before: bigint,
    positions: readonly bigint[] = [],
  ): AnyReadEvent[] {
    return events.map((event, i) =>
      recorded(
        { ...(event as { type: string; data: unknown; metadata: unknown }), kind: event.kind ?? 'Event' },
        {
          messageId: ids[i] as string,
          streamName,
          streamPosition: before + BigInt(i) + 1n,
          position: positions[i],
        },
        style,
      ),
    );
  }

  const eventStore: VarveEventStore<EmmettApi> = {
    database,

    async readStream<EventType extends Event, EventPayloadType extends Event = EventType>(
      streamName: string,
      range?: ReadStreamOptions<bigint, EventType, EventPayloadType>,
    ): Promise<ReadStreamResult<EventType, VarveReadEventMetadata<EmmettApi>>> {
      const { version, batches } = await read(streamName, range as ReadStreamOptions<bigint, AnyEvent, AnyEvent>);
      const events: AnyReadEvent[] = [];
      for await (const batch of batches) events.push(...batch);
      return {
        currentStreamVersion: version,
        events: events as ReadStreamResult<EventType, VarveReadEventMetadata<EmmettApi>>['events'],
        streamExists: version !== NO_STREAM,
      };
    },

    async aggregateStream(streamName, { evolve, initialState, read: range }) {
      const { version, ranged, batches } = await read(
        streamName,
        range as ReadStreamOptions<bigint, AnyEvent, AnyEvent> | undefined,
      );
      const step = evolve as (state: unknown, event: AnyReadEvent) => unknown;
      let state: unknown = initialState();
      let last: AnyReadEvent | undefined;
      for await (const batch of batches) {
        for (const event of batch) {
          state = step(state, event);
          last = event;
        }
      }
      const metadata = last?.metadata as VarveReadEventMetadata<EmmettApi> | undefined;
      return {
        // A stream whose events have all been given up has a version all the same.
        currentStreamVersion: metadata?.streamPosition ?? (ranged ? NO_STREAM : version),
        state: state as ReturnType<typeof initialState>,
        streamExists: version !== NO_STREAM,
        ...(metadata === undefined ? {} : { lastEventGlobalPosition: metadata.globalPosition }),
      };
    },

    async appendToStream<EventType extends Event, EventPayloadType extends Event = EventType>(
      streamName: string,
      events: EventType[],
      appending?: AppendToStreamOptions<bigint, EventType, EventPayloadType>,
    ) {
      const varve = await ready();
      checkEvents(streamName, events);
      const given = events as AnyEvent[];
      const expected = appending?.expectedStreamVersion ?? NO_CONCURRENCY_CHECK;
      const revision = toExpectedRevision(expected);
      if (revision === 'never') throw new ExpectedVersionConflictError(await versionOf(varve, streamName), expected);
      const told = onBeforeCommit !== undefined || onAfterCommit !== undefined || projections.any;
      const ids = told ? given.map(() => randomUUID()) : [];
      const versioning = appending?.schema?.versioning as Parameters<typeof toInput>[1];
      const inputs = given.map((event, i) => toInput(event, versioning, ids[i]));
      const write = (expectedRevision: typeof revision) =>
        varve.appendToStream(streamName, inputs, { expectedRevision });
      const committing =
        onBeforeCommit === undefined
          ? write(revision)
          : appendAfterHook(varve, streamName, given, write, { expected, ids });
      const { nextExpectedRevision, positions, createdNewStream } = await committing.catch((error: unknown) => {
        throw asConflict(error, expected);
      });
      const nextExpectedStreamVersion = nextExpectedRevision + 1n;
      if (told) {
        const before = nextExpectedStreamVersion - BigInt(given.length);
        const stored = placed(streamName, given, ids, before, positions);
        if (projections.any) await projections.handle(stored);
        await tryPublishMessagesAfterCommit(stored as never, { onAfterCommit: onAfterCommit as never });
      }
      return {
        nextExpectedStreamVersion,
        createdNewStream,
        lastEventGlobalPosition: style.of(positions.at(-1) as bigint) as PositionOf<EmmettApi>,
      };
    },

    async streamExists(streamName) {
      return (await versionOf(await ready(), streamName)) !== NO_STREAM;
    },

    // Of a copy it is the copy that works in the session: Emmett's test wrapper notes what is appended through it.
    withSession(this: VarveEventStore<EmmettApi> | undefined, callback) {
      return callback({ eventStore: this ?? eventStore, close: () => Promise.resolve() });
    },

    open: ready,

    consumer: (consuming = {}) => makeConsumer(consuming, { ready, style, context, running }),

    messageSource: () => makeMessageSource(ready, style) as VarveMessageSource<EmmettApi>,

    checkpointer: () => makeCheckpointer(ready, style) as EmmettCheckpointer<EmmettApi>,

    processorLock: (asked) => processorLock(ready, asked),

    close() {
      closing ??= closeNow();
      return closing;
    },

    [Symbol.asyncDispose]: () => eventStore.close(),
  };
  context.eventStore = eventStore;

  async function closeNow(): Promise<void> {
    await opening?.catch(() => {}); // told to whoever asked for it
    await Promise.all([...running].map((consumer) => consumer.stop()));
    if (options.store === undefined) await store?.close();
  }

  return eventStore as unknown as VarveEventStore<Api>;
}

function matches(revision: ReturnType<typeof toExpectedRevision>, version: bigint): boolean {
  if (revision === 'any') return true;
  if (revision === 'noStream') return version === NO_STREAM;
  if (revision === 'streamExists') return version !== NO_STREAM;
  return typeof revision === 'bigint' && revision + 1n === version;
}

function checkCount(value: unknown, option: string): bigint | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'bigint' || value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw invalid(option, typeof value === 'bigint' ? `${value}n` : value, 'a bigint from 0n');
  }
  return value;
}

function upcasting(schema: EventStoreReadSchemaOptions<AnyEvent, AnyEvent> | undefined) {
  const versioning = schema?.versioning;
  if (versioning?.upcast === undefined) return (event: AnyReadEvent) => event;
  return (event: AnyReadEvent) => upcastRecordedMessage(event, versioning) as AnyReadEvent;
}
