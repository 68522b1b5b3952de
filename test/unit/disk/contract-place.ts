/** What the parts of the contract share: a place to try things in, and files with known bytes. */
import { expect } from '@jest/globals';
import type { Disk, DiskFile } from '../../../src/disk/disk.js';

/** A test's own disk, and an existing, empty directory of it. */
export interface Place {
  readonly disk: Disk;
  readonly directory: string;
}

/** Registers a test with a place of its own. */
export type Check = (title: string, run: (place: Place) => Promise<void>) => void;

/** Bytes of which none is zero. */
export function pattern(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => ((i + seed) % 255) + 1);
}

/** A new file of the place, with that content. */
export async function create(place: Place, name: string, content = new Uint8Array(0)): Promise<DiskFile> {
  const file = await place.disk.open(`${place.directory}/${name}`, 'create');
  file.writeSync(content, 0);
  return file;
}

export async function contentOf(file: DiskFile): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(await file.size());
  expect(await file.read(bytes, 0)).toBe(bytes.length);
  return bytes;
}
