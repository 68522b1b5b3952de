/** A bank account on the event store: concurrent withdrawals, of which none may overdraw it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEventStore } from 'varve';

/** @typedef {{ balance: number, revision: bigint }} Account */

const directory = await mkdtemp(join(tmpdir(), 'varve-bank-account-'));
const store = await openEventStore({ directory, segmentSize: 1024 * 1024 });
const STREAM = 'account-1';
let retries = 0;

/** What the events say of the account, and the revision up to which they were read. @returns {Promise<Account>} */
async function load() {
  const account = { balance: 0, revision: -1n };
  for await (const { type, data, revision } of store.readStream(STREAM)) {
    const { amount } = /** @type {{ amount: number }} */ (data);
    account.balance += type === 'Deposited' ? amount : -amount;
    account.revision = revision;
  }
  return account;
}

/**
 * Reads, decides, and appends at the revision that was read. If somebody was faster, all of it again.
 *
 * @param {number} amount
 * @returns {Promise<boolean>} False if there is not enough.
 */
async function withdraw(amount) {
  for (;;) {
    const { balance, revision } = await load();
    if (balance < amount) return false;
    try {
      await store.appendToStream(STREAM, { type: 'Withdrawn', data: { amount } }, { expectedRevision: revision });
      return true;
    } catch (error) {
      if (/** @type {{ code?: string }} */ (error).code !== 'ERR_VARVE_WRONG_REVISION') throw error;
      retries++;
    }
  }
}

await store.appendToStream(STREAM, { type: 'Deposited', data: { amount: 100 } }, { expectedRevision: 'noStream' });

// Fifteen people want 10 each, at the same time; there is enough for ten of them.
const outcomes = await Promise.all(Array.from({ length: 15 }, () => withdraw(10)));
const paid = outcomes.filter((done) => done).length;
const { balance, revision } = await load();
await store.close();

console.log(`${paid} of ${outcomes.length} were paid; somebody was faster ${retries} times`);
if (paid !== 10 || balance !== 0 || revision !== 10n)
  throw new Error(`paid ${paid}, balance ${balance} at ${revision}`);
console.log(`the balance is ${balance} at revision ${revision}`);

await rm(directory, { recursive: true });
