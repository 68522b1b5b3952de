/**
 * An outbox: orders are handed on to a message broker in order, each at least once, though the broker is away at times,
 * the program is stopped in the middle, and one message is poison: it is parked, and sent when it can be.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEventStore } from 'varve';

const ORDERS = 40;

/** Takes messages into memory. Every fifth call fails; one message it does not take at all, until it is repaired. */
class Broker {
  /** @type {{ id: string, order: number }[]} */
  messages = [];
  calls = 0;
  repaired = false;

  /** @param {{ id: string, order: number }} message */
  async publish(message) {
    if (++this.calls % 5 === 0) throw new Error('the broker is away');
    if (message.order === 13 && !this.repaired) throw new Error('13 is a number that the broker cannot bear');
    this.messages.push(message);
  }
}

const directory = await mkdtemp(join(tmpdir(), 'varve-outbox-'));
const broker = new Broker();

/** @param {import('varve').RecordedEvent} event */
const publish = (event) => broker.publish({ id: event.id, order: Number(event.data) });

/** @param {import('varve').EventStore} store */
function startOutbox(store) {
  return store.consume({
    name: 'outbox',
    filter: { types: ['OrderPlaced'] },
    handler: publish,
    checkpointEvery: { events: 8 },
    retry: { attempts: 3, minDelay: 5 },
    onParked: ({ stream, attempts, error }) => {
      console.log(`${stream} is parked after ${attempts} attempts: ${error.message}`);
    },
  });
}

// An order is what the broker is told of: there is no second write that could be lost.
let store = await openEventStore({ directory });
const outbox = startOutbox(store);
for (let order = 1; order <= ORDERS; order++) {
  await store.appendToStream(`order-${order}`, { type: 'OrderPlaced', data: order }, { expectedRevision: 'noStream' });
}
await outbox.whenProcessed(20n);
await store.close(); // waits for no handler: what is under way comes again
console.log(`stopped; the broker has ${broker.messages.length} messages`);

store = await openEventStore({ directory });
const again = startOutbox(store);
await again.whenCaughtUp();
console.log(`${again.parked} order is parked`);

broker.repaired = true;
let left = again.parked;
while (left > 0) left = (await store.replayParked('outbox', publish)).failed.length; // the broker may be away again
await again.stop();
await store.close();
await rm(directory, { recursive: true });

// Whoever reads the broker leaves out what it has seen: the id of an event is the same each time.
const ids = new Set();
const orders = broker.messages.filter(({ id }) => !ids.has(id) && ids.add(id)).map(({ order }) => order);
const inOrder = orders.filter((order) => order !== 13);
const sound =
  orders.length === ORDERS &&
  orders.at(-1) === 13 &&
  inOrder.every((order, i) => i === 0 || order > Number(inOrder[i - 1]));
console.log(sound ? 'the broker has every order, in order but for the parked one' : 'the outbox has failed');
process.exitCode = sound ? 0 : 1;
