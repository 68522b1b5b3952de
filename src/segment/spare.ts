/**
 * Spare files: how space becomes a segment. The only code that creates segment files.
 *
 *   (nothing) ──prepare──▶ ready_n ──dress, name──▶ part_p_i    ready for any partition, then of one
 *   part_p_i  ──retire───▶ recycle_n ──prepare──▶ ready_m       purged, then used again
 *
 * Preparing reserves the space and may meet a full disk; dressing writes a header with a fresh salt, which makes every
 * frame of an earlier life invalid; naming makes it a segment. All happen off the append path. A file that is not yet a segment
 * means nothing: whatever a crash leaves of it is taken up again or removed at the next open.
 */
import { join } from 'node:path';
import type { AllocateMode, Disk, DiskFile } from '../disk/disk.js';
import { encodeHeaderPage, HEADER_PAGE_SIZE, SALT_SIZE } from './header.js';
import { readyName, segmentName } from './names.js';

export interface SpareFile {
  readonly file: DiskFile;
  /** Name in the log's directory. */
  readonly name: string;
  /** The file had an earlier life, so that its bytes are not zeros. */
  readonly recycled: boolean;
}

/** How space is reserved: in a new file, and in one that had an earlier life. */
export interface Reservation {
  readonly segmentSize: number;
  readonly fresh: AllocateMode;
  /** Reserves what a file may lack that was made by another process, with other options; cheap where it lacks nothing. */
  readonly recycled: AllocateMode;
}

/** Makes the spare file `ready_{number}`, out of the file named `recycled` where that is given. */
export async function prepareSpare(
  disk: Disk,
  directory: string,
  number: number,
  { segmentSize, fresh, recycled: again }: Reservation,
  recycled?: string,
): Promise<SpareFile> {
  const name = readyName(number);
  const path = join(directory, name);
  if (recycled !== undefined) await disk.rename(join(directory, recycled), path);
  const file = await disk.open(path, recycled === undefined ? 'create' : 'write');
  try {
    await file.allocate(recycled === undefined ? fresh : again, segmentSize);
    // Whatever the mode reserves, the header's page is there: dressing the file must not meet a full disk.
    file.writeSync(new Uint8Array(HEADER_PAGE_SIZE), 0);
    if (recycled !== undefined || fresh === 'zero') await file.dropCache?.(0);
    await file.sync();
  } catch (error) {
    await file.close();
    await disk.unlink(path); // a partly reserved file holds the space that is lacking
    throw error;
  }
  return { file, name, recycled: recycled !== undefined };
}

export interface Adoption {
  readonly partition: number;
  readonly index: number;
  readonly segmentSize: number;
  readonly storeId: Uint8Array;
}

/**
 * Writes the header that makes the spare file a segment of a partition; resolves with the salt. It keeps its spare
 * name: until it is named, a crash leaves nothing but a spare file.
 */
export async function dressSpare(disk: Disk, spare: SpareFile, as: Adoption): Promise<Uint8Array> {
  const salt = disk.randomBytes(SALT_SIZE);
  spare.file.writeSync(encodeHeaderPage({ ...as, salt, createdAt: disk.now(), recycled: spare.recycled }), 0);
  // Durable before it bears a segment's name: a segment never has half a header.
  await spare.file.sync();
  return salt;
}

/** Gives a dressed spare file its segment's name, durably. */
export async function nameSegment(disk: Disk, directory: string, spare: SpareFile, as: Adoption): Promise<void> {
  await disk.rename(join(directory, spare.name), join(directory, segmentName(as.partition, as.index)));
  await disk.syncDirectory(directory);
}
