/**
 * A Nest application that handles commands until it is killed, and tells its parent of each order when it is durable,
 * and of each event when its handler has dealt with it.
 *
 * Lines:  ready · placed {n} · handled {n} · done
 * Arguments: directory, first order, last order.
 */
import 'reflect-metadata';
import { writeSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { Inject, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AggregateRoot, CommandBus, CommandHandler, EventPublisher, EventsHandler } from '@nestjs/cqrs';
import { VarveCqrsModule, VarveEvents } from '../../dist/adapter/nestjs/index.js';

const [directory = '', first, last] = process.argv.slice(2);
/** @param {string} line */
const tell = (line) => writeSync(1, `${line}\n`);

class OrderPlaced {
  number = 0;
}
class Order extends AggregateRoot {}

class PlaceOrder {
  /** @param {number} number */
  constructor(number) {
    this.number = number;
  }
}

class PlaceOrderHandler {
  constructor(publisher, events) {
    this.publisher = publisher;
    this.events = events;
  }
  /** @param {PlaceOrder} command */
  async execute({ number }) {
    const order = this.publisher.mergeObjectContext(new Order());
    order.apply(Object.assign(new OrderPlaced(), { number }));
    order.commit();
    await this.events.durable(order);
    return number;
  }
}
Injectable()(PlaceOrderHandler);
Inject(EventPublisher)(PlaceOrderHandler, undefined, 0);
Inject(VarveEvents)(PlaceOrderHandler, undefined, 1);
CommandHandler(PlaceOrder)(PlaceOrderHandler);

class OrderPlacedHandler {
  /** @param {OrderPlaced} event */
  async handle({ number }) {
    await setTimeout(1);
    tell(`handled ${number}`);
  }
}
EventsHandler(OrderPlaced)(OrderPlacedHandler);

class App {}
Module({
  imports: [
    VarveCqrsModule.forRoot({
      store: { directory, segmentSize: 64 * 1024 },
      events: [OrderPlaced],
      checkpointEvery: { events: 4 },
    }),
  ],
  providers: [PlaceOrderHandler, OrderPlacedHandler],
})(App);

const app = await NestFactory.createApplicationContext(App, { logger: ['error'] });
tell('ready');
const commands = app.get(CommandBus);
for (let number = Number(first); number <= Number(last); number += 3) {
  const batch = [number, number + 1, number + 2];
  await Promise.all(batch.map(async (one) => tell(`placed ${await commands.execute(new PlaceOrder(one))}`)));
}
await app.get(VarveEvents).whenCaughtUp();
await app.close();
tell('done');
