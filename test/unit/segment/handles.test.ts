/** Open files of readers: bounded, leased, and closed once nobody needs them. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { SegmentHandles } from '../../../src/segment/handles.js';
import { SimulatedDisk } from '../../../src/testing/simulated-disk.js';
import { codeOf, turns } from '../../support/logs.js';

const DIRECTORY = '/data';
const NAMES = ['a', 'b', 'c'];

let disk: SimulatedDisk;
let handles: SegmentHandles;

/** Files that are open. */
const openFiles = () =>
  disk.operations.filter(({ kind }) => kind === 'open').length -
  disk.operations.filter(({ kind }) => kind === 'close').length;

/** The file's first byte, which is its name. */
const read = (name: string) =>
  handles.with(name, async (file) => {
    const bytes = new Uint8Array(1);
    await file.read(bytes, 0);
    return Buffer.from(bytes).toString();
  });

beforeEach(async () => {
  disk = new SimulatedDisk({ record: true });
  await disk.makeDirectory(DIRECTORY);
  for (const name of NAMES) {
    const file = await disk.open(`${DIRECTORY}/${name}`, 'create');
    file.writeSync(Buffer.from(name), 0);
    await file.close();
  }
  disk.operations.length = 0;
  handles = new SegmentHandles(disk, DIRECTORY, { maxReadHandles: 1, indexCacheBytes: 1000, blockCacheBytes: 1000 });
});

describe('the open files', () => {
  test('are no more than asked for, once nobody reads them', async () => {
    for (const name of [...NAMES, ...NAMES]) expect(await read(name)).toBe(name);
    await turns();
    expect(openFiles()).toBe(1);
    await handles.close();
    expect(openFiles()).toBe(0);
  });

  test('are opened once for readings one after the other, and beside each other', async () => {
    await Promise.all([read('a'), read('a')]);
    await read('a');
    expect(disk.operations.filter(({ kind }) => kind === 'open')).toHaveLength(1);
  });

  test('stay open while somebody reads them, whatever is opened meanwhile, and are closed behind the last', async () => {
    let release = () => {};
    const hold = new Promise<void>((resolve) => {
      release = resolve;
    });
    const readings = [0, 1].map(() =>
      handles.with('a', async (file) => {
        await hold;
        const bytes = new Uint8Array(1);
        return file.read(bytes, 0);
      }),
    );
    await turns();
    expect(await read('b')).toBe('b');
    await turns();
    expect(openFiles()).toBe(2);
    release();
    expect(await Promise.all(readings)).toEqual([1, 1]);
    expect(await read('a')).toBe('a');
    await turns();
    expect(openFiles()).toBe(1);
  });

  test('serve who has asked for them, however many more are being opened at the same time', async () => {
    const open = disk.open.bind(disk);
    let opened = 0;
    disk.open = (path, mode) => (++opened > 100 ? Promise.reject(new Error('again and again')) : open(path, mode));
    const readings = Array.from({ length: 12 }, async (_, i) => {
      for (let turn = 0; turn < i; turn++) await undefined; // each opening ends while others are under way
      return read(NAMES[i % 3] as string);
    });
    expect((await Promise.all(readings)).join('')).toBe('abcabcabcabc');
    expect(opened).toBeLessThanOrEqual(12);
    await turns();
    expect(openFiles()).toBe(1);
    await handles.close();
    expect(openFiles()).toBe(0);
  });

  test('that are forgotten are not used again, and closed', async () => {
    await read('a');
    handles.forget('a');
    await turns();
    expect(openFiles()).toBe(0);
    expect(handles.peek('a')).toBeUndefined();
    expect(await read('a')).toBe('a');
  });

  test('that are forgotten while they are being opened serve who has asked, and nobody who comes later', async () => {
    let release = () => {};
    const hold = new Promise<void>((resolve) => {
      release = resolve;
    });
    disk.faults.add({ kind: 'open', file: 'a', fault: { hold } });
    const before = read('a');
    await turns();
    handles.forget('a');
    release();
    expect(await before).toBe('a');
    expect(handles.peek('a')).toBeUndefined();
    expect(await read('a')).toBe('a');
    expect(disk.operations.filter(({ kind }) => kind === 'open')).toHaveLength(2);
    await turns();
    expect(openFiles()).toBe(1);
  });

  test('are read to the end when all is closed, and then refused', async () => {
    const reading = read('a');
    const closing = handles.close();
    expect(await reading).toBe('a');
    await closing;
    expect(openFiles()).toBe(0);
    expect(await codeOf(read('a'))).toBe('ERR_VARVE_CLOSED');
  });
});
