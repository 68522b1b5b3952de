/** The part of the package `eventstore` that is used here; it comes without types of its own. */
declare module 'eventstore' {
  import type { EventEmitter } from 'node:events';

  const eventstore: { readonly Store: new (options?: object) => EventEmitter };
  export default eventstore;
}
