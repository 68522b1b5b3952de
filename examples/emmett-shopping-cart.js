/**
 * Emmett on Varve: shopping carts behind a command handler, two customers at one cart, a read model that follows, and all of
 * it again after the store was closed.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandHandler, IllegalStateError } from '@event-driven-io/emmett';
import { getVarveEventStore } from 'varve/emmett';

/** @typedef {{ items: Record<string, number>, confirmed: boolean }} Cart */
/** @typedef {import('@event-driven-io/emmett').Event<'ItemAdded', { sku: string, quantity: number }>} ItemAdded */
/** @typedef {import('@event-driven-io/emmett').Event<'CartConfirmed', { at: Date }>} CartConfirmed */
/** @typedef {ItemAdded | CartConfirmed} CartEvent */

const directory = await mkdtemp(join(tmpdir(), 'varve-emmett-'));

// With Emmett's in-memory store this line reads: const open = () => getInMemoryEventStore();
const open = () => getVarveEventStore({ directory, segmentSize: 1024 * 1024 });

/** @returns {Cart} */
const initialState = () => ({ items: {}, confirmed: false });

/** @param {Cart} cart @param {CartEvent} event @returns {Cart} */
function evolve(cart, { type, data }) {
  if (type === 'CartConfirmed') return { ...cart, confirmed: true };
  const { sku, quantity } = data;
  return { ...cart, items: { ...cart.items, [sku]: (cart.items[sku] ?? 0) + quantity } };
}

/** @param {string} sku @param {number} quantity */
const addItem = (sku, quantity) => (/** @type {Cart} */ cart) => {
  if (cart.confirmed) throw new IllegalStateError('the cart is confirmed');
  return /** @type {CartEvent} */ ({ type: 'ItemAdded', data: { sku, quantity } });
};

/** @param {Cart} cart */
const confirm = (cart) => {
  if (cart.confirmed) throw new IllegalStateError('the cart is confirmed already');
  return /** @type {CartEvent} */ ({ type: 'CartConfirmed', data: { at: new Date() } });
};

/** @type {ReturnType<typeof CommandHandler<Cart, CartEvent>>} */
const handle = CommandHandler({
  evolve,
  initialState,
  mapToStreamId: (id) => `cart-${id}`,
  retry: { onVersionConflict: true },
});

/** How much of each thing has been asked for, in all carts. @type {Map<string, number>} */
const demand = new Map();

/** @param {ReturnType<typeof open>} eventStore */
function follow(eventStore) {
  const consumer = eventStore.consumer();
  consumer.reactor({
    processorId: 'demand',
    canHandle: ['ItemAdded'],
    eachMessage: ({ data: { sku, quantity } }) => void demand.set(sku, (demand.get(sku) ?? 0) + quantity),
  });
  return { consumer, done: consumer.start() };
}

const first = open();
const following = follow(first);
await handle(first, 'ann', addItem('pizza', 1));
// Both decide on the same state: one of them is refused, and decides again.
await Promise.all([handle(first, 'ann', addItem('pizza', 2)), handle(first, 'ann', addItem('ice cream', 1))]);
const { newState, nextExpectedStreamVersion } = await handle(first, 'ann', confirm);
console.log(`version ${nextExpectedStreamVersion}:`, newState);
await following.consumer.whenCaughtUp();
await first.close();
await following.done;

// As if the program had been started again.
const second = open();
const refusal = await handle(second, 'ann', addItem('wine', 1)).catch((error) => error);
console.log(`after a restart: ${refusal.message}`);
await handle(second, 'bob', addItem('pizza', 4));
const { consumer, done } = follow(second); // goes on where it was
await consumer.whenCaughtUp();
const { currentStreamVersion, events } = await second.readStream('cart-ann', { from: 2n, to: 3n });
console.log(`${events.length} of ${currentStreamVersion} events of Ann's cart lie from 2 to 3`);
await second.close();
await done;

if (demand.get('pizza') !== 7 || demand.get('ice cream') !== 1) throw new Error(`demand is ${[...demand]}`);
console.log(`in demand: ${[...demand].map(([sku, quantity]) => `${quantity} × ${sku}`).join(', ')}`);

await rm(directory, { recursive: true });
