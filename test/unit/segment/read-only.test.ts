/** Reading beside the writer, and after its death: nothing is locked, and nothing is changed. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { type Log, openLog, type Partition } from '../../../src/index.js';
import { decodeManifest, encodeManifest, type ManifestContent } from '../../../src/segment/manifest.js';
import {
  crashedLog,
  filesOf,
  fill,
  frameOf,
  mutilate,
  readAll,
  reopen,
  segmentPath,
  small,
  temporaryDirectory,
  upTo,
} from './logs.js';

describe.each(['write', 'mmap'] as const)('beside a live writer over %s', (io) => {
  async function both(use: (writer: Partition, reader: Partition, log: Log) => Promise<void>): Promise<void> {
    const directory = temporaryDirectory();
    const log = await openLog(small({ directory, io: io === 'mmap' ? 'auto' : 'write' }));
    const readOnly = await openLog(small({ directory, readOnly: true, pollInterval: 1 }));
    try {
      await use(await log.partition(1), await readOnly.partition(1), log);
    } finally {
      await readOnly.close();
      await log.close();
    }
  }

  test('a reader sees what comes, over segments, without being told', async () => {
    await both(async (writer, reader) => {
      expect(await readAll(reader)).toEqual([]);
      let last = 0;
      for (const count of [1, 3, 20, 40]) {
        await fill(writer, count);
        last += count;
        expect(await readAll(reader)).toEqual(upTo(last));
      }
      expect(reader.segments().length).toBeGreaterThan(3);
    });
  });

  test('it sees durable records only, unless it asks for written ones', async () => {
    await both(async (writer, reader) => {
      await fill(writer, 3);
      await fill(writer, 2, 'written');
      expect(writer.durableLsn).toBe(3);
      expect(await readAll(reader)).toEqual(upTo(3));
      expect(await readAll(reader, 'written')).toEqual(upTo(5));
      expect([reader.durableLsn, reader.writtenLsn]).toEqual([3, 5]);
      await writer.sync();
      expect(await readAll(reader)).toEqual(upTo(5));
    });
  });

  test('it sees what is durable when a reading begins, however far another has looked', async () => {
    await both(async (writer, reader) => {
      const read = (from: number) => reader.read({ from }).toArray();
      for (let turn = 0; turn < 40; turn++) {
        const others = read(1);
        for (let i = 0; i < turn % 8; i++) await undefined;
        await fill(writer, 1);
        const lsn = writer.durableLsn;
        expect((await read(lsn)).map((record) => record.lsn)).toEqual([lsn]);
        await others;
      }
    });
  });

  test('it waits for what is not there yet, and follows', async () => {
    await both(async (writer, reader) => {
      await fill(writer, 1);
      const waiting = reader.waitFor(12);
      const ending = new AbortController();
      const seen: number[] = [];
      const following = (async () => {
        for await (const { lsn } of reader.follow({ signal: ending.signal })) {
          seen.push(lsn);
          if (lsn === 25) return;
        }
      })();
      await fill(writer, 24);
      await waiting;
      await following;
      expect(seen).toEqual(upTo(25));
    });
  });

  test('it sees a purge: the LSN is refused, not skipped', async () => {
    await both(async (writer, reader) => {
      await fill(writer, 20);
      expect(await readAll(reader)).toEqual(upTo(20));
      const { oldestLsn } = await writer.purgeBefore(12);
      expect(oldestLsn).toBeGreaterThan(1);
      expect(await readAll(reader)).toEqual(upTo(20, oldestLsn));
      await expect(reader.read({ from: 1 }).toArray()).rejects.toMatchObject({
        code: 'ERR_VARVE_LSN_PURGED',
        requested: 1,
        oldest: oldestLsn,
      });
    });
  });

  test('it sees a rewind, and what is written instead', async () => {
    await both(async (writer, reader) => {
      await fill(writer, 12);
      expect(await readAll(reader)).toEqual(upTo(12));
      await writer.truncateAfter(5);
      expect(await readAll(reader)).toEqual(upTo(5));
      await fill(writer, 3);
      expect(await readAll(reader)).toEqual(upTo(8));
    });
  });

  test('it may not write', async () => {
    await both(async (writer, reader) => {
      await fill(writer, 1);
      const bytes = new Uint8Array(1);
      const refused = { code: 'ERR_VARVE_READ_ONLY', partition: 1 };
      await expect(reader.append(bytes)).rejects.toMatchObject(refused);
      await expect(reader.appendBatch([bytes])).rejects.toMatchObject(refused);
      expect(() => reader.write(bytes)).toThrow(expect.objectContaining(refused));
      await expect(reader.sync()).rejects.toMatchObject(refused);
      await expect(reader.rotate()).rejects.toMatchObject(refused);
      await expect(reader.purgeBefore(1)).rejects.toMatchObject(refused);
      await expect(reader.truncateAfter(1)).rejects.toMatchObject(refused);
      expect(reader.actor).toBeUndefined();
      expect(await readAll(writer)).toEqual([1]);
    });
  });
});

describe('after a crash, without recovery', () => {
  test('it reads what is proven to be durable; written records on demand', async () => {
    const directory = await crashedLog(async (partition) => {
      await fill(partition, 12);
      await fill(partition, 3, 'written');
    });
    const before = filesOf(directory);
    const check = async (partition: Partition) => {
      const durable = await readAll(partition);
      const written = await readAll(partition, 'written');
      expect(durable).toEqual(upTo(partition.durableLsn));
      expect(durable.length).toBeGreaterThanOrEqual(12);
      expect(written).toEqual(upTo(15));
    };
    await reopen(directory, check, { readOnly: true });
    expect(filesOf(directory)).toEqual(before);
  });

  test('it ends before a torn tail, and changes nothing', async () => {
    const directory = await crashedLog(async (partition) => {
      await fill(partition, 3);
      await fill(partition, 3, 'written');
    });
    const { offset } = frameOf(segmentPath(directory, 1), 5);
    mutilate(segmentPath(directory, 1), (bytes) => {
      bytes[offset + 50] = 0xee;
    });
    const before = filesOf(directory);
    const check = async (partition: Partition) => {
      expect(await readAll(partition)).toEqual(upTo(3));
      expect(await readAll(partition, 'written')).toEqual(upTo(4));
    };
    await reopen(directory, check, { readOnly: true });
    expect(filesOf(directory)).toEqual(before);
  });

  test('a directory that is not there is not made', async () => {
    const directory = path.join(temporaryDirectory(), 'missing');
    await expect(openLog({ directory, readOnly: true })).rejects.toMatchObject({
      code: 'ERR_VARVE_IO',
      path: directory,
    });
    expect(existsSync(directory)).toBe(false);
  });

  test('an empty directory stays empty', async () => {
    const directory = temporaryDirectory();
    await reopen(directory, async (partition) => expect(await readAll(partition)).toEqual([]), { readOnly: true });
    expect(filesOf(directory)).toEqual({});
    expect(existsSync(path.join(directory, 'LOCK'))).toBe(false);
  });

  test('it verifies at every reading: the file may be another one by then', async () => {
    const directory = await crashedLog(async (partition) => {
      await fill(partition, 6);
      await partition.rotate();
      await fill(partition, 2);
    });
    const { offset } = frameOf(segmentPath(directory, 1), 3);
    await reopen(
      directory,
      async (partition) => {
        expect(await readAll(partition, 'written')).toEqual(upTo(8));
        mutilate(segmentPath(directory, 1), (bytes) => {
          bytes[offset + 50] = 0xff;
        });
        await expect(readAll(partition, 'written')).rejects.toMatchObject({ code: 'ERR_VARVE_CORRUPT', offset });
      },
      { readOnly: true },
    );
  });

  test('two readers, and no lock', async () => {
    const directory = await crashedLog((partition) => fill(partition, 3));
    const lock = readFileSync(path.join(directory, 'LOCK'), 'utf8');
    await reopen(
      directory,
      async (one) => {
        await reopen(directory, async (two) => expect(await readAll(two)).toEqual(await readAll(one)), {
          readOnly: true,
        });
      },
      { readOnly: true },
    );
    expect(readFileSync(path.join(directory, 'LOCK'), 'utf8')).toBe(lock);
  });
});

test('damage beside files of an interrupted purge is told, and not looked at for ever', async () => {
  const directory = await crashedLog(async (partition) => {
    for (let i = 0; i < 2; i++) {
      await fill(partition, 2);
      await partition.rotate();
    }
    await fill(partition, 1);
  });
  // The mark of a purge is durable, and its first file is still there.
  const file = path.join(directory, 'MANIFEST');
  const manifest = decodeManifest(readFileSync(file)) as ManifestContent;
  const partitions = { 1: { oldestLsn: 3, firstSegment: 2 } };
  writeFileSync(file, encodeManifest({ ...manifest, partitions }));
  const { offset } = frameOf(segmentPath(directory, 2), 3);
  mutilate(segmentPath(directory, 2), (bytes) => {
    bytes[offset + 50] = (bytes[offset + 50] as number) ^ 1;
    return bytes;
  });
  const reading = reopen(directory, (partition) => readAll(partition), { readOnly: true });
  await expect(reading).rejects.toThrow(expect.objectContaining({ code: 'ERR_VARVE_CORRUPT', segment: 2, offset }));
});
