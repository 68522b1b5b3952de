/** The bytes of format 1, which every later version must go on reading. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { openLog, realDisk } from '../../../src/index.js';
import {
  checksumSeed,
  DATA_OFFSET,
  decodeCookie,
  decodeHeaderPage,
  HEADER_PAGE_SIZE,
} from '../../../src/segment/header.js';
import { LAST_LSN, makeGolden, payloadOf, SEGMENT_SIZE } from '../../golden/make.js';
import { framesOf, temporaryDirectory, upTo } from './logs.js';

const GOLDEN = fileURLToPath(new URL('../../golden/format-1', import.meta.url));
const SEGMENTS = [1, 2, 3].map((index) => `part_1_000000000${index}.wal`);
const NAMES = ['MANIFEST', ...SEGMENTS];

if (process.env.VARVE_WRITE_GOLDEN === '1') {
  const directory = temporaryDirectory();
  await makeGolden(directory, 'write');
  rmSync(GOLDEN, { recursive: true, force: true });
  mkdirSync(GOLDEN, { recursive: true });
  for (const name of NAMES) copyFileSync(path.join(directory, name), path.join(GOLDEN, name));
}

const golden = (name: string): Buffer => readFileSync(path.join(GOLDEN, name));

/** Where the segment's last frame ends. */
function usedOf(segment: Buffer): number {
  const last = framesOf(segment).at(-1);
  if (last === undefined) throw new Error('no frame');
  return last.offset + last.length;
}

test('the committed files are what this test is about', () => {
  expect(readdirSync(GOLDEN).sort()).toEqual(NAMES);
  const kinds = SEGMENTS.map((name) =>
    framesOf(golden(name))
      .map(({ kind }) => kind)
      .join(''),
  );
  expect(kinds).toEqual([
    expect.stringMatching(/^12+3$/),
    expect.stringMatching(/^12+3$/),
    expect.stringMatching(/^12+3$/),
  ]);
  for (const name of SEGMENTS) expect(golden(name)).toHaveLength(SEGMENT_SIZE);
});

const disk = realDisk({ threads: 1 });
const { map } = await disk.features(GOLDEN);
await disk.close();

describe.each(map ? (['write', 'mmap'] as const) : (['write'] as const))('written again over %s', (io) => {
  // Compared byte for byte: the manifest, and of each segment the header [0, 512) and all frames [4096, end).
  // Not compared: the cursors [512, 520), which only a mapped segment has, and which of the two cookie slots holds what;
  // what the newer cookie says is compared.
  test('the same calls make the same bytes', async () => {
    const directory = temporaryDirectory();
    await makeGolden(directory, io);
    const made = readdirSync(directory).filter((name) => !name.startsWith('ready_') && name !== 'LOCK');
    expect(made.sort()).toEqual(NAMES);
    expect(readFileSync(path.join(directory, 'MANIFEST'), 'utf8')).toBe(golden('MANIFEST').toString());
    for (const name of SEGMENTS) {
      const expected = golden(name);
      const bytes = readFileSync(path.join(directory, name));
      const end = usedOf(expected);
      expect(bytes.subarray(0, 512).toString('hex')).toBe(expected.subarray(0, 512).toString('hex'));
      expect(bytes.subarray(DATA_OFFSET, end).toString('hex')).toBe(
        expected.subarray(DATA_OFFSET, end).toString('hex'),
      );
      expect(bytes.subarray(end).every((byte) => byte === 0)).toBe(true);
      const header = decodeHeaderPage(expected);
      if (typeof header === 'string') throw new Error(header);
      const seed = checksumSeed(header.salt);
      const { sequence: _, ...cookie } = decodeCookie(expected.subarray(0, HEADER_PAGE_SIZE), seed) ?? {};
      expect(decodeCookie(bytes.subarray(0, HEADER_PAGE_SIZE), seed)).toMatchObject(cookie);
    }
  });
});

test('the committed log opens, holds its records, and goes on', async () => {
  const directory = temporaryDirectory();
  for (const name of NAMES) copyFileSync(path.join(GOLDEN, name), path.join(directory, name));
  const log = await openLog({ directory, segmentSize: SEGMENT_SIZE, verify: 'full', minDurableLsn: { 1: LAST_LSN } });
  const clean: boolean[] = [];
  log.events.on('recovered', (report) => clean.push(report.clean));
  const partition = await log.partition(1);
  expect(clean).toEqual([true]);
  const records = await partition.read().toArray();
  expect(records.map(({ lsn }) => lsn)).toEqual(upTo(LAST_LSN));
  for (const { lsn, payload } of records) expect(Buffer.compare(payload, payloadOf(lsn))).toBe(0);
  expect(await partition.append(payloadOf(LAST_LSN + 1))).toMatchObject({ lsn: LAST_LSN + 1 });
  await log.close();
});
