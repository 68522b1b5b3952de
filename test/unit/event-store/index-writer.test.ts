import { describe, expect, test } from '@jest/globals';
import { IndexFile } from '../../../src/adapter/event-store/index-file.js';
import { type IndexEntry, writeIndexFile } from '../../../src/adapter/event-store/index-writer.js';
import { Random, SimulatedDisk } from '../../../src/testing/index.js';
import { MemoryDisk, watched } from '../segment/memory-disk.js';
import { IDENTITY, NAME, newCache, numbered, opened, PATH, scanned } from './index-files.js';

const TEMPORARY = `${NAME}.tmp`;

describe('writing an index file', () => {
  test('goes to a temporary file, synced, renamed, the directory synced', async () => {
    const steps: string[] = [];
    const disk = watched(new MemoryDisk(), (operation, path) => {
      if (operation !== steps.at(-1)?.split(' ')[0]) steps.push(`${operation} ${path}`);
    });
    await writeIndexFile(disk, PATH, IDENTITY, numbered(10));
    expect(steps).toEqual([
      `open ${PATH}.tmp`,
      `writeSync ${PATH}.tmp`,
      `sync ${PATH}.tmp`,
      `close ${PATH}.tmp`,
      `rename ${PATH}.tmp`,
      'syncDirectory /store',
    ]);
  });

  test('resolves with the size, and writes no more than about 256 KiB at once', async () => {
    for (const count of [0, 10, 40_000]) {
      const memory = new MemoryDisk();
      const writes: number[] = [];
      const disk = watched(memory, (operation, _path, [bytes]) => {
        if (operation === 'writeSync') writes.push((bytes as Uint8Array).length);
      });
      const size = await writeIndexFile(disk, PATH, IDENTITY, numbered(count));
      expect(memory.snapshot()[NAME]).toHaveLength(size);
      expect(Math.max(...writes)).toBeLessThan(300_000);
      if (count === 40_000) expect(size).toBeGreaterThan(500_000);
    }
  });

  test('replaces a file, and one that a crash has left half written', async () => {
    const disk = new MemoryDisk({ [NAME]: Buffer.from('damaged'), [TEMPORARY]: new Uint8Array(100_000) });
    await writeIndexFile(disk, PATH, IDENTITY, numbered(10));
    expect(Object.keys(disk.snapshot())).toEqual([NAME]);
    expect(await scanned(await opened(disk))).toHaveLength(10);
  });

  test('leaves the event loop its turns', async () => {
    const most = { key: 0, postings: 0 };
    const thisTurn = { key: 0, postings: 0 };
    const seen = (what: 'key' | 'postings'): void => {
      most[what] = Math.max(most[what], ++thisTurn[what]);
    };
    let done = false;
    const turn = (): void => {
      Object.assign(thisTurn, { key: 0, postings: 0 });
      if (!done) setImmediate(turn);
    };
    turn();
    const watchedEntries = numbered(20_000).map(({ key, value, postings }) => ({
      value,
      get key() {
        seen('key');
        return key;
      },
      get postings() {
        seen('postings');
        return postings;
      },
    }));
    await writeIndexFile(new MemoryDisk(), PATH, IDENTITY, watchedEntries);
    done = true;
    expect(most.key).toBeLessThan(40_000); // 1,024 keys sorted, two looked at for each comparison
    expect(most.postings).toBeLessThan(4 * 1024);
  });

  test.each([
    ['write', 'ENOSPC'],
    ['sync', 'EIO'],
    ['rename', 'EIO'],
    ['syncDirectory', 'EIO'],
    ['create', 'EMFILE'],
  ] as const)('passes on a failed %s, with nothing left open, and can be tried again', async (kind, code) => {
    const disk = new SimulatedDisk({ record: true });
    await disk.makeDirectory('/store');
    disk.faults.add({ kind, file: '*', fault: { error: code } });
    await expect(writeIndexFile(disk, PATH, IDENTITY, numbered(10))).rejects.toMatchObject({ code });
    const of = (wanted: string) => disk.operations.filter((operation) => operation.kind === wanted).length;
    expect(of('close')).toBe(kind === 'create' ? 0 : 1);
    await writeIndexFile(disk, PATH, IDENTITY, numbered(10));
    expect(await scanned(await opened(disk))).toHaveLength(10);
  });

  test('survives a power cut between any two operations whole or not at all', async () => {
    const disk = new SimulatedDisk();
    await disk.makeDirectory('/store');
    await writeIndexFile(disk, PATH, { ...IDENTITY, lastLsn: 2000 }, numbered(5));
    const crashes: SimulatedDisk[] = [];
    const random = new Random(7);
    disk.onOperation = () => {
      for (const extreme of ['none', 'all'] as const) crashes.push(disk.crashed(random, extreme));
      for (let i = 0; i < 5; i++) crashes.push(disk.crashed(random));
    };
    await writeIndexFile(disk, PATH, IDENTITY, numbered(200));
    disk.onOperation = undefined;
    crashes.push(disk.crashed(random, 'none'));
    const found = { before: 0, after: 0 };
    for (const crashed of crashes) {
      const [before, after] = await Promise.all([
        IndexFile.open(crashed, PATH, { ...IDENTITY, lastLsn: 2000 }, newCache()),
        IndexFile.open(crashed, PATH, IDENTITY, newCache()),
      ]);
      if (before !== undefined && ++found.before) expect(await scanned(before)).toHaveLength(5);
      else if (after !== undefined && ++found.after) expect(await scanned(after)).toHaveLength(200);
    }
    expect(found.before + found.after).toBe(crashes.length);
    expect(Math.min(found.before, found.after)).toBeGreaterThan(0);
    expect(await IndexFile.open(crashes.at(-1) as SimulatedDisk, PATH, IDENTITY, newCache())).toBeDefined();
  });
});

describe('an entry that is not as it should be', () => {
  const entry = (change: Partial<IndexEntry>): IndexEntry[] => [
    { key: 'a', value: 0, postings: [0] },
    { key: 'b', value: 0, postings: [0, 1], ...change },
  ];

  test.each<[string, Partial<IndexEntry>]>([
    ['with a lone surrogate', { key: 'b\ud800' }],
    ['with a key of 2,049 bytes', { key: `${'é'.repeat(1024)}b` }],
    ['whose key is there twice', { key: 'a' }],
    ['with a negative value', { value: -1 }],
    ['with a value that is no safe integer', { value: 2 ** 53 }],
    ['with a posting twice', { postings: [1, 1] }],
    ['with a posting behind the last LSN', { postings: [IDENTITY.lastLsn - IDENTITY.baseLsn + 1] }],
  ])('%s is refused before anything is written', async (_what, change) => {
    const disk = new MemoryDisk();
    await expect(writeIndexFile(disk, PATH, IDENTITY, entry(change))).rejects.toMatchObject({
      code: 'ERR_VARVE_INVALID_OPTION',
      option: 'entries',
    });
    expect(disk.snapshot()).toEqual({});
  });

  test('twins are found wherever they stand', async () => {
    const twins = [...numbered(3000), { key: 's:stream-7', value: 0, postings: [] }];
    await expect(writeIndexFile(new MemoryDisk(), PATH, IDENTITY, twins)).rejects.toMatchObject({ option: 'entries' });
  });

  test('postings reach up to the last LSN, and 2³² − 1', async () => {
    const last = IDENTITY.lastLsn - IDENTITY.baseLsn;
    await writeIndexFile(new MemoryDisk(), PATH, IDENTITY, entry({ postings: [0, last] }));
    const wide = { ...IDENTITY, lastLsn: Number.MAX_SAFE_INTEGER };
    await writeIndexFile(new MemoryDisk(), PATH, wide, entry({ postings: [2 ** 32 - 1] }));
    await expect(writeIndexFile(new MemoryDisk(), PATH, wide, entry({ postings: [2 ** 32] }))).rejects.toMatchObject({
      option: 'entries',
    });
  });
});
