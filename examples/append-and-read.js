/** The smallest program: append records, read them back, close. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLog } from 'varve';

const directory = await mkdtemp(join(tmpdir(), 'varve-append-and-read-'));
const log = await openLog({ directory, segmentSize: 1024 * 1024 });
const partition = await log.partition(1);

// Resolves when the record is on the disk to stay.
const { lsn } = await partition.append(Buffer.from('sand'));
console.log(`record ${lsn} is durable`);

// Appends made at the same time share one sync. Their order is the order of the calls.
await Promise.all(['silt', 'clay'].map((text) => partition.append(Buffer.from(text))));

// Weaker, and asked for by name: this one survives the death of the process, not yet a loss of power ...
await partition.append(Buffer.from('ash'), { ack: 'written' });
// ... until a sync makes it, and everything before it, durable.
await partition.sync();

for await (const record of partition.read({ from: 2 })) {
  console.log(`record ${record.lsn}: ${Buffer.from(record.payload)}`);
}

const [last] = await partition.read({ direction: 'backward', limit: 1 }).toArray();
await log.close();
// A payload stays valid whatever becomes of the log.
console.log(`the last record is ${last?.lsn}: ${Buffer.from(last?.payload ?? [])}`);

await rm(directory, { recursive: true });
