/**
 * Orders as durable statecharts: a payment that is tried again with growing pauses, a deadline of two days, and a refund by
 * an actor of its own, over restarts of the host. The clock is a fake one, so two days are over at once.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEventStore } from 'varve';
import { createActorHost, durableChild } from 'varve/xstate';
import { assign, fromPromise, SimulatedClock, setup, waitFor } from 'xstate';

const DAY = 24 * 60 * 60 * 1000;
const ATTEMPTS = 3;

/** A payment service that is down for the first two calls, and counts the money that it has. */
const gateway = {
  calls: 0,
  balance: 0,
  /** @param {number} amount */
  async charge(amount) {
    if (++this.calls <= 2) throw new Error('the payment service is down');
    this.balance += amount;
    return `receipt-${this.calls}`;
  },
  /** @param {number} amount */
  async refund(amount) {
    this.balance -= amount;
  },
};

const refundMachine = setup({
  types: { input: /** @type {{ amount: number }} */ ({}), context: /** @type {{ amount: number }} */ ({}) },
  actors: {
    refund: fromPromise(async (/** @type {{ input: number }} */ { input }) => gateway.refund(input)),
  },
}).createMachine({
  context: ({ input }) => ({ amount: input.amount }),
  initial: 'refunding',
  states: {
    refunding: { invoke: { src: 'refund', input: ({ context }) => context.amount, onDone: 'refunded' } },
    refunded: { type: 'final' },
  },
  output: ({ context }) => context.amount,
});

const orderMachine = setup({
  types: {
    input: /** @type {{ amount: number }} */ ({}),
    context: /** @type {{ amount: number, attempts: number, receipt: string | undefined }} */ ({}),
    events: /** @type {{ type: 'PAY' } | { type: 'CANCEL' }} */ ({}),
  },
  actors: {
    charge: fromPromise(async (/** @type {{ input: number }} */ { input }) => gateway.charge(input)),
    refund: /** @type {typeof durableChild<{ amount: number }>} */ (durableChild)('refund'),
  },
  delays: {
    twoDays: 2 * DAY,
    backOff: ({ context }) => 1000 * 2 ** context.attempts,
  },
  guards: { mayTryAgain: ({ context }) => context.attempts < ATTEMPTS },
}).createMachine({
  context: ({ input }) => ({ amount: input.amount, attempts: 0, receipt: undefined }),
  initial: 'awaitingPayment',
  states: {
    awaitingPayment: { on: { PAY: 'charging' }, after: { twoDays: 'expired' } },
    charging: {
      entry: assign({ attempts: ({ context }) => context.attempts + 1 }),
      invoke: {
        src: 'charge',
        input: ({ context }) => context.amount,
        onDone: { target: 'paid', actions: assign({ receipt: ({ event }) => event.output }) },
        onError: [{ guard: 'mayTryAgain', target: 'backingOff' }, { target: 'failed' }],
      },
    },
    backingOff: { after: { backOff: 'charging' } },
    paid: { on: { CANCEL: 'refunding' } },
    refunding: {
      invoke: { src: 'refund', input: ({ context }) => ({ amount: context.amount }), onDone: 'refunded' },
    },
    refunded: { type: 'final' },
    expired: { type: 'final' },
    failed: { type: 'final' },
  },
});

const directory = await mkdtemp(join(tmpdir(), 'varve-xstate-order-'));
const clock = new SimulatedClock();

/** Opens everything as a process does that begins; at the end it is closed. @template T */
async function life(/** @type {(host: Awaited<ReturnType<typeof open>>['host']) => Promise<T>} */ live) {
  const { store, host } = await open();
  try {
    return await live(host);
  } finally {
    await host.shutdown();
    await store.close();
  }
}

async function open() {
  const store = await openEventStore({ directory, segmentSize: 1024 * 1024 });
  const host = await createActorHost({ store, clock, machines: { order: orderMachine, refund: refundMachine } });
  return { store, host };
}

await life(async (host) => {
  const order = await host.actor('order', 'o-1', { input: { amount: 12 } });
  await host.actor('order', 'o-2', { input: { amount: 99 } });
  await order.send({ type: 'PAY' });
  await waitFor(/** @type {any} */ (order), (snapshot) => snapshot.matches('backingOff'));
  console.log(`o-1 is ${order.getSnapshot().value} after ${order.getSnapshot().context.attempts} attempt`);
});

// Another process goes on with the pauses.
await life(async (host) => {
  const order = await host.actor('order', 'o-1');
  for (let attempt = 2; attempt <= ATTEMPTS; attempt++) {
    clock.increment(1000 * 2 ** (attempt - 1));
    await waitFor(
      /** @type {any} */ (order),
      ({ context, value }) => context.attempts === attempt && value !== 'charging',
    );
  }
  console.log(`o-1 is ${order.getSnapshot().value}: ${order.getSnapshot().context.receipt}`);
  await order.send({ type: 'CANCEL' });
});

// A third one brings the refund to its end, and two days are over for the order that nobody has paid for.
await life(async (host) => {
  const order = await host.actor('order', 'o-1');
  if (order.getSnapshot().status === 'active') {
    await waitFor(/** @type {any} */ (order), ({ status }) => status === 'done');
  }
  clock.increment(2 * DAY);
  await host.settled();
  const other = await host.actor('order', 'o-2');
  console.log(`o-1 is ${order.getSnapshot().value}, o-2 is ${other.getSnapshot().value}`);
  for await (const { revision, time, event } of order.history()) {
    console.log(`  ${revision} after ${time.getTime() / 1000} s: ${event.type}`);
  }
});

console.log(`the payment service was called ${gateway.calls} times and has ${gateway.balance} € too much`);
await rm(directory, { recursive: true });
