/** Events to measure with. */

/** One event; as JSON its data are of 150 bytes. */
export const EVENT = {
  type: 'ItemAdded',
  data: {
    cart: 'c-1048576',
    sku: 'sku-0001234567',
    name: 'A thing of some length',
    price: 1299,
    quantity: 2,
    currency: 'EUR',
    note: 'gift',
  },
};
const BYTES = 150;
EVENT.data.note = EVENT.data.note.padEnd(EVENT.data.note.length + BYTES - JSON.stringify(EVENT.data).length, '.');

/** @param {number} number */
export const streamName = (number) => `cart-${number}`;

/**
 * Appends many events, with so many appends at a time.
 *
 * @param {import('varve').EventStore} store
 * @param {number} events
 * @param {(number: number) => string} streamOf of the n-th event
 * @param {(done: number) => void} progress
 * @param {number} [atATime]
 */
export async function appendEvents(store, events, streamOf, progress, atATime = 1024) {
  let next = 0;
  const writer = async () => {
    while (next < events) {
      const number = next++;
      await store.appendToStream(streamOf(number), EVENT, { ack: 'written' });
      if (number % 1000 === 0) progress(number);
    }
  };
  await Promise.all(Array.from({ length: atATime }, writer));
}
