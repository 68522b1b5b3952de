/** An event store of which one method does something else first: what comes in between is then no matter of chance. */
import type { EventStore } from 'varve';

export function intercepted<Name extends 'appendToStream' | 'deleteStream'>(
  store: EventStore,
  method: Name,
  before: (...args: Parameters<EventStore[Name]>) => Promise<unknown>,
): EventStore {
  return new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== 'function') return value;
      if (name !== method) return value.bind(target);
      return async (...args: Parameters<EventStore[Name]>) => {
        await before(...args);
        return (value as (...given: unknown[]) => unknown).apply(target, args);
      };
    },
  });
}
