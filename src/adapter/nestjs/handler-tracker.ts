/**
 * When all handlers of an event have come to an end: Nest's bus starts them and does not wait.
 *
 * Without that an event would count as dealt with while its handlers are still at it, and a crash would lose what they
 * had not done yet. A handler that fails has come to an end, too: Nest tells of it. Handlers that live as long as a request
 * are made anew for each event, behind the bus; they are not waited for.
 */
import type { EventBus } from '@nestjs/cqrs';

type Handler = Parameters<EventBus['bind']>[0];

export class HandlerTracker {
  readonly #running = new WeakMap<object, Promise<unknown>[]>();

  /** From now on handlers that are bound to the bus are watched. */
  watch(bus: EventBus): void {
    const bind = bus.bind.bind(bus);
    bus.bind = (handler, id) => bind(this.#watched(handler), id);
  }

  /** Resolves when the handlers that `publish` has started for the event have come to an end. */
  async run(event: object, publish: () => void): Promise<void> {
    const running: Promise<unknown>[] = [];
    this.#running.set(event, running);
    publish();
    await Promise.allSettled(running);
  }

  #watched(handler: Handler): Handler {
    if (!handler.isDependencyTreeStatic()) return handler;
    const { instance } = handler;
    const handle = (event: object) => {
      const done = (async () => instance.handle(event))();
      this.#running.get(event)?.push(done);
      return done;
    };
    const watched = Object.create(instance, { handle: { value: handle } });
    return Object.create(handler, { instance: { value: watched } });
  }
}
