import fs from 'node:fs';
import { join } from 'node:path';
import { MIB, makePayload } from '../logs.js';
import { check, interleave, quantile } from '../measure.js';
import { DURABILITY, makeRow, rowsAgainst } from '../rows.js';
import { openLog } from '../varve.js';

const COUNT = 1_000;
/** A key of 9 bytes and a value of 56. */
const SIZE = 65;
const KEY = 9;
/** Readings "again" after each first one; their median is the round's value. */
const AGAIN = 10;
/** A round is over in a millisecond: the reading code needs more of them than others until it is compiled. */
const WARM_UP_ROUNDS = 200;
const PEER_WARM_UP_ROUNDS = 20;

/** @typedef {(partition: import('varve').Partition) => Promise<number>} Reading */

/** @type {Record<string, Reading>} */
const READINGS = {
  async batches(partition) {
    let records = 0;
    for await (const batch of partition.read({ from: 1 }).batches()) records += batch.length;
    return records;
  },
  async toArray(partition) {
    return (await partition.read({ from: 1 }).toArray()).length;
  },
  async decoded(partition) {
    const decoded = [];
    for await (const batch of partition.read({ from: 1 }).batches()) {
      for (const { lsn, payload } of batch) {
        const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
        decoded.push({ lsn, key: bytes.toString('latin1', 0, KEY), value: bytes.toString('latin1', KEY) });
      }
    }
    return decoded.length;
  },
};

/** Milliseconds. @param {Reading} read @param {import('varve').Partition} partition */
async function time(read, partition) {
  const started = performance.now();
  const records = await read(partition);
  const took = performance.now() - started;
  check(records === COUNT, `${records} records were read, not ${COUNT}`);
  return took;
}

/** @param {import('varve').Partition} partition */
async function appendAll(partition) {
  const payload = makePayload(SIZE);
  for (let i = 0; i < COUNT; i++) await partition.append(payload, { ack: 'written' });
  await partition.sync();
  check(partition.durableLsn === COUNT, 'not all records are durable');
}

const buffer = new Uint8Array(MIB);

/** Opening a mapped log takes the file out of the page cache; what is measured here is not the disk. @param {string} directory */
function warm(directory) {
  for (const name of fs.readdirSync(directory)) {
    if (!name.endsWith('.wal')) continue;
    const fd = fs.openSync(join(directory, name), 'r');
    fs.readSync(fd, buffer, 0, buffer.length, 0);
    fs.closeSync(fd);
  }
}

/** @type {import('../groups.js').Group} */
export const group = {
  title: `Reading ${COUNT.toLocaleString('en-US')} records of ${SIZE} B, each of which was appended by itself`,
  method:
    'From the first record to the last, checksums on, page cache warm. First: a log that was just opened (the file is ' +
    'opened for reading within the timed part), or a partition that this process has just written; no frame has been ' +
    `verified. Again: the same partition; the median of ${AGAIN} readings is the round's value. Each record becomes an ` +
    'object { lsn, payload, position }; decoded: { lsn, key, value } with strings. Peers hold the same records and read ' +
    'them all in order, again and again. For orientation: a log in Rust has published 75.75 µs, without checksums, on ' +
    'another machine.',
  async run({ quick, rounds, workspace, progress, peers }) {
    const directory = workspace.makeDirectory();
    const first = await openLog({ directory, segmentSize: MIB });
    await appendAll(await first.partition(1));
    await first.close();
    const writer = await openLog({ directory: workspace.makeDirectory(), segmentSize: MIB });
    let partitions = 0;

    /** @type {Record<string, number[]>} */
    const again = {};
    /** @type {Record<string, (round: number) => Promise<number>>} */
    const contestants = {};
    for (const [name, read] of Object.entries(READINGS)) {
      again[name] = [];
      contestants[`opened ${name}`] = async (round) => {
        const log = await openLog({ directory, segmentSize: MIB });
        const partition = await log.partition(1);
        warm(directory);
        const took = await time(read, partition);
        const repeated = [];
        for (let i = 0; i < AGAIN; i++) repeated.push(await time(read, partition));
        if (round >= 0) again[name]?.push(quantile(repeated, 0.5) * 1000);
        await log.close();
        return took * 1000;
      };
      contestants[`written ${name}`] = async () => {
        const partition = await writer.partition(++partitions);
        await appendAll(partition);
        return (await time(read, partition)) * 1000;
      };
    }
    const stores = await peers.open(
      ['sqlite', 'lmdb', 'classic-level', 'rocksdb', 'event-storage'],
      workspace,
      'written',
    );
    for (const { id, name, appendBatch, scan } of stores) {
      await appendBatch?.(Array.from({ length: COUNT }, () => makePayload(SIZE)));
      contestants[id] = async (round) => {
        if (round < -PEER_WARM_UP_ROUNDS) return 0;
        const started = performance.now();
        const records = await scan?.();
        const took = performance.now() - started;
        check(records === COUNT, `${name} has read ${records} records, not ${COUNT}`);
        return took * 1000;
      };
    }
    const values = await interleave({ rounds, warmUp: quick ? 3 : WARM_UP_ROUNDS, contestants, progress });
    await writer.close();
    for (const { close } of stores) await close();

    const shape = { durability: DURABILITY.read, unit: /** @type {const} */ ('µs') };
    const of = (/** @type {string} */ name) => values[name] ?? [];
    const rows = Object.keys(READINGS).flatMap((name) => [
      makeRow({
        ...shape,
        id: `read-first-opened-${name}`,
        what: `${name}, first, log just opened`,
        values: of(`opened ${name}`),
      }),
      makeRow({
        ...shape,
        id: `read-first-written-${name}`,
        what: `${name}, first, just written`,
        values: of(`written ${name}`),
      }),
      makeRow({ ...shape, id: `read-again-${name}`, what: `${name}, again`, values: again[name] ?? [] }),
    ]);
    return [
      ...rows,
      ...rowsAgainst(
        { ...shape, id: 'read-again', what: 'batches, again', values: again.batches ?? [] },
        stores.map(({ id, library }) => ({ id, name: library, durability: DURABILITY.read, values: of(id) })),
      ),
    ];
  },
};
