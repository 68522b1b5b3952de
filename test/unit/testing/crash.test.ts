import { describe, expect, test } from '@jest/globals';
import { Random } from '../../../src/testing/random.js';
import { SimulatedDisk } from '../../../src/testing/simulated-disk.js';

const filled = (length: number, value: number) => new Uint8Array(length).fill(value);

async function diskWith(content: Uint8Array, options = {}) {
  const disk = new SimulatedDisk({ record: true, ...options });
  await disk.makeDirectory('/d');
  const file = await disk.open('/d/file', 'create');
  file.writeSync(content, 0);
  await file.sync();
  await disk.syncDirectory('/d');
  return { disk, file };
}

describe('a power loss', () => {
  test('keeps what was synced, and of the rest nothing or everything where that is chosen', async () => {
    const { disk, file } = await diskWith(filled(2000, 1));
    file.writeSync(filled(1500, 2), 1000);
    expect(disk.crashed(new Random(1), 'none').contentOf('/d/file')).toEqual(filled(2000, 1));
    expect(disk.crashed(new Random(1), 'all').contentOf('/d/file')).toEqual(disk.contentOf('/d/file'));
    expect(disk.processCrash().contentOf('/d/file')).toEqual(disk.contentOf('/d/file'));
  });

  test.each(['write', 'map'] as const)('leaves any mixture of old and new sectors, and torn ones (%s)', async (how) => {
    const { disk, file } = await diskWith(filled(2048, 1));
    if (how === 'write') file.writeSync(filled(2048, 2), 0);
    else file.map(2048).bytes.fill(2);
    const seen = new Set<string>();
    let torn = 0;
    for (let seed = 0; seed < 500; seed++) {
      const choice = { data: 'some', names: 'all', sizes: 'all' } as const;
      const content = disk.crashed(new Random(seed), choice).contentOf('/d/file') as Uint8Array;
      expect(content.every((byte) => byte === 1 || byte === 2)).toBe(true);
      const sectors = [0, 1, 2, 3].map((i) => new Set(content.subarray(i * 512, i * 512 + 512)));
      if (sectors.some((values) => values.size === 2)) torn++;
      else seen.add(sectors.map((values) => [...values][0]).join(''));
    }
    expect(torn).toBeGreaterThan(10);
    expect(seen.size).toBe(16);
  });

  test('never takes what a sync has covered, nor a byte that the lost write did not touch', async () => {
    const { disk, file } = await diskWith(filled(1024, 1));
    file.writeSync(filled(10, 2), 500);
    await file.sync();
    file.writeSync(filled(10, 3), 505);
    for (let seed = 0; seed < 200; seed++) {
      const content = disk.crashed(new Random(seed)).contentOf('/d/file') as Uint8Array;
      expect(content.subarray(0, 505)).toEqual(disk.contentOf('/d/file')?.subarray(0, 505));
      expect(content.subarray(515)).toEqual(filled(509, 1));
    }
  });

  test('keeps or loses names in order per name, and each rename as a whole', async () => {
    const { disk } = await diskWith(filled(1, 1));
    await (await disk.open('/d/new', 'create')).close();
    await disk.rename('/d/new', '/d/newer');
    await disk.unlink('/d/file');
    const seen = new Set<string>();
    for (let seed = 0; seed < 300; seed++) {
      seen.add((await disk.crashed(new Random(seed)).list('/d')).join());
    }
    expect([...seen].sort()).toEqual(['', 'file', 'file,new', 'file,newer', 'new', 'newer']);
    await disk.syncDirectory('/d');
    expect(await disk.crashed(new Random(1), 'none').list('/d')).toEqual(['newer']);
  });

  test('frees locks and leaves the disk that it came from alone', async () => {
    const { disk, file } = await diskWith(filled(10, 1));
    await disk.lock('/d/LOCK');
    const after = disk.crashed(new Random(1), 'all');
    await (await after.lock('/d/LOCK')).release();
    file.writeSync(filled(10, 9), 0);
    expect(after.contentOf('/d/file')).toEqual(filled(10, 1));
    await expect(disk.lock('/d/LOCK')).rejects.toMatchObject({ code: 'ERR_VARVE_LOCKED' });
  });
});

describe('a failed fsync', () => {
  test.each([
    ['keep', 2],
    ['revert', 1],
  ] as const)('%s: a later one succeeds, and the bytes are not on the disk', async (writeback, cached) => {
    const { disk, file } = await diskWith(filled(8192, 1));
    disk.faults.add({ kind: 'sync', file: 'file', fault: { writeback } });
    file.writeSync(filled(100, 2), 0);
    await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' });
    await file.sync();
    expect(disk.contentOf('/d/file')?.[0]).toBe(cached);
    expect(disk.crashed(new Random(1), 'all').contentOf('/d/file')?.[0]).toBe(1);
    expect(disk.processCrash({ cache: 'dropped' }).contentOf('/d/file')?.[0]).toBe(1);

    // Written again, it is dirty again: the page as a whole.
    file.writeSync(filled(1, 2), 200);
    await file.sync();
    expect(disk.crashed(new Random(1), 'none').contentOf('/d/file')?.[0]).toBe(cached);
  });

  test('told by the next one', async () => {
    const { disk, file } = await diskWith(filled(10, 1));
    disk.faults.add({ kind: 'sync', file: 'file', fault: { writeback: 'keep', report: 'next' } });
    file.writeSync(filled(10, 2), 0);
    await file.sync();
    expect(disk.crashed(new Random(1), 'none').contentOf('/d/file')).toEqual(filled(10, 2));
    file.writeSync(filled(10, 3), 0);
    await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' });
    await file.sync();
    expect(disk.crashed(new Random(1), 'all').contentOf('/d/file')).toEqual(filled(10, 2));
  });
});

describe('faults and limits', () => {
  test('the nth operation on a file fails, by pattern', async () => {
    const { disk, file } = await diskWith(filled(10, 1));
    disk.faults.add({ kind: 'write', file: 'fi*', nth: 2, fault: { error: 'EDQUOT', after: 3 } });
    file.writeSync(filled(10, 2), 0);
    expect(() => file.writeSync(filled(10, 3), 0)).toThrow(expect.objectContaining({ code: 'EDQUOT' }));
    expect(disk.contentOf('/d/file')).toEqual(Uint8Array.of(3, 3, 3, 2, 2, 2, 2, 2, 2, 2));
    file.writeSync(filled(10, 4), 0);
    expect(disk.faults.applied).toHaveLength(1);
  });

  test('bits flip, writes go astray', async () => {
    const { disk, file } = await diskWith(filled(10, 1));
    disk.faults.add({ kind: 'readSync', file: 'file', fault: { flip: { offset: 4, bit: 1 } } });
    const into = new Uint8Array(2);
    file.readSync(into, 3);
    expect(into).toEqual(Uint8Array.of(1, 3));
    disk.faults.add({ kind: 'write', file: 'file', fault: { misdirect: 8 } });
    file.writeSync(filled(1, 7), 0);
    expect(disk.contentOf('/d/file')?.[8]).toBe(7);
  });

  test('the disk is full at the byte', async () => {
    const { disk, file } = await diskWith(filled(100, 1), { capacity: 150 });
    expect(() => file.writeSync(filled(100, 2), 80)).toThrow(expect.objectContaining({ code: 'ENOSPC' }));
    expect(await file.size()).toBe(150);
    expect(disk.free).toBe(0);
    await file.truncate(50);
    await expect(file.allocate('keep-size', 151)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(disk.free).toBe(100);
    await file.allocate('keep-size', 150);
    expect([disk.free, await file.size()]).toEqual([0, 50]);
    await file.close();
    await disk.unlink('/d/file');
    expect(disk.free).toBe(150);
  });

  test('the hook sees every operation before and after', async () => {
    const { disk, file } = await diskWith(filled(10, 1));
    const seen: string[] = [];
    disk.onOperation = ({ kind }, when) => seen.push(`${when} ${kind} ${disk.contentOf('/d/file')?.[0]}`);
    file.writeSync(filled(1, 5), 0);
    await file.sync();
    expect(seen).toEqual(['before write 1', 'after write 5', 'before sync 5', 'after sync 5']);
    expect(disk.operations.map(({ index }) => index)).toEqual(disk.operations.map((_, i) => i));
  });

  test('one seed repeats a run', () => {
    expect(new SimulatedDisk({ seed: 7 }).randomBytes(8)).toEqual(new SimulatedDisk({ seed: 7 }).randomBytes(8));
    expect(new SimulatedDisk({ seed: 7 }).randomBytes(8)).not.toEqual(new SimulatedDisk({ seed: 8 }).randomBytes(8));
  });
});
