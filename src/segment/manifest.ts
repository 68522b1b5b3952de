/**
 * The manifest: one small text file beside the segments, JSON and a line with its checksum.
 *
 * It holds the store id, the options that must not change, and the purge low-water marks. It is a checked cache: what
 * the segment headers say wins, and losing it loses no data. A low-water mark is written *before* the first file of a
 * purge goes, so that a purge that a crash interrupts is finished at the next open instead of coming undone.
 *
 * Replaced as a whole: temporary file → fsync → rename → directory fsync.
 */
import { join } from 'node:path';
import type { Disk } from '../disk/disk.js';
import { VarveError } from '../errors.js';
import { crc32c } from './checksum.js';
import { FORMAT_VERSION, STORE_ID_SIZE, viewOf } from './header.js';
import { MANIFEST_NAME, MANIFEST_TEMPORARY_NAME, MAX_SEGMENT_INDEX } from './names.js';

/** More than any manifest of a sane directory; a larger file is not read. */
const MAX_MANIFEST_BYTES = 64 * 1024 * 1024;

/** What a partition has given up: nothing below this is read again. */
export interface PurgeMark {
  /** Oldest LSN that is kept. */
  readonly oldestLsn: number;
  /** Index of the oldest segment that is kept. */
  readonly firstSegment: number;
}

export interface ManifestContent {
  readonly format: number;
  /** Hexadecimal, 32 digits. */
  readonly storeId: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /**
   * True if it was made with the directory, so that a partition without a purge mark begins with its first segment;
   * false if it was made anew beside segments, after a loss.
   */
  readonly complete: boolean;
  /** Options that must stay as they were when the directory was made. */
  readonly options: Readonly<Record<string, string | number | boolean>>;
  /** Purge marks by partition number. */
  readonly partitions: Readonly<Record<string, PurgeMark>>;
}

function checksumLine(json: string): string {
  const bytes = new TextEncoder().encode(json);
  return `crc32c ${crc32c(viewOf(bytes), 0, bytes.length).toString(16).padStart(8, '0')}\n`;
}

export function encodeManifest(content: ManifestContent): Uint8Array {
  const json = `${JSON.stringify(content, undefined, 1)}\n`;
  return new TextEncoder().encode(json + checksumLine(json));
}

/**
 * The content of a manifest file; undefined if it is damaged, or holds what no manifest does. Throws
 * `ERR_VARVE_UNSUPPORTED_VERSION` for a newer one.
 */
export function decodeManifest(bytes: Uint8Array): ManifestContent | undefined {
  const text = new TextDecoder().decode(bytes);
  const lineStart = text.lastIndexOf('\n', text.length - 2) + 1;
  const json = text.slice(0, lineStart);
  if (lineStart === 0 || text.slice(lineStart) !== checksumLine(json)) return undefined;
  let content: unknown;
  try {
    content = JSON.parse(json);
  } catch {
    return undefined; // a checksum, but not of a manifest
  }
  const format = isObject(content) ? content.format : undefined;
  if (isWhole(format, 1) && format > FORMAT_VERSION) {
    throw new VarveError(
      'ERR_VARVE_UNSUPPORTED_VERSION',
      `The manifest has format ${format}; this version of Varve reads up to ${FORMAT_VERSION}. Use a newer version.`,
    );
  }
  return isManifest(content) ? content : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isWhole(value: unknown, min: number, max = Number.MAX_SAFE_INTEGER): value is number {
  return Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;
}

/** What the rest of the log relies on. */
function isManifest(content: unknown): content is ManifestContent {
  return (
    isObject(content) &&
    isWhole(content.format, 1) &&
    typeof content.storeId === 'string' &&
    /^[0-9a-f]{32}$/.test(content.storeId) &&
    isWhole(content.createdAt, 0) &&
    typeof content.complete === 'boolean' &&
    isObject(content.options) &&
    isObject(content.partitions) &&
    Object.values(content.partitions).every(
      (mark) => isObject(mark) && isWhole(mark.oldestLsn, 1) && isWhole(mark.firstSegment, 1, MAX_SEGMENT_INDEX),
    )
  );
}

export function storeIdToHex(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}

export function storeIdFromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex')).subarray(0, STORE_ID_SIZE);
}

/** Reads the manifest of `directory`; 'missing' or 'damaged' where there is none that can be used. */
export async function readManifest(disk: Disk, directory: string): Promise<ManifestContent | 'missing' | 'damaged'> {
  if (!(await disk.list(directory)).includes(MANIFEST_NAME)) return 'missing';
  const file = await disk.open(join(directory, MANIFEST_NAME), 'read');
  try {
    const size = await file.size();
    if (size > MAX_MANIFEST_BYTES) return 'damaged';
    const bytes = new Uint8Array(size);
    await file.read(bytes, 0);
    return decodeManifest(bytes) ?? 'damaged';
  } finally {
    await file.close();
  }
}

/**
 * What is known of where a partition begins: its purge mark or, where nothing was purged, its first segment. Undefined
 * for a partition that may not have begun, and where a lost manifest has taken the knowledge with it.
 */
export function knownMark(content: ManifestContent, partition: number, hasSegments: boolean): PurgeMark | undefined {
  const mark = content.partitions[String(partition)];
  return mark ?? (content.complete && hasSegments ? { oldestLsn: 1, firstSegment: 1 } : undefined);
}

/** Keeps the manifest of an open log: updates are applied one after another, each durable before it resolves. */
export class ManifestKeeper {
  readonly #disk: Disk;
  readonly #directory: string;
  #content: ManifestContent;
  #last: Promise<void> = Promise.resolve();

  constructor(disk: Disk, directory: string, content: ManifestContent) {
    this.#disk = disk;
    this.#directory = directory;
    this.#content = content;
  }

  get content(): ManifestContent {
    return this.#content;
  }

  /** See `knownMark`. */
  knownMark(partition: number, hasSegments: boolean): PurgeMark | undefined {
    return knownMark(this.#content, partition, hasSegments);
  }

  setMark(partition: number, mark: PurgeMark): Promise<void> {
    return this.#update((c) => ({ ...c, partitions: { ...c.partitions, [String(partition)]: mark } }));
  }

  /** Adds an option that must stay as it is from now on. */
  setOption(name: string, value: string | number | boolean): Promise<void> {
    return this.#update((c) => ({ ...c, options: { ...c.options, [name]: value } }));
  }

  /** Writes the content as it is, for a directory that has no (usable) manifest yet. */
  save(): Promise<void> {
    return this.#update((c) => c);
  }

  #update(change: (content: ManifestContent) => ManifestContent): Promise<void> {
    const done = this.#last.then(async () => {
      const next = change(this.#content);
      await this.#replace(encodeManifest(next));
      this.#content = next;
    });
    // The next update waits for this one whether it succeeded or not; its own caller hears of a failure.
    this.#last = done.catch(() => {});
    return done;
  }

  async #replace(bytes: Uint8Array): Promise<void> {
    const temporary = join(this.#directory, MANIFEST_TEMPORARY_NAME);
    if ((await this.#disk.list(this.#directory)).includes(MANIFEST_TEMPORARY_NAME)) await this.#disk.unlink(temporary);
    const file = await this.#disk.open(temporary, 'create');
    try {
      file.writeSync(bytes, 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await this.#disk.rename(temporary, join(this.#directory, MANIFEST_NAME));
    await this.#disk.syncDirectory(this.#directory);
  }
}
