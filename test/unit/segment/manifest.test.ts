import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { openLog, realDisk } from '../../../src/index.js';
import { crc32c } from '../../../src/segment/checksum.js';
import { viewOf } from '../../../src/segment/header.js';
import {
  decodeManifest,
  encodeManifest,
  type ManifestContent,
  ManifestKeeper,
  readManifest,
  storeIdFromHex,
  storeIdToHex,
} from '../../../src/segment/manifest.js';
import { MANIFEST_NAME, MANIFEST_TEMPORARY_NAME, segmentName } from '../../../src/segment/names.js';
import {
  closedLog,
  fill,
  lsnsOf,
  NOWHERE,
  readAll,
  reopen,
  segmentPath,
  small,
  temporaryDirectory,
  upTo,
  withLog,
} from './logs.js';
import { changes, MemoryDisk, watched } from './memory-disk.js';

const CONTENT: ManifestContent = {
  format: 1,
  storeId: '00112233445566778899aabbccddeeff',
  complete: true,
  createdAt: 1_700_000_000_000,
  options: { checksum: 'crc32c', limit: 7, strict: true },
  partitions: {
    '0': { oldestLsn: 17, firstSegment: 2 },
    '4294967295': { oldestLsn: 2 ** 53 - 1, firstSegment: 9_999_999_999 },
  },
};

describe('a manifest', () => {
  test('comes back as it was', () => {
    expect(decodeManifest(encodeManifest(CONTENT))).toEqual(CONTENT);
  });

  test('with any bit flipped is damaged', () => {
    const whole = encodeManifest(CONTENT);
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const bytes = whole.slice();
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(decodeManifest(bytes)).toBeUndefined();
    }
  });

  test('cut off anywhere, or followed by anything, is damaged', () => {
    const whole = encodeManifest(CONTENT);
    for (let length = 0; length < whole.length; length++)
      expect(decodeManifest(whole.subarray(0, length))).toBeUndefined();
    for (const more of ['\n', ' ', 'crc32c 00000000\n', '\0']) {
      expect(decodeManifest(new Uint8Array([...whole, ...Buffer.from(more)]))).toBeUndefined();
    }
  });

  test('of a newer format is refused', () => {
    expect(() => decodeManifest(encodeManifest({ ...CONTENT, format: 2 }))).toThrow(
      expect.objectContaining({ code: 'ERR_VARVE_UNSUPPORTED_VERSION' }),
    );
  });

  test.each<[string, unknown]>([
    ['no object', 'text'],
    ['nothing', null],
    ['no format', { ...CONTENT, format: undefined }],
    ['a format that is no number', { ...CONTENT, format: 'x' }],
    ['a store id of another length', { ...CONTENT, storeId: '00' }],
    ['a time before all', { ...CONTENT, createdAt: -1 }],
    ['no word whether it is complete', { ...CONTENT, complete: undefined }],
    ['no options', { ...CONTENT, options: null }],
    ['no marks', { ...CONTENT, partitions: undefined }],
    ['a mark that is none', { ...CONTENT, partitions: { 1: null } }],
    ['a mark at LSN 0', { ...CONTENT, partitions: { 1: { oldestLsn: 0, firstSegment: 1 } } }],
    ['a mark past all segments', { ...CONTENT, partitions: { 1: { oldestLsn: 1, firstSegment: 1e10 } } }],
  ])('with %s is damaged, although its checksum holds', (_what, content) => {
    expect(decodeManifest(encodeManifest(content as ManifestContent))).toBeUndefined();
  });

  test('that is not JSON is damaged, although its checksum holds', () => {
    const json = Buffer.from('{"format":1,\n');
    const sum = crc32c(viewOf(json), 0, json.length).toString(16).padStart(8, '0');
    expect(decodeManifest(Buffer.from(`${json}crc32c ${sum}\n`))).toBeUndefined();
  });

  test('store ids are 16 bytes and 32 digits', () => {
    expect(storeIdToHex(storeIdFromHex(CONTENT.storeId))).toBe(CONTENT.storeId);
    expect(storeIdFromHex(CONTENT.storeId)).toHaveLength(16);
  });
});

describe('a kept manifest', () => {
  test('is replaced as a whole: a temporary file, synced, renamed, the directory synced', async () => {
    const steps: string[] = [];
    const memory = new MemoryDisk({ [MANIFEST_TEMPORARY_NAME]: new Uint8Array(9999) }); // left by a crash
    const disk = watched(memory, (operation, at, args) => {
      if (changes(operation, args)) steps.push(`${operation} ${path.basename(at)}`);
    });
    const keeper = new ManifestKeeper(disk, NOWHERE, CONTENT);
    await keeper.setMark(3, { oldestLsn: 8, firstSegment: 2 });
    expect(steps).toEqual([
      'unlink MANIFEST.tmp',
      'open MANIFEST.tmp',
      'writeSync MANIFEST.tmp',
      'sync MANIFEST.tmp',
      'rename MANIFEST.tmp',
      'syncDirectory nowhere',
    ]);
    const partitions = { ...CONTENT.partitions, '3': { oldestLsn: 8, firstSegment: 2 } };
    expect(await readManifest(memory, NOWHERE)).toEqual({ ...CONTENT, partitions });
    expect(keeper.knownMark(3, false)).toEqual({ oldestLsn: 8, firstSegment: 2 });
    expect(keeper.knownMark(4, false)).toBeUndefined();
  });

  test('updates that come at once are all in it, one after another', async () => {
    const memory = new MemoryDisk();
    const keeper = new ManifestKeeper(memory, NOWHERE, { ...CONTENT, partitions: {} });
    await Promise.all(upTo(9).map((partition) => keeper.setMark(partition, { oldestLsn: partition, firstSegment: 1 })));
    const read = (await readManifest(memory, NOWHERE)) as ManifestContent;
    expect(Object.keys(read.partitions)).toEqual(upTo(9).map(String));
  });

  test('an update that fails is not in it, rejects, and does not harm the next one', async () => {
    const memory = new MemoryDisk();
    let fails = true;
    const disk = watched(memory, (operation) => {
      if (operation === 'sync' && fails) throw new Error('no');
    });
    const keeper = new ManifestKeeper(disk, NOWHERE, { ...CONTENT, partitions: {} });
    const first = keeper.setMark(1, { oldestLsn: 5, firstSegment: 2 });
    await expect(first).rejects.toThrow('no');
    expect(keeper.knownMark(1, false)).toBeUndefined();
    expect(await readManifest(memory, NOWHERE)).toBe('missing');
    fails = false;
    await keeper.setMark(2, { oldestLsn: 5, firstSegment: 2 });
    expect(await readManifest(memory, NOWHERE)).toMatchObject({ partitions: { '2': { oldestLsn: 5 } } });
  });

  test('that is absurdly large is not read', async () => {
    const memory = new MemoryDisk({ [MANIFEST_NAME]: encodeManifest(CONTENT) });
    const read: number[] = [];
    const disk = watched(memory, (operation, _path, args) => {
      if (operation === 'read') read.push((args[0] as Uint8Array).length);
    });
    expect(await readManifest(disk, NOWHERE)).toEqual(CONTENT);
    expect(read).toHaveLength(1);
    const huge: typeof disk = {
      ...{ list: async () => [MANIFEST_NAME] },
      open: async () => ({ size: async () => 2 ** 40, close: async () => {} }),
    } as unknown as typeof disk;
    expect(await readManifest(huge, NOWHERE)).toBe('damaged');
  });
});

describe('a log whose manifest', () => {
  /** Four segments of four records, of which the first was purged. */
  const purged = (): Promise<string> =>
    closedLog(async (partition) => {
      for (let i = 0; i < 3; i++) {
        await fill(partition, 4);
        await partition.rotate();
      }
      await fill(partition, 4);
      await partition.purgeBefore(5);
    });

  test.each([
    ['is lost', (file: string) => rmSync(file)],
    ['is damaged', (file: string) => writeFileSync(file, readFileSync(file, 'utf8').replace('crc32c', 'crc32d'))],
    ['is empty', (file: string) => writeFileSync(file, '')],
    ['is another store’s', (file: string) => writeFileSync(file, encodeManifest(CONTENT))],
  ])('%s opens, all data are there, and a new one has the same store id', async (_what, damage) => {
    const directory = await purged();
    const file = path.join(directory, MANIFEST_NAME);
    const { storeId } = decodeManifest(readFileSync(file)) as ManifestContent;
    damage(file);
    expect(await lsnsOf(directory, { readOnly: true })).toEqual(upTo(16, 5));
    await reopen(directory, async (partition) => {
      expect(await readAll(partition)).toEqual(upTo(16, 5));
      await fill(partition, 1);
    });
    expect((decodeManifest(readFileSync(file)) as ManifestContent).storeId).toBe(storeId);
    expect(await lsnsOf(directory)).toEqual(upTo(17, 5));
  });

  test('is of a newer format is refused, and nothing is changed', async () => {
    const directory = await purged();
    const file = path.join(directory, MANIFEST_NAME);
    const content = decodeManifest(readFileSync(file)) as ManifestContent;
    writeFileSync(file, encodeManifest({ ...content, format: 2 }));
    const before = readFileSync(file);
    await expect(openLog(small({ directory }))).rejects.toMatchObject({ code: 'ERR_VARVE_UNSUPPORTED_VERSION' });
    expect(readFileSync(file)).toEqual(before);
  });

  test('is lost, with segments of two stores, is refused: nothing says which it is', async () => {
    const directory = await closedLog((partition) => fill(partition, 2));
    const other = await closedLog(async (_partition, log) => {
      await (await log.partition(2)).append(new Uint8Array(3));
    });
    copyFileSync(path.join(other, segmentName(2, 1)), path.join(directory, segmentName(2, 1)));
    rmSync(path.join(directory, MANIFEST_NAME));
    const names = readdirSync(directory);
    await expect(openLog(small({ directory }))).rejects.toMatchObject({ code: 'ERR_VARVE_FOREIGN', path: directory });
    expect(readdirSync(directory)).toEqual(names);
  });

  test('is lost, with no header left to go by, opens again once the header is restored', async () => {
    const directory = await closedLog((partition) => fill(partition, 3));
    const whole = readFileSync(segmentPath(directory, 1));
    const damaged = Buffer.from(whole);
    damaged[50] = (damaged[50] as number) ^ 1;
    writeFileSync(segmentPath(directory, 1), damaged);
    rmSync(path.join(directory, MANIFEST_NAME));
    await expect(lsnsOf(directory)).rejects.toMatchObject({ code: 'ERR_VARVE_CORRUPT' });
    writeFileSync(segmentPath(directory, 1), whole);
    expect(await lsnsOf(directory)).toEqual(upTo(3));
  });
});

test.each([0, 2])('a purge mark is durable before the first file goes (recycle: %i)', async (recycle) => {
  const steps: string[] = [];
  const real = realDisk({ threads: 1 });
  const disk = watched(real, (operation, at) => {
    const name = path.basename(at);
    if (name.startsWith('MANIFEST') || (operation === 'unlink' && name.startsWith('part_')))
      steps.push(`${operation} ${name}`);
    else if (operation === 'rename' && name.startsWith('part_')) steps.push(`rename ${name}`);
    else if (operation === 'syncDirectory') steps.push(operation);
  });
  const directory = temporaryDirectory();
  await withLog(small({ directory, disk, recycle }), async (partition) => {
    for (let i = 0; i < 3; i++) {
      await fill(partition, 4);
      await partition.rotate();
    }
    steps.length = 0;
    await partition.purgeBefore(9);
    const goes = recycle === 0 ? 'unlink' : 'rename';
    const names = [segmentName(1, 1), segmentName(1, 2)];
    const marked = steps.indexOf('syncDirectory');
    expect(steps.slice(0, marked)).toContain('rename MANIFEST.tmp');
    expect(steps.slice(marked)).toEqual(['syncDirectory', ...names.map((name) => `${goes} ${name}`), 'syncDirectory']);
  });
  await real.close();
});
