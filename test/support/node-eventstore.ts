/** The package `eventstore`, with promises in place of callbacks, on Varve and on its own store in memory. */
import { createRequire } from 'node:module';
import type { EventStore } from 'varve';
import { VarveStore, type VarveStoreOptions } from 'varve/node-eventstore';
import type { StoredEvent } from '../../src/adapter/node-eventstore/stored-events.js';
import type { StoredSnapshot } from '../../src/adapter/node-eventstore/stored-snapshots.js';

export interface EventStream {
  readonly events: StoredEvent[];
  readonly eventsToDispatch: StoredEvent[];
  readonly lastRevision: number;
  addEvent(event: object): void;
  addEvents(events: object[]): void;
  commit(callback: (error: unknown, stream: EventStream) => void): void;
}

/** What is used of node-eventstore's main object; its methods take callbacks. */
export interface NodeEventstore {
  readonly store: object;
  on(event: string, listener: () => void): void;
  useEventPublisher(publish: (event: object, callback: (error: unknown) => void) => void): void;
  defineEventMappings(mappings: object): void;
  streamEvents(...args: unknown[]): AsyncIterable<StoredEvent>;
  streamEventsSince(...args: unknown[]): AsyncIterable<StoredEvent>;
  streamEventsByRevision(...args: unknown[]): AsyncIterable<StoredEvent>;
}

const require = createRequire(import.meta.url);
export const eventstore = require('eventstore') as (options?: object) => NodeEventstore;
/** The store that node-eventstore has by default. */
export const InMemory = require('eventstore/lib/databases/inmemory') as new (options: object) => object;

/** Calls a method that takes a callback as its last argument. */
export function call<Result>(target: object, method: string, ...args: unknown[]): Promise<Result> {
  return new Promise((resolve, reject) => {
    (target as Record<string, (...given: unknown[]) => void>)[method]?.(...args, (error: unknown, result: Result) =>
      error ? reject(error) : resolve(result),
    );
  });
}

/** A store that is connected, on an event store of Varve's. */
export async function varveStore(store: EventStore, options: VarveStoreOptions = {}): Promise<VarveStore> {
  const made = new VarveStore({ store, ...options });
  await call(made, 'connect');
  return made;
}

/** node-eventstore on it, initialized. */
export async function onVarve(store: EventStore, options: object = {}): Promise<NodeEventstore> {
  const es = eventstore({ type: VarveStore, store, ...options });
  await call(es, 'init');
  return es;
}

export type { StoredEvent, StoredSnapshot };
