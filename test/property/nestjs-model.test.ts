/**
 * Random programs of publishing, on the store and on Nest's own bus in memory: every handler sees the same events in the
 * same order, also when the application is started again in between.
 */
import { expect, test } from '@jest/globals';
import { CqrsModule, EventBus } from '@nestjs/cqrs';
import fc from 'fast-check';
import { openEventStore } from 'varve';
import { VarveCqrsModule, VarveEvents } from 'varve/nestjs';
import { SimulatedDisk } from '../../src/testing/index.js';
import { runs } from '../runs.js';
import { handlerOf, OrderPaid, OrderPlaced, startModule } from '../support/nest.js';

const event = fc.oneof(
  fc.tuple(fc.string(), fc.oneof(fc.integer(), fc.constant(Number.NaN))).map((args) => new OrderPlaced(...args)),
  fc.string().map((id) => new OrderPaid(id)),
);
const commands = fc.oneof(
  { weight: 4, arbitrary: event.map((one) => ({ kind: 'publish' as const, events: [one] })) },
  {
    weight: 3,
    arbitrary: fc.array(event, { maxLength: 4 }).map((events) => ({ kind: 'publishAll' as const, events })),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'wait' as const }) },
);

/** Handlers of all events, of some, and one that takes its time; what each has seen. */
function handlers() {
  const seen = { placed: [] as object[], paid: [] as object[], all: [] as object[] };
  const providers = [
    handlerOf([OrderPlaced], (one: object) => seen.placed.push(one)),
    handlerOf([OrderPaid], async (one: object) => {
      await new Promise((resolve) => setImmediate(resolve));
      seen.paid.push(one);
    }),
    handlerOf([OrderPlaced, OrderPaid], (one: object) => seen.all.push(one)),
  ];
  return { seen, providers };
}

test("handlers see what they see on Nest's own bus", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(commands, { maxLength: 12 }), async (program) => {
      const [expected, actual] = [handlers(), handlers()];
      const model = await startModule(CqrsModule.forRoot(), expected.providers);
      const disk = new SimulatedDisk();
      const store = await openEventStore({ directory: '/nest', disk, segmentSize: 64 * 1024 });
      const module = () => VarveCqrsModule.forRoot({ store, events: [OrderPlaced, OrderPaid] });
      let app = await startModule(module(), actual.providers);
      try {
        for (const command of program) {
          if (command.kind === 'restart') {
            await app.close();
            app = await startModule(module(), actual.providers);
          } else if (command.kind === 'wait') {
            await app.get(VarveEvents).durable();
            await app.get(VarveEvents).whenCaughtUp();
          } else {
            for (const bus of [model.get(EventBus), app.get(EventBus)]) {
              if (command.kind === 'publish') bus.publish(command.events[0] as object);
              else bus.publishAll(command.events);
            }
          }
        }
        await app.get(VarveEvents).durable();
        await app.get(VarveEvents).whenCaughtUp();
        while (expected.seen.paid.length < expected.seen.all.length - expected.seen.placed.length) {
          await new Promise((resolve) => setImmediate(resolve));
        }
        expect(actual.seen).toEqual(expected.seen);
      } finally {
        await app.close();
        await model.close();
        await store.close();
      }
    }),
    { numRuns: runs(40) },
  );
});
