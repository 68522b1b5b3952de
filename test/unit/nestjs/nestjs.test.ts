import { afterEach, describe, expect, test } from '@jest/globals';
import { type INestApplicationContext, Injectable, Scope } from '@nestjs/common';
import {
  AggregateRoot,
  CommandBus,
  CommandHandler,
  EventBus,
  EventPublisher,
  EventsHandler,
  ofType,
  Saga,
  UnhandledExceptionBus,
} from '@nestjs/cqrs';
import { map } from 'rxjs';
import { type EventStore, openEventStore } from 'varve';
import { recordedEvent, VarveCqrsModule, type VarveCqrsOptions, VarveEvents } from 'varve/nestjs';
import { Random, SimulatedDisk } from '../../../src/testing/index.js';
import { handlerOf, OrderPaid, OrderPlaced, startApp, startModule } from '../../support/nest.js';

const EVENTS = [OrderPlaced, OrderPaid];
const running: INestApplicationContext[] = [];
const opened: EventStore[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((app) => app.close()));
  await Promise.all(opened.splice(0).map((store) => store.close()));
});

async function storeOn(disk = new SimulatedDisk()): Promise<EventStore> {
  const store = await openEventStore({ directory: '/nest', disk, segmentSize: 64 * 1024 });
  opened.push(store);
  return store;
}

async function start(options: Partial<VarveCqrsOptions>, ...providers: Parameters<typeof startApp>[1] & object) {
  const app = await startApp({ store: options.store ?? (await storeOn()), events: EVENTS, ...options }, providers);
  running.push(app);
  const [bus, events] = [app.get(EventBus), app.get(VarveEvents)];
  return { app, bus, events, store: events.store };
}

/** A handler that notes what it is given, and the notes. */
function noting(...events: Parameters<typeof handlerOf>[0]) {
  const notes: object[] = [];
  return { notes, handler: handlerOf(events, (event: object) => notes.push(event)) };
}

function exceptionsOf(app: INestApplicationContext) {
  const told: { exception: unknown; cause: unknown }[] = [];
  app.get(UnhandledExceptionBus).subscribe((info) => told.push(info));
  return told;
}

const ofStore = async (store: EventStore, stream: string) =>
  (await store.readStream(stream).toArray()).map(({ type, data }) => [type, data]);

describe('publishing', () => {
  test('appends, and hands the event to the bus once, as what it was', async () => {
    const { notes, handler } = noting(OrderPlaced);
    const { bus, events, store } = await start({}, handler);
    await bus.publish(new OrderPlaced('o-1', 20));
    expect(await ofStore(store, 'nest')).toEqual([['OrderPlaced', { orderId: 'o-1', amount: 20 }]]);
    await events.whenCaughtUp();
    expect(notes).toEqual([new OrderPlaced('o-1', 20)]);
    expect(notes[0]).toBeInstanceOf(OrderPlaced);
    expect(recordedEvent(notes[0] as object)).toMatchObject({ stream: 'nest', revision: 0n, type: 'OrderPlaced' });
    expect(recordedEvent({})).toBeUndefined();
  });

  test('reaches only handlers of that event, each once', async () => {
    const [placed, paid, both] = [noting(OrderPlaced), noting(OrderPaid), noting(OrderPlaced, OrderPaid)];
    const { bus, events } = await start({}, placed.handler, paid.handler, both.handler);
    await bus.publishAll([new OrderPlaced('o-1', 1), new OrderPaid('o-1')]);
    await events.whenCaughtUp();
    expect([placed, paid, both].map(({ notes }) => notes.length)).toEqual([1, 1, 2]);
  });

  test('keeps the order in which events were published, also where nobody waits', async () => {
    const { notes, handler } = noting(OrderPlaced);
    const { bus, events } = await start({}, handler);
    for (let i = 0; i < 50; i++) bus.publish(new OrderPlaced('o', i));
    await events.durable();
    await events.whenCaughtUp();
    expect(notes.map((event) => (event as OrderPlaced).amount)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });

  test('goes to the streams that are chosen, all or nothing', async () => {
    const stream = (event: object) => ({
      stream: `order-${(event as OrderPlaced).orderId}`,
      ...(event instanceof OrderPaid ? { expectedRevision: 'noStream' as const } : {}),
    });
    const { app, bus, store } = await start({ stream });
    const told = exceptionsOf(app);
    await bus.publishAll([new OrderPlaced('1', 1), new OrderPlaced('2', 2), new OrderPlaced('1', 3)]);
    expect((await ofStore(store, 'order-1')).length).toBe(2);
    const wrong = { code: 'ERR_VARVE_WRONG_REVISION', stream: 'order-1' };
    await expect(bus.publishAll([new OrderPaid('3'), new OrderPaid('1')])).rejects.toMatchObject(wrong);
    expect(await store.streamExists('order-3')).toBe(false);
    expect(told).toMatchObject([{ exception: wrong, cause: [{ orderId: '3' }, { orderId: '1' }] }]);
  });

  test('of an aggregate: durable tells when, and whether', async () => {
    class Order extends AggregateRoot {
      readonly id: string;
      constructor(id: string) {
        super();
        this.id = id;
      }
    }
    const { app, events, store } = await start({
      stream: (_event, context) => ({ stream: `order-${(context as Order).id}`, expectedRevision: 'noStream' }),
    });
    const told = exceptionsOf(app);
    const [order, again] = ['7', '7'].map((id) => app.get(EventPublisher).mergeObjectContext(new Order(id)));
    for (const one of [order, again] as Order[]) {
      one.apply(new OrderPlaced(one.id, 1));
      one.apply(new OrderPaid(one.id));
      one.commit();
    }
    await events.durable(order as Order);
    const refused = { code: 'ERR_VARVE_WRONG_REVISION' };
    await expect(events.durable(again as Order)).rejects.toMatchObject(refused);
    expect(told).toMatchObject([{ exception: refused }]);
    expect(await ofStore(store, 'order-7')).toHaveLength(2);
    await events.durable(new Order('8'));
  });

  test('none changes nothing', async () => {
    const { bus, store } = await start({});
    await bus.publishAll([]);
    expect(store.checkpoint()).not.toBeUndefined();
    expect(await store.streamExists('nest')).toBe(false);
  });

  test.each([
    ['of an unknown class', new (class Unknown {})(), { code: 'ERR_VARVE_INVALID_EVENT', eventType: 'Unknown' }],
    ['that is no object', undefined, { code: 'ERR_VARVE_INVALID_EVENT', eventType: 'undefined' }],
    [
      'with what the codec cannot keep',
      new OrderPlaced('o', (() => 1) as never),
      { code: 'ERR_VARVE_INVALID_EVENT', valuePath: 'events[0].data.amount' },
    ],
  ])('an event %s is refused, and told', async (_what, event, error) => {
    const { app, bus, store } = await start({});
    const told = exceptionsOf(app);
    await expect(bus.publish(event as object)).rejects.toMatchObject(error);
    expect(told).toMatchObject([{ cause: event, exception: error }]);
    expect(await store.streamExists('nest')).toBe(false);
  });

  test('that nobody waits for and that is refused ends no process', async () => {
    const { app, bus } = await start({});
    const told = exceptionsOf(app);
    bus.publish(new (class Unknown {})());
    bus.publish(new (class Unknown {})(), {}); // as an aggregate does
    await new Promise((resolve) => setImmediate(resolve));
    expect(told).toHaveLength(2);
  });
});

describe('delivering', () => {
  test('goes on behind the checkpoint after a restart; what others have appended comes, too', async () => {
    const disk = new SimulatedDisk();
    const first = noting(OrderPlaced);
    const one = await start({ store: { directory: '/nest', disk, segmentSize: 64 * 1024 } }, first.handler);
    await one.bus.publish(new OrderPlaced('o', 1));
    await one.events.whenCaughtUp();
    await one.app.close();
    await expect(one.store.appendToStream('x', { type: 'X' })).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });

    const store = await storeOn(disk);
    await store.appendToStream('elsewhere', [
      { type: 'OrderPlaced', data: { orderId: 'p', amount: 2 } },
      { type: 'Unrelated', data: 5 },
    ]);
    const second = noting(OrderPlaced);
    const two = await start({ store }, second.handler);
    await two.events.whenCaughtUp();
    expect(first.notes).toEqual([new OrderPlaced('o', 1)]);
    expect(second.notes).toEqual([new OrderPlaced('p', 2)]);
    await two.app.close();
    await store.appendToStream('x', { type: 'X' }); // a store that was given stays open
  });

  test('waits for handlers: what was not done when the power went is delivered again', async () => {
    const disk = new SimulatedDisk();
    let begun = 0;
    const never = handlerOf([OrderPaid], () => {
      begun++;
      return new Promise(() => {});
    });
    const done = noting(OrderPlaced);
    const { bus } = await start({ store: await storeOn(disk), checkpointEvery: { events: 1 } }, never, done.handler);
    await bus.publishAll([new OrderPlaced('o', 1), new OrderPaid('o'), new OrderPlaced('o', 2)]);
    while (begun === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(done.notes).toHaveLength(1);
    const after = await openEventStore({
      directory: '/nest',
      disk: disk.crashed(new Random(1)),
      segmentSize: 64 * 1024,
    });
    opened.push(after);
    const [again, paid] = [noting(OrderPlaced), noting(OrderPaid)];
    const two = await start({ store: after }, again.handler, paid.handler);
    await two.events.whenCaughtUp();
    expect(paid.notes).toEqual([new OrderPaid('o')]);
    expect(again.notes).toEqual([new OrderPlaced('o', 2)]);
    running.splice(0, 1); // its handler never ends, and so it would not
  });

  test('goes on behind a handler that fails, which Nest tells of', async () => {
    const failing = handlerOf([OrderPlaced], ({ amount }: OrderPlaced) => {
      if (amount === 1) throw new Error('not today');
    });
    const rejecting = handlerOf([OrderPlaced], () => Promise.reject(new Error('nor later')));
    const { notes, handler } = noting(OrderPlaced);
    const { app, bus, events } = await start({}, failing, rejecting, handler);
    const told = exceptionsOf(app);
    await bus.publishAll([new OrderPlaced('o', 1), new OrderPlaced('o', 2)]);
    await events.whenCaughtUp();
    expect(notes).toHaveLength(2);
    expect(told.map(({ exception }) => (exception as Error).message).sort()).toEqual([
      'nor later',
      'nor later',
      'not today',
    ]);
  });

  test('revives as it is told; what cannot be revived is parked, and told', async () => {
    const { notes, handler } = noting(OrderPlaced, OrderPaid);
    const revive: VarveCqrsOptions['revive'] = ({ data, revision }, type) => {
      if (type === OrderPaid) throw new Error('no such thing');
      return new OrderPlaced((data as OrderPlaced).orderId, Number(revision));
    };
    const { app, bus, events, store } = await start({ revive, consumer: 'bus' }, handler);
    const told = exceptionsOf(app);
    await bus.publishAll([new OrderPlaced('o', 1), new OrderPaid('o'), new OrderPlaced('o', 1)]);
    await events.whenCaughtUp();
    expect(notes).toEqual([new OrderPlaced('o', 0), new OrderPlaced('o', 2)]);
    expect(told).toMatchObject([{ exception: { message: 'no such thing' }, cause: { stream: 'nest', revision: 1n } }]);
    expect(await store.parkedEvents('bus').toArray()).toHaveLength(1);
  }, 20_000);

  test('finds events by the names that they were given', async () => {
    const { notes, handler } = noting(OrderPlaced);
    const { bus, events, store } = await start({ events: { 'order.placed': OrderPlaced } }, handler);
    await bus.publish(new OrderPlaced('o', 1));
    await events.whenCaughtUp();
    expect(await ofStore(store, 'nest')).toEqual([['order.placed', { orderId: 'o', amount: 1 }]]);
    expect(notes).toEqual([new OrderPlaced('o', 1)]);
  });

  test('begins where it is told', async () => {
    const store = await storeOn();
    await store.appendToStream('nest', { type: 'OrderPlaced', data: { orderId: 'old', amount: 0 } });
    const { notes, handler } = noting(OrderPlaced);
    const { bus, events } = await start({ store, from: 'end' }, handler);
    await bus.publish(new OrderPlaced('new', 1));
    await events.whenCaughtUp();
    expect(notes).toEqual([new OrderPlaced('new', 1)]);
  });

  test('reaches sagas, and handlers that live as long as a request', async () => {
    const paid = noting(OrderPaid);
    const scoped: object[] = [];
    class Scoped {
      handle(event: OrderPlaced) {
        scoped.push(event);
      }
    }
    Injectable({ scope: Scope.REQUEST })(Scoped);
    EventsHandler(OrderPlaced)(Scoped);
    class Pay {
      readonly orderId: string;
      constructor(orderId: string) {
        this.orderId = orderId;
      }
    }
    class PayHandler {
      async execute({ orderId }: Pay) {
        await payBus.publish(new OrderPaid(orderId));
      }
    }
    Injectable()(PayHandler);
    CommandHandler(Pay)(PayHandler);
    class Sagas {
      pay = (events$: EventBus) =>
        events$.pipe(
          ofType(OrderPlaced),
          map(({ orderId }) => new Pay(orderId)),
        );
    }
    Injectable()(Sagas);
    Saga()(Sagas.prototype, 'pay');
    const { app, bus: payBus, events } = await start({}, paid.handler, Scoped, PayHandler, Sagas);
    expect(app.get(CommandBus)).toBeDefined();
    await payBus.publish(new OrderPlaced('o', 1));
    while (paid.notes.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await events.whenCaughtUp();
    expect(paid.notes).toEqual([new OrderPaid('o')]);
    expect(scoped).toEqual([new OrderPlaced('o', 1)]);
  });

  test('a consumer that fails is told', async () => {
    const { app, events, store } = await start({ checkpointEvery: { events: 1 } });
    const told = exceptionsOf(app);
    await events.whenCaughtUp();
    await store.writeCheckpoint('nest', store.checkpoint());
    await app.get(EventBus).publish(new OrderPlaced('o', 1));
    while (told.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(told).toMatchObject([{ cause: 'nest', exception: { code: 'ERR_VARVE_CHECKPOINT_CONFLICT' } }]);
  });
});

describe('shutting down', () => {
  test('waits for the handlers under way, and delivers the rest next time', async () => {
    const store = await storeOn();
    const log: string[] = [];
    let release = () => {};
    const slow = handlerOf([OrderPlaced], async ({ amount }: OrderPlaced) => {
      log.push(`begun ${amount}`);
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      log.push(`done ${amount}`);
    });
    const { app, bus } = await start({ store }, slow);
    await bus.publishAll([new OrderPlaced('o', 1), new OrderPlaced('o', 2)]);
    while (log.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const closing = app.close().then(() => log.push('closed'));
    await new Promise((resolve) => setImmediate(resolve));
    release();
    await closing;
    expect(log).toEqual(['begun 1', 'done 1', 'closed']);
    const { notes, handler } = noting(OrderPlaced);
    const next = await start({ store }, handler);
    await next.events.whenCaughtUp();
    expect(notes).toEqual([new OrderPlaced('o', 2)]);
  });

  test('makes durable what was published before, and refuses what comes later', async () => {
    const disk = new SimulatedDisk();
    const { app, bus } = await start({ store: { directory: '/nest', disk, segmentSize: 64 * 1024 } });
    for (let i = 0; i < 10; i++) bus.publish(new OrderPlaced('o', i));
    await app.close();
    await expect(bus.publish(new OrderPlaced('o', 11))).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
    expect(await ofStore(await storeOn(disk), 'nest')).toHaveLength(10);
  });

  test('waits for what is being appended, also where the store stays open', async () => {
    const store = await storeOn();
    const { app, bus } = await start({ store });
    const log: string[] = [];
    const append = store.appendToStreams.bind(store);
    store.appendToStreams = async (appends) => {
      await new Promise((resolve) => setTimeout(resolve, 20)); // a slow disk
      log.push('appended');
      return append(appends);
    };
    bus.publish(new OrderPlaced('o', 1));
    await app.close();
    log.push('closed');
    expect(log).toEqual(['appended', 'closed']);
  });
});

describe('refused', () => {
  const store = { directory: '/nest' };
  test.each<[string, object, string]>([
    ['no store', { events: EVENTS }, 'store'],
    ['no events', { store }, 'events'],
    ['an empty list of events', { store, events: [] }, 'events'],
    ['what is no class', { store, events: ['OrderPlaced'] }, 'events'],
    ['a class without a name', { store, events: [class {}] }, 'events'],
    [
      'two classes of one name',
      { store, events: [OrderPlaced, { OrderPlaced: class OrderPlaced {} }.OrderPlaced] },
      'events',
    ],
    ['one class under two names', { store, events: { a: OrderPlaced, b: OrderPlaced } }, 'events'],
    ['a stream that is no function', { store, events: EVENTS, stream: 'nest' }, 'stream'],
    ['revive that is no function', { store, events: EVENTS, revive: {} }, 'revive'],
    ['another publisher', { store, events: EVENTS, cqrs: { eventPublisher: {} } }, 'cqrs.eventPublisher'],
    ['an unknown option', { store, events: EVENTS, topic: 'x' }, 'topic'],
  ])('%s', (_what, options, option) => {
    expect(() => VarveCqrsModule.forRoot(options as never)).toThrow(
      expect.objectContaining({ code: 'ERR_VARVE_INVALID_OPTION', option }),
    );
  });

  test('bad options that a factory makes, and a store that somebody else has open', async () => {
    const bad = VarveCqrsModule.forRootAsync({ useFactory: () => ({ store, events: [] }) });
    await expect(startModule(bad)).rejects.toMatchObject({ code: 'ERR_VARVE_INVALID_OPTION', option: 'events' });
    const disk = new SimulatedDisk();
    await storeOn(disk);
    const locked = VarveCqrsModule.forRoot({ store: { directory: '/nest', disk }, events: EVENTS });
    await expect(startModule(locked)).rejects.toMatchObject({ code: 'ERR_VARVE_LOCKED' });
    const consumer = VarveCqrsModule.forRoot({ store: await storeOn(), events: EVENTS, consumer: '' });
    await expect(startModule(consumer)).rejects.toMatchObject({ code: 'ERR_VARVE_INVALID_OPTION', option: 'name' });
  });

  test('waiting for an application that was not started', async () => {
    const bus = { publisher: undefined, bind: () => {} } as unknown as EventBus;
    const events = await VarveEvents.open({ store: await storeOn(), events: EVENTS }, bus, new UnhandledExceptionBus());
    await expect(events.whenCaughtUp()).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
    await events.onModuleDestroy();
  });
});

test('options may come from a factory', async () => {
  const { notes, handler } = noting(OrderPlaced);
  const store = await storeOn();
  const module = VarveCqrsModule.forRootAsync({ useFactory: async () => ({ store, events: EVENTS, consumer: 'bus' }) });
  const app = await startModule(module, [handler]);
  running.push(app);
  await app.get(EventBus).publish(new OrderPlaced('o', 1));
  await app.get(VarveEvents).whenCaughtUp();
  expect(notes).toEqual([new OrderPlaced('o', 1)]);
  expect(await store.readCheckpoint('bus')).toBeDefined();
});
