/** What a reader refuses though every checksum holds: frames in the wrong place, records past their frame. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import type { LogRecord, Partition, ReadOptions } from '../../../src/index.js';
import { closeFrame, FRAME_HEADER_SIZE, KIND_DATA, RECORD_HEADER_SIZE } from '../../../src/segment/frame.js';
import { checksumSeed, decodeHeaderPage, type SegmentHeader, viewOf } from '../../../src/segment/header.js';
import { closedLog, fill, frameOf, mutilate, payloadOf, reopen, segmentPath } from './logs.js';

/** Two segments; the first, which is not verified as a whole when it is opened, holds the LSNs 1 to 6. */
const twoSegments = () =>
  closedLog(async (partition) => {
    await fill(partition, 6);
    await partition.rotate();
    await fill(partition, 2);
  });

/** Reads all that can be read; resolves with the LSNs, and the error that ended it. */
async function readFrom(partition: Partition, options: ReadOptions): Promise<{ records: LogRecord[]; error: unknown }> {
  const records: LogRecord[] = [];
  try {
    for await (const record of partition.read(options)) records.push(record);
    return { records, error: undefined };
  } catch (error) {
    return { records, error };
  }
}

describe.each(['forward', 'backward'] as const)('reading %s', (direction) => {
  test('a whole frame in the place of another is refused', async () => {
    const directory = await twoSegments();
    const file = segmentPath(directory, 1);
    const stranger = frameOf(file, 2);
    const place = frameOf(file, 4);
    expect(stranger.length).toBe(place.length);
    mutilate(file, (bytes) => {
      bytes.copyWithin(place.offset, stranger.offset, stranger.offset + stranger.length);
    });
    await reopen(directory, async (partition) => {
      const { records, error } = await readFrom(partition, { direction });
      expect(error).toMatchObject({ code: 'ERR_VARVE_CORRUPT', segment: 1, offset: place.offset });
      for (const { lsn, payload } of records) expect(payload).toEqual(payloadOf(lsn));
      expect(records.map(({ lsn }) => lsn)).not.toContain(4);
    });
  });

  test.each([1, 8, 1000, 0xffff_0000])(
    'a record that is %i bytes too long for its frame is refused',
    async (excess) => {
      const directory = await twoSegments();
      const file = segmentPath(directory, 1);
      const { offset, durableLsn } = frameOf(file, 3);
      const { salt } = decodeHeaderPage(readFileSync(file)) as SegmentHeader;
      const { length } = payloadOf(3);
      mutilate(file, (bytes) => {
        const view = viewOf(bytes);
        // Nothing is padded here: behind the record comes the trailer at once.
        view.setUint32(offset + FRAME_HEADER_SIZE, length + excess, true);
        const head = { firstLsn: 3, durableLsn, count: 1, kind: KIND_DATA, flags: 0, time: 0 };
        closeFrame(view, offset, RECORD_HEADER_SIZE + length, head, checksumSeed(salt));
      });
      await reopen(directory, async (partition) => {
        const { records, error } = await readFrom(partition, { direction });
        expect(error).toMatchObject({ code: 'ERR_VARVE_CORRUPT', segment: 1, offset, firstLsn: 3 });
        for (const { lsn, payload } of records) expect(payload).toEqual(payloadOf(lsn));
      });
    },
  );
});
