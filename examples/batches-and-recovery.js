/**
 * Batches are all or nothing: a bank moves money with two records at a time, and is killed with SIGKILL while it does.
 * Run again on what is left, it finds every transfer that was acknowledged, and no half of any.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openLog } from 'varve';

const [directoryOfChild] = process.argv.slice(2);
if (directoryOfChild === undefined) await main();
else await transferForEver(directoryOfChild);

/** @param {string} directory */
async function transferForEver(directory) {
  const log = await openLog({ directory, segmentSize: 64 * 1024 });
  const partition = await log.partition(1);
  for (let amount = 1; process.connected; amount++) {
    const debit = { account: 'A', amount: -amount };
    const credit = { account: 'B', amount };
    await partition.appendBatch([debit, credit].map((entry) => Buffer.from(JSON.stringify(entry))));
    process.send?.(amount);
  }
}

async function main() {
  const directory = await mkdtemp(join(tmpdir(), 'varve-batches-'));
  const bank = fork(fileURLToPath(import.meta.url), [directory]);
  let acknowledged = 0;
  bank.on('message', (amount) => {
    acknowledged = Number(amount);
    if (acknowledged === 100) bank.kill('SIGKILL');
  });
  await once(bank, 'close'); // and all that it has told has arrived

  // Recovery comes with the first use of a partition. What the caller knows to be acknowledged must be there.
  const log = await openLog({ directory, segmentSize: 64 * 1024, minDurableLsn: { 1: acknowledged * 2 } });
  log.events.on('recovered', ({ lastLsn, torn }) => {
    console.log(`recovered up to LSN ${lastLsn}; ${torn === undefined ? 'nothing' : `${torn.bytes} bytes`} cut off`);
  });
  const partition = await log.partition(1);

  const balance = { A: 0, B: 0 };
  for await (const { payload } of partition.read()) {
    const entry = /** @type {{ account: 'A' | 'B', amount: number }} */ (JSON.parse(String(Buffer.from(payload))));
    balance[entry.account] += entry.amount;
  }
  const transfers = partition.durableLsn / 2;
  await log.close();
  await rm(directory, { recursive: true });

  console.log(`${acknowledged} transfers were acknowledged, ${transfers} are there, A ${balance.A}, B ${balance.B}`);
  const sound = transfers >= acknowledged && balance.A + balance.B === 0;
  console.log(sound ? 'no money was lost or made' : 'the accounts are wrong');
  process.exitCode = sound ? 0 : 1;
}
