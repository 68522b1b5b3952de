/**
 * A bank on a simulated disk: `crashRecovery` cuts its power anywhere and starts it again. The right bank passes. One that
 * confirms payments before they are durable is found out; so is one that writes the two halves of a payment one by one.
 */
import fc from 'fast-check';
import { openLog } from 'varve';
import { command, crashRecovery, SimulatedDisk } from 'varve/testing';

class Bank {
  balance = { A: 0, B: 0 };

  /** @param {import('varve').Log} log @param {import('varve').Partition} partition */
  constructor(log, partition) {
    this.log = log;
    this.partition = partition;
  }

  /** @param {import('varve').OpenLogOptions} options */
  static async open(options) {
    const log = await openLog(options);
    const bank = new this(log, await log.partition(1));
    for await (const { payload } of bank.partition.read()) bank.apply(JSON.parse(String(Buffer.from(payload))));
    return bank;
  }

  /** @param {{ account: 'A' | 'B', amount: number }} entry */
  apply({ account, amount }) {
    this.balance[account] += amount;
  }

  /** @param {number} amount */
  async pay(amount) {
    const entries = /** @type {const} */ ([
      { account: 'A', amount: -amount },
      { account: 'B', amount },
    ]);
    await this.store(entries.map((entry) => Buffer.from(JSON.stringify(entry))));
    for (const entry of entries) this.apply(entry);
  }

  /** @param {Buffer[]} payloads */
  async store(payloads) {
    await this.partition.appendBatch(payloads);
  }

  async close() {
    await this.log.close();
  }
}

class HastyBank extends Bank {
  /** @override @param {Buffer[]} payloads */
  async store(payloads) {
    await this.partition.appendBatch(payloads, { ack: 'written' });
  }
}

class BankOfHalves extends Bank {
  /** @override @param {Buffer[]} payloads */
  async store(payloads) {
    for (const payload of payloads) await this.partition.append(payload);
  }
}

/** @param {typeof Bank} Kind */
function survivesCrashes(Kind) {
  return crashRecovery({
    // Starts the application: the first time, and after each crash on what that has left.
    setup: ({ disk, segmentSize }) => Kind.open({ directory: '/bank', disk, segmentSize }),
    // What the customers know. No crash takes it from them.
    model: () => ({ asked: 0, confirmed: 0 }),
    commands: [
      command('pay', fc.integer({ min: 1, max: 100 }), async (bank, amount, customers) => {
        customers.asked += amount;
        await bank.pay(amount);
        customers.confirmed += amount;
      }),
    ],
    invariant: ({ app: { balance }, model: customers }) => {
      if (balance.A + balance.B !== 0) throw new Error(`money was made: A ${balance.A}, B ${balance.B}`);
      if (balance.B < customers.confirmed) throw new Error(`${customers.confirmed} confirmed, ${balance.B} there`);
      if (balance.B > customers.asked) throw new Error(`${customers.asked} asked for, ${balance.B} there`);
    },
    teardown: (bank) => bank.close(),
  });
}

// In a test: `await fc.assert(survivesCrashes(Bank))`.
for (const Kind of [Bank, HastyBank, BankOfHalves]) {
  const { failed, errorInstance, numRuns } = await fc.check(survivesCrashes(Kind), { seed: 1, numRuns: 30 });
  console.log(`${Kind.name}: ${failed ? errorInstance : `${numRuns} programs, each crashed ten times and again`}\n`);
  if (failed !== (Kind !== Bank)) process.exitCode = 1;
}

// The disk can be used by itself, too: a sync that fails, for instance.
const disk = new SimulatedDisk();
const bank = await Bank.open({ directory: '/bank', disk });
disk.faults.add({ kind: 'sync', file: 'part_*', fault: { error: 'EIO' } });
const refused = await bank.pay(5).catch((error) => error.code);
console.log(`a payment whose sync fails: ${refused}`);
await bank.close().catch(() => {});
