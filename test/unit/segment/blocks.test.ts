import { expect, test } from '@jest/globals';
import { openLog } from '../../../src/index.js';
import { makeEntry } from '../../../src/segment/catalogue.js';
import { SegmentHandles } from '../../../src/segment/handles.js';
import { checksumSeed, DATA_OFFSET, decodeHeaderPage, type SegmentHeader } from '../../../src/segment/header.js';
import { SegmentReader } from '../../../src/segment/reader.js';
import { SimulatedDisk } from '../../../src/testing/index.js';

/** A closed log of six records, a frame each, in which `change` changes the file; then record `lsn` is read behind the first. */
async function readBehind(lsn: number, change: (bytes: Uint8Array, frames: readonly number[]) => void) {
  const disk = new SimulatedDisk();
  const options = { directory: '/data', disk, segmentSize: 8192 };
  const before = await openLog(options);
  const writer = await before.partition(1);
  for (let i = 1; i <= 6; i++) await writer.append(Buffer.from(`record ${i}`));
  await writer.rotate(); // sealed: what is damaged in it is found at reading
  const frames = (await writer.read().toArray()).map(({ position }) => position.localOffset);
  await before.close();

  const file = await disk.open('/data/part_1_0000000001.wal', 'write');
  const bytes = new Uint8Array(await file.size());
  await file.read(bytes, 0);
  change(bytes, frames);
  file.writeSync(bytes, 0);
  await file.sync();
  await file.close();

  const log = await openLog(options);
  try {
    const partition = await log.partition(1);
    expect(await partition.read({ from: 1, limit: 1 }).toArray()).toMatchObject([{ lsn: 1 }]);
    return await partition.read({ from: lsn, limit: 1 }).toArray();
  } finally {
    await log.close();
  }
}

test('a neighbour that is damaged is reported when it is asked for, and the one before it is not', async () => {
  const damage = (bytes: Uint8Array, frames: readonly number[]) => {
    const at = (frames[3] as number) + 50;
    bytes[at] = (bytes[at] as number) ^ 1;
  };
  expect(await readBehind(3, damage)).toMatchObject([{ lsn: 3 }]);
  await expect(readBehind(4, damage)).rejects.toMatchObject({ code: 'ERR_VARVE_CORRUPT', firstLsn: 4 });
});

test("a valid frame in another frame's place is reported, and not taken for it", async () => {
  const misplace = (bytes: Uint8Array, frames: readonly number[]) => {
    const size = (frames[4] as number) - (frames[3] as number);
    bytes.copyWithin(frames[3] as number, frames[1] as number, (frames[1] as number) + size);
  };
  await expect(readBehind(4, misplace)).rejects.toMatchObject({ code: 'ERR_VARVE_CORRUPT', firstLsn: 4 });
});

test.each([false, true])('of a segment that goes while it is read nothing is remembered: %p', async (goes) => {
  const disk = new SimulatedDisk();
  const log = await openLog({ directory: '/data', disk, segmentSize: 8192 });
  const partition = await log.partition(1);
  await partition.appendBatch([Buffer.from('one'), Buffer.from('two')]);
  const [described] = partition.segments();
  await log.close();

  const { name, bytes: end } = described as { name: string; bytes: number };
  const file = await disk.open(`/data/${name}`, 'read');
  const page = new Uint8Array(DATA_OFFSET);
  await file.read(page, 0);
  await file.close();
  const seed = checksumSeed((decodeHeaderPage(page) as SegmentHeader).salt);
  const fields = { partition: 1, index: 1, baseLsn: 1, lastLsn: 2, end, segmentSize: 8192, seed };
  const segment = makeEntry({ ...fields, sealed: false, entries: [], warm: false });
  const limits = { maxReadHandles: 4, indexCacheBytes: 1024, blockCacheBytes: 1024 * 1024 };
  const handles = new SegmentHandles(disk, '/data', limits);
  const reader = new SegmentReader(handles, true);
  disk.onOperation = ({ kind }, when) => {
    if (goes && kind === 'read' && when === 'after') handles.forget(name);
  };
  expect(await reader.forward(segment, await reader.seek(segment, 2, 1), end, 2, 2)).toMatchObject([{ lsn: 2 }]);
  expect(reader.inMemory(segment, 2) === undefined).toBe(goes);
  await handles.close();
});
