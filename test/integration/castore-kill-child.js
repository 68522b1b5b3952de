/**
 * Makes transfers between accounts, and corrects them by force, until it is killed.
 *
 * Lines:  try {id} · ack {id} · correcting {id} · corrected {id}
 * Arguments: directory, number of partitions, first id.
 */
import { writeSync } from 'node:fs';
import { VarveEventStorageAdapter } from '../../dist/adapter/castore/index.js';
import { openEventStore } from '../../dist/index.js';
import { ACCOUNTS, bank, OPENING_BALANCE } from './castore-bank.js';

const [directory = '', partitions, firstId] = process.argv.slice(2);
let next = Number(firstId);
/** @param {string} line */
const tell = (line) => writeSync(1, `${line}\n`);

const store = await openEventStore({ directory, partitions: Number(partitions), segmentSize: 64 * 1024 });
const { accounts, transfers, transfer } = bank(new VarveEventStorageAdapter({ store }));
for (const aggregateId of ACCOUNTS) {
  const { aggregate } = await accounts.getAggregate(aggregateId);
  if (aggregate === undefined) {
    await accounts.pushEvent({ aggregateId, version: 1, type: 'OPENED', payload: { amount: OPENING_BALANCE } });
  }
}

/** @param {number} seed */
async function user(seed) {
  for (let turn = seed; ; turn++) {
    const id = `t-${next++}`;
    const [from = '', to = ''] = [ACCOUNTS[turn % 4], ACCOUNTS[(turn + 1 + (seed % 3)) % 4]];
    tell(`try ${id}`);
    await transfer.handler({ id, from, to, amount: 1 + (turn % 50) }, [accounts, transfers]);
    tell(`ack ${id}`);
    if (turn % 3 !== 0) continue;
    tell(`correcting ${id}`);
    const corrected = /** @type {const} */ ({ aggregateId: id, version: 1, type: 'MADE', payload: { reference: id } });
    await transfers.pushEvent(corrected, { force: true });
    tell(`corrected ${id}`);
  }
}
await Promise.all([1, 2, 3].map(user));
