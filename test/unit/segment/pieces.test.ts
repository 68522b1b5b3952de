import { expect, jest, test } from '@jest/globals';
import type { Disk, FilePiece } from '../../../src/disk/disk.js';
import { mapPieces } from '../../../src/segment/pieces.js';
import { NOWHERE } from './logs.js';
import { MemoryDisk, watched } from './memory-disk.js';

const files = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`file${i}`, Uint8Array.of(i % 256, i >> 8, 7)]));
const piecesOf = (count: number): FilePiece[] =>
  Array.from({ length: count }, (_, i) => ({ path: `${NOWHERE}/file${i}`, position: 0, length: i % 2 === 0 ? 2 : 9 }));
const numberIn = (bytes: Uint8Array) => (bytes[0] as number) + 256 * (bytes[1] as number);

/** With a thread, as it were, that answers later pieces sooner. */
function threaded(count: number): { disk: Disk; readPieces: jest.Mock<NonNullable<Disk['readPieces']>> } {
  const content = files(count);
  let calls = 0;
  const readPieces = jest.fn(async (pieces: readonly FilePiece[]) => {
    for (let turns = 10 - (calls++ % 10); turns > 0; turns--) await undefined;
    return pieces.map(({ path, length }) =>
      (content[path.slice(NOWHERE.length + 1)] as Uint8Array).subarray(0, length),
    );
  });
  return { disk: Object.assign(new MemoryDisk(content), { readPieces }), readPieces };
}

test.each([0, 1, 255, 256, 1000])('%i pieces, each with its number, in order', async (count) => {
  for (const disk of [new MemoryDisk(files(count)), threaded(count).disk]) {
    const found = await mapPieces(disk, piecesOf(count), async (bytes, i) => [numberIn(bytes), i, bytes.length]);
    expect(found).toEqual(Array.from({ length: count }, (_, i) => [i, i, i % 2 === 0 ? 2 : 3]));
  }
});

test('a few are read one by one, many at once', async () => {
  const { disk, readPieces } = threaded(1000);
  await mapPieces(disk, piecesOf(255), numberIn);
  expect(readPieces).not.toHaveBeenCalled();
  await mapPieces(disk, piecesOf(1000), numberIn);
  expect(readPieces.mock.calls.length).toBeLessThan(1000 / 32);
});

test.each([10, 1000])('of %i pieces, whichever fails, in reading or in use, is the failure of all', async (count) => {
  for (const disk of [new MemoryDisk(files(count - 1)), threaded(count - 1).disk]) {
    await expect(mapPieces(disk, piecesOf(count), numberIn)).rejects.toThrow();
  }
  const { disk } = threaded(count);
  const use = (bytes: Uint8Array) => {
    if (numberIn(bytes) === count - 1) throw new Error('no use');
  };
  await expect(mapPieces(disk, piecesOf(count), use)).rejects.toThrow('no use');
});

test('every file that is opened is closed, also when it cannot be read', async () => {
  let open = 0;
  const disk = watched(new MemoryDisk(files(10)), (operation, path) => {
    if (operation === 'open') open++;
    if (operation === 'close') open--;
    if (operation === 'read' && path.endsWith('file3')) throw new Error('unreadable');
  });
  await expect(mapPieces(disk, piecesOf(10), numberIn)).rejects.toThrow('unreadable');
  await new Promise((resolve) => setImmediate(resolve));
  expect(open).toBe(0);
});
