import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { openLog, type SalvageGap, salvage } from '../../../src/index.js';
import { temporaryDirectory } from './logs.js';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const name = (index: number): string => `part_1_${String(index).padStart(10, '0')}.wal`;
let directory: string;
/** Where each record lies, by LSN. */
let places: Map<number, { segmentIndex: number; localOffset: number }>;

/** Twelve records in frames of their own, in three segments. */
beforeEach(async () => {
  directory = temporaryDirectory();
  places = new Map();
  const log = await openLog({ directory, segmentSize: 8192, io: 'write', recycle: 0 });
  const partition = await log.partition(1);
  for (let i = 1; i <= 12; i++) {
    const { lsn, position } = await partition.append(Buffer.from(`record ${i}`));
    places.set(lsn, position);
    if (i % 4 === 0 && i < 12) await partition.rotate();
  }
  await log.close();
});

function mutilate(file: string, change: (bytes: Buffer) => void): void {
  const bytes = readFileSync(path.join(directory, file));
  change(bytes);
  writeFileSync(path.join(directory, file), bytes);
}

async function found(): Promise<{ records: number[]; gaps: SalvageGap[] }> {
  const before = readdirSync(directory).map((file) => [file, readFileSync(path.join(directory, file), 'hex')]);
  const records: number[] = [];
  const gaps: SalvageGap[] = [];
  for await (const one of salvage({ directory, partition: 1 })) {
    if ('gap' in one) gaps.push(one.gap);
    else {
      expect(text(one.record.payload)).toBe(`record ${one.record.lsn}`);
      expect(one.record.position).toEqual(places.get(one.record.lsn));
      records.push(one.record.lsn);
    }
  }
  expect(readdirSync(directory).map((file) => [file, readFileSync(path.join(directory, file), 'hex')])).toEqual(before);
  return { records, gaps };
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1);

describe('salvage', () => {
  test('of an undamaged log: every record, no gap', async () => {
    expect(await found()).toEqual({ records: upTo(12), gaps: [] });
  });

  test('a damaged frame is a gap of bytes and of its LSN, and reading goes on behind it', async () => {
    const { localOffset } = places.get(6) as { localOffset: number };
    mutilate(name(2), (bytes) => {
      bytes[localOffset + 45] = (bytes[localOffset + 45] as number) ^ 1;
    });
    const { records, gaps } = await found();
    expect(records).toEqual(upTo(12).filter((lsn) => lsn !== 6));
    expect(gaps).toEqual([
      { kind: 'bytes', segment: 2, offset: localOffset, bytes: 56 },
      { kind: 'lsn', segment: 2, offset: places.get(7)?.localOffset, bytes: 0, firstLsn: 6, lastLsn: 6 },
    ]);
  });

  test('a missing segment is a gap of LSNs', async () => {
    rmSync(path.join(directory, name(2)));
    const { records, gaps } = await found();
    expect(records).toEqual([1, 2, 3, 4, 9, 10, 11, 12]);
    expect(gaps).toMatchObject([{ kind: 'lsn', segment: 3, firstLsn: 5, lastLsn: 8 }]);
  });

  test('a damaged header takes its segment with it', async () => {
    mutilate(name(2), (bytes) => bytes.fill(0, 0, 128));
    expect((await found()).gaps).toMatchObject([
      { kind: 'header', segment: 2, offset: 0, bytes: 8192 },
      { kind: 'lsn', segment: 3, firstLsn: 5, lastLsn: 8 },
    ]);
  });

  test('bytes behind the last frame are a gap', async () => {
    mutilate(name(3), (bytes) => bytes.fill(7, 8000, 8010));
    const { records, gaps } = await found();
    expect(records).toEqual(upTo(12));
    expect(gaps).toHaveLength(1);
    const [gap] = gaps as [SalvageGap];
    expect([gap.kind, gap.offset + gap.bytes]).toEqual(['bytes', 8010]);
  });

  test('bad options are refused by name', async () => {
    const code = 'ERR_VARVE_INVALID_OPTION';
    await expect(salvage({ directory: '', partition: 1 }).next()).rejects.toMatchObject({ code, option: 'directory' });
    await expect(salvage({ directory, partition: -1 }).next()).rejects.toMatchObject({ code, option: 'partition' });
    await expect(salvage({ directory } as never).next()).rejects.toMatchObject({ code, option: 'partition' });
    await expect(salvage({ partition: 1 } as never).next()).rejects.toMatchObject({ code, option: 'directory' });
    const unknown = { directory, partition: 1, from: 5 } as never;
    await expect(salvage(unknown).next()).rejects.toMatchObject({ code, option: 'from' });
  });
});

async function reopen(): Promise<{ lastLsn: number; copy: string | undefined }> {
  const log = await openLog({ directory, segmentSize: 8192, io: 'write' });
  let copy: string | undefined;
  log.events.on('recovered', ({ torn }) => {
    copy = torn?.copy;
  });
  try {
    const { durableLsn } = await log.partition(1);
    return { lastLsn: durableLsn, copy };
  } finally {
    await log.close();
  }
}

test('a log that tears twice at the same place keeps a copy of each tail', async () => {
  const bytes = readFileSync(path.join(directory, name(3)));
  let end = bytes.length;
  while (bytes[end - 1] === 0) end--;
  const at = Math.ceil(end / 8) * 8;
  for (const [value, suffix] of [
    [1, ''],
    [2, '.2'],
    [1, ''],
    [2, '.2'],
  ] as const) {
    mutilate(name(3), (bytes) => bytes.fill(value, at, at + 24));
    const copy = `${name(3)}.torn-${at}${suffix}`;
    expect(await reopen()).toEqual({ lastLsn: 12, copy });
    expect(readFileSync(path.join(directory, copy))).toEqual(Buffer.alloc(24, value));
  }
});

test('an interrupted truncation is finished by a writer, and refused to a reader until then', async () => {
  writeFileSync(path.join(directory, 'rewind_1.wal'), 'not whole');
  const reader = await openLog({ directory, readOnly: true });
  await expect(reader.partition(1)).rejects.toMatchObject({ code: 'ERR_VARVE_RECOVERY_REQUIRED', partition: 1 });
  await reader.close();
  expect(await reopen()).toMatchObject({ lastLsn: 12 });
  expect(readdirSync(directory)).not.toContain('rewind_1.wal');
});

test('the oldest segments may be missing only where a lost manifest has taken the knowledge with it', async () => {
  rmSync(path.join(directory, name(1)));
  await expect(reopen()).rejects.toMatchObject({ code: 'ERR_VARVE_CORRUPT', segment: 1 });
  rmSync(path.join(directory, 'MANIFEST'));
  expect(await reopen()).toMatchObject({ lastLsn: 12 });
  expect(readFileSync(path.join(directory, 'MANIFEST'), 'utf8')).toContain('"complete": false');
});
