/**
 * NestJS CQRS on the event store: commands, an aggregate, a handler that goes on after a restart, a saga.
 *
 * With TypeScript the decorators would stand in front of the classes; here they are called as the functions that they are.
 */
import 'reflect-metadata';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Inject, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AggregateRoot, CommandBus, CommandHandler, EventPublisher, EventsHandler, ofType, Saga } from '@nestjs/cqrs';
import { map } from 'rxjs';
import { VarveCqrsModule, VarveEvents } from 'varve/nestjs';

const directory = await mkdtemp(join(tmpdir(), 'varve-nestjs-'));

class OrderPlaced {
  /** @param {string} id @param {number} amount */
  constructor(id, amount) {
    this.id = id;
    this.amount = amount;
  }
}

class Order extends AggregateRoot {
  /** @param {string} id */
  constructor(id) {
    super();
    this.id = id;
  }
}

class PlaceOrder {
  /** @param {string} id @param {number} amount */
  constructor(id, amount) {
    this.id = id;
    this.amount = amount;
  }
}

class PlaceOrderHandler {
  /** @param {EventPublisher} publisher @param {VarveEvents} events */
  constructor(publisher, events) {
    this.publisher = publisher;
    this.events = events;
  }

  /** @param {PlaceOrder} command */
  async execute({ id, amount }) {
    const order = this.publisher.mergeObjectContext(new Order(id));
    order.apply(new OrderPlaced(id, amount));
    order.commit();
    await this.events.durable(order); // rejects if there is an order of that id
  }
}
Inject(EventPublisher)(PlaceOrderHandler, undefined, 0);
Inject(VarveEvents)(PlaceOrderHandler, undefined, 1);
CommandHandler(PlaceOrder)(PlaceOrderHandler);

/** In place of a table of some database, which outlives the application. */
const totals = new Map();

class TotalHandler {
  /** @param {OrderPlaced} event */
  handle({ id, amount }) {
    totals.set(id, (totals.get(id) ?? 0) + amount);
  }
}
EventsHandler(OrderPlaced)(TotalHandler);

class SendMail {
  /** @param {string} id */
  constructor(id) {
    this.id = id;
  }
}

class SendMailHandler {
  /** @param {SendMail} command */
  async execute({ id }) {
    console.log(`mail: your order ${id} has come in`);
  }
}
CommandHandler(SendMail)(SendMailHandler);

class Sagas {
  /** @param {import('@nestjs/cqrs').EventBus} events$ */
  placed(events$) {
    return events$.pipe(
      ofType(OrderPlaced),
      map(({ id }) => new SendMail(id)),
    );
  }
}
Saga()(Sagas.prototype, 'placed');

class App {}
Module({
  imports: [
    VarveCqrsModule.forRoot({
      store: { directory, segmentSize: 1024 * 1024 },
      events: [OrderPlaced],
      stream: (_event, order) => ({
        stream: `order-${/** @type {Order} */ (order).id}`,
        expectedRevision: 'noStream',
      }),
    }),
  ],
  providers: [PlaceOrderHandler, TotalHandler, SendMailHandler, Sagas],
})(App);

const start = () => NestFactory.createApplicationContext(App, { logger: false });

const before = await start();
await before.get(CommandBus).execute(new PlaceOrder('1', 40));
await before.get(VarveEvents).whenCaughtUp();
await before.close();

// The next day: what was dealt with does not come again.
const app = await start();
const commands = app.get(CommandBus);
await commands.execute(new PlaceOrder('2', 25));
const again = await commands.execute(new PlaceOrder('1', 40)).catch((error) => error.code);
console.log(`order 1 once more: ${again}`);
await app.get(VarveEvents).whenCaughtUp();
await app.close();
await rm(directory, { recursive: true });

const total = [...totals.values()].reduce((sum, amount) => sum + amount, 0);
if (total !== 65) throw new Error(`the total is ${total}`);
console.log(`the total of ${totals.size} orders is ${total} €, counted once each`);
