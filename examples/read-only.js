/** Reading beside a writer that is alive in another process: nothing is locked, and nothing is changed. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openLog } from 'varve';

const RECORDS = 50;

const [directoryOfChild] = process.argv.slice(2);
if (directoryOfChild === undefined) await read();
else await write(directoryOfChild);

/** @param {string} directory */
async function write(directory) {
  const log = await openLog({ directory, segmentSize: 64 * 1024 });
  const partition = await log.partition(1);
  process.send?.('open');
  for (let tick = 1; tick <= RECORDS; tick++) {
    await partition.append(Buffer.from(`tick ${tick}`));
    await setTimeout(5);
  }
  await log.close();
  process.disconnect();
}

async function read() {
  const directory = await mkdtemp(join(tmpdir(), 'varve-read-only-'));
  const writer = fork(fileURLToPath(import.meta.url), [directory]);
  const ended = once(writer, 'close');
  await once(writer, 'message');

  const log = await openLog({ directory, readOnly: true, pollInterval: 5 });
  const partition = await log.partition(1);
  let count = 0;
  for await (const { lsn, payload } of partition.follow({ from: 1 })) {
    count++;
    if (lsn % 10 === 0) console.log(`${Buffer.from(payload)}, of ${partition.durableLsn} that are durable by now`);
    if (lsn === RECORDS) break;
  }

  // Appending is the writer's business.
  const refusal = await partition.append(Buffer.from('no')).catch((error) => error.code);
  console.log(`append: ${refusal}`);
  await log.close();
  await ended;
  await rm(directory, { recursive: true });
  console.log(`read ${count} records beside their writer`);
}
