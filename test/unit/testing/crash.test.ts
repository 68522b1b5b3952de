import { describe, expect, test } from '@jest/globals';
import type { Operation } from '../../../src/testing/operations.js';
import { Odometer, Random } from '../../../src/testing/random.js';
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

describe('every state', () => {
  test('all decisions are taken in turn, each sequence once', () => {
    const decisions = new Odometer();
    const seen: string[] = [];
    do {
      const first = decisions.below(3);
      // How many follow may depend on what was decided.
      seen.push(first === 1 ? '1' : `${first}${decisions.chance(0.1) ? 'y' : 'n'}`);
    } while (decisions.advance());
    expect(seen).toEqual(['0n', '0y', '1', '2n', '2y']);
  });

  test('of two sectors, a new size and a name', async () => {
    const { disk, file } = await diskWith(filled(1024, 1));
    file.writeSync(filled(1024, 2), 0);
    expect(disk.allCrashed(4)).toHaveLength(4);
    expect(disk.allCrashed(3)).toBeUndefined();
    await file.truncate(2000);
    expect(disk.allCrashed(100)).toHaveLength(8);
    await (await disk.open('/d/new', 'create')).close();
    expect(disk.allCrashed(100)).toHaveLength(16);
    await disk.syncDirectory('/d');
    await file.sync();
    expect(disk.allCrashed(1)).toHaveLength(1);
  });

  test('what changes nothing is not decided: sectors that are written as they are', async () => {
    const { disk, file } = await diskWith(filled(64 * 512, 1));
    file.writeSync(filled(64 * 512, 1), 0);
    expect(disk.allCrashed(1)).toHaveLength(1);
  });
});

test('a clone can be made at every operation, and goes on by itself', async () => {
  const { disk, file } = await diskWith(filled(600, 1));
  const clones: { disk: SimulatedDisk; content: Uint8Array | undefined; names: string }[] = [];
  const names = async (of: SimulatedDisk) => (await of.list('/d')).join();
  const cloned: Operation[] = [];
  let nested = false;
  disk.onOperation = (operation) => {
    if (nested) return;
    cloned.push(operation);
    const clone = disk.clone();
    clones.push({ disk: clone, content: disk.contentOf('/d/file'), names: '' });
  };
  file.writeSync(filled(600, 2), 0);
  await file.sync();
  const mapping = file.map(600);
  mapping.bytes.fill(3);
  await (await disk.open('/d/new', 'create')).close();
  await disk.rename('/d/new', '/d/newer');
  mapping.unmap();
  await disk.unlink('/d/newer');
  nested = true;
  expect(new Set(cloned.map(({ kind }) => kind))).toEqual(
    new Set(['write', 'sync', 'map', 'create', 'close', 'rename', 'unmap', 'unlink']),
  );
  for (const clone of clones) {
    expect(clone.disk.contentOf('/d/file')).toEqual(clone.content);
    const own = await clone.disk.open('/d/file', 'write');
    own.writeSync(filled(600, 9), 0);
    await own.sync();
    expect(clone.disk.crashed(new Random(1), 'none').contentOf('/d/file')).toEqual(filled(600, 9));
    await clone.disk.open('/d/mine', 'create');
    expect(await names(clone.disk)).toContain('mine');
  }
  expect(disk.contentOf('/d/file')).toEqual(filled(600, 3));
  expect(await names(disk)).toBe('file');
});

describe('latent errors, slowness and quotas', () => {
  test.each(['read', 'readSync'] as const)(
    'a bad sector fails whatever %s touches it, until it is written',
    async (way) => {
      const { disk } = await diskWith(filled(2000, 1));
      disk.spoil('/d/file', 700);
      for (const each of [disk, disk.clone(), disk.processCrash(), disk.crashed(new Random(1), 'all')]) {
        const file = await each.open('/d/file', 'write');
        const reading = async (length: number, from: number) => file[way](new Uint8Array(length), from);
        expect(await reading(512, 0)).toBe(512);
        expect(await reading(500, 1024)).toBe(500);
        await expect(reading(513, 0)).rejects.toMatchObject({ code: 'EIO' });
        await expect(reading(1, 1023)).rejects.toMatchObject({ code: 'EIO' });
        file.writeSync(filled(511, 2), 512);
        await expect(reading(1, 600)).rejects.toMatchObject({ code: 'EIO' });
        file.writeSync(filled(512, 3), 512);
        expect(await reading(2000, 0)).toBe(2000);
      }
      disk.spoil('/d/file', 0);
      disk.mend('/d/file');
      expect(await (await disk.open('/d/file', 'read'))[way](new Uint8Array(9), 0)).toBe(9);
    },
  );

  test('a slow sync takes virtual time; one that is held ends when it is let go', async () => {
    const { disk, file } = await diskWith(filled(10, 1));
    disk.faults.add({ kind: 'sync', file: '*', fault: { delay: 5000 } });
    const before = disk.now();
    await file.sync();
    expect(disk.now() - before).toBeGreaterThanOrEqual(5000);
    let release = () => {};
    const hold = new Promise<void>((resolve) => {
      release = resolve;
    });
    disk.faults.add({ kind: 'sync', file: '*', fault: { hold } });
    file.writeSync(filled(10, 2), 0);
    const syncing = file.sync();
    await new Promise(setImmediate);
    expect(disk.crashed(new Random(1), 'none').contentOf('/d/file')).toEqual(filled(10, 1));
    release();
    await syncing;
    expect(disk.crashed(new Random(1), 'none').contentOf('/d/file')).toEqual(filled(10, 2));
  });

  test.each(['EIO', 'ENOSPC', 'EDQUOT'])(
    '%s, for every kind of operation, at the occurrence that was named',
    async (error) => {
      const { disk, file } = await diskWith(filled(10, 1));
      const all: Record<string, () => unknown> = {
        read: () => file.read(new Uint8Array(1), 0),
        readSync: () => file.readSync(new Uint8Array(1), 0),
        write: () => file.writeSync(filled(1, 2), 0),
        sync: () => file.sync(),
        allocate: () => file.allocate('allocate', 10),
        truncate: () => file.truncate(10),
        size: () => file.size(),
        open: () => disk.open('/d/file', 'read'),
        syncDirectory: () => disk.syncDirectory('/d'),
        list: () => disk.list('/d'),
      };
      for (const [kind, work] of Object.entries(all)) {
        disk.faults.add({ kind: kind as Operation['kind'], file: '*', nth: 2, fault: { error } });
        await work();
        await expect((async () => work())()).rejects.toMatchObject({ code: error });
        await work();
      }
    },
  );

  test('the capacity may be changed', async () => {
    const { disk, file } = await diskWith(filled(100, 1), { capacity: 100 });
    await expect(file.allocate('allocate', 200)).rejects.toMatchObject({ code: 'ENOSPC' });
    disk.capacity = 200;
    await file.allocate('allocate', 200);
    expect(disk.clone().free).toBe(0);
  });
});
