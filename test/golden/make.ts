/**
 * The log that test/golden/format-1 keeps the bytes of: two sealed segments with a batch, a last one with a close mark,
 * and the manifest. Clock and salts are fixed, every frame is awaited, so that the same calls make the same bytes.
 *
 * `VARVE_WRITE_GOLDEN=1 npx jest --selectProjects unit golden` writes the committed files anew. Doing so is a change of
 * the format: it needs a new version number, or the proof that no byte that was ever written means anything else.
 */
import type { Disk } from '../../src/disk/disk.js';
import { type IoMode, openLog, realDisk } from '../../src/index.js';

export const SEGMENT_SIZE = 6 * 1024;
export const LAST_LSN = 24;

/** Sizes 0 to 150: padding of every length. */
export function payloadOf(lsn: number): Uint8Array {
  return Uint8Array.from({ length: (lsn * lsn * 7) % 151 }, (_, i) => (lsn * 17 + i * 3) & 0xff);
}

/** The real disk with a clock that stands still and random bytes that count. */
function fixedDisk(): Disk {
  let random = 0;
  const disk = realDisk({ threads: 1 });
  return new Proxy(disk, {
    get(_target, key) {
      if (key === 'now') return () => 1_700_000_000_000;
      if (key === 'randomBytes') return (length: number) => Uint8Array.from({ length }, () => (random++ * 37 + 11) & 0xff);
      const value: unknown = Reflect.get(disk, key, disk);
      return typeof value === 'function' ? value.bind(disk) : value;
    },
  });
}

export async function makeGolden(directory: string, io: IoMode): Promise<void> {
  const disk = fixedDisk();
  const log = await openLog({ directory, io, segmentSize: SEGMENT_SIZE, preallocate: { segments: 0 }, recycle: 0, disk });
  const partition = await log.partition(1);
  for (let lsn = 1; lsn <= 9; lsn++) await partition.append(payloadOf(lsn));
  await partition.appendBatch([10, 11, 12].map(payloadOf));
  await partition.rotate();
  for (let lsn = 13; lsn <= 18; lsn++) await partition.append(payloadOf(lsn));
  await partition.rotate();
  for (let lsn = 19; lsn <= LAST_LSN; lsn++) await partition.append(payloadOf(lsn));
  await log.close();
  await disk.close();
}
