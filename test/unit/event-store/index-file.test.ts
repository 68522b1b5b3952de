import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { IndexFile } from '../../../src/adapter/event-store/index-file.js';
import { IndexDamaged } from '../../../src/adapter/event-store/index-header.js';
import { indexKey } from '../../../src/adapter/event-store/index-key.js';
import { type IndexEntry, writeIndexFile } from '../../../src/adapter/event-store/index-writer.js';
import { SimulatedDisk } from '../../../src/testing/index.js';
import { runs } from '../../runs.js';
import { MemoryDisk } from '../segment/memory-disk.js';
import {
  bytesWith,
  diskWith,
  IDENTITY,
  NAME,
  newCache,
  numbered,
  opened,
  PATH,
  plain,
  scanned,
  upTo,
} from './index-files.js';

const byUtf8 = (a: { key: string }, b: { key: string }) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key));
const sortedPlain = (entries: readonly IndexEntry[]) => entries.map(plain).sort(byUtf8);

/** Two to a block: `007…`. */
const largeKey = (i: number): string => `${i}`.padStart(3, '0').padEnd(1500, '.');

/** Bytes as hexadecimal digits, of eight and more equal ones `[byte*count]`. */
function dump(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex');
  return hex
    .replace(/../g, '$& ')
    .replace(/(.. )\1{7,}/g, (run, byte: string) => `[${byte.trim()}*${run.length / 3}]`)
    .replaceAll(' ', '');
}

describe('the bytes of an index file', () => {
  const entries = [
    { key: 's:cart-2', value: 2 ** 40, postings: [7, 300] },
    { key: 'c:cart', value: 0, postings: upTo(600) },
    { key: 's:😀', value: 1, postings: [] },
    { key: 's:\uffff', value: 0, postings: [999_000] },
  ];

  test('are these', async () => {
    const golden = [
      // header: magic, version, store id · segment, base LSN, last LSN
      `57494458 01000000 ${IDENTITY.storeId} 0700000000000000 e803000000000000 40420f0000000000`,
      // … partition, keys, blocks, bytes of the directory, of the lists, of the filter, CRC of the summary · CRC of it all
      '03000000 04000000 01000000 0c000000 5802000000000000 40000000 53ca03e1 [00*4012] ac925f4b',
      // block: count · 'c:cart', 600 in a list · 's:cart-2', 7 and 293 more · 's:\uffff' · 's:😀', none · zeros · where they begin
      '0400  06633a63617274 00 b109 00 d804 765efc62  08733a636172742d32 808080808020 04 07a502',
      '05733aefbfbf 00 02 d8fc3c  06733af09f9880 01  [00*4031]  3100 2600 1300 0200',
      // list · directory: CRC of the block, its first key · filter
      '00 [01*599]  f530d0e5 0600 633a63617274',
      '[00*8] 82000800000000000480000180020020 [00*9] 40000000000080000000004021901011080880000080002000000808000020',
    ];
    expect(dump(await bytesWith(entries))).toBe(golden.join('').replaceAll(' ', ''));
  });

  test('do not hang on the order in which the entries come', async () => {
    expect(await bytesWith([...entries].reverse())).toEqual(await bytesWith(entries));
  });
});

describe('a round trip', () => {
  const key = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 30 }).filter((text) => !/\p{Cs}/u.test(text)),
    fc.string({ unit: fc.constantFrom('a', 'é', '\uffff', '😀'), maxLength: 6 }),
    fc.integer({ min: 0, max: 2048 }).map((length) => 'k'.repeat(length)),
    fc.constantFrom('', '\ufeffbom', '\0', 'é'.repeat(1024)),
  );
  const postings = fc.oneof(
    fc.uniqueArray(fc.integer({ min: 0, max: 999_000 }), { maxLength: 5 }).map((list) => list.sort((a, b) => a - b)),
    fc.integer({ min: 0, max: 1500 }).map(upTo),
  );
  const value = fc.oneof(fc.nat(1000), fc.maxSafeNat());
  const entries = fc.uniqueArray(fc.record({ key, value, postings }), {
    maxLength: 60,
    selector: (entry) => entry.key,
  });

  test('gives back all that was written, in order, and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(entries, fc.array(key, { maxLength: 10 }), async (written, others) => {
        const file = await opened(await diskWith(written));
        expect(file.keyCount).toBe(written.length);
        const model = new Map(written.map((entry) => [entry.key, plain(entry)]));
        for (const asked of [...model.keys(), ...others]) {
          const found = await file.get(asked);
          expect(found && plain({ key: asked, ...found })).toEqual(model.get(asked));
          if (found !== undefined) expect(file.mayContain(asked)).toBe(true);
        }
        expect(await scanned(file)).toEqual(sortedPlain(written));
      }),
      { numRuns: runs(50) },
    );
  });

  test('of ranges gives what a model gives', async () => {
    const short = fc.string({ unit: fc.constantFrom('a', 'b', '\uffff', '😀'), maxLength: 4 });
    const many = fc.uniqueArray(short, { maxLength: 150 });
    await fc.assert(
      fc.asyncProperty(
        many,
        short,
        fc.option(short, { nil: undefined }),
        fc.boolean(),
        async (keys, prefix, after, long) => {
          // Long keys, so that there are many blocks; `long` puts what makes them so in front, where it is part of the range.
          const wrap = (text: string) => (long ? 'p'.repeat(1500) + text : text);
          const tail = long ? '' : 'z'.repeat(1500);
          const written = keys.map((text, i) => ({ key: wrap(text) + tail, value: i, postings: [i] }));
          const file = await opened(await diskWith(written));
          const start = after === undefined ? undefined : wrap(after);
          const range = { prefix: wrap(prefix), ...(start === undefined ? {} : { after: start }) };
          const behind = (found: { key: string }) => start === undefined || byUtf8(found, { key: start }) > 0;
          expect(await scanned(file, range)).toEqual(
            sortedPlain(written).filter((found) => found.key.startsWith(range.prefix) && behind(found)),
          );
        },
      ),
      { numRuns: runs(100) },
    );
  });

  test('of more entries than one slice of work, in any order', async () => {
    const written = numbered(5000).map((entry, i, all) => all[(i * 1777) % all.length] ?? entry);
    const file = await opened(await diskWith(written));
    expect(await scanned(file)).toEqual(sortedPlain(written));
    for (const i of upTo(50)) {
      const wanted = (i * 97) % 5000;
      expect(await file.get(`s:stream-${wanted}`)).toEqual({ value: wanted * 3, postings: Uint32Array.of(wanted) });
    }
  });
});

describe('looking up', () => {
  test('a page at a time passes each key once', async () => {
    const file = await opened(await diskWith(numbered(1000)));
    const found: string[] = [];
    for (let after: string | undefined; ; ) {
      const before = found.length;
      for await (const { key } of file.entries({ prefix: 's:', ...(after === undefined ? {} : { after }) })) {
        found.push(key);
        if (found.length === before + 64) break;
      }
      after = found.at(-1);
      if (found.length < before + 64) break;
    }
    expect(found).toEqual(sortedPlain(numbered(1000)).map(({ key }) => key));
  });

  test('a key that cannot be one finds nothing, not the one that it would turn into', async () => {
    const file = await opened(await diskWith([{ key: 's:\ufffd', value: 1, postings: [1] }]));
    expect(file.mayContain('s:\ud800')).toBe(false);
    expect(await file.get('s:\ud800')).toBeUndefined();
    expect(await file.get('s:\ufffd')).toBeDefined();
    await expect(file.entries({ prefix: 's:\ud800' }).next()).rejects.toMatchObject({
      code: 'ERR_VARVE_INVALID_OPTION',
      option: 'prefix',
    });
    await expect(file.entries({ after: '\udc00' }).next()).rejects.toMatchObject({
      code: 'ERR_VARVE_INVALID_OPTION',
      option: 'after',
    });
  });

  test('a key made once finds what its string finds', async () => {
    const file = await opened(await diskWith(numbered(100)));
    const made = indexKey('s:stream-42');
    if (made === undefined) throw new Error('no key');
    expect(file.mayContain(made)).toBe(true);
    expect(await file.get(made)).toEqual({ value: 126, postings: Uint32Array.of(42) });
  });

  test('most absent keys are answered without reading a block', async () => {
    const disk = new SimulatedDisk({ record: true });
    await disk.makeDirectory('/store');
    await writeIndexFile(disk, PATH, IDENTITY, numbered(300, largeKey));
    const file = await opened(disk);
    const reads = () => disk.operations.filter(({ kind }) => kind === 'read').length;
    const before = reads();
    for (const i of upTo(300)) expect(await file.get(`${largeKey(i)}-absent`)).toBeUndefined();
    expect(reads() - before).toBeLessThanOrEqual(20); // of 150 blocks
  });

  test('an absent key that the filter lets pass is not found: before the first, behind the last', async () => {
    const file = await opened(await diskWith(numbered(100)));
    for (const kind of ['a', 'z']) {
      const passing = upTo(5000).filter((i) => file.mayContain(`${kind}:${i}`));
      expect(passing.length).toBeGreaterThan(0);
      for (const i of passing) expect(await file.get(`${kind}:${i}`)).toBeUndefined();
    }
  });

  test('the keys with a prefix takes the blocks that have them', async () => {
    const disk = new SimulatedDisk({ record: true });
    await disk.makeDirectory('/store');
    await writeIndexFile(disk, PATH, IDENTITY, numbered(300, largeKey));
    const file = await opened(disk);
    const reads = () => disk.operations.filter(({ kind }) => kind === 'read').length;
    const before = reads();
    expect(await scanned(file, { prefix: '07' })).toHaveLength(10);
    expect(reads() - before).toBeLessThanOrEqual(7); // two keys a block
  });

  test('after close is refused', async () => {
    const file = await opened(await diskWith(numbered(10)));
    await file.close();
    await file.close();
    await expect(file.get('s:stream-1')).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
    await expect(file.entries().next()).rejects.toMatchObject({ code: 'ERR_VARVE_CLOSED' });
  });
});

describe('damage', () => {
  /** Three blocks, two lists. Long keys of zeros, so that the bytes which mean something can be told. */
  const longKey = (i: number) => `${i}${'\0'.repeat(1199)}`;
  const entries: IndexEntry[] = [
    ...upTo(6).map((i) => ({ key: longKey(i), value: i, postings: [i, i + 9] })),
    { key: 'c:a', value: 1, postings: upTo(700) },
    { key: 'c:b', value: 2, postings: upTo(600).map((i) => i * 2) },
  ];
  const truth = sortedPlain(entries);

  /** What can be read of these bytes: each answer right or refused. True if nothing was refused. */
  async function readsRight(bytes: Uint8Array): Promise<boolean> {
    const file = await IndexFile.open(new MemoryDisk({ [NAME]: bytes }), PATH, IDENTITY, newCache());
    if (file === undefined) return false;
    let whole = true;
    const refused = (error: unknown): undefined => {
      if (!(error instanceof IndexDamaged)) throw error;
      whole = false;
      return undefined;
    };
    for (const wanted of truth) {
      const found = await file.get(wanted.key).then((value) => value ?? 'absent', refused);
      if (found === 'absent') throw new Error('a key was denied');
      if (found !== undefined && !sameEntry(plain({ key: wanted.key, ...found }), wanted))
        throw new Error('wrong data');
    }
    const all = await scanned(file).catch(refused);
    if (all !== undefined && !all.every((entry, i) => sameEntry(entry, truth[i]))) throw new Error('wrong data');
    expect(all?.length ?? truth.length).toBe(truth.length);
    return whole;
  }

  const sameEntry = (a: (typeof truth)[0], b: (typeof truth)[0] | undefined): boolean =>
    b !== undefined && a.key === b.key && a.value === b.value && `${a.postings}` === `${b.postings}`;

  test('of any byte is seen, and never read as data', async () => {
    const whole = await bytesWith(entries);
    expect(await readsRight(whole)).toBe(true);
    const unseen: number[] = [];
    for (let at = 0; at < whole.length; at++) {
      if (whole[at] === 0 && whole[at + 1] === 0 && at % 32 !== 0) continue; // of many zeros in a row, some
      const bytes = whole.slice();
      bytes[at] = (bytes[at] as number) ^ (1 << (at % 8));
      if (await readsRight(bytes)) unseen.push(at);
    }
    expect(unseen).toEqual([]);
  });

  test('a file cut off anywhere is not used', async () => {
    const whole = await bytesWith(entries);
    for (let length = 0; length < whole.length; length += 61) {
      const file = new MemoryDisk({ [NAME]: whole.subarray(0, length) });
      expect(await IndexFile.open(file, PATH, IDENTITY, newCache())).toBeUndefined();
    }
  });

  test('two blocks that have changed places are seen', async () => {
    const bytes = await bytesWith(entries);
    const first = bytes.slice(4096, 8192);
    bytes.copyWithin(4096, 8192, 12_288);
    bytes.set(first, 8192);
    expect(await readsRight(bytes)).toBe(false);
  });

  test('of one block leaves the others readable', async () => {
    const bytes = await bytesWith(entries);
    bytes[4096 + 100] = (bytes[4096 + 100] as number) ^ 1;
    const file = await opened(new MemoryDisk({ [NAME]: bytes }));
    await expect(file.get(longKey(0))).rejects.toBeInstanceOf(IndexDamaged);
    await expect(file.get(longKey(0))).rejects.toMatchObject({ path: PATH });
    expect(await file.get(longKey(5))).toEqual({ value: 5, postings: Uint32Array.of(5, 14) });
  });

  test('a missing file, and one of anything else, is not used', async () => {
    const disk = await diskWith(entries);
    expect(await IndexFile.open(disk, '/store/other.idx', IDENTITY, newCache())).toBeUndefined();
    for (const other of [
      { storeId: '10112233445566778899aabbccddeeff' },
      { partition: 4 },
      { segment: 8 },
      { baseLsn: 999 },
      { lastLsn: 1_000_001 },
    ]) {
      expect(await IndexFile.open(disk, PATH, { ...IDENTITY, ...other }, newCache())).toBeUndefined();
    }
  });
});

describe('errors of the disk', () => {
  test.each(['open', 'read'] as const)('of %s are passed on, and the next call tries again', async (kind) => {
    const disk = new SimulatedDisk();
    await disk.makeDirectory('/store');
    await writeIndexFile(disk, PATH, IDENTITY, numbered(10));
    const cache = newCache();
    disk.faults.add({ kind, file: NAME, fault: { error: 'EIO' } });
    await expect(IndexFile.open(disk, PATH, IDENTITY, cache)).rejects.toMatchObject({ code: 'EIO' });
    const file = await opened(disk, cache);
    await cache.files.close('2');
    disk.faults.add({ kind, file: NAME, fault: { error: 'EIO' } });
    await expect(file.get('s:stream-1')).rejects.toMatchObject({ code: 'EIO' });
    expect(await file.get('s:stream-1')).toBeDefined();
    await cache.close();
    expect(cache.files.count).toBe(0);
  });
});
