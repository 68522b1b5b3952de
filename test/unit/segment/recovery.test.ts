/** The decision table at the top of src/segment/recovery.ts: each test bears the letter of its row. */
import { copyFileSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { realDisk } from '../../../src/disk/real-disk.js';
import { VarveError } from '../../../src/errors.js';
import { openLog, type RecoveryReport } from '../../../src/index.js';
import { crc32c } from '../../../src/segment/checksum.js';
import {
  closeFrame,
  encodeOpenFrame,
  encodeSealBody,
  FLAG_FINAL,
  KIND_SEAL,
  sealFrameSize,
} from '../../../src/segment/frame.js';
import { checksumSeed, DATA_OFFSET, decodeHeaderPage, encodeHeaderPage, viewOf } from '../../../src/segment/header.js';
import { MANIFEST_NAME, rewindName, segmentName } from '../../../src/segment/names.js';
import { recoverPartition } from '../../../src/segment/recovery.js';
import type { RecoveryRequest } from '../../../src/segment/recovery-request.js';
import { encodeRewind } from '../../../src/segment/rewind.js';
import {
  closedLog,
  crashedLog,
  filesOf,
  fill,
  frameOf,
  framesOf,
  lsnsOf,
  mutilate,
  payloadOf,
  readAll,
  reopen,
  SEGMENT_SIZE,
  segmentPath,
  small,
  temporaryDirectory,
  upTo,
} from './logs.js';
import { dyingDisk, watched } from './memory-disk.js';

const COOKIES: [number, number] = [1024, 2048];
const FIRST_FRAME = DATA_OFFSET + 72;

/** Opening the partition must fail with these fields, twice, and must not change a byte. */
async function expectRefused(directory: string, fields: object, options = {}): Promise<void> {
  const before = filesOf(directory);
  for (const readOnly of [false, true, false]) {
    const error = await reopen(directory, async () => undefined, { ...options, readOnly }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(VarveError);
    expect(error).toMatchObject(fields);
    expect(filesOf(directory)).toEqual(before);
  }
}

const corrupt = (directory: string, segment: number, offset: number, lsns: object = {}) => ({
  code: 'ERR_VARVE_CORRUPT',
  partition: 1,
  segment,
  offset,
  path: segmentPath(directory, segment),
  ...lsns,
});

/** Opens the log; resolves with what recovery reported. */
async function recovered(directory: string, options = {}): Promise<RecoveryReport> {
  const reports: RecoveryReport[] = [];
  const log = await openLog(small({ directory, ...options }));
  try {
    log.events.on('recovered', (report) => reports.push(report));
    await log.partition(1);
  } finally {
    await log.close();
  }
  expect(reports).toHaveLength(1);
  return reports[0] as RecoveryReport;
}

const requestFor = (directory: string, fields: Partial<RecoveryRequest> = {}): RecoveryRequest => {
  const header = decodeHeaderPage(readFileSync(segmentPath(directory, 1)));
  if (typeof header === 'string') throw new Error(header);
  const indexes = readdirSync(directory)
    .filter((name) => /^part_1_\d{10}\.wal$/.test(name))
    .map((_name, i) => i + 1);
  const { storeId } = header;
  const disk = realDisk({ threads: 1 });
  return {
    disk,
    directory,
    partition: 1,
    indexes,
    storeId,
    mark: undefined,
    minDurableLsn: 0,
    verify: 'tail',
    readOnly: false,
    ...fields,
  };
};

describe('recovery A: nothing but zeros, or another life’s bytes, behind the end is a clean end', () => {
  test('after a clean close', async () => {
    const directory = await closedLog((partition) => fill(partition, 5));
    expect(await recovered(directory)).toMatchObject({ clean: true, torn: undefined, lastLsn: 5, oldestLsn: 1 });
    expect(await lsnsOf(directory)).toEqual(upTo(5));
  });

  test('after a crash right behind a frame', async () => {
    const directory = await crashedLog((partition) => fill(partition, 5));
    expect(await recovered(directory)).toMatchObject({ clean: false, torn: undefined, lastLsn: 5 });
    expect(await lsnsOf(directory)).toEqual(upTo(5));
  });

  test('of a partition without a record', async () => {
    const directory = await closedLog(async () => {});
    expect(await lsnsOf(directory)).toEqual([]);
  });

  test('after a record that was never closed: its bytes have no length, and no copy is kept of them', async () => {
    const directory = await crashedLog((partition) => fill(partition, 3));
    const file = segmentPath(directory, 1);
    const end = frameOf(file, 3).offset + frameOf(file, 3).length;
    mutilate(file, (bytes) => {
      bytes.fill(0x77, end + 40, end + 140);
    });
    expect(await recovered(directory)).toMatchObject({ torn: undefined, lastLsn: 3 });
    // The mark of the close in `recovered` takes the first 64 bytes.
    expect(
      readFileSync(file)
        .subarray(end + 64, end + 140)
        .every((byte) => byte === 0),
    ).toBe(true);
  });
});

describe('recovery B: a later frame that states the damaged one to be durable refuses', () => {
  const damage = async (at: number, of: number): Promise<{ directory: string; offset: number }> => {
    const directory = await crashedLog((partition) => fill(partition, of));
    const file = segmentPath(directory, 1);
    const { offset } = frameOf(file, at);
    mutilate(file, (bytes) => {
      bytes.fill(0, ...COOKIES); // so that the frames alone decide
      bytes[offset + 50] = 0xff;
    });
    return { directory, offset };
  };

  test.each([1, 2, 3])('record %i of 4', async (at) => {
    const { directory, offset } = await damage(at, 4);
    // The next frame was closed when all before it was durable.
    await expectRefused(directory, corrupt(directory, 1, offset, { firstLsn: at, lastLsn: at }));
  });

  test('the last record, which only the mark of the clean close behind it covers', async () => {
    const directory = await closedLog((partition) => fill(partition, 4));
    const file = segmentPath(directory, 1);
    const { offset } = frameOf(file, 4);
    mutilate(file, (bytes) => {
      bytes.fill(0, ...COOKIES);
      bytes[offset] = 0; // even its length
    });
    await expectRefused(directory, corrupt(directory, 1, offset, { firstLsn: 4, lastLsn: 4 }));
  });

  test('not the last record, which no later frame covers', async () => {
    const { directory } = await damage(4, 4);
    expect(await lsnsOf(directory)).toEqual(upTo(3)); // what cookies, minDurableLsn and the close mark are for
  });

  test('a run of frames that are all gone', async () => {
    const directory = await crashedLog((partition) => fill(partition, 6));
    const file = segmentPath(directory, 1);
    const { offset } = frameOf(file, 2);
    mutilate(file, (bytes) => {
      bytes.fill(0, ...COOKIES);
      bytes.fill(0, offset, frameOf(file, 5).offset);
    });
    await expectRefused(directory, corrupt(directory, 1, offset, { firstLsn: 2, lastLsn: 4 }));
  });
});

describe('recovery C: a cookie that states the missing end to be durable refuses', () => {
  test.each([false, true])('records that are zeros (the newer cookie torn: %s)', async (torn) => {
    const directory = await crashedLog((partition) => fill(partition, 5));
    const file = segmentPath(directory, 1);
    const { offset } = frameOf(file, 3);
    mutilate(file, (bytes) => {
      bytes.fill(0, offset);
      if (torn) bytes.fill(0, 1536, 2048); // the fifth: an odd sequence
    });
    await expectRefused(directory, corrupt(directory, 1, offset, { firstLsn: 3, lastLsn: torn ? 4 : 5 }));
  });

  test('the last record, damaged', async () => {
    const directory = await crashedLog((partition) => fill(partition, 5));
    const { offset } = frameOf(segmentPath(directory, 1), 5);
    mutilate(segmentPath(directory, 1), (bytes) => {
      bytes[offset + 44] = 0;
    });
    await expectRefused(directory, corrupt(directory, 1, offset, { firstLsn: 5, lastLsn: 5 }));
  });

  test('a file that ends before its cookie', async () => {
    const directory = await crashedLog((partition) => fill(partition, 5));
    const { offset } = frameOf(segmentPath(directory, 1), 5);
    mutilate(segmentPath(directory, 1), (bytes) => bytes.slice(0, offset + 8));
    await expectRefused(directory, corrupt(directory, 1, offset, { firstLsn: 5, lastLsn: 5 }));
  });
});

describe('recovery D: an end before minDurableLsn refuses', () => {
  const shortened = async (): Promise<{ directory: string; offset: number }> => {
    const directory = await crashedLog((partition) => fill(partition, 5));
    const file = segmentPath(directory, 1);
    const { offset } = frameOf(file, 4);
    mutilate(file, (bytes) => {
      bytes.fill(0, ...COOKIES);
      bytes.fill(0, offset);
    });
    return { directory, offset };
  };

  test('with the range that is missing', async () => {
    const { directory, offset } = await shortened();
    const fields = corrupt(directory, 1, offset, { firstLsn: 4, lastLsn: 5 });
    await expectRefused(directory, fields, { minDurableLsn: { 1: 5 } });
    await expectRefused(directory, { ...fields, lastLsn: 4 }, { minDurableLsn: { 1: 4 } });
  });

  test('and not one at minDurableLsn, nor that of another partition', async () => {
    const { directory } = await shortened();
    expect(await lsnsOf(directory, { minDurableLsn: { 1: 3, 2: 100 } })).toEqual(upTo(3));
  });

  test('of a partition that has no file at all', async () => {
    const directory = temporaryDirectory();
    await expect(lsnsOf(directory, { minDurableLsn: { 1: 1 } })).rejects.toMatchObject({
      code: 'ERR_VARVE_CORRUPT',
      firstLsn: 1,
      lastLsn: 1,
    });
  });
});

describe('recovery E: anything else behind the end is a torn tail', () => {
  /** Three durable records, then four written ones, the first of which is damaged. */
  const torn = async (): Promise<{ directory: string; file: string; from: number; to: number; tail: string }> => {
    const directory = await crashedLog(async (partition) => {
      await fill(partition, 3);
      await fill(partition, 4, 'written');
    });
    const file = segmentPath(directory, 1);
    const from = frameOf(file, 4).offset;
    let to = 0;
    mutilate(file, (bytes) => {
      bytes[from + 60] = 0xee;
      for (to = bytes.length; bytes[to - 1] === 0; ) to--; // the last trailer, less the zeros of its length
    });
    return { directory, file, from, to, tail: readFileSync(file).subarray(from, to).toString('hex') };
  };
  const copyOf = (directory: string, from: number): string => path.join(directory, `${segmentName(1, 1)}.torn-${from}`);

  test('exactly its bytes are kept in a copy; it is cut, zeroed and reported, and the log goes on there', async () => {
    const { directory, file, from, to, tail } = await torn();
    const before = readFileSync(file);
    const report = await recovered(directory);
    const copy = path.basename(copyOf(directory, from));
    expect(report).toMatchObject({
      lastLsn: 3,
      clean: false,
      torn: { segment: 1, offset: from, bytes: to - from, copy },
    });
    expect(readFileSync(copyOf(directory, from)).toString('hex')).toBe(tail);
    const after = readFileSync(file);
    expect(after.subarray(DATA_OFFSET, from)).toEqual(before.subarray(DATA_OFFSET, from));
    const closeMark = 64; // of the close in `recovered`
    expect(after.subarray(from + closeMark).every((byte) => byte === 0)).toBe(true);
    await reopen(directory, async (partition) => {
      expect(await readAll(partition)).toEqual(upTo(3));
      await fill(partition, 2);
    });
    expect(await lsnsOf(directory)).toEqual(upTo(5));
  });

  test('it is recovered once: a second recovery changes nothing', async () => {
    const { directory, from, tail } = await torn();
    const request = requestFor(directory);
    const first = await recoverPartition(request);
    await first.tail?.file.close();
    const files = filesOf(directory);
    const second = await recoverPartition(request);
    await second.tail?.file.close();
    expect(first.report.torn?.offset).toBe(from);
    expect(second.report.torn).toBeUndefined();
    expect(filesOf(directory)).toEqual(files);
    expect(files[path.basename(copyOf(directory, from))]).toBe(tail);
    await request.disk.close();
  });

  test('a recovery that dies at any step is recovered from: same end, whole copy', async () => {
    const { directory: torn1, from, tail } = await torn();
    let steps = 0;
    for (let died = true; died; steps++) {
      const directory = temporaryDirectory();
      for (const name of readdirSync(torn1)) copyFileSync(path.join(torn1, name), path.join(directory, name));
      const request = requestFor(directory);
      const dying = dyingDisk(request.disk, steps);
      const first = await recoverPartition({ ...request, disk: dying.disk }).catch(() => undefined);
      await first?.tail?.file.close();
      died = dying.died();
      const second = await recoverPartition(request);
      await second.tail?.file.close();
      expect(second.nextLsn).toBe(4);
      const files = filesOf(directory);
      const copy = path.basename(copyOf(directory, from));
      const names = Object.keys(files).filter((name) => !name.startsWith('ready_'));
      expect(names).toEqual([MANIFEST_NAME, segmentName(1, 1), copy]);
      expect(files[copy]).toBe(tail);
      expect((files[segmentName(1, 1)] as string).slice(2 * from)).toMatch(/^0*$/);
      await request.disk.close();
    }
    // sync, create, write, sync, rename, directory sync, zeros, records again, sync, and once without dying.
    expect(steps).toBeGreaterThanOrEqual(9);
  });

  test('a recovery that died between zeroing and zeroing leaves the whole copy as it is', async () => {
    const original = await crashedLog(
      async (partition) => {
        await fill(partition, 1);
        await partition.append(new Uint8Array(600 * 1024).fill(0x5a), { ack: 'written' }); // zeroed with three writes
        await partition.append(new Uint8Array(9).fill(1), { ack: 'written' }); // and a whole frame behind it
      },
      { segmentSize: 1024 * 1024 },
    );
    const { offset } = frameOf(segmentPath(original, 1), 2);
    let to = 0;
    mutilate(segmentPath(original, 1), (bytes) => {
      bytes[offset + 50] = 0xee;
      for (to = bytes.length; bytes[to - 1] === 0; ) to--;
    });
    const tail = readFileSync(segmentPath(original, 1)).subarray(offset, to);
    for (let step = 0, died = true; died; step++) {
      const directory = temporaryDirectory();
      for (const name of readdirSync(original)) copyFileSync(path.join(original, name), path.join(directory, name));
      const request = requestFor(directory);
      const dying = dyingDisk(request.disk, step);
      const first = await recoverPartition({ ...request, disk: dying.disk }).catch(() => undefined);
      await first?.tail?.file.close();
      died = dying.died();
      const second = await recoverPartition(request);
      await second.tail?.file.close();
      await request.disk.close();
      expect(Buffer.compare(readFileSync(copyOf(directory, offset)), tail)).toBe(0);
    }
  });

  test('a half-made copy of an earlier recovery is not taken for the whole one', async () => {
    const { directory, from, tail } = await torn();
    writeFileSync(`${copyOf(directory, from)}.tmp`, 'half');
    await recovered(directory);
    expect(readFileSync(copyOf(directory, from)).toString('hex')).toBe(tail);
  });

  test('read-only, nothing is cut', async () => {
    const { directory } = await torn();
    const before = filesOf(directory);
    expect(await lsnsOf(directory, { readOnly: true })).toEqual(upTo(3));
    expect(filesOf(directory)).toEqual(before);
  });
});

describe('recovery F: a last file without an open frame that nothing proves to have been opened is given up', () => {
  /** Two segments; in the second one, records that were only written. */
  const unopened = async (): Promise<{ directory: string; last: number }> => {
    let last = 0;
    const directory = await crashedLog(async (partition) => {
      await fill(partition, 4);
      await partition.rotate();
      last = partition.durableLsn;
      await fill(partition, 2, 'written');
    });
    mutilate(segmentPath(directory, 2), (bytes) => {
      bytes.fill(0, DATA_OFFSET, FIRST_FRAME);
    });
    return { directory, last };
  };

  test('the segment before it is the last one, and appending goes on in a new segment of the same index', async () => {
    const { directory, last } = await unopened();
    await reopen(directory, async (partition) => {
      expect(await readAll(partition)).toEqual(upTo(last));
      expect(partition.segments().map(({ index }) => index)).toEqual([1]);
      await fill(partition, 3);
      expect(partition.segments().map(({ index }) => index)).toEqual([1, 2]);
    });
    expect(await lsnsOf(directory)).toEqual(upTo(last + 3));
  });

  test('read-only, its file stays and its records are not shown', async () => {
    const { directory, last } = await unopened();
    const before = filesOf(directory);
    await reopen(directory, async (partition) => expect(await readAll(partition, 'written')).toEqual(upTo(last)), {
      readOnly: true,
    });
    expect(filesOf(directory)).toEqual(before);
  });

  test('also the very first file', async () => {
    const directory = await crashedLog((partition) => fill(partition, 2, 'written'));
    mutilate(segmentPath(directory, 1), (bytes) => {
      bytes.fill(0, DATA_OFFSET, FIRST_FRAME);
    });
    await reopen(directory, async (partition) => {
      expect(await readAll(partition)).toEqual([]);
      await fill(partition, 2);
    });
    expect(await lsnsOf(directory)).toEqual(upTo(2));
  });

  test('also behind a segment whose seal was lost: appending goes on in that one', async () => {
    const { directory, last } = await unopened();
    const file = segmentPath(directory, 1);
    const seal = framesOf(readFileSync(file)).find(({ kind }) => kind === 3);
    mutilate(file, (bytes) => {
      bytes.fill(0, seal?.offset);
    });
    await reopen(directory, async (partition) => {
      expect(await readAll(partition)).toEqual(upTo(last));
      await fill(partition, 1);
      expect(partition.segments()).toMatchObject([{ index: 1, lastLsn: last + 1, state: 'active' }]);
    });
    expect(await lsnsOf(directory)).toEqual(upTo(last + 1));
  });
});

describe('recovery G: a last file without an open frame that something proves to have been opened refuses', () => {
  const opened = async (damage: (bytes: Uint8Array) => void): Promise<string> => {
    const directory = await crashedLog(async (partition) => {
      await fill(partition, 4);
      await partition.rotate();
      await fill(partition, 3);
    });
    mutilate(segmentPath(directory, 2), (bytes) => {
      bytes.fill(0, DATA_OFFSET, FIRST_FRAME);
      damage(bytes);
    });
    return directory;
  };

  test('by its frames', async () => {
    const directory = await opened((bytes) => {
      bytes.fill(0, ...COOKIES);
    });
    await expectRefused(directory, corrupt(directory, 2, DATA_OFFSET, { firstLsn: 5, lastLsn: 5 }));
  });

  test('by its cookie', async () => {
    const directory = await opened((bytes) => {
      bytes.fill(0, FIRST_FRAME);
    });
    await expectRefused(directory, corrupt(directory, 2, DATA_OFFSET, { firstLsn: 5, lastLsn: 7 }));
  });

  test('also the very first file', async () => {
    const directory = await crashedLog((partition) => fill(partition, 3));
    mutilate(segmentPath(directory, 1), (bytes) => {
      bytes[DATA_OFFSET + 50] = 0xff;
    });
    await expectRefused(directory, corrupt(directory, 1, DATA_OFFSET, { firstLsn: 1 }));
  });

  test('also where the segment before it has lost its end, which the open frame would have told', async () => {
    const directory = await opened(() => {});
    const file = segmentPath(directory, 1);
    const { offset } = frameOf(file, 4);
    mutilate(file, (bytes) => {
      bytes.fill(0, offset);
      bytes.fill(0, ...COOKIES);
    });
    await expectRefused(directory, corrupt(directory, 2, DATA_OFFSET, { firstLsn: 4, lastLsn: 7 }));
  });
});

describe('recovery H: an index, link, header, open frame or seal that does not hold refuses', () => {
  /** Four segments of four records. */
  const chain = (): Promise<string> =>
    closedLog(async (partition) => {
      for (let i = 0; i < 4; i++) {
        await fill(partition, 4);
        if (i < 3) await partition.rotate();
      }
    });
  const seedOf = (bytes: Uint8Array) => {
    const header = decodeHeaderPage(bytes);
    if (typeof header === 'string') throw new Error(header);
    return checksumSeed(header.salt);
  };
  const sealOf = (file: string) => {
    const seal = framesOf(readFileSync(file)).find(({ kind }) => kind === 3);
    if (seal === undefined) throw new Error('no seal');
    return seal;
  };

  test('the whole chain is in order', async () => {
    expect(await lsnsOf(await chain(), { verify: 'full' })).toEqual(upTo(16));
  });

  test('H: a segment file in the middle is missing', async () => {
    const directory = await chain();
    rmSync(segmentPath(directory, 2));
    await expectRefused(directory, corrupt(directory, 2, 0));
  });

  test('H: all but the last are missing where the manifest marks an earlier one', async () => {
    const directory = await closedLog(async (partition) => {
      for (let i = 0; i < 3; i++) {
        await fill(partition, 4);
        await partition.rotate();
      }
      await fill(partition, 1);
      await partition.purgeBefore(5);
    });
    rmSync(segmentPath(directory, 2));
    await expectRefused(directory, corrupt(directory, 2, 0));
    for (const index of [3, 4]) rmSync(segmentPath(directory, index));
    await expectRefused(directory, corrupt(directory, 2, 0));
  });

  test.each([1, 2, 3, 4])('H: the header of segment %i is damaged', async (index) => {
    const directory = await chain();
    mutilate(segmentPath(directory, index), (bytes) => {
      bytes[33] = 0xff;
    });
    await expectRefused(directory, corrupt(directory, index, 0));
  });

  test.each([
    [4, 0],
    [4, 127],
    [4, 300],
    [4, 1024],
    [4, DATA_OFFSET - 1],
    [2, 300],
    [1, DATA_OFFSET - 1],
  ])(
    'H: of segment %i only %i bytes are left, less than the page that was durable before it had its name',
    async (index, size) => {
      const directory = await chain();
      mutilate(segmentPath(directory, index), (bytes) => bytes.slice(0, size));
      await expectRefused(directory, corrupt(directory, index, 0));
    },
  );

  test('H: a file bears another segment’s name', async () => {
    const directory = await chain();
    copyFileSync(segmentPath(directory, 2), segmentPath(directory, 3));
    await expectRefused(directory, corrupt(directory, 3, 16));
  });

  test('H: a segment of another partition', async () => {
    const directory = await chain();
    mutilate(segmentPath(directory, 3), (bytes) => {
      const header = decodeHeaderPage(bytes);
      if (typeof header === 'string') throw new Error(header);
      bytes.set(encodeHeaderPage({ ...header, partition: 2 }));
    });
    await expectRefused(directory, corrupt(directory, 3, 16));
  });

  test('H: a segment of another store', async () => {
    const directory = await chain();
    copyFileSync(segmentPath(await chain(), 3), segmentPath(directory, 3));
    await expectRefused(directory, {
      code: 'ERR_VARVE_FOREIGN',
      partition: 1,
      segment: 3,
      path: segmentPath(directory, 3),
    });
  });

  test('H: a segment of a newer version', async () => {
    const directory = await chain();
    mutilate(segmentPath(directory, 3), (bytes) => {
      const view = viewOf(bytes);
      view.setUint16(6, 2, true);
      view.setUint32(124, crc32c(view, 0, 124), true);
    });
    await expectRefused(directory, {
      code: 'ERR_VARVE_UNSUPPORTED_VERSION',
      segment: 3,
      path: segmentPath(directory, 3),
    });
  });

  test.each([1, 2, 3])('H: the open frame of segment %i is damaged', async (index) => {
    const directory = await chain();
    mutilate(segmentPath(directory, index), (bytes) => {
      bytes[DATA_OFFSET + 41] = 1;
    });
    await expectRefused(directory, corrupt(directory, index, DATA_OFFSET));
  });

  test('H: the last two files have no open frame', async () => {
    const directory = await chain();
    for (const index of [3, 4]) {
      mutilate(segmentPath(directory, index), (bytes) => {
        bytes.fill(0, DATA_OFFSET);
      });
    }
    await expectRefused(directory, corrupt(directory, 3, DATA_OFFSET));
  });

  test('H: nothing is left but a later segment that was never opened', async () => {
    const directory = await chain();
    for (const index of [1, 2, 3]) rmSync(segmentPath(directory, index));
    await expectRefused(directory, corrupt(directory, 1, 0)); // since nothing was ever purged
    rmSync(path.join(directory, 'MANIFEST'));
    await reopen(directory, async () => undefined).catch(() => undefined); // makes another one, which knows nothing
    mutilate(segmentPath(directory, 4), (bytes) => {
      bytes.fill(0, DATA_OFFSET);
      bytes.fill(0, ...COOKIES);
    });
    await expectRefused(directory, corrupt(directory, 4, DATA_OFFSET));
  });

  test.each([0, 4, 8, 16, 29, 40, 48])('H: the seal of a segment is damaged at byte %i', async (byte) => {
    const directory = await chain();
    const { offset } = sealOf(segmentPath(directory, 2));
    mutilate(segmentPath(directory, 2), (bytes) => {
      bytes[offset + byte] = (bytes[offset + byte] as number) ^ 1;
    });
    await expectRefused(directory, corrupt(directory, 2, offset, { firstLsn: 5, lastLsn: 8 }));
  });

  test('H: the trailer of a seal is damaged', async () => {
    const directory = await chain();
    const { offset, length } = sealOf(segmentPath(directory, 2));
    for (const value of [0, 8, 0xffff_fff8]) {
      mutilate(segmentPath(directory, 2), (bytes) => {
        viewOf(bytes).setUint32(offset + length - 4, value, true);
      });
      await expectRefused(directory, corrupt(directory, 2, offset + length - 4, { firstLsn: 5, lastLsn: 8 }));
    }
  });

  test('H: a sealed segment has lost bytes in the middle, and its seal stands whole at the end of the file', async () => {
    const directory = await chain();
    const file = segmentPath(directory, 2);
    const { offset, length } = sealOf(file);
    mutilate(file, (bytes) =>
      Buffer.concat([bytes.subarray(0, FIRST_FRAME), bytes.subarray(FIRST_FRAME + 8, offset + length)]),
    );
    await expectRefused(directory, corrupt(directory, 2, offset + length - 4, { firstLsn: 5, lastLsn: 8 }));
  });

  test('a seal with a larger index than this version writes is read as a whole', async () => {
    const directory = await chain();
    const file = segmentPath(directory, 2);
    const { offset } = sealOf(file);
    const frames = framesOf(readFileSync(file)).filter(({ kind }) => kind === 2);
    const link = { index: 2, lastLsn: 8, end: 0, checksum: 0 };
    mutilate(file, (bytes) => {
      const view = viewOf(bytes);
      const index = frames.map((frame) => ({ offset: frame.offset, lsn: frame.firstLsn }));
      const bodySize = encodeSealBody(view, offset, 8, 5, index);
      const head = { firstLsn: 9, durableLsn: 8, count: 0, kind: KIND_SEAL, flags: FLAG_FINAL, time: 0 };
      link.checksum = closeFrame(view, offset, bodySize, head, seedOf(bytes));
      link.end = offset + sealFrameSize(index.length);
      return undefined;
    });
    mutilate(segmentPath(directory, 3), (bytes) => {
      bytes.set(encodeOpenFrame(link, 0, seedOf(bytes)), DATA_OFFSET);
      return undefined;
    });
    expect(await lsnsOf(directory)).toEqual(upTo(16));
  });

  test('H: a segment links to another seal than that of the segment before', async () => {
    const directory = await chain();
    const file = segmentPath(directory, 2);
    const { offset, length } = sealOf(file);
    mutilate(file, (bytes) => {
      const header = decodeHeaderPage(bytes);
      if (typeof header === 'string') throw new Error(header);
      const view = viewOf(bytes);
      view.setUint32(offset + 32, 12345, true); // another time of sealing, and a checksum that agrees
      view.setUint32(offset + 4, crc32c(view, offset + 8, offset + length, checksumSeed(header.salt)), true);
    });
    await expectRefused(directory, corrupt(directory, 2, offset, { firstLsn: 5, lastLsn: 8 }));
  });

  test.each([
    ['another index', 40, 1],
    ['an end of its own', 56, 4096],
    ['an end beyond the segment', 56, SEGMENT_SIZE + 8],
    ['an end before any frame', 56, 8],
    ['an earlier LSN', 48, 3],
  ])('H: the open frame of a segment links to %s', async (_what, at, value) => {
    const directory = await chain();
    mutilate(segmentPath(directory, 3), (bytes) => {
      const header = decodeHeaderPage(bytes);
      if (typeof header === 'string') throw new Error(header);
      const view = viewOf(bytes);
      view.setUint32(DATA_OFFSET + at, value, true);
      view.setUint32(DATA_OFFSET + 4, crc32c(view, DATA_OFFSET + 8, FIRST_FRAME, checksumSeed(header.salt)), true);
    });
    await expectRefused(directory, { code: 'ERR_VARVE_CORRUPT', partition: 1, segment: 2 });
  });

  test('H: a record of a sealed segment is damaged: at once where all is verified, else when it is read', async () => {
    const directory = await chain();
    const { offset } = frameOf(segmentPath(directory, 2), 7);
    mutilate(segmentPath(directory, 2), (bytes) => {
      bytes[offset + 50] = 0xff;
    });
    const fields = { code: 'ERR_VARVE_CORRUPT', partition: 1, segment: 2, offset, firstLsn: 7, lastLsn: 8 };
    await expectRefused(directory, fields, { verify: 'full' });
    await reopen(directory, async (partition) => {
      const read: number[] = [];
      const reading = async () => {
        for await (const { lsn, payload } of partition.read()) {
          expect(payload).toEqual(payloadOf(lsn));
          read.push(lsn);
        }
      };
      await expect(reading()).rejects.toMatchObject(fields);
      expect(upTo(6).slice(0, read.length)).toEqual(read); // a prefix: nothing behind the damage
      await expect(partition.verify()).rejects.toMatchObject(fields);
    });
  });

  test('other partitions are not affected', async () => {
    const directory = await closedLog(async (partition, log) => {
      await fill(partition, 4);
      await (await log.partition(2)).append(payloadOf(1));
    });
    mutilate(segmentPath(directory, 1), (bytes) => {
      bytes[33] = 0xff;
    });
    const log = await openLog(small({ directory }));
    await expect(log.partition(1)).rejects.toMatchObject(corrupt(directory, 1, 0));
    expect(await readAll(await log.partition(2))).toEqual([1]);
    await log.close();
  });
});

describe('recovery I: segments below the purge mark are an interrupted purge, which is finished', () => {
  test('their files go, and the log begins at the mark', async () => {
    const kept = temporaryDirectory();
    const directory = await crashedLog(async (partition, log) => {
      for (let i = 0; i < 3; i++) {
        await fill(partition, 4);
        await partition.rotate();
      }
      await fill(partition, 1);
      for (const index of [1, 2]) copyFileSync(segmentPath(log.directory, index), segmentPath(kept, index));
      expect(await partition.purgeBefore(9)).toMatchObject({ segments: 2, oldestLsn: 9 });
    });
    // The crash came before the second file went, or before any did.
    for (const indexes of [[2], [1, 2]]) {
      for (const index of indexes) copyFileSync(segmentPath(kept, index), segmentPath(directory, index));
      const before = filesOf(directory);
      expect(await lsnsOf(directory, { readOnly: true })).toEqual(upTo(13, 9));
      expect(filesOf(directory)).toEqual(before);
      await reopen(directory, async (partition) => {
        expect(partition.oldestLsn).toBe(9);
        expect(await readAll(partition)).toEqual(upTo(13, 9));
      });
      const left = readdirSync(directory).filter((name) => name.startsWith('part_'));
      expect(left).toEqual([segmentName(1, 3), segmentName(1, 4)]);
    }
  });
});

describe('recovery J: a rewind file is an interrupted rewind, which is finished first', () => {
  const stated = async (): Promise<string> => {
    const directory = await crashedLog(async (partition) => {
      for (let i = 0; i < 2; i++) {
        await fill(partition, 4);
        await partition.rotate();
      }
      await fill(partition, 4);
    });
    const { offset } = frameOf(segmentPath(directory, 2), 7);
    writeFileSync(
      path.join(directory, rewindName(1)),
      encodeRewind({ segment: 2, offset, lastLsn: 6, replacement: new Uint8Array(0) }),
    );
    return directory;
  };
  const expectRewound = async (directory: string): Promise<void> => {
    await reopen(directory, async (partition) => {
      expect(await readAll(partition)).toEqual(upTo(6));
      expect(partition.segments().map(({ index }) => index)).toEqual([1, 2]);
      await fill(partition, 2);
    });
    expect(readdirSync(directory)).not.toContain(rewindName(1));
    expect(await lsnsOf(directory, { verify: 'full' })).toEqual(upTo(8));
  };

  test('nothing of it had been done', async () => {
    await expectRewound(await stated());
  });

  test('a recovery that dies at any step is recovered from', async () => {
    const original = await stated();
    for (let step = 0, died = true; died; step++) {
      const directory = temporaryDirectory();
      for (const name of readdirSync(original)) copyFileSync(path.join(original, name), path.join(directory, name));
      const disk = realDisk({ threads: 1 });
      const dying = dyingDisk(disk, step);
      const request = requestFor(directory, { disk: dying.disk, indexes: [1, 2, 3] });
      const first = await recoverPartition(request).catch(() => undefined);
      await first?.tail?.file.close();
      died = dying.died();
      await disk.close();
      await expectRewound(directory);
    }
  });

  test.each([
    ['half of it', (bytes: Uint8Array) => bytes.slice(0, 20)],
    ['empty', () => new Uint8Array(0)],
    ['damaged', (bytes: Uint8Array) => bytes.map((byte, i) => (i === 24 ? byte ^ 1 : byte))],
  ])('a file that is not whole (%s) means that nothing was begun', async (_what, change) => {
    const directory = await stated();
    mutilate(path.join(directory, rewindName(1)), change);
    expect(await lsnsOf(directory)).toEqual(upTo(12));
    expect(readdirSync(directory)).not.toContain(rewindName(1));
  });
});

describe('recovery J: a rewind file that is whole and does not fit the segments refuses', () => {
  test.each([
    ['a segment that is not there', { segment: 4 }],
    ['a segment before all', { segment: 0 }],
    ['an offset in the header page', { offset: 4088 }],
    ['an offset in the open frame', { offset: 4096 }],
    ['an offset inside of a frame’s alignment', { offset: 4172 }],
    ['an offset behind the file', { offset: SEGMENT_SIZE + 8 }],
    ['a replacement that reaches past the file', { offset: SEGMENT_SIZE - 8, replacement: new Uint8Array(16) }],
    ['no LSN', { lastLsn: 2 ** 60 }],
  ])('%s: no file is changed', async (_what, change) => {
    const directory = await crashedLog(async (partition) => {
      await fill(partition, 3);
      await partition.rotate();
      await fill(partition, 2);
    });
    const statement = { segment: 1, offset: 4168 + 96, lastLsn: 1, replacement: new Uint8Array(0), ...change };
    writeFileSync(path.join(directory, rewindName(1)), encodeRewind(statement));
    const before = filesOf(directory);
    const opening = reopen(directory, async () => undefined);
    await expect(opening).rejects.toThrow(expect.objectContaining({ code: 'ERR_VARVE_CORRUPT', partition: 1 }));
    expect(filesOf(directory)).toEqual(before);
  });
});

describe('recovery believes nothing that may not be on the disk', () => {
  test('the last segment is synced before its frames are read, and after what nothing proves was written again', async () => {
    const directory = await crashedLog(async (partition) => {
      await fill(partition, 3);
      await fill(partition, 2, 'written');
    });
    const file = segmentPath(directory, 1);
    const steps: string[] = [];
    const request = requestFor(directory);
    const disk = watched(request.disk, (operation, at, args) => {
      if (at !== file || operation === 'close' || operation === 'size') return;
      if (operation === 'open') steps.push(`open ${args[1]}`);
      else if (operation === 'writeSync') steps.push(`write ${args[1]}+${(args[0] as Uint8Array).length}`);
      else steps.push(operation);
    });
    const recovery = await recoverPartition({ ...request, disk });
    await recovery.tail?.file.close();
    await request.disk.close();
    const opened = steps.indexOf('open write');
    expect(steps[opened + 1]).toBe('sync');
    const { offset, length } = frameOf(file, 4);
    // Records 4 and 5: frame 4 states 3 to be durable, and no frame or cookie states more.
    const again = steps.indexOf(`write ${offset}+${2 * length}`);
    expect(again).toBeGreaterThan(opened);
    expect(steps[again + 1]).toBe('sync');
    expect(steps.filter((step) => step.startsWith('write'))).toHaveLength(1);
  });

  test('a seal or close mark at the very end is written again too: nothing proves that it is on the disk', async () => {
    // An fsync that fails leaves the mark in the page cache, as if it were clean; the next segment will link to it.
    const directory = await closedLog((partition) => fill(partition, 3));
    const file = segmentPath(directory, 1);
    const mark = framesOf(readFileSync(file)).at(-1);
    const writes: unknown[] = [];
    const request = requestFor(directory);
    const disk = watched(request.disk, (operation, at, args) => {
      if (at === file && operation === 'writeSync') writes.push([args[1], (args[0] as Uint8Array).length]);
    });
    const recovery = await recoverPartition({ ...request, disk });
    await recovery.tail?.file.close();
    await request.disk.close();
    expect(writes).toEqual([[mark?.offset, mark?.length]]);
  });

  test('strange files beside the segments are left alone; a log in a single file refuses', async () => {
    const directory = await closedLog((partition) => fill(partition, 3));
    for (const name of ['notes.txt', 'part_1_0000000001.wal.bak', 'part_x.wal'])
      writeFileSync(path.join(directory, name), name);
    expect(await lsnsOf(directory)).toEqual(upTo(3));
    for (const name of ['notes.txt', 'part_1_0000000001.wal.bak', 'part_x.wal']) {
      expect(readFileSync(path.join(directory, name), 'utf8')).toBe(name);
    }
    renameSync(path.join(directory, 'part_x.wal'), path.join(directory, 'part_9.wal'));
    await expectRefused(directory, { code: 'ERR_VARVE_LEGACY_WAL', path: path.join(directory, 'part_9.wal') });
  });
});
