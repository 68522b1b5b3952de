/**
 * Emmett's command handlers on Varve until it is killed: customers reserve what is in stock, and it is restocked. A reactor
 * notes each event in the world outside. All is told to the parent, before and after: what is in the pipe survives.
 *
 * Lines:  ready · try {product} {id} · ack {product} {version} {id} · out {product} {id} · seen {position} {id}
 * Arguments: directory, first id, then the options of the store as JSON.
 */
import { writeSync } from 'node:fs';
import { CommandHandler, projections } from '@event-driven-io/emmett';
import { getVarveEventStore } from '../../dist/adapter/emmett/index.js';
import { evolve, initialState, PRODUCTS, stock } from './emmett-stock.js';

const [directory = '', firstId, options = '{}'] = process.argv.slice(2);
let id = Number(firstId);
/** @param {string} line */
const tell = (line) => writeSync(1, `${line}\n`);

const eventStore = getVarveEventStore({
  directory,
  ...JSON.parse(options),
  projections: projections.inline([stock]),
});
const handle = CommandHandler({
  evolve,
  initialState,
  mapToStreamId: (product) => `stock-${product}`,
  retry: { onVersionConflict: 50 },
});

const consumer = eventStore.consumer({ batchSize: 16 });
consumer.reactor({
  processorId: 'outbox',
  eachMessage: ({ data, metadata }) => void tell(`seen ${metadata.globalPosition} ${data.id}`),
});
await eventStore.open();
tell('ready');
consumer.start().catch((error) => {
  tell(`failed ${error.message}`);
  process.exit(1);
});

/** Takes one piece if there is one, brings some if there is none. @param {string} product */
async function trade(product) {
  const own = id++;
  tell(`try ${product} ${own}`);
  const { nextExpectedStreamVersion, newEvents } = await handle(eventStore, product, ({ left }) =>
    left === 0
      ? [
          { type: 'Restocked', data: { id: own, count: 5 } },
          { type: 'Checked', data: { id: own, count: 5 } },
        ]
      : { type: 'Reserved', data: { id: own, count: 1 } },
  );
  const [first] = newEvents;
  tell(`ack ${product} ${Number(nextExpectedStreamVersion) - newEvents.length + 1} ${own} ${first?.type}`);
}

await Promise.all(
  [...PRODUCTS, ...PRODUCTS].map(async (product) => {
    for (;;) await trade(product);
  }),
);
