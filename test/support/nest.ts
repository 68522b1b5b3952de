/** Small Nest applications on small stores. Decorators are called as functions: nothing here is compiled for them. */
import 'reflect-metadata';
import { type INestApplicationContext, Injectable, Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EventsHandler } from '@nestjs/cqrs';
import { VarveCqrsModule, type VarveCqrsOptions } from 'varve/nestjs';

export class OrderPlaced {
  readonly orderId: string;
  readonly amount: number;
  constructor(orderId: string, amount: number) {
    this.orderId = orderId;
    this.amount = amount;
  }
}

export class OrderPaid {
  readonly orderId: string;
  constructor(orderId: string) {
    this.orderId = orderId;
  }
}

/** A handler of these events, which does `handle`. */
export function handlerOf(events: Type<object>[], handle: (event: never) => unknown): Type<object> {
  class Handler {
    handle(event: never): unknown {
      return handle(event);
    }
  }
  Injectable()(Handler);
  EventsHandler(...events)(Handler);
  return Handler;
}

export async function startApp(
  options: VarveCqrsOptions,
  providers: Type<object>[] = [],
): Promise<INestApplicationContext> {
  return startModule(VarveCqrsModule.forRoot(options), providers);
}

export async function startModule(
  module: ReturnType<typeof VarveCqrsModule.forRoot>,
  providers: Type<object>[] = [],
): Promise<INestApplicationContext> {
  class App {}
  Module({ imports: [module], providers })(App);
  const app = await NestFactory.createApplicationContext(App, { logger: false, abortOnError: false });
  return app.init();
}
