/** A truncation takes files away whose names come again: what was opened or read of them meanwhile must not be kept. */
import { expect, test } from '@jest/globals';
import { openLog } from '../../src/index.js';
import { SegmentHandles } from '../../src/segment/handles.js';
import { SimulatedDisk } from '../../src/testing/index.js';

test('a verification under way opens a file just before it goes: the next file of that name is read, not that one', async () => {
  const disk = new SimulatedDisk();
  const log = await openLog({ directory: '/data', disk, segmentSize: 5120, recycle: 0, preallocate: { segments: 0 } });
  const partition = await log.partition(1);
  for (const text of ['one', 'two']) await partition.append(Buffer.from(text));
  await partition.rotate();
  await partition.append(Buffer.from('three'));

  let goOn = (): void => {};
  const hold = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  disk.faults.add({ kind: 'read', file: 'part_1_0000000001.wal', fault: { hold } });
  const verifying = partition.verify();
  const opened: string[] = [];
  disk.onOperation = ({ kind, path }, when) => {
    if (kind === 'create' && path.endsWith('rewind_1.wal')) goOn();
    if (when === 'after' && path.endsWith('_0000000002.wal')) opened.push(kind);
  };
  await partition.truncateAfter(1);
  await verifying;
  expect(opened.slice(0, opened.indexOf('unlink'))).toContain('open');

  await partition.append(Buffer.from('another two'));
  await partition.rotate();
  for (const text of ['another three', 'four']) await partition.append(Buffer.from(text));
  await partition.truncateAfter(3); // reads the frame headers of the file that is there now
  await partition.verify();
  const texts = (await partition.read().toArray()).map(({ payload }) => Buffer.from(payload).toString());
  expect(texts).toEqual(['one', 'another two', 'another three']);
  await log.close();
  expect(disk.held).toEqual([]);
});

test('handles tell whether anything was forgotten since', () => {
  const handles = new SegmentHandles(new SimulatedDisk(), '/data', {
    maxReadHandles: 4,
    indexCacheBytes: 1024,
    blockCacheBytes: 1024,
  });
  const before = handles.forgotten;
  handles.forget('part_1_0000000001.wal');
  expect(handles.forgotten).not.toBe(before);
});
