/** The part of the contract that is about a file's bytes: reading, writing, reserving, mapping. */
import { expect } from '@jest/globals';
import type { AllocateMode } from '../../../src/disk/disk.js';
import { type Check, contentOf, create, pattern } from './contract-place.js';

const MODES: AllocateMode[] = ['allocate', 'keep-size', 'zero', 'none'];

export function bytes(check: Check): void {
  check('reads what was written, wherever, by both ways of reading', async (place) => {
    const file = await create(place, 'file');
    const all = pattern(10_000);
    file.writeSync(all.subarray(4000), 4000); // a view with an offset of its own
    file.writeSync(all.subarray(0, 4000), 0);
    for (const [from, to] of [
      [0, 10_000],
      [1, 2],
      [3999, 4001],
      [9999, 10_000],
    ] as const) {
      const into = new Uint8Array(20_000).subarray(50, 50 + to - from);
      expect(file.readSync(into, from)).toBe(to - from);
      expect(into).toEqual(all.subarray(from, to));
      into.fill(0);
      expect(await file.read(into, from)).toBe(to - from);
      expect(into).toEqual(all.subarray(from, to));
    }
    await file.close();
  });

  check('a read ends at the end of the file, and touches nothing behind what it read', async (place) => {
    const file = await create(place, 'file', pattern(10));
    for (const [position, expected] of [
      [0, 10],
      [7, 3],
      [10, 0],
      [1000, 0],
    ] as const) {
      for (const way of ['read', 'readSync'] as const) {
        const into = new Uint8Array(20).fill(255);
        expect(await file[way](into, position)).toBe(expected);
        expect(into.subarray(0, expected)).toEqual(pattern(10).subarray(position));
        expect(into.subarray(expected)).toEqual(new Uint8Array(20 - expected).fill(255));
      }
    }
    expect(await file.read(new Uint8Array(0), 0)).toBe(0);
    expect(file.readSync(new Uint8Array(0), 0)).toBe(0);
    await file.close();
  });

  check('a write behind the end leaves a gap of zeros', async (place) => {
    const file = await create(place, 'file', pattern(3));
    file.writeSync(pattern(2), 100_000);
    expect(await file.size()).toBe(100_002);
    const content = await contentOf(file);
    expect(content.subarray(0, 3)).toEqual(pattern(3));
    expect(content.subarray(3, 100_000).every((byte) => byte === 0)).toBe(true);
    expect(content.subarray(100_000)).toEqual(pattern(2));
    await file.close();
  });

  check('two openings of a file see each other', async (place) => {
    const writer = await create(place, 'file');
    const reader = await place.disk.open(writer.path, 'read');
    writer.writeSync(pattern(10), 0);
    expect(await contentOf(reader)).toEqual(pattern(10));
    await writer.close();
    await reader.close();
  });

  check('sync leaves everything readable', async (place) => {
    const file = await create(place, 'file', pattern(10));
    await Promise.all([file.sync(), file.sync()]);
    expect(await contentOf(file)).toEqual(pattern(10));
    await file.close();
  });

  check('truncate cuts, and grows with zeros', async (place) => {
    const file = await create(place, 'file', pattern(10));
    await file.truncate(4);
    expect(await contentOf(file)).toEqual(pattern(4));
    await file.truncate(8);
    expect(await contentOf(file)).toEqual(Uint8Array.of(...pattern(4), 0, 0, 0, 0));
    await file.truncate(0);
    expect(await file.size()).toBe(0);
    await file.close();
  });

  check('operations on one file take effect in the order of the calls', async (place) => {
    const file = await create(place, 'file', pattern(10));
    await Promise.all([file.truncate(5), file.sync(), file.truncate(7), file.allocate('none', 3), file.truncate(6)]);
    expect(await contentOf(file)).toEqual(Uint8Array.of(...pattern(3), 0, 0, 0));
    await file.close();
  });
}

export function allocation(check: Check): void {
  const SIZE = 300_000; // no multiple of any block, page or chunk

  for (const mode of MODES) {
    for (const before of [0, 1000, SIZE, SIZE + 5000]) {
      check(`allocate '${mode}' of a file of ${before} bytes`, async (place) => {
        const file = await create(place, 'file', pattern(before));
        const { fallocate } = await place.disk.features(place.directory);
        if (!fallocate && (mode === 'allocate' || mode === 'keep-size')) {
          await expect(file.allocate(mode, SIZE)).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
          expect(Buffer.compare(await contentOf(file), pattern(before))).toBe(0);
          await file.close();
          return;
        }
        await file.allocate(mode, SIZE);
        const expected = new Uint8Array(mode === 'keep-size' ? before : SIZE);
        if (mode !== 'zero') expected.set(pattern(before).subarray(0, expected.length));
        expect(Buffer.compare(await contentOf(file), expected)).toBe(0);
        await file.close();
      });
    }
  }

  check('allocate of nothing', async (place) => {
    const { fallocate } = await place.disk.features(place.directory);
    for (const mode of MODES) {
      if (!fallocate && (mode === 'allocate' || mode === 'keep-size')) continue;
      const file = await create(place, mode, pattern(10));
      await file.allocate(mode, 0);
      expect(await file.size()).toBe(mode === 'keep-size' ? 10 : 0);
      await file.close();
    }
  });

  check('reserved space is written like any other', async (place) => {
    const { fallocate } = await place.disk.features(place.directory);
    const file = await create(place, 'file');
    await file.allocate(fallocate ? 'keep-size' : 'zero', SIZE);
    file.writeSync(pattern(10), 0);
    const into = new Uint8Array(10);
    expect(file.readSync(into, 0)).toBe(10);
    expect(into).toEqual(pattern(10));
    await file.close();
  });
}

export function mappings(check: Check): void {
  const LENGTH = 64 * 1024;

  check('a mapping and the file are the same bytes, or there is none', async (place) => {
    const file = await create(place, 'file');
    await file.truncate(LENGTH);
    if (!(await place.disk.features(place.directory)).map) {
      expect(() => file.map(LENGTH)).toThrow(expect.objectContaining({ code: 'EOPNOTSUPP' }));
      await file.close();
      return;
    }
    const mapping = file.map(LENGTH);
    expect(mapping.bytes).toHaveLength(LENGTH);
    mapping.bytes.set(pattern(100), 5000);
    const into = new Uint8Array(100);
    file.readSync(into, 5000);
    expect(into).toEqual(pattern(100));
    file.writeSync(pattern(50, 7), LENGTH - 50);
    expect(mapping.bytes.slice(LENGTH - 50)).toEqual(pattern(50, 7));

    mapping.bytes[0] = 42;
    await file.sync();
    mapping.unmap();
    mapping.unmap();
    const content = await contentOf(file);
    expect(content[0]).toBe(42);
    expect(content.subarray(5000, 5100)).toEqual(pattern(100));
    await file.close();
  });

  check('only bytes that the file has are mapped', async (place) => {
    if (!(await place.disk.features(place.directory)).map) return;
    const file = await create(place, 'file', pattern(LENGTH));
    expect(() => file.map(LENGTH + 1)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    const part = file.map(4096);
    expect(part.bytes.slice()).toEqual(pattern(LENGTH).subarray(0, 4096));
    part.unmap();
    await file.close();
  });

  check('a mapping outlives the closing of its file', async (place) => {
    if (!(await place.disk.features(place.directory)).map) return;
    const file = await create(place, 'file', pattern(4096));
    const mapping = file.map(4096);
    await file.close();
    expect(mapping.bytes.slice()).toEqual(pattern(4096));
    mapping.unmap();
  });
}
