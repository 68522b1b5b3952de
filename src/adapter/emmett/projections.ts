/**
 * Inline projections: handed what an append has stored before the append resolves, one append after another.
 *
 * The log is written first: what it holds is the truth, and a projection can be made again from it. So a projection that
 * throws makes the append reject, but takes nothing back.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { InMemoryDatabase, ProjectionDefinition, ProjectionRegistration } from '@event-driven-io/emmett';
import { invalid } from '../../options.js';
import type { EventStore } from '../event-store/event-store.js';
import { type AnyReadEvent, toReadEvent } from './messages.js';
import { upcastRecordedMessage } from './peer.js';
import type { PositionStyle } from './positions.js';

/** What handlers of projections and processors are given beside the events. */
export interface VarveHandlerContext<Store = unknown> {
  /** The event store that they belong to. */
  eventStore: Store;
  /** Emmett's own, in memory: where its in-memory projections keep their documents. */
  database: InMemoryDatabase;
  [key: string]: unknown;
}

// biome-ignore lint/suspicious/noExplicitAny: a list holds projections of any events, and functions take no supertype
export type AnyProjection = ProjectionDefinition<any, any, any>;
// biome-ignore lint/suspicious/noExplicitAny: as above
export type AnyRegistration = ProjectionRegistration<any, any, any>;

/** Throws `ERR_VARVE_INVALID_OPTION`. Gives those that are run inline; as Emmett's stores do, it leaves out the others. */
export function checkProjections(given: unknown): AnyProjection[] {
  if (given === undefined) return [];
  if (!Array.isArray(given)) throw invalid('projections', given, 'an array of registrations');
  return (given as AnyRegistration[]).flatMap((registration, i) => {
    const { projection, type } = registration ?? {};
    if (type !== 'inline' && type !== 'async') throw invalid(`projections[${i}].type`, type, "'inline' or 'async'");
    if (typeof projection?.handle !== 'function' || !Array.isArray(projection.canHandle)) {
      throw invalid(`projections[${i}].projection`, projection, 'a projection with handle and canHandle');
    }
    return type === 'inline' ? [projection] : [];
  });
}

export class InlineProjections {
  readonly #projections: readonly AnyProjection[];
  readonly #context: VarveHandlerContext;
  readonly #style: PositionStyle;
  #last: Promise<unknown> = Promise.resolve();
  /** Whether what runs is a projection: what it appends is projected at once, or it would wait for itself. */
  readonly #inside = new AsyncLocalStorage<boolean>();

  constructor(projections: readonly AnyProjection[], context: VarveHandlerContext, style: PositionStyle) {
    this.#projections = projections;
    this.#context = context;
    this.#style = style;
  }

  get any(): boolean {
    return this.#projections.length > 0;
  }

  /** Whether the caller is a projection that is being run. */
  get running(): boolean {
    return this.#inside.getStore() === true;
  }

  /** Hands on what one append has stored. Rejects with what a projection throws. */
  handle(events: AnyReadEvent[]): Promise<void> {
    if (this.running) return this.#run(events);
    const run = this.#last.then(() => this.#inside.run(true, () => this.#run(events)));
    this.#last = run.catch(() => {}); // told to whoever has appended
    return run;
  }

  /** As Emmett's stores do: a projection that can handle one of the events gets all of them. */
  async #run(events: AnyReadEvent[]): Promise<void> {
    for (const projection of this.#projections) {
      if (events.some(({ type }) => projection.canHandle.includes(type))) {
        await projection.handle(events, this.#context);
      }
    }
  }

  /** Emmett's `init` of each projection, once for each event store. */
  async init(): Promise<void> {
    for (const projection of this.#projections) {
      const { version = 1 } = projection;
      await projection.init?.({ version, status: 'active', registrationType: 'inline', context: this.#context });
    }
  }

  /** Makes them again: truncates them, and hands on what is stored, one event at a time, in order. */
  async replay(store: EventStore): Promise<void> {
    for (const projection of this.#projections) await projection.truncate?.(this.#context);
    const types = [...new Set(this.#projections.flatMap(({ canHandle }) => canHandle as string[]))];
    if (types.length === 0) return;
    await this.#inside.run(true, async () => {
      for await (const stored of store.readAll({ filter: { types } })) {
        const event = toReadEvent(stored, this.#style);
        for (const projection of this.#projections) {
          if (!projection.canHandle.includes(event.type)) continue;
          const versioning = projection.eventsOptions?.schema?.versioning;
          await projection.handle([upcastRecordedMessage(event, versioning ?? {})], this.#context);
        }
      }
    });
  }
}
