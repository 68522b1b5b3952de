import { describe, expect, test } from '@jest/globals';
import {
  isSingleFileLogName,
  MAX_PARTITION,
  MAX_SEGMENT_INDEX,
  parseSegmentName,
  parseSpareName,
  readyName,
  recycleName,
  rewindName,
  segmentName,
  tornCopyName,
} from '../../../src/segment/names.js';

describe('names of segments', () => {
  test.each([
    [1, 1, 'part_1_0000000001.wal'],
    [0, 12, 'part_0_0000000012.wal'],
    [MAX_PARTITION, MAX_SEGMENT_INDEX, 'part_4294967295_9999999999.wal'],
  ])('partition %i, segment %i is %s, and back', (partition, index, name) => {
    expect(segmentName(partition, index)).toBe(name);
    expect(parseSegmentName(name)).toEqual({ partition, index });
  });

  test.each([
    'part_1.wal',
    'part_01_0000000001.wal', // the same partition would have two names
    'part_1_1.wal',
    'part_1_00000000001.wal',
    'part_1_0000000000.wal', // indexes begin with 1
    'part_4294967296_0000000001.wal',
    'part_-1_0000000001.wal',
    'part_1_0000000001.wal.torn-4168',
    'part_1_0000000001.wal.torn-4168.tmp',
    'xpart_1_0000000001.wal',
    'part_1_0000000001.wal\n',
    'part_1_0000000001xwal',
    'ready_0000000001.wal',
    'LOCK',
    '',
  ])('%j is no segment', (name) => {
    expect(parseSegmentName(name)).toBeUndefined();
  });
});

test('names of spare files, and back', () => {
  expect(readyName(7)).toBe('ready_0000000007.wal');
  expect(recycleName(12)).toBe('recycle_0000000012.wal');
  expect(parseSpareName(readyName(7))).toEqual({ queue: 'ready', number: 7 });
  expect(parseSpareName(recycleName(12))).toEqual({ queue: 'recycle', number: 12 });
  for (const name of ['ready_1.wal', 'ready_0000000001.wal2', 'already_0000000001.wal', segmentName(1, 1)]) {
    expect(parseSpareName(name)).toBeUndefined();
  }
});

test('names of rewinds and of torn tails are names of nothing else', () => {
  expect(rewindName(3)).toBe('rewind_3.wal');
  expect(tornCopyName(1, 2, 4168)).toBe('part_1_0000000002.wal.torn-4168');
  for (const name of [rewindName(3), tornCopyName(1, 2, 4168)]) {
    expect(parseSegmentName(name)).toBeUndefined();
    expect(parseSpareName(name)).toBeUndefined();
    expect(isSingleFileLogName(name)).toBe(false);
  }
});

test('a log in a single file has a partition and no index', () => {
  expect(isSingleFileLogName('part_1.wal')).toBe(true);
  expect(isSingleFileLogName('part_007.wal')).toBe(true);
  for (const name of ['part_1_0000000001.wal', 'part_.wal', 'part_1.wal.bak', 'apart_1.wal', 'part_1xwal']) {
    expect(isSingleFileLogName(name)).toBe(false);
  }
});
